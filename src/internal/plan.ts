/**
 * Step 1: what the builder collected, and the immutable plan that a run follows.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Completion from "../Completion.ts"
import type { InvalidConfigError } from "../GraphError.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import type { Compiled } from "./compiled.ts"

export const START = "__start__"
export const END = "__end__"

/** A run's state: the schema's own type is known to the builder only. */
export type State = Readonly<Record<string, unknown>>

/** A node's function as the engine sees it: an update, nothing, or an Effect of one. */
export type NodeFunction = (state: State, ctx: unknown) => unknown

/** Puts the value that a flow set together with what is there. */
export type Reducer = (current: unknown, update: unknown) => unknown

/** What the builder was told, in the order it was told. */
export interface BuilderData {
  readonly name: string
  readonly nodes: ReadonlyArray<NodeData>
  readonly edges: ReadonlyArray<{ readonly from: string; readonly to: string }>
  readonly conditionals: ReadonlyArray<ConditionalData>
  readonly parallels: ReadonlyArray<ParallelData>
}

/** A compiled graph that is a node of another. */
export interface Subgraph {
  readonly compiled: Compiled
  readonly input: (state: State) => unknown
  readonly output: (result: State, state: State) => unknown
}

export interface NodeData {
  readonly name: string
  readonly kind: "node" | "fanIn"
  readonly subgraph?: Subgraph
  readonly run: NodeFunction | undefined
  /** Read when it is added, so that changing the options afterwards changes nothing. */
  readonly options: Result.Result<NodeOptions, ReadonlyArray<InvalidConfigError>>
}

/** What is said of a node beside its function. */
export interface NodeOptions {
  /** Of a fan-in. */
  readonly completion?: Completion.Resolved | undefined
  readonly policy?: ParallelConfig.ParallelConfig | undefined
  readonly fallback?: FallbackData | undefined
  /** Of the items of the maps whose flows it is in. */
  readonly item?: Schema.Constraint | undefined
}

/** The name of a node, or an update. */
export type FallbackData = string | State

/** What is done instead of what has failed. */
export type Fallback =
  | { readonly _tag: "Value"; readonly update: State }
  | { readonly _tag: "Node"; readonly node: PlanNode }

export interface ConditionalData {
  readonly from: string
  readonly decide: NodeFunction
  readonly targets: Readonly<Record<string, string>>
}

/** What makes one flow per item of a parallel edge. */
export interface MapData {
  readonly items: NodeFunction
  readonly key: ((item: unknown, index: number) => string) | undefined
  /** Over the edge's own config. */
  readonly config: ((item: unknown, index: number) => ParallelConfig.Input) | undefined
  readonly circuitKey: ((item: unknown, index: number) => string) | undefined
}

export interface ParallelData {
  readonly map: MapData | undefined
  readonly from: string
  readonly to: string
  readonly fanIn: string
  readonly name: string
  readonly fallback: FallbackData | undefined
  /** Read when the edge is added, so that changing the options afterwards changes nothing. */
  readonly config: Result.Result<ParallelConfig.ParallelConfig, ReadonlyArray<InvalidConfigError>>
}

/** Where a line stands: about to run a node, or at the end. */
export type Position = PlanNode | typeof END

export type WayOut =
  | { readonly _tag: "None" }
  | { readonly _tag: "Edge"; readonly to: Position }
  | { readonly _tag: "Condition"; readonly decide: NodeFunction; readonly targets: ReadonlyMap<string, Position> }

/** A node with its ways out. Linked after all nodes exist, then never changed. */
export interface PlanNode {
  /** Order of declaration; START is -1. */
  readonly index: number
  readonly name: string
  readonly kind: "start" | "node" | "fanIn"
  readonly subgraph?: Subgraph
  readonly run: NodeFunction | undefined
  /** The rule of a fan-in; absent: all flows. */
  readonly completion: Completion.Resolved | undefined
  /** Stands around every execution of the node. Without a grace of its own it has the run's. */
  readonly policy: { readonly config: ParallelConfig.Resolved; readonly ownGrace: boolean } | undefined
  readonly fallback: Fallback | undefined
  readonly item: Schema.Constraint | undefined
  /** Whether every line stops before it, and after it, until the run is resumed. */
  readonly stops: { readonly before: boolean; readonly after: boolean }
  readonly way: WayOut
  readonly launches: ReadonlyArray<PlanEdge>
}

/** A parallel edge. */
export interface PlanEdge {
  readonly map: MapData | undefined
  readonly from: string
  readonly to: PlanNode
  readonly fanIn: PlanNode
  readonly name: string
  readonly fallback: Fallback | undefined
  /** The edge's own config; the layers below and above it are merged per run. */
  readonly config: ParallelConfig.ParallelConfig
  /** The resolved config of a run without layers and run options. */
  readonly resolved: ParallelConfig.Resolved
  /** The series of its flows where they are of no other flow; made by the first of them. */
  metrics?: GraphMetrics.OfBranch
}

