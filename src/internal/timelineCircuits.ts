/**
 * In which state each circuit was, when: pieced together from everything that the events of all runs tell of it.
 */
import type { CircuitState } from "../CircuitBreaker.ts"
import type { Any as Event } from "../GraphEvent.ts"
import type { RunEvents } from "./timelineModel.ts"

/** A time in one state, in milliseconds of the run. */
export interface Band {
  readonly state: CircuitState
  readonly from: number
  readonly to: number
}

export interface Circuits {
  readonly keyOf: (graph: string, branch: string) => string
  readonly bands: (key: string, run: RunEvents) => ReadonlyArray<Band>
}

/** What was seen of a circuit at one instant: its state until then, and from then on. */
interface Sighting {
  readonly at: number
  readonly before: CircuitState
  readonly after: CircuitState
}

export const circuitsOf = (runs: ReadonlyArray<RunEvents>): Circuits => {
  const keys = new Map<string, string>()
  for (const { events } of runs) {
    for (const event of events) {
      const key = keyIn(event)
      if (key !== undefined && "branch" in event) keys.set(`${event.graph}\n${event.branch}`, key)
    }
  }
  const keyOf = (graph: string, branch: string) => keys.get(`${graph}\n${branch}`) ?? `${graph}/${branch}`
  const sightings = new Map<string, Array<Sighting>>()
  for (const { events } of runs) sight(events, keyOf, sightings)
  for (const all of sightings.values()) all.sort((a, b) => a.at - b.at)
  const known = new Map<RunEvents, Map<string, ReadonlyArray<Band>>>(runs.map((run) => [run, new Map()]))
  const bands = (key: string, run: RunEvents): ReadonlyArray<Band> => {
    const ofRun = known.get(run)!
    const own = ofRun.get(key) ?? bandsOf(sightings.get(key) ?? [], run)
    ofRun.set(key, own)
    return own
  }
  return { keyOf, bands }
}

const keyIn = (event: Event): string | undefined => {
  if (event._tag === "CircuitStateChanged") return event.key
  return event._tag === "FlowRejected" ? event.circuit?.key : undefined
}

/**
 * A result tells its circuit's state as it was when its own outcome was recorded, which is before it is told. So results
 * count only where nothing else in the run says more.
 */
const sight = (
  events: ReadonlyArray<Event>,
  keyOf: Circuits["keyOf"],
  sightings: Map<string, Array<Sighting>>
): void => {
  const told = new Set<string>()
  const add = (key: string, sighting: Sighting): void => {
    const all = sightings.get(key)
    if (all === undefined) sightings.set(key, [sighting])
    else all.push(sighting)
  }
  for (const event of events) {
    const key = keyIn(event)
    if (key === undefined) continue
    told.add(key)
    if (event._tag === "CircuitStateChanged") add(key, { at: event.at, before: event.from, after: event.to })
    if (event._tag === "FlowRejected" && event.circuit !== undefined) {
      add(key, { at: event.at, before: event.circuit.state, after: event.circuit.state })
    }
  }
  for (const event of events) {
    if (event._tag !== "FlowCompleted" || event.result.circuitState === undefined) continue
    const key = keyOf(event.graph, event.branch)
    const { circuitState: state } = event.result
    if (!told.has(key)) add(key, { at: event.at, before: state, after: state })
  }
}

const bandsOf = (sightings: ReadonlyArray<Sighting>, { endAt, startAt }: RunEvents): ReadonlyArray<Band> => {
  const prior = sightings.filter(({ at }) => at < startAt).at(-1)
  const inside = sightings.filter(({ at }) => at >= startAt && at <= endAt)
  let state = inside[0]?.before ?? prior?.after
  if (state === undefined) return []
  const bands: Array<Band> = []
  let from = startAt
  for (const { after, at, before } of inside) {
    // Without a transition in between, somebody reset it: nobody told when.
    if (before !== state) state = before
    if (after === state) continue
    if (at > from) bands.push({ state, from: from - startAt, to: at - startAt })
    from = at
    state = after
  }
  bands.push({ state, from: from - startAt, to: endAt - startAt })
  return bands
}
