/** What does not become JSON: the run says so, and where, and never hangs. And what becomes of errors. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Schema, SchemaTransformation } from "effect"
import { Checkpointer, GraphError, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { ended, interrupted, killed, thread } from "./support/killed.ts"

const State = Schema.Struct({ n: Schema.Number, v: Schema.optionalKey(Schema.Unknown) })
type State = typeof State.Type
const input = { n: 0 }
const durabilities = ["step", "async", "exit"] as const

class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String, code: Schema.Number }) {}

interface Graph {
  readonly invoke: (
    input: { readonly n: number },
    options: { readonly thread: string; readonly durability: StateGraph.Durability }
  ) => Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>
}

/** What a run fails with that cannot be saved. */
const refused = (graph: Graph, durability: StateGraph.Durability) =>
  Effect.gen(function*() {
    const store = Checkpointer.makeUnsafe()
    const error = yield* Effect.flip(ended(graph.invoke(input, { thread, durability }), store))
    assert.instanceOf(error, GraphError.CheckpointError)
    const { graph: name, issue, reason } = error as GraphError.CheckpointError
    assert.deepStrictEqual([reason, name], ["NotEncodable", "g"])
    // The thread is free again.
    yield* store.release(yield* store.claim(thread))
    return issue
  })

const line = (value: unknown) =>
  StateGraph.make("g", State)
    .addNode("a", () => ({ v: value })).addNode("b", () => Effect.sleep(10)).addNode("c")
    .setEntryPoint("a").addEdge("a", "b").addEdge("b", "c").setFinishPoint("c").compile()

const inFlow = (value: unknown) =>
  StateGraph.make("g", State)
    .addNode("a", () => ({ v: value })).addNode("b", () => Effect.sleep(10)).addNode("other", () => Effect.sleep(50))
    .addFanInNode("join", () => ({ n: 1 }))
    .addParallelEdge(StateGraph.START, "a", "join", { name: "bad" }).addParallelEdge(StateGraph.START, "other", "join")
    .addEdge("a", "b").setFinishPoint("join").compile()

const notJson: ReadonlyArray<readonly [string, () => unknown]> = [
  ["a function", () => () => 1],
  ["a Map", () => new Map([[1, 2]])],
  ["a symbol", () => Symbol("s")],
  ["a bigint", () => 1n],
  ["an instance of a class", () => new Boom({ message: "m", code: 1 })],
  ["something deep inside", () => ({ list: [1, { inner: () => 1 }] })],
  ["a value that refers to itself", () => {
    const self: Record<string, unknown> = {}
    self["self"] = self
    return self
  }]
]

describe("a state that is no JSON", () => {
  for (const [what, make] of notJson) {
    it.effect(`because of ${what} is refused with its path`, () =>
      Effect.gen(function*() {
        for (const durability of durabilities) {
          assert.match(yield* refused(line(make()), durability), /at main line: state\.v/, durability)
        }
        // A run that ends without saving it on the way fails only where it is saved.
        for (const durability of ["step", "async"] as const) {
          assert.match(yield* refused(inFlow(make()), durability), /at main line: flow "bad": state\.v/, durability)
        }
      }))
  }

  it.effect("by its input is refused before any node runs, but for exit", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.sync(() => void ran.push("a"))).addNode("b")
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      const bad = { n: 0, v: () => 1 }
      for (const durability of durabilities) {
        ran.length = 0
        const error = yield* Effect.flip(ended(graph.invoke(bad, { thread, durability })))
        assert.strictEqual((error as GraphError.CheckpointError).reason, "NotEncodable")
        assert.deepStrictEqual(ran, durability === "step" ? [] : ["a"])
      }
    }))

  it.effect("because its schema throws is refused with its path", () =>
    Effect.gen(function*() {
      const Throwing = Schema.String.pipe(Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transform({
          decode: (text: string) => text,
          encode: (text: string): string => {
            if (text === "bad") throw new Error("it cannot")
            return text
          }
        })
      ))
      const graph = StateGraph.make("g", Schema.Struct({ n: Schema.Number, v: Schema.optionalKey(Throwing) }))
        .addNode("a", () => ({ v: "bad" })).addNode("b").setEntryPoint("a").addEdge("a", "b").setFinishPoint("b")
        .compile()
      for (const durability of durabilities) {
        assert.match(yield* refused(graph, durability), /at main line: state/, durability)
      }
    }))

  it.effect("while flows hang stops them", () =>
    Effect.gen(function*() {
      const closed: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.as(Effect.sleep(10), { v: () => 1 })).addNode("b", () => Effect.never)
        .addNode("hangs", () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void closed.push("hangs"))))
        .addFanInNode("join", () => ({}))
        .addParallelEdge(StateGraph.START, "a", "join").addParallelEdge(StateGraph.START, "hangs", "join")
        .addEdge("a", "b").setFinishPoint("join").compile()
      for (const durability of ["step", "async"] as const) {
        closed.length = 0
        yield* refused(graph, durability)
        assert.deepStrictEqual(closed, ["hangs"])
      }
    }))

  it.effect("is no hindrance for a run that is not saved, or not saved then", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ended(line(1n).invoke(input)), { n: 0, v: 1n })
      const passing = StateGraph.make("g", State)
        .addNode("a", () => ({ v: 1n })).addNode("b", () => ({ v: undefined }))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      assert.deepStrictEqual(yield* ended(passing.invoke(input, { thread, durability: "exit" })), { n: 0 })
    }))
})

