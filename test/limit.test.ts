/** Limits by key: permits in the order of asking, shared by flows, nodes, graphs and anything else. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger } from "effect"
import { Bulkhead, CircuitBreakerRegistry, GraphError, StateGraph } from "effect-stategraph"
import { type Body, boom, fan, sleeper, State } from "./support/fan.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf, type Runner, scenario, watch } from "./support/scenario.ts"

const { START } = StateGraph

/** With bulkheads of its own. */
const alone = (title: string, test: (run: Runner, bulkheads: Bulkhead.Bulkheads) => Effect.Effect<unknown, unknown>) =>
  scenario(title, (run) =>
    Effect.flatMap(Bulkhead.CurrentBulkheads, (bulkheads) => test(run, bulkheads)).pipe(
      Effect.provide(Bulkhead.layer)
    ))

/** Counts how many of its bodies run at a time. */
const counter = () => {
  let running = 0
  const seen = { most: 0, order: [] as Array<string> }
  const body = (name: string, work: Effect.Effect<void, unknown>): Body => () =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        seen.order.push(name)
        seen.most = Math.max(seen.most, ++running)
      }),
      () => work,
      () => Effect.sync(() => void running--)
    )
  return { body, seen }
}

const names = (n: number) => Array.from({ length: n }, (_, i) => `b${i}`)

