/**
 * What one event tells of a flow's lane.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { duration } from "./timelineHtml.ts"
import { readCall, readNode } from "./timelineInside.ts"
import type { Row } from "./timelineModel.ts"
import type { Outcome } from "./timelineSegment.ts"
import { suspend } from "./timelineSuspended.ts"
import { clockStep, type Track } from "./timelineTrack.ts"
import { limitText, refusalText } from "./timelineWords.ts"

/** When the flow was launched, if that is known: a flow can wait for its place. */
type LaunchedAt = (branch: string, fanIn: string) => number | undefined

export const readFlow = (track: Track, event: Event, at: number, launchedAt: LaunchedAt): void => {
  if ("scope" in event && event.scope === "node") return readCall(track, event, at)
  switch (event._tag) {
    case "FlowStarted": {
      track.attempts = 0
      track.freeAt = undefined
      track.startedAt = at
      track.fanIn = event.fanIn
      const from = launchedAt(event.branch, event.fanIn)
      if (from === undefined || at <= from + clockStep) return
      track.push({ kind: "queue", from, to: at, label: "queued", details: [`waited ${duration(at - from)} to start`] })
      return
    }
    case "AttemptStarted":
      track.endWait(at)
      track.endStopping(at)
      track.fanIn = event.fanIn
      track.startedAt ??= at
      track.attempts = event.attempt
      track.begin({ kind: "attempt", name: String(event.attempt), from: at })
      return
    case "NodeStarted":
      if (track.isUnseen) track.assumeAttempt(event.attempt ?? 1)
      // What runs after the last attempt stands in for it.
      if (track.open === undefined) {
        track.endWait(at)
        track.endStopping(at)
        track.begin({ kind: "fallback", name: event.node, from: at })
      }
      return readNode(track, event, at)
    case "NodeProgress":
    case "NodeCompleted":
    case "NodeFailed":
    case "NodeInterrupted":
      return readNode(track, event, at)
    case "AttemptSucceeded":
      track.assumeAttempt(event.attempt)
      return track.close(at, "success", "succeeded")
    case "AttemptFailed":
      track.assumeAttempt(event.attempt)
      return track.close(at, "failure", "failed", event.error)
    case "AttemptInterrupted":
      track.assumeAttempt(event.attempt)
      return track.close(at, "interrupted", "was interrupted")
    case "FlowTimedOut":
      return timedOut(track, event, at)
    case "RetryScheduled":
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
    case "FlowSuspended":
      return suspended(track, event, at)
    case "FlowCompleted":
      return complete(track, event, at)
  }
}

const timedOut = (track: Track, event: Extract<Event, { _tag: "FlowTimedOut" }>, at: number): void => {
  const limit = limitText(event)
  if (event.timeoutKind === "attempt") track.assumeAttempt(event.attempt)
  if (track.open !== undefined) track.close(at, "timeout", "timed out", limit)
  else {
    track.endWait(at)
    track.push({ kind: "limit", outcome: "timeout", from: at, to: at, label: "", details: [`gave up: ${limit}`] })
  }
}

const rejected = (track: Track, event: Extract<Event, { _tag: "FlowRejected" }>, at: number): void => {
  const { circuit } = event
  track.endWait(at)
  track.fanIn = event.fanIn
  const again = circuit === undefined ? [] : [`may be asked again in ${duration(circuit.retryAfterMs)}`]
  const label = circuit === undefined ? "not asked, limit reached" : `not asked, circuit ${circuit.state}`
  track.push({ kind: "rejected", from: at, to: at, label, details: [`refused: ${refusalText(event)}`, ...again] })
}

const suspended = (track: Track, { fanIn, pending }: Extract<Event, { _tag: "FlowSuspended" }>, at: number): void => {
  track.endWait(at)
  track.fanIn = fanIn
  const note = suspend(track, pending, at)
  const startMs = track.startedAt ?? 0
  const ended = { outcome: "suspended", startMs, endMs: at, timingMs: at - startMs, note } as const
  track.rows.push({ ...blank, branch: track.branch!, attempts: track.attempts, ...ended })
  track.startedAt = undefined
}

const blank = { abandoned: false, usedFallback: false, circuit: undefined, refusedBy: undefined }

/** How a fallback ended is told by the flow's result. */
const endings: Record<Row["outcome"], readonly [Outcome, string]> = {
  success: ["success", "succeeded"],
  failure: ["failure", "failed"],
  rejected: ["failure", "failed"],
  timeout: ["timeout", "timed out"],
  interrupted: ["interrupted", "was interrupted"],
  suspended: ["interrupted", "was interrupted"],
  open: ["open", "has no end in these events"]
}

const complete = (track: Track, { fanIn, result }: Extract<Event, { _tag: "FlowCompleted" }>, at: number): void => {
  const outcome = result._tag.toLowerCase() as Row["outcome"]
  const usedFallback = result.usedFallback === true
  track.endWait(at)
  const before = track.segments.at(-1)
  if (track.open?.kind === "fallback") track.close(at, ...endings[outcome])
  else if (usedFallback && result.success && track.open === undefined && before?.outcome !== "success") {
    track.endStopping(at)
    const details = ["its fallback took the place of what had failed"]
    track.push({ kind: "fallback", outcome: "success", from: at, to: at, label: "fallback", details })
  }
  track.close(at, "open", "has no end in these events")
  track.endStopping(at)
  track.fanIn = fanIn
  if (result.abandoned) {
    const details = ["did not stop, and was left alone", "nobody waits for it; when it ends is not known"]
    track.push({ kind: "abandoned", from: at, to: Infinity, label: "left alone", details })
  }
  track.rows.push({
    branch: track.branch!,
    outcome,
    abandoned: result.abandoned,
    usedFallback,
    refusedBy: result._tag !== "Rejected"
      ? undefined
      : result.errorType === "LimitExceededError"
      ? "limit"
      : "circuit",
    attempts: result.attempts,
    startMs: track.startedAt ?? Math.max(0, at - result.timingMs),
    endMs: at,
    timingMs: result.timingMs,
    circuit: result.circuitState,
    note: result._tag === "Success" ? "" : result.error
  })
  track.startedAt = undefined
}

/** What is still open when the events end, and what was left alone, reaches to the end of the run. */
export const endFlow = (track: Track, end: number): void => {
  track.endWait(end)
  track.close(end, "open", "was running when the events end,")
  const { startedAt: startMs } = track
  if (startMs !== undefined) {
    const note = "still running when the events end"
    const ended = { outcome: "open", startMs, endMs: end, timingMs: end - startMs, note } as const
    track.rows.push({ ...blank, branch: track.branch!, attempts: track.attempts, ...ended })
  }
  track.endAll(end)
}