describe("an item that is no JSON", () => {
  const mapped = (items: ReadonlyArray<unknown>, options: object = {}, policy: object = {}) =>
    StateGraph.make("g", State)
      .addNode("one", () => Effect.sleep(10), policy)
      .addFanInNode("join", () => ({ n: 1 }))
      .addParallelMap(StateGraph.START, "one", "join", { items: () => items, ...options })
      .setFinishPoint("join").compile() as unknown as Graph

  it.effect("is refused with its flow, or its place among the items that wait", () =>
    Effect.gen(function*() {
      for (const durability of ["step", "async"] as const) {
        assert.match(
          yield* refused(mapped([1, () => 2]), durability),
          /at main line: flow "one\[1\]": item/,
          durability
        )
        assert.match(
          yield* refused(mapped([1, 2, { a: 1n }], { concurrency: 1 }), durability),
          /at item 2 of the map "one" from node "__start__" of graph "g"$/,
          durability
        )
        assert.match(yield* refused(mapped([{ a: undefined }]), durability), /at main line: flow "one\[0\]": item$/)
      }
    }))

  it.effect("is saved by the item schema of its node", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const graph = StateGraph.make("g", State)
        .addNode("one", (_state, { item }) => {
          seen.push(item)
          return Effect.sleep(10)
        }, { item: Schema.BigInt })
        .addFanInNode("join", () => ({ n: 1 }))
        .addParallelMap(StateGraph.START, "one", "join", { items: () => [1n, 2n, 3n], concurrency: 1 })
        .setFinishPoint("join").compile()
      const store = yield* interrupted(graph.invoke(input, { thread }), 15)
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(seen, [1n, 2n, 2n, 3n])
      const wrong = mapped([1n, "two"], {}, { item: Schema.BigInt })
      assert.match(yield* refused(wrong, "step"), /at main line: flow "one\[1\]": item/)
    }))
})

class Tagged extends Data.TaggedError("Tagged")<{ readonly code: number; readonly list: ReadonlyArray<string> }> {}
class Plain extends Error {
  readonly code = 7
  readonly skip = () => 1
}
class Holder {
  readonly held = () => 1
}

/** What is left of an error when its flow's result was saved before the join, with or without its schema. */
const restored = (make: () => unknown, error: Schema.Top | undefined, how: "fail" | "die" = "fail") =>
  Effect.gen(function*() {
    const results: Array<ParallelFlowResult.Any> = []
    const graph = StateGraph.make("g", State, error === undefined ? {} : { error })
      .addNode("bad", () => how === "fail" ? Effect.fail(make()) : Effect.die(make()))
      .addNode("wait", () => Effect.sleep(50))
      .addFanInNode("join", (_state, { parallelResults }) => {
        results.push(parallelResults[0]!)
        return {}
      })
      .addParallelEdge(StateGraph.START, "bad", "join").addParallelEdge(StateGraph.START, "wait", "join")
      .setFinishPoint("join").compile()
    yield* ended(graph.invoke(input, { thread }))
    yield* ended(graph.resume(thread), yield* killed(graph.invoke(input, { thread }), 20))
    const [before, after] = results as [ParallelFlowResult.Any, ParallelFlowResult.Any]
    // What results say in words is the same.
    for (const field of ["_tag", "error", "errorType", "failedNode", "attempts", "success"]) {
      assert.deepStrictEqual(after.get(field), before.get(field), field)
    }
    const reason = (after.get("cause") as { readonly reasons: ReadonlyArray<Record<string, unknown>> }).reasons[0]!
    assert.strictEqual(reason["_tag"], how === "fail" ? "Fail" : "Die")
    return how === "fail" ? after.get("failure") : reason["defect"]
  })

