/**
 * What a test kit puts around the functions of nodes. A run asks once whether there is anything, when it begins.
 */
import * as Context from "effect/Context"
import type { NodeContext } from "../NodeContext.ts"

/** One execution of a node. */
export interface Execution {
  /** What the node is told. */
  readonly ctx: NodeContext<unknown, unknown>
  /** The node as events name it: after the nodes that the graphs around it are. */
  readonly node: string
  /** Tells it from all others of its run, and is the same when the run is made again. */
  readonly key: string
}

/** Stands in for a node's function, which `run` calls. */
export type Interceptor = (execution: Execution, run: () => unknown) => unknown

export const CurrentInterceptor: Context.Reference<Interceptor | undefined> = Context.Reference<
  Interceptor | undefined
>("effect-stategraph/internal/CurrentInterceptor", { defaultValue: () => undefined })
