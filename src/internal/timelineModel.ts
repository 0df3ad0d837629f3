/**
 * What a timeline shows, computed from events: runs, their lanes, what each lane did when, and how each flow ended.
 * Every list of events gives a model: one that was cut off at either end, too.
 */
import type { CircuitState } from "../CircuitBreaker.ts"
import type { Any as Event } from "../GraphEvent.ts"
import { type Band, type Circuits, circuitsOf } from "./timelineCircuits.ts"
import { lanesOf } from "./timelineLanes.ts"
import { summarize } from "./timelineSummary.ts"
import type { Lane } from "./timelineTrack.ts"

/** Where something was started from, for the time that it waited in a queue. */
export type LaunchNode = (graph: string, branch: string, fanIn: string) => string | undefined

export type RunOutcome = "success" | "failure" | "interrupted" | "open"

/** A lane with its circuit. */
export interface CircuitLane extends Lane {
  readonly circuit?: { readonly key: string; readonly bands: ReadonlyArray<Band> }
}

/** How a flow ended, one line of the table of results. */
export interface Row {
  readonly branch: string
  readonly outcome: "success" | "failure" | "timeout" | "rejected" | "interrupted" | "open"
  readonly abandoned: boolean
  readonly attempts: number
  readonly startMs: number
  /** When its line could go on: after what was cut had stopped. */
  readonly endMs: number
  readonly timingMs: number
  readonly circuit: CircuitState | undefined
  /** The error, or what limit was reached. */
  readonly note: string
}

export interface Run {
  /** From 1, in the order of their starts. */
  readonly number: number
  readonly runId: string
  readonly graph: string
  /** Epoch milliseconds. */
  readonly startAt: number
  readonly durationMs: number
  readonly outcome: RunOutcome
  readonly error: string | undefined
  /** The main line first, then each flow, those of a flow right after it. */
  readonly lanes: ReadonlyArray<CircuitLane>
  readonly rows: ReadonlyArray<Row>
  /** One or two sentences. */
  readonly summary: string
}

export interface Model {
  readonly runs: ReadonlyArray<Run>
  /** The length of the longest run: the scale that all share. */
  readonly spanMs: number
}

/** The events of one run, as they were found. */
export interface RunEvents {
  readonly runId: string
  readonly graph: string
  readonly events: ReadonlyArray<Event>
  readonly startAt: number
  readonly endAt: number
}

export const modelOf = (events: Iterable<Event>, launchNode: LaunchNode = () => undefined): Model => {
  const found = splitRuns(events)
  const circuits = circuitsOf(found)
  const order = branchOrder(found)
  const runs: Array<Run> = []
  for (const one of found) {
    const previous = runs.filter((run) => run.graph === one.graph).at(-1)
    runs.push(runOf(one, runs.length + 1, previous, circuits, order.get(one.graph)!, launchNode))
  }
  return { runs, spanMs: runs.reduce((longest, run) => Math.max(longest, run.durationMs), 0) }
}

const runOf = (
  one: RunEvents,
  number: number,
  previous: Run | undefined,
  circuits: Circuits,
  order: ReadonlyMap<string, number>,
  launchNode: LaunchNode
): Run => {
  const { endAt, events, graph, runId, startAt } = one
  const { lanes, rows } = lanesOf(one, order, launchNode)
  const end = events.filter((event) => event._tag === "GraphCompleted" || event._tag === "GraphFailed").at(-1)
  const run = {
    number,
    runId,
    graph,
    startAt,
    durationMs: endAt - startAt,
    outcome: outcomeOf(end),
    error: end?._tag === "GraphFailed" ? end.error : undefined,
    lanes: lanes.map((lane): CircuitLane => {
      if (lane.branch === undefined) return lane
      const key = circuits.keyOf(graph, lane.branch)
      const bands = circuits.bands(key, one)
      return bands.length === 0 ? lane : { ...lane, circuit: { key, bands } }
    }),
    rows
  }
  return { ...run, summary: summarize(run, previous) }
}

const outcomeOf = (end: Event | undefined): RunOutcome => {
  if (end?._tag === "GraphCompleted") return "success"
  if (end?._tag !== "GraphFailed") return "open"
  return end.errorType === "InterruptedError" ? "interrupted" : "failure"
}

/** A run is what has one id; an id that starts again is another run. */
const splitRuns = (events: Iterable<Event>): ReadonlyArray<RunEvents> => {
  const all: Array<Array<Event>> = []
  const current = new Map<string, Array<Event>>()
  for (const event of events) {
    if (!Number.isFinite(event.at)) continue
    const id = `${event.graph}\n${event.runId}`
    let own = current.get(id)
    if (own === undefined || event._tag === "GraphStarted") {
      own = []
      current.set(id, own)
      all.push(own)
    }
    own.push(event)
  }
  const runs = all.map((events): RunEvents => {
    const { graph, runId } = events[0]!
    let [startAt, endAt] = [Infinity, -Infinity]
    for (const { at } of events) {
      startAt = Math.min(startAt, at)
      endAt = Math.max(endAt, at)
    }
    return { runId, graph, events, startAt, endAt }
  })
  return runs.sort((a, b) => a.startAt - b.startAt)
}

/**
 * The rank of each flow, the same in every run: as the results of a join say it, else as it was first seen. A flow's own
 * flows follow it.
 */
const branchOrder = (runs: ReadonlyArray<RunEvents>): ReadonlyMap<string, ReadonlyMap<string, number>> => {
  const perGraph = new Map<string, Set<string>>()
  const add = (graph: string, branch: string): void => {
    const seen = perGraph.get(graph)!
    for (let at = branch.indexOf("/"); at > 0; at = branch.indexOf("/", at + 1)) seen.add(branch.slice(0, at))
    seen.add(branch)
  }
  for (const { events, graph } of runs) {
    if (!perGraph.has(graph)) perGraph.set(graph, new Set())
    for (const event of events) {
      if (event._tag === "FanInStarted") { for (const { branch } of event.results) add(graph, branch) }
    }
  }
  for (const { events, graph } of runs) {
    for (const event of events) if ("branch" in event && event.branch !== undefined) add(graph, event.branch)
  }
  return new Map([...perGraph].map(([graph, branches]) => [graph, ranks(branches)]))
}

const ranks = (branches: ReadonlySet<string>): ReadonlyMap<string, number> => {
  const children = new Map<string, Array<string>>()
  for (const branch of branches) {
    const parent = branch.slice(0, Math.max(0, branch.lastIndexOf("/")))
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [branch])
    else siblings.push(branch)
  }
  const ranked = new Map<string, number>()
  const open = [...children.get("") ?? []].reverse()
  for (let branch = open.pop(); branch !== undefined; branch = open.pop()) {
    ranked.set(branch, ranked.size)
    open.push(...[...children.get(branch) ?? []].reverse())
  }
  return ranked
}
