/** Circuits open, let probes through and close when, and only when, what was attempted says so. */
import type { GraphEvent } from "effect-stategraph"
import type { Circuit, Config } from "./spec.ts"
import { type Heard, nameOf } from "./timing.ts"

interface Known {
  readonly config: Circuit
  state: "CLOSED" | "OPEN" | "HALF_OPEN"
  since: number
  /** Its changes so far: what began before the last one counts no more. */
  changes: number
  failures: number
  successes: number
}

const idOf = (event: GraphEvent.OnAttempt): string =>
  event.scope === "flow" ? `${event.branch} ${event.attempt}` : `${event.branch} ${event.node} ${event.attempt}`

/** Which circuit an edge or node has, as far as events tell. */
const keysOf = (heard: ReadonlyArray<Heard>): ReadonlyMap<string, string> => {
  const keys = new Map<string, string>()
  for (const { event } of heard) {
    if (event._tag === "CircuitStateChanged") keys.set(nameOf(event), event.key)
    if (event._tag === "FlowRejected" && event.circuit !== undefined) keys.set(nameOf(event), event.circuit.key)
  }
  return keys
}

export const circuits = (
  heard: ReadonlyArray<Heard>,
  configs: ReadonlyMap<string, Config>,
  shared: Circuit
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const keys = keysOf(heard)
  const all = new Map<string, Known>()
  const began = new Map<string, number>()
  const knownOf = (event: GraphEvent.OfWork): Known | undefined => {
    const { circuit } = configs.get(nameOf(event)) ?? {}
    const key = circuit === "shared" ? "shared" : keys.get(nameOf(event))
    if (circuit === undefined || key === undefined) return undefined
    const known = all.get(key) ??
      {
        config: circuit === "shared" ? shared : circuit,
        state: "CLOSED",
        since: 0,
        changes: 0,
        failures: 0,
        successes: 0
      }
    all.set(key, known)
    return known
  }
  for (const { at, event } of heard) {
    if (!("scope" in event)) continue
    const known = knownOf(event)
    if (known === undefined) continue
    if (event._tag === "CircuitStateChanged") {
      found.push(...changed(event, known, at))
      Object.assign(known, { state: event.to, since: at, changes: known.changes + 1, failures: 0, successes: 0 })
      continue
    }
    if (event._tag === "AttemptStarted") began.set(idOf(event), known.changes)
    const failed = event._tag === "AttemptFailed" || event._tag === "FlowTimedOut"
    if (!failed && event._tag !== "AttemptSucceeded") continue
    const changes = began.get(idOf(event))
    began.delete(idOf(event))
    if (changes !== known.changes) continue
    if (failed) known.failures++
    else {
      known.successes++
      if (known.state === "CLOSED") known.failures = 0
    }
  }
  return found
}

const changed = (
  { from, key, to }: Extract<GraphEvent.Any, { readonly _tag: "CircuitStateChanged" }>,
  { config, failures, since, state, successes }: Known,
  at: number
): ReadonlyArray<string> => {
  const change = `circuit ${key} goes from ${from} to ${to}`
  if (state !== from) return [`${change}, but is ${state}`]
  const { failureThreshold, resetTimeout, successThreshold } = config
  if (from === "CLOSED" && failures < failureThreshold) {
    return [`${change} after ${failures} failures in a row, it takes ${failureThreshold}`]
  }
  if (from === "OPEN" && at - since < resetTimeout - 0.01) {
    return [`${change} after ${at - since} ms, not ${resetTimeout}`]
  }
  if (to === "CLOSED" && successes < successThreshold) {
    return [`${change} after ${successes} successes, it takes ${successThreshold}`]
  }
  return from === "HALF_OPEN" && to === "OPEN" && failures === 0 ? [`${change} without a failure`] : []
}
