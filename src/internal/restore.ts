/**
 * Data to cells: a saved run continued where it stood. The counterpart of `capture.ts`.
 */
import * as Result from "effect/Result"
import type * as RunState from "../RunState.ts"
import { restoreAttempts } from "./attempts.ts"
import type { Line } from "./cells.ts"
import { Misfit } from "./codecs.ts"
import type { Compiled } from "./compiled.ts"
import { startTime } from "./complete.ts"
import { placesOf, producerOf } from "./fanOut.ts"
import { start } from "./flow.ts"
import type { Places } from "./places.ts"
import { END, type Plan, type PlanEdge, type PlanNode, type Position, START } from "./plan.ts"
import type { MapProducer } from "./produce.ts"
import type { Session } from "./session.ts"
import { monotonicMs } from "./time.ts"
import { Flow, Join, type MapLaunch, type Mapped } from "./work.ts"

/** Thrown for what the graph does not have any more. */
export class Gone extends Error {}

const nodeOf = (plan: Plan, name: string): PlanNode => {
  const node = name === START ? plan.start : plan.nodes.get(name)
  if (node === undefined) throw new Gone(`the graph has no node "${name}" any more`)
  return node
}

const positionOf = (plan: Plan, name: string): Position => name === END ? END : nodeOf(plan, name)

const fanInOf = (plan: Plan, name: string): PlanNode => {
  const node = nodeOf(plan, name)
  if (node.kind !== "fanIn") throw new Gone(`node "${name}" of the graph is no fan-in any more`)
  return node
}

const edgeOf = (
  plan: Plan,
  { from, name }: { readonly from: string; readonly name: string },
  fanIn: PlanNode
): PlanEdge => {
  const edge = nodeOf(plan, from).launches.find((edge) => edge.name === name && edge.fanIn === fanIn)
  if (edge === undefined) {
    throw new Gone(`the graph has no parallel edge "${name}" from "${from}" to fan-in "${fanIn.name}" any more`)
  }
  return edge
}

/** Throws a `Gone` or a `Misfit` for what a graph cannot continue, before anything of it runs. */
export const checkLine = (
  compiled: Pick<Compiled, "codecs" | "plan">,
  saved: RunState.LineState,
  where: string
): void => {
  const { codecs, plan } = compiled
  codecs.decodeState(saved.state, `${where}.state`)
  const at = positionOf(plan, saved.at)
  if (saved.insteadOf !== undefined) nodeOf(plan, saved.insteadOf)
  if (saved.inner !== undefined) {
    const inner = at === END ? undefined : at.subgraph
    if (inner === undefined) throw new Gone(`node "${saved.at}" of the graph is no graph any more`)
    checkLine(inner.compiled, saved.inner, `${where}.inner`)
  }
  saved.joins.forEach((join, i) => {
    const fanIn = fanInOf(plan, join.fanIn)
    join.flows.forEach((flow, j) => {
      const edge = edgeOf(plan, flow, fanIn)
      const path = `${where}.joins[${i}].flows[${j}]`
      codecs.decodeState(flow.state, `${path}.state`)
      if (flow.key !== undefined) codecs.item(edge).decode(flow.item, `${path}.item`)
      if (flow.result !== undefined) codecs.result(edge).decode(flow.result, `${path}.result`)
      if (flow.line !== undefined) checkLine(compiled, flow.line, `${path}.line`)
    })
    join.maps.forEach((map, j) => {
      const edge = edgeOf(plan, map, fanIn)
      if (edge.map === undefined) {
        throw new Gone(`the parallel edge "${edge.name}" from "${edge.from}" of the graph is no map any more`)
      }
      const path = `${where}.joins[${i}].maps[${j}]`
      codecs.decodeState(map.state, `${path}.state`)
      map.items?.forEach((item, k) => codecs.item(edge).decode(item, `${path}.items[${k}]`))
    })
  })
}

