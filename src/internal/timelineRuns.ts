/**
 * The events of several runs, told apart. A run that was resumed has several parts: each begins with an event of its own.
 */
import type { Any as Event } from "../GraphEvent.ts"

/** The events of one run, or of one part of it, as they were found. */
export interface RunEvents {
  readonly runId: string
  readonly graph: string
  /** From 1, in the order of their starts. */
  readonly number: number
  /** From 1; each continues the one before. */
  readonly part: number
  readonly isContinued: boolean
  /** How long the run had stood still before this part. */
  readonly pausedMs: number | undefined
  readonly events: ReadonlyArray<Event>
  readonly startAt: number
  readonly endAt: number
}

interface Found {
  readonly events: Array<Event>
  next: Found | undefined
}

export const splitRuns = (events: Iterable<Event>): ReadonlyArray<RunEvents> => {
  const firsts: Array<Found> = []
  /** What was found last of each run, by its graph and id, and by its id alone. */
  const last = new Map<string, Found>()
  const begin = (id: string, runId: string, before: Found | undefined): Found => {
    const found: Found = { events: [], next: undefined }
    if (before === undefined) firsts.push(found)
    else before.next = found
    last.set(id, found).set(`\n${runId}`, found)
    return found
  }
  for (const event of events) {
    if (!Number.isFinite(event.at)) continue
    const id = `${event.graph}\n${event.runId}`
    const known = last.get(id)
    // A graph that is a node tells its events under its own name, and has no start.
    const own = event._tag === "GraphStarted"
      ? begin(id, event.runId, known !== undefined && canGoOn(known.events) ? known : undefined)
      : known ?? last.get(`\n${event.runId}`) ?? begin(id, event.runId, undefined)
    own.events.push(event)
  }
  return firsts
    .map(partsOf)
    .sort(([a], [b]) => a!.startAt - b!.startAt)
    .flatMap((parts, i) => parts.map((part) => ({ ...part, number: i + 1 })))
}

/** An id that starts again is the same run only if it was saved before it ended well. */
const canGoOn = (events: ReadonlyArray<Event>): boolean => {
  const end = endOf(events)?._tag
  return end === "GraphSuspended" || (end !== "GraphCompleted" && events.some(({ _tag }) => _tag === "CheckpointSaved"))
}

type End = Extract<Event, { readonly _tag: "GraphCompleted" | "GraphFailed" | "GraphSuspended" }>

/** How they end, if they tell. */
export const endOf = (events: ReadonlyArray<Event>): End | undefined =>
  events.filter((event) =>
    event._tag === "GraphCompleted" || event._tag === "GraphFailed" || event._tag === "GraphSuspended"
  ).at(-1)

const partsOf = (first: Found): ReadonlyArray<RunEvents> => {
  const parts: Array<RunEvents> = []
  for (let at: Found | undefined = first; at !== undefined; at = at.next) {
    const { events, next } = at
    const { runId } = events[0]!
    const { graph } = events.find((event) => !isInside(event)) ?? events[0]!
    let [startAt, endAt] = [Infinity, -Infinity]
    for (const { at } of events) {
      startAt = Math.min(startAt, at)
      endAt = Math.max(endAt, at)
    }
    const before = parts.at(-1)
    const pausedMs = before && Math.max(0, startAt - before.endAt)
    const isContinued = next !== undefined
    parts.push({ runId, graph, number: 0, part: parts.length + 1, isContinued, pausedMs, events, startAt, endAt })
  }
  return parts
}

/** Whether it is of a graph that is a node: then its names are paths. */
export const isInside = (event: Event): boolean =>
  "node" in event ? event.node.includes("/") : "fanIn" in event && event.fanIn.includes("/")
