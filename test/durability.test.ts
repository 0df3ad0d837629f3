/** When a run is saved, and what a stop can lose: the table of `durability`. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option } from "effect"
import { StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { FakeStore } from "./support/fakeStore.ts"
import { chain, ended, errorOf, lines, make, type Mode, modes, nowMs, result, started, test } from "./support/saved.ts"
import { asks, bad, input, joined, settle, slow, State, step } from "./support/threads.ts"

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
