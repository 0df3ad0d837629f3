/**
 * When, and after which wait, a failed attempt is repeated: a pure value and pure functions of it.
 *
 * The wait before a retry grows exponentially up to a hard maximum and is spread evenly around its middle, so that flows
 * that failed together do not come back together.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { OptionReader } from "./internal/option.ts"

/**
 * Which errors are retried: a predicate, or a list of `_tag`s and error class names; see {@link retries}.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryOn = ((error: unknown) => boolean) | ReadonlyArray<string>

/**
 * Options of a retry policy, as a user writes them; {@link defaults} has their defaults.
 *
 * **Details**
 *
 * A number is milliseconds. An option that is `undefined` is not given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** Retries after the first attempt; an integer of at least 0. */
  readonly maxRetries?: number | undefined
  /** The wait before the first retry; finite, may be 0. Above `maxDelay` it is capped. */
  readonly baseDelay?: Duration.Input | undefined
  /** No wait is longer, jitter included; positive, `Infinity` means no limit. */
  readonly maxDelay?: Duration.Input | undefined
  /** `false`: every wait is `baseDelay`. */
  readonly exponentialBackoff?: boolean | undefined
  /** How much longer each wait is than the one before; at least 1. */
  readonly backoffMultiplier?: number | undefined
  /** How far a wait may be from its middle, as a ratio of it; 0 to 1. */
  readonly jitter?: number | undefined
  /** Which errors are retried. Default: all. */
  readonly retryOn?: RetryOn | undefined
  /** Attempt errors kept in the result, the last ones; an integer of at least 0. */
  readonly maxStoredErrors?: number | undefined
}

/**
 * A complete retry policy; times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy {
  readonly maxRetries: number
  readonly baseDelayMs: number
  /** `Infinity`: no limit. */
  readonly maxDelayMs: number
  readonly exponentialBackoff: boolean
  readonly backoffMultiplier: number
  readonly jitter: number
  readonly retryOn: RetryOn | undefined
  readonly maxStoredErrors: number
}

/**
 * The fields of an {@link Input} that were given, checked and in milliseconds: what is merged field by field.
 *
 * @category models
 * @since 0.1.0
 */
export type Given = { readonly [K in keyof RetryPolicy]?: Exclude<RetryPolicy[K], undefined> }

/**
 * The default of every option.
 *
 * **Details**
 *
 * Nothing is retried until `maxRetries` says so. Waits start at 1000 ms and double up to 60 000 ms, without jitter. Every
 * failure, defect and timeout is retried, and the errors of the last 5 attempts are kept. The first wait is that of gRPC's
 * connection backoff (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md), the factor Effect's own.
 *
 * **Example** (The defaults)
 *
 * ```ts
 * import { RetryPolicy } from "effect-stategraph"
 *
 * RetryPolicy.defaults.maxRetries // => 0
 * RetryPolicy.defaults.maxDelayMs // => 60_000
 * ```
 *
 * @category config
 * @since 0.1.0
 */
export const defaults: RetryPolicy = {
  maxRetries: 0,
  baseDelayMs: 1_000,
  maxDelayMs: 60_000,
  exponentialBackoff: true,
  backoffMultiplier: 2,
  jitter: 0,
  retryOn: undefined,
  maxStoredErrors: 5
}

/** Checks an input; problems go to `reader`, under `prefix` plus the field's name. @internal */
export const read = (reader: OptionReader, prefix: string, input: Input): Given => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    reader.reject(prefix.slice(0, -1) || "input", input, "an object")
    return {}
  }
  const { backoffMultiplier, baseDelay, exponentialBackoff, jitter, maxDelay, maxRetries, maxStoredErrors, retryOn } =
    input
  const given: { readonly [K in keyof Given]: Given[K] | undefined } = {
    maxRetries: reader.integer(`${prefix}maxRetries`, maxRetries, 0),
    baseDelayMs: reader.duration(`${prefix}baseDelay`, baseDelay, { zero: true, finite: true }),
    maxDelayMs: reader.duration(`${prefix}maxDelay`, maxDelay, { zero: false }),
    exponentialBackoff: reader.boolean(`${prefix}exponentialBackoff`, exponentialBackoff),
    backoffMultiplier: readMultiplier(reader, `${prefix}backoffMultiplier`, backoffMultiplier),
    jitter: reader.ratio(`${prefix}jitter`, jitter),
    retryOn: readRetryOn(reader, `${prefix}retryOn`, retryOn),
    maxStoredErrors: reader.integer(`${prefix}maxStoredErrors`, maxStoredErrors, 0)
  }
  reader.known(prefix, input, Object.keys(defaults).map((key) => key.replace(/Ms$/, "")))
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const readMultiplier = (reader: OptionReader, field: string, value: number | undefined): number | undefined =>
  value === undefined || (Number.isFinite(value) && value >= 1)
    ? value
    : reader.reject(field, value, "a finite number of at least 1")

