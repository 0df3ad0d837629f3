/**
 * How reliable a flow is: limits, retries, circuit, concurrency.
 *
 * Every field is optional, and configs are merged **field by field**, the later one wins:
 *
 * ```txt
 * library defaults < layer < StateGraph.make < compile < run options < edge < layerOverride
 * ```
 *
 * So a deployment sets what the graphs leave open with {@link layer} or {@link layerConfig}, a graph what its edges leave
 * open, and {@link layerOverride} has the last word over everything.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Bulkhead from "./Bulkhead.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type { InvalidConfigError } from "./GraphError.ts"
import * as Environment from "./internal/environment.ts"
import { OptionReader } from "./internal/option.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/**
 * Options of a flow, as a user writes them; {@link defaults} has their defaults.
 *
 * **Details**
 *
 * A number is milliseconds. An option that is `undefined` is not given, so it is inherited; `Infinity`, `false` and
 * `"unbounded"` switch an inherited one off.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** Limit of each attempt, from its start; positive, `Infinity` means none. */
  readonly timeout?: Duration.Input | undefined
  /** Limit of the whole flow, from its first attempt, waits included; positive, `Infinity` means none. */
  readonly totalTimeout?: Duration.Input | undefined
  /** How long an interrupted attempt's finalizers are waited for; may be 0, `"wait"` waits for ever. */
  readonly grace?: Duration.Input | "wait" | undefined
  /** Whether a flow that does not succeed fails the line that joins it at once. */
  readonly failFast?: boolean | undefined
  /** Retry options (merged one by one), a `Schedule` stepped with each failure, or `false` for none. */
  readonly retry?: RetryPolicy.Input | Schedule.Schedule<unknown> | false | undefined
  /** Circuit options (merged one by one, `{}` for the defaults), or `false` for none. */
  readonly circuitBreaker?: CircuitBreaker.Input | false | undefined
  /** Flows of one fan-out at a time; an integer of at least 1. */
  readonly concurrency?: number | "unbounded" | undefined
  /** A bulkhead that all work with its key shares, across graphs; replaced as a whole, `false` for none. */
  readonly limit?: Bulkhead.Input | false | undefined
  /** Whether results and events hold stack traces, which can show paths and data. */
  readonly includeTraceback?: boolean | undefined
}

/**
 * Options that merge one by one with those `below`, unless they are `fresh`: given over a `false` or a `Schedule`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fields<Given> {
  readonly fresh: boolean
  readonly given: Given
}

/**
 * The fields of an {@link Input} that were given, checked and normalised: an immutable value, made for {@link merge}.
 *
 * **Details**
 *
 * Times are milliseconds; `Infinity` means no limit, waiting for ever (`graceMs`) or unbounded (`concurrency`).
 *
 * @category models
 * @since 0.1.0
 */
export interface ParallelConfig {
  readonly timeoutMs?: number
  readonly totalTimeoutMs?: number
  readonly graceMs?: number
  readonly failFast?: boolean
  readonly retry?: Fields<RetryPolicy.Given> | Schedule.Schedule<unknown> | false
  readonly circuitBreaker?: Fields<CircuitBreaker.Given> | false
  readonly concurrency?: number
  readonly limit?: Bulkhead.Limit | false
  readonly includeTraceback?: boolean
}

/**
 * Full values, as the engine reads them; times are milliseconds, and `Infinity` means none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resolved {
  readonly timeoutMs: number
  readonly totalTimeoutMs: number
  readonly graceMs: number
  readonly failFast: boolean
  /** `undefined` also when `maxRetries` is 0. */
  readonly retry:
    | { readonly _tag: "Policy"; readonly policy: RetryPolicy.RetryPolicy }
    | { readonly _tag: "Schedule"; readonly schedule: Schedule.Schedule<unknown> }
    | undefined
  /** Without a `key`, the circuit's key is the graph's name and the branch path. */
  readonly circuitBreaker: { readonly key: string | undefined; readonly config: CircuitBreaker.Config } | undefined
  readonly concurrency: number
  readonly limit: Bulkhead.Limit | undefined
  readonly includeTraceback: boolean
}

/**
 * The default of every option.
 *
 * **Details**
 *
 * No limits, no retries, no circuit, all flows at once; 1000 ms of `grace`; failures are captured, without stack traces.
 *
 * **Example** (The defaults)
 *
 * ```ts
 * import { ParallelConfig } from "effect-stategraph"
 *
 * ParallelConfig.defaults.timeoutMs // => Infinity
 * ParallelConfig.defaults.graceMs // => 1_000
 * ```
 *
 * @category config
 * @since 0.1.0
 */
