/**
 * Circuits by key, as a service: calls with the same key share one circuit.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type { CircuitOpenError, InvalidConfigError } from "./GraphError.ts"
import * as Saved from "./internal/circuitSaved.ts"
import * as Store from "./internal/circuitStore.ts"
import type { CircuitSnapshot } from "./RunState.ts"

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
  /** Absent while the circuit works by itself; `forced` and `isolated` hold it OPEN, `disabled` CLOSED. */
  readonly mode?: Exclude<CircuitBreaker.Mode, "normal">
  /** Failures since the last success in CLOSED, failed probes included. */
  readonly failureCount: number
  /** What its rates are taken of now; absent in OPEN and HALF_OPEN, and where no rate is taken. */
  readonly window?: CircuitBreaker.Tally
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
 * HALF_OPEN). The first `record` counts, unless the circuit moved on; later ones only tell the state. The time from the
 * permission to the record is the call's, for slow calls; `retryAfter` prolongs the opening that a failure leads to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permit {
  readonly generation: number
  readonly probe: boolean
  readonly config: CircuitBreaker.Config
  readonly transition?: Transition
  readonly record: (outcome: CircuitBreaker.Outcome, retryAfter?: Duration.Duration) => Effect.Effect<Recorded>
}

/**
 * A circuit held open by hand, until it is released or its scope closes, whichever comes first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Isolation {
  /** Gives the circuit back; a second time does nothing. */
  readonly release: Effect.Effect<void>
}

/**
 * What the registry can do.
 *
 * **Details**
 *
 * - One configuration per key: that of the call that created the circuit. A differing one is ignored with a warning.
 * - A circuit without failures and without calls in flight is forgotten, so keys may be many. Not so where rates are taken:
 *   what has been counted stays until the circuit is reset.
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
  /**
   * Closes one circuit, counters zero; its calls in flight no longer count. An unknown key is a no-op.
   *
   * **Details**
   *
   * It ends `forceOpen` and `disable`. A circuit that somebody isolates stays open until it is released.
   */
  readonly reset: (key: string) => Effect.Effect<void>
  /** Opens one circuit until it is reset: every call is rejected, its `retryAfter` is infinite. */
  readonly forceOpen: (key: string) => Effect.Effect<void>
  /** Closes one circuit and stops its counting until it is reset: every call is admitted. */
  readonly disable: (key: string) => Effect.Effect<void>
  /**
   * Opens one circuit until this isolation and all others of it are released, or their scopes close: for maintenance. Then it
   * is CLOSED, counters zero, or what `forceOpen` or `disable` asked for meanwhile.
   */
  readonly isolate: (key: string) => Effect.Effect<Isolation, never, Scope.Scope>
  /** Resets every circuit. */
  readonly resetAll: Effect.Effect<void>
  /**
   * What a registry cannot do of a configuration, all of it; absent, it can do everything.
   *
   * **Details**
   *
   * A graph asks when it runs, and fails with the first of these before any node has run. To `execute` such a configuration
   * throws, to `acquire` with it dies.
   */
  readonly unsupported?: (config: CircuitBreaker.Config, source: string) => ReadonlyArray<InvalidConfigError>
  /**
   * Every transition from now on, in order; it never ends.
   *
   * **Gotchas**
   *
   * A subscriber that does not read holds what it has not read in memory.
   */
  readonly changes: Stream.Stream<Change>
  /**
   * For a registry whose circuits end with the process: those of these keys as data, for a checkpoint.
   *
   * @internal
   */
  readonly save?: (keys: Iterable<string>, clock: Clock.Clock) => ReadonlyArray<CircuitSnapshot>
  /**
   * Takes over circuits that it does not know.
   *
   * @internal
   */
  readonly restore?: (circuits: ReadonlyArray<CircuitSnapshot>, clock: Clock.Clock) => void
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
  const store: Store.Store = { entries: new Map(), idle: undefined, hub: undefined }
  return {
    execute: (key, config) => {
      const full = config === undefined || Store.isConfig(config)
        ? config ?? CircuitBreaker.defaults
        : CircuitBreaker.make(config, "CircuitBreakerRegistry.execute")
      return (self) => Store.execute(store, key, full, self)
    },
    acquire: (key, config) =>
      Effect.uninterruptible(Store.ask(store, key, config, (call) => Effect.succeed(Store.permit(store, call)))),
    state: (key) =>
      Clock.clockWith((clock) => {
        const entry = Store.find(store, key)
        return Effect.succeed(
          entry === undefined ? { key, state: "CLOSED", failureCount: 0, probes: 0 } : Store.snapshot(entry, clock)
        )
      }),
    states: Clock.clockWith((clock) =>
      Effect.sync(() => Store.known(store).map((entry) => Store.snapshot(entry, clock)))
    ),
    reset: (key) => Store.reset(store, key),
    forceOpen: (key) => Store.forceOpen(store, key),
    disable: (key) => Store.disable(store, key),
    isolate: (key) => Store.isolate(store, key),
    resetAll: Effect.suspend(() =>
      Effect.forEach(Store.known(store), ({ key }) => Store.reset(store, key), { discard: true })
    ),
    save: (keys, clock) => Saved.save(store, keys, clock),
    restore: (circuits, clock) => Saved.restore(store, circuits, clock),
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