describe("flows with a limit", () => {
  for (const [permits, ends] of [[1, 50], [2, 30], [4, 20], [5, 10], [9, 10]] as const) {
    alone(`run ${permits} at a time, in their order`, (run, bulkheads) =>
      Effect.gen(function*() {
        const { body, seen } = counter()
        const limit = { key: "k", permits }
        const g = fan(Object.fromEntries(names(5).map((name) => [name, [body(name, Effect.sleep(10)), { limit }]])))
        const { at } = yield* endOf(run(g.graph, { n: 0 }))
        assert.strictEqual(at, ends)
        assert.strictEqual(seen.most, Math.min(permits, 5))
        assert.deepStrictEqual(seen.order, names(5))
        assert.isTrue(g.results.every(({ _tag, timingMs }) => _tag === "Success" && timingMs === 10))
        assert.deepStrictEqual(bulkheads.states, [])
      }))
  }

  alone("hand a permit on at the very instant, also when they end at once", (run, bulkheads) =>
    Effect.gen(function*() {
      const { body, seen } = counter()
      const limit = { key: "k", permits: 1 }
      const bodies = Object.fromEntries(
        names(300).map((name, i) =>
          [name, [i % 3 === 0 ? body(name, Effect.void) : i % 3 === 1 ? () => ({}) : body(name, boom("at once")), {
            limit
          }]] as const
        )
      )
      const { at } = yield* endOf(run(fan(bodies).graph, { n: 0 }))
      assert.strictEqual(at, 0)
      assert.strictEqual(seen.most, 1)
      assert.deepStrictEqual(seen.order, names(300).filter((_, i) => i % 3 !== 1))
      assert.deepStrictEqual(bulkheads.states, [])
    }))

  alone(
    "of a map are never more than its permits, whatever becomes of them",
    (run, bulkheads) =>
      Effect.gen(function*() {
        const { body, seen } = counter()
        const graph = StateGraph.make("g", State)
          .addNode("work", (state, ctx) => {
            const i = ctx.index!
            const work = i % 4 === 0
              ? Effect.void
              : i % 4 === 1
              ? Effect.sleep(i % 7)
              : i % 4 === 2
              ? boom("down")
              : Effect.never
            return body(String(i), work)(state, ctx) as Effect.Effect<void>
          })
          .addFanInNode("join", (_state, { parallelResults }) => ({ n: parallelResults.length }))
          .addParallelMap(START, "work", "join", {
            items: () => Array.from({ length: 1000 }, (_, i) => i),
            limit: { key: "k", permits: 3 },
            timeout: 5,
            retry: { maxRetries: 1, baseDelay: 2 }
          })
          .setFinishPoint("join")
          .compile()
        const { exit } = yield* endOf(Effect.provide(run(graph, { n: 0 }), Logger.layer([])))
        assert.deepStrictEqual(exit, Exit.succeed({ n: 1000 }))
        assert.strictEqual(seen.most, 3)
        assert.isAbove(seen.order.length, 1000)
        assert.deepStrictEqual(bulkheads.states, [])
      })
  )

  alone(
    "wait outside of their time: neither timeout, nor total timeout, nor timing counts it",
    (run) =>
      Effect.gen(function*() {
        const edge = { limit: { key: "k", permits: 1 }, timeout: 40, totalTimeout: 40 }
        const g = fan({ a: [() => Effect.sleep(30), edge], b: [() => Effect.sleep(30), edge] })
        assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at, 60)
        assert.deepInclude(g.result("b"), { _tag: "Success", startTime: 30, timingMs: 30 })
      })
  )

  alone("ask anew before each attempt, behind those who wait", (run) =>
    Effect.gen(function*() {
      const { body, seen } = counter()
      const limit = { key: "k", permits: 1 }
      const once: Body = (state, ctx) =>
        body(`flaky ${ctx.attempt}`, ctx.attempt === 1 ? boom("once") : Effect.void)(state, ctx)
      const g = fan({
        flaky: [once, { limit, retry: { maxRetries: 1, baseDelay: 10 } }],
        long: [body("long", Effect.sleep(50)), { limit }],
        late: [body("late", Effect.sleep(50)), { limit }]
      })
      const { at } = yield* endOf(Effect.provide(run(g.graph, { n: 0 }), Logger.layer([])))
      assert.deepStrictEqual(seen.order, ["flaky 1", "long", "late", "flaky 2"])
      assert.strictEqual(at, 100)
      assert.deepInclude(g.result("flaky"), { _tag: "Success", attempts: 2, timingMs: 100 })
    }))

  alone("wait between attempts within their total timeout", (run, bulkheads) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const g = fan({
        total: [() => boom("down"), { limit, retry: { maxRetries: 5, baseDelay: 10 }, totalTimeout: 30 }],
        long: [() => Effect.sleep(50), { limit }]
      })
      const watched = yield* watch(Effect.provide(run(g.graph, { n: 0 }), Logger.layer([])))
      assert.isFalse(yield* watched.endedAt(29))
      assert.deepStrictEqual(bulkheads.states, [{ ...limit, inUse: 1, waiting: 1 }])
      assert.isFalse(yield* watched.endedAt(30))
      assert.deepStrictEqual(bulkheads.states, [{ ...limit, inUse: 1, waiting: 0 }])
      assert.isTrue(yield* watched.endedAt(50))
      assert.deepInclude(g.result("total"), { _tag: "Timeout", timeoutKind: "total", attempts: 1, timingMs: 30 })
    }))

  alone("that nobody needs any more do not start when a permit comes free", (run, bulkheads) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const ran: Array<string> = []
      const second: Body = () => void ran.push("second")
      const enough = fan({ first: [() => Effect.sleep(10), { limit }], second: [second, { limit }] }, {
        completion: { minSuccessful: 1 }
      })
      yield* endOf(run(enough.graph, { n: 0 }))
      assert.deepStrictEqual(enough.results.map(({ _tag }) => _tag), ["Success", "Interrupted"])
      const failing: Body = () => Effect.andThen(Effect.sleep(10), boom("down"))
      const fast = fan({ first: [failing, { limit, failFast: true }], second: [second, { limit }] })
      assert.isTrue(Exit.isFailure((yield* endOf(run(fast.graph, { n: 0 }))).exit))
      assert.deepStrictEqual(ran, [])
      assert.deepStrictEqual(bulkheads.states, [])
    }))

  alone("give their permit back before the fan-in goes on", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1, queue: 0 }
      const graph = StateGraph.make("g", State)
        .addNode("a", () => Effect.sleep(1))
        .addNode("b", () => Effect.sleep(1))
        .addNode("c", () => ({ v: "reached" }), { limit })
        .addNode("d", () => ({}), { limit })
        .addFanInNode("first", () => {})
        .addFanInNode("second", (_state, { parallelResults: [result] }) => ({ v: result!._tag }))
        .addParallelEdge(START, "a", "first", { limit })
        .addParallelEdge("first", "b", "second", { limit })
        .addEdge("second", "c")
        .addEdge("c", "d")
        .setFinishPoint("d")
        .compile()
      assert.deepStrictEqual((yield* endOf(run(graph, { n: 0 }))).exit, Exit.succeed({ n: 0, v: "reached" }))
    }))
})