/** Puts a line where it stood. What was open on it starts in its first turn. */
export const restoreLine = (line: Line, saved: RunState.LineState): void => {
  const { codecs, plan } = line.run
  line.state = codecs.decodeState(saved.state, "state")
  line.position = positionOf(plan, saved.at)
  line.phase = saved.phase
  line.steps = saved.steps
  const visits = new Map(saved.visits.flatMap(([name, count]) => {
    const node = plan.nodes.get(name) ?? (name === START ? plan.start : undefined)
    return node === undefined ? [] : [[node, count] as const]
  }))
  if (visits.size > 0) {
    line.first = visits.keys().next().value
    line.visits = visits
  }
  if (saved.insteadOf !== undefined) line.rarely.insteadOf = nodeOf(plan, saved.insteadOf)
  if (saved.usedFallback) line.rarely.usedFallback = true
  if (saved.passed) line.said.passed = true
  if (saved.written !== undefined) line.rarely.written = new Set(saved.written)
  if (saved.answers !== undefined) line.said.answers = new Map(saved.answers)
  goOn(line, saved)
  const joins = saved.joins.map((join) => restoreJoin(line, join))
  line.open = joins.map(({ join }) => join)
  const begin = (): void => {
    for (const { flows } of joins) for (const flow of flows) start(flow)
    for (const { producers } of joins) for (const producer of producers) producer.begin()
    // Last: it may be up, and cuts the flows that are there.
    for (const { join } of joins) startTime(line, join, join.startedAt)
    if (line.dialog?.pending !== undefined) line.run.session.parks()
  }
  line.continued = { call: saved.call, inner: saved.inner, begin }
}

/** What a line waited for is open still; but for questions that there are answers to now. */
const goOn = (line: Line, { at, pending }: RunState.LineState): void => {
  if (pending === undefined) return
  const { plan, session } = line.run
  const offers = session.offers(pending)
  if (offers.size > 0) {
    line.said.offered = offers
    line.said.asked = pending
  }
  if (isStill(pending, positionOf(plan, at), session)) line.said.pending = pending
}

/** Whether a line waits on where it waited when it was saved. */
const isStill = (pending: ReadonlyArray<RunState.Pending>, at: Position, session: Session): boolean =>
  pending.every(({ when }) =>
    when === "asked"
      ? session.offers(pending).size === 0
      : at !== END && at.stops[when]
  )

/** Whether a line can only wait on: nobody answers what it, and everything on it, waits for. */
const onlyWaits = (
  plan: Plan,
  { at, inner, joins, pending, phase }: RunState.LineState,
  session: Session
): boolean => {
  const isOpen = ({ result }: RunState.FlowState) => result === undefined
  const waits = joins.every(({ flows, maps }) =>
    maps.length === 0 &&
    flows.filter(isOpen).every(({ cancelled, line }) =>
      cancelled === undefined && line !== undefined && onlyWaits(plan, line, session)
    )
  )
  if (!waits) return false
  const position = positionOf(plan, at)
  if (pending !== undefined) return isStill(pending, position, session)
  if (inner !== undefined) {
    return position !== END && position.subgraph !== undefined &&
      onlyWaits(position.subgraph.compiled.plan, inner, session)
  }
  return phase === "before" && joins.some(({ fanIn, flows }) => fanIn === at && flows.some(isOpen))
}

interface Restored {
  readonly join: Join
  /** Those that are not settled; what was at work first, since it had its place. */
  readonly flows: ReadonlyArray<Flow>
  readonly producers: ReadonlyArray<MapProducer>
}

