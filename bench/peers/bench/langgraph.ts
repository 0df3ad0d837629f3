import { Annotation, END, START, StateGraph } from "@langchain/langgraph"
import { Effect } from "effect"
import type { Library } from "./subject.ts"
import { times, work } from "./work.ts"

const State = Annotation.Root({
  n: Annotation<number>,
  results: Annotation<ReadonlyArray<number>>({ reducer: (a, b) => a.concat(b), default: () => [] })
})

const fanOut = (options: object) => (flows: number) => {
  const graph: any = new StateGraph(State)
  graph.addNode("join", ({ results }: { readonly results: ReadonlyArray<number> }) => ({
    n: results.reduce((sum, n) => sum + n, 0)
  }))
  for (const name of times(flows, (i) => `n${i}`)) {
    graph.addNode(name, async ({ n }: { readonly n: number }) => ({ results: [await work(n)] }), options)
      .addEdge(START, name).addEdge(name, "join")
  }
  const compiled = graph.addEdge("join", END).compile()
  return Effect.promise(async () => (await compiled.invoke({ n: 1 })).n)
}

export const langgraph: Library = {
  name: "LangGraph.js",
  fanOut: fanOut({}),
  // It makes no spans.
  fanOutNoSpans: fanOut({}),
  // It has no circuit breaker.
  guarded: fanOut({ timeout: 60_000, retryPolicy: { maxAttempts: 3 } }),
  chain: (nodes) => {
    const graph: any = new StateGraph(State)
    for (let i = 0; i < nodes; i++) {
      graph.addNode(`n${i}`, async ({ n }: { readonly n: number }) => ({ n: await work(n) }))
      graph.addEdge(i === 0 ? START : `n${i - 1}`, `n${i}`)
    }
    const compiled = graph.addEdge(`n${nodes - 1}`, END).compile()
    return Effect.promise(async () => (await compiled.invoke({ n: 1 }, { recursionLimit: nodes + 1 })).n)
  }
}
