/** When a run is saved, what a stop can lose, and what a store that does not work does to a run: the table of `durability`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Logger, Option } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { FakeStore, type Fault, type Method } from "./support/fakeStore.ts"
import { asks, bad, input, joined, settle, slow, State, step } from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)
const modes = ["step", "async", "exit"] as const
type Mode = (typeof modes)[number]

const onStore = (fake: FakeStore) => Effect.provideService(Checkpointer.Checkpointer, fake.service)
const nowMs = TestClock.testClockWith((clock) => clock.currentTimeMillis)

const test = (title: string, body: () => Effect.Effect<unknown, unknown>, timeout?: number) =>
  it.effect(title, () => Effect.andThen(TestClock.adjust(0), body()).pipe(Effect.provide(Logger.layer([]))), timeout)

interface Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly at: number
}

/** Runs it in the background, and tells when it has ended. */
const started = <A, E>(self: Effect.Effect<A, E, Checkpointer.Checkpointer>, fake: FakeStore) =>
  Effect.exit(self).pipe(
    Effect.flatMap((exit) => Effect.map(nowMs, (at): Ended<A, E> => ({ exit, at }))),
    onStore(fake),
    Effect.forkChild({ startImmediately: true })
  )

const ended = <A, E>(self: Effect.Effect<A, E, Checkpointer.Checkpointer>, fake: FakeStore, limitMs = 1_000_000) =>
  Effect.gen(function*() {
    const fiber = yield* started(self, fake)
    yield* settle
    yield* TestClock.adjust(limitMs)
    if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error(`it has not ended after ${limitMs} ms`))
    return yield* Fiber.join(fiber)
  })

const errorOf = (exit: Exit.Exit<unknown, unknown>): GraphError.CheckpointError =>
  Exit.isFailure(exit)
    ? Option.getOrThrow(Exit.findErrorOption(exit)) as GraphError.CheckpointError
    : assert.fail("it has not failed")

const chain = (ran: Array<string>) =>
  make()
    .addNode("a", slow(ran, "a", 10)).addNode("b", slow(ran, "b", 10)).addNode("c", slow(ran, "c", 10))
    .setEntryPoint("a").addEdge("a", "b").addEdge("b", "c").setFinishPoint("c").compile()

/** Nodes on four lines, that end in each other's steps. */
const lines = (ran: Array<string>) =>
  make()
    .addNode("a", slow(ran, "a", 10))
    .addNode("x1", slow(ran, "x1", 7)).addNode("x2", slow(ran, "x2", 7)).addNode("x3", slow(ran, "x3", 7))
    .addNode("y1", slow(ran, "y1", 4)).addNode("deep", slow(ran, "deep", 9))
    .addFanInNode("inner", joined).addFanInNode("join", joined)
    .addNode("z", slow(ran, "z", 5))
    .setEntryPoint("a")
    .addParallelEdge("a", "x1", "join", { retry: { maxRetries: 1 } }).addEdge("x1", "x2").addEdge(
      "x2",
      "x3"
    )
    .addParallelEdge("a", "y1", "join").addParallelEdge("y1", "deep", "inner")
    .addEdge("join", "z").setFinishPoint("z").compile()
const result = ["x1 Success a,x1,x2,x3", "y1 Success y1/deep Success a,y1,deep", "z"]

