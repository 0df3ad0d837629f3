/**
 * The spine: the one place where what happens in a run becomes an event.
 *
 * Each function here first asks whether anybody listens; without a listener no event is built.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import type { CircuitOpenError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import type { Flow, Line, Run } from "./cells.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import type { PlanNode, State } from "./plan.ts"

const base = (run: Run) => ({ runId: run.runId, graph: run.plan.name, at: run.clock.currentTimeMillisUnsafe() })

const withError = (cause: Cause.Cause<unknown>): GraphEvent.WithError => {
  if (Cause.hasInterruptsOnly(cause)) return { error: "interrupted", errorType: "InterruptedError", cause }
  const error = primaryError(cause)
  return { error: errorMessage(error), errorType: errorType(error), cause }
}

export const graphStarted = (run: Run, state: State): void => run.emit?.({ _tag: "GraphStarted", ...base(run), state })

export const graphCompleted = (run: Run, state: State): void =>
  run.emit?.({ _tag: "GraphCompleted", ...base(run), state })

export const graphFailed = (run: Run, cause: Cause.Cause<unknown>): void =>
  run.emit?.({ _tag: "GraphFailed", ...base(run), ...withError(cause) })

const onNode = (line: Line, node: PlanNode) => {
  const at = { ...base(line.run), node: node.name }
  if (line.flow === undefined) return node.kind === "fanIn" ? { ...at, fanIn: node.name } : at
  const fanIn = node.kind === "fanIn" ? node.name : line.flow.edge.fanIn.name
  return { ...at, branch: line.flow.branch, fanIn, attempt: line.attempt }
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

const onFlow = (flow: Flow) => ({ ...base(flow.run), branch: flow.branch, fanIn: flow.edge.fanIn.name })

const onAttempt = (flow: Flow) => ({ ...onFlow(flow), attempt: flow.attempts, scope: "flow" as const })

export const flowStarted = (flow: Flow): void =>
  flow.run.emit?.({ _tag: "FlowStarted", ...onFlow(flow), state: flow.state })

export const flowCompleted = (flow: Flow, result: AnyResult): void =>
  flow.run.emit?.({ _tag: "FlowCompleted", ...onFlow(flow), result })

export const flowRejected = (flow: Flow, error: CircuitOpenError): void =>
  flow.run.emit?.({
    _tag: "FlowRejected",
    ...onFlow(flow),
    circuit: { key: error.key, state: error.circuitState, retryAfterMs: Duration.toMillis(error.retryAfter) }
  })

export const attemptStarted = (flow: Flow): void => flow.run.emit?.({ _tag: "AttemptStarted", ...onAttempt(flow) })

export const attemptSucceeded = (flow: Flow, timingMs: number): void =>
  flow.run.emit?.({ _tag: "AttemptSucceeded", ...onAttempt(flow), timingMs })

export const attemptFailed = (flow: Flow, cause: Cause.Cause<unknown>, state: State, timingMs: number): void => {
  if (flow.run.emit === undefined) return
  flow.run.emit({ _tag: "AttemptFailed", ...onAttempt(flow), ...withError(cause), state, timingMs })
}

export const flowTimedOut = (flow: Flow, timeoutMs: number, timeoutKind: "attempt" | "total", state: State): void =>
  flow.run.emit?.({ _tag: "FlowTimedOut", ...onAttempt(flow), timeoutMs, timeoutKind, state })

export const attemptInterrupted = (flow: Flow): void =>
  flow.run.emit?.({ _tag: "AttemptInterrupted", ...onAttempt(flow) })

export const retryScheduled = (flow: Flow, delayMs: number, error: string, type: string, state: State): void =>
  flow.run.emit?.({ _tag: "RetryScheduled", ...onAttempt(flow), delayMs, error, errorType: type, state })

export const circuitStateChanged = (
  flow: Flow,
  transition: {
    readonly key: string
    readonly from: "CLOSED" | "OPEN" | "HALF_OPEN"
    readonly to: "CLOSED" | "OPEN" | "HALF_OPEN"
  }
): void =>
  flow.run.emit?.({
    _tag: "CircuitStateChanged",
    ...onFlow(flow),
    key: transition.key,
    from: transition.from,
    to: transition.to
  })
