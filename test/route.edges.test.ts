/** What becomes of a line where its graph, its conditions or its updates are not what they should be. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Schema } from "effect"
import { Checkpointer, type Completion, GraphError, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { State } from "./support/fan.ts"
import { endOf } from "./support/scenario.ts"

const { END, START } = StateGraph

const named = <const Name extends string>(name: Name): Name => name

const failureOf = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  assert(Exit.isFailure(exit))
  return Option.getOrThrow(Cause.findErrorOption(exit.cause))
}

describe("an update whose property throws", () => {
  const bad = () => ({
    get n(): number {
      throw new RangeError("no such number")
    }
  })
  const nodes: ReadonlyArray<readonly [when: string, node: () => Effect.Effect<{ readonly n: number }>]> = [
    ["at once", () => Effect.succeed(bad())],
    ["later", () => Effect.as(Effect.yieldNow, bad())]
  ]
  for (const [when, node] of nodes) {
    it.effect(`is a defect of its run: ${when}`, () =>
      Effect.gen(function*() {
        const graph = StateGraph.make("g", State).addNode("a", node).setEntryPoint("a").setFinishPoint("a").compile()
        const exit = yield* Effect.exit(graph.invoke({ n: 0 }))
        assert(Exit.isFailure(exit))
        assert.strictEqual(String(Cause.squash(exit.cause)), "RangeError: no such number")
        assert.isTrue(Cause.hasDies(exit.cause))
      }))

    it.effect(`is a failure of its flow, and of nothing else: ${when}`, () =>
      Effect.gen(function*() {
        const results: Array<string> = []
        const graph = StateGraph.make("g", State)
          .addNode("a", node).addNode("b", () => ({ n: 2 }))
          .addFanInNode("join", (_state, { parallelResults }) => {
            for (const result of parallelResults) {
              results.push(`${result.branch} ${result._tag} ${result.success ? result.state.n : result.error}`)
            }
          })
          .addParallelEdge(START, "a", "join").addParallelEdge(START, "b", "join")
          .setFinishPoint("join").compile()
        yield* graph.invoke({ n: 0 })
        assert.deepStrictEqual(results, ["a Failure no such number", "b Success 2"])
      }))
  }
})

describe("an update", () => {
  it.effect("may set a key that is called then, if the state has one", () =>
    Effect.gen(function*() {
      const key = named("then")
      const graph = StateGraph.make("g", Schema.Struct({ [key]: Schema.Number }))
        .addNode("a", () => ({ [key]: 2 })).setEntryPoint("a").setFinishPoint("a").compile()
      assert.deepStrictEqual(yield* graph.invoke({ [key]: 1 }), { [key]: 2 })
    }))

  it.effect("is no Effect inside an Effect, and the error says what to do", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.succeed(Effect.succeed({ n: 1 })) as unknown as Effect.Effect<{ n: number }>)
        .setEntryPoint("a").setFinishPoint("a").compile()
      const error = failureOf(yield* Effect.exit(graph.invoke({ n: 0 })))
      assert(error instanceof GraphError.InvalidUpdateError)
      assert.match(error.issue, /^an Effect inside an Effect \(flatten it\)/)
    }))
})

describe("flows of two launches to one fan-in", () => {
  const make = (completion: Completion.Rule | undefined) => {
    const results: Array<ParallelFlowResult.Any> = []
    const graph = StateGraph.make("g", State)
      .addNode("first").addNode("second", () => Effect.sleep(10)).addNode("w")
      .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults), { completion })
      .setEntryPoint("first")
      .addParallelEdge("first", "w", "join", { name: "a" }).addParallelEdge("first", "w", "join", { name: "b" })
      .addEdge("first", "second")
      .addParallelEdge("second", "w", "join", { name: "c" }).addParallelEdge("second", "w", "join", { name: "d" })
      .addEdge("second", "join")
      .setFinishPoint("join")
      .compile()
    return { graph, results }
  }

  it.effect("have their results in the order of the launches", () =>
    Effect.gen(function*() {
      const { graph, results } = make(undefined)
      yield* endOf(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(results.map(({ branch }) => branch), ["a", "b", "c", "d"])
    }))

  it.effect("do not start when the rule was met before, and say so", () =>
    Effect.gen(function*() {
      const { graph, results } = make({ minSuccessful: 2 })
      yield* endOf(graph.invoke({ n: 0 }))
      const told = results.map((result) => `${result.branch} ${result.success ? "ran" : result.error}`)
      assert.deepStrictEqual(told, [
        "a ran",
        "b ran",
        `c flow "c" was interrupted: the fan-in "join" is complete`,
        `d flow "d" was interrupted: the fan-in "join" is complete`
      ])
    }))
})

describe("a fan-in that a line comes to without flows", () => {
  const make = () =>
    StateGraph.make("g", State)
      .addNode("start").addNode("launch").addNode("w")
      .addFanInNode("join", (_state, { completion, parallelResults }) => ({
        n: parallelResults.length,
        v: completion.reason
      }))
      .setEntryPoint("start")
      .addConditionalEdges("start", ({ n }) => n === 0 ? "launch" : "join", { launch: "launch", join: "join" })
      .addParallelEdge("launch", "w", "join")
      .setFinishPoint("join")

  it.effect("runs with none", () =>
    Effect.gen(function*() {
      const graph = make().compile()
      assert.deepStrictEqual(yield* graph.invoke({ n: 0 }), { n: 1, v: "all" })
      assert.deepStrictEqual(yield* graph.invoke({ n: 1 }), { n: 0, v: "all" })
    }))

  it.effect("is a point like any other", () =>
    Effect.gen(function*() {
      const graph = make().compile({ suspendBefore: ["join"] })
      const error = failureOf(yield* Effect.exit(graph.invoke({ n: 1 }, { thread: "t" })))
      assert(error instanceof GraphError.GraphSuspended)
      assert.deepStrictEqual(error.pending, [{ node: "join", when: "before", name: "join" }])
      assert.deepStrictEqual(yield* graph.resume("t"), { n: 0, v: "all" })
    }).pipe(Effect.provide(Checkpointer.layerMemory)))
})

describe("a loop without anything to wait for", () => {
  it.effect("lets others have their turn", () =>
    Effect.gen(function*() {
      const rounds = 20_000
      const seen: Array<number> = []
      let n = 0
      const graph = StateGraph.make("g", State)
        .addNode("count", () => ({ n: ++n }))
        .setEntryPoint("count")
        .addConditionalEdges("count", (state) => state.n < rounds ? "again" : "done", { again: "count", done: END })
        .compile({ maxSteps: rounds })
      const fiber = yield* Effect.forkChild(graph.invoke({ n: 0 }))
      while (fiber.pollUnsafe() === undefined) {
        yield* Effect.yieldNow
        seen.push(n)
      }
      assert.deepStrictEqual(yield* Fiber.join(fiber), { n: rounds })
      assert.isAbove(new Set(seen).size, 2)
    }))
})

describe("a condition's answer that is no target", () => {
  for (
    const [answer, shown] of [
      ["nowhere", "\"nowhere\""],
      ["", "\"\""],
      [7, "7 (a number)"],
      [true, "true (a boolean)"],
      [undefined, "undefined"],
      [null, "null"],
      [{ to: "x" }, "an object"],
      [["x"], "an object"]
    ] as const
  ) {
    it.effect(`is shown as it is: ${shown}`, () =>
      Effect.gen(function*() {
        const graph = StateGraph.make("g", State)
          .addNode("a").addNode("x").addNode("y")
          .setEntryPoint("a")
          .addConditionalEdges("a", () => answer as unknown as "x", { x: "x", y: "y" })
          .setFinishPoint("x").setFinishPoint("y")
          .compile()
        const error = failureOf(yield* Effect.exit(graph.invoke({ n: 0 })))
        assert(error instanceof GraphError.RoutingError)
        assert.deepInclude(error, {
          graph: "g",
          node: "a",
          issue: `the condition answered ${shown}, its targets are x, y`
        })
        assert.notProperty(error, "branch")
      }))
  }

  it.effect("says in which flow", () =>
    Effect.gen(function*() {
      const failures: Array<unknown> = []
      const graph = StateGraph.make("g", State)
        .addNode("a").addNode("x")
        .addFanInNode("join", (_state, { parallelResults }) => {
          for (const result of parallelResults) failures.push("failure" in result ? result.failure : result)
        })
        .addParallelEdge(START, "a", "join", { name: "flow" })
        .addConditionalEdges("a", () => "nowhere" as "x", { x: "x" })
        .addEdge("x", "join")
        .setFinishPoint("join")
        .compile()
      yield* graph.invoke({ n: 0 })
      const [error] = failures
      assert(error instanceof GraphError.RoutingError)
      assert.deepInclude(error, { node: "a", branch: "flow" })
    }))
})

describe("a line in a graph with too many ways to be checked beforehand", () => {
  const optional = 20
  /** Where the first condition answers `late`, the line goes past open flows to its end. */
  const make = () => {
    const name = (text: string): string => text
    let nodes = StateGraph.make("g", State).addNode(name("first"))
    for (const text of ["late", "launch", "w", "out", "end"]) nodes = nodes.addNode(text)
    for (let i = 0; i < optional; i++) nodes = nodes.addNode(name(`ask${i}`)).addNode(name(`launch${i}`))
    let graph = nodes.addFanInNode(name("join0"))
    for (let i = 1; i < optional; i++) graph = graph.addFanInNode(name(`join${i}`))
    graph = graph.addFanInNode(name("early")).addFanInNode(name("last"))
      .addEdge(START, "first")
      .addConditionalEdges("first", ({ n }) => n === 0 ? "late" : n === 1 ? "out" : "on", {
        late: "late",
        out: "out",
        on: "launch"
      })
      .addParallelEdge("late", "w", "early", { name: "one" })
      .addParallelEdge("late", "w", "early", { name: "two" })
      .addParallelEdge("late", "w", "last", { name: "three" })
      .addEdge("late", "out").addEdge("out", END)
      .addParallelEdge("launch", "w", "early", { name: "four" })
      .addParallelEdge("launch", "w", "last", { name: "five" })
      .addEdge("launch", "ask0")
    for (let i = 0; i < optional; i++) {
      const next = i === optional - 1 ? "end" : `ask${i + 1}`
      graph = graph.addConditionalEdges(`ask${i}`, () => "no", { no: next, yes: `launch${i}` })
        .addParallelEdge(`launch${i}`, "w", `join${i}`)
        .addEdge(`launch${i}`, next)
    }
    return graph.addEdge("last", END).compile()
  }

  it.effect("goes where it can, and fails where it would leave flows behind", () =>
    Effect.gen(function*() {
      const graph = make()
      assert.deepStrictEqual(yield* graph.invoke({ n: 1 }), { n: 1 })
      assert.deepStrictEqual(yield* graph.invoke({ n: 2 }), { n: 2 })
      const error = failureOf(yield* Effect.exit(graph.invoke({ n: 0 })))
      assert(error instanceof GraphError.RoutingError)
      assert.deepInclude(error, {
        node: END,
        issue: `it is an end, but flows are open: fan-in "early" for "one", "two"; fan-in "last" for "three"`
      })
    }))
})
