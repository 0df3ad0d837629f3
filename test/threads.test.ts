/** Who has a thread, who may take it, and what can be continued from what was saved under it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, Schema, Stream } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { FakeStore } from "./support/fakeStore.ts"
import {
  asks,
  bad,
  completed,
  failed,
  input,
  isFree,
  joined,
  questions,
  reasonOf,
  settle,
  slow,
  State,
  statuses,
  step,
  suspended,
  threaded
} from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)
const now = TestClock.testClockWith((clock) => clock.currentTimeMillis)

describe("a thread", () => {
  threaded("with a run that waits, has failed or was stopped takes no new run", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", asks(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
      const failing = make().addNode("a", () => bad("no")).setEntryPoint("a").setFinishPoint("a").compile()
      const hanging = make().addNode("a", () => Effect.never).setEntryPoint("a").setFinishPoint("a").compile()
      yield* drive.begin(graph, { thread: "waits" })
      yield* drive.begin(failing, { thread: "failed" })
      const fiber = yield* drive.start(hanging, { thread: "stopped" })
      yield* settle
      yield* Fiber.interrupt(fiber)
      for (
        const [thread, issue] of [["waits", /waits for somebody/], ["failed", /failed/], [
          "stopped",
          /has not ended/
        ]] as const
      ) {
        const before = yield* statuses(thread)
        const outcome = yield* drive.begin(graph, { thread })
        assert.strictEqual(reasonOf(outcome), "Unfinished")
        assert.match((failed(outcome) as GraphError.CheckpointError).issue, issue)
        assert.deepStrictEqual(yield* statuses(thread), before)
        assert.isTrue(yield* isFree(thread))
      }
      assert.deepStrictEqual(ran, ["a?"])
    }))

  threaded("whose run has ended takes a new one, and is not resumed", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", asks(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
      yield* drive.begin(graph)
      completed(yield* drive.resume(graph, { answers: { ok: 1 } }))
      assert.strictEqual(reasonOf(yield* drive.resume(graph)), "Finished")
      // The new run asks anew: an answer is of one run.
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["ok"])
      assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).n, 2)
      const store = yield* Checkpointer.Checkpointer
      const runs = (yield* store.list("t")).map(({ runId }) => runId)
      assert.strictEqual(new Set(runs).size, 2)
      const [last] = (yield* store.list("t")).slice(-1)
      assert.strictEqual(reasonOf(yield* drive.resume(graph, { checkpointId: last!.id })), "Finished")
    }))

  threaded(
    "that nobody knows, a checkpoint that is not there, and those of another graph are refused",
    (drive) =>
      Effect.gen(function*() {
        const graph = make().addNode("a", asks([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
        const other = make("other").addNode("a", asks([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
        assert.strictEqual(reasonOf(yield* drive.resume(graph)), "UnknownThread")
        yield* drive.begin(graph)
        assert.strictEqual(reasonOf(yield* drive.resume(graph, { checkpointId: "nope" })), "UnknownThread")
        assert.strictEqual(reasonOf(yield* drive.resume(other)), "WrongGraph")
        assert.strictEqual(reasonOf(yield* drive.begin(other)), "Unfinished")
        assert.deepStrictEqual([yield* isFree(), yield* statuses()], [true, ["running", "suspended"]])
      })
  )

  threaded("is not taken while its run is on, by nobody", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", slow(ran, "a", 100)).setEntryPoint("a").setFinishPoint("a").compile()
      const fiber = yield* drive.start(graph)
      yield* settle
      const others = yield* Effect.all([
        Effect.flip(graph.invoke(input, { thread: "t" })),
        Effect.flip(graph.resume("t")),
        Effect.flip(Stream.runDrain(graph.resumeStream("t")))
      ])
      assert.deepStrictEqual(others.map((error) => (error as GraphError.CheckpointError).reason), [
        "Claimed",
        "Claimed",
        "Claimed"
      ])
      yield* TestClock.adjust(100)
      completed(yield* Fiber.join(fiber))
      assert.deepStrictEqual(ran, ["a"])
    }))

  threaded("of two resumes at once exactly one gets it, and nothing runs twice", (drive) =>
    Effect.gen(function*() {
      for (const between of [0, 1, 2, 5]) {
        const ran: Array<string> = []
        const thread = `t${between}`
        const graph = make()
          .addNode("a", asks(ran, "a")).addNode("b", slow(ran, "b", 10))
          .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
        yield* drive.begin(graph, { thread })
        const first = yield* drive.startResume(graph, { answers: { ok: 1 } }, thread)
        for (let i = 0; i < between; i++) yield* Effect.yieldNow
        const second = yield* Effect.forkChild(Effect.result(graph.resume(thread, { answers: { ok: 1 } })), {
          startImmediately: true
        })
        yield* settle
        yield* TestClock.adjust(100)
        completed(yield* Fiber.join(first))
        const lost = yield* Fiber.join(second)
        assert(Result.isFailure(lost))
        assert.strictEqual((lost.failure as GraphError.CheckpointError).reason, "Claimed")
        assert.deepStrictEqual(ran, ["a?", "a?", "a", "b"])
      }
    }))

  threaded("has been given back when the end of its run is seen", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", asks(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
      const failing = make().addNode("a", () => bad("no")).setEntryPoint("a").setFinishPoint("a").compile()
      const seen: Array<unknown> = []
      const watch = (stream: Stream.Stream<{ readonly _tag: string }, unknown, Checkpointer.Checkpointer>) =>
        Effect.ignore(Stream.runForEach(stream, ({ _tag }) =>
          _tag === "GraphCompleted" || _tag === "GraphSuspended" || _tag === "GraphFailed"
            ? Effect.map(isFree(), (free) =>
              seen.push([_tag, free]))
            : Effect.void))
      yield* watch(graph.stream(input, { thread: "t" }))
      yield* watch(graph.resumeStream("t", { answers: { ok: 1 } }))
      yield* watch(failing.stream(input, { thread: "t" }))
      assert.deepStrictEqual(seen, [["GraphSuspended", true], ["GraphCompleted", true], ["GraphFailed", true]])
      assert.isTrue(yield* isFree())
      void drive
    }))
})

describe("a run whose thread is taken over", () => {
  for (const durability of ["step", "async"] as const) {
    threaded(`fails with its next save, and is interrupted (${durability})`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        let interrupted = 0
        const graph = make()
          .addNode("x", slow(ran, "x", 100)).addNode("x2", step(ran, "x2"))
          .addNode("y", (state) =>
            Effect.onInterrupt(slow(ran, "y", 1000)(state), () => Effect.sync(() => interrupted++)))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join").addEdge("x", "x2")
          .addParallelEdge(StateGraph.START, "y", "join").setFinishPoint("join").compile()
        const fiber = yield* drive.start(graph, { durability })
        yield* settle
        const other = yield* Effect.forkChild(graph.resume("t", { takeOver: true }), { startImmediately: true })
        yield* TestClock.adjust(3000)
        const outcome = yield* Fiber.join(fiber)
        assert.deepStrictEqual([reasonOf(outcome), outcome.at], ["Fenced", 100])
        assert.strictEqual(interrupted, 1)
        assert.deepStrictEqual((yield* Fiber.join(other)).log, ["x Success x,x2", "y Success y"])
        assert.strictEqual((yield* statuses()).at(-1), "completed")
        // The former owner gave nothing back that was not its own, and saved nothing after that.
        assert.isTrue(yield* isFree())
        const store = yield* Checkpointer.Checkpointer
        assert.strictEqual(
          new Set((yield* store.list("t")).map(({ runId }) =>
            runId
          )).size,
          1
        )
      }))
  }

  threaded("before its first save: a new run begins, and one that was saved stays", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", slow(ran, "a", 100)).setEntryPoint("a").setFinishPoint("a").compile()
      const store = yield* Checkpointer.Checkpointer
      yield* store.claim("t")
      assert.strictEqual(reasonOf(yield* drive.begin(graph)), "Claimed")
      const fiber = yield* drive.start(graph, { takeOver: true })
      yield* settle
      assert.strictEqual(reasonOf(yield* drive.begin(graph, { takeOver: true })), "Unfinished")
      yield* TestClock.adjust(200)
      assert.strictEqual(reasonOf(yield* Fiber.join(fiber)), "Fenced")
      assert.deepStrictEqual(yield* statuses(), ["running"])
    }))

  threaded("that is saved at its end only, ends with that", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", slow(ran, "a", 100)).addNode("b", step(ran, "b")).setEntryPoint("a").addEdge(
        "a",
        "b"
      ).setFinishPoint("b").compile()
      const store = yield* Checkpointer.Checkpointer
      const fiber = yield* drive.start(graph, { durability: "exit" })
      yield* settle
      yield* store.claim("t", { takeOver: true })
      yield* TestClock.adjust(100)
      const outcome = yield* Fiber.join(fiber)
      assert.deepStrictEqual([reasonOf(outcome), yield* statuses()], ["Fenced", []])
      assert.isFalse(yield* isFree())
    }))

  threaded("loses its lease, and is stopped at the next renewal", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const fake = new FakeStore(30_000)
      const graph = make().addNode("a", slow(ran, "a", 100_000)).setEntryPoint("a").setFinishPoint("a").compile()
      const fiber = yield* graph.invoke(input, { thread: "t" }).pipe(
        Effect.flip,
        Effect.tap(() => Effect.map(now, (at) => ran.push(`failed at ${at}`))),
        Effect.provideService(Checkpointer.Checkpointer, fake.service),
        Effect.forkChild({ startImmediately: true })
      )
      yield* settle
      yield* TestClock.adjust(25_000)
      assert.deepStrictEqual(fake.times("renew"), [10_000, 20_000])
      fake.lost = true
      yield* TestClock.adjust(10_000)
      assert.strictEqual(((yield* Fiber.join(fiber)) as GraphError.CheckpointError).reason, "Fenced")
      assert.deepStrictEqual(ran, ["failed at 30000"])
      yield* TestClock.adjust(100_000)
      assert.deepStrictEqual(fake.times("renew"), [10_000, 20_000, 30_000])
    }))
})

describe("interruption", () => {
  const turns = Array.from({ length: 60 }, (_, i) => i)
  threaded(
    "in any turn of a run leaves its thread free, and what was saved can be resumed",
    (drive) =>
      Effect.gen(function*() {
        for (const turn of turns) {
          const ran: Array<string> = []
          const thread = `t${turn}`
          const graph = make()
            .addNode("a", step(ran, "a")).addNode(
              "x",
              (state) => Effect.andThen(Effect.yieldNow, step(ran, "x")(state))
            )
            .addNode("y", step(ran, "y")).addFanInNode("join", joined)
            .setEntryPoint("a").addParallelEdge("a", "x", "join").addParallelEdge("a", "y", "join").setFinishPoint(
              "join"
            )
            .compile()
          const fiber = yield* drive.start(graph, { thread })
          for (let i = 0; i < turn; i++) {
            yield* Effect.yieldNow
          }
          yield* Fiber.interrupt(fiber)
          assert.isTrue(yield* isFree(thread), `turn ${turn}`)
          const last = (yield* statuses(thread)).at(-1)
          if (last === "completed") continue
          const outcome = last === undefined
            ? yield* drive.begin(graph, { thread })
            : yield* drive.resume(graph, {}, thread)
          assert.deepStrictEqual(completed(outcome).log, ["x Success a,x", "y Success a,y"])
        }
      })
  )

  for (const method of ["claim", "load", "save", "release"] as const) {
    threaded(`while a store is at work on ${method} leaves the thread free`, () =>
      Effect.gen(function*() {
        for (const ms of [0, 5, 10]) {
          const fake = new FakeStore()
          fake.fault = (called) => called === method ? { ms: 10 } : undefined
          const graph = make().addNode("a", step([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
          const fiber = yield* graph.invoke(input, { thread: "t" }).pipe(
            Effect.provideService(Checkpointer.Checkpointer, fake.service),
            Effect.forkChild({ startImmediately: true })
          )
          yield* settle
          yield* TestClock.adjust(ms)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
          yield* settle
          yield* TestClock.adjust(100)
          assert.isDefined(interrupting.pollUnsafe(), `${method} at ${ms}`)
          fake.fault = () => undefined
          const free = yield* Effect.provideService(isFree(), Checkpointer.Checkpointer, fake.service)
          assert.isTrue(free, `${method} at ${ms}`)
        }
      }))
  }

  it.effect("out of the store's own call does not lose the claim", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(0)
      for (const method of ["claim", "load", "save", "release"] as const) {
        for (const before of [true, false]) {
          const fake = new FakeStore()
          let fiber: Fiber.Fiber<unknown, unknown> | undefined
          const interrupting = Effect.sync(() => fiber?.interruptUnsafe())
          const around = <A, E>(self: Effect.Effect<A, E>) =>
            Effect.andThen(
              Effect.yieldNow,
              before ? Effect.andThen(interrupting, self) : Effect.tap(self, interrupting)
            )
          const service: Checkpointer.Service = {
            ...fake.service,
            [method]: (...args: ReadonlyArray<never>) =>
              around(
                (fake.service[method] as unknown as (...args: ReadonlyArray<never>) => Effect.Effect<unknown>)(...args)
              )
          }
          const graph = make().addNode("a", step([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
          fiber = yield* graph.invoke(input, { thread: "t" }).pipe(
            Effect.provideService(Checkpointer.Checkpointer, service),
            Effect.forkChild({ startImmediately: true })
          )
          yield* settle
          yield* TestClock.adjust("1 minute")
          assert.isDefined(fiber.pollUnsafe())
          assert.isTrue(
            yield* Effect.provideService(isFree(), Checkpointer.Checkpointer, fake.service),
            `${method} ${before}`
          )
        }
      }
    }))
})

describe("time travel", () => {
  const keyed =
    (keys: Array<string>, name: string) => (state: State, { idempotencyKey }: { readonly idempotencyKey: string }) => {
      keys.push(`${name}: ${idempotencyKey}`)
      return { n: state.n + 1, log: [...state.log, name] }
    }
  const graphOf = (keys: Array<string>) =>
    make()
      .addNode("a", (state, ctx) => keyed(keys, "a")(state, ctx))
      .addNode("x", (state, ctx) =>
        Effect.map(StateGraph.suspend("ok", Schema.Number), (n) => ({ ...keyed(keys, "x")(state, ctx), n })))
      .addNode("y", (state, ctx) =>
        keyed(keys, "y")(state, ctx))
      .addFanInNode("join", (_, { parallelResults }) => ({
        n: parallelResults.reduce((sum, { state }) =>
          sum + state.n, 0),
        log: parallelResults.flatMap(({ state }) => state.log)
      }))
      .addNode("b", (state, ctx) => keyed(keys, "b")(state, ctx))
      .setEntryPoint("a")
      .addParallelEdge("a", "x", "join").addParallelEdge("a", "y", "join")
      .addEdge("join", "b")
      .addConditionalEdges("b", ({ n }) => n < 100 ? "again" : "end", { again: "b", end: StateGraph.END })
      .compile()
  const answers = { ok: 95 }

  threaded("goes on from every checkpoint of a run, as a run of its own", (drive) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const graph = graphOf(keys)
      yield* drive.begin(graph)
      const whole = completed(yield* drive.resume(graph, { answers }))
      const store = yield* Checkpointer.Checkpointer
      const list = yield* store.list("t")
      assert.isTrue(list.length > 5)
      const runIds = new Set(list.map(({ runId }) => runId))
      assert.strictEqual(runIds.size, 1)
      for (const { id, status } of list.filter(({ status }) => status !== "completed")) {
        const count = (yield* store.list("t")).length
        let outcome = yield* drive.resume(graph, { checkpointId: id, ...status === "suspended" ? { answers } : {} })
        if (outcome._tag === "Suspended") {
          // It was forked from before the question, and has asked again; what it is resumed from now is its own.
          outcome = yield* drive.resume(graph, { answers })
        }
        assert.deepStrictEqual(completed(outcome), whole)
        const own = (yield* store.list("t")).slice(count)
        assert.deepStrictEqual(new Set(own.map(({ parent }) => parent)), new Set([id]))
        const [runId, ...more] = new Set(own.map(({ runId }) => runId))
        assert.deepStrictEqual(more, [])
        assert.isFalse(runIds.has(runId!))
        runIds.add(runId!)
      }
      // What was saved before is as it was.
      assert.deepStrictEqual((yield* store.list("t")).slice(0, list.length), list)
    }))

  threaded("from one checkpoint gives the same state, however often", (drive) =>
    Effect.gen(function*() {
      const graph = graphOf([])
      const { checkpointId } = suspended(yield* drive.begin(graph))
      const first = completed(yield* drive.resume(graph, { checkpointId, answers }))
      const second = completed(yield* drive.resume(graph, { checkpointId, answers }))
      const other = completed(yield* drive.resume(graph, { checkpointId, answers: { ok: 96 } }))
      assert.deepStrictEqual(second, first)
      assert.notDeepEqual(other, first)
      // A fork of the latest checkpoint is a fork too: the run itself can still be forked from there.
      assert.strictEqual(reasonOf(yield* drive.resume(graph)), "Finished")
    }))

  threaded(
    "keys of nodes are the same after a resume, others in a fork and in the next visit",
    (drive) =>
      Effect.gen(function*() {
        const keys: Array<string> = []
        const graph = graphOf(keys)
        const { checkpointId } = suspended(yield* drive.begin(graph, { runId: "run" }))
        yield* drive.resume(graph, { answers })
        assert.deepStrictEqual(keys.splice(0), [
          "a: run/a#1",
          "y: run/a#1>y/y#1",
          "x: run/a#1>x/x#1",
          "b: run/b#1",
          "b: run/b#2",
          "b: run/b#3"
        ])
        yield* drive.resume(graph, { checkpointId, answers })
        const forked = keys.splice(0).map((key) => key.slice(key.indexOf(" ") + 1))
        assert.deepStrictEqual(forked.map((key) => key.slice(key.indexOf("/"))), ["/a#1>x/x#1", "/b#1", "/b#2", "/b#3"])
        assert.strictEqual(new Set(forked.map((key) => key.slice(0, key.indexOf("/")))).size, 1)
        assert.isFalse(forked[0]!.startsWith("run/"))
      })
  )

  threaded("a key is that of the visit in which its node was stopped", (drive) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      let hangs = true
      const graph = make()
        .addNode("a", (_, { idempotencyKey }) => {
          keys.push(idempotencyKey)
          return keys.length === 2 && hangs ? Effect.never : Effect.succeed({ n: keys.length })
        })
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n < 4 ? "again" : "end", { again: "a", end: StateGraph.END }).compile()
      const fiber = yield* drive.start(graph, { runId: "run" })
      yield* settle
      yield* Fiber.interrupt(fiber)
      hangs = false
      completed(yield* drive.resume(graph))
      assert.deepStrictEqual(keys, ["run/a#1", "run/a#2", "run/a#2", "run/a#3"])
    }))
})
