/** Flows in runs that are stopped in awkward moments and continued: they come to the same as without the stop. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schema, Stream } from "effect"
import { Checkpointer, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { compiledOf } from "../src/internal/builder.ts"
import { execute } from "../src/internal/run.ts"
import { ended, interrupted, killed, thread } from "./support/killed.ts"

const State = Schema.Struct({ n: Schema.Number })
type State = typeof State.Type
const input = { n: 0 }

const slow = (ran: Array<string>, name: string, ms: number) => ({ n }: State) =>
  Effect.andThen(Effect.sync(() => void ran.push(name)), Effect.as(Effect.sleep(ms), { n: n + 1 }))

/** A fan-in that shows its results. */
const showing = (results: Array<ReadonlyArray<ParallelFlowResult.Any>>) =>
(
  _state: State,
  ctx: { readonly parallelResults: ReadonlyArray<ParallelFlowResult.Any> }
) => {
  results.push(ctx.parallelResults)
  return { n: 100 }
}

describe("an attempt that has failed", () => {
  it.effect("and still stops when the run is killed, is told once", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const results: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
      const graph = StateGraph.make("g", State)
        .addNode("hangs", (_state, { attempt }) =>
          Effect.acquireUseRelease(
            Effect.sync(() => void ran.push(`hangs ${attempt}`)),
            () => attempt === 1 ? Effect.never : Effect.void,
            () => Effect.sleep(50)
          ))
        .addNode("x", slow(ran, "x", 120)).addNode("y", slow(ran, "y", 100))
        .addFanInNode("join", showing(results))
        .addParallelEdge(StateGraph.START, "hangs", "join", { timeout: 100, retry: { maxRetries: 1, baseDelay: 100 } })
        .addParallelEdge(StateGraph.START, "x", "join")
        .addEdge("x", "y")
        .setFinishPoint("join").compile()
      // Saved after "x": the first attempt of the other flow is over then, and closes what it had opened until 150.
      const left = yield* killed(graph.invoke(input, { thread }), 130)
      yield* ended(graph.resume(thread), left)
      assert.deepStrictEqual(ran, ["hangs 1", "x", "y", "hangs 1", "y", "hangs 2"])
      const [flow] = results[0]!
      assert.deepStrictEqual([flow!._tag, flow!.attempts, flow!.attemptErrors.map(({ attempt }) => attempt)], [
        "Success",
        2,
        [1]
      ])
    }))

  it.effect("is not made again when the next one waits for a place", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("flaky", (_state, { attempt }) => {
          ran.push(`flaky ${attempt}`)
          return attempt === 1 ? Effect.fail("no") : Effect.void
        })
        .addNode("x", slow(ran, "x", 50)).addNode("y", slow(ran, "y", 50))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "flaky", "join", { concurrency: 1, retry: { maxRetries: 1, baseDelay: 10 } })
        .addParallelEdge(StateGraph.START, "x", "join")
        .addEdge("x", "y")
        .setFinishPoint("join").compile()
      const store = yield* interrupted(graph.invoke(input, { thread }), 60)
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(ran, ["flaky 1", "x", "y", "y", "flaky 2"])
    }))

  it.effect("is not made again when its fallback waits for a place", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("bad", () => {
          ran.push("bad")
          return Effect.fail("no")
        })
        .addNode("instead", slow(ran, "instead", 1))
        .addNode("x", slow(ran, "x", 50)).addNode("y", slow(ran, "y", 50))
        .addFanInNode("join", () => ({}))
        .addParallelEdge(StateGraph.START, "bad", "join", {
          concurrency: 1,
          retry: { maxRetries: 1, baseDelay: 1_000 },
          totalTimeout: 20,
          fallback: "instead"
        })
        .addParallelEdge(StateGraph.START, "x", "join")
        .addEdge("x", "y")
        .setFinishPoint("join").compile()
      // It gave its place away for a wait that its total limit cut short.
      const store = yield* interrupted(graph.invoke(input, { thread }), 60)
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(ran, ["bad", "x", "y", "y", "instead"])
    }))
})

