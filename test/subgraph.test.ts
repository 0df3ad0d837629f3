/** A compiled graph as a node of another. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Logger, Option, References, Schema, Tracer } from "effect"
import { CircuitBreakerRegistry, FlowCallbacks, GraphError, type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../src/internal/builder.ts"
import { execute } from "../src/internal/run.ts"
import { Boom, boom } from "./support/fan.ts"
import { loose } from "./support/looseBuilder.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"
import { recordingTracer } from "./support/tracer.ts"

const Prices = Schema.Struct({ item: Schema.String, offers: Schema.optionalKey(Schema.Array(Schema.Number)) })
const Order = Schema.Struct({ name: Schema.String, best: Schema.optionalKey(Schema.Number) })

class Shop extends Context.Service<Shop, { readonly price: Effect.Effect<number> }>()("Shop") {}

/** Asks two shops; one of them needs a service, and can be made to fail or hang. */
const prices = (corner: Effect.Effect<number, Boom> = Effect.succeed(12), options?: StateGraph.CompileOptions) =>
  StateGraph.make("prices", Prices)
    .addNode("corner", () => Effect.map(corner, (price) => ({ offers: [price] })))
    .addNode("market", () => Effect.map(Effect.flatMap(Shop, ({ price }) => price), (price) => ({ offers: [price] })))
    .addFanInNode("collect", (_state, { parallelResults }) => ({
      offers: parallelResults.flatMap((result) => result.success ? result.state.offers ?? [] : [])
    }))
    .addParallelEdge(StateGraph.START, "corner", "collect", { circuitBreaker: { failureThreshold: 1 } })
    .addParallelEdge(StateGraph.START, "market", "collect")
    .setFinishPoint("collect")
    .compile(options)

const shop = { price: Effect.succeed(9) }

const order = (inner = prices(), inFlow = false) => {
  const nodes = StateGraph.make("order", Order)
    .addNode("start")
    .addSubgraph("ask", inner, {
      input: ({ name }) => ({ item: name }),
      output: ({ offers = [] }) => offers.length === 0 ? {} : { best: Math.min(...offers) }
    })
    .addFanInNode("done", (_state, { parallelResults: [result] }) => ({ best: result?.get("best", -1) ?? -1 }))
    .setEntryPoint("start")
  return inFlow
    ? nodes.addParallelEdge("start", "ask", "done", { name: "shops", retry: { maxRetries: 1, baseDelay: 5 } })
      .setFinishPoint("done").compile()
    : StateGraph.make("order", Order)
      .addNode("start")
      .addSubgraph("ask", inner, {
        input: ({ name }) => ({ item: name }),
        output: ({ offers = [] }) => offers.length === 0 ? {} : { best: Math.min(...offers) }
      })
      .setEntryPoint("start")
      .addEdge("start", "ask")
      .setFinishPoint("ask")
      .compile()
}

const withShop = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Shop, shop)

