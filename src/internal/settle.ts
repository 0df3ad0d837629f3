/**
 * The end of a flow: its outcome captured as one result, and handed to the line that joins it. Always exactly once.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { type CircuitOpenError, FailFastError, FlowTimeoutError, type LimitExceededError } from "../GraphError.ts"
import * as ParallelFlowResult from "../ParallelFlowResult.ts"
import type { End, Line } from "./cells.ts"
import { check } from "./complete.ts"
import { errorMessage, errorType, primaryError, traceback } from "./describe.ts"
import * as Emit from "./emit.ts"
import type { Flow, Join, Outcome, Work } from "./work.ts"

type Any = ParallelFlowResult.Any

/** The error of a limit that was reached. */
export const timeoutError = (work: Work, kind: "attempt" | "total", limitMs: number): FlowTimeoutError =>
  new FlowTimeoutError({
    ...(work.branch === undefined ? {} : { branch: work.branch }),
    ...(work.scope === "node" ? { node: work.node.name } : {}),
    timeoutMs: limitMs,
    timeoutKind: kind
  })

/** How a failed line failed: its own cause, or the engine's when it was cut for a fail-fast flow. */
export const failureCause = (work: Work, end: End): Cause.Cause<unknown> | undefined => {
  switch (end._tag) {
    case "Exit":
      return Exit.isFailure(end.exit) && !Cause.hasInterruptsOnly(end.exit.cause) ? end.exit.cause : undefined
    case "FailFast":
      return Cause.fail(end.error)
    case "Failed":
      return Cause.hasInterruptsOnly(end.cause) ? undefined : end.cause
    case "Limit":
      return Cause.fail(timeoutError(work, end.kind, end.limitMs))
    case "Interrupted":
      return undefined
  }
}

/** Captures an outcome as the flow's result. */
export const resultOf = (flow: Flow, outcome: Outcome): Any => {
  const fields = fieldsOf(flow, outcome)
  switch (outcome._tag) {
    case "Rejected":
      return rejected(flow, fields, outcome.error)
    case "OutOfTime":
      return timedOut(flow, fields, "total", flow.config.totalTimeoutMs, false, {})
    case "Cancelled":
      return cancelled(flow, fields, flow.cancelled?.by, false, Cause.interrupt(), {})
    case "Executed": {
      const { end } = outcome
      if (end._tag === "Limit") {
        return timedOut(flow, fields, end.kind, end.limitMs, outcome.abandoned, failedNode(flow))
      }
      if (end._tag === "Interrupted") {
        return cancelled(flow, fields, end.by, outcome.abandoned, Cause.interrupt(), failedNode(flow))
      }
      if (end._tag === "FailFast") return failed(flow, fields, Cause.fail(end.error))
      const exit = end._tag === "Failed" ? Exit.failCause(end.cause) : end.exit
      if (Exit.isSuccess(exit)) return ParallelFlowResult.fromFields(fields, success)
      return Cause.hasInterruptsOnly(exit.cause)
        ? cancelled(flow, fields, "itself", false, exit.cause as Cause.Cause<never>, failedNode(flow))
        : failed(flow, fields, exit.cause)
    }
  }
}

type Fields = ParallelFlowResult.Common

const success = { _tag: "Success", success: true, timeout: false, abandoned: false } as const

const fieldsOf = (flow: Flow, outcome: Outcome): Fields => {
  const { started } = flow
  return {
    branch: flow.branch,
    state: flow.line?.state ?? flow.state,
    startTime: started ? flow.startTime : flow.run.clock.currentTimeMillisUnsafe(),
    timingMs: started ? Math.max(0, Math.round((flow.endedAt ?? flow.startedAt) - flow.startedAt)) : 0,
    attempts: flow.attempts,
    attemptErrors: flow.errors,
    attemptErrorsDropped: flow.errorsDropped,
    // A node's, of the attempt that it ended with: what it waited or was rejected after does not count.
    usedFallback: flow.usedFallback || outcome._tag === "Executed" && flow.line?.rare?.usedFallback === true,
    circuitState: flow.circuit?.state,
    mapped: flow.mapped
  }
}

/** Where the flow was when it ended; nowhere, when it waited. */
interface At {
  readonly failedNode?: string
}

const failedNode = ({ line }: Flow): At =>
  line?.rare?.failedNode === undefined ? {} : { failedNode: line.rare.failedNode }

const trace = (flow: Flow, cause: Cause.Cause<unknown>): { readonly traceback?: string } =>
  flow.config.includeTraceback ? { traceback: traceback(cause) } : {}

