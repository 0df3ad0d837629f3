/** The one result that every flow comes to, and what that does to the line that joins it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schema } from "effect"
import { Bulkhead, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { FakeStore } from "./support/fakeStore.ts"
import { type Body, boom, fan, type Result, State } from "./support/fan.ts"
import { started } from "./support/saved.ts"
import { endOf, eventsOf } from "./support/scenario.ts"

const { START } = StateGraph

const quiet = Effect.provide([Logger.layer([]), Bulkhead.layer])
const hangs: Body = () => Effect.never
const fails = (ms: number): Body => () => Effect.andThen(Effect.sleep(ms), boom("down"))
const ok = (ms: number): Body => () => Effect.as(Effect.sleep(ms), { v: "done" })

describe("a result", () => {
  it.effect("of a flow that interrupts itself says so", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({ a: () => Effect.interrupt })
      yield* endOf(graph.invoke({ n: 0 }))
      assert.deepInclude(result("a"), {
        _tag: "Interrupted",
        error: `flow "a" was interrupted: itself`,
        errorType: "InterruptedError",
        abandoned: false
      })
    }))

  it.effect("of a flow that ends while it waits abandons nothing", () =>
    Effect.gen(function*() {
      const retry = { maxRetries: 1, baseDelay: 100 }
      const { graph, result } = fan({
        late: [() => boom("down"), { retry, totalTimeout: 10 }],
        stopped: [() => boom("down"), { retry }],
        b: ok(20)
      }, { completion: { minSuccessful: 1 } })
      const { at } = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(at, 20)
      assert.deepInclude(result("late"), { _tag: "Timeout", timeoutKind: "total", timingMs: 10, abandoned: false })
      assert.deepInclude(result("stopped"), {
        _tag: "Interrupted",
        error: `flow "stopped" was interrupted: the fan-in "join" has the 1 successful flows it needs`,
        timingMs: 20,
        abandoned: false
      })
    }).pipe(quiet))

  it.effect("has a failure only if that is one of the nodes' own", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({ typed: () => boom("down"), defect: () => Effect.die(new RangeError("bug")) })
      yield* endOf(graph.invoke({ n: 0 }))
      assert.deepInclude(result("typed"), { _tag: "Failure", error: "down", errorType: "Boom" })
      assert.property(result("typed"), "failure")
      assert.deepInclude(result("defect"), { _tag: "Failure", error: "bug", errorType: "RangeError" })
      assert.notProperty(result("defect"), "failure")
    }))

  it.effect("of a flow that a limit rejects keeps the state of its circuit", () =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const retry = { maxRetries: 1, baseDelay: 50 }
      const { graph, result } = fan({
        a: [() => boom("down"), { circuitBreaker: { failureThreshold: 5 }, limit: { ...limit, queue: 0 }, retry }],
        b: [ok(100), { limit }]
      })
      yield* endOf(graph.invoke({ n: 0 }))
      assert.deepInclude(result("a"), {
        _tag: "Rejected",
        errorType: "LimitExceededError",
        circuitState: "CLOSED",
        attempts: 1,
        abandoned: false
      })
      assert.deepInclude(result("b"), { _tag: "Success", attempts: 1 })
    }).pipe(quiet))

  it.effect("of a flow whose items interrupt themselves says so, as its events do", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("a").addNode("one")
        .addFanInNode("inner").addFanInNode("join", () => ({}))
        .addParallelEdge(START, "a", "join")
        .addParallelMap("a", "one", "inner", { items: () => Effect.interrupt })
        .setFinishPoint("join").compile()
      const { exit } = yield* endOf(eventsOf(graph, { n: 0 }))
      const { events } = yield* exit
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag).filter((tag) => tag.startsWith("Attempt")),
        ["AttemptStarted", "AttemptInterrupted"]
      )
      const results = events.flatMap((event) => event._tag === "FlowCompleted" ? [event.result] : [])
      assert.strictEqual(results.length, 1)
      assert.deepInclude(results[0], {
        _tag: "Interrupted",
        branch: "a",
        error: `flow "a" was interrupted: itself`,
        failedNode: "a"
      })
    }))

  it.effect("of a flow whose items fail tells why, and where", () =>
    Effect.gen(function*() {
      const results: Array<Result> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", ok(1)).addNode("one")
        .addFanInNode("inner").addFanInNode("join", (_state, { parallelResults }) =>
          void results.push(...parallelResults))
        .addParallelEdge(START, "a", "join", { retry: { maxRetries: 1, baseDelay: 10 } })
        .addParallelMap("a", "one", "inner", {
          items: () =>
            boom("no list")
        })
        .setFinishPoint("join").compile()
      const fiber = yield* Effect.forkDetach(Effect.exit(graph.invoke({ n: 0 })))
      yield* TestClock.adjust(100)
      assert.isDefined(fiber.pollUnsafe(), "it has ended")
      assert.deepInclude(results[0], { _tag: "Failure", error: "no list", failedNode: "a", attempts: 2 })
      assert.deepStrictEqual(results[0]!.attemptErrors.map(({ error }) => error), ["no list", "no list"])
    }).pipe(quiet))
})

describe("a flow that fails the line that joins it", () => {
  it.effect("tells what the others had come to by then, and not itself", () =>
    Effect.gen(function*() {
      const { graph } = fan({ a: ok(5), b: fails(8), c: [fails(10), { failFast: true }], d: hangs })
      const { at, exit } = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(at, 10)
      const error = Exit.isFailure(exit) ? yield* Effect.flip(exit) : undefined
      assert.instanceOf(error, GraphError.FailFastError)
      assert.deepInclude(error, { graph: "g", fanIn: "join", branch: "c" })
      assert.deepInclude(error.result, { branch: "c", _tag: "Failure" })
      assert.deepStrictEqual(error.settled.map(({ _tag, branch }) => `${branch} ${_tag}`), ["a Success", "b Failure"])
    }))
})

describe("a flow that is stopped with the work around it", () => {
  const nested = (a: StateGraph.EdgeConfig, b: Body, more: StateGraph.EdgeConfig) => {
    const results: Array<Result> = []
    const base = StateGraph.make("g", State)
      .addNode("a").addNode("b").addNode("c", b).addNode("main", hangs)
      .addFanInNode("deep").addFanInNode("inner")
      .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
      .addParallelEdge(START, "a", "join", a)
      .addParallelEdge("a", "b", "inner", more)
      .addParallelEdge("b", "c", "deep", more)
      .setFinishPoint("join")
    return { base, results }
  }

  it.effect("has one end, however many come at once", () =>
    Effect.gen(function*() {
      const { base, results } = nested(
        { timeout: 10, grace: 10 },
        () => Effect.uninterruptible(Effect.sleep(500)),
        { grace: 1_000 }
      )
      const { at, exit } = yield* endOf(
        eventsOf(base.addEdge("inner", "main").addEdge("main", "join").compile(), { n: 0 })
      )
      assert(Exit.isSuccess(exit))
      assert.strictEqual(at, 20)
      const ends = exit.value.events.flatMap((event) => event._tag === "FlowCompleted" ? [event] : [])
      assert.deepStrictEqual(ends.map(({ branch }) => branch), ["a/b/c", "a/b", "a"])
      assert.deepStrictEqual(ends.map(({ result: { _tag } }) => _tag), ["Interrupted", "Interrupted", "Timeout"])
      assert.isTrue(ends.every(({ result }) => result.abandoned))
      assert.deepInclude(results[0], { _tag: "Timeout", abandoned: true })
    }).pipe(quiet))

  it.effect("is waited for by a line that is not at its fan-in", () =>
    Effect.gen(function*() {
      const { base, results } = nested(
        { timeout: 10 },
        () => Effect.onInterrupt(Effect.never, () => Effect.sleep(30)),
        {}
      )
      const { at } = yield* endOf(base.addEdge("a", "main").addEdge("main", "inner").compile().invoke({ n: 0 }))
      assert.strictEqual(at, 40)
      assert.deepInclude(results[0], { _tag: "Timeout", failedNode: "main", timingMs: 10, abandoned: false })
    }).pipe(quiet))

  it.effect("and abandoned leaves a trace in whatever ends around it", () =>
    Effect.gen(function*() {
      const { base, results } = nested(
        { timeout: 100 },
        () => Effect.uninterruptible(Effect.sleep(500)),
        { timeout: 10, grace: 10 }
      )
      const { at } = yield* endOf(base.addEdge("inner", "main").addEdge("main", "join").compile().invoke({ n: 0 }))
      assert.strictEqual(at, 100)
      assert.deepInclude(results[0], { _tag: "Timeout", failedNode: "main", timingMs: 100, abandoned: true })
    }).pipe(quiet))
})

describe("a rule of a fan-in", () => {
  it.effect("does not count a flow that interrupted itself among those that it stopped", () =>
    Effect.gen(function*() {
      const { completions, graph } = fan({ a: () => Effect.interrupt, b: ok(10), c: hangs }, {
        completion: { minSuccessful: 1 }
      })
      yield* endOf(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(completions, [{
        reason: "minSuccessful",
        satisfied: true,
        total: 3,
        successful: 1,
        failed: 1,
        interrupted: 1
      }])
    }))

  /** A store that takes 20 ms for each save. */
  const slowStore = () => {
    const store = new FakeStore()
    store.fault = (method) => method === "save" ? { ms: 20 } : undefined
    return store
  }

  it.effect("counts a success when that is saved", () =>
    Effect.gen(function*() {
      const ends: Array<number> = []
      const { graph, result } = fan({
        a: () =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.clockWith((clock) => Effect.sync(() => void ends.push(clock.currentTimeMillisUnsafe())))),
        b: () =>
          Effect.andThen(
            Effect.sleep(30),
            Effect.clockWith((clock) =>
              Effect.sync(() => void ends.push(clock.currentTimeMillisUnsafe()))
            )
          )
      }, { completion: { minSuccessful: 1 } })
      const fiber = yield* started(graph.invoke({ n: 0 }, { thread: "t" }), slowStore())
      yield* TestClock.adjust(1_000)
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(ends[1]! - ends[0]!, 20)
      assert.strictEqual(result("a")._tag, "Interrupted")
    }).pipe(quiet))

  it.effect("may end a run that otherwise waits for somebody, when a success is being saved", () =>
    Effect.gen(function*() {
      const asks = (ms: number): Body => () =>
        Effect.andThen(Effect.sleep(ms), Effect.as(StateGraph.suspend("question", Schema.String), {})) as never
      const { graph, result } = fan({ a: asks(0), b: ok(30), c: asks(40) }, { completion: { minSuccessful: 1 } })
      const fiber = yield* started(graph.invoke({ n: 0 }, { thread: "t" }), slowStore())
      yield* TestClock.adjust(1_000)
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(["a", "b", "c"].map((branch) => result(branch)._tag), [
        "Interrupted",
        "Success",
        "Interrupted"
      ])
    }).pipe(quiet))
})

describe("a flow that waits for somebody", () => {
  it.effect("is told as suspended, and has no result", () =>
    Effect.gen(function*() {
      const { graph } = fan({
        a: () => Effect.as(StateGraph.suspend("question", Schema.String), {}) as never,
        b: ok(10)
      })
      const { exit } = yield* endOf(eventsOf(graph, { n: 0 }))
      assert(Exit.isSuccess(exit))
      const ends = exit.value.events.filter(({ _tag }) => _tag === "FlowCompleted" || _tag === "FlowSuspended")
      assert.deepStrictEqual(ends.map((event) => "branch" in event && `${event.branch} ${event._tag}`), [
        "b FlowCompleted",
        "a FlowSuspended"
      ])
    }).pipe(quiet))
})
