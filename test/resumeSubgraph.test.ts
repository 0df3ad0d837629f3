/** Graphs that are nodes, and nodes with policies, in runs that are stopped and continued. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { StateGraph } from "effect-stategraph"
import { copyOf, countOf, ended, interrupted, killed, lastOf, thread } from "./support/killed.ts"

const State = Schema.Struct({ n: Schema.Number })
type State = typeof State.Type
const input = { n: 0 }

const step = (ran: Array<string>, name: string, ms = 0) => ({ n }: State) =>
  Effect.andThen(
    Effect.sync(() => void ran.push(name)),
    Effect.as(ms === 0 ? Effect.void : Effect.sleep(ms), { n: n + 1 })
  )

const same = { input: (state: State) => state, output: (state: State) => state }

describe("a graph that is a node", () => {
  const nested = (ran: Array<string>, policy: object = {}) => {
    const inner = StateGraph.make("inner", State)
      .addNode("a", step(ran, "a", 10))
      .addNode("b", step(ran, "b", 10))
      .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
    return StateGraph.make("g", State).addSubgraph("sub", inner, { ...same, ...policy })
      .setEntryPoint("sub").setFinishPoint("sub").compile()
  }

  it.effect("is still where it was when the process that resumes it is killed before it goes on", () =>
    Effect.gen(function*() {
      for (const policy of [{}, { retry: { maxRetries: 1 } }]) {
        const ran: Array<string> = []
        const graph = nested(ran, policy)
        const first = yield* killed(graph.invoke(input, { thread }), 15)
        const saves = yield* countOf(first)
        yield* killed(graph.resume(thread), 0, first)
        // Where it was resumed is saved before anything runs.
        const second = yield* copyOf(first, saves + 1)
        assert.deepStrictEqual(ran, ["a", "b", "b"])
        assert.deepStrictEqual(yield* ended(graph.resume(thread), second), { n: 2 })
        assert.deepStrictEqual(ran, ["a", "b", "b", "b"])
      }
    }))

  it.effect("has running time that does not count what passes while it is stopped", () =>
    Effect.gen(function*() {
      const graph = nested([])
      const store = yield* interrupted(graph.invoke(input, { thread }), 15)
      yield* ended(graph.resume(thread), store)
      const { main } = (yield* lastOf(store)) as { readonly main: { readonly elapsedMs: number } }
      assert.strictEqual(main.elapsedMs, 25)
    }))
})

describe("a node with a policy", () => {
  it.effect("continues its attempts when the process that resumes it is killed before it goes on", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", step([], "a"))
        .addNode("b", (_state, { attempt }) => {
          attempts.push(attempt)
          return attempt < 3 ? Effect.fail("no") : Effect.as(Effect.sleep(10), { n: 7 })
        }, { retry: { maxRetries: 2, baseDelay: 100, exponentialBackoff: false } })
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      // In its third attempt.
      const store = yield* interrupted(graph.invoke(input, { thread }), 205)
      const saves = yield* countOf(store)
      yield* killed(graph.resume(thread), 0, store)
      const second = yield* copyOf(store, saves + 1)
      assert.deepStrictEqual(yield* ended(graph.resume(thread), second), { n: 7 })
      assert.deepStrictEqual(attempts, [1, 2, 3, 3, 3])
    }))
})

describe("a graph that fails as a node", () => {
  it.effect("is resumed at the node that it failed with, its flows where they were", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let broken = true
      const innermost = StateGraph.make("innermost", State)
        .addNode("a", step(ran, "a"))
        .addNode("b", ({ n }) => {
          ran.push("b")
          return broken ? Effect.fail("no") : Effect.succeed({ n: n + 1 })
        })
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      const inner = StateGraph.make("inner", State)
        .addNode("x", step(ran, "x")).addNode("slow", step(ran, "slow", 50))
        .addSubgraph("innermost", innermost, same)
        .addFanInNode("join", (_, { parallelResults }) => ({ n: parallelResults[0]!.success ? 50 : -1 }))
        .setEntryPoint("x").addParallelEdge("x", "slow", "join")
        .addEdge("x", "innermost").addEdge("innermost", "join").setFinishPoint("join").compile()
      const graph = StateGraph.make("g", State).addSubgraph("sub", inner, same)
        .setEntryPoint("sub").setFinishPoint("sub").compile({ maxSteps: 6 })
      const store = yield* interrupted(graph.invoke(input, { thread }), 10)
      yield* interrupted(graph.resume(thread), 10, store)
      assert.deepStrictEqual(ran, ["x", "slow", "a", "b", "slow", "b"])
      broken = false
      assert.deepStrictEqual(yield* ended(graph.resume(thread), store), { n: 50 })
      assert.deepStrictEqual(ran, ["x", "slow", "a", "b", "slow", "b", "slow", "b"])
    }))
})

describe("the steps of a line", () => {
  it.effect("count a node inside of its graphs once, however often that is cut off", () =>
    Effect.gen(function*() {
      const inner = StateGraph.make("inner", State).addNode("a", step([], "a", 10))
        .setEntryPoint("a").setFinishPoint("a").compile()
      const middle = StateGraph.make("middle", State).addSubgraph("inner", inner, same)
        .setEntryPoint("inner").setFinishPoint("inner").compile()
      const graph = StateGraph.make("g", State)
        .addSubgraph("middle", middle, { ...same, retry: { maxRetries: 1 } }).addNode("last", step([], "last"))
        .setEntryPoint("middle").addEdge("middle", "last").setFinishPoint("last").compile({ maxSteps: 4 })
      let store = yield* interrupted(graph.invoke(input, { thread }), 5)
      for (let i = 0; i < 3; i++) store = yield* interrupted(graph.resume(thread), 5, store)
      assert.deepStrictEqual(yield* ended(graph.resume(thread), store), { n: 2 })
    }))
})

describe("nodes of a graph whose node has a policy", () => {
  it.effect("are told the attempt of that policy, on the main line and in a flow", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const inner = StateGraph.make("inner", State)
        .addNode("a", (_state, { attempt, branch }) => {
          told.push(`${branch} ${attempt}`)
          return attempt < 3 ? Effect.fail("no") : Effect.void
        })
        .setEntryPoint("a").setFinishPoint("a").compile()
      const policy = { ...same, retry: { maxRetries: 2, baseDelay: 10 } }
      const graph = StateGraph.make("g", State)
        .addSubgraph("main", inner, policy).addSubgraph("flow", inner, policy).addFanInNode("join")
        .setEntryPoint("main").addParallelEdge("main", "flow", "join").setFinishPoint("join").compile()
      const events: Array<string> = []
      const run = Stream.runForEach(graph.stream(input, { thread }), (event) =>
        Effect.sync(() => {
          if (event._tag === "NodeStarted" && event.node === "flow/a") events.push(`${event.branch} ${event.attempt}`)
        }))
      yield* ended(run)
      assert.deepStrictEqual(told, [
        "undefined 1",
        "undefined 2",
        "undefined 3",
        "flow 1",
        "flow 2",
        "flow 3"
      ])
      // Events name the attempt of the flow.
      assert.deepStrictEqual(events, ["flow 1", "flow 1", "flow 1"])
    }))
})

describe("a graph in a flow that is stopped", () => {
  it.effect("makes no step more when a save ends in the same turn", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const now = (name: string) => () => void ran.push(name)
      const inner = StateGraph.make("inner", State)
        .addNode("a", now("a")).addNode("b", now("b"))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      const graph = StateGraph.make("g", State)
        .addNode("outer")
        .addSubgraph("sub", inner, same)
        .addNode("fails", () => Effect.fail("no"))
        .addFanInNode("meet").addFanInNode("join")
        .addParallelEdge(StateGraph.START, "outer", "join")
        .addParallelEdge("outer", "sub", "meet")
        .addParallelEdge("outer", "fails", "meet", { failFast: true })
        .setFinishPoint("join").compile()
      yield* interrupted(Effect.exit(graph.invoke(input, { thread })), 1_000)
      assert.deepStrictEqual(ran, ["a"])
    }))
})

describe("a graph that has changed since its run was saved", () => {
  it.effect("gives the attempts of a node that has no policy any more to no other node", () =>
    Effect.gen(function*() {
      const attempts: Array<string> = []
      const graph = (policy: object) =>
        StateGraph.make("g", State)
          .addNode("a", (_state, { attempt }) => {
            attempts.push(`a ${attempt}`)
            return attempts.length < 3 ? Effect.fail("no") : Effect.void
          }, policy)
          .addNode("b", (_state, { attempt }) => {
            attempts.push(`b ${attempt}`)
            return attempt < 2 ? Effect.fail("no") : Effect.void
          }, { retry: { maxRetries: 1, baseDelay: 10 } })
          .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      const store = yield* interrupted(graph({ retry: { maxRetries: 5, baseDelay: 10 } }).invoke(input, { thread }), 15)
      assert.deepStrictEqual(attempts, ["a 1", "a 2"])
      yield* ended(graph({}).resume(thread), store)
      assert.deepStrictEqual(attempts, ["a 1", "a 2", "a 1", "b 1", "b 2"])
    }))
})