describe("a run is saved", () => {
  const saves = (fake: FakeStore) =>
    fake.used.flatMap(({ at, status }) => status === undefined ? [] : [`${status} ${at}`])

  test("after every step, at the same points without waiting, or at its end", () =>
    Effect.gen(function*() {
      const expected: Record<Mode, ReadonlyArray<string>> = {
        step: ["running 0", "running 10", "running 20", "completed 30"],
        async: ["running 0", "running 10", "running 20", "completed 30"],
        exit: ["completed 30"]
      }
      for (const durability of modes) {
        const fake = new FakeStore()
        const from = yield* nowMs
        yield* ended(chain([]).invoke(input, { thread: "t", durability }), fake)
        assert.deepStrictEqual(
          saves(fake).map((save) => save.replace(/\d+/, (at) => String(Number(at) - from))),
          expected[durability]
        )
      }
    }))

  test("however it ends: when it waits for somebody, fails or is interrupted", () =>
    Effect.gen(function*() {
      const ways = {
        suspended: asks([], "b") as (state: State) => Effect.Effect<State, unknown, StateGraph.Suspends>,
        failed: () => bad("no"),
        running: () => Effect.never
      } as const
      for (const durability of modes) {
        for (const [status, body] of Object.entries(ways)) {
          const fake = new FakeStore()
          const graph = make()
            .addNode("a", step([], "a")).addNode("b", body).setEntryPoint("a").addEdge("a", "b").setFinishPoint("b")
            .compile()
          const fiber = yield* started(graph.invoke(input, { thread: "t", durability }), fake)
          yield* settle
          yield* Fiber.interrupt(fiber)
          // What nobody waits for can share the save at the end.
          const before =
            { step: ["running running"], async: ["running running", "running", ""], exit: [""] }[durability]
          assert.include(before, fake.statuses.slice(0, -1).join(" "), `${durability} ${status}`)
          const [last] = (yield* fake.inner.list("t")).slice(-1)
          assert.deepStrictEqual([last?.status, fake.statuses.at(-1)], [status, status] as never)
        }
      }
    }))

  test("one save at a time: a line waits for the save that holds its own boundary, and no longer", () =>
    Effect.gen(function*() {
      const expected: Record<Mode, readonly [ends: number, starts: object]> = {
        // The first save ends at 100. x1 ends at 110 and is saved until 210; y1, at 120, shares the next one, until 310.
        step: [510, { x2: 210, y2: 310 }],
        async: [200, { x2: 10, y2: 20 }],
        exit: [120, { x2: 10, y2: 20 }]
      }
      for (const durability of modes) {
        const fake = new FakeStore()
        fake.fault = (method) => method === "save" ? { ms: 100 } : undefined
        const starts: Record<string, number> = {}
        const from = yield* nowMs
        const noted = (name: string) => (state: State) =>
          Effect.andThen(
            Effect.map(nowMs, (at) => {
              starts[name] = at - from
            }),
            step([], name)(state)
          )
        const graph = make()
          .addNode("x1", slow([], "x1", 10)).addNode("x2", noted("x2"))
          .addNode("y1", slow([], "y1", 20)).addNode("y2", noted("y2"))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x1", "join").addEdge("x1", "x2")
          .addParallelEdge(StateGraph.START, "y1", "join").addEdge("y1", "y2")
          .setFinishPoint("join").compile()
        const { at, exit } = yield* ended(graph.invoke(input, { thread: "t", durability }), fake)
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual([at - from, starts], expected[durability] as never, durability)
        assert.strictEqual(fake.maxSaving, 1)
      }
    }))

  test("with few saves for many boundaries of one instant", () =>
    Effect.gen(function*() {
      for (const durability of ["step", "async"] as const) {
        const fake = new FakeStore()
        const latch = yield* Latch.make()
        const graph = make()
          .addNode("each", (state) => Effect.andThen(latch.await, step([], "each")(state)))
          .addNode("more", step([], "more")).addFanInNode("join", joined)
          .addParallelMap(StateGraph.START, "each", "join", { items: () => Array.from({ length: 50 }, (_, i) => i) })
          .addEdge("each", "more").setFinishPoint("join").compile()
        const fiber = yield* started(graph.invoke(input, { thread: "t", durability }), fake)
        yield* settle
        yield* latch.open
        yield* settle
        assert.isTrue(Exit.isSuccess((yield* Fiber.join(fiber)).exit))
        // The start, the first nodes, the second ones with the ends of the flows, the end.
        assert.isAtMost(fake.statuses.length, 5)
        assert.isAtLeast(fake.statuses.length, durability === "step" ? 4 : 2)
      }
    }))

  test("not at all without a thread", () =>
    Effect.gen(function*() {
      const fake = new FakeStore(1000)
      const inner = chain([])
      const graph = make()
        .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state })
        .addNode("b", asks([], "b"))
        .setEntryPoint("sub").addEdge("sub", "b").setFinishPoint("b").compile()
      const { exit } = yield* ended(graph.invoke(input, { durability: "step" }), fake)
      assert.strictEqual((errorOf(exit) as { readonly _tag: string })._tag, "GraphSuspended")
      assert.deepStrictEqual(fake.used, [])
    }))
})

