/** What is done instead of a flow: what it is told and may take, and how it goes on when the run was stopped. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger } from "effect"
import { Bulkhead, StateGraph } from "effect-stategraph"
import { boom, type Result, State } from "./support/fan.ts"
import { ended, killed, thread } from "./support/killed.ts"
import { endOf } from "./support/scenario.ts"

const { START } = StateGraph

const quiet = Effect.provide([Logger.layer([]), Bulkhead.layer])

/** Notes what it does, and when that was. */
const noting = () => {
  const notes: Array<string> = []
  const note = (what: string) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      notes.push(`${what} at ${now}`)
    })
  return { note, notes }
}

describe("a node that is a flow's fallback", () => {
  it.effect("begins without the permit that the flow had, which goes to the next one", () =>
    Effect.gen(function*() {
      const { note, notes } = noting()
      const limit = { key: "k", permits: 1 }
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.andThen(Effect.sleep(10), boom("down")))
        .addNode("b", () => Effect.andThen(note("b"), Effect.sleep(20)))
        .addNode("rescue", () => Effect.andThen(note("rescue"), Effect.sleep(100)))
        .addFanInNode("join")
        .addParallelEdge(START, "a", "join", { limit, fallback: "rescue" })
        .addParallelEdge(START, "b", "join", { limit })
        .setFinishPoint("join").compile()
      const { at } = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(at, 110)
      assert.sameMembers(notes, ["rescue at 10", "b at 10"])
      assert.deepStrictEqual((yield* Bulkhead.CurrentBulkheads).states, [])
    }).pipe(quiet))

  it.effect("is told the attempt that the flow ended with, or the first if it made none", () =>
    Effect.gen(function*() {
      const attempts: Array<string> = []
      const results: Array<Result> = []
      const limit = { key: "k", permits: 1, queue: 0 }
      const graph = StateGraph.make("g", State)
        .addNode("a", () => boom("down"))
        .addNode("rescue", (_state, { attempt, branch }) => void attempts.push(`${branch} ${attempt}`))
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addParallelEdge(START, "a", "join", {
          name: "tried",
          retry: { maxRetries: 2, baseDelay: 1 },
          fallback: "rescue"
        })
        .addParallelEdge(START, "a", "join", { name: "rejected", limit, fallback: "rescue" })
        .setFinishPoint("join").compile()
      yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
      yield* endOf(graph.invoke({ n: 0 }))
      assert.sameMembers(attempts, ["rejected 1", "tried 3"])
      assert.deepStrictEqual(results.map(({ attempts }) => attempts), [3, 0])
    }).pipe(quiet))

  it.effect("goes on where it was when the run was stopped, for the rest of its time", () =>
    Effect.gen(function*() {
      const { note, notes } = noting()
      const results: Array<Result> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.andThen(Effect.sleep(10), boom("down")))
        .addNode("rescue", () => Effect.as(Effect.andThen(note("rescue"), Effect.sleep(20)), { v: "rescued" }))
        .addNode("after", () => Effect.andThen(note("after"), Effect.onInterrupt(Effect.never, () => note("stopped"))))
        .addNode("x", () => Effect.sleep(50)).addNode("y", () => Effect.sleep(10))
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addEdge("rescue", "after").addEdge("x", "y")
        .addParallelEdge(START, "a", "join", { timeout: 100, fallback: "rescue" })
        .addParallelEdge(START, "x", "join")
        .setFinishPoint("join").compile()
      // Saved after "x", at 50: it has had 40 of its 100 ms by then.
      const store = yield* killed(graph.invoke({ n: 0 }, { thread }), 55)
      notes.length = 0
      const now = yield* Clock.currentTimeMillis
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(notes, [`after at ${now}`, `stopped at ${now + 60}`])
      assert.deepInclude(results[0], {
        _tag: "Timeout",
        timeoutMs: 100,
        usedFallback: true,
        failedNode: "after",
        state: { n: 0, v: "rescued" },
        attempts: 1
      })
    }).pipe(quiet))

  it.effect("is finished as it had begun, or else replaced, by a graph that has an update instead by now", () =>
    Effect.gen(function*() {
      for (const fails of [false, true]) {
        const { note, notes } = noting()
        const results: Array<Result> = []
        const make = (fallback: unknown) =>
          StateGraph.make("g", State)
            .addNode("a", () => Effect.andThen(note("a"), boom("down")))
            .addNode("rescue", () => Effect.as(Effect.andThen(note("rescue"), Effect.sleep(20)), { v: "rescued" }))
            .addNode("after", () => Effect.andThen(note("after"), Effect.delay(fails ? boom("too") : Effect.void, 100)))
            .addNode("x", () => Effect.sleep(50)).addNode("y", () => Effect.sleep(10))
            .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
            .addEdge("rescue", "after").addEdge("x", "y")
            .addParallelEdge(START, "a", "join", { fallback } as {})
            .addParallelEdge(START, "x", "join", { fallback: "rescue" })
            .setFinishPoint("join").compile()
        const store = yield* killed(make("rescue").invoke({ n: 0 }, { thread }), 55)
        notes.length = 0
        const now = yield* Clock.currentTimeMillis
        yield* ended(make({ v: "update" }).resume(thread), store)
        assert.deepStrictEqual(notes, [`after at ${now}`])
        const state = { n: 0, v: fails ? "update" : "rescued" }
        assert.deepInclude(results[0], { _tag: "Success", usedFallback: true, state })
      }
    }).pipe(quiet))
})
