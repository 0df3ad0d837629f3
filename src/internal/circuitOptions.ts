/**
 * The options of a circuit: what a user writes, what the machine reads, and the way from one to the other. Part of
 * `CircuitBreaker`, which exports it.
 */
import type * as Duration from "effect/Duration"
import { OptionReader } from "./option.ts"

/**
 * Options of a circuit, as a user writes them; {@link defaults} has their defaults.
 *
 * **Details**
 *
 * Counts are integers of at least 1. Durations are positive, a number is milliseconds, and `Infinity` means never. A circuit
 * opens by any of its rules: failures in a row, failure rate, slow calls. The rates are taken of one window, and start with
 * `failureRateThreshold`, `slowCallThreshold` or `slowCallRateThreshold`.
 *
 * **Gotchas**
 *
 * `failureThreshold` counts beside the rates: for rates alone set it to `Infinity`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** Circuits with the same key are one circuit. Not empty. Default: chosen by whoever uses the circuit. */
  readonly key?: string | undefined
  /** Consecutive failures that open the circuit; `Infinity`: they never do. */
  readonly failureThreshold?: number | undefined
  /** The share of failures in the window that opens it, from 0 (any failure) to 1 (nothing else); `Infinity`: none does. */
  readonly failureRateThreshold?: number | undefined
  /** A call that takes longer is slow; `Infinity`: none is. Default: 60 seconds with `slowCallRateThreshold`, else none. */
  readonly slowCallThreshold?: Duration.Input | undefined
  /** The share of slow calls in the window, failed ones included, that opens it. A slow probe has failed, whatever it is. */
  readonly slowCallRateThreshold?: number | undefined
  /** The window is this many calls, the last ones. */
  readonly windowSize?: number | undefined
  /** The window is this stretch of time instead; calls leave it in tenths. `Infinity`: `windowSize` calls. */
  readonly windowDuration?: Duration.Input | undefined
  /** Calls in the window from which its rates count; of `windowSize` calls at most all. */
  readonly minimumCalls?: number | undefined
  /** From the opening to the first probe. */
  readonly resetTimeout?: Duration.Input | undefined
  /** By how much the open time grows each time that a probe fails, until the circuit closes; at least 1. */
  readonly resetTimeoutMultiplier?: number | undefined
  /** The longest open time that growth and `retryAfter` lead to, unless `resetTimeout` is longer. */
  readonly maxResetTimeout?: Duration.Input | undefined
  /** How long the dependency says to wait; it can prolong the open time when this error opens the circuit. */
  readonly retryAfter?: ((error: unknown) => Duration.Input | undefined) | undefined
  /** Probes at a time. */
  readonly halfOpenMaxCalls?: number | undefined
  /** Successful probes that close the circuit. */
  readonly successThreshold?: number | undefined
  /** A probe that has not ended by then loses its slot. Default: `resetTimeout`. */
  readonly probeTimeout?: Duration.Input | undefined
  /** Which errors and defects count; those it answers with `false` are ignored. */
  readonly isFailure?: ((error: unknown) => boolean) | undefined
}

/**
 * Full values, as the machine reads them; durations are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Config {
  readonly failureThreshold: number
  readonly failureRateThreshold: number
  readonly slowCallThresholdMs: number
  readonly slowCallRateThreshold: number
  readonly windowSize: number
  readonly windowDurationMs: number
  readonly minimumCalls: number
  readonly resetTimeoutMs: number
  readonly resetTimeoutMultiplier: number
  readonly maxResetTimeoutMs: number
  readonly retryAfter: ((error: unknown) => Duration.Input | undefined) | undefined
  readonly halfOpenMaxCalls: number
  readonly successThreshold: number
  readonly probeTimeoutMs: number
  readonly isFailure: ((error: unknown) => boolean) | undefined
}

/**
 * The fields of an {@link Input} that were given, checked and in milliseconds: what is merged field by field.
 *
 * @category models
 * @since 0.1.0
 */
export type Given = { readonly key?: string } & { readonly [K in keyof Config]?: Exclude<Config[K], undefined> }

/**
 * The default of every option.
 *
 * **Details**
 *
 * 5 consecutive failures open the circuit, one probe runs at a time and one success closes it (after gobreaker); 30 000 ms
 * pass before the first probe (after opossum), and a probe may take as long. Every failure counts. No rate is taken; where
 * one is, it is of the last 100 calls, from the 100th on, and slow calls open the circuit when all are slow (after
 * resilience4j). The open time does not grow, and nothing prolongs it beyond an hour (after Effect's own circuit breaker).
 *
 * **Example** (The defaults)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * CircuitBreaker.defaults.failureThreshold // => 5
 * CircuitBreaker.defaults.resetTimeoutMs // => 30_000
 * ```
 *
 * @category config
 * @since 0.1.0
 */