const restoreJoin = (line: Line, saved: RunState.JoinState): Restored => {
  const { clock, codecs, plan } = line.run
  const join = new Join(fanInOf(plan, saved.fanIn))
  join.launches = saved.launches
  join.completed = saved.completed as Join["completed"]
  join.startedAt = monotonicMs(clock) - (saved.elapsedMs ?? 0)
  const places = new Map<string, Places | undefined>()
  const placesFor = (from: string, launch: string): Places | undefined => {
    if (!places.has(launch)) places.set(launch, placesOf(line, nodeOf(plan, from))?.get(join.fanIn))
    return places.get(launch)
  }
  const open: Array<Flow> = []
  for (const flow of saved.flows) {
    if (restoreSettled(line, join, flow)) continue
    const restored = restoreFlow(line, join, flow, placesFor(flow.from, flow.launch))
    if (restored.result === undefined) open.push(restored)
  }
  const producers = saved.maps.map((map) => {
    const edge = edgeOf(plan, map, join.fanIn)
    return producerOf(
      line,
      nodeOf(plan, map.from),
      edge,
      join,
      placesFor(map.from, map.launch),
      map.launch,
      map.rank,
      codecs.decodeState(map.state, "state"),
      map
    )
  })
  const atWork = (flow: Flow): boolean => flow.resumed?.line !== undefined
  return { join, flows: [...open.filter(atWork), ...open.filter((flow) => !atWork(flow))], producers }
}

/** Of a flow of a map that has settled, its result is all there is. */
const restoreSettled = (line: Line, join: Join, saved: RunState.FlowState): boolean => {
  if (saved.key === undefined || saved.result === undefined) return false
  if (saved.written !== undefined || saved.cancelled !== undefined) return false
  const { codecs, plan } = line.run
  const edge = edgeOf(plan, saved, join.fanIn)
  const result = codecs.result(edge).decode(saved.result, "result") as Flow["result"] & {}
  const map = launchOf(line, join, edge, saved)
  // A result that does not say which item it is of, as a codec allows, does not stand for its flow.
  if (!("item" in result) || result.index !== saved.index || map.keyOf(result) !== saved.key) return false
  map.entries.push(result)
  join.total++
  join.count(result, false)
  return true
}

const launchOf = (line: Line, join: Join, edge: PlanEdge, { launch, rank, state }: RunState.FlowState): MapLaunch =>
  join.launchOf(line, edge, launch, rank, () => line.run.codecs.decodeState(state, "state"))

const restoreFlow = (line: Line, join: Join, saved: RunState.FlowState, places: Places | undefined): Flow => {
  const { codecs, plan } = line.run
  const edge = edgeOf(plan, saved, join.fanIn)
  const mapped = mappedOf(line, join, edge, saved)
  const flow = new Flow(line, edge, configOf(line, edge, mapped), join, places, saved.launch, saved.rank, mapped)
  flow.state = codecs.decodeState(saved.state, "state")
  restoreAttempts(flow, saved)
  if (saved.usedFallback) flow.usedFallback = true
  if (saved.cancelled !== undefined) flow.cancelled = { _tag: "Interrupted", by: saved.cancelled }
  join.add(flow)
  if (saved.result === undefined) {
    const waitsOn = saved.line !== undefined && onlyWaits(plan, saved.line, line.run.session)
    flow.resumed = { line: saved.line, waitMs: saved.waitMs, waitsOn }
    join.pending++
    return flow
  }
  flow.result = codecs.result(edge).decode(saved.result, "result") as Flow["result"] & {}
  if (saved.written !== undefined) flow.written = new Set(saved.written)
  join.count(flow.result, flow.cancelled !== undefined)
  return flow
}

const mappedOf = (
  line: Line,
  join: Join,
  edge: PlanEdge,
  saved: RunState.FlowState
): Mapped | undefined => {
  const { index, key } = saved
  if (key === undefined || index === undefined) return undefined
  const item = line.run.codecs.item(edge).decode(saved.item, "item")
  const of = launchOf(line, join, edge, saved)
  return { key, index, item, circuitKey: edge.map?.circuitKey?.(item, index), of }
}

const configOf = ({ run }: Line, edge: PlanEdge, mapped: Mapped | undefined): Flow["config"] => {
  if (mapped === undefined || edge.map?.config === undefined) return run.configOf(edge)
  return Result.getOrElse(
    run.configOfItem(edge, edge.map.config(mapped.item, mapped.index)),
    () => run.configOf(edge)
  )
}

/** Whether an error says that a graph cannot continue a run. */
export const isUnfit = (error: unknown): error is Gone | Misfit => error instanceof Gone || error instanceof Misfit
