/** What limits, stops and abandoned work come to at their edges. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, References } from "effect"
import { CircuitBreakerRegistry, type GraphEvent, StateGraph } from "effect-stategraph"
import { boom, fan, State } from "./support/fan.ts"
import { endOf, eventsOf } from "./support/scenario.ts"

const quiet = Effect.provide(Logger.layer([]))
const { START } = StateGraph

const toldOf = <E>(graph: StateGraph.CompiledGraph<State, typeof State["~type.make.in"], E, never>) =>
  Effect.gen(function*() {
    const { at, exit } = yield* endOf(eventsOf(graph, { n: 0 }), 10_000)
    assert(Exit.isSuccess(exit))
    return { at, events: exit.value.events as ReadonlyArray<GraphEvent.GraphEvent<State, unknown>> }
  })

const completed = (events: ReadonlyArray<GraphEvent.GraphEvent<State, unknown>>, branch: string) => {
  const [event, ...more] = events.filter((event) => event._tag === "FlowCompleted" && event.branch === branch)
  assert.strictEqual(more.length, 0)
  assert(event?._tag === "FlowCompleted", branch)
  return event.result
}

describe("a limit", () => {
  it.effect("of an attempt and of the whole that end together are told as that of the attempt", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({ a: [() => Effect.never, { timeout: 30, totalTimeout: 30 }] })
      yield* endOf(graph.invoke({ n: 0 }), 100)
      assert.deepInclude(result("a"), { _tag: "Timeout", timeoutKind: "attempt", timeoutMs: 30, timingMs: 30 })
    }))

  it.effect("that passes in a wait tells the state of the attempt before, once", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("first", () => ({ v: "first" }))
        .addNode("second", () => boom("no"))
        .addFanInNode("join", () => ({}))
        .addEdge("first", "second")
        .addParallelEdge(START, "first", "join", {
          totalTimeout: 30,
          retry: { maxRetries: 3, baseDelay: 100 },
          name: "a"
        })
        .setFinishPoint("join")
        .compile()
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 30)
      const told = events.flatMap((event) => event._tag === "FlowTimedOut" ? [event] : [])
      assert.deepStrictEqual(told.map(({ state }) => state), [{ n: 0, v: "first" }])
      assert.deepInclude(completed(events, "a"), { _tag: "Timeout", timeoutKind: "total", timingMs: 30 })
    }).pipe(quiet))
})

describe("the total limit", () => {
  it.effect("that passes while an attempt is waited for ends the flow, and no retry is told of", () =>
    Effect.gen(function*() {
      const stuck = () => Effect.uninterruptible(Effect.sleep(40))
      const { graph } = fan({
        a: [stuck, { timeout: 10, totalTimeout: 30, grace: 100, retry: { maxRetries: 3, baseDelay: 1 } }]
      })
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 40)
      const told = events.flatMap((event) =>
        event._tag === "FlowTimedOut" ? [event.timeoutKind] : event._tag === "RetryScheduled" ? [event._tag] : []
      )
      assert.deepStrictEqual(told, ["attempt", "total"])
      assert.deepInclude(completed(events, "a"), {
        _tag: "Timeout",
        timeoutKind: "total",
        attempts: 1,
        retryCount: 0,
        timingMs: 40
      })
    }).pipe(quiet))

  it.effect("that passes where a retry waits for a place ends the flow at once", () =>
    Effect.gen(function*() {
      const retry = { maxRetries: 1, baseDelay: 30 }
      const { graph, result } = fan({
        a: [() => boom("a"), { totalTimeout: 30, retry }],
        b: () => Effect.sleep(100)
      }, { graph: { concurrency: 1 } })
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 100)
      assert.deepInclude(result("a"), { _tag: "Timeout", timeoutKind: "total", timingMs: 30, attempts: 1 })
      assert.strictEqual(events.filter(({ _tag }) => _tag === "FlowTimedOut").length, 1)
    }).pipe(quiet))
})

describe("a flow that is stopped", () => {
  it.effect("tells the flows inside it why", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("outer")
        .addNode("inner", () => Effect.never)
        .addFanInNode("innerJoin")
        .addFanInNode("join", () => ({}), { completion: { within: 10 } })
        .addParallelEdge(START, "outer", "join")
        .addParallelEdge("outer", "inner", "innerJoin")
        .setFinishPoint("join")
        .compile()
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 10)
      for (const branch of ["outer", "outer/inner"]) {
        assert.deepInclude(completed(events, branch), {
          _tag: "Interrupted",
          error: `flow "${branch}" was interrupted: the fan-in "join" waits 10 ms, which have passed`
        })
      }
    }))

  it.effect("in the wait for a retry has not timed out, and ends then", () =>
    Effect.gen(function*() {
      const { graph } = fan({
        a: [() => boom("a"), { totalTimeout: 1000, retry: { maxRetries: 3, baseDelay: 100 } }],
        b: [() => Effect.andThen(Effect.sleep(20), boom("b")), { failFast: true }]
      })
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 20)
      assert.notInclude(events.map(({ _tag }) => _tag), "FlowTimedOut")
      assert.deepInclude(completed(events, "a"), {
        _tag: "Interrupted",
        attempts: 1,
        timingMs: 20,
        error: `flow "a" was interrupted: the line that joins it was stopped`
      })
    }).pipe(quiet))

  it.effect("because the line that joins it failed says so", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("start")
        .addNode("a", () => Effect.never)
        .addNode("main", () => Effect.andThen(Effect.sleep(5), boom("main")))
        .addFanInNode("join")
        .setEntryPoint("start")
        .addParallelEdge("start", "a", "join")
        .addEdge("start", "main")
        .addEdge("main", "join")
        .setFinishPoint("join")
        .compile()
      const { at, events } = yield* toldOf(graph)
      assert.strictEqual(at, 5)
      assert.deepInclude(completed(events, "a"), {
        _tag: "Interrupted",
        error: `flow "a" was interrupted: the line that joins it ended`
      })
    }))
})

describe("a flow that is abandoned", () => {
  /** `inner` runs in a flow of the flow `outer`, which is cut at 10 ms. */
  const nested = (inner: Effect.Effect<unknown>, grace: number) =>
    StateGraph.make("g", State)
      .addNode("outer")
      .addNode("inner", () => Effect.asVoid(inner))
      .addFanInNode("innerJoin")
      .addFanInNode("join", () => ({}))
      .addParallelEdge(START, "outer", "join", { timeout: 10, grace })
      .addParallelEdge("outer", "inner", "innerJoin")
      .setFinishPoint("join")
      .compile()

  for (const grace of [0, 20]) {
    it.effect(`after a grace of ${grace} ms takes the flows inside it along`, () =>
      Effect.gen(function*() {
        const { at, events } = yield* toldOf(nested(Effect.uninterruptible(Effect.sleep(500)), grace))
        assert.strictEqual(at, 10 + grace)
        assert.deepInclude(completed(events, "outer"), { _tag: "Timeout", abandoned: true, timingMs: 10 })
        assert.deepInclude(completed(events, "outer/inner"), {
          _tag: "Interrupted",
          abandoned: true,
          error: `flow "outer/inner" was interrupted: the work around it was abandoned`
        })
        assert.deepStrictEqual(
          events.flatMap((event) => event._tag === "NodeInterrupted" ? [event.node] : []),
          ["inner"]
        )
      }).pipe(quiet))
  }

  it.effect("takes those along that have not begun", () =>
    Effect.gen(function*() {
      const memory = CircuitBreakerRegistry.makeUnsafe()
      const slow: CircuitBreakerRegistry.Service = {
        ...memory,
        acquire: (key, config) => Effect.andThen(Effect.sleep(500), memory.acquire(key, config))
      }
      const graph = StateGraph.make("g", State)
        .addNode("outer")
        .addNode("inner", () => assert.fail("it ran"))
        .addFanInNode("innerJoin")
        .addFanInNode("join", () => ({}))
        .addParallelEdge(START, "outer", "join", { timeout: 10, grace: 0 })
        .addParallelEdge("outer", "inner", "innerJoin", { circuitBreaker: {} })
        .setFinishPoint("join")
        .compile()
      const { at, events } = yield* Effect.provideService(
        toldOf(graph),
        CircuitBreakerRegistry.CircuitBreakerRegistry,
        slow
      )
      assert.strictEqual(at, 10)
      assert.deepInclude(completed(events, "outer/inner"), { _tag: "Interrupted", attempts: 0, abandoned: true })
    }).pipe(quiet))

  it.effect("leaves the items of a map that are still to come, and watches them", () =>
    Effect.gen(function*() {
      const messages: Array<string> = []
      const logger = Logger.make(({ message }) => void messages.push(String(message).split(":")[0]!))
      const graph = StateGraph.make("g", State)
        .addNode("outer")
        .addNode("inner")
        .addFanInNode("innerJoin")
        .addFanInNode("join", () => ({}))
        .addParallelEdge(START, "outer", "join", { timeout: 10, grace: 0 })
        .addParallelMap("outer", "inner", "innerJoin", {
          items: () => Effect.as(Effect.uninterruptible(Effect.sleep(500)), [1, 2])
        })
        .setFinishPoint("join")
        .compile()
      const { at, events } = yield* Effect.provide(toldOf(graph), Logger.layer([logger]))
      assert.strictEqual(at, 10)
      assert.deepInclude(completed(events, "outer"), { _tag: "Timeout", abandoned: true, timingMs: 10 })
      assert.deepStrictEqual(messages, ["abandoned", "abandoned work ended, its outcome is dropped"])
    }))

  it.effect("is none when what is inside ends within its grace", () =>
    Effect.gen(function*() {
      const { at, events } = yield* toldOf(nested(Effect.uninterruptible(Effect.sleep(25)), 20))
      assert.strictEqual(at, 25)
      assert.deepInclude(completed(events, "outer"), { _tag: "Timeout", abandoned: false, timingMs: 10 })
      assert.deepInclude(completed(events, "outer/inner"), { _tag: "Interrupted", abandoned: false })
    }).pipe(quiet))
})