const readRetryOn = (reader: OptionReader, field: string, value: RetryOn | undefined): RetryOn | undefined => {
  if (value === undefined || typeof value === "function") return value
  return Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "")
    ? [...value]
    : reader.reject(field, value, "a function, or a list of _tags and error class names")
}

/** Completes the fields that were given with the defaults. @internal */
export const fill = (given: Given): RetryPolicy => ({ ...defaults, ...given })

/**
 * Checks options and fills in the defaults.
 *
 * **When to use**
 *
 * Use to look at the waits of a policy, or to turn it into a {@link schedule}. A flow takes the plain options:
 * `{ retry: { maxRetries: 3 } }`.
 *
 * **Details**
 *
 * Throws the first `InvalidConfigError`; its `source` is `"RetryPolicy.make"` unless another one is given. The options are
 * copied: changing them afterwards changes nothing.
 *
 * **Example** (Durations become milliseconds)
 *
 * ```ts
 * import { RetryPolicy } from "effect-stategraph"
 *
 * const policy = RetryPolicy.make({ maxRetries: 3, baseDelay: "200 millis" })
 *
 * policy.baseDelayMs // => 200
 * policy.maxDelayMs // => 60_000
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Input = {}, source: string = "RetryPolicy.make"): RetryPolicy => {
  const reader = new OptionReader(source)
  const given = read(reader, "", input)
  if (reader.problems[0] !== undefined) throw reader.problems[0]
  return fill(given)
}

/** The longest middle of a wait: the spread above it still ends at `maxDelay`. No wait may overflow a number. */
const ceilingMs = (policy: RetryPolicy): number =>
  Math.min(policy.maxDelayMs, Number.MAX_SAFE_INTEGER) / (1 + policy.jitter)

const delayMs = (policy: RetryPolicy, n: number): number => {
  if (policy.baseDelayMs === 0) return 0
  // `1 ** Infinity` is NaN, so the exponent stays finite; a power that overflows is capped.
  const exponent = policy.exponentialBackoff && n > 1 ? Math.min(n - 1, Number.MAX_SAFE_INTEGER) : 0
  return Math.min(policy.baseDelayMs * policy.backoffMultiplier ** exponent, ceilingMs(policy))
}

/**
 * The middle of the wait after failed attempt `n`, without jitter.
 *
 * **Details**
 *
 * `min(baseDelay * backoffMultiplier ** (n - 1), maxDelay / (1 + jitter))`, with `n` from 1; a smaller `n` counts as 1.
 * Finite for every `n`: without a `maxDelay` it grows to `Number.MAX_SAFE_INTEGER` milliseconds. It does not look at
 * `maxRetries`. Capped exponential backoff, as in "Exponential Backoff And Jitter"
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * **Example** (Doubling up to a maximum)
 *
 * ```ts
 * import { Duration } from "effect"
 * import { RetryPolicy } from "effect-stategraph"
 *
 * const policy = RetryPolicy.make({ baseDelay: 10, maxDelay: 30 })
 *
 * ;[1, 2, 3, 4].map((n) => Duration.toMillis(RetryPolicy.delay(policy, n))) // => [10, 20, 30, 30]
 * ```
 *
 * @category delays
 * @since 0.1.0
 */
export const delay = (policy: RetryPolicy, n: number): Duration.Duration => Duration.millis(delayMs(policy, n))

/**
 * The wait after failed attempt `n`, for a random number from 0 to 1.
 *
 * **Details**
 *
 * With `d` the {@link delay}, `random` 0 gives `d * (1 - jitter)`, 1 gives `d * (1 + jitter)`, and it is even in between;
 * never more than `maxDelay`. A `jitter` of 1 is the "full jitter" of the AWS article. Usual implementations cap after
 * spreading, which pushes many late waits onto the maximum itself; here the middle is capped at `maxDelay / (1 + jitter)`,
 * so the maximum is hard and the spread is as wide as ever when it is reached.
 *
 * **Example** (The spread at the maximum)
 *
 * ```ts
 * import { Duration } from "effect"
 * import { RetryPolicy } from "effect-stategraph"
 *
 * const policy = RetryPolicy.make({ baseDelay: 10, maxDelay: 30, jitter: 0.5 })
 *
 * Duration.toMillis(RetryPolicy.jittered(policy, 9, 0)) // => 10
 * Duration.toMillis(RetryPolicy.jittered(policy, 9, 1)) // => 30
 * ```
 *
 * @category delays
 * @since 0.1.0
 */
