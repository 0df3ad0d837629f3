/** A store that fails, hangs, breaks or is slow, on any call, in each mode of `durability`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schema } from "effect"
import { RunState, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { Virtual } from "./simulation/virtual.ts"
import { FakeStore, type Fault, type Method } from "./support/fakeStore.ts"
import {
  chain,
  ended,
  errorOf,
  lines,
  make,
  type Mode,
  modes,
  nowMs,
  onStore,
  result,
  started,
  test
} from "./support/saved.ts"
import { asks, bad, input, joined, settle, slow, State, step } from "./support/threads.ts"

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

  test("on a resume leaves what was saved as it was, and can be tried again", () =>
    Effect.gen(function*() {
      for (const durability of modes) {
        for (const method of methods) {
          for (const fault of ["fails", "throws", "hangs", "mute"] as const) {
            for (const n of [1, 2, 3]) {
              const where = `${durability} ${method} ${fault} ${n}`
              const fake = new FakeStore()
              const ran: Array<string> = []
              const graph = make()
                .addNode("a", step(ran, "a")).addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y"))
                .addNode("x2", slow(ran, "x2", 10)).addFanInNode("join", joined)
                .setEntryPoint("a").addParallelEdge("a", "x", "join").addEdge("x", "x2")
                .addParallelEdge("a", "y", "join").setFinishPoint("join").compile()
              yield* ended(graph.invoke(input, { thread: "t" }), fake)
              const calls = fake.used.filter((used) => used.method === method).length
              fake.fault = (called, at) => called === method && at === calls + n ? fault : undefined
              const answers = { "x/ok": 1, "y/ok": 2 }
              const { exit } = yield* ended(graph.resume("t", { durability, answers }), fake)
              fake.fault = () => undefined
              yield* TestClock.adjust("1 hour")
              if (Exit.isSuccess(exit)) {
                assert.deepStrictEqual(exit.value.log, ["x Success a,x=1,x2", "y Success a,y=2"], where)
                continue
              }
              assert.strictEqual(errorOf(exit).reason, "Storage", where)
              // What had been answered is answered, the rest is open.
              let last: Exit.Exit<State, unknown> | undefined
              for (let i = 0; i < 4 && (last === undefined || Exit.isFailure(last)); i++) {
                const found = Option.getOrThrow(yield* fake.inner.load("t"))
                if (found.status === "completed") break
                const open = RunState.pending(Schema.decodeUnknownSync(RunState.fromBody)(found.body))
                const given = open.map(({ branch, name }) => [`${branch}/${name}`, branch === "x" ? 1 : 2])
                const again = graph.resume("t", { answers: Object.fromEntries(given), takeOver: true })
                last = (yield* ended(again, fake)).exit
              }
              const [end] = (yield* fake.inner.list("t")).slice(-1)
              assert.strictEqual(end?.status, "completed", where)
              if (last !== undefined) assert(Exit.isSuccess(last), where)
              assert.strictEqual(ran.filter((one) => one === "a").length, 1, where)
            }
          }
        }
      }
    }), 120_000)

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

describe("an interruption while the store hangs", () => {
  test("is over after the grace of the run, whatever that of a graph inside of it is", () =>
    Effect.gen(function*() {
      const fake = new FakeStore()
      fake.fault = (method, n) => method === "save" && n > 1 ? "hangs" : undefined
      const inside = make("inside").addNode("b", slow([], "b", 10)).addNode("c", slow([], "c", 10))
        .setEntryPoint("b").addEdge("b", "c").setFinishPoint("c").compile({ parallel: { grace: "10 seconds" } })
      const graph = make()
        .addSubgraph("a", inside, { input: (state) => state, output: (state) => state })
        .setEntryPoint("a").setFinishPoint("a").compile({ parallel: { grace: 50 } })
      const fiber = yield* started(graph.invoke(input, { thread: "t" }), fake)
      yield* settle
      yield* TestClock.adjust(20)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      yield* TestClock.adjust(150)
      assert.isDefined(stopping.pollUnsafe())
    }))
})

describe("a run on a thread that is interrupted", () => {
  it("leaves no timer and no fiber", () => {
    for (const grace of [0, 50, "wait"] as const) {
      const virtual = new Virtual()
      const fake = new FakeStore()
      const graph = make().addNode("a", slow([], "a", 10)).setEntryPoint("a").setFinishPoint("a")
        .compile({ parallel: { grace } })
      const fiber = virtual.fork(onStore(fake)(graph.invoke(input, { thread: "t" })))
      virtual.run(() => false, 5)
      assert.isAbove(virtual.timers, 0)
      fiber.interruptUnsafe()
      virtual.settle()
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual([virtual.timers, virtual.fibers], [0, 0], String(grace))
    }
  })
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
