/**
 * What a fan-in without a function does: puts what its successful flows set into the state, key by key.
 */
import * as Exit from "effect/Exit"
import { MergeConflictError } from "../GraphError.ts"
import type { Line } from "./cells.ts"
import type { PlanNode, State } from "./plan.ts"
import { Flow, type Join } from "./work.ts"

/** The update; a conflict, or what a reducer threw, is a failure. */
export const mergeFlows = (
  line: Line,
  node: PlanNode,
  join: Join
): Exit.Exit<State, MergeConflictError> => {
  const { plan } = line.run
  // What has set nothing has left its result only.
  const flows = join.inOrder().filter((entry) => entry instanceof Flow)
  const update: Record<string, unknown> = {}
  const setBy = new Map<string, string>()
  for (const flow of flows) {
    const { result, written } = flow
    if (result?.success !== true || written === undefined) continue
    for (const key of written) {
      const value = result.state[key]
      const reduce = plan.reducers.get(key)
      if (reduce === undefined) {
        const other = setBy.get(key)
        if (other !== undefined) return Exit.fail(conflict(line, node, flows, key))
        setBy.set(key, flow.branch)
        update[key] = value
      } else if (value !== undefined) {
        const current = Object.hasOwn(update, key) ? update[key] : line.state[key]
        try {
          // Nothing to put it together with: the first value is the value.
          update[key] = current === undefined ? value : reduce(current, value)
        } catch (defect) {
          return Exit.die(defect)
        }
      }
    }
  }
  return Exit.succeed(update)
}

const conflict = (line: Line, node: PlanNode, flows: ReadonlyArray<Flow>, key: string): MergeConflictError =>
  new MergeConflictError({
    graph: line.run.plan.name,
    node: node.name,
    ...(line.flow === undefined ? {} : { branch: line.flow.branch }),
    key,
    branches: flows.filter((flow) => flow.result?.success === true && flow.written?.has(key)).map(({ branch }) =>
      branch
    )
  })
