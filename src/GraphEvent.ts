/**
 * Everything that happens in a run, as one tagged union.
 *
 * Every start has exactly one end, also under interruption:
 *
 * | start | ends with exactly one of |
 * |---|---|
 * | `GraphStarted` | `GraphCompleted`, `GraphFailed`, `GraphSuspended` |
 * | `NodeStarted` | `NodeCompleted`, `NodeFailed`, `NodeInterrupted` |
 * | `FlowStarted` | `FlowCompleted`, `FlowSuspended` |
 * | `AttemptStarted` | `AttemptSucceeded`, `AttemptFailed`, `FlowTimedOut`, `AttemptInterrupted` |
 * | `FanInStarted` | `FanInCompleted`, or `NodeFailed` / `NodeInterrupted` of the fan-in |
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type { CircuitState } from "./CircuitBreaker.ts"
import type { ParallelFlowResult } from "./ParallelFlowResult.ts"
import type { Pending } from "./RunState.ts"

/**
 * What every event has.
 *
 * @category models
 * @since 0.1.0
 */
export interface Base {
  readonly runId: string
  readonly graph: string
  /** Epoch milliseconds. */
  readonly at: number
}

/**
 * Where on the graph's lines an event happened.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnLine extends Base {
  /** The flow, as names from the outermost inwards joined by `/`; absent on the main line. */
  readonly branch?: string
  /** The fan-in that joins that flow; for events of a fan-in node, the fan-in itself. */
  readonly fanIn?: string
  /** The attempt of that flow, 1-based; absent on the main line. */
  readonly attempt?: number
}

/**
 * An event of one node.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnNode extends OnLine {
  readonly node: string
}

/**
 * An event of one flow.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnFlow extends Base {
  readonly branch: string
  readonly fanIn: string
}

/**
 * What an attempt belongs to: a flow, or a single node with a policy of its own, on whatever line that is.
 *
 * @category models
 * @since 0.1.0
 */
export type OfWork = (OnFlow & { readonly scope: "flow" }) | (Omit<OnNode, "attempt"> & { readonly scope: "node" })

/**
 * An event of one attempt, 1-based.
 *
 * @category models
 * @since 0.1.0
 */
export type OnAttempt = OfWork & { readonly attempt: number }

/**
 * How an event tells of an error.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithError {
  /** The error's message. */
  readonly error: string
  readonly errorType: string
  readonly cause: Cause.Cause<unknown>
}

/**
 * The run began; its input was valid.
 *
 * @category run events
 * @since 0.1.0
 */
export interface GraphStarted<S> extends Base {
  readonly _tag: "GraphStarted"
  readonly state: S
}

/**
 * The run ended well.
 *
 * @category run events
 * @since 0.1.0
 */
export interface GraphCompleted<S> extends Base {
  readonly _tag: "GraphCompleted"
  readonly state: S
}

/**
 * The run failed, died, or was interrupted (`errorType` is then `"InterruptedError"`).
 *
 * @category run events
 * @since 0.1.0
 */
export interface GraphFailed extends Base, WithError {
  readonly _tag: "GraphFailed"
}

/**
 * The run waits for somebody, and ends until it is resumed. Without a `thread` it has no checkpoint and cannot be.
 *
 * @category run events
 * @since 0.1.0
 */
export interface GraphSuspended<S> extends Base {
  readonly _tag: "GraphSuspended"
  readonly checkpointId?: string
  readonly pending: ReadonlyArray<Pending>
  readonly state: S
}

/**
 * The run was saved.
 *
 * @category run events
 * @since 0.1.0
 */
export interface CheckpointSaved extends Base {
  readonly _tag: "CheckpointSaved"
  readonly id: string
}

/**
 * A node began.
 *
 * @category node events
 * @since 0.1.0
 */
export interface NodeStarted extends OnNode {
  readonly _tag: "NodeStarted"
}

/**
 * A node completed; `state` is the state with its `update` merged in.
 *
 * @category node events
 * @since 0.1.0
 */
export interface NodeCompleted<S> extends OnNode {
  readonly _tag: "NodeCompleted"
  /** The update is the node's `fallback`. */
  readonly usedFallback?: true
  readonly state: S
  readonly update: { readonly [K in keyof S]?: S[K] | undefined }
}

/**
 * A node failed or died.
 *
 * @category node events
 * @since 0.1.0
 */
export interface NodeFailed extends OnNode, WithError {
  readonly _tag: "NodeFailed"
}

/**
 * A node was interrupted, or was abandoned because it would not stop.
 *
 * @category node events
 * @since 0.1.0
 */
export interface NodeInterrupted extends OnNode {
  readonly _tag: "NodeInterrupted"
}

