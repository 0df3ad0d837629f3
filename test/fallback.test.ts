/** What is done instead: by a node, or by a whole flow, when its last attempt has failed or it was rejected. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { Bulkhead, CircuitBreakerRegistry, StateGraph } from "effect-stategraph"
import { type Body, type Boom, boom, type Result, sleeper, State } from "./support/fan.ts"
import { endOf, type Runner, scenario, watch } from "./support/scenario.ts"

const { START } = StateGraph

const quietly = (title: string, test: (run: Runner) => Effect.Effect<unknown, unknown>) =>
  scenario(title, (run) => Effect.provide(test(run), [Logger.layer([]), Bulkhead.layer]))

const withRegistry = <A, E, R>(test: (registry: CircuitBreakerRegistry.Service) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const registry = CircuitBreakerRegistry.makeUnsafe()
    return Effect.provideService(test(registry), CircuitBreakerRegistry.CircuitBreakerRegistry, registry)
  })

/** A flow of two nodes, the second one failing; its fallback; a sibling; and their results. */
const flow = (options: {
  readonly work?: Body
  readonly edge: StateGraph.EdgeConfig & { readonly fallback?: unknown }
  readonly rescue?: Body
  readonly completion?: StateGraph.FanInOptions["completion"]
}) => {
  const ran: Array<string> = []
  const joins: Array<ReadonlyArray<Result>> = []
  const body = (name: string, body: Body) => (state: State, ctx: StateGraph.NodeContext) =>
    Effect.suspend(() => {
      ran.push(`${name} ${state.n}`)
      const returned = body(state, ctx)
      return (Effect.isEffect(returned) ? returned : Effect.succeed(returned)) as Effect.Effect<Partial<State>, unknown>
    })
  const graph = StateGraph.make("g", State)
    .addNode("before", body("before", ({ n }) => ({ n: n + 1 })))
    .addNode("work", body("work", options.work ?? (() => boom("down"))))
    .addNode("rescue", body("rescue", options.rescue ?? (() => ({ v: "rescued" }))))
    .addNode("after", body("after", ({ n }) => ({ n: n + 10 })))
    .addNode("sibling", body("sibling", () => ({})))
    .addFanInNode("join", (_state, { parallelResults }) => void joins.push(parallelResults), {
      completion: options.completion
    })
    .addEdge("before", "work").addEdge("rescue", "after")
    .addParallelEdge(START, "before", "join", { name: "flow", ...options.edge } as {})
    .addParallelEdge(START, "sibling", "join", { fallback: "rescue" })
    .setFinishPoint("join")
    .compile()
  return {
    graph,
    ran,
    joins,
    get result(): Result {
      return joins.at(-1)![0]!
    }
  }
}

