/**
 * What a timeline shows, computed from events: runs, their lanes, what each lane did when, and how each flow ended.
 * Every list of events gives a model: one that was cut off at either end, too.
 */
import type { CircuitState } from "../CircuitBreaker.ts"
import type { Diagram } from "../Diagram.ts"
import type { Any as Event } from "../GraphEvent.ts"
import type { Pending } from "../RunState.ts"
import { branchesOf } from "./timelineBranches.ts"
import { type Band, type Circuits, circuitsOf } from "./timelineCircuits.ts"
import { type Around, lanesOf } from "./timelineLanes.ts"
import { launchesOf } from "./timelineLaunches.ts"
import { orderOf } from "./timelineOrder.ts"
import { endOf, type RunEvents, splitRuns } from "./timelineRuns.ts"
import type { Lane } from "./timelineSegment.ts"
import { summarize } from "./timelineSummary.ts"

export type RunOutcome = "success" | "failure" | "interrupted" | "suspended" | "open"

/** A lane with a circuit: its flow's, or that of one of its nodes. */
export interface CircuitLane extends Lane {
  readonly circuit?: { readonly key: string; readonly node: string | undefined; readonly bands: ReadonlyArray<Band> }
}

/** How a flow ended, one line of the table of results. */
export interface Row {
  readonly branch: string
  readonly outcome: "success" | "failure" | "timeout" | "rejected" | "interrupted" | "suspended" | "open"
  readonly abandoned: boolean
  readonly usedFallback: boolean
  readonly refusedBy: "circuit" | "limit" | undefined
  readonly attempts: number
  readonly startMs: number
  /** When its line could go on: after what was cut had stopped. */
  readonly endMs: number
  readonly timingMs: number
  readonly circuit: CircuitState | undefined
  /** The error, or what limit was reached, or who is waited for. */
  readonly note: string
}

/** One run, or one part of a run that was resumed. */
export interface Run {
  /** From 1, in the order of their starts. */
  readonly number: number
  /** From 1. */
  readonly part: number
  /** Whether another part follows. */
  readonly isContinued: boolean
  /** How long it had stood still before this part. */
  readonly pausedMs: number | undefined
  readonly runId: string
  readonly graph: string
  /** The graphs that are its nodes, or theirs. */
  readonly inner: ReadonlySet<string>
  /** Epoch milliseconds. */
  readonly startAt: number
  readonly durationMs: number
  readonly outcome: RunOutcome
  readonly error: string | undefined
  /** Who is waited for. */
  readonly pending: ReadonlyArray<Pending>
  /** Where a suspended run was saved; without, it cannot be resumed. */
  readonly checkpointId: string | undefined
  readonly saves: ReadonlyArray<Save>
  /** The main line first, then each flow, those of a flow right after it. */
  readonly lanes: ReadonlyArray<CircuitLane>
  readonly rows: ReadonlyArray<Row>
  /** One or two sentences. */
  readonly summary: string
}

/** A checkpoint, in milliseconds of the run. */
export interface Save {
  readonly id: string
  readonly at: number
}

export interface Model {
  readonly runs: ReadonlyArray<Run>
  /** The length of the longest run: the scale that all share. */
  readonly spanMs: number
}

export const modelOf = (events: Iterable<Event>, diagram?: Diagram): Model => {
  const found = splitRuns(events)
  const around = new Map([...new Set(found.map(({ graph }) => graph))].map((graph) => {
    const runs = found.filter((run) => run.graph === graph)
    const launches = launchesOf(diagram?.name === graph ? diagram : undefined)
    const branches = branchesOf(runs, launches.names)
    return [graph, { branches, launches, order: orderOf(runs, branches) }]
  }))
  const circuits = circuitsOf(found, (graph) => around.get(graph)!.branches)
  const runs: Array<Run> = []
  for (const one of found) {
    const previous = runs.filter((run) => run.graph === one.graph).at(-1)
    runs.push(runOf(one, previous, circuits, around.get(one.graph)!))
  }
  return { runs, spanMs: runs.reduce((longest, run) => Math.max(longest, run.durationMs), 0) }
}

const runOf = (one: RunEvents, previous: Run | undefined, circuits: Circuits, around: Around): Run => {
  const { endAt, events, graph, isContinued, number, part, pausedMs, runId, startAt } = one
  const { lanes, rows } = lanesOf(one, around)
  const end = endOf(events)
  const run = {
    number,
    part,
    isContinued,
    pausedMs,
    runId,
    graph,
    inner: new Set(events.flatMap((event) => event.graph === graph ? [] : [event.graph])),
    startAt,
    durationMs: endAt - startAt,
    outcome: outcomeOf(end),
    error: end?._tag === "GraphFailed" ? end.error : undefined,
    pending: end?._tag === "GraphSuspended" ? end.pending : [],
    checkpointId: end?._tag === "GraphSuspended" ? end.checkpointId : undefined,
    saves: events.flatMap((event) =>
      event._tag === "CheckpointSaved" ? [{ id: event.id, at: event.at - startAt }] : []
    ),
    lanes: lanes.map((lane): CircuitLane => {
      const circuit = circuits.of(one, lane.branch)
      return circuit === undefined ? lane : { ...lane, circuit }
    }),
    rows
  }
  return { ...run, summary: summarize(run, previous) }
}

const outcomeOf = (end: ReturnType<typeof endOf>): RunOutcome => {
  if (end === undefined) return "open"
  if (end._tag === "GraphCompleted") return "success"
  if (end._tag === "GraphSuspended") return "suspended"
  return end.errorType === "InterruptedError" ? "interrupted" : "failure"
}
