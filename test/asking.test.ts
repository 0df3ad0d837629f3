/** What a node can do around its question: nothing that it is made of can see, swallow or repeat that it is parked. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import {
  asks,
  completed,
  failed,
  input,
  joined,
  questions,
  settle,
  slow,
  State,
  statuses,
  step,
  suspended,
  threaded
} from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

const ask = StateGraph.suspend("ok", Schema.Number)
type Asking = Effect.Effect<number, unknown, StateGraph.Suspends>

const alone = (body: (ran: Array<string>) => Asking, ran: Array<string>) =>
  make()
    .addNode("a", () =>
      Effect.map(body(ran), (n) => ({ n })) as Effect.Effect<{ readonly n: number }, never, StateGraph.Suspends>)
    .setEntryPoint("a").setFinishPoint("a").compile()

describe("a question is not seen", () => {
  const ways: Record<string, (ran: Array<string>) => Asking> = {
    "by catch": (ran) => Effect.catch(ask as Asking, () => Effect.sync(() => ran.push("catch"))),
    "by catchCause": (ran) => Effect.catchCause(ask, () => Effect.sync(() => ran.push("catchCause"))),
    "by catchDefect": (ran) => Effect.catchDefect(ask, () => Effect.sync(() => ran.push("catchDefect"))),
    "by exit": (ran) =>
      Effect.flatMap(Effect.exit(ask), (exit) => {
        if (Exit.isFailure(exit)) ran.push("exit")
        return exit
      }),
    "by retry": (ran) =>
      Effect.retry(
        Effect.tapCause(ask as Asking, () => Effect.sync(() => ran.push("tapCause"))),
        Schedule.recurs(3)
      ),
    "by option and result": () => Effect.map(Effect.option(ask), (some) => some._tag === "Some" ? some.value : -1),
    "by a timeout": () => Effect.timeout(ask, 10),
    "by a race that it would lose": () => Effect.race(ask, Effect.never),
    "by a fiber that awaits it": () => Effect.flatMap(Effect.forkChild(ask), Fiber.join),
    "by an uninterruptible region": () => Effect.uninterruptible(ask),
    "by exit in an uninterruptible region": (ran) =>
      Effect.uninterruptible(Effect.map(Effect.exit(ask), (exit) => {
        if (Exit.isFailure(exit)) ran.push("remains")
        return Exit.isSuccess(exit) ? exit.value : -1
      })),
    "by exit of its mask": (ran) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.map(Effect.exit(restore(ask)), (exit) => {
          if (Exit.isFailure(exit)) ran.push("remains")
          return Exit.isSuccess(exit) ? exit.value : -1
        })
      ),
    "by a finalizer that fails": () => Effect.ensuring(ask, Effect.die(new Error("finalizer"))),
    "by acquireUseRelease": (ran) =>
      Effect.acquireUseRelease(Effect.void, () => ask, () => Effect.sync(() => ran.push("remains")))
  }
  for (const [name, body] of Object.entries(ways)) {
    threaded(name, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = alone(body, ran)
        assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["ok"])
        // What runs when it is interrupted are finalizers, and what cannot be interrupted; what comes of it counts for nothing.
        assert.deepStrictEqual(ran.filter((what) => what !== "remains"), [])
        if (name.includes("finalizer")) return
        assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: 7 } })).n, 7)
      }))
  }

  threaded(
    "by the retries, the fallback and the circuit of its node and its flow, whatever is around it",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const policy = {
          retry: { maxRetries: 3 },
          circuitBreaker: { failureThreshold: 1 },
          fallback: { log: ["fallback"] }
        } as const
        const graph = make()
          .addNode("x", () =>
            Effect.uninterruptible(Effect.flatMap(Effect.exit(ask), (exit) => {
              ran.push(exit._tag)
              return Exit.isSuccess(exit) ? Effect.succeed({ n: exit.value }) : Effect.die(new Error("seen"))
            })), policy)
          .addFanInNode("join", (_, { parallelResults }) => ({ n: parallelResults[0]!.state.n }))
          .addParallelEdge(StateGraph.START, "x", "join", policy)
          .setFinishPoint("join").compile()
        assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["x/ok"])
        assert.deepStrictEqual((yield* graph.circuitStates).map(({ failureCount }) => failureCount), [0, 0])
        assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: 7 } })).n, 7)
        assert.deepStrictEqual(ran, ["Failure", "Success"])
      })
  )
})

describe("the finalizers of a node that asks", () => {
  threaded("run, before the run ends", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const note = (what: string) => Effect.sync(() => void ran.push(what))
      const graph = alone(() =>
        Effect.scoped(Effect.gen(function*() {
          yield* Effect.acquireRelease(note("open"), () => Effect.andThen(Effect.sleep(100), note("close")))
          return yield* ask.pipe(Effect.onInterrupt(() => note("onInterrupt")), Effect.ensuring(note("ensuring")))
        })), ran)
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual(questions(first), ["ok"])
      assert.strictEqual(first.at, 100)
      assert.deepStrictEqual(ran, ["open", "onInterrupt", "ensuring", "close"])
    }))

  threaded("that never end are abandoned after grace", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const stuck = (name: string) => (state: State) =>
        Effect.ensuring(
          asks(ran, name)(state),
          Effect.suspend(() => ran.includes(name) ? Effect.void : Effect.never)
        )
      const graph = make()
        .addNode("a", stuck("a")).addNode("x", stuck("x"))
        .addFanInNode("join", joined)
        .setEntryPoint("a").addParallelEdge("a", "x", "join", { grace: 20 }).setFinishPoint("join")
        .compile({ parallel: { grace: 50 } })
      const first = yield* drive.begin(graph, { thread: "t" })
      assert.deepStrictEqual([questions(first), first.at], [["ok"], 50])
      const now = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
      const second = yield* drive.resume(graph, { answers: { ok: 1 } })
      assert.deepStrictEqual([questions(second), second.at], [["x/ok"], now + 20])
      completed(yield* drive.resume(graph, { answers: { ok: 1 } }))
    }))
})

describe("a question that is not needed any more", () => {
  threaded("is withdrawn, and the node after it is not touched", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("a", () => Effect.raceFirst(Effect.as(ask, {}), Effect.as(Effect.void, { n: 5 })))
        .addNode("b", slow(ran, "b", 100))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      assert.deepStrictEqual(completed(yield* drive.begin(graph)), { n: 6, log: ["b"] })
    }))

  threaded("of a detached fiber does not stop what runs when its node has ended", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const exits: Array<Exit.Exit<number>> = []
      const graph = make()
        .addNode("a", () =>
          Effect.as(
            Effect.forkDetach(
              Effect.delay(ask, 50).pipe(
                Effect.exit,
                Effect.map((exit) => exits.push(exit))
              )
            ),
            {}
          ))
        .addNode("b", slow(ran, "b", 100))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      assert.deepStrictEqual(completed(yield* drive.begin(graph)).log, ["b"])
      assert.match(Cause.pretty((exits[0] as Exit.Failure<number, never>).cause), /its node "a" has ended/)
    }))
})

describe("a question outside of a node", () => {
  it.effect("is a defect", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(ask as Effect.Effect<number>)
      assert.isTrue(Exit.hasDies(exit))
      assert.match(Cause.pretty((exit as Exit.Failure<number, never>).cause), /suspend\("ok"\) is for nodes/)
      const nameless = yield* Effect.exit(StateGraph.suspend("", Schema.Number) as Effect.Effect<number>)
      assert.match(Cause.pretty((nameless as Exit.Failure<number, never>).cause), /needs a name/)
    }))

  threaded("of the items of a map is a defect, and the run ends", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("a", step(ran, "a")).addNode("b", slow(ran, "b", 10)).addNode("each", step(ran, "each"))
        .addFanInNode("join", joined)
        .setEntryPoint("a").addEdge("a", "b").addEdge("b", "join")
        .addParallelMap("a", "each", "join", { items: () => Effect.map(ask, (n) => [n]) })
        .setFinishPoint("join").compile()
      const last = yield* drive.begin(graph)
      assert.match(String(failed(last)), /suspend\("ok"\) is for nodes/)
    }))

  threaded(
    "of a run of its own inside of a node suspends that run, and is no question of the node",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const other = make("other").addNode("ask", asks(ran, "ask")).setEntryPoint("ask").setFinishPoint("ask")
          .compile()
        const graph = make()
          .addNode("a", () => Effect.as(other.invoke(input), {}))
          .setEntryPoint("a").setFinishPoint("a").compile()
        const last = yield* drive.begin(graph)
        // An error of the node like any other: this run has failed, and waits for nobody.
        if (drive.path === "invoke") assert.strictEqual(suspended(last).checkpointId, undefined)
        else assert.strictEqual((failed(last) as GraphError.GraphSuspended)._tag, "GraphSuspended")
        assert.deepStrictEqual((yield* statuses()).at(-1), "failed")
        assert.strictEqual(drive.events.at(-1)?._tag, drive.path === "stream" ? "GraphFailed" : undefined)
        assert.deepStrictEqual(ran, ["ask?"])
      })
  )
})

describe("without a thread", () => {
  it.effect("a run that asks has no thread and no checkpoint in its error", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("x", asks(ran, "x")).addNode("z", slow(ran, "z", 100)).addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile({ suspendBefore: ["z"] })
      const fiber = yield* Effect.forkChild(Effect.flip(graph.invoke(input)), { startImmediately: true })
      yield* settle
      yield* TestClock.adjust(1000)
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "GraphSuspended")
      assert.deepStrictEqual([error.thread, error.checkpointId], [undefined, undefined])
      assert.deepStrictEqual(Object.keys(error).filter((key) => key === "thread" || key === "checkpointId"), [])
      assert.deepStrictEqual(error.pending.map(({ name, when }) => `${when} ${name}`), ["asked ok", "before z"])
      assert.match(error.message, /ok/)
    }))
})