describe("the log of abandoned work", () => {
  const logsOf = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const logs: Array<Readonly<Record<string, unknown>>> = []
      const logger = Logger.make(({ fiber, message }) =>
        void logs.push({ message: String(message).split(":")[0], ...fiber.getRef(References.CurrentLogAnnotations) })
      )
      return Effect.as(
        Effect.andThen(Effect.exit(self), Effect.sleep(1000)).pipe(Effect.provide(Logger.layer([logger]))),
        logs
      )
    })
  const stubborn = Effect.uninterruptible(Effect.sleep(500))
  const limits = { timeout: 10, grace: 0 }

  for (
    const [where, graph, branch] of [
      ["a flow", fan({ a: [() => stubborn, limits] }).graph, "a"],
      [
        "a node of the main line",
        StateGraph.make("g", State).addNode("a", () => stubborn, limits).setEntryPoint("a").setFinishPoint("a")
          .compile(),
        "main line"
      ]
    ] as const
  ) {
    it.effect(`says where it was, and tells its end: ${where}`, () =>
      Effect.gen(function*() {
        const { exit } = yield* endOf(logsOf(graph.invoke({ n: 0 }, { runId: "r" }) as Effect.Effect<unknown>), 10_000)
        assert(Exit.isSuccess(exit))
        const annotations = { graph: "g", runId: "r", branch, attempt: 1, node: "a" }
        assert.deepStrictEqual(exit.value, [
          { message: "abandoned", ...annotations },
          { message: "abandoned work ended, its outcome is dropped", ...annotations }
        ])
      }))
  }
})

describe("abandoned work inside of an attempt", () => {
  /** Attempts of a node that is a graph: in it a flow is abandoned at 10 ms, and at 100 ms the graph fails. */
  const attempts = (endsAt: number) =>
    Effect.gen(function*() {
      let runs = 0
      const inner = StateGraph.make("inner", State)
        .addNode("a", () => (runs++, Effect.uninterruptible(Effect.sleep(endsAt))))
        .addFanInNode("join", () => Effect.andThen(Effect.sleep(90), boom("no")))
        .addParallelEdge(START, "a", "join", { timeout: 10, grace: 0 })
        .setFinishPoint("join")
        .compile()
      const outer = StateGraph.make("outer", State)
        .addSubgraph("sub", inner, {
          input: (state) => state,
          output: (state) => state,
          retry: { maxRetries: 1, baseDelay: 0 }
        })
        .setEntryPoint("sub").setFinishPoint("sub").compile()
      yield* endOf(outer.invoke({ n: 0 }), 10_000)
      return runs
    }).pipe(quiet)

  it.effect("forbids the next one while it runs, and no longer", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* attempts(500), 1)
      assert.strictEqual(yield* attempts(50), 2)
    }))
})