export interface Plan {
  readonly name: string
  readonly start: PlanNode
  readonly nodes: ReadonlyMap<string, PlanNode>
  /** Keys of the state; `true`: the key may be unset. */
  readonly keys: ReadonlyMap<string, { readonly optional: boolean }>
  readonly maxSteps: number
  /** Whether a value is one of the graph's progress values; absent: everything is. */
  readonly isProgress: ((value: unknown) => boolean) | undefined
  /** How values of a key are put together where flows are merged. */
  readonly reducers: ReadonlyMap<string, Reducer>
  /** `make` and `compile`, merged. */
  readonly config: ParallelConfig.ParallelConfig
  readonly resolved: ParallelConfig.Resolved
}

/** The circuit of a flow: its own key, or graph and branch path. */
export const circuitKey = (graph: string, branch: string, key: string | undefined): string =>
  key ?? `${graph}/${branch}`

/** The circuit of a node, the same on all lines. */
export const nodeCircuitKey = (graph: string, node: string, key: string | undefined): string =>
  key ?? `${graph}#${node}`

/** The circuits of a branch: one, unless the items of a map choose. */
export const noteCircuit = (circuits: Map<string, Set<string>>, branch: string, key: string): void => {
  const known = circuits.get(branch)
  if (known === undefined) circuits.set(branch, new Set([key]))
  else known.add(key)
}

/** All of them. */
export const keysOf = (circuits: ReadonlyMap<string, ReadonlySet<string>>): ReadonlySet<string> =>
  new Set([...circuits.values()].flatMap((keys) => [...keys]))

type Linked<A> = { -readonly [K in keyof A]: A[K] }

/** Links builder data that has no problems. Edges to names that do not exist are left out: `validate` reports them. */
export const link = (
  data: BuilderData,
  stops: { readonly before: ReadonlySet<string>; readonly after: ReadonlySet<string> },
  configOf: (edge: ParallelData) => Pick<PlanEdge, "config" | "resolved">
): { readonly start: PlanNode; readonly nodes: ReadonlyMap<string, PlanNode> } => {
  const nodes = new Map<string, Linked<PlanNode>>()
  const start: Linked<PlanNode> = {
    index: -1,
    name: START,
    kind: "start",
    run: undefined,
    completion: undefined,
    policy: undefined,
    fallback: undefined,
    item: undefined,
    stops: { before: false, after: false },
    way: { _tag: "None" },
    launches: []
  }
  for (const node of data.nodes) {
    if (nodes.has(node.name)) continue
    const { completion, item, policy } = Result.getOrElse(node.options, (): NodeOptions => ({}))
    nodes.set(node.name, {
      index: nodes.size,
      ...node,
      completion,
      policy: policy && { config: ParallelConfig.resolve(policy), ownGrace: policy.graceMs !== undefined },
      fallback: undefined,
      item,
      stops: { before: stops.before.has(node.name), after: stops.after.has(node.name) },
      way: { _tag: "None" },
      launches: []
    })
  }
  const fallbackOf = (fallback: FallbackData | undefined): Fallback | undefined => {
    if (typeof fallback === "object") return { _tag: "Value", update: fallback }
    const node = fallback === undefined ? undefined : nodes.get(fallback)
    return node && { _tag: "Node", node }
  }
  for (const { name, options } of data.nodes) {
    const node = nodes.get(name)
    if (node !== undefined && Result.isSuccess(options)) node.fallback ??= fallbackOf(options.success.fallback)
  }
  const source = (name: string) => name === START ? start : nodes.get(name)
  const target = (name: string): Position | undefined => name === END ? END : nodes.get(name)
  for (const edge of data.edges) {
    const from = source(edge.from)
    const to = target(edge.to)
    if (from && to && from.way._tag === "None") from.way = { _tag: "Edge", to }
  }
  for (const conditional of data.conditionals) {
    const from = source(conditional.from)
    if (from === undefined || from.way._tag !== "None") continue
    const targets = new Map<string, Position>()
    for (const [key, name] of Object.entries(conditional.targets)) {
      const to = target(name)
      if (to !== undefined) targets.set(key, to)
    }
    from.way = { _tag: "Condition", decide: conditional.decide, targets }
  }
  for (const edge of data.parallels) {
    const from = source(edge.from)
    const to = nodes.get(edge.to)
    const fanIn = nodes.get(edge.fanIn)
    if (from === undefined || to === undefined || fanIn === undefined) continue
    const { map, name } = edge
    const fallback = fallbackOf(edge.fallback)
    from.launches = [...from.launches, { map, from: edge.from, to, fanIn, name, fallback, ...configOf(edge) }]
  }
  return { start, nodes }
}