export const jittered = (policy: RetryPolicy, n: number, random: number): Duration.Duration => {
  const spreadMs = delayMs(policy, n) * (1 + policy.jitter * (2 * random - 1))
  return Duration.millis(Math.min(spreadMs, policy.maxDelayMs, Number.MAX_SAFE_INTEGER))
}

/**
 * The policy as an Effect `Schedule`, for retries outside a graph.
 *
 * **Details**
 *
 * `Schedule.exponential`, capped, spread with Effect's `Random`, and ended after `maxRetries`. Its waits are those of
 * {@link jittered}, which is {@link delay} without jitter, and its output is the wait.
 *
 * **Gotchas**
 *
 * A schedule says when, not whether: pass `retryOn` as `while`, with {@link retries}. `Effect.retry` does not retry defects;
 * a flow does.
 *
 * **Example** (Retrying an effect)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { RetryPolicy } from "effect-stategraph"
 *
 * const policy = RetryPolicy.make({ maxRetries: 2, baseDelay: 0, retryOn: ["Flaky"] })
 * let attempts = 0
 * const flaky = Effect.suspend(() => ++attempts < 3 ? Effect.fail({ _tag: "Flaky" }) : Effect.succeed(attempts))
 *
 * await Effect.runPromise(flaky.pipe(
 *   Effect.retry({ schedule: RetryPolicy.schedule(policy), while: (error) => RetryPolicy.retries(policy, error) })
 * )) // => 3
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const schedule = (policy: RetryPolicy): Schedule.Schedule<Duration.Duration> =>
  Schedule.exponential(policy.baseDelayMs, policy.exponentialBackoff ? policy.backoffMultiplier : 1).pipe(
    Schedule.modifyDelay(({ attempt }) =>
      policy.jitter === 0
        ? Effect.succeed(delay(policy, attempt))
        : Effect.map(Random.next, (random) => jittered(policy, attempt, random))
    ),
    Schedule.map(({ duration }) => duration),
    Schedule.upTo({ times: policy.maxRetries })
  )

/**
 * Whether the policy retries an error, by its `retryOn`.
 *
 * **Details**
 *
 * Without `retryOn` every error is retried. A list matches the error's `_tag`, its class name, the name of a class it
 * extends, or the `name` of an `Error`; `"TimeoutError"` also matches the library's own `FlowTimeoutError`. An empty list retries nothing.
 *
 * **Gotchas**
 *
 * It does not look at `maxRetries`. A predicate that throws answers `false`, so that the flow reports its own error. A minifier
 * may change class names; a `_tag` stays.
 *
 * **Example** (A subclass is retried too)
 *
 * ```ts
 * import { RetryPolicy } from "effect-stategraph"
 *
 * class HttpError extends Error {}
 * class Unavailable extends HttpError {}
 * const policy = RetryPolicy.make({ retryOn: ["HttpError"] })
 *
 * RetryPolicy.retries(policy, new Unavailable()) // => true
 * RetryPolicy.retries(policy, new Error()) // => false
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const retries = (policy: RetryPolicy, error: unknown): boolean => {
  try {
    return asks(policy, error)
  } catch {
    return false
  }
}

/** The same, but throws what the predicate throws. @internal */
export const asks = ({ retryOn }: RetryPolicy, error: unknown): boolean => {
  if (retryOn === undefined) return true
  if (typeof retryOn === "function") return retryOn(error)
  const wanted: ReadonlyArray<unknown> = retryOn
  return namesOf(error).some((name) => wanted.includes(name))
}

const namesOf = (error: unknown): ReadonlyArray<unknown> => {
  if (typeof error !== "object" || error === null) return []
  const tag = "_tag" in error ? error._tag : undefined
  const names: Array<unknown> = [tag]
  if (tag === "FlowTimeoutError") names.push("TimeoutError")
  if (error instanceof Error) names.push(error.name)
  let proto: object | null = Object.getPrototypeOf(error)
  while (proto !== null && proto !== Object.prototype) {
    if (Object.hasOwn(proto, "constructor")) names.push(proto.constructor?.name)
    proto = Object.getPrototypeOf(proto)
  }
  return names
}
