/** What a stream of events tells, in which order, and how it ends. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Option, Stream } from "effect"
import { CircuitBreakerRegistry, type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { Boom, boom, fan, sleeper, State } from "./support/fan.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf } from "./support/scenario.ts"

const quiet = Logger.layer([])

const tell = (event: GraphEvent.Any): string => {
  const where = "branch" in event && event.branch !== undefined ? ` ${event.branch}` : ""
  const node = "node" in event ? ` ${event.node}` : ""
  const attempt = "attempt" in event && event.attempt !== undefined ? ` ${event.attempt}` : ""
  return `${event._tag}${where}${node}${attempt}`
}

const told = <E>(graph: StateGraph.CompiledGraph<State, State, E, never>, input: unknown = { n: 0 }) =>
  Effect.gen(function*() {
    const { exit } = yield* endOf(Effect.provide(eventsOf(graph, input as State), quiet))
    const { events, exit: ended } = yield* exit
    return { events: events as ReadonlyArray<GraphEvent.Any>, exit: ended }
  })

describe("the events of a run", () => {
  it.effect("come in the order in which things happen", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("order", State)
        .addNode("first", () => ({ n: 1 }))
        .addNode("a", (_state, { attempt }) =>
          Effect.andThen(Effect.sleep(10), attempt === 1 ? boom("once") : Effect.void))
        .addNode("b", () =>
          Effect.sleep(5))
        .addNode("b2", () => Effect.sleep(1))
        .addFanInNode("join", () => ({ n: 2 }))
        .setEntryPoint("first")
        .addParallelEdge("first", "a", "join", { retry: { maxRetries: 1, baseDelay: 3 } })
        .addParallelEdge("first", "b", "join")
        .addEdge("b", "b2")
        .setFinishPoint("join")
        .compile()
      const { events } = yield* told(graph)
      assert.deepStrictEqual(events.map(tell), [
        "GraphStarted",
        "NodeStarted first",
        "NodeCompleted first",
        "FlowStarted a",
        "AttemptStarted a 1",
        "NodeStarted a a 1",
        "FlowStarted b",
        "AttemptStarted b 1",
        "NodeStarted b b 1",
        "NodeCompleted b b 1",
        "NodeStarted b b2 1",
        "NodeCompleted b b2 1",
        "AttemptSucceeded b 1",
        "FlowCompleted b",
        "NodeFailed a a 1",
        "AttemptFailed a 1",
        "RetryScheduled a 1",
        "AttemptStarted a 2",
        "NodeStarted a a 2",
        "NodeCompleted a a 2",
        "AttemptSucceeded a 2",
        "FlowCompleted a",
        "FanInStarted join",
        "NodeStarted join",
        "NodeCompleted join",
        "FanInCompleted join",
        "GraphCompleted"
      ])
      assert.deepStrictEqual(faults(events), [])
    }))

  it.effect("carry state, update, results, message, type and cause", () =>
    Effect.gen(function*() {
      const g = fan({ ok: () => ({ v: 1 }), bad: () => boom("down") })
      const { events } = yield* told(g.graph, { n: 3 })
      const find = <T extends GraphEvent.Any["_tag"]>(tag: T, branch?: string) =>
        events.find((event) =>
          event._tag === tag && (branch === undefined || "branch" in event && event.branch === branch)
        ) as
          | Extract<GraphEvent.Any, { readonly _tag: T }>
          | undefined
      assert.deepStrictEqual(find("GraphStarted")!.state, { n: 3 })
      assert.deepInclude(find("NodeCompleted", "ok"), { state: { n: 3, v: 1 }, update: { v: 1 }, fanIn: "join" })
      assert.deepInclude(find("FlowStarted", "ok"), { state: { n: 3 }, fanIn: "join" })
      const failed = find("AttemptFailed", "bad")!
      assert.deepInclude(failed, { error: "down", errorType: "Boom", attempt: 1, timingMs: 0, state: { n: 3 } })
      assert.instanceOf(Cause.squash(failed.cause), Boom)
      assert.deepStrictEqual(find("FanInStarted")!.results, g.results)
      assert.deepStrictEqual(find("FlowCompleted", "bad")!.result, g.result("bad"))
      const { at, graph, runId } = events[0]!
      for (const event of events) assert.deepInclude(event, { graph, runId })
      assert.strictEqual(at, 0)
    }))

  it.effect("of a flow rejected before its start are its rejection and its end only", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* Effect.ignore(registry.execute("k", { failureThreshold: 1 })(Effect.fail("down")))
      const g = fan({ a: [() => Effect.void, { circuitBreaker: { key: "k", failureThreshold: 1 } }] })
      const { events } = yield* Effect.provideService(
        told(g.graph),
        CircuitBreakerRegistry.CircuitBreakerRegistry,
        registry
      )
      assert.deepStrictEqual(
        events.filter((event) => "branch" in event && event.branch === "a").map(tell),
        ["FlowRejected a", "FlowCompleted a"]
      )
      const rejected = events.find((event) => event._tag === "FlowRejected")
      assert.deepStrictEqual(rejected?._tag === "FlowRejected" && rejected.circuit, {
        key: "k",
        state: "OPEN",
        retryAfterMs: 30_000
      })
    }))

  it.effect("of a total limit in a wait end no attempt", () =>
    Effect.gen(function*() {
      const g = fan({ a: [() => boom("down"), { totalTimeout: 50, retry: { maxRetries: 5, baseDelay: 100 } }] })
      const { events } = yield* told(g.graph)
      assert.deepStrictEqual(events.filter((event) => "branch" in event).map(tell), [
        "FlowStarted a",
        "AttemptStarted a 1",
        "NodeStarted a a 1",
        "NodeFailed a a 1",
        "AttemptFailed a 1",
        "RetryScheduled a 1",
        "FlowTimedOut a 1",
        "FlowCompleted a"
      ])
      assert.deepStrictEqual(faults(events), [])
      assert.deepInclude(g.result("a"), { _tag: "Timeout", timeoutKind: "total", timingMs: 50, attempts: 1 })
    }))

  it.effect("of abandoned work end when it is abandoned", () =>
    Effect.gen(function*() {
      const g = fan({ stuck: [() => Effect.uninterruptible(Effect.sleep(500)), { timeout: 10, grace: 20 }] })
      const { events } = yield* told(g.graph)
      assert.deepStrictEqual(faults(events), [])
      const at = (tag: string) => events.find(({ _tag }) => _tag === tag)!.at - events[0]!.at
      assert.deepStrictEqual([at("FlowTimedOut"), at("NodeInterrupted"), at("FlowCompleted")], [10, 30, 30])
    }))
})

describe("a stream", () => {
  it.effect("ends after GraphCompleted", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* told(fan({ a: () => Effect.void }).graph)
      assert.strictEqual(events.at(-1)!._tag, "GraphCompleted")
      assert.deepStrictEqual(exit, Exit.void)
    }))

  it.effect("emits GraphFailed and then fails, with the run's own error", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("fails", State)
        .addNode("a", () => boom("own"))
        .setEntryPoint("a")
        .setFinishPoint("a")
        .compile()
      const { events, exit } = yield* told(graph)
      assert.deepStrictEqual(events.map(tell), ["GraphStarted", "NodeStarted a", "NodeFailed a", "GraphFailed"])
      assert.deepInclude(events.at(-1), { error: "own", errorType: "Boom" })
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), Boom)
    }))

  it.effect("of bad input has no event at all", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* told(fan({ a: () => Effect.void }).graph, { n: "no number" })
      assert.deepStrictEqual(events, [])
      assert.isTrue(Exit.isFailure(exit))
    }))

  it.effect("that is dropped interrupts the run and waits for its finalizers", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const g = fan({ a: () => sleeper(1000, log, "a"), b: () => sleeper(1000, log, "b") })
      const fiber = yield* Effect.forkChild(
        g.graph.stream({ n: 0 }).pipe(
          Stream.takeUntil((event) => event._tag === "NodeStarted" && event.node === "b"),
          Stream.runDrain
        )
      )
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.sameMembers(log, ["a interrupted", "b interrupted"])
      assert.strictEqual(g.joins.length, 0)
    }))

  it.effect("with a slow consumer does not slow the run", () =>
    Effect.gen(function*() {
      const ended: Array<number> = []
      const clock = yield* Effect.clockWith(Effect.succeed)
      const g = fan({ a: () => Effect.sleep(10) }, { join: () => void ended.push(clock.currentTimeMillisUnsafe()) })
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(g.graph.stream({ n: 0 }), () => Effect.sleep(1000)),
        { startImmediately: true }
      )
      yield* TestClock.adjust(10)
      yield* TestClock.adjust(1_000_000)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(ended, [10])
    }))

  it.effect("can be run again: every run is a new one", () =>
    Effect.gen(function*() {
      const stream = fan({ a: () => Effect.void }).graph.stream({ n: 0 })
      const ids = yield* Effect.forEach([1, 2], () =>
        Effect.map(Stream.runHead(stream), Option.map(({ runId }) => runId)))
      assert.notStrictEqual(Option.getOrThrow(ids[0]!), Option.getOrThrow(ids[1]!))
    }))
})

describe("an interrupted run", () => {
  it.effect("awaits finalizers for as long as grace allows, and no circuit counts it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const finalizing = (ms: number, name: string) =>
        Effect.onInterrupt(Effect.never, () => Effect.map(Effect.sleep(ms), () => void log.push(name)))
      const g = fan({
        quick: [() => finalizing(20, "quick"), { circuitBreaker: { failureThreshold: 1 } }],
        slow: () => finalizing(5000, "slow"),
        retrying: [() => boom("down"), { retry: { maxRetries: 9, baseDelay: 1000 } }]
      }, { graph: { grace: 50 } })
      const fiber = yield* Effect.forkChild(
        g.graph.invoke({ n: 0 }).pipe(
          Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
          Effect.provide(quiet)
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(10)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust(49)
      assert.isUndefined(stopping.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(stopping.pollUnsafe())
      assert.deepStrictEqual(log, ["quick"])
      assert.strictEqual((yield* registry.state("g/quick")).state, "CLOSED")
    }))
})