describe("a run that is interrupted", () => {
  it.effect("makes no more steps in graphs inside of it, whose stop takes a few turns", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const inner = StateGraph.make("inner", State)
        .addNode("wait", () => Effect.sleep(10))
        .addNode("tick", ({ n }) => {
          ran.push(`tick ${n}`)
          return Effect.as(Effect.yieldNow, { n: n + 1 })
        })
        .setEntryPoint("wait").addEdge("wait", "tick")
        .addConditionalEdges("tick", ({ n }) => n < 9 ? "more" : "done", { more: "tick", done: StateGraph.END })
        .compile()
      const same = { input: (state: State) => state, output: (state: State) => state, timeout: 10_000 }
      const middle = StateGraph.make("middle", State).addSubgraph("inner", inner, same)
        .setEntryPoint("inner").setFinishPoint("inner").compile()
      const graph = StateGraph.make("g", State).addSubgraph("middle", middle, same)
        .setEntryPoint("middle").setFinishPoint("middle").compile()
      for (const durability of ["step", "async", "exit"] as const) {
        ran.length = 0
        const stop: { now?: () => void } = {}
        const run = Effect.withFiber<unknown, unknown>((fiber) => {
          stop.now = () => fiber.interruptUnsafe()
          return execute(compiledOf(graph), input, { thread, durability }, (event) => {
            if (event._tag === "NodeCompleted" && event.node === "middle/inner/wait") stop.now!()
          })
        })
        const store = yield* interrupted(Effect.exit(run), 100)
        yield* ended(graph.resume(thread), store)
        const times = new Map<string, number>()
        for (const tick of ran) times.set(tick, (times.get(tick) ?? 0) + 1)
        assert.strictEqual(times.size, 9)
        // What was in flight is cut off, and done again.
        assert.isAtMost([...times.values()].reduce((sum, n) => sum + n - 1, 0), 1, `${durability}: ${ran.join(", ")}`)
      }
    }))
})

describe("a map", () => {
  const mapped = (seen: Array<string>, items: (state: State) => Iterable<number>) =>
    StateGraph.make("g", State)
      .addNode("start", () => ({ n: 1 }))
      .addNode("one", ({ n }, { item }) =>
        Effect.andThen(
          Effect.sync(() => void seen.push(`${String(item)} of ${n}`)),
          Effect.sleep(10)
        ))
      .addNode("beside", () => Effect.as(Effect.sleep(5), { n: 50 }))
      .addFanInNode("join", (_state, { parallelResults }) => ({ n: parallelResults.length }))
      .setEntryPoint("start")
      .addParallelMap("start", "one", "join", { items, concurrency: 1 })
      .addEdge("start", "beside").setFinishPoint("join").compile()

  it.effect("gives every item the state that it was launched with, whatever the line has come to", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* ended(mapped(seen, () => [1, 2, 3]).invoke(input, { thread }))
      assert.deepStrictEqual(seen, ["1 of 1", "2 of 1", "3 of 1"])
    }))

  it.effect("does so after a stop, and asks for its items with that state again", () =>
    Effect.gen(function*() {
      const lists: ReadonlyArray<(state: State) => Iterable<number>> = [
        ({ n }) => [n, n + 1, n + 2],
        function*({ n }) {
          yield* [n, n + 1, n + 2]
        }
      ]
      for (const items of lists) {
        const seen: Array<string> = []
        const graph = mapped(seen, items)
        yield* ended(graph.resume(thread), yield* interrupted(graph.invoke(input, { thread }), 12))
        assert.deepStrictEqual(seen, ["1 of 1", "2 of 1", "2 of 1", "3 of 1"])
      }
    }))
})

describe("a map that fails", () => {
  it.effect("with an item of its stream fails with it again when it is resumed", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let items = ["a", "b", "a", "c"]
      const graph = StateGraph.make("g", State)
        .addNode(
          "one",
          (_state, { item }) => Effect.andThen(Effect.sleep(10), Effect.sync(() => void ran.push(item))),
          { item: Schema.String }
        )
        .addFanInNode("join", (_state, { parallelResults }) => ({ n: parallelResults.length }))
        .addParallelMap(StateGraph.START, "one", "join", {
          items: () => Stream.fromIterable(items),
          key: (item) => item,
          concurrency: 1
        })
        .setFinishPoint("join").compile()
      const store = Checkpointer.makeUnsafe()
      for (const run of [graph.invoke(input, { thread }), graph.resume(thread)]) {
        const error = yield* Effect.flip(ended(run, store))
        assert.strictEqual((error as { readonly _tag: string })._tag, "DuplicateKeyError")
      }
      items = ["a", "b", "x", "c"]
      assert.deepStrictEqual(yield* ended(graph.resume(thread), store), { n: 4 })
      assert.deepStrictEqual(ran, ["a", "b", "x", "c"])
    }))
})

