/** What a flow tells that was stopped before its run was saved, and had not come to its end yet. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger } from "effect"
import { type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { State } from "./support/fan.ts"
import { ended, killed, thread } from "./support/killed.ts"
import { type Loose, loose } from "./support/looseBuilder.ts"

const quiet = Effect.provide(Logger.layer([]))

const input = { n: 0 }

/** It closes what it had opened until long after the fan-in has all it needs. */
const hangs = () => Effect.onInterrupt(Effect.never, () => Effect.sleep(100))
const next = ({ n }: State) => Effect.as(Effect.sleep(2), { n: n + 1 })

type Saved = ReturnType<typeof cut>["graph"]

/** A fan-in that needs one flow, which it has at 20; the other one is `first`, and what follows. Saved at 50. */
const cut = (nodes: (graph: Loose) => Loose, edge: StateGraph.EdgeConfig = {}) => {
  const results: Array<ParallelFlowResult.Any> = []
  const graph = nodes(loose("g", undefined, State))
    .addNode("wins", () => Effect.sleep(20))
    .addNode("x", () => Effect.sleep(50)).addNode("y", () => Effect.sleep(10))
  const join = (_state: State, { parallelResults }: { readonly parallelResults: typeof results }) => {
    results.push(parallelResults[0]!)
  }
  const withJoin = graph as unknown as { addFanInNode(name: string, run?: unknown, options?: unknown): Loose }
  const compiled = withJoin.addFanInNode("join", join, { completion: { minSuccessful: 1 } })
    .addFanInNode("other")
    .addParallelEdge(StateGraph.START, "first", "join", edge)
    .addParallelEdge(StateGraph.START, "wins", "join")
    .addParallelEdge(StateGraph.START, "x", "other")
    .addEdge("x", "y").addEdge("join", "other")
    .setFinishPoint("other").compile()
  return { graph: compiled as unknown as StateGraph.CompiledGraph<State, State, unknown, never>, results }
}

/** What the result says; `began` is when its run did. */
const told = (result: ParallelFlowResult.Any | undefined, began: number) => {
  assert(result?._tag === "Interrupted")
  const { abandoned, attempts, circuitState, error, errorType, failedNode, startTime, state, timingMs, usedFallback } =
    result
  return {
    abandoned,
    attempts,
    circuitState,
    error,
    errorType,
    failedNode,
    n: (state as State).n,
    begun: startTime - began,
    took: timingMs,
    usedFallback
  }
}

/** The results of the flow without a stop, and with one after the flow was cut; nothing of it is done again. */
const both = (graph: Saved, results: ReadonlyArray<ParallelFlowResult.Any>) =>
  Effect.gen(function*() {
    const first = yield* Clock.currentTimeMillis
    yield* ended(graph.invoke(input, { thread }))
    const second = yield* Clock.currentTimeMillis
    const left = yield* killed(graph.invoke(input, { thread }), 55)
    yield* ended(graph.resume(thread), left)
    assert.strictEqual(results.length, 2)
    return [told(results[0], first), told(results[1], second)] as const
  })

const reason = `flow "first" was interrupted: the fan-in "join" has the 1 successful flows it needs`

describe("a flow that was cut before its run was saved", () => {
  const nested = (graph: Loose) =>
    graph.addNode("quick", () => Effect.sleep(1)).addNode("hangs", hangs).addFanInNode("inner", next)
      .addParallelEdge("first", "quick", "inner").addParallelEdge("first", "hangs", "inner")
  const settled = (graph: Loose) => graph.addNode("quick", () => Effect.sleep(1))

  const places: ReadonlyArray<readonly [string, (graph: Loose) => Loose, failedNode: string | undefined]> = [
    [
      "in a node tells that node",
      (graph) => graph.addNode("first", next).addNode("hangs", hangs).addEdge("first", "hangs"),
      "hangs"
    ],
    [
      "while it waited at a fan-in of its own tells no node",
      (graph) => nested(graph.addNode("first", next)),
      undefined
    ],
    [
      "in a node beside flows of its own tells that node",
      (graph) =>
        nested(graph.addNode("first", next)).addNode("busy", hangs).addEdge("first", "busy").addEdge("busy", "inner"),
      "busy"
    ],
    [
      "in a fan-in of its own tells that fan-in",
      (graph) =>
        settled(graph.addNode("first", next)).addFanInNode("inner", hangs).addParallelEdge("first", "quick", "inner"),
      "inner"
    ],
    [
      "while it decided where to go tells no node",
      (graph) =>
        graph.addNode("first", next).addNode("later", next).addConditionalEdges("first", hangs, { later: "later" }),
      undefined
    ]
  ]
  for (const [what, nodes, failedNode] of places) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { graph, results } = cut(nodes)
        const [without, resumed] = yield* both(graph, results)
        assert.deepStrictEqual(without, {
          abandoned: false,
          attempts: 1,
          circuitState: undefined,
          error: reason,
          errorType: "InterruptedError",
          failedNode,
          n: 1,
          begun: 0,
          took: 20,
          usedFallback: false
        })
        assert.deepStrictEqual(resumed, without)
      }).pipe(quiet))
  }

  it.effect("tells that a node of its attempt was replaced", () =>
    Effect.gen(function*() {
      const { graph, results } = cut((graph) =>
        graph.addNode("first", () => Effect.fail("down"), { fallback: { n: 7 } }).addNode("hangs", hangs)
          .addEdge("first", "hangs")
      )
      const [without, resumed] = yield* both(graph, results)
      assert.deepInclude(without, { failedNode: "hangs", usedFallback: true, n: 7, error: reason })
      assert.deepInclude(resumed, { failedNode: "hangs", usedFallback: true, n: 7, error: reason })
    }).pipe(quiet))

  it.effect("tells the state of its circuit", () =>
    Effect.gen(function*() {
      const { graph, results } = cut(
        (graph) => graph.addNode("first", hangs),
        { circuitBreaker: { failureThreshold: 5 } }
      )
      const [without, resumed] = yield* both(graph, results)
      assert.deepInclude(without, { circuitState: "CLOSED", failedNode: "first" })
      assert.deepInclude(resumed, { circuitState: "CLOSED", failedNode: "first" })
    }).pipe(quiet))
})
