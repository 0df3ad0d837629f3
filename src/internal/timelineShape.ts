/**
 * The graph of a timeline: taken from its diagram, or put together from what the events show of it. Many flows of one
 * kind are drawn as one box.
 */
import type { Diagram } from "../Diagram.ts"
import type { Any as Event } from "../GraphEvent.ts"
import { count } from "./timelineHtml.ts"
import type { LaunchNode } from "./timelineModel.ts"

export interface ShapeNode {
  readonly id: string
  readonly label: string
  readonly kind: "end" | "node" | "fanIn" | "group"
  /** The flows that begin here, as the fan-in and the branch within its line. */
  readonly flows: ReadonlyArray<FlowKey>
}

export interface FlowKey {
  readonly fanIn: string
  readonly name: string
}

export interface ShapeEdge {
  readonly from: string
  readonly to: string
  readonly kind: "edge" | "condition" | "parallel" | "join" | "fallback"
  readonly label?: string
}

export interface Shape {
  readonly nodes: ReadonlyArray<ShapeNode>
  readonly edges: ReadonlyArray<ShapeEdge>
}

const START = "__start__"
const END = "__end__"

/** So many flows from one node to one fan-in are still drawn one by one. */
const limit = 12

interface Launch extends FlowKey {
  readonly from: string
  readonly to: string
}

interface Draft {
  /** Labels and kinds by id; the first is the start. */
  readonly nodes: Map<string, { readonly label: string; readonly kind: ShapeNode["kind"] }>
  readonly edges: Array<ShapeEdge>
  readonly launches: Array<Launch>
}

const emptyDraft = (): Draft => ({
  nodes: new Map([[START, { label: "start", kind: "end" }]]),
  edges: [],
  launches: []
})

export const ofDiagram = (diagram: Diagram): Shape => {
  const draft = emptyDraft()
  for (const { kind, name } of diagram.nodes) {
    draft.nodes.set(name, { label: name, kind: kind === "fanIn" ? kind : "node" })
  }
  draft.nodes.set(END, { label: "end", kind: "end" })
  for (const edge of diagram.edges) {
    const { from, kind, to } = edge
    if (kind === "parallel") draft.launches.push({ from, to, fanIn: edge.fanIn, name: edge.branch })
    else if (kind === "condition") draft.edges.push({ from, to, kind, label: edge.label })
    else draft.edges.push(kind === "fallback" ? { from, to, kind, label: kind } : { from, to, kind })
  }
  return finish(draft)
}

/** Where a flow of that diagram is launched from; `""` is the start. */
export const launchNodeOf = (diagram: Diagram): LaunchNode => {
  const from = new Map<string, string>()
  for (const edge of diagram.edges) {
    if (edge.kind === "parallel") from.set(`${edge.fanIn}\n${edge.branch}`, edge.from === START ? "" : edge.from)
  }
  return (graph, branch, fanIn) =>
    graph === diagram.name ? from.get(`${fanIn}\n${branch.slice(branch.lastIndexOf("/") + 1)}`) : undefined
}

/** What is known of one line while its events are read. */
interface Seen {
  /** The node that completed last. */
  last: string | undefined
}

interface SeenFlow extends FlowKey {
  readonly from: string
  entry: string | undefined
  readonly nodes: Set<string>
  /** Those that something follows, inside the flow. */
  readonly followed: Set<string>
}

/** The flows, fan-ins and nodes that ran; what never ran is not there. */
export const ofEvents = (events: ReadonlyArray<Event>): Shape => {
  const draft = emptyDraft()
  const flows = new Map<string, SeenFlow>()
  const edges = new Map<string, ShapeEdge>()
  const connect = (from: string, to: string, kind: ShapeEdge["kind"]) => edges.set(`${from}\n${to}`, { from, to, kind })
  const runs = new Map<string, Map<string, Seen>>()
  for (const event of events) {
    let lines = runs.get(event.runId)
    if (lines === undefined || event._tag === "GraphStarted") {
      lines = new Map([["", { last: START }]])
      runs.set(event.runId, lines)
    }
    readShape(event, draft, lines, flows, connect)
  }
  for (const { entry, fanIn, followed, from, name, nodes } of flows.values()) {
    const to = entry ?? `flow ${fanIn} ${name}`
    if (entry === undefined) draft.nodes.set(to, { label: name, kind: "node" })
    draft.launches.push({ from, to, fanIn, name })
    const exits = entry === undefined ? [to] : [...nodes].filter((node) => !followed.has(node))
    for (const exit of exits) connect(exit, fanIn, "join")
  }
  draft.edges.push(...edges.values())
  for (const { fanIn } of flows.values()) {
    if (!draft.nodes.has(fanIn)) draft.nodes.set(fanIn, { label: fanIn, kind: "fanIn" })
  }
  return finish(draft)
}