describe("a flow that its fan-in does not wait for any more", () => {
  it.effect("has the same result when the run is killed while it stops", () =>
    Effect.gen(function*() {
      const results: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("first", slow(ran, "first", 5))
        .addNode("hangs", () => Effect.onInterrupt(Effect.never, () => Effect.sleep(100)))
        .addNode("wins", slow(ran, "wins", 20))
        .addNode("x", slow(ran, "x", 50)).addNode("y", slow(ran, "y", 10))
        .addFanInNode("join", showing(results), { completion: { minSuccessful: 1 } })
        .addFanInNode("other")
        .addParallelEdge(StateGraph.START, "first", "join")
        .addEdge("first", "hangs")
        .addParallelEdge(StateGraph.START, "wins", "join")
        .addParallelEdge(StateGraph.START, "x", "other")
        .addEdge("x", "y").addEdge("join", "other")
        .setFinishPoint("other").compile()
      yield* ended(graph.invoke(input, { thread }))
      // Saved after "x", at 50: cut at 20, it closes what it had opened until 120.
      yield* ended(graph.resume(thread), yield* killed(graph.invoke(input, { thread }), 55))
      const told = results.map((flows) =>
        flows.map((flow) => [flow._tag, flow.state.n, flow.get("failedNode"), flow.get("error")])
      )
      assert.strictEqual(told.length, 2)
      assert.deepStrictEqual(told[1], told[0])
      assert.deepStrictEqual(told[0]![0]!.slice(0, 3), ["Interrupted", 1, "hangs"])
    }))
})

describe("what JSON keeps of an error without a schema", () => {
  it.effect("is the same however often the run is saved and continued", () =>
    Effect.gen(function*() {
      const results: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
      const graph = StateGraph.make("g", State)
        .addNode("bad", () => Effect.fail(Object.assign(new RangeError("too far"), { code: 7 })))
        .addNode("x", () => Effect.sleep(50))
        .addFanInNode("join", showing(results))
        .addParallelEdge(StateGraph.START, "bad", "join")
        .addParallelEdge(StateGraph.START, "x", "join")
        .setFinishPoint("join").compile()
      let store = yield* interrupted(graph.invoke(input, { thread }), 10)
      for (let i = 0; i < 3; i++) store = yield* interrupted(graph.resume(thread), 10, store)
      yield* ended(graph.resume(thread), store)
      const result = results[0]![0]!
      assert.strictEqual(result._tag, "Failure")
      const error = Cause.squash(result.get("cause") as Cause.Cause<unknown>) as Error & { readonly code: number }
      assert.deepStrictEqual([error.name, error.message, error.code, result.get("errorType")], [
        "RangeError",
        "too far",
        7,
        "RangeError"
      ])
    }))
})

