/** Bulkheads: who shares them, how long they live, and what holds a permit. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Schema } from "effect"
import { Bulkhead, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { boom, fan, sleeper, State } from "./support/fan.ts"
import { endOf, type Runner, scenario, watch } from "./support/scenario.ts"

const { START } = StateGraph

const states = Effect.map(Bulkhead.CurrentBulkheads, (bulkheads) => bulkheads.states)

/** With bulkheads of its own, and without logs. */
const alone = (title: string, test: (run: Runner) => Effect.Effect<unknown, unknown>) =>
  scenario(title, (run) => Effect.provide(test(run), [Bulkhead.layer, Logger.layer([])]))

describe("withLimit", () => {
  it.effect("gives its permits in the order of asking, and fails where there is no room to wait", () =>
    Effect.gen(function*() {
      const order: Array<number> = []
      const limited = (i: number) =>
        Effect.andThen(Effect.sync(() => void order.push(i)), Effect.sleep(10)).pipe(
          Bulkhead.withLimit({ key: "k", permits: 2, queue: 3 }),
          Effect.exit
        )
      const { at, exit } = yield* endOf(Effect.forEach([0, 1, 2, 3, 4, 5, 6], limited, { concurrency: "unbounded" }))
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(order, [0, 1, 2, 3, 4])
      const exits = yield* exit
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true, true, true, true, false, false])
      const error = yield* Effect.flip(exits[6]!)
      assert.instanceOf(error, GraphError.LimitExceededError)
      assert.deepInclude(error, { key: "k", permits: 2, queue: 3 })
      assert.strictEqual(
        error.message,
        `limit "k" has all 2 permits in use, and 3 waiting are all it lets wait`
      )
    }).pipe(Effect.provide(Bulkhead.layer)))

  it.effect("gives the permit back after success, failure, defect and interruption, when finalizers have run", () =>
    Effect.gen(function*() {
      const one = Bulkhead.withLimit({ key: "k", permits: 1, queue: 0 })
      assert.strictEqual(yield* one(Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(one(Effect.fail("no"))), "no")
      assert.isTrue(Exit.hasDies(yield* Effect.exit(one(Effect.die("bug")))))
      yield* TestClock.adjust(0)
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep(30))
      const fiber = yield* Effect.forkChild(one(slow), { startImmediately: true })
      fiber.interruptUnsafe()
      yield* TestClock.adjust(29)
      assert.deepStrictEqual(yield* states, [{ key: "k", permits: 1, inUse: 1, waiting: 0 }])
      yield* TestClock.adjust(1)
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(yield* states, [])
      assert.strictEqual(yield* one(Effect.succeed(2)), 2)
    }).pipe(Effect.provide(Bulkhead.layer)))

  it("throws what is wrong with its options", () => {
    const bad: ReadonlyArray<readonly [unknown, string]> = [
      [{ key: "", permits: 1 }, "key"],
      [{ key: 5, permits: 1 }, "key"],
      [{ permits: 1 }, "key"],
      [{ key: "k" }, "permits"],
      [{ key: "k", permits: 0 }, "permits"],
      [{ key: "k", permits: Number.NaN }, "permits"],
      [{ key: "k", permits: 1, queue: -1 }, "queue"],
      [{ key: "k", permits: 1, queue: 0.5 }, "queue"],
      [{ key: "k", permits: 1, queue: null }, "queue"],
      [{ key: "k", permits: 1, size: 1 }, "size"],
      [undefined, "input"],
      [null, "input"],
      ["k", "input"]
    ]
    for (const [input, field] of bad) {
      let error: unknown
      try {
        Bulkhead.withLimit(input as never)
      } catch (thrown) {
        error = thrown
      }
      assert.instanceOf(error, GraphError.InvalidConfigError)
      assert.deepInclude(error, { field, source: "Bulkhead.withLimit" })
    }
  })
})

