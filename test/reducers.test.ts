/** A fan-in without a function: what its flows set goes into the state, and nothing is lost silently. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Schema } from "effect"
import { GraphError, StateGraph } from "effect-stategraph"
import { boom } from "./support/fan.ts"
import { loose } from "./support/looseBuilder.ts"
import { endOf, scenario } from "./support/scenario.ts"

const State = Schema.Struct({
  query: Schema.String,
  hits: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([]))),
  best: Schema.optionalKey(Schema.Number),
  note: Schema.optionalKey(Schema.String)
})

const make = () =>
  StateGraph.make("search", State, {
    reducers: { hits: (a, b) => [...a, ...b], best: Math.max }
  })

describe("a fan-in without a function", () => {
  scenario("merges by reducer, from the state on, in the order of the edges", (run) =>
    Effect.gen(function*() {
      const graph = make()
        .addNode("slow", () => Effect.delay(Effect.succeed({ hits: ["slow"], best: 2 }), 20))
        .addNode("fast", () => ({ hits: ["fast"], best: 5 }))
        .addNode("none", () => ({}))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "slow", "join")
        .addParallelEdge(StateGraph.START, "fast", "join")
        .addParallelEdge(StateGraph.START, "none", "join")
        .setFinishPoint("join")
        .compile()
      const { exit } = yield* endOf(run(graph, { query: "q", hits: ["before"] }))
      assert.deepStrictEqual(exit, Exit.succeed({ query: "q", hits: ["before", "slow", "fast"], best: 5 }))
    }))

  scenario("takes what one flow set as it is, also an unset key", (run) =>
    Effect.gen(function*() {
      const first = make()
        .addNode("a", () => ({ note: "by a" }))
        .addNode("b", () => ({ query: "by b" }))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "a", "join")
        .addParallelEdge(StateGraph.START, "b", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual(yield* run(first, { query: "q" }), { query: "by b", hits: [], note: "by a" })

      const Unsetting = Schema.Struct({ ...State.fields, note: Schema.optional(Schema.String) })
      const unsetting = StateGraph.make("unset", Unsetting)
        .addNode("a", () => ({ note: undefined }))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "a", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual(yield* run(unsetting, { query: "q", note: "there" }), { query: "q", hits: [] })
    }))

  scenario(
    "merges what all nodes of a flow set, once, and what flows of flows merged",
    (run) =>
      Effect.gen(function*() {
        const graph = make()
          .addNode("a", () => ({ hits: ["first"] }))
          .addNode("a2", ({ hits }) => ({ hits: [...hits, "second"], best: 1 }))
          .addNode("outer")
          .addNode("x", () => ({ hits: ["x"], best: 7 }))
          .addNode("y", () => ({ hits: ["y"] }))
          .addFanInNode("inner")
          .addFanInNode("join")
          .addParallelEdge(StateGraph.START, "a", "join")
          .addEdge("a", "a2")
          .addParallelEdge(StateGraph.START, "outer", "join")
          .addParallelEdge("outer", "x", "inner")
          .addParallelEdge("outer", "y", "inner")
          .setFinishPoint("join")
          .compile()
        assert.deepStrictEqual(yield* run(graph, { query: "q" }), {
          query: "q",
          hits: ["first", "second", "x", "y"],
          best: 7
        })
      })
  )

  scenario("leaves out flows that did not succeed, and attempts that failed", (run) =>
    Effect.gen(function*() {
      const graph = make()
        .addNode("sets", () => ({ hits: ["lost"], note: "lost" }))
        .addNode("fails", () => boom("after setting"))
        .addNode("good", (_state, { attempt }) => ({ hits: [`attempt ${attempt}`] }))
        .addNode("flaky", (_state, { attempt }) => attempt === 1 ? boom("once") : Effect.void)
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "sets", "join")
        .addEdge("sets", "fails")
        .addParallelEdge(StateGraph.START, "good", "join", { retry: { maxRetries: 1, baseDelay: 1 } })
        .addEdge("good", "flaky")
        .setFinishPoint("join")
        .compile()
      const { exit } = yield* endOf(Effect.provide(run(graph, { query: "q" }), Logger.layer([])))
      assert.deepStrictEqual(exit, Exit.succeed({ query: "q", hits: ["attempt 2"] }))
    }))

  scenario(
    "refuses a key that two flows set and no reducer merges, naming key and flows",
    (run) =>
      Effect.gen(function*() {
        const graph = make()
          .addNode("a", () => ({ note: "same" }))
          .addNode("b", () => ({ hits: [] }))
          .addNode("c", () => ({ note: "same" }))
          .addFanInNode("join")
          .addParallelEdge(StateGraph.START, "a", "join", { name: "first" })
          .addParallelEdge(StateGraph.START, "b", "join")
          .addParallelEdge(StateGraph.START, "c", "join")
          .setFinishPoint("join")
          .compile()
        const error = yield* Effect.flip(run(graph, { query: "q" }))
        assert.instanceOf(error, GraphError.MergeConflictError)
        assert.deepInclude(error, { graph: "search", node: "join", key: "note", branches: ["first", "c"] })
        assert.match(
          (error as Error).message,
          /cannot merge the key "note", which the flows "first", "c" set: give the key/
        )
      })
  )

  scenario("inside of a flow fails that flow on a conflict", (run) =>
    Effect.gen(function*() {
      let seen: unknown
      const graph = make()
        .addNode("outer")
        .addNode("x", () => ({ note: "x" }))
        .addNode("y", () => ({ note: "y" }))
        .addFanInNode("inner")
        .addFanInNode("join", (_state, { parallelResults: [result] }) => {
          seen = result!._tag === "Failure" ? result!.failure : result
        })
        .addParallelEdge(StateGraph.START, "outer", "join")
        .addParallelEdge("outer", "x", "inner")
        .addParallelEdge("outer", "y", "inner")
        .setFinishPoint("join")
        .compile()
      yield* run(graph, { query: "q" })
      assert.deepInclude(seen, { _tag: "MergeConflictError", branch: "outer", key: "note" })
    }))

  scenario("with a reducer that throws is a defect of the line that joins", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("broken", State, {
        reducers: {
          hits: () => {
            throw new RangeError("a bug in the reducer")
          }
        }
      })
        .addNode("a", () => ({ hits: ["a"] }))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "a", "join")
        .setFinishPoint("join")
        .compile()
      const exit = yield* Effect.exit(run(graph, { query: "q" }))
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), RangeError)
    }))
})

describe("reducers", () => {
  const refused = (reducers: unknown): string => {
    try {
      loose("g", { reducers })
    } catch (error) {
      assert.instanceOf(error, GraphError.InvalidConfigError)
      return (error as GraphError.InvalidConfigError).message
    }
    return "nothing was thrown"
  }

  it("are functions of keys of the state, refused by name else", () => {
    assert.match(refused({ m: () => 1 }), /reducers\.m is .*, allowed is a key of the state: n/)
    assert.match(refused({ n: 5 }), /reducers\.n is 5, allowed is a function/)
    assert.match(refused([]), /nothing/)
    assert.match(refused("sum"), /reducers is "sum", allowed is an object of functions/)
    assert.strictEqual(refused({ n: undefined }), "nothing was thrown")
  })
})
