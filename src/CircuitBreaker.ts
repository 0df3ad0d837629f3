/**
 * The circuit breaker as a pure state machine: `admit` asks, `record` answers, and neither reads a clock.
 *
 * ```txt
 *          failures in a row, or a rate               the open time over, first ask
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
 * By hand a circuit is held OPEN ({@link forceOpen}, {@link isolate}) or CLOSED ({@link disable}) until it is given back.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Config } from "./internal/circuitOptions.ts"
import * as Calls from "./internal/circuitWindow.ts"
import { isOver } from "./internal/time.ts"

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

export {
  /** Full values, as the machine reads them; durations are milliseconds. */
  type Config,
  /** The default of every option. */
  defaults,
  /** The fields of an {@link Input} that were given, checked and in milliseconds. */
  type Given,
  /** Options of a circuit, as a user writes them. */
  type Input,
  /** Checks options and fills in the defaults. */
  make
} from "./internal/circuitOptions.ts"

/** @internal */
export { fill, read, sameConfig } from "./internal/circuitOptions.ts"

/**
 * What counts of a window: calls, how many of them failed and how many were slow.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tally {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/**
 * The calls that rates are taken of, as plain data: the last ones with a digit each, or those of a stretch of time in parts.
 *
 * @category models
 * @since 0.1.0
 */
export type Window =
  | (Tally & { readonly _tag: "Count"; readonly ring: string })
  | { readonly _tag: "Time"; readonly parts: ReadonlyArray<Tally & { readonly startMs: number }> }

/**
 * Who says what a circuit does: itself, or somebody by hand.
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = "normal" | "forced" | "isolated" | "disabled"

/**
 * What was asked for by hand: `mode` counts as soon as nobody isolates the circuit any more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Control {
  readonly mode: Exclude<Mode, "isolated">
  readonly isolations: number
}

interface Common {
  readonly generation: number
  readonly failureCount: number
  readonly lastFailureAtMs?: number
  readonly control?: Control
}

interface Opened extends Common {
  readonly openedAtMs: number
  readonly openMs?: number
  readonly reopenings?: number
}

/**
 * The state of one circuit, an immutable value; `_tag` is its {@link CircuitState}.
 *
 * **Details**
 *
 * Times are milliseconds of whatever clock `nowMs` comes from. `failureCount` counts the failures since the last success in
 * CLOSED, failed probes included; `lastFailureAtMs` is there when it is above 0. `successes` counts the probes that ended
 * well, `probes` are those that run or have lost their slot. `window` is there when rates are taken and a call has ended,
 * `openMs` when this opening takes longer than `resetTimeout`, `reopenings` when open times grow, `control` while somebody
 * holds the circuit.
 *
 * @category models
 * @since 0.1.0
 */
export type State =
  | (Common & { readonly _tag: "CLOSED"; readonly window?: Window })
  | (Opened & { readonly _tag: "OPEN" })
  | (Opened & {
    readonly _tag: "HALF_OPEN"
    readonly successes: number
    readonly probes: ReadonlyArray<{ readonly generation: number; readonly startedAtMs: number }>
  })

type Closed = Extract<State, { readonly _tag: "CLOSED" }>
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

const closed = (generation: number): Closed => ({ _tag: "CLOSED", generation, failureCount: 0 })

const move = (from: State, to: State): Step =>
  from._tag === to._tag ? { state: to } : { state: to, transition: { from: from._tag, to: to._tag } }

const open = (from: State, { failed, retryAfterMs }: Seen, nowMs: number, config: Config): Step => {
  const { maxResetTimeoutMs, resetTimeoutMs, resetTimeoutMultiplier } = config
  const reopenings = from._tag === "HALF_OPEN" ? (from.reopenings ?? 0) + 1 : 0
  const wishedMs = Math.max(resetTimeoutMs * resetTimeoutMultiplier ** reopenings, retryAfterMs)
  const openMs = Math.min(wishedMs, Math.max(resetTimeoutMs, maxResetTimeoutMs))
  return move(from, {
    _tag: "OPEN",
    generation: from.generation + 1,
    failureCount: failed ? from.failureCount + 1 : 0,
    openedAtMs: nowMs,
    ...failed && { lastFailureAtMs: nowMs },
    ...openMs !== resetTimeoutMs && { openMs },
    ...resetTimeoutMultiplier !== 1 && { reopenings }
  })
}

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
 * - OPEN: rejected, with the identical state; when the open time is over, admitted as the first probe of HALF_OPEN.
 * - HALF_OPEN: admitted as a probe while fewer than `halfOpenMaxCalls` hold a slot, else rejected until the first of them
 *   loses it.
 *
 * `retryAfter` is rounded up to whole milliseconds, so that asking then is never too early; it is infinite while the circuit
 * is held open by hand.
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
  return { ...move(state, next), decision: { _tag: "Admitted", generation, probe: true } }
}