describe("a limit that is full", () => {
  for (
    const [queue, tags] of [
      [0, ["Success", "Rejected", "Rejected", "Rejected"]],
      [1, ["Success", "Success", "Rejected", "Rejected"]],
      [2, ["Success", "Success", "Success", "Rejected"]],
      [3, ["Success", "Success", "Success", "Success"]],
      ["unbounded", ["Success", "Success", "Success", "Success"]],
      [undefined, ["Success", "Success", "Success", "Success"]]
    ] as const
  ) {
    alone(`with ${queue} places to wait rejects the rest at once`, (run) =>
      Effect.gen(function*() {
        const limit = { key: "k", permits: 1, queue }
        const g = fan(Object.fromEntries(names(4).map((name) => [name, [() => Effect.sleep(10), { limit }]] as const)))
        const { at } = yield* endOf(run(g.graph, { n: 0 }))
        assert.strictEqual(at, 10 * tags.filter((tag) => tag === "Success").length)
        assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), [...tags])
        for (const result of g.results) {
          if (result._tag !== "Rejected") continue
          assert.deepInclude(result, {
            errorType: "LimitExceededError",
            attempts: 0,
            timingMs: 0,
            startTime: 0,
            state: { n: 0 },
            abandoned: false
          })
          assert.instanceOf(result.failure, GraphError.LimitExceededError)
          assert.deepInclude(result.failure, { key: "k", permits: 1, queue: Number(queue) })
          assert.include(result.error, `limit "k" has all 1 permits in use`)
        }
      }))
  }

  alone("is asked before the circuit, which counts nothing, and is not asked again", (run) =>
    Effect.gen(function*() {
      const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
      const limit = { key: "k", permits: 1, queue: 0 }
      const circuitBreaker = { key: "c", failureThreshold: 1 }
      const g = fan({
        first: [() => Effect.sleep(10), { limit }],
        second: [() => Effect.void, { limit, circuitBreaker, retry: { maxRetries: 5, baseDelay: 1 } }]
      })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at, 10)
      assert.deepInclude(g.result("second"), { _tag: "Rejected", attempts: 0 })
      assert.isUndefined(g.result("second").circuitState)
      assert.deepInclude(yield* registry.state("c"), { state: "CLOSED", failureCount: 0, probes: 0 })
    }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe())))

  alone("rejects a flow that has had attempts too, and they are kept", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1, queue: 0 }
      const g = fan({
        flaky: [() => boom("down"), { limit, retry: { maxRetries: 5, baseDelay: 10 } }],
        long: [() => Effect.sleep(50), { limit: { ...limit, queue: 1 } }]
      })
      yield* endOf(Effect.provide(run(g.graph, { n: 0 }), Logger.layer([])))
      assert.deepInclude(g.result("flaky"), { _tag: "Rejected", errorType: "LimitExceededError", attempts: 1 })
      assert.deepStrictEqual(g.result("flaky").attemptErrors.map(({ error }) => error), ["down"])
    }))

  alone("with failFast fails the line, and is told by an event", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1, queue: 0 }
      const g = fan({
        first: [() => Effect.sleep(10), { limit }],
        second: [() => Effect.void, { limit, failFast: true }]
      })
      const { at, exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 0)
      assert.isTrue(Exit.isFailure(exit))
      const { events } = yield* Effect.flatMap(endOf(eventsOf(g.graph, { n: 0 })), ({ exit }) => exit)
      const told = events.filter((event) => "branch" in event && event.branch === "second")
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["FlowRejected", "FlowCompleted"])
      assert.deepInclude(told[0], { scope: "flow", limit: { key: "k", permits: 1, queue: 0 } })
      assert.notProperty(told[0], "circuit")
      assert.deepStrictEqual(faults(events), [])
    }))
})

