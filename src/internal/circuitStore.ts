/**
 * Circuits by key, in memory: one `Ref` per key, each transition one atomic step of it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableRef from "effect/MutableRef"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Change, Isolation, Permit, Recorded, Snapshot, Transition } from "../CircuitBreakerRegistry.ts"
import { CircuitOpenError } from "../GraphError.ts"
import { type Judged, outcomeOf, warn } from "./circuitOutcome.ts"
import { monotonicMs } from "./time.ts"

export interface Entry {
  readonly key: string
  readonly state: Ref.Ref<CircuitBreaker.State>
  /** That of the first call; none, as long as it was only steered by hand. */
  config: CircuitBreaker.Config | undefined
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
  readonly config: CircuitBreaker.Config
  readonly clock: Clock.Clock
  /** Absent where neither an admission nor a success needs the time. */
  readonly startedAtMs: number | undefined
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
const hold = (store: Store, key: string, config: CircuitBreaker.Config | undefined): Entry => {
  let entry = store.entries.get(key)
  if (entry === undefined) {
    entry = { key, state: Ref.makeUnsafe(CircuitBreaker.initial), config, holders: 0, conflict: "none" }
    store.entries.set(key, entry)
  } else if (entry === store.idle) {
    store.idle = undefined
    entry.config = config
    entry.conflict = "none"
  } else if (config !== undefined && entry.config !== config) {
    if (entry.config === undefined) entry.config = config
    else if (entry.conflict === "none" && !CircuitBreaker.sameConfig(entry.config, config)) entry.conflict = "found"
  }
  entry.holders++
  return entry
}

const release = (store: Store, entry: Entry): void => {
  entry.holders--
  if (entry.holders > 0 || !CircuitBreaker.isBlank(Ref.getUnsafe(entry.state))) return
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
): readonly [Step, Transition | undefined, nowMs: number] => {
  const nowMs = monotonicMs(clock)
  const step = next(Ref.getUnsafe(state), nowMs)
  MutableRef.set(state.ref, step.state)
  return [step, step.transition && publish(store, key, step.transition, clock), nowMs]
}

