/**
 * What happens inside of an attempt, or of a node that is a graph: its nodes, and the attempts of those with a policy of
 * their own.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { count, duration } from "./timelineHtml.ts"
import type { Outcome, Part } from "./timelineSegment.ts"
import type { Track } from "./timelineTrack.ts"
import { limitText, refusalText } from "./timelineWords.ts"

export interface Node {
  readonly is: "node"
  readonly name: string
  readonly from: number
  to?: number
  how?: string
  notes: number
}

/** One attempt of a node. */
export interface Call {
  readonly is: "call"
  readonly node: string
  readonly number: number
  readonly from: number
  to?: number
  outcome?: Outcome
  how?: string
}

export type Inside = Node | Call | { readonly is: "note"; readonly text: string; readonly part?: Part }

/** A node that succeeded at once is no more to look at than one without a policy. */
export const partsOf = (all: ReadonlyArray<Inside>, end: number): ReadonlyArray<Part> => {
  const told = new Set<string>()
  for (const one of all) {
    if (one.is === "call" && (one.number > 1 || one.outcome !== "success")) told.add(one.node)
  }
  return all.flatMap((one): ReadonlyArray<Part> => {
    if (one.is === "note") return one.part === undefined ? [] : [one.part]
    if (one.is === "node" || !told.has(one.node)) return []
    const { from, outcome = "open", to } = one
    return [{ outcome, from: Math.min(from, end), to: Math.min(to ?? end, end) }]
  })
}

export const describe = (inside: Inside, end: number): string => {
  if (inside.is === "note") return inside.text
  const { from, how = "was stopped", to } = inside
  const time = duration(Math.max(0, Math.min(to ?? end, end) - from))
  if (inside.is === "call") return `node ${inside.node}, attempt ${inside.number} ${how} after ${time}`
  const told = inside.notes === 0 ? "" : `, told ${count(inside.notes, "progress note")}`
  return `node ${inside.name} ${how} after ${time}${told}`
}

/** Nodes that are not what the lane itself shows. */
export const readNode = (track: Track, event: Event, at: number): void => {
  switch (event._tag) {
    case "NodeStarted":
      return void track.inside.push({ is: "node", name: event.node, from: at, notes: 0 })
    case "NodeProgress": {
      const node = track.node(event.node)
      if (node !== undefined) node.notes++
      return
    }
    case "NodeCompleted":
      return end(track.node(event.node), at, event.usedFallback === true ? "gave its fallback" : "completed")
    case "NodeFailed":
      return end(track.node(event.node), at, "failed")
    case "NodeInterrupted":
      return end(track.node(event.node), at, "was stopped")
  }
}

const end = (inside: Node | Call | undefined, at: number, how: string, outcome?: Call["outcome"]): void => {
  if (inside !== undefined) Object.assign(inside, { to: at, how, ...outcome === undefined ? {} : { outcome } })
}

/** The attempts of a node with a policy of its own. */
export const readCall = (track: Track, event: Extract<Event, { readonly scope: "node" }>, at: number): void => {
  const { node } = event
  const call = track.call(node)
  switch (event._tag) {
    case "AttemptStarted":
      return void track.inside.push({ is: "call", node, number: event.attempt, from: at })
    case "AttemptSucceeded":
      return end(call, at, "succeeded", "success")
    case "AttemptFailed":
      return end(call, at, `failed: ${event.error},`, "failure")
    case "AttemptInterrupted":
      return end(call, at, "was interrupted", "interrupted")
    case "FlowTimedOut":
      if (call === undefined) return track.note(`node ${node} gave up: ${limitText(event)}`)
      return end(call, at, `timed out: ${limitText(event)},`, "timeout")
    case "RetryScheduled":
      return track.note(`node ${node}: attempt ${event.attempt + 1} follows ${duration(event.delayMs)} later`)
    case "FlowRejected": {
      const text = `node ${node} was refused: ${refusalText(event)}`
      return void track.inside.push({ is: "note", text, part: { outcome: "rejected", from: at, to: at } })
    }
    case "CircuitStateChanged":
      return track.note(`the circuit of node ${node} went from ${event.from} to ${event.to}`)
  }
}