export const defaults: Resolved = {
  timeoutMs: Infinity,
  totalTimeoutMs: Infinity,
  graceMs: 1_000,
  failFast: false,
  retry: undefined,
  circuitBreaker: undefined,
  concurrency: Infinity,
  limit: undefined,
  includeTraceback: false
}

/**
 * The config that says nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: ParallelConfig = Object.freeze({})

const isRecord = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Checks options and reports **all** that is wrong with them; {@link make} throws the first.
 *
 * **Details**
 *
 * Options are copied: changing them afterwards changes nothing. A key that is no option is reported too.
 *
 * **Example** (Two problems at once)
 *
 * ```ts
 * import { Result } from "effect"
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const parsed = ParallelConfig.parse({ timeout: 0, retry: { jitter: 2 } }, "my app")
 *
 * Result.isFailure(parsed) && parsed.failure.map((problem) => problem.field) // => ["timeout", "retry.jitter"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (
  input: Input,
  source: string
): Result.Result<ParallelConfig, ReadonlyArray<InvalidConfigError>> => {
  const reader = new OptionReader(source)
  const given = isRecord(input) ? read(reader, input) : reader.reject("input", input, "an object")
  return given === undefined || reader.problems.length > 0 ? Result.fail(reader.problems) : Result.succeed(given)
}

const read = (reader: OptionReader, input: Input): ParallelConfig => {
  const { circuitBreaker, concurrency, failFast, grace, includeTraceback, limit, retry, timeout, totalTimeout } = input
  const given: { readonly [K in keyof ParallelConfig]: ParallelConfig[K] | undefined } = {
    timeoutMs: reader.duration("timeout", timeout, { zero: false }),
    totalTimeoutMs: reader.duration("totalTimeout", totalTimeout, { zero: false }),
    graceMs: grace === "wait" ? Infinity : reader.duration("grace", grace, { zero: true, word: `"wait"` }),
    failFast: reader.boolean("failFast", failFast),
    retry: readRetry(reader, retry),
    circuitBreaker: readCircuit(reader, circuitBreaker),
    concurrency: concurrency === "unbounded" ? Infinity : reader.integer("concurrency", concurrency, 1, `"unbounded"`),
    limit: readLimit(reader, limit),
    includeTraceback: reader.boolean("includeTraceback", includeTraceback)
  }
  reader.known("", input, Object.keys(defaults).map((key) => key.replace(/Ms$/, "")))
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const readRetry = (reader: OptionReader, retry: Input["retry"]): ParallelConfig["retry"] | undefined => {
  if (retry === undefined || retry === false || Schedule.isSchedule(retry)) return retry as Schedule.Schedule<unknown>
  if (isRecord(retry)) return { fresh: false, given: RetryPolicy.read(reader, "retry.", retry) }
  return reader.reject("retry", retry, "retry options, a Schedule or false")
}

const readCircuit = (
  reader: OptionReader,
  circuit: Input["circuitBreaker"]
): ParallelConfig["circuitBreaker"] | undefined => {
  if (circuit === undefined || circuit === false) return circuit
  if (isRecord(circuit)) return { fresh: false, given: CircuitBreaker.read(reader, "circuitBreaker.", circuit) }
  return reader.reject("circuitBreaker", circuit, "circuit options or false")
}

const readLimit = (reader: OptionReader, limit: Input["limit"]): ParallelConfig["limit"] | undefined => {
  if (limit === undefined || limit === false) return limit
  return isRecord(limit) ? Bulkhead.read(reader, "limit.", limit) : reader.reject("limit", limit, "a limit or false")
}

/**
 * Checks options.
 *
 * **When to use**
 *
 * Use to check options early, or to see what a {@link merge} of them gives. Graphs, edges and layers take the plain options.
 *
 * **Details**
 *
 * Throws the first `InvalidConfigError`; {@link parse} has them all.
 *
 * **Example** (Only what was given)
 *
 * ```ts
 * import { ParallelConfig } from "effect-stategraph"
 *
 * ParallelConfig.make({ timeout: "2 seconds", grace: "wait" }) // => { graceMs: Infinity, timeoutMs: 2_000 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Input = {}, source: string = "ParallelConfig.make"): ParallelConfig =>
  Result.getOrThrowWith(parse(input, source), (problems) => problems[0])

const isFields = <A>(value: Fields<A> | Schedule.Schedule<unknown> | false): value is Fields<A> =>
  value !== false && "given" in value

// `fresh` keeps merging associative: what was given over a `false` stays over it when more is put below.
const mergeFields = <A, Other extends Schedule.Schedule<unknown> | false>(
  below: Fields<A> | Other,
  above: Fields<A> | Other
): Fields<A> | Other => {
  if (!isFields<A>(above) || above.fresh) return above
  return isFields<A>(below)
    ? { fresh: below.fresh, given: { ...below.given, ...above.given } }
    : { fresh: true, given: above.given }
}

/**
 * Merges configs field by field; later ones win.
 *
 * **Details**
 *
 * The options of `retry` and of `circuitBreaker` merge one by one too. A `false` or a `Schedule` replaces all that came
 * before, and options after it start from the defaults. Merging is associative.
 *
 * **Example** (An edge over its graph)
 *
 * ```ts
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const graph = ParallelConfig.make({ timeout: 100, concurrency: 4 })
 * const edge = ParallelConfig.make({ timeout: 500 })
 *
 * ParallelConfig.merge(graph, edge) // => { timeoutMs: 500, concurrency: 4 }
 * ```
 *
 * @category combining
 * @since 0.1.0
 */