const timeToProbe = (state: State, live: Probes, nowMs: number, config: Config): number => {
  if (state._tag === "OPEN") {
    const openMs = state.openMs ?? config.resetTimeoutMs
    return isOver(state.openedAtMs, openMs, nowMs) ? 0 : state.openedAtMs + openMs - nowMs
  }
  const oldest = live[0]
  return oldest === undefined || live.length < config.halfOpenMaxCalls
    ? 0
    : oldest.startedAtMs + config.probeTimeoutMs - nowMs
}

/**
 * An admitted call that has ended: its generation, what became of it, how long it took (0 unless given), and how long the
 * dependency asked to be left alone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly generation: number
  readonly outcome: Outcome
  readonly durationMs?: number
  readonly retryAfterMs?: number
}

/** A call that counts, as the rules see it. */
interface Seen {
  readonly failed: boolean
  readonly slow: boolean
  readonly retryAfterMs: number
}

/**
 * Records what became of an admitted call.
 *
 * **Details**
 *
 * An outcome counts in the generation of CLOSED, or for a probe that holds its slot; any other returns the identical state.
 *
 * - CLOSED: a success brings `failureCount` to 0, a failure adds 1, and both go into the window. At `failureThreshold`, or at
 *   a rate of the window, the circuit opens.
 * - HALF_OPEN: a success counts towards `successThreshold`, which closes the circuit; a failure, or a slow success where calls
 *   can be slow, opens it for a new full window from `nowMs`; `"ignored"` frees the slot.
 * - Disabled: nothing counts.
 *
 * It stays open for `resetTimeout` times `resetTimeoutMultiplier` to the power of the failed probes since it was CLOSED, or
 * for `retryAfterMs` if that is longer, but at most for `maxResetTimeout`.
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
export const record = (state: State, call: Call, nowMs: number, config: Config): Step => {
  const { durationMs = 0, generation, outcome, retryAfterMs = 0 } = call
  if (outcome === "success" && isQuiet(state, config)) return { state }
  const slow = durationMs > config.slowCallThresholdMs
  if (state._tag === "CLOSED") {
    if (generation !== state.generation || outcome === "ignored" || state.control !== undefined) return { state }
    return count(state, { failed: outcome === "failure", slow, retryAfterMs }, nowMs, config)
  }
  if (state._tag === "OPEN" || !probes(state, nowMs, config).some((probe) => probe.generation === generation)) {
    return { state }
  }
  const failed = outcome === "failure" || (outcome === "success" && slow)
  if (failed) return open(state, { failed, slow, retryAfterMs }, nowMs, config)
  const successes = outcome === "success" ? state.successes + 1 : state.successes
  if (successes >= config.successThreshold) return move(state, closed(state.generation + 1))
  return { state: { ...state, successes, probes: state.probes.filter((probe) => probe.generation !== generation) } }
}

const takesRates = (config: Config): boolean =>
  config.failureRateThreshold !== Infinity || config.slowCallThresholdMs !== Infinity

const count = (state: Closed, seen: Seen, nowMs: number, config: Config): Step => {
  const failureCount = seen.failed ? state.failureCount + 1 : 0
  const window = takesRates(config) ? Calls.add(state.window, seen, nowMs, config) : undefined
  if (failureCount >= config.failureThreshold || trips(window, nowMs, config)) {
    return open(state, seen, nowMs, config)
  }
  return {
    state: {
      _tag: "CLOSED",
      generation: state.generation,
      failureCount,
      ...seen.failed && { lastFailureAtMs: nowMs },
      ...window !== undefined && { window }
    }
  }
}

const trips = (window: Window | undefined, nowMs: number, config: Config): boolean => {
  const { calls, failures, slow } = Calls.tally(window, nowMs, config)
  return calls >= config.minimumCalls && (
    (failures > 0 && failures / calls >= config.failureRateThreshold) ||
    (slow > 0 && slow / calls >= config.slowCallRateThreshold)
  )
}

/** What counts for the rates now; nothing where none is taken. @internal */
export const tally = (state: State, nowMs: number, config: Config): Tally =>
  Calls.tally(state._tag === "CLOSED" ? state.window : undefined, nowMs, config)

