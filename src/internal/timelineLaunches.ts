/**
 * Where the flows of a diagram are started, also those of the graphs that are its nodes.
 */
import type { Diagram } from "../Diagram.ts"

/** The node that starts a flow when it completes; or the one that is a graph, when it begins; or the run itself. */
export interface Launch {
  readonly node: string | undefined
  readonly when: "started" | "completed"
}

export interface Launches {
  readonly of: (fanIn: string, name: string) => Launch | undefined
  /** The branches of the edges that lead to a fan-in. */
  readonly names: (fanIn: string) => ReadonlySet<string> | undefined
}

/** A diagram and those of its nodes, with the path of names that leads to each. */
export const nested = (diagram: Diagram, path = ""): ReadonlyArray<readonly [diagram: Diagram, path: string]> => [
  [diagram, path],
  ...diagram.nodes.flatMap((node) => node.diagram === undefined ? [] : nested(node.diagram, `${path}${node.name}/`))
]

export const launchesOf = (diagram: Diagram | undefined): Launches => {
  const all = new Map<string, Map<string, Launch>>()
  for (const [{ edges }, path] of diagram === undefined ? [] : nested(diagram)) {
    for (const edge of edges) {
      if (edge.kind !== "parallel") continue
      const fanIn = `${path}${edge.fanIn}`
      const launch: Launch = edge.from !== START
        ? { node: `${path}${edge.from}`, when: "completed" }
        : { node: path === "" ? undefined : path.slice(0, -1), when: "started" }
      all.set(fanIn, (all.get(fanIn) ?? new Map()).set(edge.branch, launch))
    }
  }
  const names = new Map([...all].map(([fanIn, flows]) => [fanIn, new Set(flows.keys())]))
  return { of: (fanIn, name) => all.get(fanIn)?.get(name), names: (fanIn) => names.get(fanIn) }
}

// As diagrams name them.
export const START = "__start__"
export const END = "__end__"
