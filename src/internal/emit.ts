/**
 * The spine: the one place where what happens in a run becomes an event, a span's event, a metric.
 *
 * Without a listener no event is built.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Transition } from "../CircuitBreakerRegistry.ts"
import type { CircuitOpenError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import * as GraphMetrics from "../GraphMetrics.ts"
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import { branchOf, type Flow, type Line, type Run } from "./cells.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import type { PlanNode, State } from "./plan.ts"
import { endSpan, spanEvent } from "./span.ts"

const base = (run: Run) => ({ runId: run.runId, graph: run.plan.name, at: run.clock.currentTimeMillisUnsafe() })

const withError = (cause: Cause.Cause<unknown>): GraphEvent.WithError => {
  if (Cause.hasInterruptsOnly(cause)) return { error: "interrupted", errorType: "InterruptedError", cause }
  const error = primaryError(cause)
  return { error: errorMessage(error), errorType: errorType(error), cause }
}

// A graph that is a node begins and ends as that node does.

export const graphStarted = (run: Run, state: State): void => {
  if (run.inside === undefined) run.emit?.({ _tag: "GraphStarted", ...base(run), state })
}

export const graphCompleted = (run: Run, state: State): void => {
  if (run.inside === undefined) run.emit?.({ _tag: "GraphCompleted", ...base(run), state })
}

export const graphFailed = (run: Run, cause: Cause.Cause<unknown>): void => {
  if (run.inside === undefined) run.emit?.({ _tag: "GraphFailed", ...base(run), ...withError(cause) })
}

const pathOf = ({ inside }: Run, node: PlanNode): string =>
  inside === undefined ? node.name : `${inside.nodes}${node.name}`

const onNode = ({ attempt, flow, run }: Line, node: PlanNode) => {
  const { inside } = run
  const at = { ...base(run), node: pathOf(run, node) }
  if (flow !== undefined) {
    return {
      ...at,
      branch: branchOf(flow),
      fanIn: pathOf(run, node.kind === "fanIn" ? node : flow.edge.fanIn),
      attempt
    }
  }
  const own = node.kind === "fanIn" ? { ...at, fanIn: pathOf(run, node) } : at
  if (inside?.branch === undefined) return own
  return { fanIn: inside.fanIn!, ...own, branch: inside.branch, attempt: inside.attempt! }
}

export const nodeStarted = (line: Line, node: PlanNode): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "NodeStarted", ...onNode(line, node) })
}

export const nodeCompleted = (line: Line, node: PlanNode, update: object): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "NodeCompleted", ...onNode(line, node), state: line.state, update: update as State })
}

export const nodeFailed = (line: Line, node: PlanNode, cause: Cause.Cause<unknown>): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "NodeFailed", ...onNode(line, node), ...withError(cause) })
}

export const nodeInterrupted = (line: Line, node: PlanNode): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "NodeInterrupted", ...onNode(line, node) })
}

export const fanInStarted = (line: Line, node: PlanNode, results: ReadonlyArray<AnyResult>): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "FanInStarted", ...onNode(line, node), results })
}

export const fanInCompleted = (line: Line, node: PlanNode): void => {
  if (line.run.emit === undefined || line.muted) return
  line.run.emit({ _tag: "FanInCompleted", ...onNode(line, node) })
}

export const nodeProgress = (line: Line, node: PlanNode, value: unknown): void => {
  if (line.run.emit === undefined || line.muted || line.ended) return
  line.run.emit({ _tag: "NodeProgress", ...onNode(line, node), value })
}

const onFlow = (flow: Flow) => ({
  ...base(flow.run),
  branch: branchOf(flow),
  fanIn: pathOf(flow.run, flow.edge.fanIn)
})

const onAttempt = (flow: Flow) => ({ ...onFlow(flow), attempt: flow.attempts, scope: "flow" as const })

export const flowStarted = (flow: Flow): void => {
  flow.run.metrics.started(flow.run.context)
  flow.run.emit?.({ _tag: "FlowStarted", ...onFlow(flow), state: flow.state })
}

export const flowCompleted = (flow: Flow, result: AnyResult): void => {
  const { run, span } = flow
  run.metrics.branch(flow.family).ended(
    run.context,
    result._tag,
    result.attempts > 0 ? result.timingMs / 1000 : undefined
  )
  if (span !== undefined) {
    span.attribute("flow.outcome", result._tag)
    span.attribute("flow.retry_count", result.retryCount)
    if (result.circuitState !== undefined) span.attribute("circuit.state", result.circuitState)
    endSpan(run, span, result.success ? Exit.void : Exit.failCause(result.cause))
  }
  run.emit?.({ _tag: "FlowCompleted", ...onFlow(flow), result })
}

export const flowRejected = (flow: Flow, { circuitState: state, key, retryAfter }: CircuitOpenError): void => {
  spanEvent(flow.run, flow.span, "rejected", { "circuit.key": key, "circuit.state": state })
  flow.run.emit?.({
    _tag: "FlowRejected",
    ...onFlow(flow),
    circuit: { key, state, retryAfterMs: Duration.toMillis(retryAfter) }
  })
}

export const attemptStarted = (flow: Flow): void => flow.run.emit?.({ _tag: "AttemptStarted", ...onAttempt(flow) })

export const attemptSucceeded = (flow: Flow, timingMs: number): void =>
  flow.run.emit?.({ _tag: "AttemptSucceeded", ...onAttempt(flow), timingMs })

export const attemptFailed = (flow: Flow, cause: Cause.Cause<unknown>, state: State, timingMs: number): void =>
  flow.run.emit?.({ _tag: "AttemptFailed", ...onAttempt(flow), ...withError(cause), state, timingMs })

export const flowTimedOut = (flow: Flow, timeoutMs: number, timeoutKind: "attempt" | "total", state: State): void => {
  spanEvent(flow.run, flow.span, "timeout", {
    "flow.attempt": flow.attempts,
    "timeout.ms": timeoutMs,
    "timeout.kind": timeoutKind
  })
  flow.run.emit?.({ _tag: "FlowTimedOut", ...onAttempt(flow), timeoutMs, timeoutKind, state })
}

export const attemptInterrupted = (flow: Flow): void =>
  flow.run.emit?.({ _tag: "AttemptInterrupted", ...onAttempt(flow) })

export const retryScheduled = (flow: Flow, delayMs: number, error: string, type: string, state: State): void => {
  flow.run.metrics.branch(flow.family).retried(flow.run.context)
  spanEvent(flow.run, flow.span, "retry", {
    "flow.attempt": flow.attempts,
    "retry.delay_ms": delayMs,
    "error.message": error
  })
  flow.run.emit?.({ _tag: "RetryScheduled", ...onAttempt(flow), delayMs, error, errorType: type, state })
}

export const circuitStateChanged = (flow: Flow, { from, key, to }: Transition): void => {
  GraphMetrics.circuitChanged(flow.run.context, key, to)
  spanEvent(flow.run, flow.span, "circuit", { "circuit.key": key, "circuit.from": from, "circuit.to": to })
  flow.run.emit?.({ _tag: "CircuitStateChanged", ...onFlow(flow), key, from, to })
}