/** Whether it is as good as one that nobody has used. @internal */
export const isBlank = (state: State): boolean =>
  state._tag === "CLOSED" && state.failureCount === 0 && state.window === undefined && state.control === undefined

/** Whether an admission, and a success after it, change nothing, whatever the time is. @internal */
export const isQuiet = (state: State, config: Config): boolean => isBlank(state) && !takesRates(config)

const normal: Control = { mode: "normal", isolations: 0 }

// Every step by hand starts from nothing: no counters, a new generation, so that calls in flight no longer count.
const steer = (state: State, control: Control, nowMs: number): Step => {
  const isNormal = control.mode === "normal" && control.isolations === 0
  const next = { ...closed(state.generation + 1), ...!isNormal && { control } }
  if (control.isolations === 0 && control.mode !== "forced") return move(state, next)
  const openedAtMs = state._tag === "OPEN" ? state.openedAtMs : nowMs
  return move(state, { ...next, _tag: "OPEN", openedAtMs, openMs: Infinity })
}

/**
 * Who says what the circuit does.
 *
 * @category control
 * @since 0.1.0
 */
export const mode = ({ control = normal }: State): Mode => control.isolations > 0 ? "isolated" : control.mode

/**
 * Opens a circuit until it is {@link reset}: every call is rejected, and no time passes.
 *
 * **Example** (No probe, however late)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * const { state } = CircuitBreaker.forceOpen(CircuitBreaker.initial, 0)
 *
 * CircuitBreaker.admit(state, 1e12, CircuitBreaker.defaults).decision._tag // => "Rejected"
 * CircuitBreaker.mode(state) // => "forced"
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const forceOpen = (state: State, nowMs: number): Step =>
  steer(state, { ...state.control ?? normal, mode: "forced" }, nowMs)

/**
 * Closes a circuit and keeps it from counting until it is {@link reset}: every call is admitted.
 *
 * **Example** (Failures change nothing)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * const config = CircuitBreaker.make({ failureThreshold: 1 })
 * const { state } = CircuitBreaker.disable(CircuitBreaker.initial)
 *
 * CircuitBreaker.record(state, { generation: 1, outcome: "failure" }, 0, config).state === state // => true
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const disable = (state: State): Step =>
  // Whoever isolates it holds it OPEN already, so no time is needed.
  steer(state, { ...state.control ?? normal, mode: "disabled" }, 0)

/**
 * Opens a circuit until it is {@link release}d as often as it was isolated.
 *
 * **Details**
 *
 * A {@link reset} does not end it: it only takes back {@link forceOpen} and {@link disable}, which otherwise count when the
 * last one has released the circuit.
 *
 * **Example** (Two hold it)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-stategraph"
 *
 * const one = CircuitBreaker.isolate(CircuitBreaker.initial, 0).state
 * const two = CircuitBreaker.isolate(one, 0).state
 *
 * CircuitBreaker.release(two).state._tag // => "OPEN"
 * CircuitBreaker.release(CircuitBreaker.release(two).state).transition // => { from: "OPEN", to: "CLOSED" }
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const isolate = (state: State, nowMs: number): Step => {
  const { isolations, mode } = state.control ?? normal
  return steer(state, { mode, isolations: isolations + 1 }, nowMs)
}

/**
 * Ends one isolation. After the last one the circuit is CLOSED, counters zero, unless it is forced open; a circuit that
 * nobody isolates is left alone.
 *
 * @category control
 * @since 0.1.0
 */
export const release = (state: State): Step => {
  const { isolations, mode } = state.control ?? normal
  return isolations === 0 ? { state } : steer(state, { mode, isolations: isolations - 1 }, 0)
}

/**
 * Closes a circuit: counters zero and a new generation, so that calls in flight no longer count.
 *
 * **Details**
 *
 * It ends {@link forceOpen} and {@link disable}. A circuit that somebody isolates stays open.
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
export const reset = (state: State): Step => steer(state, { ...state.control ?? normal, mode: "normal" }, 0)
