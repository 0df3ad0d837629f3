/**
 * The graph of a timeline: taken from its diagram, or put together from what the events show of it. Many flows of one
 * kind are drawn as one box.
 */
import type { Diagram } from "../Diagram.ts"
import { count } from "./timelineHtml.ts"
import { END, START } from "./timelineLaunches.ts"

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
  /** One flow for each item. */
  readonly isMapped: boolean
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

/** So many flows from one node to one fan-in are still drawn one by one. */
const limit = 12

interface Launch extends FlowKey {
  readonly from: string
  readonly to: string
}

/** A graph before flows that are too many are replaced. */
export interface Draft {
  /** Labels and kinds by id; the first is the start. */
  readonly nodes: Map<string, { readonly label: string; readonly kind: ShapeNode["kind"] }>
  readonly edges: Array<ShapeEdge>
  readonly launches: Array<Launch>
}

export const emptyDraft = (): Draft => ({
  nodes: new Map([[START, { label: "start", kind: "end" }]]),
  edges: [],
  launches: []
})

/** `path`: the names of the nodes around it, each with a `/`. */
export const ofDiagram = (diagram: Diagram, path = ""): Shape => {
  const draft = emptyDraft()
  for (const { kind, name } of diagram.nodes) {
    draft.nodes.set(name, { label: name, kind: kind === "fanIn" ? kind : "node" })
  }
  draft.nodes.set(END, { label: "end", kind: "end" })
  for (const edge of diagram.edges) {
    const { from, kind, to } = edge
    if (kind === "parallel") {
      draft.launches.push({ from, to, fanIn: `${path}${edge.fanIn}`, name: edge.branch, isMapped: edge.map === true })
    } else if (kind === "condition") draft.edges.push({ from, to, kind, label: edge.label })
    else draft.edges.push(kind === "fallback" ? { from, to, kind, label: kind } : { from, to, kind })
  }
  return finish(draft, path)
}

/** Replaces many flows by one box, and drops what cannot be reached any more. */
export const finish = ({ edges: plain, launches, nodes }: Draft, path = ""): Shape => {
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
    const to = fanIn.slice(path.length)
    if (group.length > limit) {
      const id = `group ${key}`
      nodes.set(id, { label: count(group.length, "flow"), kind: "group" })
      flows.set(id, group)
      edges.push({ from, to: id, kind: "parallel" }, { from: id, to, kind: "join" })
      grouped = true
      continue
    }
    for (const launch of group) {
      const { to } = launch
      const own = flows.get(to)
      if (own === undefined) flows.set(to, [launch])
      else own.push(launch)
      edges.push({ from, to, kind: "parallel", ...labelOf(launch) })
    }
  }
  const known = joined(edges.filter(({ from, to }) => nodes.has(from) && nodes.has(to)))
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

/** Several edges of one kind between two nodes are one line, with all their labels. */
const joined = (edges: ReadonlyArray<ShapeEdge>): ReadonlyArray<ShapeEdge> => {
  const lines = new Map<string, Array<ShapeEdge>>()
  for (const edge of edges) {
    const id = `${edge.kind}\n${edge.from}\n${edge.to}`
    const same = lines.get(id)
    if (same === undefined) lines.set(id, [edge])
    else same.push(edge)
  }
  return [...lines.values()].map((same) => {
    const labels = same.flatMap(({ label }) => label === undefined ? [] : [label])
    return labels.length === 0 ? same[0]! : { ...same[0]!, label: [...new Set(labels)].join(", ") }
  })
}

/** A flow is named where it is not called like its node. */
const labelOf = ({ isMapped, name, to }: Launch): { readonly label?: string } => {
  const isSame = to.slice(to.lastIndexOf("/") + 1) === name || to.startsWith("flow ")
  const parts = [...isSame ? [] : [name], ...isMapped ? ["for each item"] : []]
  return parts.length === 0 ? {} : { label: parts.join(", ") }
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
