/** A builder without types: for graphs that would not type-check. */
import { Schema } from "effect"
import { StateGraph } from "effect-stategraph"

export interface Loose {
  addNode(name: string, run?: unknown, policy?: unknown): Loose
  addFanInNode(name: string, run?: unknown): Loose
  addEdge(from: string, to: string): Loose
  addConditionalEdges(from: string, decide: unknown, targets: Readonly<Record<string, string>>): Loose
  addParallelEdge(from: string, to: string, fanIn: string, config?: unknown): Loose
  setEntryPoint(to: string): Loose
  setFinishPoint(from: string): Loose
  compile(options?: unknown): LooseGraph
}

export interface LooseGraph {
  readonly invoke: (input: unknown, options?: unknown) => import("effect").Effect.Effect<unknown, unknown>
  readonly stream: (input: unknown, options?: unknown) => import("effect").Stream.Stream<unknown, unknown>
}

export const State = Schema.Struct({ n: Schema.Number })

export const loose = (name = "g", options?: unknown, schema: unknown = State): Loose =>
  StateGraph.make(name, schema as typeof State, options as never) as unknown as Loose
