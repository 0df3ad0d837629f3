/** Scripted nodes: each call does what the test says, and shows what became of it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import { type GraphEvent, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { Script, VirtualTime } from "effect-stategraph/testing"
import { TestClock } from "effect/testing"
import { eventsOf } from "../support/scenario.ts"

const State = Schema.Struct({ n: Schema.Number, log: Schema.optionalKey(Schema.Array(Schema.String)) })
type State = typeof State.Type

/** Two flows, and what the join was told. */
const pair = (config: StateGraph.EdgeConfig = {}) => {
  const web = Script.make<State>()
  const cache = Script.make<State>()
  const results: Array<ParallelFlowResult.ParallelFlowResult<State, unknown>> = []
  const graph = StateGraph.make("pair", State)
    .addNode("web", web.node)
    .addNode("cache", cache.node)
    .addFanInNode("join", (_state, { parallelResults }) => {
      results.push(...parallelResults)
    })
    .addParallelEdge(StateGraph.START, "web", "join", config)
    .addParallelEdge(StateGraph.START, "cache", "join", config)
    .setFinishPoint("join")
    .compile()
  const run = Effect.forkChild(Effect.exit(graph.invoke({ n: 7 })), { startImmediately: true })
  return { cache, graph, results, run, web }
}

describe("a call", () => {
  it.effect("completes, fails or dies as it is told, in the order of the test", () =>
    Effect.gen(function*() {
      const { cache, results, run, web } = pair()
      const fiber = yield* run
      const second = yield* cache.next
      const first = yield* web.next
      assert.deepStrictEqual([first.state, first.ctx.node, first.ctx.branch, first.ctx.attempt], [
        { n: 7 },
        "web",
        "web",
        1
      ])
      assert.isTrue(yield* second.fail("down"))
      assert.isUndefined(fiber.pollUnsafe())
      assert.isTrue(yield* first.succeed({ log: ["found"] }))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(results.map(({ _tag, state }) => [_tag, state]), [
        ["Success", { n: 7, log: ["found"] }],
        ["Failure", { n: 7 }]
      ])
      assert.strictEqual(results[1]?.get("failure"), "down")
    }))

  it.effect("can die, and can change nothing", () =>
    Effect.gen(function*() {
      const { cache, results, run, web } = pair()
      const fiber = yield* run
      yield* (yield* web.next).die(new RangeError("bug"))
      yield* (yield* cache.next).succeed()
      yield* Fiber.join(fiber)
      const [died, kept] = results
      assert.isTrue(died?._tag === "Failure" && Cause.hasDies(died.cause) && died.errorType === "RangeError")
      assert.deepStrictEqual(kept?.state, { n: 7 })
    }))

  it.effect("has its consequences before the test goes on, however deep they are", () =>
    Effect.gen(function*() {
      const web = Script.make<State>()
      const cache = Script.make<State>()
      const inside = (name: string, graph: StateGraph.CompiledGraph<State, State, unknown, never>) =>
        StateGraph.make(name, State)
          .addSubgraph("in", graph, { input: (state) => state, output: () => ({}), timeout: "1 hour" })
          .setEntryPoint("in")
          .setFinishPoint("in")
          .compile()
      const innermost = StateGraph.make("innermost", State)
        .addNode("cache", cache.node, { timeout: "1 hour" })
        .setEntryPoint("cache")
        .setFinishPoint("cache")
        .compile()
      const graph = StateGraph.make("outer", State)
        .addNode("web", web.node)
        .addSubgraph("cache", inside("a", inside("b", inside("c", innermost))), {
          input: (state) => state,
          output: () => ({})
        })
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "web", "join", { failFast: true })
        .addParallelEdge(StateGraph.START, "cache", "join")
        .setFinishPoint("join")
        .compile()
      const fiber = yield* Effect.forkChild(Effect.exit(graph.invoke({ n: 7 })), { startImmediately: true })
      const other = yield* cache.next
      yield* (yield* web.next).fail("down")
      assert.isTrue(other.interrupted)
      assert.isTrue(fiber.pollUnsafe() !== undefined)
    }))

  it.effect("is counted once: the first answer", () =>
    Effect.gen(function*() {
      const { cache, results, run, web } = pair()
      const fiber = yield* run
      const call = yield* web.next
      assert.isFalse(call.answered)
      assert.isTrue(yield* call.succeed({ n: 1 }))
      assert.isTrue(call.answered)
      assert.isFalse(yield* call.succeed({ n: 2 }))
      assert.isFalse(yield* call.fail("no"))
      assert.isFalse(yield* call.die("no"))
      assert.isFalse(yield* call.hang)
      yield* (yield* cache.next).succeed()
      yield* Fiber.join(fiber)
      assert.strictEqual(results[0]?.state.n, 1)
    }))

  it.effect("shows that it was interrupted, and then nobody hears an answer", () =>
    Effect.gen(function*() {
      const { cache, results, run, web } = pair({ timeout: 100, retry: { maxRetries: 1, baseDelay: 5 } })
      const fiber = yield* run
      yield* (yield* cache.next).succeed()
      const call = yield* web.next
      const waiting = yield* Effect.forkChild(call.awaitInterrupted, { startImmediately: true })
      yield* TestClock.adjust(99)
      assert.isFalse(call.interrupted)
      yield* TestClock.adjust(1)
      assert.isTrue(call.interrupted)
      assert.isFalse(call.answered)
      yield* Fiber.join(waiting)
      assert.isFalse(yield* call.succeed({ n: 1 }))
      yield* TestClock.adjust(5)
      const again = yield* web.next
      assert.strictEqual(again.ctx.attempt, 2)
      yield* again.succeed({ n: 2 })
      yield* Fiber.join(fiber)
      assert.strictEqual(results[0]?.state.n, 2)
    }))

  it.effect("that hangs goes on until it is interrupted", () =>
    Effect.gen(function*() {
      const { cache, results, run, web } = pair({ timeout: 100 })
      const fiber = yield* run
      const call = yield* web.next
      assert.isTrue(yield* call.hang)
      assert.isTrue(call.answered)
      assert.isFalse(yield* call.succeed())
      yield* (yield* cache.next).succeed()
      yield* TestClock.adjust(100)
      assert.isTrue(call.interrupted)
      yield* Fiber.join(fiber)
      assert.strictEqual(results[0]?._tag, "Timeout")
    }))

  it.effect("tells of progress", () =>
    Effect.gen(function*() {
      const web = Script.make<State>()
      const graph = StateGraph.make("progress", State, { progress: Schema.Struct({ done: Schema.Number }) })
        .addNode("web", web.node)
        .setEntryPoint("web")
        .setFinishPoint("web")
        .compile()
      const fiber = yield* Effect.forkChild(eventsOf(graph, { n: 0 }), { startImmediately: true })
      const call = yield* web.next
      yield* call.emit({ done: 3 })
      yield* call.succeed({ n: 1 })
      const { events } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        (events as ReadonlyArray<GraphEvent.Any>).flatMap((event) =>
          event._tag === "NodeProgress" ? [event.value] : []
        ),
        [{ done: 3 }]
      )
    }))
})