const fieldsOf = (error: unknown): unknown =>
  error instanceof Error
    ? { ...error, name: error.name, message: error.message, tag: (error as { readonly _tag?: string })._tag }
    : error

describe("a failure that was saved", () => {
  it.effect("is its class again with the error schema of its graph", () =>
    Effect.gen(function*() {
      const error = yield* restored(() => new Boom({ message: "m", code: 3 }), Boom)
      assert.instanceOf(error, Boom)
      assert.strictEqual((error as Boom).code, 3)
      // Others are as without one.
      const other = yield* restored(() => new Tagged({ code: 1, list: [] }), Boom)
      assert.notInstanceOf(other, Tagged)
      assert.strictEqual((other as Tagged)._tag, "Tagged")
    }))

  it.effect("keeps its tag, name, message and JSON fields without it", () =>
    Effect.gen(function*() {
      assert.deepInclude(fieldsOf(yield* restored(() => new Boom({ message: "m", code: 3 }), undefined)), {
        tag: "Boom",
        name: "Boom",
        message: "m",
        code: 3
      })
      assert.deepInclude(fieldsOf(yield* restored(() => new Tagged({ code: 1, list: ["a"] }), undefined)), {
        tag: "Tagged",
        name: "Tagged",
        code: 1,
        list: ["a"]
      })
      const plain = fieldsOf(yield* restored(() => new Plain("it is plain"), undefined))
      assert.deepInclude(plain, { name: "Plain", message: "it is plain", code: 7 })
      assert.notProperty(plain, "skip")
    }))

  it.effect("that is JSON itself is the same", () =>
    Effect.gen(function*() {
      for (const value of ["text", 7, null, { _tag: "Own", list: [1, null] }, ["a"], false]) {
        assert.deepStrictEqual(yield* restored(() => value, undefined), value)
      }
    }))

  it.effect("that is neither an Error nor JSON becomes one that tells what it was", () =>
    Effect.gen(function*() {
      assert.deepInclude(fieldsOf(yield* restored(() => new Holder(), undefined)), { name: "Holder" })
      assert.instanceOf(yield* restored(() => 1n, undefined), Error)
      assert.instanceOf(yield* restored(() => undefined, undefined), Error)
    }))

  it.effect("is the library's own error with its class", () =>
    Effect.gen(function*() {
      const own = [
        new GraphError.FlowTimeoutError({ timeoutMs: 5, timeoutKind: "attempt" }),
        new GraphError.RoutingError({ graph: "g", node: "n", issue: "i" }),
        new GraphError.StepLimitError({ graph: "g", node: "n", limit: 3 }),
        new GraphError.InvalidUpdateError({ graph: "g", node: "n", issue: "i" }),
        new GraphError.MergeConflictError({ graph: "g", node: "n", key: "k", branches: ["a", "b"] }),
        new GraphError.DuplicateKeyError({ graph: "g", node: "n", name: "m", keys: ["k"] }),
        new GraphError.LimitExceededError({ key: "k", permits: 1, queue: 0 })
      ]
      for (const error of own) {
        const again = yield* restored(() => error, undefined)
        assert.instanceOf(again, error.constructor as never)
        assert.deepStrictEqual(fieldsOf(again), fieldsOf(error))
      }
    }))

  it.effect("is a defect again", () =>
    Effect.gen(function*() {
      assert.deepInclude(fieldsOf(yield* restored(() => new TypeError("oh"), undefined, "die")), {
        name: "TypeError",
        message: "oh"
      })
      assert.strictEqual(yield* restored(() => "text", undefined, "die"), "text")
    }))
})
