/**
 * The circuit breaker as a pure state machine: `admit` asks, `record` answers, and neither reads a clock.
 *
 * ```txt
 *          failureThreshold failures in a row         resetTimeout over, first ask
 *   CLOSED ---------------------------------> OPEN --------------------------------> HALF_OPEN
 *     ^                                        ^                                      |     |
 *     |                                        +------------ a probe fails -----------+     |
 *     +-------------------------- successThreshold probes succeed --------------------------+
 * ```
 *
 * Every call is admitted in a **generation** and its outcome is recorded with it. Each change of state, each reset and each
 * probe starts a new one, so the outcome of a call that belongs to the past (admitted before the circuit opened, or a probe
 * that lost its slot to `probeTimeout`) is recognised and changes nothing. `CircuitBreakerRegistry` runs this machine on
 * Effect's monotonic clock, one `Ref` per key.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { OptionReader } from "./internal/option.ts"

/**
 * The three states of a circuit: calls run, calls are rejected, a few probes run.
 *
 * @category models
 * @since 0.1.0
 */
export type CircuitState = "CLOSED" | "OPEN" | "HALF_OPEN"

/**
 * What became of an admitted call; `"ignored"` says nothing about the dependency, such as an interruption.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "ignored"

/**
 * Options of a circuit, as a user writes them; {@link defaults} has their defaults.
 *
 * **Details**
 *
 * Counts are integers of at least 1. Durations are positive, a number is milliseconds, and `Infinity` means never.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** Circuits with the same key are one circuit. Not empty. Default: chosen by whoever uses the circuit. */
  readonly key?: string | undefined
  /** Consecutive failures that open the circuit. */
  readonly failureThreshold?: number | undefined
  /** From the opening to the first probe. */
  readonly resetTimeout?: Duration.Input | undefined
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
  readonly resetTimeoutMs: number
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
 * pass before the first probe (after opossum), and a probe may take as long. Every failure counts.
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
  resetTimeoutMs: 30_000,
  halfOpenMaxCalls: 1,
  successThreshold: 1,
  probeTimeoutMs: 30_000,
  isFailure: undefined
}

const counts = ["failureThreshold", "halfOpenMaxCalls", "successThreshold"] as const
const durations = ["resetTimeout", "probeTimeout"] as const

