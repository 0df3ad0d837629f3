/**
 * The spine: the one place where what happens in a run becomes an event, a span's event, a metric.
 *
 * An event is built for those who take it: `emit` tells hooks and listeners, `listen` what no hook is for.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Transition } from "../CircuitBreakerRegistry.ts"
import type { CircuitOpenError, GraphSuspended, LimitExceededError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import * as GraphMetrics from "../GraphMetrics.ts"
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import type { Pending } from "../RunState.ts"
import type { Line, Run } from "./cells.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import type { PlanNode, State } from "./plan.ts"
import { endSpan, spanEvent } from "./span.ts"
import { branchOf, type Flow, type Work } from "./work.ts"

const base = (run: Run) => ({ runId: run.runId, graph: run.plan.name, at: run.clock.currentTimeMillisUnsafe() })

const withError = (cause: Cause.Cause<unknown>): GraphEvent.WithError => {
  if (Cause.hasInterruptsOnly(cause)) return { error: "interrupted", errorType: "InterruptedError", cause }
  const error = primaryError(cause)
  return { error: errorMessage(error), errorType: errorType(error), cause }
}

// A graph that is a node begins and ends as that node does.

export const graphStarted = (run: Run, state: State): void => {
  if (run.inside === undefined) run.listen?.({ _tag: "GraphStarted", ...base(run), state })
}

export const graphCompleted = (run: Run, state: State): void => {
  if (run.inside === undefined) run.listen?.({ _tag: "GraphCompleted", ...base(run), state })
}

export const graphSuspended = (
  run: Run,
  { checkpointId, pending, state }: Pick<GraphSuspended, "checkpointId" | "pending" | "state">
): void =>
  run.listen?.({
    _tag: "GraphSuspended",
    ...base(run),
    ...(checkpointId === undefined ? {} : { checkpointId }),
    pending,
    state: state as State
  })

export const checkpointSaved = (run: Run, id: string): void =>
  run.listen?.({ _tag: "CheckpointSaved", ...base(run), id })

export const graphFailed = (run: Run, cause: Cause.Cause<unknown>): void => {
  if (run.inside === undefined) run.listen?.({ _tag: "GraphFailed", ...base(run), ...withError(cause) })
}

/** A node as everybody outside of its own graph names it. */
export const pathOf = ({ inside }: Run, name: string): string => inside === undefined ? name : `${inside.nodes}${name}`

/** The attempt of the flow around, whatever graphs are nodes on the way there; not of a node with a policy. */
const attemptAround = (line: Line): number | undefined => {
  if (line.flow !== undefined) return (line.call?.owner ?? line).attempt
  return line.run.inside && attemptAround(line.run.inside.line)
}

const onNode = ({ attempt, flow, run }: Line, node: PlanNode) => {
  const { inside } = run
  const at = { ...base(run), node: pathOf(run, node.name) }
  if (flow !== undefined) {
    return {
      ...at,
      branch: branchOf(flow),
      fanIn: pathOf(run, (node.kind === "fanIn" ? node : flow.edge.fanIn).name),
      attempt
    }
  }
  const own = node.kind === "fanIn" ? { ...at, fanIn: pathOf(run, node.name) } : at
  if (inside?.branch === undefined) return own
  return { fanIn: inside.fanIn!, ...own, branch: inside.branch, attempt: attemptAround(inside.line)! }
}

export const nodeStarted = (line: Line, node: PlanNode): void => {
  if (line.run.listen === undefined || line.muted) return
  line.run.listen({ _tag: "NodeStarted", ...onNode(line, node) })
}

export const nodeCompleted = (line: Line, node: PlanNode, update: object, usedFallback: boolean): void => {
  if (line.run.listen === undefined || line.muted) return
  const event = { ...onNode(line, node), state: line.state, update: update as State }
  line.run.listen({ _tag: "NodeCompleted", ...event, ...(usedFallback ? { usedFallback } : {}) })
}

export const nodeFailed = (line: Line, node: PlanNode, cause: Cause.Cause<unknown>): void => {
  if (line.run.listen === undefined || line.muted) return
  line.run.listen({ _tag: "NodeFailed", ...onNode(line, node), ...withError(cause) })
}

export const nodeInterrupted = (line: Line, node: PlanNode): void => {
  if (line.run.listen === undefined || line.muted) return
  line.run.listen({ _tag: "NodeInterrupted", ...onNode(line, node) })
}

export const fanInStarted = (line: Line, node: PlanNode, results: ReadonlyArray<AnyResult>): void => {
  if (line.run.listen === undefined || line.muted) return
  line.run.listen({ _tag: "FanInStarted", ...onNode(line, node), results })
}

export const fanInCompleted = (line: Line, node: PlanNode): void => {
  if (line.run.listen === undefined || line.muted) return
  line.run.listen({ _tag: "FanInCompleted", ...onNode(line, node) })
}