export const merge = (...configs: ReadonlyArray<ParallelConfig>): ParallelConfig => configs.reduce(mergeTwo, empty)

const mergeTwo = (below: ParallelConfig, above: ParallelConfig): ParallelConfig => {
  const merged: { -readonly [K in keyof ParallelConfig]: ParallelConfig[K] } = { ...below, ...above }
  if (below.retry !== undefined && above.retry !== undefined) merged.retry = mergeFields(below.retry, above.retry)
  if (below.circuitBreaker !== undefined && above.circuitBreaker !== undefined) {
    merged.circuitBreaker = mergeFields(below.circuitBreaker, above.circuitBreaker)
  }
  return merged
}

/**
 * Completes a config with the {@link defaults}.
 *
 * **Example** (What a flow runs with)
 *
 * ```ts
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const resolved = ParallelConfig.resolve(ParallelConfig.make({ timeout: 50, circuitBreaker: { failureThreshold: 2 } }))
 *
 * resolved.timeoutMs // => 50
 * resolved.circuitBreaker?.config.resetTimeoutMs // => 30_000
 * resolved.retry // => undefined
 * ```
 *
 * @category combining
 * @since 0.1.0
 */
export const resolve = (
  { circuitBreaker = false, limit = false, retry = false, ...given }: ParallelConfig
): Resolved => ({
  ...defaults,
  ...given,
  limit: limit === false ? undefined : limit,
  retry: resolveRetry(retry),
  circuitBreaker: circuitBreaker === false
    ? undefined
    : { key: circuitBreaker.given.key, config: CircuitBreaker.fill(circuitBreaker.given) }
})

const resolveRetry = (retry: NonNullable<ParallelConfig["retry"]>): Resolved["retry"] => {
  if (retry === false) return undefined
  if (!isFields(retry)) return { _tag: "Schedule", schedule: retry }
  const policy = RetryPolicy.fill(retry.given)
  return policy.maxRetries === 0 ? undefined : { _tag: "Policy", policy }
}