/** Checks an input; problems go to `reader`, under `prefix` plus the field's name. @internal */
export const read = (reader: OptionReader, prefix: string, input: Input): Given => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    reader.reject(prefix.replace(/\.$/, "") || "input", input, "an object")
    return {}
  }
  reader.known(prefix, input, [...counts, ...durations, "key", "isFailure"])
  const given: Record<string, unknown> = {}
  for (const name of counts) given[name] = reader.integer(prefix + name, input[name], 1)
  for (const name of durations) given[`${name}Ms`] = reader.duration(prefix + name, input[name], { zero: false })
  const { isFailure, key } = input as { readonly isFailure?: unknown; readonly key?: unknown }
  if (key === undefined || (typeof key === "string" && key !== "")) given["key"] = key
  else reader.reject(`${prefix}key`, key, "a string that is not empty")
  if (isFailure === undefined || typeof isFailure === "function") given["isFailure"] = isFailure
  else reader.reject(`${prefix}isFailure`, isFailure, "a function")
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Completes the fields that were given with the defaults. @internal */
export const fill = ({ key: _, ...given }: Given): Config => {
  const config = { ...defaults, ...given }
  return { ...config, probeTimeoutMs: given.probeTimeoutMs ?? config.resetTimeoutMs }
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

/** Whether two configurations mean the same; `isFailure` is compared by identity. @internal */
export const sameConfig = (a: Config, b: Config): boolean =>
  a === b || (Object.keys(defaults) as Array<keyof Config>).every((field) => a[field] === b[field])

/**
 * The state of one circuit, an immutable value; `_tag` is its {@link CircuitState}.
 *
 * **Details**
 *
 * Times are milliseconds of whatever clock `nowMs` comes from. `failureCount` counts the failures since the last success in
 * CLOSED, failed probes included; `lastFailureAtMs` is there when it is above 0. `successes` counts the probes that ended
 * well, `probes` are those that run or have lost their slot.
 *
 * @category models
 * @since 0.1.0
 */
export type State =
  | {
    readonly _tag: "CLOSED"
    readonly generation: number
    readonly failureCount: number
    readonly lastFailureAtMs?: number
  }
  | {
    readonly _tag: "OPEN"
    readonly generation: number
    readonly failureCount: number
    readonly openedAtMs: number
    readonly lastFailureAtMs: number
  }
  | {
    readonly _tag: "HALF_OPEN"
    readonly generation: number
    readonly failureCount: number
    readonly openedAtMs: number
    readonly lastFailureAtMs: number
    readonly successes: number
    readonly probes: ReadonlyArray<{ readonly generation: number; readonly startedAtMs: number }>
  }

type Probes = Extract<State, { readonly _tag: "HALF_OPEN" }>["probes"]

/**
 * A change of state.
 *
 * @category models
 * @since 0.1.0
 */
export type Transition = { readonly from: CircuitState; readonly to: CircuitState }

/**
 * The answer to an ask: come in (and record with this `generation`), or ask again after `retryAfter`.
 *
 * @category models
 * @since 0.1.0
 */
export type Decision =
  | { readonly _tag: "Admitted"; readonly generation: number; readonly probe: boolean }
  | { readonly _tag: "Rejected"; readonly circuitState: CircuitState; readonly retryAfter: Duration.Duration }

/**
 * The next state, with the transition when `_tag` changed.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = { readonly state: State; readonly transition?: Transition }

/**
 * A circuit that nobody has used: CLOSED, no failures, generation 0.
 *
 * @category state machine
 * @since 0.1.0
 */
export const initial: State = { _tag: "CLOSED", generation: 0, failureCount: 0 }

// The last instant belongs to "over". So does a time before the window: a clock that stepped back must not prolong it.
const isOver = (sinceMs: number, windowMs: number, nowMs: number): boolean =>
  nowMs - sinceMs >= windowMs || (nowMs < sinceMs && windowMs !== Infinity)

const move = (from: State, to: State): Step => ({ state: to, transition: { from: from._tag, to: to._tag } })

const open = (from: State, nowMs: number): Step =>
  move(from, {
    _tag: "OPEN",
    generation: from.generation + 1,
    failureCount: from.failureCount + 1,
    openedAtMs: nowMs,
    lastFailureAtMs: nowMs
  })

/** The probes that have not lost their slot to `probeTimeout`, oldest first. @internal */
export const probes = (state: State, nowMs: number, config: Config): Probes =>
  state._tag === "HALF_OPEN"
    ? state.probes.filter((probe) => !isOver(probe.startedAtMs, config.probeTimeoutMs, nowMs))
    : []

/**
 * Asks for permission to call.
 *
 * **Details**
 *
 * - CLOSED: admitted.
 * - OPEN: rejected, with the identical state; from `resetTimeout` on, admitted as the first probe of HALF_OPEN.
 * - HALF_OPEN: admitted as a probe while fewer than `halfOpenMaxCalls` hold a slot, else rejected until the first of them
 *   loses it.
 *
 * `retryAfter` is rounded up to whole milliseconds, so that asking then is never too early.
 *
 * **Gotchas**
 *
 * Who is admitted records one outcome, also when interrupted, or a probe keeps its slot until `probeTimeout`.
 *
 * **Example** (A rejection says when to come back)
 *
 * ```ts
 * import { Duration } from "effect"
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * const config = CircuitBreaker.make({ failureThreshold: 1, resetTimeout: "10 seconds" })
 * const failed = CircuitBreaker.record(CircuitBreaker.initial, { generation: 0, outcome: "failure" }, 0, config)
 *
 * CircuitBreaker.admit(failed.state, 4_000, config).decision // => { _tag: "Rejected", circuitState: "OPEN", retryAfter: Duration.seconds(6) }
 * CircuitBreaker.admit(failed.state, 10_000, config).decision // => { _tag: "Admitted", generation: 2, probe: true }
 * ```
 *
 * @category state machine
 * @since 0.1.0
 */
export const admit = (state: State, nowMs: number, config: Config): Step & { readonly decision: Decision } => {
  if (state._tag === "CLOSED") {
    return { state, decision: { _tag: "Admitted", generation: state.generation, probe: false } }
  }
  const live = probes(state, nowMs, config)
  const waitMs = timeToProbe(state, live, nowMs, config)
  const retryAfter = Duration.millis(Math.ceil(waitMs))
  if (waitMs > 0) return { state, decision: { _tag: "Rejected", circuitState: state._tag, retryAfter } }
  const generation = state.generation + 1
  const all = [...live, { generation, startedAtMs: nowMs }]
  const next: State = { successes: 0, ...state, _tag: "HALF_OPEN", generation, probes: all }
  const step = state._tag === "OPEN" ? move(state, next) : { state: next }
  return { ...step, decision: { _tag: "Admitted", generation, probe: true } }
}

const timeToProbe = (state: State, live: Probes, nowMs: number, config: Config): number => {
  if (state._tag === "OPEN") {
    return isOver(state.openedAtMs, config.resetTimeoutMs, nowMs) ? 0 : state.openedAtMs + config.resetTimeoutMs - nowMs
  }
  const oldest = live[0]
  return oldest === undefined || live.length < config.halfOpenMaxCalls
    ? 0
    : oldest.startedAtMs + config.probeTimeoutMs - nowMs
}

/**
 * Records what became of an admitted call.
 *
 * **Details**
 *
 * An outcome counts in the generation of CLOSED, or for a probe that holds its slot; any other returns the identical state.
 *
 * - CLOSED: a success brings `failureCount` to 0; a failure adds 1, and at `failureThreshold` opens the circuit.
 * - HALF_OPEN: a success counts towards `successThreshold`, which closes the circuit; a failure opens it for a new full
 *   window from `nowMs`; `"ignored"` frees the slot.
 *
 * **Example** (The failure that opens it)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * const config = CircuitBreaker.make({ failureThreshold: 2 })
 * const failure = { generation: 0, outcome: "failure" } as const
 * const first = CircuitBreaker.record(CircuitBreaker.initial, failure, 10, config)
 * const second = CircuitBreaker.record(first.state, failure, 20, config)
 *
 * first.state // => { _tag: "CLOSED", generation: 0, failureCount: 1, lastFailureAtMs: 10 }
 * second.transition // => { from: "CLOSED", to: "OPEN" }
 * ```
 *
 * @category state machine
 * @since 0.1.0
 */
export const record = (
  state: State,
  { generation, outcome }: { readonly generation: number; readonly outcome: Outcome },
  nowMs: number,
  config: Config
): Step => {
  if (state._tag === "CLOSED") {
    if (generation !== state.generation || outcome === "ignored") return { state }
    if (outcome === "success") return state.failureCount === 0 ? { state } : { state: closed(generation) }
    const failureCount = state.failureCount + 1
    if (failureCount >= config.failureThreshold) return open(state, nowMs)
    return { state: { _tag: "CLOSED", generation, failureCount, lastFailureAtMs: nowMs } }
  }
  if (state._tag === "OPEN" || !probes(state, nowMs, config).some((probe) => probe.generation === generation)) {
    return { state }
  }
  if (outcome === "failure") return open(state, nowMs)
  const successes = outcome === "success" ? state.successes + 1 : state.successes
  if (successes >= config.successThreshold) return move(state, closed(state.generation + 1))
  return { state: { ...state, successes, probes: state.probes.filter((probe) => probe.generation !== generation) } }
}

const closed = (generation: number): State => ({ _tag: "CLOSED", generation, failureCount: 0 })

/**
 * Closes a circuit: counters zero and a new generation, so that calls in flight no longer count.
 *
 * **Example** (Resetting)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * CircuitBreaker.reset(CircuitBreaker.initial).state // => { _tag: "CLOSED", generation: 1, failureCount: 0 }
 * ```
 *
 * @category state machine
 * @since 0.1.0
 */
export const reset = (state: State): Step => {
  const next = closed(state.generation + 1)
  return state._tag === "CLOSED" ? { state: next } : move(state, next)
}
