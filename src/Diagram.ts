/**
 * A compiled graph as a picture: all its nodes and edges, for Mermaid and Graphviz.
 *
 * @since 0.1.0
 */
import { explore, exploreFlow, type Paths } from "./internal/paths.ts"
import { END, type Fallback, type Plan, type PlanEdge, type PlanNode, START } from "./internal/plan.ts"

/**
 * A graph as data.
 *
 * **Details**
 *
 * `nodes` are in the order of their declaration, without start and end. In `edges` the start is called
 * `StateGraph.START` and the end `StateGraph.END`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Diagram {
  readonly name: string
  readonly nodes: ReadonlyArray<DiagramNode>
  readonly edges: ReadonlyArray<DiagramEdge>
}

/**
 * A node of a diagram.
 *
 * @category models
 * @since 0.1.0
 */
export interface DiagramNode {
  readonly name: string
  readonly kind: "node" | "fanIn" | "subgraph"
  /** The graph that the node is. */
  readonly diagram?: Diagram
}

/**
 * An edge of a diagram.
 *
 * **Details**
 *
 * `condition`: one for each key of a condition, which is its `label`. `parallel`: starts the flow `branch` that is joined at
 * `fanIn`. `join`: where a line goes that has no way out of its own: a flow to its fan-in, the main line to the fan-in of
 * flows that were launched before. (A node that waits at once for what it launches has no such edge.) `fallback`: the node that
 * runs instead of another, or of the flow that begins there, when that has failed.
 *
 * @category models
 * @since 0.1.0
 */
export type DiagramEdge =
  | { readonly kind: "edge"; readonly from: string; readonly to: string }
  | { readonly kind: "condition"; readonly from: string; readonly to: string; readonly label: string }
  | {
    readonly kind: "parallel"
    readonly from: string
    readonly to: string
    readonly fanIn: string
    readonly branch: string
    /** One flow per item. */
    readonly map?: true
  }
  | { readonly kind: "join"; readonly from: string; readonly to: string }
  | { readonly kind: "fallback"; readonly from: string; readonly to: string }

/** @internal */
export const fromPlan = ({ name, nodes, start }: Pick<Plan, "name" | "nodes" | "start">): Diagram => {
  const joins = joinsOf(start)
  const all = [...nodes.values()]
  return {
    name,
    nodes: all.map(({ kind, name, subgraph }) =>
      subgraph === undefined
        ? { name, kind: kind === "fanIn" ? kind : "node" }
        : { name, kind: "subgraph", diagram: fromPlan(subgraph.compiled.plan) }
    ),
    edges: withoutRepeated([start, ...all].flatMap((node) => [
      ...waysOf(node),
      ...fallbacksOf(node, node.fallback),
      ...node.launches.flatMap(({ fallback, to }) => fallbacksOf(to, fallback)),
      ...node.launches.map(({ fanIn, map, name: branch, to }): DiagramEdge => ({
        kind: "parallel",
        from: node.name,
        to: to.name,
        fanIn: fanIn.name,
        branch,
        ...(map === undefined ? {} : { map: true })
      })),
      ...[...joins.get(node) ?? []]
        // A line that waits at once for what it has just launched is no edge of its own.
        .filter((to) => !node.launches.some(({ fanIn }) => fanIn === to))
        .map((to): DiagramEdge => ({ kind: "join", from: node.name, to: to.name }))
    ]))
  }
}

/** Several flows that begin at one node, and the node itself, can have the same fallback. */
const withoutRepeated = (edges: ReadonlyArray<DiagramEdge>): ReadonlyArray<DiagramEdge> => {
  const seen = new Set<string>()
  return edges.filter(({ from, kind, to }) => {
    const { size } = seen
    return kind !== "fallback" || seen.add(JSON.stringify([from, to])).size > size
  })
}

