/**
 * What one event tells of a flow's lane.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { duration } from "./timelineHtml.ts"
import type { Row } from "./timelineModel.ts"
import { clockStep, type Track } from "./timelineTrack.ts"

/** When the flow was launched, if that is known: a flow can wait for its place. */
type LaunchedAt = (branch: string, fanIn: string) => number | undefined

export const readFlow = (track: Track, event: Event, at: number, launchedAt: LaunchedAt): void => {
  switch (event._tag) {
    case "FlowStarted": {
      begin(track, at)
      track.fanIn = event.fanIn
      const from = launchedAt(event.branch, event.fanIn)
      if (from === undefined || at <= from + clockStep) return
      track.push({ kind: "queue", from, to: at, label: "queued", details: [`waited ${duration(at - from)} to start`] })
      return
    }
    case "AttemptStarted":
      if (event.scope === "node") return
      track.endWait(at)
      track.endStopping(at)
      track.fanIn = event.fanIn
      track.startedAt ??= at
      track.attempts = event.attempt
      track.attempt = { number: event.attempt, from: at }
      track.nodes = []
      return
    case "NodeStarted":
      if (track.attempt !== undefined) track.nodes.push({ name: event.node, from: at, notes: 0 })
      return
    case "NodeProgress":
      for (const node of track.nodes) if (node.name === event.node && node.to === undefined) node.notes++
      return
    case "NodeCompleted":
      return endNode(track, event.node, at, "completed")
    case "NodeFailed":
      return endNode(track, event.node, at, "failed")
    case "NodeInterrupted":
      return endNode(track, event.node, at, "was stopped")
    case "AttemptSucceeded":
      if (event.scope === "node") return
      track.assumeAttempt(event.attempt)
      return track.endAttempt(at, "success", "succeeded")
    case "AttemptFailed":
      if (event.scope === "node") {
        return void track.nodeNotes.push(`its node failed in its own attempt ${event.attempt}: ${event.error}`)
      }
      track.assumeAttempt(event.attempt)
      return track.endAttempt(at, "failure", "failed", event.error)
    case "AttemptInterrupted":
      if (event.scope === "node") return
      track.assumeAttempt(event.attempt)
      return track.endAttempt(at, "interrupted", "was interrupted")
    case "FlowTimedOut":
      return timedOut(track, event, at)
    case "RetryScheduled":
      if (event.scope === "node") return
      track.endStopping(at)
      track.wait = {
        from: at,
        detail: `attempt ${event.attempt + 1} follows ${
          duration(event.delayMs)
        } after attempt ${event.attempt} failed: ${event.error}`
      }
      return
    case "FlowRejected":
      return rejected(track, event, at)
    case "FlowCompleted":
      return complete(track, event, at)
  }
}

const begin = (track: Track, at: number): void => {
  track.attempts = 0
  track.freeAt = undefined
  track.startedAt = at
}

const endNode = (track: Track, name: string, at: number, how: string): void => {
  const node = track.nodes.filter((open) => open.name === name && open.to === undefined).at(-1)
  if (node !== undefined) Object.assign(node, { to: at, how })
}

const timedOut = (track: Track, event: Extract<Event, { _tag: "FlowTimedOut" }>, at: number): void => {
  const limit = event.timeoutKind === "total"
    ? `the limit of ${duration(event.timeoutMs)} for all attempts was reached`
    : `the limit of ${duration(event.timeoutMs)} for one attempt was reached`
  if (event.scope === "node") return void track.nodeNotes.push(`its node: ${limit}`)
  if (event.timeoutKind === "attempt") track.assumeAttempt(event.attempt)
  if (track.attempt !== undefined) track.endAttempt(at, "timeout", "timed out", limit)
  else {
    track.endWait(at)
    track.push({ kind: "limit", outcome: "timeout", from: at, to: at, label: "", details: [`gave up: ${limit}`] })
  }
}

const rejected = (track: Track, event: Extract<Event, { _tag: "FlowRejected" }>, at: number): void => {
  const { circuit, limit } = event
  const refusal = circuit === undefined
    ? `limit ${limit?.key} has all ${limit?.permits} permits in use`
    : `circuit ${circuit.key} is ${circuit.state}`
  if (event.scope === "node") return void track.nodeNotes.push(`its node ${event.node} was refused: ${refusal}`)
  track.endWait(at)
  track.fanIn = event.fanIn
  const again = circuit === undefined ? [] : [`may be asked again in ${duration(circuit.retryAfterMs)}`]
  const label = circuit === undefined ? "not asked, limit reached" : `not asked, circuit ${circuit.state}`
  track.push({ kind: "rejected", from: at, to: at, label, details: [`refused: ${refusal}`, ...again] })
}

const complete = (track: Track, { fanIn, result }: Extract<Event, { _tag: "FlowCompleted" }>, at: number): void => {
  track.endWait(at)
  track.endAttempt(at, "open", "has no end in these events")
  track.endStopping(at)
  track.fanIn = fanIn
  if (result.abandoned) {
    const details = ["did not stop, and was left alone", "nobody waits for it; when it ends is not known"]
    track.push({ kind: "abandoned", from: at, to: Infinity, label: "left alone", details })
  }
  const row: Row = {
    branch: result.branch,
    outcome: result._tag.toLowerCase() as Row["outcome"],
    abandoned: result.abandoned,
    attempts: result.attempts,
    startMs: track.startedAt ?? Math.max(0, at - result.timingMs),
    endMs: at,
    timingMs: result.timingMs,
    circuit: result.circuitState,
    note: result._tag === "Success" ? "" : result.error
  }
  track.rows.push(row)
  track.startedAt = undefined
}

/** What is still open when the events end, and what was left alone, reaches to the end of the run. */
export const endFlow = (track: Track, end: number): void => {
  track.endWait(end)
  track.endAttempt(end, "open", "was running when the events end,")
  if (track.startedAt !== undefined) {
    track.rows.push({
      branch: track.branch!,
      outcome: "open",
      abandoned: false,
      attempts: track.attempts,
      startMs: track.startedAt,
      endMs: end,
      timingMs: end - track.startedAt,
      circuit: undefined,
      note: "still running when the events end"
    })
  }
  for (const [i, segment] of track.segments.entries()) {
    if (segment.to === Infinity) track.segments[i] = { ...segment, to: Math.max(end, segment.from) }
  }
}
