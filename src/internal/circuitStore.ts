/**
 * Circuits by key, in memory: one `Ref` per key, each transition one atomic step of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableRef from "effect/MutableRef"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Change, Permit, Recorded, Snapshot, Transition } from "../CircuitBreakerRegistry.ts"
import { CircuitOpenError } from "../GraphError.ts"
import { monotonicMs } from "./time.ts"

export interface Entry {
  readonly key: string
  readonly state: Ref.Ref<CircuitBreaker.State>
  config: CircuitBreaker.Config
  /** Calls in flight, and whoever else is at work on it: while there are any the entry stays, and so do its generations. */
  holders: number
  conflict: "none" | "found" | "logged"
}

export interface Store {
  readonly entries: Map<string, Entry>
  /** The circuit that was forgotten last, still in the map so that a lone busy key is not made anew for every call. */
  idle: Entry | undefined
  /** Made for the first subscriber. */
  hub: PubSub.PubSub<Change> | undefined
}

export interface Call {
  readonly entry: Entry
  readonly clock: Clock.Clock
  readonly generation: number
  readonly probe: boolean
  readonly transition: Transition | undefined
}

export const find = (store: Store, key: string): Entry | undefined => {
  const entry = store.entries.get(key)
  return entry === store.idle ? undefined : entry
}

export const known = (store: Store): Array<Entry> =>
  Array.from(store.entries.values()).filter((entry) => entry !== store.idle)

// `hold` and `release` belong together, in one uninterruptible region.
const hold = (store: Store, key: string, config: CircuitBreaker.Config): Entry => {
  let entry = store.entries.get(key)
  if (entry === undefined) {
    entry = { key, state: Ref.makeUnsafe(CircuitBreaker.initial), config, holders: 0, conflict: "none" }
    store.entries.set(key, entry)
  } else if (entry === store.idle) {
    store.idle = undefined
    entry.config = config
    entry.conflict = "none"
  } else if (entry.conflict === "none" && !CircuitBreaker.sameConfig(entry.config, config)) {
    entry.conflict = "found"
  }
  entry.holders++
  return entry
}

const release = (store: Store, entry: Entry): void => {
  entry.holders--
  // No failures means CLOSED: what opens a circuit is one, and only closing forgets them.
  if (entry.holders > 0 || Ref.getUnsafe(entry.state).failureCount > 0) return
  if (store.idle !== undefined) store.entries.delete(store.idle.key)
  store.idle = entry
}

const publish = (store: Store, key: string, change: CircuitBreaker.Transition, clock: Clock.Clock): Transition => {
  const transition = { key, ...change }
  if (store.hub !== undefined) PubSub.publishUnsafe(store.hub, { ...transition, at: clock.currentTimeMillisUnsafe() })
  return transition
}

// One atomic step of a `Ref`: what `Ref.modify` does, without a fiber's turn around it. The clock is read inside of it, so
// that times never run against the order of the steps, and changes are published in that order too.
const step = <Step extends CircuitBreaker.Step>(
  store: Store,
  { key, state }: Entry,
  clock: Clock.Clock,
  next: (state: CircuitBreaker.State, nowMs: number) => Step
): readonly [Step, Transition | undefined] => {
  const step = next(Ref.getUnsafe(state), monotonicMs(clock))
  MutableRef.set(state.ref, step.state)
  return [step, step.transition && publish(store, key, step.transition, clock)]
}