const readShape = (
  event: Event,
  draft: Draft,
  lines: Map<string, Seen>,
  flows: Map<string, SeenFlow>,
  connect: (from: string, to: string, kind: ShapeEdge["kind"]) => void
): void => {
  const branch = "branch" in event && event.branch !== undefined ? event.branch : ""
  let line = lines.get(branch)
  if (line === undefined) lines.set(branch, line = { last: undefined })
  if (branch !== "" && "fanIn" in event && !flows.has(branch) && !("node" in event)) {
    const parent = branch.slice(0, Math.max(0, branch.lastIndexOf("/")))
    const from = lines.get(parent)?.last ?? flows.get(parent)?.entry ?? START
    const name = branch.slice(parent === "" ? 0 : parent.length + 1)
    flows.get(parent)?.followed.add(from)
    flows.set(branch, { fanIn: event.fanIn!, name, from, entry: undefined, nodes: new Set(), followed: new Set() })
  }
  const flow = flows.get(branch)
  switch (event._tag) {
    case "AttemptStarted":
      line.last = undefined
      return
    case "NodeStarted": {
      const { node } = event
      const kind = event.fanIn === node ? "fanIn" : "node"
      if (draft.nodes.get(node)?.kind !== "fanIn") draft.nodes.set(node, { label: node, kind })
      flow?.nodes.add(node)
      if (flow !== undefined && line.last === undefined) flow.entry ??= node
      else if (line.last !== undefined && !launches(flows, line.last, node)) {
        connect(line.last, node, kind === "node" ? "edge" : "join")
        flow?.followed.add(line.last)
      }
      return
    }
    case "NodeCompleted":
      line.last = event.node
      return
    case "GraphCompleted":
      draft.nodes.set(END, { label: "end", kind: "end" })
      if (line.last !== undefined) connect(line.last, END, "edge")
  }
}

/** Whether flows lead from here to there: then the line itself need not be drawn beside them. */
const launches = (flows: ReadonlyMap<string, SeenFlow>, from: string, fanIn: string): boolean => {
  for (const flow of flows.values()) if (flow.from === from && flow.fanIn === fanIn) return true
  return false
}

/** Replaces many flows by one box, and drops what cannot be reached any more. */
const finish = ({ edges: plain, launches, nodes }: Draft): Shape => {
  const groups = new Map<string, Array<Launch>>()
  for (const launch of launches) {
    const key = `${launch.from}\n${launch.fanIn}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [launch])
    else group.push(launch)
  }
  const edges = [...plain]
  const flows = new Map<string, Array<FlowKey>>()
  let grouped = false
  for (const [key, group] of groups) {
    const { fanIn, from } = group[0]!
    if (group.length > limit) {
      const id = `group ${key}`
      nodes.set(id, { label: count(group.length, "flow"), kind: "group" })
      flows.set(id, group)
      edges.push({ from, to: id, kind: "parallel" }, { from: id, to: fanIn, kind: "join" })
      grouped = true
      continue
    }
    for (const launch of group) {
      const { name, to } = launch
      const own = flows.get(to)
      if (own === undefined) flows.set(to, [launch])
      else own.push(launch)
      edges.push({ from, to, kind: "parallel", ...name === to || to.startsWith("flow ") ? {} : { label: name } })
    }
  }
  const known = edges.filter(({ from, to }) => nodes.has(from) && nodes.has(to))
  const kept = grouped ? reachable(known) : nodes
  const used = new Set(known.flatMap(({ from, to }) => [from, to]))
  return {
    nodes: [...nodes].filter(([id]) => kept.has(id) && (id !== END || used.has(id))).map(([id, node]) => ({
      id,
      ...node,
      flows: flows.get(id) ?? []
    })),
    edges: known.filter(({ from, to }) => kept.has(from) && kept.has(to))
  }
}

const reachable = (edges: ReadonlyArray<ShapeEdge>): ReadonlySet<string> => {
  const out = new Map<string, Array<string>>()
  for (const { from, to } of edges) {
    const all = out.get(from)
    if (all === undefined) out.set(from, [to])
    else all.push(to)
  }
  const found = new Set([START])
  const open = [START]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const to of out.get(id) ?? []) {
      if (found.has(to)) continue
      found.add(to)
      open.push(to)
    }
  }
  return found
}
