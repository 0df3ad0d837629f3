/**
 * Circuits by key, as a service: calls with the same key share one circuit.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { CircuitOpenError } from "./GraphError.ts"
import { monotonicMs } from "./internal/time.ts"

/**
 * A change of one circuit's state.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition extends CircuitBreaker.Transition {
  readonly key: string
}

/**
 * A {@link Transition} with the time it happened, in epoch milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Change extends Transition {
  readonly at: number
}

/**
 * One circuit, as seen at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly key: string
  readonly state: CircuitBreaker.CircuitState
  /** Failures since the last success in CLOSED, failed probes included. */
  readonly failureCount: number
  /** Epoch milliseconds; absent in CLOSED. */
  readonly openedAt?: number
  /** Epoch milliseconds; absent while `failureCount` is 0. */
  readonly lastFailureAt?: number
  /** When asking again makes sense; absent when a call would be admitted now. */
  readonly retryAfter?: Duration.Duration
  /** Probes that hold a slot. */
  readonly probes: number
}

/**
 * What a recorded outcome led to: the circuit's state after it, and the transition if it caused one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recorded {
  readonly circuitState: CircuitBreaker.CircuitState
  readonly transition?: Transition
}

/**
 * Permission for one call.
 *
 * **Details**
 *
 * `config` is the one in force for the circuit. `transition` is there when the ask itself changed the state (OPEN to
 * HALF_OPEN). The first `record` counts, unless the circuit moved on; later ones only tell the state.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permit {
  readonly generation: number
  readonly probe: boolean
  readonly config: CircuitBreaker.Config
  readonly transition?: Transition
  readonly record: (outcome: CircuitBreaker.Outcome) => Effect.Effect<Recorded>
}

/**
 * What the registry can do.
 *
 * **Details**
 *
 * - One configuration per key: that of the call that created the circuit. A differing one is ignored with a warning.
 * - A circuit without failures and without calls in flight is forgotten, so keys may be many.
 * - Time is the `Clock`'s monotonic time: a wall clock that is set back keeps nothing open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /**
   * Runs an effect through the circuit of `key`.
   *
   * **Details**
   *
   * Fails with `CircuitOpenError`, running nothing, when the circuit rejects. Typed failures and defects count as failures,
   * except those for which `isFailure` answers `false`; interruption counts as nothing and frees a probe's slot. Options out
   * of range throw an `InvalidConfigError`; their own `key` is not used.
   */
  readonly execute: (
    key: string,
    config?: CircuitBreaker.Input | CircuitBreaker.Config
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpenError, R>
  /**
   * Asks for permission, for callers that decide on their own what counts as a failure.
   *
   * **Gotchas**
   *
   * Ask in an uninterruptible region and record one outcome whatever happens, as `Effect.acquireUseRelease` does: a permit
   * that is lost keeps the circuit's entry for good, and a probe's slot until `probeTimeout`.
   */
  readonly acquire: (key: string, config: CircuitBreaker.Config) => Effect.Effect<Permit, CircuitOpenError>
  /** Looks at one circuit; an unknown key is CLOSED with no failures. */
  readonly state: (key: string) => Effect.Effect<Snapshot>
  /** Looks at every circuit that has failures, is not CLOSED, or has calls in flight. */
  readonly states: Effect.Effect<ReadonlyArray<Snapshot>>
  /** Closes one circuit, counters zero; its calls in flight no longer count. An unknown key is a no-op. */
  readonly reset: (key: string) => Effect.Effect<void>
  /** Resets every circuit. */
  readonly resetAll: Effect.Effect<void>
  /**
   * Every transition from now on, in order; it never ends.
   *
   * **Gotchas**
   *
   * A subscriber that does not read holds what it has not read in memory.
   */
  readonly changes: Stream.Stream<Change>
}