export const defaults: Config = {
  failureThreshold: 5,
  failureRateThreshold: Infinity,
  slowCallThresholdMs: Infinity,
  slowCallRateThreshold: 1,
  windowSize: 100,
  windowDurationMs: Infinity,
  minimumCalls: 100,
  resetTimeoutMs: 30_000,
  resetTimeoutMultiplier: 1,
  maxResetTimeoutMs: 3_600_000,
  retryAfter: undefined,
  halfOpenMaxCalls: 1,
  successThreshold: 1,
  probeTimeoutMs: 30_000,
  isFailure: undefined
}

const counts = ["halfOpenMaxCalls", "successThreshold", "windowSize", "minimumCalls"] as const
const durations = [
  "resetTimeout",
  "maxResetTimeout",
  "probeTimeout",
  "windowDuration",
  "slowCallThreshold"
] as const
const functions = ["isFailure", "retryAfter"] as const
const others = ["failureThreshold", "failureRateThreshold", "slowCallRateThreshold", "resetTimeoutMultiplier"] as const

/** Checks an input; problems go to `reader`, under `prefix` plus the field's name. */
export const read = (reader: OptionReader, prefix: string, input: Input): Given => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    reader.reject(prefix.slice(0, -1) || "input", input, "an object")
    return {}
  }
  reader.known(prefix, input, ["key", ...others, ...counts, ...durations, ...functions])
  const given: Record<string, unknown> = {
    failureThreshold: orNever(
      input.failureThreshold,
      (value) => reader.integer(`${prefix}failureThreshold`, value, 1, "Infinity")
    ),
    failureRateThreshold: orNever(
      input.failureRateThreshold,
      (value) => reader.ratio(`${prefix}failureRateThreshold`, value, "Infinity")
    ),
    slowCallRateThreshold: reader.ratio(`${prefix}slowCallRateThreshold`, input.slowCallRateThreshold),
    resetTimeoutMultiplier: readMultiplier(reader, `${prefix}resetTimeoutMultiplier`, input.resetTimeoutMultiplier)
  }
  for (const name of counts) given[name] = reader.integer(prefix + name, input[name], 1)
  for (const name of durations) given[`${name}Ms`] = reader.duration(prefix + name, input[name], { zero: false })
  for (const name of functions) {
    const value: unknown = input[name]
    if (value === undefined || typeof value === "function") given[name] = value
    else reader.reject(prefix + name, value, "a function")
  }
  const { key } = input as { readonly key?: unknown }
  if (key === undefined || (typeof key === "string" && key !== "")) given["key"] = key
  else reader.reject(`${prefix}key`, key, "a string that is not empty")
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const readMultiplier = (reader: OptionReader, field: string, value: number | undefined): number | undefined =>
  value === undefined || (Number.isFinite(value) && value >= 1)
    ? value
    : reader.reject(field, value, "a finite number of at least 1")

const orNever = (value: unknown, read: (value: unknown) => number | undefined): number | undefined =>
  value === Infinity ? Infinity : read(value)

const defaultSlowCallMs = 60_000

/** Completes the fields that were given with the defaults. */
export const fill = ({ key: _, ...given }: Given): Config => {
  const config = { ...defaults, ...given }
  return {
    ...config,
    probeTimeoutMs: given.probeTimeoutMs ?? config.resetTimeoutMs,
    slowCallThresholdMs: given.slowCallThresholdMs ??
      (given.slowCallRateThreshold === undefined ? Infinity : defaultSlowCallMs),
    minimumCalls: config.windowDurationMs === Infinity
      ? Math.min(config.minimumCalls, config.windowSize)
      : config.minimumCalls
  }
}

/**
 * Checks options and fills in the defaults.
 *
 * **Details**
 *
 * Throws the first `InvalidConfigError`; its `source` is `"CircuitBreaker.make"` unless another one is given.
 *
 * **Gotchas**
 *
 * `key` is checked but is no part of a {@link Config}: one configuration can serve many circuits.
 *
 * **Example** (Durations become milliseconds)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * CircuitBreaker.make({ resetTimeout: "10 seconds" }).resetTimeoutMs // => 10_000
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Input = {}, source: string = "CircuitBreaker.make"): Config => {
  const reader = new OptionReader(source)
  const given = read(reader, "", input)
  if (reader.problems[0] !== undefined) throw reader.problems[0]
  return fill(given)
}

/** Whether two configurations mean the same; `isFailure` is compared by identity. */
export const sameConfig = (a: Config, b: Config): boolean =>
  a === b || (Object.keys(defaults) as Array<keyof Config>).every((field) => a[field] === b[field])
