/**
 * Attempts, of a flow or of a guarded node: the next one, executed as a line of its own, and what it came to.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as RunState from "../RunState.ts"
import { cut, drain, supervise } from "./attempt.ts"
import { type End, Line } from "./cells.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import * as Emit from "./emit.ts"
import { failureCause } from "./settle.ts"
import { attemptSpan, endSpan, within } from "./span.ts"
import { monotonicMs } from "./time.ts"
import { attemptLimitMs } from "./withDeadline.ts"
import type { Outcome, Work } from "./work.ts"

/** One attempt, as an Effect of how it ended. */
export const execute = (work: Work): Effect.Effect<End> =>
  Effect.callback((resume) => {
    work.resume = (end) => resume(Effect.succeed(end))
    attempt(work, ended)
  })

export const asExecuted = (self: Effect.Effect<End>): Effect.Effect<Outcome> =>
  Effect.map(self, (end) => ({ _tag: "Executed", end, abandoned: false }))

/** Waits for what was cut, for as long as grace allows. */
export const drained = (work: Work) => (self: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
  Effect.flatMap(self, (outcome) =>
    outcome._tag !== "Executed"
      ? Effect.succeed(outcome)
      : Effect.callback((resume) => drainThen(work, outcome.end, (outcome) => resume(Effect.succeed(outcome)))))

export const drainThen = (work: Work, end: End, next: (outcome: Outcome) => void): void => {
  // Without a line it has settled already: it was abandoned with the work around it.
  if (work.line === undefined) return next({ _tag: "Executed", end, abandoned: true })
  drain(work.line, work.config.graceMs, (abandoned) => next({ _tag: "Executed", end, abandoned }))
}

/** Begins the next attempt, from the state that all attempts start from. */
export const attempt = (work: Work, onEnd: (line: Line, end: End) => void): void => {
  const { resumed, run } = work
  const now = monotonicMs(run.clock)
  work.resumed = undefined
  if (resumed?.line === undefined && resumed?.attemptMs === undefined) work.attempts++
  begin(work, now)
  const { circuit } = work
  if (circuit?.transition !== undefined) Emit.circuitStateChanged(work, circuit.transition)
  if (circuit !== undefined) circuit.transition = undefined
  Emit.attemptStarted(work)
  const span = attemptSpan(work)
  const line = lineOf(work, span)
  work.line = line
  work.nextAt = undefined
  line.startedAt = now - (resumed?.line?.elapsedMs ?? resumed?.attemptMs ?? 0)
  if (resumed?.line !== undefined) run.restore(line, resumed.line)
  supervise(line, attemptLimitMs(work, line.startedAt), onEnd)
  // Cut out of one of the events above, before there was a line.
  if (work.cancelled !== undefined) cut(line, work.cancelled)
}

/** The moment from which its time counts. */
export const begin = (work: Work, now: number): void => {
  if (work.started) return
  work.started = true
  work.startTime = work.run.clock.currentTimeMillisUnsafe()
  work.startedAt = now
  if (work.scope === "flow") Emit.flowStarted(work)
}

const lineOf = (work: Work, span: Line["span"]): Line => {
  const { attempts, run, state } = work
  const context = within(work.context, span)
  if (work.scope === "flow") return new Line(run, work, attempts, context, span, state, work.edge.to)
  const line = new Line(run, work.owner.flow, attempts, context, span, state, work.node)
  line.call = work
  return line
}

const ended = (line: Line, end: End): void => {
  const work = line.call ?? line.flow!
  attemptEnded(work, line, end)
  work.resume?.(end)
}

export const attemptEnded = (work: Work, line: Line, end: End): void => {
  const now = monotonicMs(work.run.clock)
  work.endedAt = now
  report(work, line, end, Math.max(0, Math.round(now - line.startedAt)))
}

/** Tells of the attempt's end, and keeps its error. */
const report = (work: Work, line: Line, end: End, timingMs: number): void => {
  if (end._tag === "Exit" && Exit.isSuccess(end.exit)) {
    endSpan(work.run, line.span, end.exit)
    return Emit.attemptSucceeded(work, timingMs)
  }
  const cause = failureCause(work, end)
  endSpan(work.run, line.span, cause === undefined ? Exit.interrupt() : Exit.failCause(cause))
  if (cause === undefined) return Emit.attemptInterrupted(work)
  const error = primaryError(cause)
  const errors = [...work.errors, {
    attempt: work.attempts,
    error: errorMessage(error),
    errorType: errorType(error),
    timingMs
  }]
  const dropped = Math.max(0, errors.length - maxStored(work))
  work.errors = errors.slice(dropped)
  work.errorsDropped += dropped
  if (end._tag !== "Limit") return Emit.attemptFailed(work, cause, line.state, timingMs)
  Emit.flowTimedOut(work, end.limitMs, end.kind, line.state)
}

const maxStored = ({ config: { retry } }: Work): number => retry?._tag === "Policy" ? retry.policy.maxStoredErrors : 5

type Attempts = Pick<
  RunState.FlowState,
  "attempts" | "elapsedMs" | "startTime" | "errors" | "errorsDropped" | "circuitState"
>

/** What a saved run says of the attempts so far; running time goes on from there. */
export const restoreAttempts = (work: Work, saved: Attempts): void => {
  work.attempts = saved.attempts
  work.errors = saved.errors
  work.errorsDropped = saved.errorsDropped
  const { circuitState: state } = saved
  if (state !== undefined) work.circuit = { state, transition: undefined, release: undefined }
  if (saved.elapsedMs === undefined) return
  const now = monotonicMs(work.run.clock)
  work.started = true
  work.startTime = saved.startTime ?? work.run.clock.currentTimeMillisUnsafe()
  work.startedAt = now - saved.elapsedMs
  work.endedAt = now
}