describe("the fallback of a flow", () => {
  quietly("that is an update is put over its launch state", (run) =>
    Effect.gen(function*() {
      const g = flow({ edge: { fallback: { v: "stale" }, retry: { maxRetries: 1, baseDelay: 10 } } })
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 10)
      assert.deepInclude(g.result, {
        _tag: "Success",
        usedFallback: true,
        state: { n: 0, v: "stale" },
        attempts: 2,
        retryCount: 1,
        timingMs: 10
      })
      assert.deepStrictEqual(g.result.attemptErrors.map(({ error }) => error), ["down", "down"])
    }))

  quietly("that is a node runs from its launch state once, with what follows it", (run) =>
    Effect.gen(function*() {
      const g = flow({
        edge: { fallback: "rescue", retry: { maxRetries: 1, baseDelay: 10 } },
        rescue: () => Effect.delay(Effect.succeed({ v: "rescued" }), 5)
      })
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 15)
      assert.deepStrictEqual(g.ran.filter((name) => !name.startsWith("sibling")), [
        "before 0",
        "work 1",
        "before 0",
        "work 1",
        "rescue 0",
        "after 0"
      ])
      assert.deepInclude(g.result, {
        _tag: "Success",
        usedFallback: true,
        state: { n: 10, v: "rescued" },
        attempts: 2,
        timingMs: 15
      })
    }))

  quietly("is not used by a flow that succeeds, be it with its last attempt", (run) =>
    Effect.gen(function*() {
      for (const fallback of ["rescue", { v: "stale" }]) {
        const g = flow({
          work: (_state, { attempt }) => attempt < 2 ? boom("once") : { v: "own" },
          edge: { fallback, retry: { maxRetries: 1, baseDelay: 10 } }
        })
        yield* endOf(run(g.graph, { n: 0 }))
        assert.deepInclude(g.result, { _tag: "Success", usedFallback: false, state: { n: 1, v: "own" } })
        assert.notInclude(g.ran.join(), "rescue")
      }
    }))

  const ways: ReadonlyArray<readonly [string, Body, StateGraph.EdgeConfig, number, object]> = [
    ["a defect", () => Effect.die("bug"), {}, 0, { attempts: 1 }],
    ["a timeout", () => Effect.never, { timeout: 20 }, 20, { attempts: 1 }],
    ["a total timeout in an attempt", () => Effect.never, { totalTimeout: 20 }, 20, { attempts: 1 }],
    [
      "a total timeout in a wait",
      () => boom("down"),
      { totalTimeout: 20, retry: { maxRetries: 1, baseDelay: 50 } },
      20,
      { attempts: 1 }
    ],
    ["an update that is none", () => 5 as never, {}, 0, { attempts: 1 }],
    [
      "work that does not stop",
      () => Effect.uninterruptible(Effect.sleep(500)),
      { timeout: 10, grace: 20 },
      30,
      { attempts: 1, abandoned: false }
    ]
  ]
  for (const [what, work, edge, ends, fields] of ways) {
    quietly(`follows ${what}`, (run) =>
      Effect.gen(function*() {
        for (
          const [fallback, state] of [["rescue", { n: 10, v: "rescued" }], [{ v: "stale" }, {
            n: 0,
            v: "stale"
          }]] as const
        ) {
          const g = flow({ work, edge: { ...edge, fallback } })
          const { at } = yield* endOf(run(g.graph, { n: 0 }), 1000)
          assert.strictEqual(at % 1000, ends)
          assert.deepInclude(g.result, { _tag: "Success", usedFallback: true, state, ...fields })
        }
      }))
  }

  quietly(
    "follows a rejection, by a circuit and by a limit",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const circuitBreaker = { key: "c", failureThreshold: 1, resetTimeout: "1 hour" } as const
          yield* Effect.ignore(registry.execute("c", circuitBreaker)(Effect.fail("trip")))
          const limit = { key: "k", permits: 1, queue: 0 }
          yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
          for (const edge of [{ circuitBreaker }, { limit }]) {
            const update = flow({ edge: { ...edge, fallback: { v: "stale" } } })
            yield* endOf(run(update.graph, { n: 0 }))
            assert.deepInclude(update.result, { _tag: "Success", usedFallback: true, attempts: 0, timingMs: 0 })
            assert.deepStrictEqual(update.ran, ["sibling 0"])
            const node = flow({ edge: { ...edge, fallback: "rescue" }, rescue: () => Effect.sleep(10) })
            yield* endOf(run(node.graph, { n: 0 }))
            assert.deepInclude(node.result, { _tag: "Success", usedFallback: true, attempts: 0, timingMs: 10 })
            assert.deepStrictEqual(node.ran.slice().sort(), ["after 0", "rescue 0", "sibling 0"])
          }
        })
      )
  )

  quietly(
    "does not follow an interruption, neither by a rule, nor by itself, nor by the caller",
    (run) =>
      Effect.gen(function*() {
        for (const fallback of ["rescue", { v: "stale" }]) {
          const log: Array<string> = []
          const rule = flow({ work: () => sleeper(500, log, "work"), edge: { fallback }, completion: { within: 10 } })
          assert.strictEqual((yield* endOf(run(rule.graph, { n: 0 }), 1000)).at % 1000, 10)
          assert.deepInclude(rule.result, { _tag: "Interrupted", usedFallback: false })
          const waiting = flow({
            edge: { fallback, retry: { maxRetries: 1, baseDelay: 100 } },
            completion: { within: 10 }
          })
          assert.strictEqual((yield* endOf(run(waiting.graph, { n: 0 }), 1000)).at % 1000, 10)
          assert.deepInclude(waiting.result, { _tag: "Interrupted", usedFallback: false })
          const itself = flow({ work: () => Effect.interrupt, edge: { fallback } })
          yield* endOf(run(itself.graph, { n: 0 }), 1000)
          assert.deepInclude(itself.result, { _tag: "Interrupted", usedFallback: false })
          const caller = flow({ work: () => sleeper(5000, log, "work"), edge: { fallback } })
          const watched = yield* watch(run(caller.graph, { n: 0 }))
          yield* watched.endedAt(1000)
          yield* Fiber.interrupt(watched.fiber)
          for (const g of [rule, waiting, itself, caller]) assert.notInclude(g.ran.join(), "rescue")
          assert.deepStrictEqual(caller.joins, [])
        }
      })
  )
})