export const ask = <A, E, R>(
  store: Store,
  key: string,
  config: CircuitBreaker.Config,
  admitted: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> =>
  Effect.withFiber((fiber) => {
    const entry = hold(store, key, config)
    if (entry.conflict !== "found") return admit(store, entry, fiber.getRef(Clock.Clock), admitted)
    entry.conflict = "logged"
    return Effect.andThen(
      warn(`circuit "${key}" has another configuration already, this one is ignored`),
      Effect.suspend(() => admit(store, entry, fiber.getRef(Clock.Clock), admitted))
    )
  })

const admit = <A, E, R>(
  store: Store,
  entry: Entry,
  clock: Clock.Clock,
  admitted: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> => {
  const [{ decision }, transition] = step(
    store,
    entry,
    clock,
    (state, nowMs) => CircuitBreaker.admit(state, nowMs, entry.config)
  )
  if (decision._tag === "Admitted") {
    return admitted({ entry, clock, generation: decision.generation, probe: decision.probe, transition })
  }
  release(store, entry)
  const { circuitState, retryAfter } = decision
  return Effect.fail(new CircuitOpenError({ key: entry.key, circuitState, retryAfter }))
}

const answer = (store: Store, { clock, entry, generation }: Call, outcome: CircuitBreaker.Outcome): Recorded => {
  const [{ state: { _tag: circuitState } }, transition] = step(
    store,
    entry,
    clock,
    (state, nowMs) => CircuitBreaker.record(state, { generation, outcome }, nowMs, entry.config)
  )
  release(store, entry)
  return transition === undefined ? { circuitState } : { circuitState, transition }
}

export const run = <A, E, R>(store: Store, call: Call, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onExit(self, (exit) => {
    if (Exit.isFailure(exit)) {
      return Effect.map(outcomeOf(exit, call.entry.key, call.entry.config), (outcome) => {
        answer(store, call, outcome)
      })
    }
    answer(store, call, "success")
    return Effect.void
  })

export const permit = (store: Store, call: Call): Permit => {
  let ended = false
  const record = (outcome: CircuitBreaker.Outcome): Effect.Effect<Recorded> =>
    Effect.sync(() => {
      if (ended) return { circuitState: Ref.getUnsafe(call.entry.state)._tag }
      ended = true
      return answer(store, call, outcome)
    })
  const { entry: { config }, generation, probe, transition } = call
  return transition === undefined
    ? { generation, probe, config, record }
    : { generation, probe, config, record, transition }
}

export const reset = (store: Store, key: string): Effect.Effect<void> =>
  Clock.clockWith((clock) => {
    const entry = find(store, key)
    if (entry !== undefined) {
      entry.holders++
      step(store, entry, clock, CircuitBreaker.reset)
      release(store, entry)
    }
    return Effect.void
  })

export const isConfig = (config: CircuitBreaker.Input | CircuitBreaker.Config): config is CircuitBreaker.Config =>
  typeof config === "object" && config !== null &&
  Object.keys(CircuitBreaker.defaults).every((field) => field in config)

// A logger that fails must not cost a slot.
const warn = (...message: ReadonlyArray<unknown>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.logWarning(...message))

const succeeded = Effect.succeed("success" as const)
const failed = Effect.succeed("failure" as const)
const ignored = Effect.succeed("ignored" as const)

/**
 * What an exit means to a circuit: a defect counts like a typed failure, only interruption is ignored, and an `isFailure`
 * that throws does not make an error harmless. @internal
 */
export const outcomeOf = (
  exit: Exit.Exit<unknown, unknown>,
  key: string,
  { isFailure }: CircuitBreaker.Config
): Effect.Effect<CircuitBreaker.Outcome> => {
  if (Exit.isSuccess(exit)) return succeeded
  if (Cause.hasInterruptsOnly(exit.cause)) return ignored
  if (isFailure === undefined) return failed
  const defect = exit.cause.reasons.find(Cause.isDieReason)
  try {
    return isFailure(defect === undefined ? Cause.squash(exit.cause) : defect.defect) === false ? ignored : failed
  } catch (thrown) {
    return Effect.as(
      warn(`isFailure of circuit "${key}" threw, so the error counts as a failure`, Cause.die(thrown)),
      "failure"
    )
  }
}

export const snapshot = ({ config, key, state: ref }: Entry, clock: Clock.Clock): Snapshot => {
  const state = Ref.getUnsafe(ref)
  const nowMs = monotonicMs(clock)
  const offsetMs = Number(clock.currentTimeNanosUnsafe() - clock.monotonicTimeNanosUnsafe()) / 1_000_000
  const { decision } = CircuitBreaker.admit(state, nowMs, config)
  return {
    key,
    state: state._tag,
    failureCount: state.failureCount,
    probes: CircuitBreaker.probes(state, nowMs, config).length,
    ...state._tag !== "CLOSED" && { openedAt: Math.round(state.openedAtMs + offsetMs) },
    ...state.lastFailureAtMs !== undefined && { lastFailureAt: Math.round(state.lastFailureAtMs + offsetMs) },
    ...decision._tag === "Rejected" && { retryAfter: decision.retryAfter }
  }
}