const failed = (flow: Flow, fields: Fields, cause: Cause.Cause<unknown>): Any => {
  const error = primaryError(cause)
  const typed = Cause.findErrorOption(cause)
  return ParallelFlowResult.fromFields(fields, {
    _tag: "Failure",
    success: false,
    timeout: false,
    abandoned: false,
    error: errorMessage(error),
    errorType: errorType(error),
    cause: cause as Cause.Cause<never>,
    ...(typed._tag === "Some" ? { failure: typed.value } : {}),
    ...failedNode(flow),
    ...trace(flow, cause)
  })
}

const timedOut = (
  flow: Flow,
  fields: Fields,
  kind: "attempt" | "total",
  limitMs: number,
  abandoned: boolean,
  at: At
): Any => {
  const failure = timeoutError(flow, kind, limitMs)
  const cause = Cause.fail(failure)
  return ParallelFlowResult.fromFields(fields, {
    _tag: "Timeout",
    success: false,
    timeout: true,
    timeoutMs: limitMs,
    timeoutKind: kind,
    abandoned,
    error: failure.message,
    errorType: "TimeoutError",
    cause,
    failure,
    ...at,
    ...trace(flow, cause)
  })
}

const rejected = (flow: Flow, fields: Fields, failure: CircuitOpenError | LimitExceededError): Any => {
  const cause = Cause.fail(failure)
  const circuitState = failure._tag === "CircuitOpenError" ? failure.circuitState : fields.circuitState
  return ParallelFlowResult.fromFields({ ...fields, state: flow.state, circuitState }, {
    _tag: "Rejected",
    success: false,
    timeout: false,
    abandoned: false,
    error: failure.message,
    errorType: failure._tag,
    cause,
    failure,
    ...trace(flow, cause)
  })
}

const cancelled = (
  flow: Flow,
  fields: Fields,
  by: string | undefined,
  abandoned: boolean,
  cause: Cause.Cause<never>,
  at: At
): Any =>
  ParallelFlowResult.fromFields(fields, {
    _tag: "Interrupted",
    success: false,
    timeout: false,
    abandoned,
    error: `flow "${flow.branch}" was interrupted: ${by ?? "the run ended"}`,
    errorType: "InterruptedError",
    cause,
    ...at,
    ...trace(flow, cause)
  })

/** Hands the result to the line that joins the flow, and fails that line at once if the edge says so. */
export const settle = (flow: Flow, result: Any): void => {
  if (flow.result !== undefined) return
  flow.result = result
  flow.written = flow.line?.rare?.written
  // Many results can wait for one join: they keep nothing of the work that led to them.
  flow.line = undefined
  flow.nextAt = undefined
  flow.resume = undefined
  const { join, owner, run: { session } } = flow
  const waits = session.waitOf(flow)
  if (waits === undefined) Emit.flowCompleted(flow, result)
  else Emit.flowSuspended(flow, waits)
  join.pending--
  join.count(result, flow.cancelled !== undefined)
  const byItself = join.completed === undefined || flow.cancelled === undefined
  if (!result.success && flow.config.failFast && !owner.ended && byItself) {
    const settled = join.results().filter((other) => other !== result)
    flow.failedFast = true
    flow.run.cut(owner, {
      _tag: "FailFast",
      error: new FailFastError({
        graph: flow.run.plan.name,
        fanIn: join.fanIn.name,
        branch: flow.branch,
        result,
        settled
      })
    })
  }
  if (flow.permit !== undefined) {
    // What this result stops must not get the permit.
    check(owner, join)
    flow.releasePermit()
  }
  flow.mapped?.of.release(flow, flow.mapped)
  const { saver } = session
  const saved = (): void => {
    join.unsaved--
    progressed(owner, join)
  }
  join.unsaved++
  if (saver === undefined || owner.ended || !saver.boundary(saved)) saved()
}

/** Tells the line, when nothing is left to wait for. */
export const progressed = (owner: Line, join: Join): void => {
  if (owner.ended) return idle(owner)
  check(owner, join)
  if (owner.run.session.parked > 0) owner.run.session.look()
  const { waiter } = join
  if (join.pending > 0 || waiter === undefined) return
  join.waiter = undefined
  waiter()
}

/** Tells, once, that an ended line has nothing left that runs. */
export const idle = (line: Line): void => {
  const { rare } = line
  if (rare?.onIdle === undefined || !isIdle(line)) return
  const { onIdle } = rare
  rare.onIdle = undefined
  onIdle()
}

export const isIdle = (line: Line): boolean => line.fiber === undefined && line.open.every((join) => join.pending === 0)