/** Admits a call at once, in the one turn of the fiber that begins with it: nothing can interrupt between the two. */
export const ask = <A, E, R>(
  store: Store,
  key: string,
  config: CircuitBreaker.Config,
  admitted: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> =>
  Effect.withFiber((fiber) => {
    const entry = hold(store, key, config)
    const next = admit(store, entry, entry.config ?? config, fiber.getRef(Clock.Clock), admitted)
    if (entry.conflict !== "found") return next
    entry.conflict = "logged"
    return Effect.andThen(warn(`circuit "${key}" has another configuration already, this one is ignored`), next)
  })

const admit = <A, E, R>(
  store: Store,
  entry: Entry,
  config: CircuitBreaker.Config,
  clock: Clock.Clock,
  admitted: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> => {
  const state = Ref.getUnsafe(entry.state)
  if (CircuitBreaker.isQuiet(state, config)) {
    const { generation } = state
    return admitted({ entry, config, clock, startedAtMs: undefined, generation, probe: false, transition: undefined })
  }
  const [{ decision }, transition, startedAtMs] = step(
    store,
    entry,
    clock,
    (state, nowMs) => CircuitBreaker.admit(state, nowMs, config)
  )
  if (decision._tag === "Admitted") {
    const { generation, probe } = decision
    return admitted({ entry, config, clock, startedAtMs, generation, probe, transition })
  }
  release(store, entry)
  const { circuitState, retryAfter } = decision
  return Effect.fail(new CircuitOpenError({ key: entry.key, circuitState, retryAfter }))
}

const answer = (store: Store, call: Call, judged: Judged): Recorded => {
  const { config, entry } = call
  const state = Ref.getUnsafe(entry.state)
  const recorded = judged.outcome === "success" && CircuitBreaker.isQuiet(state, config)
    ? { circuitState: state._tag }
    : stepped(store, call, judged)
  release(store, entry)
  return recorded
}

const stepped = (
  store: Store,
  { clock, config, entry, generation, startedAtMs }: Call,
  { outcome, retryAfterMs }: Judged
): Recorded => {
  const [{ state: { _tag: circuitState } }, transition] = step(
    store,
    entry,
    clock,
    (state, nowMs) => {
      const durationMs = startedAtMs === undefined ? 0 : nowMs - startedAtMs
      const call = retryAfterMs === undefined
        ? { generation, outcome, durationMs }
        : { generation, outcome, durationMs, retryAfterMs }
      return CircuitBreaker.record(state, call, nowMs, config)
    }
  )
  return transition === undefined ? { circuitState } : { circuitState, transition }
}

const success: Judged = { outcome: "success" }

/** Runs an effect through a circuit: who was admitted has an outcome, wherever it is interrupted. */
export const execute = <A, E, R>(
  store: Store,
  key: string,
  config: CircuitBreaker.Config,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> =>
  Effect.suspend(() => {
    let call: Call | undefined
    const asked = ask(store, key, config, (admitted) => {
      call = admitted
      return self
    })
    // It is there before anybody is admitted.
    return Effect.onExitPrimitive(asked, (exit) => {
      if (call === undefined) return undefined
      if (Exit.isFailure(exit)) return judged(store, call, exit)
      answer(store, call, success)
      return undefined
    })
  })

const judged = (store: Store, call: Call, exit: Exit.Failure<unknown, unknown>): Effect.Effect<void> =>
  Effect.map(outcomeOf(exit, call.entry.key, call.config), (judged) => {
    answer(store, call, judged)
  })

export const permit = (store: Store, call: Call): Permit => {
  let ended = false
  const record = (outcome: CircuitBreaker.Outcome, retryAfter?: Duration.Duration): Effect.Effect<Recorded> =>
    Effect.sync(() => {
      if (ended) return { circuitState: Ref.getUnsafe(call.entry.state)._tag }
      ended = true
      return answer(
        store,
        call,
        retryAfter === undefined ? { outcome } : { outcome, retryAfterMs: Duration.toMillis(retryAfter) }
      )
    })
  const { config, generation, probe, transition } = call
  return transition === undefined
    ? { generation, probe, config, record }
    : { generation, probe, config, record, transition }
}

/** One step by hand, of a circuit that may be new. */
const steer = (
  store: Store,
  key: string,
  next: (state: CircuitBreaker.State, nowMs: number) => CircuitBreaker.Step
): Effect.Effect<void> =>
  Clock.clockWith((clock) => {
    const entry = hold(store, key, undefined)
    step(store, entry, clock, next)
    release(store, entry)
    return Effect.void
  })

export const reset = (store: Store, key: string): Effect.Effect<void> =>
  Effect.suspend(() => find(store, key) === undefined ? Effect.void : steer(store, key, CircuitBreaker.reset))

export const forceOpen = (store: Store, key: string): Effect.Effect<void> => steer(store, key, CircuitBreaker.forceOpen)

export const disable = (store: Store, key: string): Effect.Effect<void> => steer(store, key, CircuitBreaker.disable)

export const isolate = (store: Store, key: string): Effect.Effect<Isolation, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(steer(store, key, CircuitBreaker.isolate), () => {
      let released = false
      return {
        release: Effect.suspend(() => {
          if (released) return Effect.void
          released = true
          return steer(store, key, CircuitBreaker.release)
        })
      }
    }),
    (isolation) => isolation.release
  )

export const isConfig = (config: CircuitBreaker.Input | CircuitBreaker.Config): config is CircuitBreaker.Config =>
  typeof config === "object" && config !== null &&
  Object.keys(CircuitBreaker.defaults).every((field) => field in config)

export const snapshot = (
  { config = CircuitBreaker.defaults, key, state: ref }: Entry,
  clock: Clock.Clock
): Snapshot => {
  const state = Ref.getUnsafe(ref)
  const nowMs = monotonicMs(clock)
  const offsetMs = Number(clock.currentTimeNanosUnsafe() - clock.monotonicTimeNanosUnsafe()) / 1_000_000
  const { decision } = CircuitBreaker.admit(state, nowMs, config)
  const { calls, failures, slow } = CircuitBreaker.tally(state, nowMs, config)
  const mode = CircuitBreaker.mode(state)
  return {
    key,
    state: state._tag,
    failureCount: state.failureCount,
    probes: CircuitBreaker.probes(state, nowMs, config).length,
    ...state._tag !== "CLOSED" && { openedAt: Math.round(state.openedAtMs + offsetMs) },
    ...state.lastFailureAtMs !== undefined && { lastFailureAt: Math.round(state.lastFailureAtMs + offsetMs) },
    ...decision._tag === "Rejected" && { retryAfter: decision.retryAfter },
    ...mode !== "normal" && { mode },
    ...calls > 0 && { window: { calls, failures, slow } }
  }
}