describe("the calls of a script", () => {
  const crawl = (web: Script.Script<State, unknown>) =>
    StateGraph.make("crawl", State)
      .addNode("web", web.node)
      .addFanInNode("join", (_state, { parallelResults }) => ({
        log: parallelResults.map(({ branch, state }) => `${branch} ${state.n}`)
      }))
      .addParallelMap(StateGraph.START, "web", "join", { items: () => ["a", "b", "c"], concurrency: 2 })
      .setFinishPoint("join")
      .compile()

  it.effect("come one after the other, whoever waits first or later", () =>
    Effect.gen(function*() {
      const web = Script.make<State>()
      const early = yield* Effect.forkChild(Effect.all([web.next, web.next]), { startImmediately: true })
      const unwanted = yield* Effect.forkChild(web.next, { startImmediately: true })
      yield* Fiber.interrupt(unwanted)
      const fiber = yield* Effect.forkChild(crawl(web).invoke({ n: 0 }), { startImmediately: true })
      const [a, b] = yield* Fiber.join(early)
      assert.deepStrictEqual([a.ctx.item, a.ctx.index, b.ctx.item], ["a", 0, "b"])
      assert.strictEqual(web.calls.length, 2)
      yield* b.succeed({ n: 2 })
      const c = yield* web.next
      assert.strictEqual(c.ctx.item, "c")
      yield* c.succeed({ n: 3 })
      yield* a.succeed({ n: 1 })
      assert.deepStrictEqual(yield* Fiber.join(fiber), { n: 0, log: ["web[0] 1", "web[1] 2", "web[2] 3"] })
      assert.deepStrictEqual(web.calls, [a, b, c])
    }))

  it.effect("can be answered within what runs to its end", () =>
    Effect.gen(function*() {
      const web = Script.make<State>()
      const answering = Effect.forever(
        Effect.flatMap(
          web.next,
          (call) => Effect.forkChild(Effect.delay(call.succeed({ n: call.ctx.index! }), "1 hour"))
        )
      )
      const { elapsedMs, exit } = yield* VirtualTime.runToEnd(Effect.gen(function*() {
        yield* Effect.forkChild(answering)
        return yield* crawl(web).invoke({ n: 0 })
      }))
      assert.deepStrictEqual((yield* exit).log, ["web[0] 0", "web[1] 1", "web[2] 2"])
      assert.strictEqual(elapsedMs, 2 * 3_600_000)
    }))
})
