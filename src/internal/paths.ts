/**
 * Every way a line can go through a plan: the static counterpart of `walk.ts`. A line's whereabouts are a node and the
 * fan-ins it still has to join, so these pairs are explored, not nodes alone.
 */
import { END, type PlanEdge, type PlanNode, type Position } from "./plan.ts"

/** What exploring one line found. */
export interface Paths {
  readonly visited: ReadonlySet<PlanNode>
  readonly launched: ReadonlySet<PlanEdge>
  /** Nodes from which neither an end nor the line's fan-in can be reached. */
  readonly trapped: ReadonlySet<PlanNode>
  /** Whether the line can reach an end (or its own fan-in) at all. */
  readonly arrives: boolean
  /** Node after which the line can end while flows for these fan-ins are open. */
  readonly endsPast: ReadonlyMap<PlanNode, ReadonlySet<PlanNode>>
  /** The fan-ins that the line goes to from nodes without a way out. */
  readonly joins: ReadonlyMap<PlanNode, ReadonlySet<PlanNode>>
}

interface Spot {
  readonly at: PlanNode
  readonly open: ReadonlyArray<PlanNode>
  readonly previous: Array<Spot>
  arrives: boolean
}

/** The nodes that run in a node's place when it fails, each when the one before has failed too. */
export const standIns = (node: PlanNode): ReadonlySet<PlanNode> => {
  const found = new Set<PlanNode>()
  for (let at = node.fallback; at?._tag === "Node" && !found.has(at.node); at = at.node.fallback) found.add(at.node)
  return found
}

/** Every way a flow can go, its fallback included. */
export const exploreFlow = ({ fallback, fanIn, to }: PlanEdge): Paths => {
  const paths = explore(to, fanIn)
  if (fallback?._tag !== "Node") return paths
  const other = explore(fallback.node, fanIn)
  return {
    visited: new Set([...paths.visited, ...other.visited]),
    launched: new Set([...paths.launched, ...other.launched]),
    trapped: new Set([...paths.trapped, ...other.trapped]),
    arrives: paths.arrives && other.arrives,
    endsPast: both(paths.endsPast, other.endsPast),
    joins: both(paths.joins, other.joins)
  }
}

const both = (a: Paths["joins"], b: Paths["joins"]): Paths["joins"] => {
  const all = new Map(a)
  for (const [node, fanIns] of b) all.set(node, new Set([...all.get(node) ?? [], ...fanIns]))
  return all
}

/** Beyond this many pairs the graph is taken as sound; the engine still fails loudly at run time. */
const limit = 20_000

/** Of several open fan-ins a line joins the first declared. */
export const firstDeclared = (open: ReadonlyArray<PlanNode>): PlanNode | undefined =>
  open.reduce<PlanNode | undefined>(
    (first, node) => first === undefined || node.index < first.index ? node : first,
    undefined
  )

export const explore = (start: PlanNode, bound: PlanNode | undefined): Paths => {
  const spots = new Map<string, Spot>()
  const visited = new Set<PlanNode>()
  const launched = new Set<PlanEdge>()
  const endsPast = new Map<PlanNode, Set<PlanNode>>()
  const joins = new Map<PlanNode, Set<PlanNode>>()
  const arrivals: Array<Spot> = []
  const queue: Array<Spot> = []

  const enter = (at: PlanNode, open: ReadonlyArray<PlanNode>, from: Spot | undefined): void => {
    const key = `${at.index}:${open.map((node) => node.index).join(",")}`
    let spot = spots.get(key)
    if (spot === undefined) {
      if (spots.size >= limit) {
        if (from !== undefined) arrivals.push(from)
        return
      }
      spot = { at, open, previous: [], arrives: false }
      spots.set(key, spot)
      queue.push(spot)
    }
    if (from !== undefined) spot.previous.push(from)
  }

  const leave = (spot: Spot, to: Position, open: ReadonlyArray<PlanNode>): void => {
    if (to !== END && to !== bound) return enter(to, open, spot)
    arrivals.push(spot)
    if (open.length > 0) endsPast.set(spot.at, new Set([...endsPast.get(spot.at) ?? [], ...open]))
  }

  enter(start, [], undefined)
  for (let spot = queue.pop(); spot !== undefined; spot = queue.pop()) {
    const { at } = spot
    visited.add(at)
    for (const other of standIns(at)) visited.add(other)
    const open = new Set(spot.open)
    open.delete(at)
    for (const edge of at.launches) {
      launched.add(edge)
      open.add(edge.fanIn)
    }
    const left = [...open].sort((a, b) => a.index - b.index)
    switch (at.way._tag) {
      case "Edge":
        leave(spot, at.way.to, left)
        break
      case "Condition":
        for (const to of at.way.targets.values()) leave(spot, to, left)
        break
      case "None": {
        const join = firstDeclared(left)
        const to = join ?? bound
        if (to !== undefined) joins.set(at, new Set([...joins.get(at) ?? [], to]))
        if (join !== undefined) enter(join, left, spot)
        else if (bound !== undefined) arrivals.push(spot)
      }
    }
  }

  const back = [...arrivals]
  for (let spot = back.pop(); spot !== undefined; spot = back.pop()) {
    if (spot.arrives) continue
    spot.arrives = true
    back.push(...spot.previous)
  }
  const trapped = new Set([...spots.values()].filter((spot) => !spot.arrives).map((spot) => spot.at))
  return { visited, launched, trapped, arrives: arrivals.length > 0, endsPast, joins }
}