const waysOf = ({ name: from, way }: PlanNode): ReadonlyArray<DiagramEdge> => {
  switch (way._tag) {
    case "None":
      return []
    case "Edge":
      return [{ kind: "edge", from, to: way.to === END ? END : way.to.name }]
    case "Condition":
      return [...way.targets].map(([label, to]) => ({ kind: "condition", from, to: to === END ? END : to.name, label }))
  }
}

const fallbacksOf = ({ name: from }: PlanNode, fallback: Fallback | undefined): ReadonlyArray<DiagramEdge> =>
  fallback?._tag === "Node" ? [{ kind: "fallback", from, to: fallback.node.name }] : []

/** Where lines go from nodes without a way out: found by walking every line of the graph. */
const joinsOf = (start: PlanNode): Map<PlanNode, Set<PlanNode>> => {
  const joins = new Map<PlanNode, Set<PlanNode>>()
  const known = new Set<PlanEdge>()
  const walk = (paths: Paths): void => {
    for (const [node, fanIns] of paths.joins) joins.set(node, new Set([...joins.get(node) ?? [], ...fanIns]))
    for (const edge of paths.launched) {
      if (known.has(edge)) continue
      known.add(edge)
      walk(exploreFlow(edge))
    }
  }
  walk(explore(start, undefined))
  return joins
}

/** Ids that cannot collide whatever the names are, nor with a word of the language. */
const idsOf = ({ nodes }: Diagram): (name: string) => string => {
  const ids = new Map(nodes.map(({ name }, i) => [name, `n${i}`]))
  return (name) => name === START ? "s" : name === END ? "e" : ids.get(name) ?? "unknown"
}

const usesEnd = ({ edges }: Diagram): boolean => edges.some(({ to }) => to === END)

/**
 * A label on its edge: the key of a condition, or the branch where it is not called like its node. An empty key is no label:
 * Mermaid has no empty ones.
 */
const labelOf = (edge: DiagramEdge): string | undefined => {
  switch (edge.kind) {
    case "condition":
      return edge.label === "" ? undefined : edge.label
    case "parallel": {
      const name = edge.branch === edge.to ? undefined : edge.branch
      return edge.map === true ? `${name === undefined ? "" : `${name}, `}for each item` : name
    }
    case "fallback":
      return "fallback"
    default:
      return undefined
  }
}

/** Letters, digits and spaces of all languages are themselves; anything else is an entity code, so that it means nothing. */
const mermaidText = (text: string): string =>
  text.replace(/[^\p{L}\p{M}\p{N} _-]/gu, (character) => `#${character.codePointAt(0)};`)

const arrows = { edge: "-->", condition: "-->", parallel: "==>", join: "-.->", fallback: "-.->" } as const