/**
 * The registry of circuits.
 *
 * **When to use**
 *
 * Provide {@link layerMemory} to share circuits between graphs, to look at them or to swap them in tests; a graph without a
 * registry in its context has one of its own. Or guard any effect with `execute`.
 *
 * **Gotchas**
 *
 * Put a timeout inside `execute`, where it counts as a failure; outside it is an interruption and counts as nothing.
 *
 * **Example** (Two failures open the circuit)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreakerRegistry } from "effect-stategraph"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
 *   const call = Effect.fail("unavailable").pipe(
 *     registry.execute("payments", { failureThreshold: 2, resetTimeout: "10 seconds" }),
 *     Effect.flip
 *   )
 *   const first = yield* call
 *   yield* call
 *   const third = yield* call
 *   return [first, typeof third === "string" ? third : third._tag, (yield* registry.state("payments")).state]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(CircuitBreakerRegistry.layerMemory)))
 * // => ["unavailable", "CircuitOpenError", "OPEN"]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class CircuitBreakerRegistry extends Context.Service<CircuitBreakerRegistry, Service>()(
  "effect-stategraph/CircuitBreakerRegistry"
) {
  static readonly layerMemory: Layer.Layer<CircuitBreakerRegistry> = Layer.sync(this, () => makeUnsafe())
}

/**
 * Makes a registry that keeps its circuits in memory, outside of Effect.
 *
 * **Example** (Sharing without a layer)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreakerRegistry } from "effect-stategraph"
 *
 * const registry = CircuitBreakerRegistry.makeUnsafe()
 *
 * await Effect.runPromise(Effect.succeed(1).pipe(registry.execute("payments"))) // => 1
 * await Effect.runPromise(registry.states) // => []
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUnsafe = (): Service => {
  const store: Store = { entries: new Map(), idle: undefined, hub: undefined }
  return {
    execute: (key, config) => {
      const full = config === undefined || isConfig(config)
        ? config ?? CircuitBreaker.defaults
        : CircuitBreaker.make(config, "CircuitBreakerRegistry.execute")
      return (self) =>
        Effect.uninterruptibleMask((restore) => ask(store, key, full, (call) => run(store, call, restore(self))))
    },
    acquire: (key, config) =>
      Effect.uninterruptible(ask(store, key, config, (call) => Effect.succeed(permit(store, call)))),
    state: (key) =>
      Clock.clockWith((clock) => {
        const entry = find(store, key)
        return Effect.succeed(
          entry === undefined ? { key, state: "CLOSED", failureCount: 0, probes: 0 } : snapshot(entry, clock)
        )
      }),
    states: Clock.clockWith((clock) => Effect.sync(() => known(store).map((entry) => snapshot(entry, clock)))),
    reset: (key) => reset(store, key),
    resetAll: Effect.suspend(() => Effect.forEach(known(store), ({ key }) => reset(store, key), { discard: true })),
    changes: Stream.unwrap(Effect.map(PubSub.unbounded<Change>(), (fresh) => Stream.fromPubSub(store.hub ??= fresh)))
  }
}

/**
 * Makes a registry that keeps its circuits in memory.
 *
 * **Example** (A key that nobody has used)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreakerRegistry } from "effect-stategraph"
 *
 * const program = Effect.flatMap(CircuitBreakerRegistry.make, (registry) => registry.state("payments"))
 * await Effect.runPromise(program) // => { key: "payments", state: "CLOSED", failureCount: 0, probes: 0 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Service> = Effect.sync(makeUnsafe)

/**
 * Provides a registry that keeps its circuits in memory, one `Ref` per key.
 *
 * **When to use**
 *
 * Provide it around the graphs that share circuits, and a fresh one in each test.
 *
 * **Example** (Resetting a circuit)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreakerRegistry } from "effect-stategraph"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
 *   yield* Effect.ignore(registry.execute("payments", { failureThreshold: 1 })(Effect.fail("unavailable")))
 *   yield* registry.reset("payments")
 *   return yield* registry.execute("payments", { failureThreshold: 1 })(Effect.succeed("paid"))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(CircuitBreakerRegistry.layerMemory))) // => "paid"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<CircuitBreakerRegistry> = CircuitBreakerRegistry.layerMemory

interface Entry {
  readonly key: string
  readonly state: Ref.Ref<CircuitBreaker.State>
  config: CircuitBreaker.Config
  /** Calls in flight, and whoever else is at work on it: while there are any the entry stays, and so do its generations. */
  holders: number
  conflict: "none" | "found" | "logged"
}

interface Store {
  readonly entries: Map<string, Entry>
  /** The circuit that was forgotten last, still in the map so that a lone busy key is not made anew for every call. */
  idle: Entry | undefined
  /** Made for the first subscriber. */
  hub: PubSub.PubSub<Change> | undefined
}

interface Call {
  readonly entry: Entry
  readonly clock: Clock.Clock
  readonly generation: number
  readonly probe: boolean
  readonly transition: Transition | undefined
}

const find = (store: Store, key: string): Entry | undefined => {
  const entry = store.entries.get(key)
  return entry === store.idle ? undefined : entry
}