describe("who waits for a permit", () => {
  alone(
    "can be interrupted with its run, frees its place and loses nothing",
    (run, bulkheads) =>
      Effect.gen(function*() {
        const { body, seen } = counter()
        const limit = { key: "k", permits: 1, queue: 2 }
        const holder = yield* watch(run(fan({ a: [body("a", Effect.sleep(100)), { limit }] }).graph, { n: 0 }))
        const one = yield* watch(run(fan({ b: [body("b", Effect.void), { limit }] }).graph, { n: 0 }))
        const two = yield* watch(run(fan({ c: [body("c", Effect.sleep(10)), { limit }] }).graph, { n: 0 }))
        assert.deepStrictEqual(bulkheads.states, [{ key: "k", permits: 1, inUse: 1, waiting: 2 }])
        yield* Fiber.interrupt(one.fiber)
        assert.deepStrictEqual(bulkheads.states, [{ key: "k", permits: 1, inUse: 1, waiting: 1 }])
        const three = yield* watch(run(fan({ d: [body("d", Effect.void), { limit }] }).graph, { n: 0 }))
        assert.isTrue(yield* holder.endedAt(100))
        assert.isFalse(yield* three.endedAt(9))
        assert.isTrue(yield* three.endedAt(10))
        assert.isDefined(two.fiber.pollUnsafe())
        assert.deepStrictEqual(seen.order, ["a", "c", "d"])
        assert.deepStrictEqual(bulkheads.states, [])
      })
  )

  alone(
    "and gets it at the instant at which it is interrupted passes it on",
    (_run, bulkheads) =>
      Effect.gen(function*() {
        const one = Bulkhead.withLimit({ key: "k", permits: 1 })
        const ran: Array<string> = []
        const start = (name: string, work: Effect.Effect<void>) =>
          Effect.forkChild(one(Effect.andThen(Effect.sync(() => void ran.push(name)), work)), {
            startImmediately: true
          })
        for (const firstToGo of ["holder", "waiter"] as const) {
          const holder = yield* start("holder", Effect.never)
          const waiter = yield* start("waiter", Effect.never)
          const last = yield* start("last", Effect.void)
          if (firstToGo === "holder") holder.interruptUnsafe()
          waiter.interruptUnsafe()
          if (firstToGo === "waiter") holder.interruptUnsafe()
          assert.isTrue(Exit.isSuccess(yield* Fiber.await(last)))
          yield* Fiber.await(waiter)
          assert.deepStrictEqual(bulkheads.states, [])
        }
        assert.deepStrictEqual(ran.filter((name) => name === "last").length, 2)
      })
  )

  alone("in a flow that a rule or a sibling stops, leaves", (run, bulkheads) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const holder = yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
      const log: Array<string> = []
      const stopped = fan({ a: [() => sleeper(1, log, "a"), { limit }], b: () => Effect.sleep(20) }, {
        completion: { within: 10 }
      })
      const { at } = yield* endOf(run(stopped.graph, { n: 0 }), 50)
      assert.strictEqual(at, 10)
      assert.deepInclude(stopped.result("a"), { _tag: "Interrupted", attempts: 0 })
      const sibling = fan({ a: [() => sleeper(1, log, "a"), { limit }], b: [() => boom("down"), { failFast: true }] })
      assert.isTrue(Exit.isFailure((yield* endOf(run(sibling.graph, { n: 0 }), 50)).exit))
      assert.deepStrictEqual(log, [])
      assert.deepStrictEqual(bulkheads.states, [{ key: "k", permits: 1, inUse: 1, waiting: 0 }])
      yield* Fiber.interrupt(holder)
      assert.deepStrictEqual(bulkheads.states, [])
    }))
})
