/**
 * A circuit that is OPEN lets nothing through, and one that is HALF_OPEN no more than its probes.
 */
import type { CircuitState } from "../../CircuitBreaker.ts"
import type * as GraphEvent from "../../GraphEvent.ts"
import type { Circuit, Facts } from "./graphFacts.ts"
import { endsAttempt, type RunEvents, workOf } from "./runEvents.ts"

interface Known {
  /** Absent before it has changed: it may have been used before. */
  state: CircuitState | undefined
  /** When the probes began that are on. */
  readonly probes: Map<string, number>
  graph: string
  /** Graphs with registries of their own can have circuits of the same key. */
  ambiguous: boolean
}

export const circuitsHeld = (
  events: ReadonlyArray<GraphEvent.Any>,
  runs: ReadonlyArray<RunEvents>,
  facts: Facts | undefined
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const circuits = new Map<string, Known>()
  const keys = new Map<string, string>()
  const runOf = new Map(runs.flatMap((run) => run.events.map((event) => [event, run] as const)))
  const suspended = new Set(runs.filter((run) => run.events.some(isSuspension)))
  /** Work that has been attempted, by run. */
  const begun = new Map(runs.map((run) => [run, new Set<string>()] as const))
  const noted = (event: GraphEvent.OfWork, key: string): Known => {
    keys.set(`${event.graph} ${workOf(event)}`, key)
    const known = circuits.get(key) ??
      { state: undefined, probes: new Map(), graph: event.graph, ambiguous: false }
    if (known.graph !== event.graph) known.ambiguous = true
    circuits.set(key, known)
    return known
  }
  for (const event of events) {
    if (event._tag === "FlowRejected" && event.circuit !== undefined) noted(event, event.circuit.key)
    if (event._tag === "CircuitStateChanged") {
      const known = noted(event, event.key)
      if (!known.ambiguous && known.state !== undefined && known.state !== event.from) {
        found.push(`circuit ${event.key} goes from ${event.from} to ${event.to}, but is ${known.state}`)
      }
      known.state = event.to
      known.probes.clear()
    }
    if (endsAttempt(event)) { for (const { probes } of circuits.values()) probes.delete(idOf(event)) }
    if (event._tag !== "AttemptStarted") continue
    const run = runOf.get(event)!
    // What was saved while it was on goes on without asking.
    const goesOn = run.resumed && !begun.get(run)!.has(workOf(event))
    begun.get(run)!.add(workOf(event))
    const circuit = facts === undefined ? undefined : circuitOf(facts, event)
    const key = circuit?.key ?? keys.get(`${event.graph} ${workOf(event)}`)
    const known = key === undefined ? undefined : circuits.get(key)
    if (known === undefined || known.ambiguous || known.graph !== event.graph) continue
    const attempt = `attempt ${event.attempt} of ${workOf(event)}`
    if (known.state === "OPEN" && !goesOn) found.push(`${attempt} begins while its circuit ${key} is OPEN`)
    if (known.state !== "HALF_OPEN" || goesOn || circuit === undefined || suspended.has(run)) continue
    known.probes.set(idOf(event), event.at)
    const { halfOpenMaxCalls, probeTimeoutMs } = circuit.config
    const on = [...known.probes.values()].filter((at) => event.at - at < probeTimeoutMs).length
    if (on > halfOpenMaxCalls) found.push(`${attempt} is probe ${on} of circuit ${key}, allowed is ${halfOpenMaxCalls}`)
  }
  return found
}

const idOf = (event: GraphEvent.OnAttempt): string => `${event.runId} ${workOf(event)} ${event.attempt}`

/** What waits for somebody gives its probe back long before its attempt ends. */
const isSuspension = ({ _tag }: GraphEvent.Any): boolean => _tag === "GraphSuspended" || _tag === "FlowSuspended"

const circuitOf = (facts: Facts, event: GraphEvent.OnAttempt): Circuit | undefined =>
  event.scope === "flow" ? facts.flow(event.branch, event.fanIn)?.circuit : facts.node(event.node)?.circuit