describe("a bulkhead", () => {
  alone(
    "is shared by graphs, flows, nodes and any effect that give its key, and gone when idle",
    (run) =>
      Effect.gen(function*() {
        const order: Array<string> = []
        const limit = { key: "db", permits: 1 }
        const work = (name: string) => () => Effect.andThen(Effect.sync(() => void order.push(name)), Effect.sleep(10))
        const flow = fan({ flow: [work("flow"), { limit }] }, { name: "one" })
        const node = StateGraph.make("two", State).addNode("node", work("node"), { limit }).setEntryPoint("node")
          .setFinishPoint("node")
          .compile()
        const inner = StateGraph.make("inner", State).addNode("deep", work("deep"), { limit }).setEntryPoint("deep")
          .setFinishPoint("deep")
          .compile()
        const outer = StateGraph.make("three", State)
          .addSubgraph("sub", inner, { input: (state) => state, output: () => ({}) }).setEntryPoint("sub")
          .setFinishPoint("sub").compile()
        const first = yield* watch(run(flow.graph, { n: 0 }))
        const second = yield* watch(run(node, { n: 0 }))
        const third = yield* watch(Bulkhead.withLimit(limit)(work("effect")()))
        const fourth = yield* watch(run(outer, { n: 0 }))
        assert.deepStrictEqual(yield* states, [{ key: "db", permits: 1, inUse: 1, waiting: 3 }])
        assert.isTrue(yield* first.endedAt(10))
        assert.isTrue(yield* second.endedAt(10))
        assert.deepStrictEqual(yield* states, [{ key: "db", permits: 1, inUse: 1, waiting: 1 }])
        assert.isTrue(yield* third.endedAt(10))
        assert.isTrue(yield* fourth.endedAt(10))
        assert.deepStrictEqual(order, ["flow", "node", "effect", "deep"])
        assert.deepStrictEqual(yield* states, [])
      })
  )

  alone("of another key is another one", (run) =>
    Effect.gen(function*() {
      const g = fan({
        a: [() => Effect.sleep(10), { limit: { key: "a", permits: 1 } }],
        b: [() => Effect.sleep(10), { limit: { key: "b", permits: 1 } }]
      })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at, 10)
    }))

  scenario("is another one in another layer", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1, queue: 0 }
      const g = fan({ a: [() => Effect.sleep(10), { limit }] })
      const go = Effect.provide(run(g.graph, { n: 0 }), Bulkhead.layer)
      const { at } = yield* endOf(Effect.all([go, go], { concurrency: "unbounded" }))
      assert.strictEqual(at, 10)
      assert.isTrue(g.joins.flat().every(({ success }) => success))
      const shared = Effect.provide(
        Effect.all([run(g.graph, { n: 0 }), run(g.graph, { n: 0 })], { concurrency: "unbounded" }),
        Bulkhead.layer
      )
      yield* endOf(shared)
      assert.deepStrictEqual(g.joins.slice(2).flat().map(({ _tag }) => _tag).sort(), ["Rejected", "Success"])
    }))

  it.effect("without a layer is everybody's", () =>
    Effect.gen(function*() {
      const outside = yield* Bulkhead.CurrentBulkheads
      const seen = Bulkhead.CurrentBulkheads.pipe(Bulkhead.withLimit({ key: "Bulkhead.test", permits: 1 }))
      assert.strictEqual(yield* seen, outside)
      assert.notStrictEqual(yield* Effect.provide(seen, Bulkhead.layer), outside)
      assert.deepStrictEqual(outside.states, [])
    }))

  scenario("keeps its permits while it is in use: whoever asks for others is warned, each time", (run) => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void warnings.push(`${logLevel}: ${String(message)}`))
    return Effect.gen(function*() {
      const other = { key: "k", permits: 2 }
      const holder = yield* Effect.forkChild(Bulkhead.withLimit({ key: "k", permits: 1 })(Effect.sleep(10)), {
        startImmediately: true
      })
      const g = fan({
        a: [() => Effect.sleep(10), { limit: other }],
        b: [() => Effect.sleep(10), { limit: other }]
      })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at, 30)
      yield* Fiber.await(holder)
      const says = `bulkhead "k" has 1 permits already, 2 are ignored while it is in use`
      assert.deepStrictEqual(warnings, [`Warn: ${says}`, `Warn: ${says}`])
      // Nobody uses it any more: the next one to ask says how many.
      assert.strictEqual((yield* endOf(run(g.graph, { n: 0 }))).at - 120_000, 10)
      assert.strictEqual(warnings.length, 2)
    }).pipe(Effect.provide([Bulkhead.layer, Logger.layer([logger])]))
  })
})