describe("a node that is a flow's fallback", () => {
  quietly(
    "does not run any more when the flow is stopped while its finalizers are waited for",
    (run) =>
      Effect.gen(function*() {
        const work: Body = () => Effect.onInterrupt(Effect.never, () => Effect.sleep(30))
        const g = flow({ work, edge: { timeout: 10, fallback: "rescue" }, completion: { within: 20 } })
        assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at, 40)
        assert.deepInclude(g.result, { _tag: "Timeout", usedFallback: false })
        assert.notInclude(g.ran.join(), "rescue")
      })
  )

  quietly("waits for its place as long as it takes, also after a total timeout", (run) =>
    Effect.gen(function*() {
      const results: Array<Result> = []
      const graph = StateGraph.make("g", State, { parallel: { concurrency: 1 } })
        .addNode("work", () => boom("down"))
        .addNode("long", () => Effect.sleep(100))
        .addNode("rescue", () => Effect.delay(Effect.succeed({ v: "rescued" }), 5))
        .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
        .addParallelEdge(START, "work", "join", {
          retry: { maxRetries: 1, baseDelay: 50 },
          totalTimeout: 20,
          fallback: "rescue"
        })
        .addParallelEdge(START, "long", "join")
        .setFinishPoint("join").compile()
      assert.strictEqual((yield* endOf(run(graph, { n: 0 }))).at, 105)
      assert.deepInclude(results[0], { _tag: "Success", usedFallback: true, attempts: 1, timingMs: 105 })
    }))

  quietly("and fails, throws, or gives no update makes its failure the flow's", (run) =>
    Effect.gen(function*() {
      const bodies: ReadonlyArray<readonly [Body, object]> = [
        [() => boom("worse"), { error: "worse", errorType: "Boom" }],
        [() => Effect.die(new TypeError("bug")), { error: "bug", errorType: "TypeError" }],
        [() => {
          throw new RangeError("thrown")
        }, { error: "thrown", errorType: "RangeError" }],
        [() => 5 as never, { errorType: "InvalidUpdateError" }]
      ]
      for (const [rescue, fields] of bodies) {
        const g = flow({ edge: { fallback: "rescue", retry: { maxRetries: 1, baseDelay: 1 } }, rescue })
        yield* endOf(run(g.graph, { n: 0 }))
        assert.deepInclude(g.result, {
          _tag: "Failure",
          usedFallback: true,
          failedNode: "rescue",
          attempts: 2,
          state: { n: 0 },
          ...fields
        })
        assert.strictEqual(g.ran.filter((name) => name.startsWith("rescue")).length, 1)
      }
    }))

  quietly(
    "of a node counts for the attempt that it was in, and not for what follows that",
    (run) =>
      Effect.gen(function*() {
        const results: Array<Result> = []
        const graph = StateGraph.make("g", State)
          .addNode("first", () => boom("down"), { fallback: { v: "stand-in" } })
          .addNode("second", () => boom("down too"))
          .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults))
          .addParallelEdge(START, "first", "join", {
            name: "rejected",
            retry: { maxRetries: 1 },
            circuitBreaker: { failureThreshold: 1 }
          })
          .addParallelEdge(START, "first", "join", {
            name: "waits",
            retry: { maxRetries: 1, baseDelay: "20 seconds" },
            totalTimeout: "5 seconds"
          })
          .addParallelEdge(START, "first", "join", { name: "fails" })
          .addEdge("first", "second").setFinishPoint("join").compile()
        yield* endOf(run(graph, { n: 0 }))
        assert.deepStrictEqual(results.map(({ _tag, branch, usedFallback }) => `${branch} ${_tag} ${usedFallback}`), [
          "rejected Rejected false",
          "waits Timeout false",
          "fails Failure true"
        ])
      })
  )

  quietly("has as long as an attempt, or else as the whole flow, anew", (run) =>
    Effect.gen(function*() {
      const hang: Body = () => Effect.never
      for (
        const [edge, ends, kind, limitMs] of [
          [{ timeout: 20 }, 40, "attempt", 20],
          [{ totalTimeout: 30 }, 60, "total", 30],
          [{ timeout: 20, totalTimeout: 30 }, 40, "attempt", 20],
          [{ timeout: 20, totalTimeout: 30, retry: { maxRetries: 5, baseDelay: 5 } }, 50, "attempt", 20]
        ] as const
      ) {
        const log: Array<string> = []
        const g = flow({ work: hang, rescue: () => sleeper(500, log, "rescue"), edge: { ...edge, fallback: "rescue" } })
        const { at } = yield* endOf(run(g.graph, { n: 0 }), 1000)
        assert.strictEqual(at % 1000, ends)
        assert.deepStrictEqual(log, ["rescue interrupted"])
        assert.deepInclude(g.result, {
          _tag: "Timeout",
          usedFallback: true,
          failedNode: "rescue",
          timeoutKind: kind,
          timeoutMs: limitMs
        })
      }
    }))

  quietly("is interrupted like any other, and waited for as long as grace", (run) =>
    Effect.gen(function*() {
      const rescue: Body = () => Effect.onInterrupt(Effect.never, () => Effect.sleep(30))
      for (const [grace, ends, abandoned] of [[100, 40, false], [20, 30, true]] as const) {
        const g = flow({ edge: { fallback: "rescue", grace }, rescue, completion: { within: 10 } })
        assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }), 1000)).at % 1000, ends)
        assert.deepInclude(g.result, { _tag: "Interrupted", usedFallback: true, failedNode: "rescue", abandoned })
      }
      const g = flow({ edge: { fallback: "rescue" }, rescue })
      const watched = yield* watch(run(g.graph, { n: 0 }))
      assert.isFalse(yield* watched.endedAt(10))
      watched.fiber.interruptUnsafe()
      assert.isFalse(yield* watched.endedAt(39))
      assert.isTrue(yield* watched.endedAt(40))
    }))

  quietly("can have a fallback of its own, and be the last of a chain", (run) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const step = (name: string, effect: Effect.Effect<Partial<State>, Boom>) => () =>
        Effect.andThen(Effect.sync(() => void ran.push(name)), effect)
      let result: Result | undefined
      const graph = StateGraph.make("chain", State)
        .addNode("last", step("last", Effect.succeed({ v: "last" })))
        .addNode("third", step("third", boom("third")), { fallback: "last", retry: { maxRetries: 1, baseDelay: 1 } })
        .addNode("second", step("second", boom("second")), { fallback: "third" })
        .addNode("first", step("first", boom("first")))
        .addFanInNode("join", (_state, { parallelResults }) => void (result = parallelResults[0]))
        .addParallelEdge(START, "first", "join", { fallback: "second" })
        .setFinishPoint("join").compile()
      yield* endOf(run(graph, { n: 0 }))
      assert.deepStrictEqual(ran, ["first", "second", "third", "third", "last"])
      assert.deepInclude(result, { _tag: "Success", usedFallback: true, state: { n: 0, v: "last" }, attempts: 1 })
    }))

  quietly("may start flows of its own, take conditions, and be a graph", (run) =>
    Effect.gen(function*() {
      const inner = StateGraph.make("inner", State)
        .addNode("deep", ({ n }) => ({ n: n + 100 })).setEntryPoint("deep").setFinishPoint("deep").compile()
      let result: Result | undefined
      const graph = StateGraph.make("g", State)
        .addNode("work", () => boom("down"))
        .addNode("rescue", ({ n }) => ({ n: n + 1 }))
        .addNode("side", () => Effect.delay(Effect.succeed({ v: "side" }), 10))
        .addSubgraph("sub", inner, { input: (state) => state, output: ({ n }) => ({ n }) })
        .addFanInNode("inner", (_state, { parallelResults: [side] }) => ({ v: side!.state.v }))
        .addFanInNode("join", (_state, { parallelResults }) => void (result = parallelResults[0]))
        .addParallelEdge(START, "work", "join", { fallback: "rescue", name: "flow" })
        .addParallelEdge("rescue", "side", "inner")
        .addConditionalEdges("inner", ({ n }) => n < 100 ? "more" : "done", { more: "sub", done: "join" })
        .setFinishPoint("join").compile()
      const { at } = yield* endOf(run(graph, { n: 0 }))
      assert.strictEqual(at, 10)
      assert.deepInclude(result, { _tag: "Success", usedFallback: true, state: { n: 101, v: "side" } })
    }))
})
