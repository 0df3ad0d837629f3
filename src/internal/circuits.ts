/**
 * Which circuits a graph uses, as far as its plan says: those of its branches and of its nodes.
 */
import type { Resolved } from "../ParallelConfig.ts"
import type { Paths } from "./paths.ts"
import { circuitKey, nodeCircuitKey, noteCircuit, type PlanEdge, type PlanNode } from "./plan.ts"
import type { Report } from "./validate.ts"

type Circuit = NonNullable<Resolved["circuitBreaker"]>

export type SameCircuit = (a: Circuit, b: Circuit) => boolean

interface Explored {
  readonly main: Paths
  readonly explored: ReadonlyMap<PlanEdge, Paths>
  readonly visited: ReadonlySet<PlanNode>
}

/** Circuits by key, over every branch path that can come about, and every node; one key must have one configuration. */
export const circuits = (
  graph: string,
  { explored, main, visited }: Explored,
  sameCircuit: SameCircuit,
  report: Report
): Map<string, Set<string>> => {
  const byKey = new Map<string, { readonly circuit: Circuit; readonly node: string; readonly of: string }>()
  const byOwner = new Map<string, Set<string>>()
  const note = (owner: string, key: string, circuit: Circuit, node: string, of: string): void => {
    noteCircuit(byOwner, owner, key)
    const other = byKey.get(key)
    if (other === undefined) byKey.set(key, { circuit, node, of })
    else if (!sameCircuit(other.circuit, circuit)) {
      report(
        "CircuitConfigConflict",
        [other.node, node],
        `the circuit "${key}" has two configurations: of the ${other.of} and of the ${of}`
      )
    }
  }
  const seen = new Set<string>()
  const visit = (edges: ReadonlySet<PlanEdge>, path: string, depth: number): void => {
    for (const edge of edges) {
      const own = `${path}${edge.name}`
      const breaker = edge.resolved.circuitBreaker
      if (breaker !== undefined) {
        note(own, circuitKey(graph, own, breaker.key), breaker, edge.to.name, `flow "${edge.name}"`)
      }
      const once = `${own}\n${edge.fanIn.name}`
      if (seen.has(once) || depth > explored.size) continue
      seen.add(once)
      visit(explored.get(edge)?.launched ?? new Set(), `${own}/`, depth + 1)
    }
  }
  visit(main.launched, "", 0)
  for (const { name, policy } of visited) {
    const breaker = policy?.config.circuitBreaker
    if (breaker !== undefined) note(name, nodeCircuitKey(graph, name, breaker.key), breaker, name, `node "${name}"`)
  }
  return byOwner
}
