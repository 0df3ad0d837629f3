/**
 * One lane while its events are read. Times are milliseconds of the run.
 */
import { count, duration } from "./timelineHtml.ts"
import type { Row } from "./timelineModel.ts"

/**
 * What a lane did in some time:
 *
 * - `node`, `fanIn`: a node of the main line ran;
 * - `gather`: the main line waited for its flows;
 * - `queue`: a flow waited to start, for its place or its permission;
 * - `attempt`: an attempt of a flow ran;
 * - `stopping`: an attempt was cut, and its finalizers ran;
 * - `wait`: a flow waited before its next attempt;
 * - `abandoned`: work that did not stop, from when it was left alone; nobody knows until when;
 * - `rejected`, `limit`: an instant: a circuit refused; the time for all attempts was used up during a wait.
 */
export type Kind =
  | "node"
  | "fanIn"
  | "gather"
  | "queue"
  | "attempt"
  | "stopping"
  | "wait"
  | "abandoned"
  | "rejected"
  | "limit"

export interface Segment {
  readonly kind: Kind
  readonly outcome?: "success" | "failure" | "timeout" | "interrupted" | "open"
  readonly from: number
  readonly to: number
  /** Drawn inside, when it fits. */
  readonly label: string
  readonly details: ReadonlyArray<string>
  /** When each further node of an attempt began. */
  readonly marks: ReadonlyArray<number>
}

export interface Lane {
  /** Absent on the main line. */
  readonly branch: string | undefined
  readonly fanIn: string | undefined
  /** 0 for the main line and its flows, 1 for theirs, ... */
  readonly depth: number
  readonly segments: ReadonlyArray<Segment>
  /** How it ended last. */
  readonly row: Row | undefined
}

export type Outcome = NonNullable<Segment["outcome"]>

/** Events tell whole milliseconds: so much may lie between two that happen at once. */
export const clockStep = 1

interface OpenNode {
  readonly name: string
  readonly from: number
  to?: number
  how?: string
  notes: number
}

/** One lane while its events are read. */
export class Track {
  readonly branch: string | undefined
  readonly segments: Array<Segment> = []
  readonly rows: Array<Row> = []
  fanIn: string | undefined
  attempt: { readonly number: number; readonly from: number } | undefined
  nodes: Array<OpenNode> = []
  nodeNotes: Array<string> = []
  wait: { readonly from: number; readonly detail: string } | undefined
  /** When the last attempt, or the last node of the main line, ended. */
  freeAt: number | undefined
  /** Attempts that were seen since the flow began. */
  attempts = 0
  startedAt: number | undefined
  /** Whether flows were seen that this one started. */
  hasFlows = false
  constructor(branch: string | undefined) {
    this.branch = branch
  }

  push(segment: Partial<Segment> & Pick<Segment, "kind" | "from" | "to" | "label" | "details">): void {
    const to = Math.max(segment.from, segment.to)
    this.segments.push({ marks: [], ...segment, to })
  }

  endAttempt(at: number, outcome: Outcome, what: string, note?: string): void {
    const { attempt, nodes } = this
    if (attempt === undefined) return
    const to = Math.max(at, attempt.from)
    const shown = nodes.map((node) => describeNode(node, to))
    this.push({
      kind: "attempt",
      outcome,
      from: attempt.from,
      to,
      label: String(attempt.number),
      details: [
        `attempt ${attempt.number} ${what} after ${duration(to - attempt.from)}`,
        ...note === undefined || note === "" ? [] : [note],
        ...shown,
        ...this.nodeNotes
      ],
      marks: nodes.slice(1).map(({ from }) => Math.min(from, to))
    })
    this.attempt = undefined
    this.nodes = []
    this.nodeNotes = []
    // What ends by itself leaves nothing to stop, unless it has flows of its own.
    const cut = outcome === "timeout" || outcome === "interrupted" || (outcome === "failure" && this.hasFlows)
    this.freeAt = cut ? to : undefined
  }

  /** An attempt that began before the first event of the list. */
  assumeAttempt(number: number): void {
    if (this.attempt === undefined && this.segments.length === 0) this.attempt = { number, from: 0 }
  }

  endWait(at: number): void {
    const { wait } = this
    if (wait === undefined) return
    this.wait = undefined
    const label = "wait"
    this.push({
      kind: "wait",
      from: wait.from,
      to: at,
      label,
      details: [`waited ${duration(at - wait.from)}`, wait.detail]
    })
  }

  /** The time from a cut until everything had stopped, or was left alone. */
  endStopping(at: number): void {
    const from = this.freeAt
    this.freeAt = undefined
    if (from === undefined || at <= from + clockStep) return
    const details = [`was stopped; finishing took ${duration(at - from)}`]
    this.push({ kind: "stopping", from, to: at, label: "stopping", details })
  }
}

const describeNode = ({ from, how = "was stopped", name, notes, to }: OpenNode, end: number): string =>
  `node ${name} ${how} after ${duration(Math.min(to ?? end, end) - from)}${
    notes === 0 ? "" : `, told ${count(notes, "progress note")}`
  }`
