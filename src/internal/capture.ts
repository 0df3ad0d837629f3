/**
 * Cells to data: where a run stands right now, as the value that a checkpoint holds. It can be taken at any moment, in the
 * middle of whatever runs; what is cut off then is done again.
 */
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import type * as RunState from "../RunState.ts"
import type { Dialog, Line } from "./cells.ts"
import type { Codecs } from "./codecs.ts"
import { END, type PlanNode } from "./plan.ts"
import { Flow, type Join, type MapLaunch, NodeCall, type Work } from "./work.ts"

type Writable<A> = { -readonly [K in keyof A]: A[K] }

const some = <K extends string, A>(key: K, value: A | undefined): { readonly [_ in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [_ in K]: A }

const since = (start: number, line: Line | undefined, now: number): number =>
  Math.max(0, (line?.dialog?.stoppedAt ?? now) - start)

/** `where` names the line, for what does not encode. */
export const captureLine = (line: Line, now: number, where: string): RunState.LineState => {
  const { codecs } = line.run
  const at = line.position
  const { steps, visits } = visited(line)
  const { continued, inner, joining } = line
  const call = inner instanceof NodeCall ? inner : undefined
  const graph = graphOf(line)
  const joins = joining === undefined ? line.open : [...line.open, joining]
  const inFlight = graph === undefined ? 0 : nodesInFlight(graph)
  const saved: Writable<RunState.LineState> = {
    state: codecs.encodeState(line.state, `${where}: state`),
    at: at === END ? END : at.name,
    phase: line.phase === "entered" ? "before" : line.phase,
    steps: steps - inFlight,
    visits,
    joins: joins.map((join) => captureJoin(line, join, now, where)),
    elapsedMs: since(line.startedAt, line, now)
  }
  const { insteadOf, usedFallback, written } = line.rare ?? {}
  if (insteadOf !== undefined) saved.insteadOf = insteadOf.name
  if (usedFallback) saved.usedFallback = true
  if (written !== undefined) saved.written = [...written]
  if (call !== undefined) {
    saved.call = {
      ...attemptedOf(call, now),
      ...some("attemptMs", isOn(call) ? since(call.line!.startedAt, call.line, now) : call.resumed?.attemptMs)
    }
  } else if (continued?.call !== undefined) saved.call = continued.call
  if (graph !== undefined && !graph.ended) saved.inner = captureLine(graph, now, where)
  else if (continued?.inner !== undefined) saved.inner = continued.inner
  if (line.dialog !== undefined) captureDialog(line.dialog, saved)
  return saved
}

const captureDialog = (
  { answers, asked, passed, pending: waits }: Dialog,
  saved: Writable<RunState.LineState>
): void => {
  if (passed) saved.passed = true
  const pending = waits ?? asked?.filter(({ name }) => answers?.has(name) !== true) ?? []
  if (pending.length > 0) saved.pending = pending
  if (answers !== undefined) saved.answers = [...answers]
}

/** The nodes that run in a graph count for the line around it too. */
const nodesInFlight = (line: Line): number => {
  if (line.ended) return 0
  const graph = graphOf(line)
  const own = line.phase === "entered" && line.position !== END ? 1 : 0
  return own + (graph === undefined ? 0 : nodesInFlight(graph))
}

/** The main line of the graph that its node is, also in an attempt of it. */
const graphOf = ({ inner }: Line): Line | undefined => (inner instanceof NodeCall ? inner.line?.inner : inner)?.line

/** A node that runs is one that has not been visited yet. */
const visited = (line: Line): Pick<RunState.LineState, "steps" | "visits"> => {
  const counts = new Map<PlanNode, number>(line.visits ?? (line.first === undefined ? [] : [[line.first, 1]]))
  const at = line.position
  const runs = line.phase === "entered" && at !== END
  if (runs) counts.set(at, (counts.get(at) ?? 1) - 1)
  return {
    steps: line.steps - (runs ? 1 : 0),
    visits: [...counts].flatMap(([{ name }, count]) => count === 0 ? [] : [[name, count] as const])
  }
}

/** An attempt is on, or its end has not come to anything yet. */
const isOn = (work: Work): boolean => work.line !== undefined && work.nextAt === undefined

/** Until when its time counts: until it was cut, however long it takes to stop. */
const countsUntil = ({ cancelled, endedAt, line }: Work, now: number): number =>
  cancelled === undefined || line?.ended !== true ? now : endedAt ?? now

const attemptedOf = (work: Work, now: number) => ({
  attempts: work.attempts,
  ...(work.started
    ? { elapsedMs: since(work.startedAt, work.line, countsUntil(work, now)), startTime: work.startTime }
    : {}),
  // An attempt that has ended, without a decision what is next, is done again.
  errors: isOn(work) && !work.usedFallback
    ? work.errors.filter(({ attempt }) => attempt !== work.attempts)
    : work.errors,
  errorsDropped: work.errorsDropped,
  ...some("circuitState", work.circuit?.state),
  ...some("waitMs", work.nextAt === undefined ? work.resumed?.waitMs : Math.max(0, work.nextAt - now))
})

const captureJoin = ({ run: { codecs } }: Line, join: Join, now: number, where: string): RunState.JoinState => ({
  fanIn: join.fanIn.name,
  launches: join.launches,
  elapsedMs: Math.max(0, (join.stoppedAt ?? now) - join.startedAt),
  ...some("completed", join.completed),
  flows: [
    ...join.flows.map((flow) => captureFlow(flow, now, where)),
    ...join.maps.flatMap((map) =>
      map.entries.map((entry) =>
        entry instanceof Flow ? captureFlow(entry, now, where) : captureSettled(codecs, map, entry, where)
      )
    )
  ],
  maps: [...join.producers].map((producer) => producer.capture())
})

/** A flow of a map that has left its result only. */
const captureSettled = (codecs: Codecs, map: MapLaunch, result: AnyResult, where: string): RunState.FlowState => {
  const { edge, launch, rank } = map
  const path = `${where}: flow "${result.branch}"`
  return {
    from: edge.from,
    name: edge.name,
    launch,
    rank,
    state: codecs.encodeState(map.state, `${path}: state`),
    key: map.keyOf(result),
    index: result.index!,
    item: codecs.item(edge).encode(result.item, `${path}: item`),
    attempts: result.attempts,
    startTime: result.startTime,
    errors: result.attemptErrors,
    errorsDropped: result.attemptErrorsDropped,
    ...some("circuitState", result.circuitState),
    result: codecs.result(edge).encode(result, `${path}: result`)
  }
}

const captureFlow = (flow: Flow, now: number, where: string): RunState.FlowState => {
  const { edge, mapped, result, run: { codecs } } = flow
  const path = `${where}: flow "${flow.branch}"`
  const identity = {
    from: edge.from,
    name: edge.name,
    launch: flow.launch,
    rank: flow.rank,
    state: codecs.encodeState(flow.state, `${path}: state`),
    ...(mapped === undefined ? {} : {
      key: mapped.key,
      index: mapped.index,
      item: codecs.item(edge).encode(mapped.item, `${path}: item`)
    })
  }
  // A run that failed with a flow is resumed to run that flow again.
  if (flow.failedFast) return { ...identity, attempts: 0, errors: [], errorsDropped: 0 }
  const saved: Writable<RunState.FlowState> = { ...identity, ...attemptedOf(flow, now) }
  if (flow.cancelled !== undefined) saved.cancelled = flow.cancelled.by
  if (result !== undefined) {
    saved.result = codecs.result(edge).encode(result, `${path}: result`)
    if (flow.written !== undefined) saved.written = [...flow.written]
    return saved
  }
  if (flow.usedFallback) saved.usedFallback = true
  if (isOn(flow)) saved.line = flow.line!.rare?.kept ?? captureLine(flow.line!, now, path)
  else if (flow.resumed?.line !== undefined) saved.line = flow.resumed.line
  return saved
}