const known = (store: Store): Array<Entry> => Array.from(store.entries.values()).filter((entry) => entry !== store.idle)

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
  const state = Ref.getUnsafe(entry.state)
  if (--entry.holders > 0 || state._tag !== "CLOSED" || state.failureCount > 0) return
  if (store.idle !== undefined) store.entries.delete(store.idle.key)
  store.idle = entry
}

const publish = (store: Store, key: string, change: CircuitBreaker.Transition, clock: Clock.Clock): Transition => {
  const transition = { key, ...change }
  if (store.hub !== undefined) PubSub.publishUnsafe(store.hub, { ...transition, at: clock.currentTimeMillisUnsafe() })
  return transition
}

// The clock is read inside the `modify`, so that times never run against the order of the steps. `then` runs in the same
// turn of the fiber, so changes are published after they are stored and in that order.
const step = <Step extends CircuitBreaker.Step, A, E, R>(
  store: Store,
  { key, state }: Entry,
  clock: Clock.Clock,
  next: (state: CircuitBreaker.State, nowMs: number) => Step,
  then: (step: Step, transition: Transition | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Ref.modify(state, (current) => {
      const step = next(current, monotonicMs(clock))
      return [step, step.state]
    }),
    (step) => then(step, step.transition && publish(store, key, step.transition, clock))
  )

const ask = <A, E, R>(
  store: Store,
  key: string,
  config: CircuitBreaker.Config,
  admitted: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CircuitOpenError, R> =>
  Effect.withFiber((fiber) => {
    const entry = hold(store, key, config)
    const clock = fiber.getRef(Clock.Clock)
    const asked = step(
      store,
      entry,
      clock,
      (state, nowMs) => CircuitBreaker.admit(state, nowMs, entry.config),
      ({ decision }, transition): Effect.Effect<A, E | CircuitOpenError, R> => {
        if (decision._tag === "Admitted") {
          return admitted({ entry, clock, generation: decision.generation, probe: decision.probe, transition })
        }
        release(store, entry)
        const { circuitState, retryAfter } = decision
        return Effect.fail(new CircuitOpenError({ key, circuitState, retryAfter }))
      }
    )
    if (entry.conflict !== "found") return asked
    entry.conflict = "logged"
    return Effect.andThen(warn(`circuit "${key}" has another configuration already, this one is ignored`), asked)
  })

const answer = <A, E, R>(
  store: Store,
  { clock, entry, generation }: Call,
  outcome: CircuitBreaker.Outcome,
  then: (recorded: CircuitBreaker.Step, transition: Transition | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  step(
    store,
    entry,
    clock,
    (state, nowMs) => CircuitBreaker.record(state, { generation, outcome }, nowMs, entry.config),
    (recorded, transition) => {
      release(store, entry)
      return then(recorded, transition)
    }
  )

const run = <A, E, R>(store: Store, call: Call, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.exit(self), (exit) =>
    Exit.isSuccess(exit)
      ? answer(store, call, "success", () => exit)
      : Effect.flatMap(
        outcomeOf(exit, call.entry.key, call.entry.config),
        (outcome) => answer(store, call, outcome, () => exit)
      ))

const permit = (store: Store, call: Call): Permit => {
  let ended = false
  const record = (outcome: CircuitBreaker.Outcome): Effect.Effect<Recorded> =>
    Effect.uninterruptible(Effect.suspend(() => {
      if (ended) return Effect.succeed({ circuitState: Ref.getUnsafe(call.entry.state)._tag })
      ended = true
      return answer(
        store,
        call,
        outcome,
        ({ state: { _tag: circuitState } }, transition) =>
          Effect.succeed(transition === undefined ? { circuitState } : { circuitState, transition })
      )
    }))
  const { entry: { config }, generation, probe, transition } = call
  return transition === undefined
    ? { generation, probe, config, record }
    : { generation, probe, config, record, transition }
}

const reset = (store: Store, key: string): Effect.Effect<void> =>
  Effect.uninterruptible(Clock.clockWith((clock) => {
    const entry = find(store, key)
    if (entry === undefined) return Effect.void
    entry.holders++
    return step(store, entry, clock, CircuitBreaker.reset, () => {
      release(store, entry)
      return Effect.void
    })
  }))

const isConfig = (config: CircuitBreaker.Input | CircuitBreaker.Config): config is CircuitBreaker.Config =>
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

const snapshot = ({ config, key, state: ref }: Entry, clock: Clock.Clock): Snapshot => {
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
