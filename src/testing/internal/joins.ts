/**
 * A fan-in joins each flow that was launched for it exactly once, in the order in which they were declared.
 */
import type * as GraphEvent from "../../GraphEvent.ts"
import type { Any as AnyResult } from "../../ParallelFlowResult.ts"
import type { Facts } from "./graphFacts.ts"
import { Flows, type RunEvents } from "./runEvents.ts"

/** A flow that has ended and was not joined. */
interface Settled {
  readonly branch: string
  readonly around: string | undefined
  readonly fanIn: string
  readonly result: AnyResult
}

export const joins = ({ events, resumed }: RunEvents, facts: Facts | undefined): ReadonlyArray<string> => {
  const found: Array<string> = []
  const flows = new Flows()
  let open: ReadonlyArray<Settled> = []
  /** What was launched by a line that begins anew is not joined any more. */
  const drop = (within: string) => {
    open = open.filter(({ branch }) => !branch.startsWith(`${within}/`))
  }
  const graphs = graphsIn(events)
  for (const event of events) {
    switch (event._tag) {
      case "FlowStarted":
        flows.note(event)
        break
      case "FlowCompleted": {
        const { branch, fanIn, result } = event
        drop(branch)
        flows.note(event)
        open = [...open, { branch, around: flows.around(event), fanIn, result }]
        break
      }
      case "FlowSuspended":
        drop(event.branch)
        break
      case "AttemptStarted":
        if (event.scope === "flow") drop(event.branch)
        else if (graphs.has(event.node)) drop(insideOf(event))
        break
      case "NodeStarted":
        if (graphs.has(event.node)) drop(insideOf(event))
        break
      case "FanInStarted": {
        const own = open.filter(({ around, fanIn }) => fanIn === event.node && around === event.branch)
        open = open.filter((settled) => !own.includes(settled))
        found.push(...joined(event, own, resumed), ...inOrder(event, own, facts))
        break
      }
      default:
    }
  }
  return found
}

/** Nodes that are graphs, as far as events tell. */
const graphsIn = (events: ReadonlyArray<GraphEvent.Any>): ReadonlySet<string> =>
  new Set(events.flatMap((event) => {
    const at = "fanIn" in event && event.fanIn !== undefined ? event.fanIn.lastIndexOf("/") : -1
    return at < 0 ? [] : [("fanIn" in event ? event.fanIn! : "").slice(0, at)]
  }))

/** What names of flows begin with in the graph that a node is. */
const insideOf = ({ branch, node }: { readonly branch?: string; readonly node: string }): string =>
  branch === undefined ? node : `${branch}/${node.slice(node.lastIndexOf("/") + 1)}`

const counted = (results: ReadonlyArray<AnyResult>): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { branch } of results) counts.set(branch, (counts.get(branch) ?? 0) + 1)
  return counts
}

const joined = (
  { node, results }: GraphEvent.FanInStarted<unknown, unknown>,
  own: ReadonlyArray<Settled>,
  resumed: boolean
): ReadonlyArray<string> => {
  const there = counted(results as ReadonlyArray<AnyResult>)
  const ended = counted(own.map(({ result }) => result))
  return [...new Set([...ended.keys(), ...there.keys()])].flatMap((branch) => {
    const joined = there.get(branch) ?? 0
    const settled = ended.get(branch) ?? 0
    if (joined < settled) return [`fan-in ${node} joins ${joined} of ${settled} results of flow ${branch}`]
    // Flows that had ended before a run was saved are joined after it is resumed.
    return joined > settled && !resumed
      ? [`fan-in ${node} joins ${joined} results of flow ${branch}, which has ended ${settled} times`]
      : []
  })
}

/** Within one launch: of several the order is known only if each edge is launched once. */
const inOrder = (
  { node, results }: GraphEvent.FanInStarted<unknown, unknown>,
  own: ReadonlyArray<Settled>,
  facts: Facts | undefined
): ReadonlyArray<string> => {
  const branchOf = new Map(own.map(({ branch, result }) => [result.branch, branch]))
  const last = new Map<string, { readonly order: number; readonly index: number; readonly branch: string }>()
  const repeated = new Set(results.map(({ branch }) => branch)).size < results.length
  if (facts === undefined || repeated) return []
  return results.flatMap(({ branch, index = -1 }) => {
    const launch = facts.flow(branchOf.get(branch) ?? branch, node)?.launch
    if (launch === undefined) return []
    const before = last.get(launch.from)
    last.set(launch.from, { order: launch.order, index, branch })
    const isAfter = before === undefined || before.order < launch.order ||
      before.order === launch.order && before.index < index
    return isAfter ? [] : [`fan-in ${node} joins flow ${branch} after flow ${before.branch}, it was declared before it`]
  })
}