/**
 * Draws a graph as a Mermaid flowchart.
 *
 * **Details**
 *
 * A fan-in is a hexagon; a parallel edge is thick, with the branch's name where it differs from its node's; the way of a flow to
 * its fan-in is dotted, and so is the way to a fallback, which says so. Ids never collide, and names mean nothing to Mermaid, whatever is in them.
 *
 * **Gotchas**
 *
 * Mermaid refuses diagrams of more than 500 edges or 50,000 characters unless its `maxEdges` and `maxTextSize` say more.
 *
 * **Example** (Two sources and their join)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Diagram, StateGraph } from "effect-stategraph"
 *
 * const graph = StateGraph.make("search", Schema.Struct({ hits: Schema.Number }))
 *   .addNode("web")
 *   .addNode("cache")
 *   .addFanInNode("merge")
 *   .addParallelEdge(StateGraph.START, "web", "merge")
 *   .addParallelEdge(StateGraph.START, "cache", "merge", { name: "fast" })
 *   .setFinishPoint("merge")
 *   .compile()
 *
 * console.log(Diagram.toMermaid(graph.diagram))
 * ```
 *
 * ```txt printed
 * flowchart TD
 *   s(["start"])
 *   n0["web"]
 *   n1["cache"]
 *   n2{{"merge"}}
 *   e(["end"])
 *   s ==> n0
 *   s ==>|"fast"| n1
 *   n0 -.-> n2
 *   n1 -.-> n2
 *   n2 --> e
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const toMermaid = (diagram: Diagram): string => {
  const id = idsOf(diagram)
  const lines = ["flowchart TD", `  s(["start"])`]
  for (const { kind, name } of diagram.nodes) {
    const text = `"${mermaidText(name)}"`
    lines.push(`  ${id(name)}${kind === "fanIn" ? `{{${text}}}` : kind === "subgraph" ? `[[${text}]]` : `[${text}]`}`)
  }
  if (usesEnd(diagram)) lines.push(`  e(["end"])`)
  for (const edge of diagram.edges) {
    const label = labelOf(edge)
    const text = label === undefined ? "" : `|"${mermaidText(label)}"|`
    lines.push(`  ${id(edge.from)} ${arrows[edge.kind]}${text} ${id(edge.to)}`)
  }
  return lines.join("\n")
}

/** A quoted string: Graphviz reads backslashes and, in labels, HTML entities. */
const dotText = (text: string): string =>
  `"${
    text
      .replaceAll("&", "&amp;")
      .replaceAll("\\", "\\\\")
      .replaceAll(`"`, `\\"`)
      .replace(/\r\n|[\n\r]/g, "\\n")
      .replace(/\p{Cc}|\p{Cs}/gu, "\ufffd")
  }"`

const shapes = { node: "", fanIn: ", shape=hexagon, style=solid", subgraph: ", peripheries=2" } as const

const dotEdges = {
  edge: [],
  condition: [],
  parallel: ["penwidth=2"],
  join: ["style=dashed"],
  fallback: ["style=dotted"]
} as const

/**
 * Draws a graph in the DOT language of Graphviz.
 *
 * **Details**
 *
 * The same picture as {@link toMermaid}. Ids never collide; names are quoted, whatever is in them.
 *
 * **Example** (A condition)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Diagram, StateGraph } from "effect-stategraph"
 *
 * const graph = StateGraph.make("poll", Schema.Struct({ tries: Schema.Number }))
 *   .addNode("ask", ({ tries }) => ({ tries: tries + 1 }))
 *   .setEntryPoint("ask")
 *   .addConditionalEdges("ask", ({ tries }) => (tries < 3 ? "again" : "enough"), { again: "ask", enough: StateGraph.END })
 *   .compile()
 *
 * console.log(Diagram.toDot(graph.diagram))
 * ```
 *
 * ```txt printed
 * digraph "poll" {
 *   node [fontname="sans-serif", shape=box, style=rounded]
 *   edge [fontname="sans-serif", fontsize=10]
 *   s [label="start", shape=oval]
 *   n0 [label="ask"]
 *   e [label="end", shape=oval]
 *   s -> n0
 *   n0 -> n0 [label="again"]
 *   n0 -> e [label="enough"]
 * }
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const toDot = (diagram: Diagram): string => {
  const id = idsOf(diagram)
  const lines = [
    `digraph ${dotText(diagram.name)} {`,
    `  node [fontname="sans-serif", shape=box, style=rounded]`,
    `  edge [fontname="sans-serif", fontsize=10]`,
    `  s [label="start", shape=oval]`
  ]
  for (const { kind, name } of diagram.nodes) {
    lines.push(`  ${id(name)} [label=${dotText(name)}${shapes[kind]}]`)
  }
  if (usesEnd(diagram)) lines.push(`  e [label="end", shape=oval]`)
  for (const edge of diagram.edges) {
    const label = labelOf(edge)
    const attributes = [...label === undefined ? [] : [`label=${dotText(label)}`], ...dotEdges[edge.kind]]
    lines.push(`  ${id(edge.from)} -> ${id(edge.to)}${attributes.length === 0 ? "" : ` [${attributes.join(", ")}]`}`)
  }
  return [...lines, "}"].join("\n")
}
