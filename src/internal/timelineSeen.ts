/**
 * The graph of a timeline, put together from what the events show of it: what never ran is not there.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { type Branches, branchesOf } from "./timelineBranches.ts"
import { END, START } from "./timelineLaunches.ts"
import { splitRuns } from "./timelineRuns.ts"
import { type Draft, emptyDraft, finish, type FlowKey, type Shape, type ShapeEdge } from "./timelineShape.ts"

/** What is known of one line while its events are read. */
interface Line {
  /** The node that completed last, or where it begins. */
  last: string | undefined
  /** The node that another one may stand in for now; empty if that is not known. */
  failed: string | undefined
}

/** The flows of one edge. */
interface SeenFlow extends FlowKey {
  readonly from: string
  entry: string | undefined
  readonly nodes: Set<string>
  /** Those that something follows, inside the flow. */
  readonly followed: Set<string>
}

/** That of one graph, which may be a node of another one. */
export const ofEvents = (events: Iterable<Event>, graph: string): Shape => {
  const runs = splitRuns(events)
  const reader = new Reader(
    graph,
    branchesOf(runs),
    new Set(runs.flatMap(({ events }) => events.flatMap(flowOf(graph))))
  )
  for (const { events, part } of runs) {
    if (part === 1) reader.lines.clear()
    for (const event of events) reader.read(event)
  }
  return finish(reader.drafted())
}

const flowOf = (graph: string) => (event: Event): ReadonlyArray<string> =>
  event.graph === graph && isOfFlow(event) ? [event.branch] : []

type OfFlow = Extract<Event, { readonly branch: string }>

const isOfFlow = (event: Event): event is OfFlow =>
  "branch" in event && event.branch !== undefined && !("node" in event)

class Reader {
  readonly lines = new Map<string, Line>()
  readonly #graph: string
  readonly #branches: Branches
  /** Every other line of the graph is a main line. */
  readonly #own: ReadonlySet<string>
  readonly #draft: Draft = emptyDraft()
  readonly #flows = new Map<string, SeenFlow>()
  readonly #edges = new Map<string, ShapeEdge>()
  /** From where to which fan-in flows lead: there the line itself need not be drawn beside them. */
  readonly #launched = new Set<string>()

  constructor(graph: string, branches: Branches, own: ReadonlySet<string>) {
    this.#graph = graph
    this.#branches = branches
    this.#own = own
  }

  read(event: Event): void {
    const branch = "branch" in event ? event.branch ?? "" : ""
    if (event.graph !== this.#graph) {
      // It may be the node that is this graph.
      if (event._tag === "NodeStarted") this.lines.delete(branch)
      return
    }
    const line = this.#line(branch)
    if (isOfFlow(event)) this.#see(event)
    const flow = this.#flow(branch)
    switch (event._tag) {
      case "AttemptStarted":
        if (event.scope === "flow") Object.assign(line, { last: undefined, failed: undefined })
        return
      case "AttemptFailed":
      case "FlowTimedOut":
      case "FlowRejected":
        if (event.scope === "flow") Object.assign(line, { last: undefined, failed: flow?.entry ?? "" })
        return
      case "NodeStarted":
        return this.#start(event, line, flow)
      case "NodeFailed":
        line.failed = event.node
        return
      case "NodeCompleted":
        Object.assign(line, { last: event.node, failed: undefined })
        return
      case "GraphCompleted":
        this.#draft.nodes.set(END, { label: "end", kind: "end" })
        if (line.last !== undefined) this.#connect(line.last, END, "edge")
    }
  }

  #line(branch: string): Line {
    const known = this.lines.get(branch)
    if (known !== undefined) return known
    const line: Line = { last: this.#own.has(branch) ? undefined : START, failed: undefined }
    this.lines.set(branch, line)
    return line
  }

  #flow(branch: string): SeenFlow | undefined {
    return this.#own.has(branch) ? this.#flows.get(this.#branches(branch).family) : undefined
  }

  #see({ branch, fanIn }: OfFlow): void {
    const { around = "", family, isMapped, name } = this.#branches(branch)
    if (this.#flows.has(family)) return
    const outer = this.#flow(around)
    const from = this.lines.get(around)?.last ?? outer?.entry ?? START
    outer?.followed.add(from)
    const flow = {
      fanIn,
      name,
      isMapped,
      from,
      entry: undefined,
      nodes: new Set<string>(),
      followed: new Set<string>()
    }
    this.#flows.set(family, flow)
    this.#launched.add(`${from}\n${fanIn}`)
  }

  #start({ fanIn, node }: Extract<Event, { _tag: "NodeStarted" }>, line: Line, flow: SeenFlow | undefined): void {
    const kind = fanIn === node ? "fanIn" : "node"
    const { nodes } = this.#draft
    if (nodes.get(node)?.kind !== "fanIn") nodes.set(node, { label: node, kind })
    flow?.nodes.add(node)
    const { failed, last } = line
    line.failed = undefined
    if (failed !== undefined) {
      if (failed !== "" && failed !== node) this.#connect(failed, node, "fallback")
    } else if (flow !== undefined && last === undefined) flow.entry ??= node
    else if (last !== undefined && last !== node && !this.#launched.has(`${last}\n${node}`)) {
      this.#connect(last, node, kind === "node" ? "edge" : "join")
      flow?.followed.add(last)
    }
  }

  #connect(from: string, to: string, kind: ShapeEdge["kind"]): void {
    const label = kind === "fallback" ? { label: kind } : {}
    this.#edges.set(`${from}\n${to}`, { from, to, kind, ...label })
  }

  drafted(): Draft {
    const { edges, launches, nodes } = this.#draft
    for (const { entry, fanIn, followed, from, isMapped, name, nodes: ran } of this.#flows.values()) {
      const to = entry ?? `flow ${fanIn} ${name}`
      if (entry === undefined) nodes.set(to, { label: name, kind: "node" })
      launches.push({ from, to, fanIn, name, isMapped })
      const exits = entry === undefined ? [to] : [...ran].filter((node) => !followed.has(node))
      for (const exit of exits) this.#connect(exit, fanIn, "join")
    }
    edges.push(...this.#edges.values())
    for (const { fanIn } of this.#flows.values()) {
      if (!nodes.has(fanIn)) nodes.set(fanIn, { label: fanIn, kind: "fanIn" })
    }
    return this.#draft
  }
}