describe("what a crash can lose", () => {
  /** What somebody else finds, after a crash in this instant. */
  const survived = (fake: FakeStore) =>
    Effect.gen(function*() {
      const found = yield* fake.inner.load("t")
      const other = new FakeStore()
      if (Option.isNone(found)) return other
      const claim = yield* other.inner.claim("t")
      yield* other.inner.save(claim, found.value)
      yield* other.inner.release(claim)
      return other
    })
  const count = (ran: ReadonlyArray<string>, name: string) => ran.filter((one) => one === name).length
  const names = ["a", "x1", "x2", "x3", "y1", "deep", "z"]
  const before: Record<string, string> = { x1: "a", x2: "x1", x3: "x2", y1: "a", deep: "y1", z: "deep" }

  /** Without waiting for saves. */
  const completedAt: Record<string, number> = { a: 10, y1: 14, x1: 17, deep: 23, x2: 24, x3: 31, z: 36 }

  for (const durability of modes) {
    test(`in every millisecond of a run (${durability})`, () =>
      Effect.gen(function*() {
        let again = 0
        for (const saveMs of [0, 3, 20]) {
          for (let at = 0; at <= (saveMs === 20 ? 150 : 60); at += saveMs === 0 ? 1 : saveMs) {
            const began = yield* nowMs
            const fake = new FakeStore()
            if (saveMs > 0) fake.fault = (method) => method === "save" ? { ms: saveMs } : undefined
            const ran: Array<string> = []
            const graph = lines(ran)
            const fiber = yield* started(graph.invoke(input, { thread: "t", durability }), fake)
            yield* settle
            yield* TestClock.adjust(at)
            const atCrash = [...ran]
            const isOver = fiber.pollUnsafe() !== undefined
            const rest = yield* survived(fake)
            yield* Fiber.interrupt(yield* Effect.forkChild(Fiber.interrupt(fiber)))
            yield* TestClock.adjust(10_000)
            const nothing = (yield* rest.inner.list("t")).length === 0
            ran.length = 0
            if (isOver) {
              assert.strictEqual(errorOf((yield* ended(graph.resume("t"), rest)).exit).reason, "Finished")
              continue
            }
            const { exit } = yield* ended(nothing ? graph.invoke(input, { thread: "t" }) : graph.resume("t"), rest)
            assert(Exit.isSuccess(exit))
            assert.deepStrictEqual(exit.value.log, result)
            const where = `${durability}, saves of ${saveMs} ms, stopped at ${at}`
            const repeated = names.filter((name) => count(atCrash, name) > 0 && count(ran, name) > 0)
            for (const name of names) {
              assert.isAtMost(count(ran, name), 1, where)
              assert.isAtLeast(count(ran, name) + count(atCrash, name), 1, where)
            }
            again += repeated.length
            if (durability === "step") {
              // What another node was run after is not run again: at most the last step of each line is.
              for (const name of repeated) {
                assert.isFalse(
                  names.some((next) => before[next] === name && atCrash.includes(next)),
                  `${where}: ${name}`
                )
              }
              if (saveMs === 0) assert.deepStrictEqual(repeated, [], where)
            }
            if (durability === "async") {
              // What was completed before the last save began that has been finished is not run again.
              const finished = fake.times("save").filter((begun) => begun + saveMs < began + at).at(-1) ?? began
              for (const name of repeated) assert.isAtLeast(began + completedAt[name]!, finished, `${where}: ${name}`)
            }
            if (durability === "exit") assert.isTrue(nothing, where)
          }
        }
        // Something is run again at times: the crashes are where they hurt.
        assert.isAbove(again, 0)
      }), 120_000)
  }
})

