/** AC7: everything is optional, and without any of it this is a plain state graph. */
import { assert, describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Logger, Schema } from "effect"
import { GraphError, ParallelConfig, StateGraph } from "effect-stategraph"
import { boom, fan } from "../support/fan.ts"
import { endOf, scenario } from "../support/scenario.ts"

const State = Schema.Struct({
  n: Schema.Number,
  log: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})
type State = typeof State.Type

const note = (name: string) => ({ log, n }: State) => ({ n: n + 1, log: [...log, name] })

const logsOf = (results: ReadonlyArray<{ readonly state: State }>) => results.map(({ state }) => state.log.join(">"))

const fields: ReadonlyArray<ParallelConfig.Input> = [
  {},
  { timeout: "1 second" },
  { totalTimeout: 1000 },
  { grace: 0 },
  { grace: "wait" },
  { failFast: true },
  { retry: {} },
  { retry: { maxRetries: 1 } },
  { retry: false },
  { circuitBreaker: {} },
  { circuitBreaker: { failureThreshold: 1 } },
  { circuitBreaker: false },
  { concurrency: 1 },
  { concurrency: "unbounded" },
  { includeTraceback: true }
]

describe("AC7 API", () => {
  scenario(
    "TD.13-UNIT-039 a parallel edge needs its three names only, a config is the last argument",
    (run) =>
      Effect.gen(function*() {
        const graph = StateGraph.make("plain", State)
          .addNode("a", note("a"))
          .addNode("b", note("b"))
          .addFanInNode("join", (_state, { parallelResults }) => ({ log: logsOf(parallelResults) }))
          .addParallelEdge(StateGraph.START, "a", "join")
          .addParallelEdge(StateGraph.START, "b", "join", { timeout: "1 second" })
          .setFinishPoint("join")
          .compile()
        assert.deepStrictEqual(yield* run(graph, { n: 0 }), { n: 0, log: ["a", "b"] })
      })
  )

  it("TD.13-UNIT-040 a config needs no field, and takes each alone", () => {
    for (const input of fields) {
      const graph = fan({ a: [() => Effect.void, input] }, { graph: input, compile: input }).graph
      assert.strictEqual(graph.name, "g", JSON.stringify(input))
    }
    expect.assertions(fields.length)
    for (const input of fields) expect(() => ParallelConfig.make(input)).not.toThrow()
  })

  scenario("TD.13-UNIT-041 an edge's config beats the graph's, field by field", (run) =>
    Effect.gen(function*() {
      let attempts = 0
      const failing = () =>
        Effect.suspend(() => {
          attempts++
          return Effect.andThen(Effect.sleep(5), boom("down"))
        })
      const inherited = {
        timeout: 50,
        retry: { maxRetries: 3, baseDelay: 10 },
        circuitBreaker: { failureThreshold: 2 }
      }
      // The edge says one field of the policy; the graph's delay stays.
      const g = fan({
        fewer: [failing, { retry: { maxRetries: 1 }, circuitBreaker: false }],
        none: [failing, { retry: false, circuitBreaker: false }],
        opens: [failing, {}],
        patient: [() => Effect.sleep(80), { timeout: 100 }],
        impatient: [() => Effect.sleep(80), { retry: false, circuitBreaker: false }]
      }, { graph: inherited })
      yield* endOf(Effect.provide(run(g.graph, { n: 0 }), Logger.layer([])))
      assert.deepInclude(g.result("fewer"), { _tag: "Failure", attempts: 2, timingMs: 20 })
      assert.deepInclude(g.result("none"), { _tag: "Failure", attempts: 1, timingMs: 5 })
      assert.deepInclude(g.result("opens"), { _tag: "Rejected", attempts: 2, circuitState: "OPEN" })
      assert.strictEqual(g.result("patient")._tag, "Success")
      assert.deepInclude(g.result("impatient"), { _tag: "Timeout", timeoutMs: 50 })
      assert.strictEqual(attempts, 5)
    }))

  scenario("TD.13-UNIT-041 failFast of the graph can be switched off on an edge", (run) =>
    Effect.gen(function*() {
      const g = fan({ a: [() => boom("down"), { failFast: false }], b: () => Effect.void }, {
        graph: { failFast: true }
      })
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(run(g.graph, { n: 0 }))))
      assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), ["Failure", "Success"])
    }))

  scenario("TD.13-UNIT-042 a config of compile beats make's, and an edge's beats it", (run) =>
    Effect.gen(function*() {
      const g = fan({ own: [() => Effect.never, { timeout: 30 }], other: () => Effect.never }, {
        graph: { timeout: 10 },
        compile: { timeout: 20 }
      })
      yield* endOf(run(g.graph, { n: 0 }))
      assert.deepStrictEqual(g.results.map(({ branch, timingMs }) => `${branch} ${timingMs}`), ["own 30", "other 20"])
    }))

  scenario("TD.13-UNIT-040 a flow runs with each field alone, and with none", (run) =>
    Effect.gen(function*() {
      for (const input of fields) {
        const g = fan({ a: [() => ({ v: 1 }), input] }, { graph: input, compile: input })
        assert.deepStrictEqual(yield* run(g.graph, { n: 0 }), { n: 0 }, JSON.stringify(input))
        assert.deepInclude(g.result("a"), { _tag: "Success", attempts: 1, state: { n: 0, v: 1 } })
      }
    }))

  scenario("TD.13-UNIT-041 failFast of one edge is that edge's alone", (run) =>
    Effect.gen(function*() {
      const calm = fan({ a: () => boom("a"), b: [() => Effect.void, { failFast: true }] }, {
        graph: { failFast: false }
      })
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(run(calm.graph, { n: 0 }))))
      const strict = fan({ a: () => Effect.void, b: [() => boom("b"), { failFast: true }] }, {
        graph: { failFast: false }
      })
      const error = yield* Effect.flip(run(strict.graph, { n: 0 }))
      assert.instanceOf(error, GraphError.FailFastError)
      assert.strictEqual((error as GraphError.FailFastError).branch, "b")
    }))

  scenario(
    "TD.13-UNIT-042 compile's fields are merged one by one with make's and the edge's",
    (run) =>
      Effect.gen(function*() {
        const g = fan({ a: () => boom("down"), b: [() => boom("down"), { retry: { baseDelay: 100 } }] }, {
          graph: { retry: { maxRetries: 2, baseDelay: 10, exponentialBackoff: false } },
          compile: { retry: { maxRetries: 3 } }
        })
        yield* endOf(Effect.provide(run(g.graph, { n: 0 }), Logger.layer([])))
        assert.deepStrictEqual(g.results.map(({ attempts, timingMs }) => [attempts, timingMs]), [[4, 30], [4, 300]])
      })
  )

  scenario(
    "TD.13-UNIT-041 a layerOverride around the run beats the edge, a layer is below the graph",
    (run) =>
      Effect.gen(function*() {
        const g = fan({ own: [() => Effect.never, { timeout: 30 }], other: () => Effect.never }, {
          graph: { timeout: 20 }
        })
        const times = () => g.results.map(({ branch, timingMs }) => `${branch} ${timingMs}`)
        yield* endOf(Effect.provide(run(g.graph, { n: 0 }), ParallelConfig.layer({ timeout: 10 })))
        assert.deepStrictEqual(times(), ["own 30", "other 20"])
        yield* endOf(Effect.provide(run(g.graph, { n: 0 }), ParallelConfig.layerOverride({ timeout: 10 })))
        assert.deepStrictEqual(times(), ["own 10", "other 10"])
      })
  )
})