/**
 * What a node told about its progress with `ctx.emit`.
 *
 * @category node events
 * @since 0.1.0
 */
export interface NodeProgress<P> extends OnNode {
  readonly _tag: "NodeProgress"
  readonly value: P
}

/**
 * A flow has its place and its first permission, and begins with its launch state.
 *
 * @category flow events
 * @since 0.1.0
 */
export interface FlowStarted<S> extends OnFlow {
  readonly _tag: "FlowStarted"
  readonly state: S
}

/**
 * A flow ended, also one that never started.
 *
 * @category flow events
 * @since 0.1.0
 */
export interface FlowCompleted<S, E> extends OnFlow {
  readonly _tag: "FlowCompleted"
  readonly result: ParallelFlowResult<S, E>
}

/**
 * A flow that has started waits for somebody; when its run is resumed it starts again.
 *
 * @category flow events
 * @since 0.1.0
 */
export interface FlowSuspended extends OnFlow {
  readonly _tag: "FlowSuspended"
  readonly pending: ReadonlyArray<Pending>
}

/**
 * A circuit, or a limit, refused an attempt: one of the two says which.
 *
 * @category flow events
 * @since 0.1.0
 */
export type FlowRejected = OfWork & {
  readonly _tag: "FlowRejected"
  readonly circuit?: { readonly key: string; readonly state: CircuitState; readonly retryAfterMs: number }
  readonly limit?: { readonly key: string; readonly permits: number; readonly queue: number }
}

/**
 * An attempt began.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type AttemptStarted = OnAttempt & {
  readonly _tag: "AttemptStarted"
}

/**
 * An attempt reached its end.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type AttemptSucceeded = OnAttempt & {
  readonly _tag: "AttemptSucceeded"
  readonly timingMs: number
}

/**
 * An attempt failed or died; `state` is the state after its last completed node.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type AttemptFailed<S> = OnAttempt & WithError & {
  readonly _tag: "AttemptFailed"
  readonly state: S
  readonly timingMs: number
}

/**
 * A limit was reached: of the attempt, or of the whole flow. One of kind `"total"` during a wait ends no attempt.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type FlowTimedOut<S> = OnAttempt & {
  readonly _tag: "FlowTimedOut"
  readonly timeoutMs: number
  readonly timeoutKind: "attempt" | "total"
  readonly state: S
}

/**
 * An attempt was interrupted from outside.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type AttemptInterrupted = OnAttempt & {
  readonly _tag: "AttemptInterrupted"
}

/**
 * Another attempt follows after a wait of `delayMs`; `attempt` is the one that failed.
 *
 * @category attempt events
 * @since 0.1.0
 */
export type RetryScheduled<S> = OnAttempt & {
  readonly _tag: "RetryScheduled"
  readonly delayMs: number
  readonly error: string
  readonly errorType: string
  readonly state: S
}

/**
 * A fan-in has all its results and begins.
 *
 * @category fan-in events
 * @since 0.1.0
 */
export interface FanInStarted<S, E> extends OnNode {
  readonly _tag: "FanInStarted"
  readonly results: ReadonlyArray<ParallelFlowResult<S, E>>
}

/**
 * A fan-in completed; comes after its `NodeCompleted`.
 *
 * @category fan-in events
 * @since 0.1.0
 */
export interface FanInCompleted extends OnNode {
  readonly _tag: "FanInCompleted"
}

/**
 * A flow, or a node with a policy, of this run moved a circuit to another state.
 *
 * @category circuit events
 * @since 0.1.0
 */
export type CircuitStateChanged = OfWork & {
  readonly _tag: "CircuitStateChanged"
  readonly key: string
  readonly from: CircuitState
  readonly to: CircuitState
}

/**
 * Everything that happens in a run, of a graph with state `S`, errors `E` and progress values `P`.
 *
 * @category models
 * @since 0.1.0
 */
export type GraphEvent<S, E = never, P = unknown> =
  | GraphStarted<S>
  | GraphCompleted<S>
  | GraphFailed
  | GraphSuspended<S>
  | CheckpointSaved
  | NodeStarted
  | NodeCompleted<S>
  | NodeFailed
  | NodeInterrupted
  | NodeProgress<P>
  | FlowStarted<S>
  | FlowCompleted<S, E>
  | FlowSuspended
  | FlowRejected
  | AttemptStarted
  | AttemptSucceeded
  | AttemptFailed<S>
  | FlowTimedOut<S>
  | AttemptInterrupted
  | RetryScheduled<S>
  | FanInStarted<S, E>
  | FanInCompleted
  | CircuitStateChanged

/**
 * An event of any graph.
 *
 * @category models
 * @since 0.1.0
 */
export type Any = GraphEvent<Readonly<Record<string, unknown>>, unknown>