describe("a permit", () => {
  alone(
    "is held while finalizers run, and given back when what does not stop is abandoned",
    (run) =>
      Effect.gen(function*() {
        const limit = { key: "k", permits: 1 }
        for (const [grace, free] of [[100, 40], [20, 30]] as const) {
          const order: Array<string> = []
          const g = fan({
            stubborn: [() => Effect.onInterrupt(Effect.never, () => Effect.sleep(30)), { limit, grace, timeout: 10 }],
            next: [() => Effect.sync(() => void order.push("next")), { limit }]
          })
          const watched = yield* watch(run(g.graph, { n: 0 }))
          yield* watched.endedAt(free - 1)
          assert.deepStrictEqual(order, [])
          yield* watched.endedAt(free)
          assert.deepStrictEqual(order, ["next"])
          assert.deepInclude(g.result("stubborn"), { _tag: "Timeout", abandoned: grace < 30 })
          assert.deepStrictEqual(yield* states, [])
          yield* TestClock.adjust(1000)
        }
      })
  )

  alone("of a flow is given back before its fallback, and while it waits for a retry", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1, queue: 0 }
      const graph = StateGraph.make("g", State)
        .addNode("work", () => boom("down"))
        .addNode("rescue", () => Effect.map(states, (v) => ({ v })))
        .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ v: result!.state.v }))
        .addParallelEdge(START, "work", "join", { limit, fallback: "rescue", retry: { maxRetries: 1, baseDelay: 10 } })
        .setFinishPoint("join")
        .compile()
      const watched = yield* watch(run(graph, { n: 0 }))
      assert.isFalse(yield* watched.endedAt(5))
      assert.deepStrictEqual(yield* states, [])
      assert.isTrue(yield* watched.endedAt(10))
      assert.deepStrictEqual(yield* watched.exit, Exit.succeed({ n: 0, v: [] }))
    }))
})

