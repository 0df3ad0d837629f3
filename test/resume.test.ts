/** Runs that are saved, stopped and continued. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Stream } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"

const State = Schema.Struct({ n: Schema.Number, log: Schema.Array(Schema.String) })
class Bad extends Schema.TaggedError<Bad>()("Bad", { message: Schema.String }) {}
const input = { n: 0, log: [] }

const step = (ran: Array<string>, name: string) => (state: typeof State.Type) =>
  Effect.sync(() => {
    ran.push(name)
    return { n: state.n + 1, log: [...state.log, name] }
  })

const suspended = <A, E, R>(self: Effect.Effect<A, E | GraphError.GraphSuspended, R>) =>
  Effect.flatMap(Effect.flip(self), (error) =>
    (error as { readonly _tag?: string })._tag === "GraphSuspended"
      ? Effect.succeed(error as GraphError.GraphSuspended)
      : Effect.die(error))

const stored = <A, E>(self: Effect.Effect<A, E, Checkpointer.Checkpointer>) =>
  Effect.provide(self, Checkpointer.Checkpointer.layerMemory)

describe("a run that is saved", () => {
  it.effect("has a checkpoint for its start, each node but the last, and its end", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", step(ran, "a")).addNode("b", step(ran, "b")).addNode("c", step(ran, "c"))
        .setEntryPoint("a").addEdge("a", "b").addEdge("b", "c").setFinishPoint("c").compile()
      const store = yield* Checkpointer.Checkpointer
      assert.deepStrictEqual(yield* graph.invoke(input, { thread: "t" }), { n: 3, log: ["a", "b", "c"] })
      const list = yield* store.list("t")
      assert.deepStrictEqual(list.map(({ status }) => status), ["running", "running", "running", "completed"])
      const finished = yield* Effect.flip(graph.resume("t"))
      assert.strictEqual((finished as GraphError.CheckpointError).reason, "Finished")
      // On a finished thread a new run begins.
      yield* graph.invoke(input, { thread: "t" })
      assert.strictEqual(ran.length, 6)
    })))

  it.effect("that failed goes on with the node that it failed with", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      let broken = true
      const graph = StateGraph.make("g", State)
        .addNode("a", step(ran, "a"))
        .addNode("b", (state) =>
          broken
            ? Effect.fail(new Bad({ message: "no" }))
            : Effect.succeed({ n: state.n + 10 }))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      assert.strictEqual((yield* Effect.flip(graph.invoke(input, { thread: "t" })))._tag, "Bad")
      const unfinished = yield* Effect.flip(graph.invoke(input, { thread: "t" }))
      assert.strictEqual((unfinished as GraphError.CheckpointError).reason, "Unfinished")
      broken = false
      assert.deepStrictEqual(yield* graph.resume("t"), { n: 11, log: ["a"] })
      assert.deepStrictEqual(ran, ["a"])
    })))

  it.effect("interrupted in its flows goes on after their last completed nodes", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      let hangs = true
      const graph = StateGraph.make("g", State)
        .addNode("a", step(ran, "a"))
        .addNode("x1", step(ran, "x1"))
        .addNode("x2", (state) => hangs ? Effect.never : step(ran, "x2")(state))
        .addNode("y", step(ran, "y"))
        .addFanInNode("join", (_, { parallelResults }) => ({ log: parallelResults.flatMap(({ state }) => state.log) }))
        .setEntryPoint("a")
        .addParallelEdge("a", "x1", "join").addParallelEdge("a", "y", "join")
        .addEdge("x1", "x2").setFinishPoint("join").compile()
      const fiber = yield* Effect.forkChild(graph.invoke(input, { thread: "t" }), { startImmediately: true })
      yield* TestClock.adjust(1000)
      yield* Fiber.interrupt(fiber)
      hangs = false
      assert.deepStrictEqual(ran, ["a", "x1", "y"])
      assert.deepStrictEqual((yield* graph.resume("t")).log, ["a", "x1", "x2", "a", "y"])
      assert.deepStrictEqual(ran, ["a", "x1", "y", "x2"])
    })))
})

describe("suspension", () => {
  it.effect("an answer goes on where the question was asked", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", step(ran, "a"))
        .addNode("ask", (state) =>
          Effect.map(StateGraph.suspend("ok", Schema.Boolean, { n: state.n }), (ok) => ({ n: ok ? 100 : -1 })))
        .setEntryPoint("a").addEdge("a", "ask").setFinishPoint("ask").compile()
      const error = yield* suspended(graph.invoke(input, { thread: "t" }))
      assert.deepStrictEqual(error.pending, [
        { node: "ask", when: "asked", name: "ok", payload: { n: 1 }, schema: { type: "boolean" } }
      ])
      assert.strictEqual(error.thread, "t")
      const wrong = yield* Effect.flip(graph.resume("t", { answers: { ok: "perhaps" } }))
      assert.strictEqual((wrong as GraphError.CheckpointError).reason, "Answer")
      const other = yield* Effect.flip(graph.resume("t", { answers: { nope: true } }))
      assert.strictEqual((other as GraphError.CheckpointError).reason, "Answer")
      assert.deepStrictEqual(yield* graph.resume("t", { answers: { ok: true } }), { n: 100, log: ["a"] })
    })))

  it.effect("in flows, several at once, answered one at a time", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      const asking = (state: typeof State.Type, name: string) =>
        Effect.map(StateGraph.suspend("ok", Schema.Number), (n) => ({ n, log: [...state.log, name] }))
      const graph = StateGraph.make("g", State)
        .addNode("x", (state) => asking(state, "x"))
        .addNode("y", (state) => asking(state, "y"))
        .addNode("z", step(ran, "z"))
        .addFanInNode("join", (_, { parallelResults }) => ({ log: parallelResults.map(({ state }) => `${state.n}`) }))
        .addParallelEdge(StateGraph.START, "x", "join", { timeout: 100 })
        .addParallelEdge(StateGraph.START, "y", "join", { retry: { maxRetries: 2 } })
        .addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile()
      const first = yield* suspended(graph.invoke(input, { thread: "t" }))
      assert.deepStrictEqual(first.pending.map(({ branch, name }) => `${branch}/${name}`), ["x/ok", "y/ok"])
      const ambiguous = yield* Effect.flip(graph.resume("t", { answers: { ok: 1 } }))
      assert.match((ambiguous as GraphError.CheckpointError).issue, /several open questions: "x\/ok", "y\/ok"/)
      yield* TestClock.adjust("1 hour")
      const second = yield* suspended(graph.resume("t", { answers: { "y/ok": 2 } }))
      assert.deepStrictEqual(second.pending.map(({ branch, name }) => `${branch}/${name}`), ["x/ok"])
      const events = yield* Stream.runCollect(graph.resumeStream("t", { answers: { "x/ok": 1 } }))
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "GraphStarted",
        "FlowStarted",
        "AttemptStarted",
        "NodeStarted",
        "CheckpointSaved",
        "NodeCompleted",
        "AttemptSucceeded",
        "FlowCompleted",
        "CheckpointSaved",
        "FanInStarted",
        "NodeStarted",
        "NodeCompleted",
        "FanInCompleted",
        "CheckpointSaved",
        "GraphCompleted"
      ])
      assert.deepStrictEqual(ran, ["z"])
    })))

  it.effect("before and after a node, once each", () =>
    stored(Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = StateGraph.make("g", State)
        .addNode("a", step(ran, "a")).addNode("b", step(ran, "b"))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b")
        .compile({ suspendBefore: ["b"], suspendAfter: ["b", "a"] })
      const points: Array<string> = []
      let exit = yield* Effect.exit(graph.invoke(input, { thread: "t" }))
      for (let i = 0; i < 5 && Exit.isFailure(exit); i++) {
        const error = (exit.cause.reasons[0] as unknown as { readonly error: GraphError.GraphSuspended }).error
        points.push(error.pending.map(({ name, when }) => `${when} ${name}`).join())
        exit = yield* Effect.exit(graph.resume("t"))
      }
      assert.deepStrictEqual(points, ["after a", "before b", "after b"])
      assert.deepStrictEqual(ran, ["a", "b"])
      assert.isTrue(Exit.isSuccess(exit))
    })))
})