describe("TD.13-INT-022 a plain state graph", () => {
  scenario("TD.13-INT-022 runs nodes in the order of its edges", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("sequence", State)
        .addNode("a", note("a"))
        .addNode("b", (state) => Effect.succeed(note("b")(state)))
        .addNode("pass")
        .addNode("c", note("c"))
        .setEntryPoint("a")
        .addEdge("a", "b")
        .addEdge("b", "pass")
        .addEdge("pass", "c")
        .setFinishPoint("c")
        .compile()
      assert.deepStrictEqual(yield* run(graph, { n: 0 }), { n: 3, log: ["a", "b", "c"] })
    }))

  scenario("TD.13-INT-022 takes conditional edges, also to the end", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("conditions", State)
        .addNode("a", note("a"))
        .addNode("odd", note("odd"))
        .addNode("even", note("even"))
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n > 10 ? "stop" : n % 2 === 0 ? "even" : "odd", {
          odd: "odd",
          even: "even",
          stop: StateGraph.END
        })
        .setFinishPoint("odd")
        .setFinishPoint("even")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["a", "odd"])
      assert.deepStrictEqual((yield* run(graph, { n: 1 })).log, ["a", "even"])
      assert.deepStrictEqual((yield* run(graph, { n: 10 })).log, ["a"])
    }))

  scenario("TD.13-INT-022 loops", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("loop", State)
        .addNode("step", note("step"))
        .setEntryPoint("step")
        .addConditionalEdges("step", ({ n }) => Effect.succeed(n < 5 ? "again" as const : "done" as const), {
          again: "step",
          done: StateGraph.END
        })
        .compile()
      assert.strictEqual((yield* run(graph, { n: 0 })).log.length, 5)
    }))

  scenario("TD.13-INT-022 joins several flows, each of several nodes", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("fan-in", State)
        .addNode("a", note("a"))
        .addNode("b1", note("b1"))
        .addNode("b2", note("b2"))
        .addNode("c1", note("c1"))
        .addNode("c2", note("c2"))
        .addNode("c3", note("c3"))
        .addFanInNode("join", ({ n }, { parallelResults }) => ({ n: n + 100, log: logsOf(parallelResults) }))
        .setEntryPoint("a")
        .addParallelEdge("a", "b1", "join")
        .addEdge("b1", "b2")
        .addParallelEdge("a", "c1", "join")
        .addEdge("c1", "c2")
        .addEdge("c2", "c3")
        .addEdge("c3", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual(yield* run(graph, { n: 0 }), { n: 101, log: ["a>b1>b2", "a>c1>c2>c3"] })
    }))

  scenario("TD.13-INT-022 has several fan-ins, of one node or one after the other", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("fan-ins", State)
        .addNode("a", note("a"))
        .addNode("b", note("b"))
        .addNode("c", note("c"))
        .addNode("d", note("d"))
        .addFanInNode(
          "first",
          ({ log }, { parallelResults }) => ({ log: [...log, `first(${logsOf(parallelResults)})`] })
        )
        .addFanInNode(
          "second",
          ({ log }, { parallelResults }) => ({ log: [...log, `second(${logsOf(parallelResults)})`] })
        )
        .setEntryPoint("a")
        .addParallelEdge("a", "b", "first")
        .addParallelEdge("a", "c", "second")
        .addParallelEdge("first", "d", "second")
        .addEdge("first", "second")
        .setFinishPoint("second")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, [
        "a",
        "first(a>b)",
        "second(a>c,a>first(a>b)>d)"
      ])
    }))

  scenario("TD.13-INT-022 goes on with its main line beside its flows", (run) =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const graph = StateGraph.make("beside", State)
        .addNode("a", note("a"))
        .addNode("flow", (state) => Effect.as(Deferred.await(gate), note("flow")(state)))
        .addNode("beside", (state) => Effect.as(Deferred.succeed(gate, undefined), note("beside")(state)))
        .addFanInNode("join", ({ log }, { parallelResults }) => ({ log: [...log, ...logsOf(parallelResults)] }))
        .setEntryPoint("a")
        .addParallelEdge("a", "flow", "join")
        .addEdge("a", "beside")
        .addEdge("beside", "join")
        .setFinishPoint("join")
        .compile()
      // The flow waits for the main line: they do run at the same time.
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["a", "beside", "a>flow"])
    }))

  scenario(
    "TD.13-INT-022 gives flows and nodes the same results with every reliability feature on",
    (run) =>
      Effect.gen(function*() {
        const make = (parallel: ParallelConfig.Input) =>
          StateGraph.make("both", State, { parallel })
            .addNode("a", note("a"))
            .addNode("b", note("b"))
            .addFanInNode("join", (_state, { parallelResults }) => ({ log: logsOf(parallelResults) }))
            .addParallelEdge(StateGraph.START, "a", "join")
            .addParallelEdge(StateGraph.START, "b", "join")
            .setFinishPoint("join")
            .compile()
        const plain = yield* run(make({}), { n: 0 })
        const full = yield* run(
          make({
            timeout: 100,
            totalTimeout: 200,
            retry: { maxRetries: 3, jitter: 0.5 },
            circuitBreaker: { failureThreshold: 1 },
            concurrency: 1,
            failFast: true,
            includeTraceback: true,
            grace: 0
          }),
          { n: 0 }
        )
        assert.deepStrictEqual(full, plain)
      })
  )
})
