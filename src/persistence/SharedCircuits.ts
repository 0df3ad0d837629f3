/**
 * Circuits that processes share: a `CircuitBreakerRegistry` on Effect's own `CircuitBreakerStore`, such as its Redis store.
 *
 * ```txt
 * process 1: graph -- CircuitBreakerRegistry --+
 *                                              +-- CircuitBreakerStore (Redis): one circuit per key
 * process 2: graph -- CircuitBreakerRegistry --+
 * ```
 *
 * Graphs need not know: they use the registry that they are given. What five failures in one process open, rejects in all of
 * them, and one process sends the probe for all.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Effects from "effect/persistence/CircuitBreaker"
import * as Redis from "effect/persistence/Redis"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import { CircuitBreakerRegistry } from "../CircuitBreakerRegistry.ts"
import type { InvalidConfigError } from "../GraphError.ts"
import { OptionReader } from "../internal/option.ts"
import * as Shared from "../internal/sharedCircuits.ts"
import * as Config from "../internal/sharedConfig.ts"

/**
 * Options of shared circuits.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long the store may take to answer; then the call runs as if there were no circuit. Default: 1 second. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Options of circuits that are shared through Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions extends Options {
  /** What the keys of circuits begin with in Redis. Default: `"circuitbreaker:"`. */
  readonly prefix?: string | undefined
  /** How long a probe of a process that died keeps its slot. Default: 10 seconds. */
  readonly probeLease?: Duration.Input | undefined
  /** When a circuit that nobody uses is forgotten. Default: 1 hour. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

const storeOptions = ["prefix", "probeLease", "idleTimeToLive"]

const read = (options: RedisOptions, also: ReadonlyArray<string>): Effect.Effect<number, InvalidConfigError> =>
  Effect.suspend(() => {
    const reader = new OptionReader("SharedCircuits")
    reader.known("", options, ["timeout", ...also])
    const timeoutMs = reader.duration("timeout", options.timeout, { zero: false, finite: true }) ?? 1_000
    reader.duration("probeLease", options.probeLease, { zero: false, finite: true })
    reader.duration("idleTimeToLive", options.idleTimeToLive, { zero: false, finite: true })
    return reader.problems[0] === undefined ? Effect.succeed(timeoutMs) : Effect.fail(reader.problems[0])
  })

/**
 * Provides a registry whose circuits live in the `CircuitBreakerStore` of the context.
 *
 * **When to use**
 *
 * Provide it around graphs that run in several processes against one dependency. For Redis there is {@link layerRedis}.
 *
 * **Details**
 *
 * - The store keeps state, generations and the probe's slot; time is the store's. `isFailure`, `retryAfter` and `probeTimeout`
 *   are this library's.
 * - A configuration that the store has no terms for is refused, and never narrowed silently: a run fails with an
 *   `InvalidConfigError` before any node has run, `execute` throws it, `acquire` dies with it; {@link unsupported} lists what is
 *   wrong. `forceOpen`, `isolate`, `disable` and `reset` die with one too.
 * - When the store fails, or does not answer within `timeout`, the call **runs unrecorded**, and a warning is logged. After three
 *   failures in a row the store is left alone for 5 seconds at a time, so a dead one costs no call its `timeout`.
 * - `states` shows the circuits that this process uses or has met open, `changes` the transitions that it made.
 *
 * **Gotchas**
 *
 * - Use one configuration per key everywhere: nothing compares those of several processes.
 * - The open time grows with the openings since the circuit has been closed for as long as it was last open, not since it closed.
 * - The store tells no `failureCount` and no `openedAt`: they are 0 and absent. A result's `circuitState` is what this process
 *   learned from its own ask and record.
 *
 * **Example** (Two registries, one circuit)
 *
 * ```ts
 * import { Context, Effect, Layer } from "effect"
 * import { CircuitBreaker } from "effect/persistence"
 * import { CircuitBreakerRegistry } from "effect-stategraph"
 * import { SharedCircuits } from "effect-stategraph/persistence"
 *
 * const registry = Effect.map(
 *   Layer.build(Layer.fresh(SharedCircuits.layer())),
 *   (built) => Context.get(built, CircuitBreakerRegistry.CircuitBreakerRegistry)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const [one, two] = [yield* registry, yield* registry]
 *   yield* Effect.ignore(one.execute("payments", { failureThreshold: 1 })(Effect.fail("unavailable")))
 *   return (yield* two.state("payments")).state
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerStoreMemory()))) // => "OPEN"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<CircuitBreakerRegistry, InvalidConfigError, Effects.CircuitBreakerStore> =>
  Layer.effect(
    CircuitBreakerRegistry,
    Effect.gen(function*() {
      const timeoutMs = yield* read(options, [])
      return Shared.make(yield* Effects.CircuitBreakerStore, yield* Effect.scope, { timeoutMs, forget: undefined })
    })
  )

/**
 * Provides a registry whose circuits live in Redis, under Effect's own keys and scripts.
 *
 * **When to use**
 *
 * As {@link layer}, when the store is Redis: with it a circuit can be reset. The `Redis` of the context comes from a client,
 * for example `NodeRedis.layer({ url })` of `@effect/platform-node`.
 *
 * **Details**
 *
 * Effect's `layerStoreRedis` with the options of the same names. `reset` removes the circuit's key, `resetAll` those of the
 * circuits that this process uses or has met open; they die when Redis cannot be reached.
 *
 * **Example** (Against a server)
 *
 * ```ts no-run
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { SharedCircuits } from "effect-stategraph/persistence"
 *
 * export const circuits = SharedCircuits.layerRedis({ prefix: "shop:circuit:", timeout: "200 millis" }).pipe(
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: RedisOptions = {}
): Layer.Layer<CircuitBreakerRegistry, InvalidConfigError, Redis.Redis> =>
  Layer.effect(
    CircuitBreakerRegistry,
    Effect.gen(function*() {
      const timeoutMs = yield* read(options, storeOptions)
      const { idleTimeToLive, prefix = "circuitbreaker:", probeLease } = options
      const redis = yield* Redis.Redis
      const scope = yield* Effect.scope
      const context = yield* Layer.buildWithScope(
        Effects.layerStoreRedis({ prefix, probeLease, idleTimeToLive }),
        scope
      )
      return Shared.make(Context.get(context, Effects.CircuitBreakerStore), scope, {
        timeoutMs,
        forget: (key) => redis.send("DEL", `${prefix}${key}`)
      })
    })
  )

/**
 * What a shared circuit cannot do of a configuration, all of it; nothing, if it can do everything.
 *
 * **When to use**
 *
 * Use to refuse a configuration when a program starts. Graphs ask by themselves when they run.
 *
 * **Details**
 *
 * Several probes, several successes to close, slow calls, a window of time, a rate beside failures in a row, and an open time
 * without an end. Throws when the options are out of range.
 *
 * **Example** (Two probes are one too many)
 *
 * ```ts
 * import { SharedCircuits } from "effect-stategraph/persistence"
 *
 * SharedCircuits.unsupported({ failureThreshold: 3 }) // => []
 * SharedCircuits.unsupported({ halfOpenMaxCalls: 2 }).map(({ message }) => message)
 * // => ["SharedCircuits: halfOpenMaxCalls is 2, allowed is 1: a shared circuit has one probe at a time"]
 * ```
 *
 * @category config
 * @since 0.1.0
 */
export const unsupported = (
  input: CircuitBreaker.Input,
  source: string = "SharedCircuits"
): ReadonlyArray<InvalidConfigError> => Config.unsupported(CircuitBreaker.make(input, source), source)
