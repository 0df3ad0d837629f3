/**
 * Events as text: a label, by which an expectation names one, and a line of what a reader wants to know.
 */
import type * as GraphEvent from "../../GraphEvent.ts"

const inBranch = ({ branch }: { readonly branch?: string }): string => branch === undefined ? "" : ` in ${branch}`

const ofWork = (event: GraphEvent.OfWork, after = ""): string =>
  event.scope === "flow" ? `${event.branch}${after}` : `node ${event.node}${after}${inBranch(event)}`

const ofAttempt = (event: GraphEvent.OnAttempt): string => ofWork(event, ` ${event.attempt}`)

const subjectOf = (event: GraphEvent.Any): string => {
  switch (event._tag) {
    case "GraphStarted":
    case "GraphCompleted":
    case "GraphFailed":
    case "GraphSuspended":
      return ""
    case "CheckpointSaved":
      return event.id
    case "NodeStarted":
    case "NodeCompleted":
    case "NodeFailed":
    case "NodeInterrupted":
    case "NodeProgress":
    case "FanInStarted":
    case "FanInCompleted":
      return `${event.node}${inBranch(event)}`
    case "FlowStarted":
    case "FlowSuspended":
      return event.branch
    case "FlowCompleted":
      return `${event.branch} ${event.result._tag}`
    case "FlowRejected":
      return ofWork(event)
    case "CircuitStateChanged":
      return `${ofWork(event)} ${event.from} -> ${event.to}`
    case "AttemptStarted":
    case "AttemptSucceeded":
    case "AttemptFailed":
    case "AttemptInterrupted":
    case "FlowTimedOut":
    case "RetryScheduled":
      return ofAttempt(event)
  }
}

/** What happened and to whom: `FlowStarted web`, `AttemptFailed web 2`, `NodeStarted ask in web`. */
export const labelOf = (event: GraphEvent.Any): string => {
  const subject = subjectOf(event)
  return subject === "" ? event._tag : `${event._tag} ${subject}`
}

/** Whether a label begins with these words. */
export const matches = (label: string, step: string): boolean => label === step || label.startsWith(`${step} `)

const ofError = ({ error, errorType }: { readonly error: string; readonly errorType: string }): string =>
  error === errorType ? error : `${errorType}: ${error}`

const shown = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

/** Beside the label; empty when there is no more to say. */
const detailOf = (event: GraphEvent.Any): string => {
  switch (event._tag) {
    case "GraphFailed":
    case "NodeFailed":
    case "AttemptFailed":
      return ofError(event)
    case "GraphSuspended":
    case "FlowSuspended":
      return `waits for ${
        event.pending.map(({ name, when }) => when === "asked" ? name : `${when} ${name}`).join(", ")
      }`
    case "NodeCompleted": {
      const keys = Object.keys(event.update)
      const sets = keys.length === 0 ? "" : `sets ${keys.join(", ")}`
      return event.usedFallback === true ? `by its fallback${sets === "" ? "" : `, ${sets}`}` : sets
    }
    case "NodeProgress":
      return shown(event.value)
    case "FlowCompleted": {
      const { result } = event
      const error = result.success ? "" : ofError(result)
      return [
        ...error === "" ? [] : [error],
        ...result.usedFallback ? ["used its fallback"] : [],
        ...result.abandoned ? ["abandoned"] : []
      ].join(", ")
    }
    case "FlowTimedOut":
      return `its ${event.timeoutKind === "total" ? "total limit" : "limit"} is ${event.timeoutMs} ms`
    case "RetryScheduled":
      return `again in ${event.delayMs} ms`
    case "FlowRejected":
      if (event.limit !== undefined) return `limit ${event.limit.key} is full`
      return event.circuit === undefined ? "" : `circuit ${event.circuit.key} is ${event.circuit.state}`
    case "CircuitStateChanged":
      return `circuit ${event.key}`
    case "FanInStarted":
      return `joins ${event.results.map(({ _tag, branch }) => `${branch} ${_tag}`).join(", ") || "nothing"}`
    default:
      return ""
  }
}

/** One line per event, with its milliseconds since the first. */
export const timeline = (events: ReadonlyArray<GraphEvent.Any>): ReadonlyArray<string> => {
  const start = events[0]?.at ?? 0
  const times = events.map(({ at }) => String(at - start))
  const width = times.reduce((widest, time) => Math.max(widest, time.length), 0)
  return events.map((event, i) => {
    const detail = detailOf(event)
    return `${times[i]!.padStart(width)} ms  ${labelOf(event)}${detail === "" ? "" : `: ${detail}`}`
  })
}
