/** Fallbacks of nodes, and what fallbacks do to everything else: ways on, merging, circuits, events, stored results. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Schema } from "effect"
import { Bulkhead, CircuitBreakerRegistry, type GraphEvent, ParallelFlowResult, StateGraph } from "effect-stategraph"
import { boom, fan, type Result, sleeper, State } from "./support/fan.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf, type Runner, scenario } from "./support/scenario.ts"

const { START } = StateGraph

const quietly = (
  title: string,
  test: (run: Runner, registry: CircuitBreakerRegistry.Service) => Effect.Effect<unknown, unknown>
) =>
  scenario(title, (run) =>
    Effect.suspend(() => {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      return test(run, registry).pipe(
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
        Effect.provide([Logger.layer([]), Bulkhead.layer])
      )
    }))

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it has not failed")

const make = (name = "g") => StateGraph.make(name, State)

describe("the fallback of a node", () => {
  quietly("that is an update is its update, on the main line and in a flow", (run) =>
    Effect.gen(function*() {
      const nodes = make()
        .addNode("work", () => boom("down"), { fallback: { v: "stale" }, retry: { maxRetries: 2, baseDelay: 10 } })
        .addNode("next", ({ v }) => ({ joined: [String(v)] }))
        .addEdge("work", "next")
      const main = nodes.setEntryPoint("work").setFinishPoint("next").compile()
      const { at, exit } = yield* endOf(run(main, { n: 0 }), 100)
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, v: "stale", joined: ["stale"] }))
      const results: Array<Result> = []
      const flow = nodes.addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addParallelEdge(START, "work", "join").setFinishPoint("join").compile()
      yield* endOf(run(flow, { n: 0 }), 100)
      assert.deepInclude(results[0], { _tag: "Success", usedFallback: true, attempts: 1, timingMs: 30 })
      assert.deepInclude(results[0]!.state, { v: "stale", joined: ["stale"] })
    }))

  quietly(
    "that is a node runs in its place, from the same state, and the line goes on as from it",
    (run) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const seen: Array<string> = []
        const nodes = make()
          .addNode("elsewhere", () => ({ v: "elsewhere" }))
          .addNode("rescue", ({ n }, { node }) => {
            seen.push(`${node} ${n}`)
            return Effect.delay(Effect.succeed({ n: n + 5 }), 5)
          })
          .addNode("work", ({ n }) => n === 0 ? boom("down") : Effect.succeed({ n: n + 100 }), { fallback: "rescue" })
          .addNode("low", () => ({ v: "low" }))
          .addNode("high", () => ({ v: "high" }))
          .addEdge("rescue", "elsewhere")
          .addConditionalEdges("work", ({ n }, { node }) => {
            asked.push(`${node} ${n}`)
            return n < 50 ? "low" : "high"
          }, { low: "low", high: "high" })
        const graph = nodes.setFinishPoint("low").setFinishPoint("high").setFinishPoint("elsewhere")
          .addConditionalEdges(START, ({ n }) => n < 0 ? "never" : "go", { go: "work", never: "elsewhere" }).compile()
        const rescued = yield* endOf(run(graph, { n: 0 }), 100)
        assert.strictEqual(rescued.at, 5)
        assert.deepStrictEqual(rescued.exit, Exit.succeed({ n: 5, v: "low" }))
        assert.deepStrictEqual(
          (yield* endOf(run(graph, { n: 1 }), 100)).exit,
          Exit.succeed({ n: 101, v: "high" })
        )
        assert.deepStrictEqual(seen, ["rescue 0"])
        assert.deepStrictEqual(asked, ["work 5", "work 101"])
      })
  )

  quietly("comes before the flows that its node starts, and is joined with them", (run) =>
    Effect.gen(function*() {
      for (const fallback of ["rescue", { n: 7 }] as const) {
        const graph = make()
          .addNode("rescue", () => Effect.delay(Effect.succeed({ n: 7 }), 5))
          .addNode("work", () => boom("down"), { fallback: fallback as "rescue" })
          .addNode("reserve", () => boom("never"), { fallback: "rescue" })
          .addNode("a", ({ n }) => ({ v: n }))
          .addFanInNode("join", ({ n }, { parallelResults: [a] }) => ({ joined: [`${n} ${String(a!.state.v)}`] }))
          .addParallelEdge("work", "a", "join")
          .addConditionalEdges(START, ({ n }) => n < 0 ? "b" : "a", { a: "work", b: "reserve" })
          .addEdge("reserve", StateGraph.END)
          .setFinishPoint("join").compile()
        const { exit } = yield* endOf(run(graph, { n: 0 }))
        assert.deepStrictEqual(exit, Exit.succeed({ n: 7, joined: ["7 7"] }))
      }
    }))

  quietly("stands in anew in every round of a loop, and counts as a step", (run) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const build = (maxSteps: number) =>
        make()
          .addNode("rescue", ({ n }, { idempotencyKey }) => {
            keys.push(idempotencyKey)
            return { n: n + 1 }
          })
          .addNode("work", ({ n }) => n === 1 ? Effect.succeed({ n: 2 }) : boom("down"), { fallback: "rescue" })
          .setEntryPoint("work")
          .addConditionalEdges("work", ({ n }) => n < 3 ? "more" : "done", { more: "work", done: StateGraph.END })
          .compile({ maxSteps })
      assert.deepStrictEqual((yield* endOf(run(build(5), { n: 0 }, { runId: "r" }))).exit, Exit.succeed({ n: 3 }))
      assert.deepStrictEqual(keys, ["r/rescue#1", "r/rescue#2"])
      const { exit } = yield* endOf(run(build(4), { n: 0 }))
      assert.deepInclude(errorOf(exit), { _tag: "StepLimitError", node: "rescue", limit: 4 })
    }))

  quietly("follows timeouts, defects and rejections, and no interruption", (run, registry) =>
    Effect.gen(function*() {
      const circuitBreaker = { key: "c", failureThreshold: 1, resetTimeout: "1 hour" } as const
      yield* Effect.ignore(registry.execute("c", circuitBreaker)(Effect.fail("trip")))
      const limit = { key: "k", permits: 1, queue: 0 }
      yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
      const ran: Array<string> = []
      const one = (
        body: Effect.Effect<void, unknown>,
        policy: Pick<StateGraph.NodePolicy, "timeout" | "circuitBreaker" | "limit">
      ) =>
        make()
          .addNode("work", () => Effect.andThen(Effect.sync(() => void ran.push("ran")), body), {
            ...policy,
            fallback: { v: 1 }
          })
          .setEntryPoint("work").setFinishPoint("work").compile()
      for (
        const [body, policy, runs] of [
          [Effect.never, { timeout: 5 }, 1],
          [Effect.die("bug"), {}, 1],
          [Effect.void, { circuitBreaker }, 0],
          [Effect.void, { limit }, 0]
        ] as const
      ) {
        ran.length = 0
        assert.deepStrictEqual((yield* endOf(run(one(body, policy), { n: 0 }))).exit, Exit.succeed({ n: 0, v: 1 }))
        assert.strictEqual(ran.length, runs)
      }
      const itself = yield* endOf(run(one(Effect.interrupt, {}), { n: 0 }))
      assert.isTrue(Exit.hasInterrupts(itself.exit))
    }))

  quietly("is the last of a chain, whose last error is the node's", (run) =>
    Effect.gen(function*() {
      const chain = (last: boolean) =>
        make()
          .addNode("third", () => last ? Effect.succeed({ v: "third" }) : boom("third"))
          .addNode("second", () => boom("second"), { fallback: "third", retry: { maxRetries: 1, baseDelay: 10 } })
          .addNode("first", () => boom("first"), { fallback: "second" })
          .addNode("after", ({ v }) => ({ joined: [String(v)] }))
          .addEdge("first", "after")
          .setEntryPoint("first").setFinishPoint("after").compile()
      const good = yield* endOf(run(chain(true), { n: 0 }), 100)
      assert.strictEqual(good.at, 10)
      assert.deepStrictEqual(good.exit, Exit.succeed({ n: 0, v: "third", joined: ["third"] }))
      assert.deepInclude(errorOf((yield* endOf(run(chain(false), { n: 0 }))).exit), { _tag: "Boom", message: "third" })
    }))

  quietly("is stopped with its line like any node", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const results: Array<Result> = []
      const graph = make()
        .addNode("rescue", () => sleeper(500, log, "rescue"))
        .addNode("work", () => boom("down"), { fallback: "rescue" })
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addParallelEdge(START, "work", "join", { timeout: 20, retry: { maxRetries: 1, baseDelay: 5 } })
        .setFinishPoint("join").compile()
      assert.strictEqual((yield* endOf(run(graph, { n: 0 }))).at, 45)
      assert.deepStrictEqual(log, ["rescue interrupted", "rescue interrupted"])
      assert.deepInclude(results[0], { _tag: "Timeout", failedNode: "rescue", attempts: 2, usedFallback: true })
    }))

  quietly("is forgotten when the flow is tried again without it", (run) =>
    Effect.gen(function*() {
      const results: Array<Result> = []
      let tries = 0
      const graph = make()
        .addNode("work", () => tries++ === 0 ? boom("once") : Effect.succeed({ v: "own" }), {
          fallback: { v: "stale" }
        })
        .addNode("next", ({ v }) => v === "stale" ? boom("not that") : Effect.void)
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addEdge("work", "next")
        .addParallelEdge(START, "work", "join", { retry: { maxRetries: 1, baseDelay: 5 } })
        .setFinishPoint("join").compile()
      yield* endOf(run(graph, { n: 0 }))
      assert.deepInclude(results[0], { _tag: "Success", attempts: 2, usedFallback: false })
    }))
})

describe("fallbacks and fan-ins", () => {
  quietly("what a fallback sets is merged, and nothing of what failed", (run) =>
    Effect.gen(function*() {
      const Merged = Schema.Struct({ ...State.fields, hits: Schema.Array(Schema.String) })
      const graph = StateGraph.make("merge", Merged, { reducers: { hits: (a, b) => [...a, ...b] } })
        .addNode("rescue", () => ({ hits: ["rescue"] }))
        .addNode("first", () => ({ hits: ["lost"], v: "lost" }))
        .addNode("fails", () => boom("down"))
        .addNode("inPlace", () => boom("down"), { fallback: "rescue" })
        .addNode("update", () => boom("down"), { fallback: { hits: ["update"] } })
        .addFanInNode("join")
        .addEdge("first", "fails")
        .addParallelEdge(START, "first", "join", { name: "a", fallback: { hits: ["a"] } })
        .addParallelEdge(START, "first", "join", { name: "b", fallback: "rescue" })
        .addParallelEdge(START, "inPlace", "join")
        .addParallelEdge(START, "update", "join")
        .addParallelEdge(START, "first", "join", { name: "lost" })
        .setFinishPoint("join").compile()
      const { exit } = yield* endOf(run(graph, { n: 0, hits: ["before"] }))
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, hits: ["before", "a", "rescue", "rescue", "update"] }))
    }))

  quietly(
    "a flow that its fallback saves is a success: for failFast, and for completion rules",
    (run) =>
      Effect.gen(function*() {
        const saved = fan({
          a: [() => boom("down"), { failFast: true, fallback: { v: 1 } } as StateGraph.EdgeConfig],
          b: [() => Effect.sleep(10), {}]
        })
        assert.isTrue(Exit.isSuccess((yield* endOf(run(saved.graph, { n: 0 }))).exit))
        assert.deepStrictEqual(saved.results.map(({ _tag }) => _tag), ["Success", "Success"])
        const first = fan({
          a: [() => boom("down"), { fallback: { v: 1 } } as StateGraph.EdgeConfig],
          b: () => Effect.never
        }, { completion: { minSuccessful: 1 } })
        yield* endOf(run(first.graph, { n: 0 }))
        assert.deepInclude(first.completions[0], { reason: "minSuccessful", successful: 1, interrupted: 1 })
        const unsaved = make()
          .addNode("rescue", () => boom("worse"))
          .addNode("work", () => boom("down"))
          .addFanInNode("join", () => {})
          .addParallelEdge(START, "work", "join", { failFast: true, fallback: "rescue" })
          .setFinishPoint("join").compile()
        const error = errorOf((yield* endOf(run(unsaved, { n: 0 }))).exit)
        assert.deepInclude(error, { _tag: "FailFastError", branch: "work" })
        assert.deepInclude((error as { readonly result: Result }).result, { error: "worse", usedFallback: true })
      })
  )

  quietly("every item of a map has its own, with its item; a place is taken for it", (run) =>
    Effect.gen(function*() {
      const results: Array<Result> = []
      let running = 0
      let most = 0
      const busy = Effect.acquireUseRelease(
        Effect.sync(() => void (most = Math.max(most, ++running))),
        () => Effect.sleep(10),
        () => Effect.sync(() => void running--)
      )
      const graph = make()
        .addNode(
          "work",
          (_state, { item }) => Effect.andThen(busy, Number(item) % 2 === 0 ? boom("even") : Effect.void)
        )
        .addNode("rescue", (_state, { index, item }) => Effect.as(busy, { v: `${String(item)} ${index}` }))
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addParallelMap(START, "work", "join", { items: () => [5, 6, 7, 8], fallback: "rescue", concurrency: 2 })
        .setFinishPoint("join").compile()
      assert.strictEqual((yield* endOf(run(graph, { n: 0 }))).at, 40)
      assert.strictEqual(most, 2)
      assert.deepStrictEqual(results.map(({ branch, state, usedFallback }) => [branch, usedFallback, state.v]), [
        ["work[0]", false, undefined],
        ["work[1]", true, "6 1"],
        ["work[2]", false, undefined],
        ["work[3]", true, "8 3"]
      ])
    }))

  quietly(
    "a flow that fails fast inside of a flow is a failure that the outer fallback follows",
    (run) =>
      Effect.gen(function*() {
        const results: Array<Result> = []
        const graph = make()
          .addNode("outer")
          .addNode("inner", () => boom("deep"))
          .addFanInNode("innerJoin", () => {})
          .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
          .addParallelEdge(START, "outer", "join", { fallback: { v: "outer" } })
          .addParallelEdge("outer", "inner", "innerJoin", { failFast: true })
          .setFinishPoint("join").compile()
        yield* endOf(run(graph, { n: 0 }))
        assert.deepInclude(results[0], { _tag: "Success", usedFallback: true, state: { n: 0, v: "outer" } })
      })
  )
})

describe("fallbacks and circuits", () => {
  quietly(
    "the circuit has recorded the failure before the fallback, which it does not see",
    (run, registry) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const look = (key: string) => () =>
          Effect.map(
            registry.state(key),
            ({ failureCount, state }) => void seen.push(`${key} ${state} ${failureCount}`)
          )
        const circuitBreaker = { failureThreshold: 2 }
        const graph = make()
          .addNode("flowRescue", look("g/flow"))
          .addNode("nodeRescue", look("g#node"))
          .addNode("work", () => boom("down"))
          .addNode("node", () => boom("down"), { circuitBreaker, fallback: "nodeRescue" })
          .addFanInNode("join", () => {})
          .addParallelEdge(START, "work", "join", { name: "flow", circuitBreaker, fallback: "flowRescue" })
          .addParallelEdge(START, "node", "join")
          .setFinishPoint("join").compile()
        for (let i = 0; i < 3; i++) yield* endOf(run(graph, { n: 0 }), 10)
        assert.deepStrictEqual(seen, [
          "g/flow CLOSED 1",
          "g#node CLOSED 1",
          "g/flow OPEN 2",
          "g#node OPEN 2",
          "g/flow OPEN 2",
          "g#node OPEN 2"
        ])
      })
  )
})

describe("the events of fallbacks", () => {
  const tell = (event: GraphEvent.Any): string =>
    `${event._tag}${"node" in event && event.node !== undefined ? ` ${event.node}` : ""}${
      "usedFallback" in event ? " instead" : ""
    }`

  const told = <E>(graph: StateGraph.CompiledGraph<State, State, E, never>) =>
    Effect.gen(function*() {
      const { exit } = yield* endOf(Effect.provide(eventsOf(graph, { n: 0 }), Logger.layer([])))
      const { events } = yield* exit
      assert.deepStrictEqual(faults(events as ReadonlyArray<GraphEvent.Any>), [])
      return events as ReadonlyArray<GraphEvent.Any>
    })

  it.effect("of a node show the failure, and who stood in for it", () =>
    Effect.gen(function*() {
      const nodes = make().addNode("rescue", () => ({ v: 1 }))
      const update = yield* told(
        nodes.addNode("work", () => boom("down"), { fallback: { v: 1 } })
          .addConditionalEdges(START, () => "a", { a: "work", b: "rescue" })
          .setFinishPoint("work").setFinishPoint("rescue").compile()
      )
      assert.deepStrictEqual(update.map(tell), [
        "GraphStarted",
        "NodeStarted work",
        "AttemptStarted work",
        "AttemptFailed work",
        "NodeCompleted work instead",
        "GraphCompleted"
      ])
      assert.deepInclude(update[4], { update: { v: 1 }, state: { n: 0, v: 1 } })
      const node = yield* told(
        nodes.addNode("work", () => boom("down"), { fallback: "rescue" })
          .setEntryPoint("work").setFinishPoint("work").compile()
      )
      assert.deepStrictEqual(node.map(tell), [
        "GraphStarted",
        "NodeStarted work",
        "AttemptStarted work",
        "AttemptFailed work",
        "NodeFailed work",
        "NodeStarted rescue",
        "NodeCompleted rescue",
        "GraphCompleted"
      ])
    }))

  it.effect("of a flow come after its last attempt, and its result says so", () =>
    Effect.gen(function*() {
      const flow = (fallback: "rescue" | { readonly v: number }, edge: StateGraph.EdgeConfig = {}) =>
        make()
          .addNode("rescue", () => Effect.sleep(5))
          .addNode("work", () => boom("down"))
          .addFanInNode("join", () => {})
          .addParallelEdge(START, "work", "join", { ...edge, fallback } as {})
          .addParallelEdge(START, "rescue", "join")
          .setFinishPoint("join").compile()
      const mine = (events: ReadonlyArray<GraphEvent.Any>) =>
        events.filter((event) => "branch" in event && event.branch === "work")
      const update = mine(yield* told(flow({ v: 1 })))
      assert.deepStrictEqual(update.map(tell), [
        "FlowStarted",
        "AttemptStarted",
        "NodeStarted work",
        "NodeFailed work",
        "AttemptFailed",
        "FlowCompleted"
      ])
      assert.deepInclude((update.at(-1) as GraphEvent.FlowCompleted<State, unknown>).result, {
        _tag: "Success",
        usedFallback: true
      })
      const node = mine(yield* told(flow("rescue")))
      assert.deepStrictEqual(node.map(tell), [
        "FlowStarted",
        "AttemptStarted",
        "NodeStarted work",
        "NodeFailed work",
        "AttemptFailed",
        "NodeStarted rescue",
        "NodeCompleted rescue",
        "FlowCompleted"
      ])
      const limit = { key: "k", permits: 1, queue: 0 }
      const rejected = Effect.gen(function*() {
        yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
        return [mine(yield* told(flow("rescue", { limit }))), mine(yield* told(flow({ v: 1 }, { limit })))] as const
      })
      const [byNode, byUpdate] = yield* Effect.provide(rejected, Bulkhead.layer)
      assert.deepStrictEqual(byNode.map(tell), [
        "FlowRejected",
        "FlowStarted",
        "NodeStarted rescue",
        "NodeCompleted rescue",
        "FlowCompleted"
      ])
      assert.deepStrictEqual(byUpdate.map(tell), ["FlowRejected", "FlowCompleted"])
    }))
})

describe("a result whose fallback was used", () => {
  it.effect("says so in JSON and when read back", () =>
    Effect.gen(function*() {
      const g = fan({
        a: [() => boom("down"), { fallback: { v: "stale" } } as StateGraph.EdgeConfig],
        b: () => ({ v: "own" })
      })
      yield* endOf(g.graph.invoke({ n: 0 }))
      const codec = Schema.fromJsonString(ParallelFlowResult.schema(State))
      for (const [branch, usedFallback] of [["a", true], ["b", false]] as const) {
        const text = Schema.encodeUnknownSync(codec as Schema.Codec<unknown, string>)(g.result(branch))
        assert.deepInclude(JSON.parse(text), { branch, usedFallback })
        const back = Schema.decodeUnknownSync(codec as Schema.Codec<Result, string>)(text)
        assert.deepStrictEqual({ ...back }, { ...g.result(branch) })
        assert.strictEqual(back.usedFallback, usedFallback)
      }
    }))
})
