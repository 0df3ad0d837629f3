/**
 * A compiled graph, and its circuits: where they live, and what of them is saved.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type * as FlowCallbacks from "../FlowCallbacks.ts"
import type { CallbackError } from "../GraphError.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import type * as RunState from "../RunState.ts"
import type { Codecs } from "./codecs.ts"
import { keysOf, noteCircuit, type Plan, type State } from "./plan.ts"

/** A compiled graph as the engine sees it. */
export interface Compiled {
  readonly plan: Plan
  /** The state schema's constructor. */
  readonly make: (input: unknown) => Effect.Effect<State, SchemaIssue.Issue>
  readonly codecs: Codecs
  readonly callbacks: ReadonlyArray<FlowCallbacks.FlowCallbacks<unknown, CallbackError>>
  /** Used when the context holds no registry. */
  readonly registry: CircuitBreakerRegistry.Service
  /** Which circuit each branch uses, as far as known: from the plan, and from the runs so far. */
  readonly circuits: Map<string, Set<string>>
  readonly metrics: GraphMetrics.OfGraph
}

export const registryOf = (compiled: Compiled, context: Context.Context<never>): CircuitBreakerRegistry.Service =>
  Context.getOrUndefined(context, CircuitBreakerRegistry.CircuitBreakerRegistry) ?? compiled.registry

/** The circuits of a graph and those inside it, as data. */
export const circuitsOf = (
  compiled: Compiled,
  context: Context.Context<never>,
  clock: Clock.Clock,
  carried: ReadonlyArray<string> = []
): ReadonlyArray<RunState.CircuitSnapshot> => {
  const keys = new Map<CircuitBreakerRegistry.Service, ReadonlySet<string>>([[
    registryOf(compiled, context),
    new Set(carried)
  ]])
  for (const graph of graphsOf(compiled)) {
    const registry = registryOf(graph, context)
    keys.set(registry, new Set([...keys.get(registry) ?? [], ...keysOf(graph.circuits)]))
  }
  return [...keys].flatMap(([registry, keys]) => registry.save?.(keys, clock) ?? [])
}

/** Each registry takes those that graphs of it use; of other keys nobody asks. */
export const restoreCircuits = (
  compiled: Compiled,
  circuits: ReadonlyArray<RunState.CircuitSnapshot>,
  context: Context.Context<never>,
  clock: Clock.Clock
): void => {
  if (circuits.length === 0) return
  const registry = registryOf(compiled, context)
  const inner = graphsIn(compiled)
  const others = new Set(
    inner.filter((graph) => registryOf(graph, context) !== registry).flatMap(({ circuits }) => [...keysOf(circuits)])
  )
  const mine = circuits.filter(({ key }) => !others.has(key))
  registry.restore?.(mine, clock)
  // Saved again, also when no flow has come to them yet that says which branch they are of.
  const known = new Set(graphsOf(compiled).flatMap((graph) => [...keysOf(graph.circuits)]))
  for (const { key } of mine) if (!known.has(key)) noteCircuit(compiled.circuits, "", key)
  for (const graph of inner) {
    const own = keysOf(graph.circuits)
    restoreCircuits(graph, circuits.filter(({ key }) => own.has(key)), context, clock)
  }
}

/** A graph, and those inside it. */
const graphsOf = (compiled: Compiled): ReadonlyArray<Compiled> => [compiled, ...graphsIn(compiled).flatMap(graphsOf)]

const graphsIn = ({ plan }: Compiled): ReadonlyArray<Compiled> =>
  [...plan.nodes.values()].flatMap(({ subgraph }) => subgraph === undefined ? [] : [subgraph.compiled])
