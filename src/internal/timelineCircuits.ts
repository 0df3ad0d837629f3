/**
 * In which state each circuit was, when: pieced together from everything that the events of all runs tell of it.
 */
import type { CircuitState } from "../CircuitBreaker.ts"
import type { Any as Event } from "../GraphEvent.ts"
import type { Branches } from "./timelineBranches.ts"
import type { RunEvents } from "./timelineRuns.ts"

/** A time in one state, in milliseconds of the run. */
export interface Band {
  readonly state: CircuitState
  readonly from: number
  readonly to: number
}

/** The circuit of a flow, or of a node with a policy of its own. */
export interface Circuit {
  readonly key: string
  readonly node: string | undefined
  readonly bands: ReadonlyArray<Band>
}

export interface Circuits {
  /** What to show in a lane. Of several circuits: one that did not stay closed, before others that did. */
  readonly of: (run: RunEvents, branch: string | undefined) => Circuit | undefined
}

/** What was seen of a circuit at one instant: its state until then, and from then on. */
interface Sighting {
  readonly at: number
  readonly before: CircuitState
  readonly after: CircuitState
}

export const circuitsOf = (runs: ReadonlyArray<RunEvents>, branchesOf: (graph: string) => Branches): Circuits => {
  const keys = keysOf(runs)
  const keyOf = (graph: string, branch: string): string => {
    const { family, isMapped } = branchesOf(graph)(branch)
    const own = keys.own.get(laneId(graph, branch))
    if (own !== undefined || !isMapped) return own ?? `${graph}/${family}`
    // The flows of a map share one circuit, unless they say otherwise.
    return keys.mapped.has(`${graph}/${family}`) ? `${graph}/${family}` : `${graph}/${branch}`
  }
  const sightings = new Map<string, Array<Sighting>>()
  for (const run of runs) sight(run, keyOf, sightings)
  for (const all of sightings.values()) all.sort((a, b) => a.at - b.at)
  const known = new Map<RunEvents, Map<string, ReadonlyArray<Band>>>(runs.map((run) => [run, new Map()]))
  const bands = (key: string, run: RunEvents): ReadonlyArray<Band> => {
    const ofRun = known.get(run)!
    const own = ofRun.get(key) ?? bandsOf(sightings.get(key) ?? [], run)
    ofRun.set(key, own)
    return own
  }
  return {
    of: (run, branch) => {
      const { graph } = run
      const own = branch === undefined ? [] : [[keyOf(graph, branch), undefined] as const]
      const all = [...own, ...keys.nodes.get(laneId(graph, branch)) ?? []]
        .map(([key, node]): Circuit => ({ key, node, bands: bands(key, run) }))
        .filter(({ bands }) => bands.length > 0)
      return all.find(({ bands }) => bands.some(({ state }) => state !== "CLOSED")) ?? all[0]
    }
  }
}

const laneId = (graph: string, branch: string | undefined): string => `${graph}\n${branch ?? ""}`

/** The keys that events name: of flows and, by lane and with their node, of nodes. */
const keysOf = (runs: ReadonlyArray<RunEvents>) => {
  const own = new Map<string, string>()
  const mapped = new Set<string>()
  const nodes = new Map<string, Map<string, string>>()
  for (const { events, graph } of runs) {
    for (const event of events) {
      if (event._tag !== "CircuitStateChanged" && event._tag !== "FlowRejected") continue
      const key = keyIn(event)
      if (key === undefined) continue
      const id = laneId(graph, event.branch)
      if (event.scope === "node") nodes.set(id, (nodes.get(id) ?? new Map()).set(key, event.node))
      else {
        own.set(id, key)
        mapped.add(key)
      }
    }
  }
  return { own, mapped, nodes }
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
  { events, graph }: RunEvents,
  keyOf: (graph: string, branch: string) => string,
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
    const key = keyOf(graph, event.branch)
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