export const nodeProgress = (line: Line, node: PlanNode, value: unknown): void => {
  if (line.run.listen === undefined || line.muted || line.ended) return
  line.run.listen({ _tag: "NodeProgress", ...onNode(line.call?.owner ?? line, node), value })
}

const onFlow = (flow: Flow) => ({
  ...base(flow.run),
  branch: branchOf(flow),
  fanIn: pathOf(flow.run, flow.edge.fanIn.name)
})

const onWork = (work: Work): GraphEvent.OfWork =>
  work.scope === "flow"
    ? { ...onFlow(work), scope: "flow" }
    : { ...onNode(work.owner, work.node), scope: "node" }

const onAttempt = (work: Work): GraphEvent.OnAttempt => ({ ...onWork(work), attempt: work.attempts })

export const flowStarted = (flow: Flow): void => {
  flow.run.metrics.started(flow.run.metricTarget)
  flow.run.emit?.({ _tag: "FlowStarted", ...onFlow(flow), state: flow.state })
}

const metricsOf = ({ edge, family, run: { metrics } }: Flow): GraphMetrics.OfBranch =>
  family === edge.name ? edge.metrics ??= metrics.branch(family) : metrics.branch(family)

export const flowCompleted = (flow: Flow, result: AnyResult): void => {
  const { run, span } = flow
  metricsOf(flow).ended(
    run.metricTarget,
    result._tag,
    flow.started ? result.timingMs / 1000 : undefined
  )
  if (span !== undefined) {
    span.attribute("flow.outcome", result._tag)
    span.attribute("flow.retry_count", result.retryCount)
    if (result.circuitState !== undefined) span.attribute("circuit.state", result.circuitState)
    endSpan(run, span, result.success ? Exit.void : Exit.failCause(result.cause))
  }
  run.emit?.({ _tag: "FlowCompleted", ...onFlow(flow), result })
}

/** The flow waits for somebody; it starts again when the run is resumed. */
export const flowSuspended = (flow: Flow, pending: ReadonlyArray<Pending>): void => {
  const { run, span } = flow
  if (flow.started) run.metrics.suspended(run.metricTarget)
  if (span !== undefined) {
    span.attribute("flow.outcome", "Suspended")
    endSpan(run, span, Exit.void)
  }
  run.listen?.({ _tag: "FlowSuspended", ...onFlow(flow), pending })
}

export const rejected = (work: Work, { circuitState: state, key, retryAfter }: CircuitOpenError): void => {
  spanEvent(work.run, work.span, "rejected", { "circuit.key": key, "circuit.state": state })
  const circuit = { key, state, retryAfterMs: Duration.toMillis(retryAfter) }
  work.run.listen?.({ _tag: "FlowRejected", ...onWork(work), circuit })
}

export const rejectedByLimit = (work: Work, { key, permits, queue }: LimitExceededError): void => {
  spanEvent(work.run, work.span, "rejected", { "limit.key": key })
  work.run.listen?.({ _tag: "FlowRejected", ...onWork(work), limit: { key, permits, queue } })
}

export const attemptStarted = (work: Work): void => work.run.listen?.({ _tag: "AttemptStarted", ...onAttempt(work) })

export const attemptSucceeded = (work: Work, timingMs: number): void =>
  work.run.listen?.({ _tag: "AttemptSucceeded", ...onAttempt(work), timingMs })

export const attemptFailed = (work: Work, cause: Cause.Cause<unknown>, state: State, timingMs: number): void =>
  work.run.emit?.({ _tag: "AttemptFailed", ...onAttempt(work), ...withError(cause), state, timingMs })

export const flowTimedOut = (work: Work, timeoutMs: number, timeoutKind: "attempt" | "total", state: State): void => {
  spanEvent(work.run, work.span, "timeout", {
    "flow.attempt": work.attempts,
    "timeout.ms": timeoutMs,
    "timeout.kind": timeoutKind
  })
  work.run.emit?.({ _tag: "FlowTimedOut", ...onAttempt(work), timeoutMs, timeoutKind, state })
}

export const attemptInterrupted = (work: Work): void =>
  work.run.listen?.({ _tag: "AttemptInterrupted", ...onAttempt(work) })

export const retryScheduled = (work: Work, delayMs: number, error: string, type: string, state: State): void => {
  work.run.metrics.branch(work.family ?? "").retried(work.run.metricTarget)
  spanEvent(work.run, work.span, "retry", {
    "flow.attempt": work.attempts,
    "retry.delay_ms": delayMs,
    "error.message": error
  })
  work.run.emit?.({ _tag: "RetryScheduled", ...onAttempt(work), delayMs, error, errorType: type, state })
}

export const circuitStateChanged = (work: Work, { from, key, to }: Transition): void => {
  GraphMetrics.circuitChanged(work.run.metricTarget, key, to)
  spanEvent(work.run, work.span, "circuit", { "circuit.key": key, "circuit.from": from, "circuit.to": to })
  work.run.emit?.({ _tag: "CircuitStateChanged", ...onWork(work), key, from, to })
}
