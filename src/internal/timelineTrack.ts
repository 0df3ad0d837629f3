/**
 * One lane while its events are read. Times are milliseconds of the run.
 */
import { count, duration } from "./timelineHtml.ts"
import { type Call, describe, type Inside, type Node, partsOf } from "./timelineInside.ts"
import type { Row } from "./timelineModel.ts"
import type { Outcome, Segment } from "./timelineSegment.ts"

/** Events tell whole milliseconds: so much may lie between two that happen at once. */
export const clockStep = 1

/** What runs: a node of the main line, an attempt of a flow, or its fallback. */
interface Open {
  readonly kind: "node" | "fanIn" | "attempt" | "fallback"
  /** That of a node, or the number of an attempt. */
  readonly name: string
  readonly from: number
}

const titles: Record<Open["kind"], (name: string) => string> = {
  node: (name) => `node ${name}`,
  fanIn: (name) => `fan-in ${name}`,
  attempt: (name) => `attempt ${name}`,
  fallback: () => "fallback"
}

export class Track {
  readonly branch: string | undefined
  readonly segments: Array<Segment> = []
  readonly rows: Array<Row> = []
  fanIn: string | undefined
  open: Open | undefined
  /** What happened inside of it so far. */
  inside: Array<Inside> = []
  /** Progress that the node of the main line itself told of. */
  notes = 0
  wait: { readonly from: number; readonly detail: string } | undefined
  /** When the last attempt, or the last node of the main line, ended. */
  freeAt: number | undefined
  /** Attempts that were seen since the flow began. */
  attempts = 0
  startedAt: number | undefined
  /** Whether flows were seen that this one started. */
  hasFlows = false
  #closed: { readonly segment: Segment; readonly open: Open; readonly inside: Array<Inside> } | undefined
  constructor(branch: string | undefined) {
    this.branch = branch
  }

  push(segment: Partial<Segment> & Pick<Segment, "kind" | "from" | "to" | "label" | "details">): Segment {
    const whole = { marks: [], parts: [], ...segment, to: Math.max(segment.from, segment.to) }
    this.segments.push(whole)
    return whole
  }

  begin(open: Open): void {
    this.open = open
    this.inside = []
    this.notes = 0
  }

  /** Whether this is the first that is told of it, so that it began before. */
  get isUnseen(): boolean {
    return this.open === undefined && this.segments.length === 0 && this.startedAt === undefined
  }

  /** An attempt that began before the first event of the list. */
  assumeAttempt(number: number): void {
    if (this.open === undefined && this.segments.length === 0) {
      this.open = { kind: "attempt", name: String(number), from: 0 }
    }
  }

  /** The node of this name that runs inside. */
  node(name: string): Node | undefined {
    for (let i = this.inside.length - 1; i >= 0; i--) {
      const one = this.inside[i]!
      if (one.is === "node" && one.name === name && one.to === undefined) return one
    }
    return undefined
  }

  /** The attempt of that node that runs inside. */
  call(node: string): Call | undefined {
    for (let i = this.inside.length - 1; i >= 0; i--) {
      const one = this.inside[i]!
      if (one.is === "call" && one.node === node && one.to === undefined) return one
    }
    return undefined
  }

  note(text: string): void {
    this.inside.push({ is: "note", text })
  }

  close(at: number, outcome: Outcome, what: string, note?: string): void {
    const { inside, open } = this
    if (open === undefined) return
    const { from, kind, name } = open
    const to = Math.max(at, from)
    const nodes = inside.filter((one) => one.is === "node")
    const shown = kind === "attempt" || kind === "fallback" ? nodes.slice(1) : nodes
    const segment = this.push({
      kind,
      outcome,
      from,
      to,
      label: kind === "fallback" ? "fallback" : name,
      details: [
        `${titles[kind](name)} ${what} after ${duration(to - from)}`,
        ...note === undefined || note === "" ? [] : [note],
        ...this.notes === 0 ? [] : [`told ${count(this.notes, "progress note")}`],
        ...inside.map((one) => describe(one, to))
      ],
      marks: shown.map(({ from }) => Math.min(from, to)),
      parts: partsOf(inside, to)
    })
    this.#closed = { segment, open, inside }
    this.open = undefined
    this.inside = []
    // What ends by itself leaves nothing to stop, unless it has flows of its own.
    const cut = outcome === "timeout" || outcome === "interrupted" || (outcome === "failure" && this.hasFlows)
    this.freeAt = kind === "node" || kind === "fanIn" || cut ? to : undefined
  }

  endWait(at: number): void {
    const { wait } = this
    if (wait === undefined) return
    this.wait = undefined
    const details = [`waited ${duration(at - wait.from)}`, wait.detail]
    this.push({ kind: "wait", from: wait.from, to: at, label: "wait", details })
  }

  /** The time from a cut until everything had stopped, or was left alone. */
  endStopping(at: number): void {
    const from = this.freeAt
    this.freeAt = undefined
    if (from === undefined || at <= from + clockStep) return
    const details = [`was stopped; finishing took ${duration(at - from)}`]
    this.push({ kind: "stopping", from, to: at, label: "stopping", details })
  }

  /** What nobody has ended reaches to the end of the run. */
  endAll(end: number): void {
    for (const [i, segment] of this.segments.entries()) {
      if (segment.to === Infinity) this.segments[i] = { ...segment, to: Math.max(end, segment.from) }
    }
  }

  /** What was cut last was waiting for somebody: takes it back, to be closed in another way. */
  reopen(): number | undefined {
    const closed = this.#closed
    if (closed?.segment.outcome !== "interrupted" || this.segments.at(-1) !== closed.segment) return undefined
    this.segments.pop()
    this.open = closed.open
    this.inside = closed.inside
    this.freeAt = undefined
    return closed.segment.to
  }
}
