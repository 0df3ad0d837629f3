/**
 * Step 5, the heart: one flow, from its place in the fan-out to exactly one result. Read from inside out:
 *
 * ```text
 * execute(flow)                  one attempt, cut at its limit
 *   |> withCircuit(flow)         asks before, records after, every attempt
 *   |> drained(flow)             waits for what was cut, for as long as grace allows
 *   |> withPlace(flow)           takes a place of the fan-out, given back for a wait and at the end
 *   |> withRetry(flow)           decides whether and when another attempt runs
 *   |> capture                   Outcome -> ParallelFlowResult, always exactly one
 * ```
 *
 * The total limit is a deadline that every attempt and every wait knows (`withDeadline.ts`). Wrappers that are not
 * configured are not applied: a flow without retry and circuit needs no fiber of its own beside its line's.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { cut, drain, supervise } from "./attempt.ts"
import { type End, type Flow, Line, type Outcome } from "./cells.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import * as Emit from "./emit.ts"
import { failureCause, isIdle, resultOf, settle } from "./settle.ts"
import { attemptSpan, endSpan, flowSpan, within } from "./span.ts"
import { monotonicMs } from "./time.ts"
import { withCircuit } from "./withCircuit.ts"
import { attemptLimit } from "./withDeadline.ts"
import { releasePlace, withPlace } from "./withPlace.ts"
import { withRetry } from "./withRetry.ts"

/** Starts a flow; it settles by itself. */
export const start = (flow: Flow): void => {
  flow.span = flowSpan(flow)
  if (flow.cancelled !== undefined) return capture(flow, { _tag: "Cancelled" })
  flow.context = within(flow.owner.context, flow.span)
  const { circuitBreaker, retry } = flow.config
  if (circuitBreaker === undefined && retry === undefined && flow.places === undefined) {
    return attempt(flow)
  }
  const once = execute(flow).pipe(
    (self) => circuitBreaker === undefined ? asExecuted(self) : withCircuit(self, flow, circuitBreaker),
    drained(flow),
    (self) => flow.places === undefined ? self : withPlace(self, flow, flow.places)
  )
  const whole = retry === undefined ? once : withRetry(once, flow, retry)
  Effect.runForkWith(flow.context)(whole).addObserver((exit) =>
    capture(
      flow,
      Exit.isSuccess(exit) ? exit.value : { _tag: "Executed", end: { _tag: "Exit", exit }, abandoned: false }
    )
  )
}

const capture = (flow: Flow, outcome: Outcome): void => {
  if (flow.result === undefined) settle(flow, resultOf(flow, outcome))
  releasePlace(flow)
}

const execute = (flow: Flow): Effect.Effect<End> =>
  Effect.callback((resume) => {
    flow.resume = (end) => resume(Effect.succeed(end))
    attempt(flow)
  })

const asExecuted = (self: Effect.Effect<End>): Effect.Effect<Outcome> =>
  Effect.map(self, (end) => ({ _tag: "Executed", end, abandoned: false }))

const drained = (flow: Flow) => (self: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
  Effect.flatMap(self, (outcome) =>
    outcome._tag !== "Executed"
      ? Effect.succeed(outcome)
      : Effect.callback((resume) => drainThen(flow, outcome.end, (outcome) => resume(Effect.succeed(outcome)))))

const drainThen = (flow: Flow, end: End, next: (outcome: Outcome) => void): void => {
  // Without a line it has settled already: it was abandoned with the work around it.
  if (flow.line === undefined) return next({ _tag: "Executed", end, abandoned: true })
  drain(flow.line, flow.config.graceMs, (abandoned) => next({ _tag: "Executed", end, abandoned }))
}

/** One attempt: from the launch state, in a line of its own. */
const attempt = (flow: Flow): void => {
  const { run } = flow
  const now = monotonicMs(run.clock)
  flow.attempts++
  if (flow.attempts === 1) {
    flow.startTime = run.clock.currentTimeMillisUnsafe()
    flow.startedAt = now
    Emit.flowStarted(flow)
  }
  if (flow.transition !== undefined) Emit.circuitStateChanged(flow, flow.transition)
  flow.transition = undefined
  Emit.attemptStarted(flow)
  const span = attemptSpan(flow)
  const line = new Line(run, flow, flow.attempts, within(flow.context, span), span, flow.state, flow.edge.to)
  flow.line = line
  line.startedAt = now
  supervise(line, attemptLimit(flow, now), attemptEnded)
  // Cut out of one of the events above, before there was a line.
  if (flow.cancelled !== undefined) cut(line, flow.cancelled)
}

const attemptEnded = (line: Line, end: End): void => {
  const flow = line.flow!
  flow.endedAt = monotonicMs(flow.run.clock)
  report(flow, line, end, Math.max(0, Math.round(flow.endedAt - line.startedAt)))
  if (flow.resume !== undefined) flow.resume(end)
  else if (isIdle(line)) capture(flow, { _tag: "Executed", end, abandoned: line.zombies > 0 })
  else drainThen(flow, end, (outcome) => capture(flow, outcome))
}

/** Tells of the attempt's end, and keeps its error. */
const report = (flow: Flow, line: Line, end: End, timingMs: number): void => {
  if (end._tag === "Exit" && Exit.isSuccess(end.exit)) {
    endSpan(flow.run, line.span, end.exit)
    return Emit.attemptSucceeded(flow, timingMs)
  }
  const cause = failureCause(flow, end)
  endSpan(flow.run, line.span, cause === undefined ? Exit.interrupt() : Exit.failCause(cause))
  if (cause === undefined) return Emit.attemptInterrupted(flow)
  const error = primaryError(cause)
  const errors = [...flow.errors, {
    attempt: flow.attempts,
    error: errorMessage(error),
    errorType: errorType(error),
    timingMs
  }]
  const dropped = Math.max(0, errors.length - maxStored(flow))
  flow.errors = errors.slice(dropped)
  flow.errorsDropped += dropped
  if (end._tag !== "Limit") return Emit.attemptFailed(flow, cause, line.state, timingMs)
  Emit.flowTimedOut(flow, end.limitMs, end.kind, line.state)
}

const maxStored = ({ config: { retry } }: Flow): number => retry?._tag === "Policy" ? retry.policy.maxStoredErrors : 5