describe("a store that does not work", () => {
  const faults: ReadonlyArray<Fault> = ["fails", "dies", "throws", "hangs", "stuck", "mute", { ms: 29_000 }, {
    ms: 31_000
  }]
  const methods: ReadonlyArray<Method> = ["claim", "load", "save", "release"]
  const nameOf = (fault: Fault) => typeof fault === "object" ? `takes ${fault.ms} ms` : fault

  for (const durability of modes) {
    for (const method of methods) {
      test(`on ${method} ends the run in time, and loses nothing (${durability})`, () =>
        Effect.gen(function*() {
          for (const fault of faults) {
            for (const from of fault === "dies" || fault === "throws" ? [1] : [1, 2, 4]) {
              for (const to of [from, Infinity]) {
                const where = `${method} ${nameOf(fault)} from ${from} to ${to}`
                const fake = new FakeStore()
                fake.fault = (called, n) => called === method && n >= from && n <= to ? fault : undefined
                const ran: Array<string> = []
                const graph = lines(ran)
                const began = yield* nowMs
                const { at, exit } = yield* ended(graph.invoke(input, { thread: "t", durability }), fake, 10_000_000)
                // Bounded by the calls that it makes, each of at most 30 seconds.
                assert.isAtMost(at - began, 31_000 * (fake.used.length + 1), where)
                if (fault !== "stuck") assert.strictEqual(fake.maxSaving > 1, false, where)
                if (Exit.isFailure(exit)) {
                  assert.strictEqual(errorOf(exit)._tag, "CheckpointError", where)
                  assert.strictEqual(errorOf(exit).reason, "Storage", where)
                } else assert.deepStrictEqual(exit.value.log, result, where)
                // Whatever was saved, is good, and is continued.
                fake.fault = () => undefined
                yield* TestClock.adjust("1 hour")
                const list = yield* fake.inner.list("t")
                const done = [...ran]
                if (Exit.isSuccess(exit)) {
                  assert.strictEqual(list.at(-1)?.status, "completed", where)
                  continue
                }
                // A release that did not work leaves the thread to whoever takes it over.
                const again = list.length === 0
                  ? Effect.andThen(
                    Effect.flatMap(fake.inner.claim("t", { takeOver: true }), fake.inner.release),
                    graph.invoke(input, { thread: "t" })
                  )
                  : list.at(-1)!.status === "completed"
                  ? undefined
                  : graph.resume("t", { takeOver: true })
                if (again === undefined) continue
                const { exit: last } = yield* ended(again, fake)
                assert(Exit.isSuccess(last), where)
                assert.deepStrictEqual(last.value.log, result, where)
                if (durability !== "step") continue
                for (const name of ["a", "x1", "x2", "y1"]) {
                  const next = { a: "x1", x1: "x2", x2: "x3", y1: "deep" }[name]!
                  if (done.includes(next)) {
                    assert.strictEqual(ran.filter((one) => one === name).length, 1, `${where}: ${name}`)
                  }
                }
              }
            }
          }
        }), 300_000)
    }
  }

  test("fails the run at the step, or at the end, as its mode says", () =>
    Effect.gen(function*() {
      // The third save fails, once: what was to be saved is saved with the next one.
      const once: Record<Mode, readonly [ok: boolean, ran: number]> = {
        step: [false, 2],
        async: [true, 3],
        exit: [true, 3]
      }
      const always: Record<Mode, readonly [ok: boolean, ran: number]> = {
        step: [false, 2],
        async: [false, 3],
        exit: [false, 3]
      }
      for (const durability of modes) {
        for (const [from, to, expected] of [[3, 3, once], [3, Infinity, always]] as const) {
          const fake = new FakeStore()
          const first = durability === "exit" && to === Infinity ? 1 : from
          fake.fault = (method, n) => method === "save" && n >= first && n <= to ? "fails" : undefined
          const ran: Array<string> = []
          const { exit } = yield* ended(chain(ran).invoke(input, { thread: "t", durability }), fake)
          assert.deepStrictEqual(
            [Exit.isSuccess(exit), ran.length],
            expected[durability] as never,
            `${durability} ${to}`
          )
          if (Exit.isFailure(exit)) assert.match(errorOf(exit).message, /the disk is full/)
        }
      }
    }))

  test("when the run waits for somebody fails the run, in every mode", () =>
    Effect.gen(function*() {
      for (const durability of modes) {
        for (const fault of ["fails", "hangs"] as const) {
          const fake = new FakeStore()
          const ran: Array<string> = []
          const graph = make().addNode("a", asks(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
          const last = durability === "exit" ? 1 : 2
          fake.fault = (method, n) => method === "save" && n === last ? fault : undefined
          const from = yield* nowMs
          const { at, exit } = yield* ended(graph.invoke(input, { thread: "t", durability }), fake)
          assert.strictEqual(errorOf(exit).reason, "Storage")
          assert.strictEqual(at - from, fault === "hangs" ? 30_000 : 0)
          fake.fault = () => undefined
          const again = durability === "exit" ? graph.invoke(input, { thread: "t" }) : graph.resume("t")
          assert.strictEqual(
            (errorOf((yield* ended(again, fake)).exit) as { readonly _tag: string })._tag,
            "GraphSuspended"
          )
        }
      }
    }))

  test("does not take the error away that a run fails with", () =>
    Effect.gen(function*() {
      for (const durability of modes) {
        const fake = new FakeStore()
        const graph = make().addNode("a", () => Effect.delay(bad("no"), 10)).setEntryPoint("a").setFinishPoint("a")
          .compile()
        fake.fault = (method, n) => method === "save" && n === (durability === "exit" ? 1 : 2) ? "fails" : undefined
        const { exit } = yield* ended(graph.invoke(input, { thread: "t", durability }), fake)
        assert.strictEqual((errorOf(exit) as { readonly _tag: string })._tag, "Bad")
      }
    }))

  for (const durability of modes) {
    test(`does not keep an interruption longer than grace (${durability})`, () =>
      Effect.gen(function*() {
        for (const method of methods) {
          for (const fault of ["hangs", "stuck", "mute"] as const) {
            for (const n of [1, 2]) {
              for (const cleanup of [0, 50]) {
                const fake = new FakeStore()
                fake.fault = (called, at) =>
                  called === method && at >= n || called === "release" && n === 2 ? fault : undefined
                const hanging = (state: State) =>
                  Effect.onInterrupt(Effect.delay(step([], "b")(state), 10), () => Effect.sleep(cleanup))
                const graph = make()
                  .addNode("a", slow([], "a", 10)).addNode("b", hanging).setEntryPoint("a").addEdge("a", "b")
                  .setFinishPoint("b")
                  .compile({ parallel: { grace: 100 } })
                for (const after of [0, 5, 15, 25]) {
                  const fiber = yield* graph.invoke(input, { thread: `t${after}`, durability }).pipe(
                    onStore(fake),
                    Effect.forkChild({ startImmediately: true })
                  )
                  yield* settle
                  yield* TestClock.adjust(after)
                  if (fiber.pollUnsafe() !== undefined) continue
                  const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
                  yield* settle
                  // Its finalizers, the end of its save, and that the thread is given back: each for as long as grace allows.
                  yield* TestClock.adjust(cleanup + 200)
                  const where = `${method} ${fault} ${n}, cleanup ${cleanup}, after ${after}`
                  assert.isDefined(stopping.pollUnsafe(), where)
                }
                yield* TestClock.adjust("1 hour")
              }
            }
          }
        }
      }), 120_000)
  }
})

describe("a lease", () => {
  test("is renewed three times in its time for as long as its run is on, and not after that", () =>
    Effect.gen(function*() {
      for (const durability of modes) {
        const fake = new FakeStore(3000)
        const from = yield* nowMs
        const graph = make().addNode("a", slow([], "a", 10_500)).setEntryPoint("a").setFinishPoint("a").compile()
        yield* ended(graph.invoke(input, { thread: "t", durability }), fake)
        const expected = Array.from({ length: 10 }, (_, i) => (i + 1) * 1000)
        assert.deepStrictEqual(fake.times("renew").map((at) => at - from), expected)
      }
    }))

  test("is renewed on when a renewal fails, hangs or breaks", () =>
    Effect.gen(function*() {
      for (const fault of ["fails", "hangs", "dies", "throws", "stuck"] as const) {
        const fake = new FakeStore(3000)
        fake.fault = (method, n) => method === "renew" && n === 2 ? fault : undefined
        const graph = make().addNode("a", slow([], "a", 10_500)).setEntryPoint("a").setFinishPoint("a").compile()
        const { exit } = yield* ended(graph.invoke(input, { thread: "t" }), fake)
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAtLeast(fake.times("renew").length, fault === "hangs" || fault === "stuck" ? 7 : 9, fault)
      }
    }))
})

describe("a save that is on", () => {
  test("is waited for before the run says that it waits: a rule that is met by what it holds comes first", () =>
    Effect.gen(function*() {
      const fake = new FakeStore()
      fake.fault = (method, n) => method === "save" && n > 1 ? { ms: 100 } : undefined
      const graph = make()
        .addNode("x", asks([], "x"))
        .addNode("y", (state) => Effect.delay(asks([], "y")(state), 50))
        .addNode("z", slow([], "z", 10))
        .addFanInNode("join", joined, { completion: { minSuccessful: 1 } })
        .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "y", "join")
        .addParallelEdge(StateGraph.START, "z", "join").setFinishPoint("join").compile()
      const { exit } = yield* ended(graph.invoke(input, { thread: "t" }), fake)
      assert(Exit.isSuccess(exit))
      assert.deepStrictEqual(exit.value.log, ["x Interrupted ", "y Interrupted ", "z Success z"])
    }))

  test("of an answer that was taken does not keep an uninterruptible node for ever when it fails", () =>
    Effect.gen(function*() {
      const fake = new FakeStore()
      const graph = make()
        .addNode("a", (state) => Effect.uninterruptible(asks([], "a")(state)))
        .setEntryPoint("a").setFinishPoint("a").compile({ parallel: { grace: "wait" } })
      yield* ended(graph.invoke(input, { thread: "t" }), fake)
      fake.fault = (method) => method === "save" ? "fails" : undefined
      const { exit } = yield* ended(graph.resume("t", { answers: { ok: 1 } }), fake)
      assert.strictEqual(errorOf(exit).reason, "Storage")
      fake.fault = () => undefined
      const { exit: last } = yield* ended(graph.resume("t", { answers: { ok: 2 } }), fake)
      assert(Exit.isSuccess(last))
      assert.deepStrictEqual(last.value.log, ["a=2"])
    }))

  test("and the last one are one after the other, also when the run is interrupted while it says that it waits", () =>
    Effect.gen(function*() {
      const fake = new FakeStore()
      fake.fault = (method, n) => method === "save" && n > 1 ? { ms: 50 } : undefined
      const graph = make().addNode("a", asks([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
      const fiber = yield* started(graph.invoke(input, { thread: "t" }), fake)
      yield* settle
      yield* TestClock.adjust(20)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      yield* TestClock.adjust(1000)
      yield* Fiber.join(stopping)
      assert.strictEqual(fake.maxSaving, 1)
      const { exit } = yield* ended(graph.resume("t", { answers: { ok: 1 } }), fake)
      // Whichever was saved last, the question is still open, and its answer is taken.
      assert.isTrue(Exit.isSuccess(exit))
    }))
})
