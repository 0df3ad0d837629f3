import { Effect, Schema } from "effect"
import { CircuitBreakerRegistry, type ParallelConfig, StateGraph } from "../../../src/index.ts"
import type { Library } from "./subject.ts"
import { times, work, workSync } from "./work.ts"

const State = Schema.Struct({ n: Schema.Number })
const node = ({ n }: { readonly n: number }) => Effect.map(Effect.promise(() => work(n)), (n) => ({ n }))

const fanOut = (parallel: ParallelConfig.Input) => (flows: number) => {
  const names = times(flows, (i) => `n${i}`)
  let graph = StateGraph.make("fan", State, { parallel }).addNode("start" as string)
  for (const name of names) graph = graph.addNode(name, node)
  let fan = graph.addFanInNode("join" as string, (_state, { parallelResults }) => ({
    n: parallelResults.reduce((sum, result) => sum + (result.success ? result.state.n : 0), 0)
  }))
  for (const name of names) fan = fan.addParallelEdge("start", name, "join")
  const compiled = fan.setEntryPoint("start").setFinishPoint("join").compile()
  return Effect.map(compiled.invoke({ n: 1 }), ({ n }) => n)
}

const calling = (call: Effect.Effect<number, unknown>) => (calls: number) =>
  Effect.gen(function*() {
    let sum = 0
    for (let i = 0; i < calls; i++) sum += yield* call
    return sum
  })

const asynchronous = Effect.promise(() => work(1))

const circuit = (work: Effect.Effect<number>) => (calls: number) =>
  calling(CircuitBreakerRegistry.makeUnsafe().execute("call", {})(work))(calls)

export const ours: Library = {
  name: "effect-stategraph",
  fanOut: fanOut({}),
  fanOutNoSpans: (flows) => Effect.withTracerEnabled(fanOut({})(flows), false),
  guarded: fanOut({ timeout: "1 minute", retry: { maxRetries: 2 }, circuitBreaker: {} }),
  chain: (nodes) => {
    const names = times(nodes, (i) => `n${i}`)
    let graph = StateGraph.make("chain", State).addNode(names[0]!, node).setEntryPoint(names[0]!)
    for (let i = 1; i < nodes; i++) graph = graph.addNode(names[i]!, node).addEdge(names[i - 1]!, names[i]!)
    return Effect.map(graph.setFinishPoint(names[nodes - 1]!).compile().invoke({ n: 1 }), ({ n }) => n)
  },
  circuit: circuit(asynchronous),
  bare: calling(asynchronous),
  leastCircuit: calling(Effect.suspend(() => Effect.onExit(asynchronous, () => Effect.void))),
  circuitSync: circuit(Effect.sync(() => workSync(1)))
}