describe("a graph as a node", () => {
  scenario("runs with mapped input and output, on the main line and in a flow", (run) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* withShop(run(order(), { name: "tea" })), { name: "tea", best: 9 })
      assert.deepStrictEqual(yield* withShop(run(order(prices(), true), { name: "tea" })), { name: "tea", best: 9 })
    }))

  scenario("fails its node with what it fails with, typed", (run) =>
    Effect.gen(function*() {
      const failing = StateGraph.make("failing", Prices)
        .addNode("a", () => boom("inside"))
        .setEntryPoint("a")
        .setFinishPoint("a")
        .compile()
      const graph = StateGraph.make("outer", Order)
        .addSubgraph("sub", failing, { input: ({ name }) => ({ item: name }), output: () => ({}) })
        .setEntryPoint("sub")
        .setFinishPoint("sub")
        .compile()
      const error: Boom | GraphError.RunError = yield* Effect.flip(run(graph, { name: "x" }))
      assert.deepInclude(error, { _tag: "Boom", message: "inside" })
      const refusing = StateGraph.make("outer", Order)
        .addSubgraph("sub", failing, { input: () => ({ item: 5 as never }), output: () => ({}) })
        .setEntryPoint("sub")
        .setFinishPoint("sub")
        .compile()
      assert.deepInclude(yield* Effect.flip(run(refusing, { name: "x" })), {
        _tag: "InvalidInputError",
        graph: "failing"
      })
    }))

  it.effect("tells its events under its node's name, in the order in which things happen", () =>
    Effect.gen(function*() {
      const { exit } = yield* endOf(withShop(eventsOf(order(prices(), true), { name: "tea" })))
      const { events } = yield* exit
      const told = events.map((event: GraphEvent.Any) =>
        [
          event._tag,
          event.graph,
          "branch" in event ? event.branch : undefined,
          "node" in event ? event.node : undefined
        ]
          .filter((part) => part !== undefined).join(" ")
      )
      assert.deepStrictEqual(told, [
        "GraphStarted order",
        "NodeStarted order start",
        "NodeCompleted order start",
        "FlowStarted order shops",
        "AttemptStarted order shops",
        "NodeStarted order shops ask",
        "FlowStarted prices shops/ask/corner",
        "AttemptStarted prices shops/ask/corner",
        "NodeStarted prices shops/ask/corner ask/corner",
        "NodeCompleted prices shops/ask/corner ask/corner",
        "AttemptSucceeded prices shops/ask/corner",
        "FlowCompleted prices shops/ask/corner",
        "FlowStarted prices shops/ask/market",
        "AttemptStarted prices shops/ask/market",
        "NodeStarted prices shops/ask/market ask/market",
        "NodeCompleted prices shops/ask/market ask/market",
        "AttemptSucceeded prices shops/ask/market",
        "FlowCompleted prices shops/ask/market",
        "FanInStarted prices shops ask/collect",
        "NodeStarted prices shops ask/collect",
        "NodeCompleted prices shops ask/collect",
        "FanInCompleted prices shops ask/collect",
        "NodeCompleted order shops ask",
        "AttemptSucceeded order shops",
        "FlowCompleted order shops",
        "FanInStarted order done",
        "NodeStarted order done",
        "NodeCompleted order done",
        "FanInCompleted order done",
        "GraphCompleted order"
      ])
      assert.deepStrictEqual(faults(events), [])
      assert.strictEqual(new Set(events.map(({ runId }) => runId)).size, 1)
    }))

  it.effect("has its spans under its node's span", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      yield* Effect.provideService(withShop(order().invoke({ name: "tea" })), Tracer.Tracer, tracer)
      const runs = spans.filter(({ name }) => name === "StateGraph.run")
      assert.deepStrictEqual(runs.map(({ attributes }) => attributes.get("graph.name")), ["order", "prices"])
      const parent = Option.getOrThrow(runs[1]!.parent) as Tracer.NativeSpan
      assert.strictEqual(parent.attributes.get("node.name"), "ask")
    }))

  scenario("keeps its own circuits, under its own name, across runs", (run) =>
    Effect.gen(function*() {
      const inner = prices(boom("down"))
      const graph = order(inner)
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const once = Effect.provideService(
        withShop(run(graph, { name: "tea" })),
        CircuitBreakerRegistry.CircuitBreakerRegistry,
        registry
      )
      yield* once
      yield* once
      assert.deepStrictEqual((yield* registry.states).map(({ key, state }) => `${key} ${state}`), [
        "prices/corner OPEN"
      ])
      yield* withShop(run(graph, { name: "tea" }))
      assert.deepStrictEqual((yield* inner.circuitStates).map(({ key, state }) => `${key} ${state}`), [
        "prices/corner OPEN"
      ])
    }))

  scenario("calls its own callbacks, and layers' callbacks once", (run) =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const named = (name: string) =>
        FlowCallbacks.make({ onFlowComplete: ({ branch }) => void calls.push(`${name} ${branch}`) })
      const graph = order(prices(undefined, { callbacks: named("inner") as never }), true)
      yield* endOf(
        Effect.provide(
          withShop(run(graph, { name: "tea" }, { callbacks: named("outer") as never })),
          FlowCallbacks.layer(named("layer"))
        )
      )
      for (const name of ["outer", "layer"]) {
        assert.deepStrictEqual(calls.filter((call) => call.startsWith(name)), [
          `${name} shops/ask/corner`,
          `${name} shops/ask/market`,
          `${name} shops`
        ])
      }
      assert.deepStrictEqual(calls.filter((call) => call.startsWith("inner")), [
        "inner shops/ask/corner",
        "inner shops/ask/market"
      ])
    }))

  scenario("counts its steps on the line that runs it", (run) =>
    Effect.gen(function*() {
      const loop = StateGraph.make("loop", Schema.Struct({ n: Schema.Number }))
        .addNode("a", ({ n }) => ({ n: n + 1 }))
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n < 8 ? "again" : "done", { again: "a", done: StateGraph.END })
        .compile()
      const outer = (maxSteps: number) =>
        StateGraph.make("outer", Schema.Struct({ n: Schema.Number }))
          .addSubgraph("sub", loop, { input: (state) => state, output: ({ n }) => ({ n }) })
          .addNode("last")
          .setEntryPoint("sub")
          .addEdge("sub", "last")
          .setFinishPoint("last")
          .compile({ maxSteps })
      assert.deepStrictEqual(yield* run(outer(10), { n: 0 }), { n: 8 })
      const error = yield* Effect.flip(run(outer(9), { n: 0 }))
      assert.deepInclude(error, { _tag: "StepLimitError", graph: "outer", node: "last", limit: 9 })
      const inside = yield* Effect.flip(run(outer(5), { n: 0 }))
      assert.deepInclude(inside, { _tag: "StepLimitError", graph: "outer", node: "sub/a", limit: 5 })
    }))

  scenario("says in ctx and logs where it is, and has keys of its own", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const keys: Array<string> = []
      const lines: Array<Record<string, unknown>> = []
      const logger = Logger.make(({ fiber }) => void lines.push({ ...fiber.getRef(References.CurrentLogAnnotations) }))
      const inner = StateGraph.make("inner", Schema.Struct({}))
        .addNode("same", (_state, { attempt, branch, idempotencyKey, node }) => {
          seen.push(`${node} ${branch} ${attempt}`)
          keys.push(idempotencyKey)
          return Effect.log("here")
        })
        .addFanInNode("join")
        .setEntryPoint("same")
        .addParallelEdge("same", "same", "join")
      assert.throws(() => inner.setFinishPoint("join").compile(), GraphError.GraphValidationError)
      const plain = StateGraph.make("inner", Schema.Struct({}))
        .addNode("same", (_state, { attempt, branch, idempotencyKey, node }) => {
          seen.push(`${node} ${branch} ${attempt}`)
          keys.push(idempotencyKey)
          return Effect.log("here")
        })
        .setEntryPoint("same")
        .setFinishPoint("same")
        .compile()
      const outer = StateGraph.make("outer", Schema.Struct({}))
        .addNode("same", (_state, { idempotencyKey }) => void keys.push(idempotencyKey))
        .addSubgraph("sub", plain, { input: () => ({}), output: () => ({}) })
        .addFanInNode("join")
        .setEntryPoint("same")
        .addParallelEdge("same", "sub", "join", { name: "flow" })
        .setFinishPoint("join")
        .compile()
      yield* Effect.provide(run(outer, {}, { runId: "r" }), Logger.layer([logger]))
      assert.deepStrictEqual(seen, ["same flow 1"])
      assert.strictEqual(new Set(keys).size, 2)
      assert.deepStrictEqual(lines, [{ graph: "inner", runId: "r", branch: "flow", node: "same", attempt: 1 }])
    }))

  scenario("is interrupted with its node, finalizers awaited, and retried as a whole", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let tries = 0
      const inner = prices(Effect.suspend(() =>
        ++tries === 1
          ? Effect.onInterrupt(Effect.never, () => Effect.map(Effect.sleep(3), () => void log.push("closed")))
          : Effect.succeed(4)
      ))
      const graph = StateGraph.make("order", Order)
        .addSubgraph("ask", inner, {
          input: ({ name }) => ({ item: name }),
          output: ({ offers = [] }) => ({ best: Math.min(...offers) })
        })
        .addFanInNode("done", (_state, { parallelResults: [result] }) => ({ best: result?.get("best", -1) ?? -1 }))
        .addParallelEdge(StateGraph.START, "ask", "done", { timeout: 10, retry: { maxRetries: 1, baseDelay: 5 } })
        .setFinishPoint("done")
        .compile()
      const { at, exit } = yield* endOf(Effect.provide(withShop(run(graph, { name: "x" })), Logger.layer([])))
      assert.deepStrictEqual(exit, Exit.succeed({ name: "x", best: 4 }))
      assert.strictEqual(at, 18)
      assert.deepStrictEqual(log, ["closed"])
    }))

  it.effect("leaves no event open, interrupted inside of any event, also when it does not stop", () =>
    Effect.gen(function*() {
      const inner = prices(Effect.uninterruptible(Effect.delay(Effect.succeed(1), 30)))
      const graph = StateGraph.make("order", Order)
        .addSubgraph("ask", inner, { input: ({ name }) => ({ item: name }), output: () => ({}) })
        .addFanInNode("done")
        .addParallelEdge(StateGraph.START, "ask", "done", { timeout: 10, grace: 5 })
        .setFinishPoint("done")
        .compile({ parallel: { grace: 5 } })
      const observed = (stopAt: number) =>
        Effect.gen(function*() {
          const events: Array<GraphEvent.Any> = []
          const running: { fiber?: Fiber.Fiber<unknown, unknown> } = {}
          const fiber = running.fiber = yield* Effect.forkDetach(
            execute(compiledOf(graph), { name: "x" }, undefined, (event) => {
              events.push(event)
              if (events.length === stopAt) running.fiber?.interruptUnsafe()
            }).pipe(Effect.provideService(Shop, shop), Effect.provide(Logger.layer([])))
          )
          yield* TestClock.adjust(100)
          assert.isDefined(fiber.pollUnsafe(), `event ${stopAt}`)
          assert.deepStrictEqual(faults(events), [], `event ${stopAt}`)
          return events
        })
      const { length } = yield* observed(Infinity)
      assert.isAbove(length, 15)
      for (let stopAt = 1; stopAt <= length; stopAt++) yield* observed(stopAt)
    }))

  it("is part of the diagram, with its own", () => {
    const { diagram } = order()
    assert.deepInclude(diagram.nodes, { name: "ask", kind: "subgraph", diagram: prices().diagram })
    assert.include(order().toMermaid(), `[["ask"]]`)
    assert.include(order().toDot(), `[label="ask", peripheries=2]`)
  })

  it("that is none is refused when the outer graph is compiled", () => {
    const says = (...args: ReadonlyArray<unknown>): string => {
      try {
        const builder = loose() as unknown as { addSubgraph(...args: ReadonlyArray<unknown>): ReturnType<typeof loose> }
        builder.addSubgraph("sub", ...args).setEntryPoint("sub").setFinishPoint("sub").compile()
      } catch (error) {
        return (error as Error).message
      }
      return "nothing"
    }
    assert.match(
      says({}, { input: () => 1, output: () => 1 }),
      /subgraph sub: graph is an object, allowed is a compiled graph/
    )
    assert.match(says(prices(), {}), /input is undefined, allowed is a function/)
    assert.match(says(loose(), { input: () => 1, output: () => 1 }), /allowed is a compiled graph/)
  })
})
