/**
 * What a node is told beside the state: who it is and where it runs.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Completion } from "./Completion.ts"
import type { ParallelFlowResult } from "./ParallelFlowResult.ts"

/**
 * The second argument of every node.
 *
 * **Details**
 *
 * `branch` is absent on the main line. `attempt` is 1-based, of the innermost retry around the node. `item` and `index`
 * are those of a mapped flow. `idempotencyKey` is stable for run, branch, node and visit number: the same in every attempt
 * of that visit, another in the next round of a loop. `emit` tells of progress while the node runs (tokens of a model, rows
 * done): a `NodeProgress` event, typed by the graph's `progress` schema; a value that does not fit is dropped with a
 * warning. It never waits, and costs nothing when nobody listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeContext<out Item = unknown, in Progress = never> {
  readonly graph: string
  readonly node: string
  readonly runId: string
  readonly thread: string | undefined
  readonly branch: string | undefined
  readonly attempt: number
  readonly item: Item
  readonly index: number | undefined
  readonly idempotencyKey: string
  readonly emit: (value: Progress) => Effect.Effect<void>
}

/**
 * The second argument of a fan-in node: a {@link NodeContext} with the results of the flows it joins, in order of launch,
 * then declaration.
 *
 * @category models
 * @since 0.1.0
 */
export interface FanInContext<S, E, in P = never> extends NodeContext<undefined, P> {
  readonly parallelResults: ReadonlyArray<ParallelFlowResult<S, E>>
  /** Why the fan-in runs now, and how many flows did what. */
  readonly completion: Completion
}

/**
 * The context of the node that is running, for helpers deep in the stack; `undefined` outside of a node.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentNode: Context.Reference<NodeContext<unknown, unknown> | undefined> = Context.Reference<
  NodeContext<unknown, unknown> | undefined
>("effect-stategraph/CurrentNode", { defaultValue: () => undefined })