describe("a run that failed", () => {
  it.effect("with one of its flows, at once, runs that one again and goes on with the others", () =>
    Effect.gen(function*() {
      for (const nested of [false, true]) {
        const ran: Array<string> = []
        let broken = true
        const start = StateGraph.make("g", State)
          .addNode("good", slow(ran, "good", 5))
          .addNode("bad", slow(ran, "bad", 20))
          .addNode("then", () => {
            ran.push("then")
            return broken ? Effect.fail("no") : Effect.succeed({ n: 5 })
          })
          .addNode("long", slow(ran, "long", 10)).addNode("longer", slow(ran, "longer", 100))
          .addFanInNode("join", (_state, { parallelResults }) => ({
            n: parallelResults.reduce((sum, { state }) => sum + state.n, 0)
          }))
          .addParallelEdge(StateGraph.START, "good", "join")
          .addParallelEdge(StateGraph.START, "bad", "join", { failFast: true, retry: { maxRetries: 1, baseDelay: 1 } })
          .addParallelEdge(StateGraph.START, "long", "join")
          .addEdge("bad", "then").addEdge("long", "longer")
          .setFinishPoint("join")
        const graph = nested
          ? StateGraph.make("outer", State)
            .addSubgraph("sub", start.compile(), { input: (state) => state, output: (state) => state })
            .setEntryPoint("sub").setFinishPoint("sub").compile()
          : start.compile()
        const store = yield* interrupted(Effect.exit(graph.invoke(input, { thread })), 1_000)
        assert.deepStrictEqual(ran, ["good", "bad", "long", "longer", "then", "bad", "then"], String(nested))
        broken = false
        ran.length = 0
        assert.deepStrictEqual(yield* ended(graph.resume(thread), store), { n: 8 })
        assert.deepStrictEqual(ran, ["longer", "bad", "then"])
      }
    }))

  it.effect("on its main line goes on with its flows, as they were then", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let broken = true
      const graph = StateGraph.make("g", State)
        .addNode("a", slow(ran, "a", 10)).addNode("b", slow(ran, "b", 100))
        .addNode("main", () =>
          Effect.andThen(Effect.sleep(20), () => {
            ran.push("main")
            return broken ? Effect.fail("no") : Effect.void
          }))
        .addFanInNode("join", (_state, { parallelResults }) => ({ n: parallelResults[0]!.state.n }))
        .addParallelEdge(StateGraph.START, "a", "join").addEdge("a", "b")
        .setEntryPoint("main").addEdge("main", "join").setFinishPoint("join").compile()
      const store = yield* interrupted(Effect.exit(graph.invoke(input, { thread })), 1_000)
      assert.deepStrictEqual(ran, ["a", "b", "main"])
      broken = false
      assert.deepStrictEqual(yield* ended(graph.resume(thread), store), { n: 2 })
      assert.deepStrictEqual(ran, ["a", "b", "main", "b", "main"])
    }))
})

describe("a flow with flows that was stopped, and is saved while it is waited for", () => {
  const run = (
    ran: Array<string>,
    results: Array<ReadonlyArray<ParallelFlowResult.Any>>,
    edge: object,
    hangs: object,
    fails: object
  ) => {
    const seen: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
    let broken = true
    const graph = StateGraph.make("g", State)
      .addNode("outer")
      .addNode("hangs", () =>
        Effect.acquireUseRelease(
          Effect.sync(() => void ran.push("hangs")),
          () => broken ? Effect.never : Effect.void,
          () => Effect.sleep(50)
        ))
      .addNode("item", slow(ran, "item", 1))
      .addNode("fails", () => Effect.andThen(Effect.sleep(10), () => broken ? Effect.fail("no") : Effect.void))
      .addNode("x", slow(ran, "x", 30)).addNode("y", slow(ran, "y", 100))
      .addFanInNode("inner", showing(seen))
      .addFanInNode("join", showing(results))
      .addParallelEdge(StateGraph.START, "outer", "join", edge)
      .addParallelEdge("outer", "hangs", "inner", hangs)
      .addParallelEdge("outer", "fails", "inner", fails)
      .addParallelMap("outer", "item", "inner", { items: () => [1, 2] })
      .addParallelEdge(StateGraph.START, "x", "join").addEdge("x", "y")
      .setFinishPoint("join").compile()
    return Effect.gen(function*() {
      const left = yield* killed(graph.invoke(input, { thread, durability: "async" }), 35)
      broken = false
      yield* ended(graph.resume(thread, { durability: "async" }), left)
      return seen
    })
  }

  it.effect("by its limit has reached it when it is continued", () =>
    Effect.gen(function*() {
      const results: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
      const seen = yield* run([], results, { timeout: 20 }, { concurrency: 1 }, {})
      assert.deepStrictEqual(seen, [])
      assert.deepStrictEqual(results.at(-1)!.map(({ _tag }) => _tag), ["Timeout", "Success"])
    }))

  it.effect("by one of them that failed fast goes on with all of them", () =>
    Effect.gen(function*() {
      const results: Array<ReadonlyArray<ParallelFlowResult.Any>> = []
      const ran: Array<string> = []
      const seen = yield* run(ran, results, {}, {}, { failFast: true })
      assert.deepStrictEqual(seen.map((joined) => joined.map(({ _tag }) => _tag)), [
        ["Success", "Success", "Success", "Success"]
      ])
      assert.deepStrictEqual(results.at(-1)!.map(({ _tag }) => _tag), ["Success", "Success"])
    }))
})