/**
 * The config in context below that of every graph; {@link layer} sets it.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentConfig: Context.Reference<ParallelConfig> = Context.Reference(
  "effect-stategraph/ParallelConfig/CurrentConfig",
  { defaultValue: () => empty }
)

/**
 * The config in context above that of every graph and edge; {@link layerOverride} sets it.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentOverride: Context.Reference<ParallelConfig> = Context.Reference(
  "effect-stategraph/ParallelConfig/CurrentOverride",
  { defaultValue: () => empty }
)

// Fresh: what it builds depends on what is around it, so the memo of another place would be wrong.
const layerOver = <E>(
  current: Context.Reference<ParallelConfig>,
  given: Effect.Effect<ParallelConfig, E>
): Layer.Layer<never, E> => Layer.fresh(Layer.effect(current, Effect.zipWith(current, given, (a, b) => merge(a, b))))

const firstProblem = (
  parsed: Result.Result<ParallelConfig, ReadonlyArray<InvalidConfigError>>
): Effect.Effect<ParallelConfig, InvalidConfigError> =>
  Effect.fromResult(Result.mapError(parsed, (problems) => problems[0]!))

/**
 * Sets defaults for all graphs that run with it, below whatever the graphs themselves say.
 *
 * **Details**
 *
 * Merged over the layer of its kind that is in context when it is built: of nested ones the inner wins, field by field.
 * Building it fails with the first `InvalidConfigError`.
 *
 * **Gotchas**
 *
 * Layers side by side, `Effect.provide([a, b])`, do not see each other: the last one counts alone. Nest them.
 *
 * **Example** (Nested layers)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const outer = ParallelConfig.layer({ timeout: 100, failFast: true })
 * const inner = ParallelConfig.layer({ timeout: 50 }).pipe(Layer.provide(outer))
 *
 * await Effect.runPromise(Effect.provide(ParallelConfig.CurrentConfig, inner)) // => { timeoutMs: 50, failFast: true }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input: Input): Layer.Layer<never, InvalidConfigError> =>
  layerOver(CurrentConfig, firstProblem(parse(input, "ParallelConfig.layer")))

/**
 * Overrides what all graphs that run with it say, their edges included.
 *
 * **When to use**
 *
 * Use in tests (`{ retry: false }`) and in operation, where no code can be changed. For defaults use {@link layer}.
 *
 * **Details**
 *
 * Merged and failing like {@link layer}.
 *
 * **Example** (No retries, whatever the edges say)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const override = ParallelConfig.layerOverride({ retry: false })
 *
 * await Effect.runPromise(Effect.provide(ParallelConfig.CurrentOverride, override)) // => { retry: false }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOverride = (input: Input): Layer.Layer<never, InvalidConfigError> =>
  layerOver(CurrentOverride, firstProblem(parse(input, "ParallelConfig.layerOverride")))

const environment = Environment.options(parse)

/**
 * Options from the environment, as an Effect `Config`.
 *
 * **When to use**
 *
 * Use to combine them with other configuration, or as an override:
 * `Layer.unwrap(Effect.map(ParallelConfig.config, ParallelConfig.layerOverride))`. For defaults there is {@link layerConfig}.
 *
 * **Details**
 *
 * Each option has a variable, the path of its name in capitals: `STATEGRAPH_TIMEOUT`, `_TOTAL_TIMEOUT`, `_GRACE`,
 * `_FAIL_FAST`, `_CONCURRENCY`, `_LIMIT_KEY`, `_LIMIT_PERMITS`, `_LIMIT_QUEUE`, `_INCLUDE_TRACEBACK`, `_RETRY_MAX_RETRIES`, `_RETRY_BASE_DELAY`, `_RETRY_RETRY_ON` (names
 * with commas between), ..., `_CIRCUIT_BREAKER_KEY`, `_CIRCUIT_BREAKER_FAILURE_THRESHOLD`, ... (all but `isFailure` and
 * `retryAfter`).
 *
 * - A duration is text as in Effect (`"2 seconds"`, `"Infinity"`); a bare number is milliseconds.
 * - A flag is `true`, `yes`, `on`, `y` or `1`, or `false`, `no`, `off`, `n` or `0`.
 * - `STATEGRAPH_RETRY=false`, `STATEGRAPH_CIRCUIT_BREAKER=false` and `STATEGRAPH_LIMIT=false` switch them off, whatever else is set for them.
 *
 * What is not set, or empty, is not given: with nothing set the result is `{}`. Any `ConfigProvider` will do, for example
 * `fromUnknown({ STATEGRAPH: { RETRY: { MAX_RETRIES: 3 } } })`. Fails with a `ConfigError` that names each bad variable and
 * what it may be.
 *
 * **Example** (Reading variables)
 *
 * ```ts
 * import { ConfigProvider, Effect } from "effect"
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const env = { STATEGRAPH_TIMEOUT: "2 seconds", STATEGRAPH_RETRY_MAX_RETRIES: "3" }
 *
 * await Effect.runPromise(ParallelConfig.config.parse(ConfigProvider.fromEnv({ env }))) // => { timeout: "2 seconds", retry: { maxRetries: 3 } }
 * ```
 *
 * @category environment
 * @since 0.1.0
 */
export const config: Config.Config<Input> = Config.mapEffect(
  environment,
  (options) => Effect.fromResult(Result.mapError(options, Environment.configError))
)

/**
 * Sets defaults from the environment: a {@link layer} of {@link config}.
 *
 * **Details**
 *
 * Read when it is built, with the `ConfigProvider` of that place. Fails with the first `InvalidConfigError`, whose `source` is
 * the variable (`"STATEGRAPH_TIMEOUT"`), or with a `ConfigError` when the provider itself cannot be read.
 *
 * **Gotchas**
 *
 * These are defaults: what a graph or an edge says wins. See {@link config} for an override.
 *
 * **Example** (A deployment's defaults)
 *
 * ```ts
 * import { ConfigProvider, Effect, Layer } from "effect"
 * import { ParallelConfig } from "effect-stategraph"
 *
 * const env = { STATEGRAPH_GRACE: "wait", STATEGRAPH_CONCURRENCY: "8" }
 * const provider = ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
 * const layer = ParallelConfig.layerConfig.pipe(Layer.provide(provider))
 *
 * await Effect.runPromise(Effect.provide(ParallelConfig.CurrentConfig, layer)) // => { graceMs: Infinity, concurrency: 8 }
 * ```
 *
 * @category environment
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<never, InvalidConfigError | Config.ConfigError> = layerOver(
  CurrentConfig,
  Effect.flatMap(
    environment,
    (options) => firstProblem(Result.flatMap(options, (input) => parse(input, "environment")))
  )
)