describe("limits of one key within each other", () => {
  const limit = { key: "k", permits: 1 }

  it.effect("do not wait for themselves", () =>
    Effect.gen(function*() {
      const one = Bulkhead.withLimit({ ...limit, queue: 0 })
      assert.deepStrictEqual(yield* one(one(one(states))), [{ ...limit, inUse: 1, waiting: 0 }])
      const isolated = one(Effect.provide(one(states), Bulkhead.layer))
      assert.deepStrictEqual(yield* isolated, [{ ...limit, inUse: 1, waiting: 0 }])
    }).pipe(Effect.provide(Bulkhead.layer)))

  alone("let flows of flows have the one around them in turn", (run) =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const work = Effect.acquireUseRelease(
        Effect.sync(() => void (most = Math.max(most, ++running))),
        () => Effect.sleep(10),
        () => Effect.sync(() => void running--)
      )
      // Every flow of the graph has the limit, also those that wait for others.
      const nested = (permits: number, queue?: number) =>
        StateGraph.make("g", State, { parallel: { limit: { key: "k", permits, queue } } })
          .addNode("outer")
          .addNode("inner", () => Bulkhead.withLimit({ key: "k", permits })(work), { limit: { key: "k", permits } })
          .addFanInNode("innerJoin", () => {})
          .addFanInNode("join", (_state, { parallelResults }) => ({
            n: parallelResults.filter(({ success }) => success).length
          }))
          .addParallelMap(START, "outer", "join", { items: () => [1, 2, 3] })
          .addParallelMap("outer", "inner", "innerJoin", { items: () => [1, 2, 3] })
          .setFinishPoint("join")
          .compile()
      for (const [permits, ends] of [[1, 90], [2, 50], [3, 30], [9, 10], [12, 10]] as const) {
        most = 0
        const { at, exit } = yield* endOf(run(nested(permits), { n: 0 }), 1000)
        assert.deepStrictEqual(exit, Exit.succeed({ n: 3 }))
        assert.strictEqual(at % 1000, ends, `${permits} permits`)
        assert.isAtMost(most, permits)
        assert.deepStrictEqual(yield* states, [])
      }
    }))

  alone("let a node, a graph and an effect have the one of their flow", (run) =>
    Effect.gen(function*() {
      const inner = StateGraph.make("inner", State, { parallel: { limit } })
        .addNode("deep", () => Bulkhead.withLimit(limit)(Effect.sleep(10)), { limit })
        .addFanInNode("innerJoin", () => {})
        .addParallelEdge(START, "deep", "innerJoin")
        .setFinishPoint("innerJoin")
        .compile()
      const graph = StateGraph.make("g", State, { parallel: { limit } })
        .addNode("work", () => Effect.sleep(10), { limit })
        .addSubgraph("sub", inner, { input: (state) => state, output: () => ({}), limit })
        .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ v: result!._tag }))
        .addParallelEdge(START, "work", "join")
        .addEdge("work", "sub")
        .setFinishPoint("join")
        .compile()
      const { at, exit } = yield* endOf(Bulkhead.withLimit(limit)(run(graph, { n: 0 })))
      assert.strictEqual(at, 20)
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, v: "Success" }))
      assert.deepStrictEqual(yield* states, [])
    }))

  alone(
    "wait for whichever comes first: a free permit, or their turn with the one around",
    (run) =>
      Effect.gen(function*() {
        const two = { key: "k", permits: 2 }
        const log: Array<string> = []
        const other = yield* Effect.forkChild(Bulkhead.withLimit(two)(Effect.sleep(15)), { startImmediately: true })
        const at = Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
        const work = (name: string) => () =>
          Effect.flatMap(
            at,
            (now) => Effect.andThen(Effect.sync(() => void log.push(`${name} ${now}`)), Effect.sleep(10))
          )
        const inner = fan({
          a: [work("a"), { limit: two }],
          b: [work("b"), { limit: two }],
          c: [work("c"), { limit: two }],
          d: [work("d"), { limit: two }]
        })
        yield* endOf(Bulkhead.withLimit(two)(run(inner.graph, { n: 0 })))
        // The one around at 0, 10 and 20, and the other one from 15 on.
        assert.deepStrictEqual(log, ["a 0", "b 10", "c 15", "d 20"])
        yield* Fiber.await(other)
        assert.deepStrictEqual(yield* states, [])
      })
  )

  alone("leave nothing behind when they are interrupted while they wait", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const inner = fan({
        a: [() => sleeper(100, log, "a"), { limit }],
        b: [() => sleeper(100, log, "b"), { limit }]
      })
      const watched = yield* watch(Bulkhead.withLimit(limit)(run(inner.graph, { n: 0 })))
      assert.isFalse(yield* watched.endedAt(10))
      yield* Fiber.interrupt(watched.fiber)
      assert.deepStrictEqual(log, ["a interrupted"])
      assert.deepStrictEqual(yield* states, [])
      const full = fan({
        a: [() => Effect.sleep(10), { limit: { ...limit, queue: 0 } }],
        b: [() => ({}), { limit: { ...limit, queue: 0 } }]
      })
      yield* endOf(Bulkhead.withLimit(limit)(run(full.graph, { n: 0 })))
      // There is no room to wait in the queue of the bulkhead, which is where it would have to stand too.
      assert.deepStrictEqual(full.results.map(({ _tag }) => _tag), ["Success", "Rejected"])
      assert.deepStrictEqual(yield* states, [])
    }))

  it.effect("are not kept by what outlives its work", () =>
    Effect.gen(function*() {
      const one = Bulkhead.withLimit({ ...limit, queue: 0 })
      const daemon = yield* one(Effect.forkDetach(Effect.andThen(Effect.sleep(10), Effect.exit(one(Effect.void)))))
      const holder = yield* Effect.forkChild(one(Effect.sleep(20)), { startImmediately: true })
      yield* TestClock.adjust(10)
      const exit = yield* Fiber.join(daemon)
      assert.isTrue(Exit.isFailure(exit))
      yield* TestClock.adjust(10)
      yield* Fiber.await(holder)
      assert.deepStrictEqual(yield* states, [])
    }).pipe(Effect.provide(Bulkhead.layer)))
})

describe("a LimitExceededError", () => {
  it("is stored as JSON", () => {
    const error = new GraphError.LimitExceededError({ key: "k", permits: 2, queue: 0 })
    const json = Schema.encodeUnknownSync(GraphError.LimitExceededError)(error)
    assert.deepStrictEqual(json, { _tag: "LimitExceededError", key: "k", permits: 2, queue: 0 })
    assert.deepStrictEqual(Schema.decodeUnknownSync(GraphError.LimitExceededError)(json), error)
  })
})
