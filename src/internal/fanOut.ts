/**
 * Step 4: what a node launches. `State, PlanEdge[] -> Flow[]`, in declared order.
 */
import type * as RunState from "../RunState.ts"
import { interrupted, type Line } from "./cells.ts"
import { startTime } from "./complete.ts"
import { start } from "./flow.ts"
import { Places } from "./places.ts"
import type { PlanEdge, PlanNode, State } from "./plan.ts"
import { type Item, MapProducer } from "./produce.ts"
import { monotonicMs } from "./time.ts"
import { Flow, Join } from "./work.ts"

export const launch = (line: Line, node: PlanNode): void => {
  const { launches } = node
  const flows: Array<Flow> = []
  const producers: Array<MapProducer> = []
  const places = placesOf(line, node)
  const launched = `${line.flow?.round ?? ""}${node.name}#${line.visitsOf(node)}`
  for (let i = 0; i < launches.length; i++) {
    const edge = launches[i]!
    const { fanIn, map } = edge
    const join = joinOf(line, fanIn)
    const own = places?.get(fanIn)
    // Results are in the order of launch, then declaration, then item.
    const rank = line.steps * 1_000_000 + i
    if (join.launches++ === 0) startTime(line, join, monotonicMs(line.run.clock))
    if (map === undefined) {
      flows.push(enlist(new Flow(line, edge, line.run.configOf(edge), join, own, launched, rank, undefined)))
      continue
    }
    producers.push(producerOf(line, node, edge, join, own, launched, rank, line.state))
  }
  for (const flow of flows) start(flow)
  for (const producer of producers) producer.begin()
}

/** What launches the flows of a map. */
export const producerOf = (
  line: Line,
  node: PlanNode,
  edge: PlanEdge,
  join: Join,
  places: Places | undefined,
  launch: string,
  rank: number,
  state: State,
  resumed?: RunState.MapState
): MapProducer => {
  const of = join.launchOf(line, edge, launch, rank, () => state)
  const flowOf = (item: Item, config: Flow["config"]): Flow => {
    const mapped = { ...item, of }
    const flow = new Flow(line, edge, config, join, places, launch, rank, mapped)
    // The line may have gone on since the launch.
    flow.state = state
    return enlist(flow)
  }
  return new MapProducer({ line, node, edge, map: edge.map!, of, join, places, flowOf, state }, resumed)
}

const enlist = (flow: Flow): Flow => {
  const { join } = flow
  // The rule has been met meanwhile: what is launched for it now is not needed.
  if (join.completed !== undefined) flow.cancelled = interrupted(`the fan-in "${join.fanIn.name}" is complete`)
  join.add(flow)
  join.pending++
  return flow
}

const joinOf = (line: Line, fanIn: PlanNode): Join => {
  const known = line.open.find((join) => join.fanIn === fanIn)
  if (known !== undefined) return known
  const join = new Join(fanIn)
  line.open = [...line.open, join]
  return join
}

/** The smallest `concurrency` among the edges of one fan-out counts. */
export const placesOf = (line: Line, node: PlanNode): Map<PlanNode, Places> | undefined => {
  let sizes: Map<PlanNode, number> | undefined
  for (const edge of node.launches) {
    const { concurrency } = line.run.configOf(edge)
    if (concurrency === Infinity) continue
    sizes ??= new Map()
    sizes.set(edge.fanIn, Math.min(concurrency, sizes.get(edge.fanIn) ?? Infinity))
  }
  return sizes && new Map([...sizes].map(([fanIn, size]) => [fanIn, new Places(size)]))
}
