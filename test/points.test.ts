/** `suspendBefore` and `suspendAfter`, on every kind of line; and what a run that waits tells of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Tracer } from "effect"
import { FlowCallbacks, type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Loose, loose } from "./support/looseBuilder.ts"
import {
  asks,
  bad,
  completed,
  type Driver,
  failed,
  joined,
  questions,
  type Runnable,
  settle,
  slow,
  State,
  statuses,
  step,
  suspended,
  threaded
} from "./support/threads.ts"
import { recordingTracer } from "./support/tracer.ts"

const make = (name = "g") => StateGraph.make(name, State)

/** Resumes until it is done, and tells where it stopped, each time. */
const points = (drive: Driver, graph: Runnable) =>
  Effect.gen(function*() {
    const stops: Array<string> = []
    let outcome = yield* drive.begin(graph)
    for (let i = 0; i < 30 && outcome._tag === "Suspended"; i++) {
      stops.push(questions(outcome).join(" + "))
      outcome = yield* drive.resume(graph)
    }
    return { stops, state: completed(outcome) }
  })

describe("a point", () => {
  threaded(
    "before and after nodes of the main line, both on one node, stops once each time that it is passed",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("a", step(ran, "a")).addNode("b", step(ran, "b"))
          .setEntryPoint("a").addEdge("a", "b")
          .addConditionalEdges("b", ({ n }) => n < 4 ? "again" : "end", { again: "a", end: StateGraph.END })
          .compile({ suspendBefore: ["a", "b"], suspendAfter: ["b"] })
        const { state, stops } = yield* points(drive, graph)
        const round = ["before a", "before b", "after b"]
        assert.deepStrictEqual(stops, [...round, ...round])
        assert.deepStrictEqual(state.log, ["a", "b", "a", "b"])
        assert.deepStrictEqual(ran, ["a", "b", "a", "b"])
      })
  )

  threaded("of pass-through, fan-in and guarded nodes, and of nodes that ask", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("pass").addNode("x", step(ran, "x"))
        .addNode("guarded", step(ran, "guarded"), { retry: { maxRetries: 1 }, timeout: 100 })
        .addFanInNode("join", joined).addFanInNode("merge")
        .addNode("end", step(ran, "end"))
        .setEntryPoint("pass").addEdge("pass", "guarded").addEdge("guarded", "join")
        .addParallelEdge("pass", "x", "join").addParallelEdge("join", "x", "merge")
        .addEdge("join", "merge").addEdge("merge", "end").setFinishPoint("end")
        .compile({
          suspendBefore: ["pass", "guarded", "join", "merge"],
          suspendAfter: ["pass", "guarded", "join", "merge", "end"]
        })
      const { state, stops } = yield* points(drive, graph)
      assert.deepStrictEqual(stops, [
        "before pass",
        "after pass",
        "before guarded",
        "after guarded",
        "before join",
        "after join",
        "before merge",
        "after merge",
        "after end"
      ])
      assert.deepStrictEqual(state.log, ["x Success x", "x", "end"])
      assert.deepStrictEqual([...ran].sort(), ["end", "guarded", "x", "x"])
    }))

  threaded("in flows stops each of them, while the others go on to theirs", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("x", step(ran, "x")).addNode("x2", step(ran, "x2")).addNode("y", slow(ran, "y", 100))
        .addNode("deep", step(ran, "deep"))
        .addFanInNode("inner", joined).addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join", { timeout: 50, retry: { maxRetries: 2 } }).addEdge("x", "x2")
        .addParallelEdge(StateGraph.START, "y", "join", { concurrency: 1 })
        .addParallelEdge("x2", "deep", "inner")
        .setFinishPoint("join")
        .compile({ suspendBefore: ["x2", "deep", "inner"], suspendAfter: ["y", "deep", "inner"] })
      const { state, stops } = yield* points(drive, graph)
      assert.deepStrictEqual(stops, [
        "before x/x2 + after y/y",
        "before x/deep/deep",
        "after x/deep/deep",
        "before x/inner",
        "after x/inner"
      ])
      assert.deepStrictEqual(state.log, ["x Success x/deep Success x,x2,deep", "y Success y"])
      assert.deepStrictEqual(ran, ["x", "y", "x2", "deep"])
    }))

  threaded("of a graph that is a node, and of nodes inside of one", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const inner = make("inner").addNode("in", step(ran, "in")).addNode("in2", step(ran, "in2"))
        .setEntryPoint("in").addEdge("in", "in2").setFinishPoint("in2")
        .compile({ suspendBefore: ["in"], suspendAfter: ["in", "in2"] })
      const graph = make()
        .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state })
        .addNode("end", step(ran, "end"))
        .setEntryPoint("sub").addEdge("sub", "end").setFinishPoint("end")
        .compile({ suspendBefore: ["sub"], suspendAfter: ["sub"] })
      const { state, stops } = yield* points(drive, graph)
      assert.deepStrictEqual(stops, ["before sub", "before in", "after in", "after in2", "after sub"])
      assert.deepStrictEqual(state.log, ["in", "in2", "end"])
      assert.deepStrictEqual(ran, ["in", "in2", "end"])
    }))

  threaded(
    "of a node that stands in for another one: before it, and after the other",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make().addNode("b", step(ran, "b")).addNode("a", () => bad("no"), { fallback: "b" })
          .setEntryPoint("a").setFinishPoint("a").compile({ suspendBefore: ["a", "b"], suspendAfter: ["a"] })
        const { state, stops } = yield* points(drive, graph)
        assert.deepStrictEqual(stops, ["before a", "before b", "after a"])
        assert.deepStrictEqual(state.log, ["b"])
      })
  )

  threaded("and a question of its node are two stops", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", asks(ran, "a")).setEntryPoint("a").setFinishPoint("a")
        .compile({ suspendBefore: ["a"], suspendAfter: ["a"] })
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["before a"])
      assert.deepStrictEqual(ran, [])
      assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["ok"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["after a"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, ["a=1"])
    }))

  threaded("takes no answer", (drive) =>
    Effect.gen(function*() {
      const graph = make().addNode("a").setEntryPoint("a").setFinishPoint("a").compile({ suspendBefore: ["a"] })
      yield* drive.begin(graph)
      const error = failed(yield* drive.resume(graph, { answers: { a: true } }))
      assert.match(String(error), /no open question is called "a", there is none/)
    }))

  threaded("that was passed is not one again when the run is stopped at its node", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let hangs = true
      const hanging = (name: string) => (state: State) => hangs ? Effect.never : step(ran, name)(state)
      const graph = make()
        .addNode("a", hanging("a")).addNode("x", hanging("x")).addNode("y", step(ran, "y"))
        .addFanInNode("join", joined)
        .setEntryPoint("a").addParallelEdge("a", "x", "join").addParallelEdge("a", "y", "join").setFinishPoint("join")
        .compile({ suspendBefore: ["a", "x", "y"] })
      yield* drive.begin(graph)
      const stopped = Effect.gen(function*() {
        const fiber = yield* drive.startResume(graph)
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual((yield* statuses()).at(-1), "running")
      })
      yield* stopped
      hangs = false
      assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["before x/x", "before y/y"])
      hangs = true
      yield* stopped
      hangs = false
      assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, ["x Success a,x", "y Success a,y"])
    }))

  threaded(
    "after a node holds what the node did, even if the run is stopped while others still run",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        let hangs = true
        const graph = make()
          .addNode("x", step(ran, "x")).addNode("z", (state) => hangs ? Effect.never : step(ran, "z")(state))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "z", "join")
          .setFinishPoint("join").compile({ suspendAfter: ["x"] })
        const fiber = yield* drive.start(graph)
        yield* settle
        // Its completion is a boundary like any other: saved at once, not only when the run is stopped.
        assert.deepStrictEqual(yield* statuses(), ["running", "running"])
        yield* Fiber.interrupt(fiber)
        hangs = false
        // Nobody was told that the run waits there.
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["after x/x"])
        assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, ["x Success x", "z Success z"])
        assert.deepStrictEqual(ran, ["x", "z"])
      })
  )

  threaded(
    "is not passed by a run that was stopped before it said that it waits there",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        let hangs = true
        const inner = make().addNode("deep", step(ran, "deep")).setEntryPoint("deep").setFinishPoint("deep")
          .compile({ suspendBefore: ["deep"] })
        const graph = make()
          .addNode("x", step(ran, "x"), { limit: { key: "one", permits: 1 } }).addSubgraph("graph", inner, {
            input: (state) => state,
            output: (state) => state
          })
          .addNode("z", (state) => hangs ? Effect.never : step(ran, "z")(state))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join", { limit: { key: "flow", permits: 1 } })
          .addParallelEdge(StateGraph.START, "graph", "join", { retry: { maxRetries: 1 } })
          .addParallelEdge(StateGraph.START, "z", "join")
          .setFinishPoint("join").compile({ suspendBefore: ["x", "join"] })
        const fiber = yield* drive.start(graph)
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual((yield* statuses()).at(-1), "running")
        const again = yield* drive.startResume(graph)
        yield* settle
        yield* Fiber.interrupt(again)
        assert.deepStrictEqual(ran, [])
        hangs = false
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["before x/x", "before graph/deep"])
        assert.deepStrictEqual(ran, ["z"])
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["before join"])
        assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, [
          "x Success x",
          "graph Success deep",
          "z Success z"
        ])
        assert.deepStrictEqual(ran, ["z", "x", "deep"])
      })
  )

  it("of an unknown node is refused by compile, with every other problem", () => {
    const graph = () => (loose("g").addNode("a") as Loose).setEntryPoint("a").setFinishPoint("a")
    const wrong: ReadonlyArray<readonly [object, RegExp]> = [
      [{ suspendBefore: ["b"] }, /suspendBefore is "b", allowed is names of nodes: a/],
      [{ suspendAfter: ["a", "c"], suspendBefore: ["d"] }, /suspendBefore is "d".*\n.*suspendAfter is "c"/],
      [{ suspendBefore: "a" }, /suspendBefore is "a", allowed is a list of node names/],
      [{ suspendAfter: [1] }, /suspendAfter is 1/],
      [{ suspendBefore: [StateGraph.START] }, /suspendBefore/],
      [{ suspendBefore: null }, /suspendBefore/]
    ]
    for (const [options, message] of wrong) assert.throws(() => graph().compile(options), message)
  })
})

describe("a run that waits for somebody", () => {
  const tell = (event: GraphEvent.Any): string => {
    const where = "branch" in event && event.branch !== undefined ? ` ${event.branch}` : ""
    return `${event._tag}${where}${"node" in event ? ` ${event.node}` : ""}`
  }
  const graphOf = (ran: Array<string>) =>
    make()
      .addNode("x", asks(ran, "x"), { retry: { maxRetries: 1 } }).addNode("outer")
      .addNode("deep", asks(ran, "deep")).addNode("z", slow(ran, "z", 100))
      .addFanInNode("inner", joined).addFanInNode("join", joined)
      .addParallelEdge(StateGraph.START, "x", "join", { retry: { maxRetries: 1 }, circuitBreaker: {}, concurrency: 1 })
      .addParallelEdge(StateGraph.START, "outer", "join").addParallelEdge("outer", "deep", "inner")
      .addParallelEdge(StateGraph.START, "z", "join")
      .setFinishPoint("join")

  threaded("ends everything that it started, once, with the run's own end last", (drive) =>
    Effect.gen(function*() {
      const graph = graphOf([]).compile()
      suspended(yield* drive.begin(graph))
      if (drive.path === "invoke") return
      // That everything is in pairs is what the driver has seen to; and nothing begins after the last one waits.
      const last = drive.events.slice(drive.events.findIndex(({ _tag }) => _tag === "FlowCompleted")).map(tell)
      assert.deepStrictEqual([...last].sort(), [
        "AttemptInterrupted outer",
        "AttemptInterrupted outer/deep",
        "AttemptInterrupted x",
        "AttemptInterrupted x x",
        "CheckpointSaved",
        "CheckpointSaved",
        "FlowCompleted z",
        "FlowSuspended outer",
        "FlowSuspended outer/deep",
        "FlowSuspended x",
        "GraphSuspended",
        "NodeInterrupted x x"
      ])
      const pending = drive.events.flatMap((event) => event._tag === "FlowSuspended" ? [event] : [])
      assert.deepStrictEqual(
        Object.fromEntries(
          pending.map(({ branch, pending }) => [branch, pending.map((one) => `${one.branch}/${one.name}`)])
        ),
        { x: ["x/ok"], outer: ["outer/deep/ok"], "outer/deep": ["outer/deep/ok"] }
      )
      const end = drive.events.at(-1)
      assert(end?._tag === "GraphSuspended")
      assert.deepStrictEqual(end.pending.map(({ branch }) => branch), ["x", "outer/deep"])
      completed(yield* drive.resume(graph, { answers: { "x/ok": 1, "outer/deep/ok": 2 } }))
      const starts = drive.events.filter(({ _tag }) => _tag === "FlowStarted").map(tell)
      assert.deepStrictEqual(starts.sort(), ["FlowStarted outer", "FlowStarted outer/deep", "FlowStarted x"])
    }))

  threaded("leaves no flow in flight, no span open, and tells its callbacks", (drive) =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const note = (hook: string) => (event: { readonly branch: string }) => void calls.push(`${hook} ${event.branch}`)
      const callbacks = FlowCallbacks.make({ onFlowStart: note("start"), onFlowComplete: note("complete") })
      const graph = graphOf([]).compile({ callbacks })
      const { spans, tracer } = recordingTracer()
      const metrics: typeof Metric.MetricRegistry.Service = new Map()
      const watched = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        self.pipe(
          Effect.provideService(Tracer.Tracer, tracer),
          Effect.provideService(Metric.MetricRegistry, metrics)
        )
      const inFlight = Effect.map(
        Effect.provideService(Metric.snapshot, Metric.MetricRegistry, metrics),
        (all) => all.filter(({ id }) => id === "stategraph_flows_in_flight").map(({ state }) => state)
      )
      const fiber = yield* watched(drive.start(graph))
      yield* settle
      assert.deepStrictEqual(yield* inFlight, [{ value: 4 }] as never)
      yield* TestClock.adjust(100)
      suspended(yield* Fiber.join(fiber))
      assert.deepStrictEqual(yield* inFlight, [{ value: 0 }] as never)
      assert.deepStrictEqual(spans.filter(({ status }) => status._tag !== "Ended").map(({ name }) => name), [])
      const ofFlows = spans.filter(({ name }) => name === "StateGraph.flow")
      const outcomes = ofFlows.map(({ attributes }) => [attributes.get("flow.branch"), attributes.get("flow.outcome")])
      assert.deepStrictEqual(Object.fromEntries(outcomes), {
        x: "Suspended",
        outer: "Suspended",
        "outer/deep": "Suspended",
        z: "Success"
      })
      const run = spans.find(({ name }) => name === "StateGraph.run")
      assert.isTrue(run?.status._tag === "Ended" && run.status.exit._tag === "Success")
      assert.deepStrictEqual(calls.splice(0).sort(), [
        "complete z",
        "start outer",
        "start outer/deep",
        "start x",
        "start z"
      ])
      completed(yield* watched(drive.resume(graph, { answers: { "x/ok": 1, "outer/deep/ok": 2 } })))
      assert.deepStrictEqual(yield* inFlight, [{ value: 0 }] as never)
      assert.deepStrictEqual(spans.filter(({ status }) => status._tag !== "Ended"), [])
      assert.deepStrictEqual(calls.sort(), [
        "complete outer",
        "complete outer/deep",
        "complete x",
        "start outer",
        "start outer/deep",
        "start x"
      ])
    }))

  threaded("does not hide what a callback raises, and waits on all the same", (drive) =>
    Effect.gen(function*() {
      const graph = graphOf([]).compile()
      const callbacks = FlowCallbacks.make({ onFlowStart: () => Effect.fail("no") }, { errorPolicy: "raise" })
      const first = yield* drive.begin(graph, { callbacks })
      assert.strictEqual((failed(first) as { readonly _tag: string })._tag, "CallbackError")
      assert.strictEqual((yield* statuses()).at(-1), "suspended")
      completed(yield* drive.resume(graph, { answers: { "x/ok": 1, "outer/deep/ok": 2 } }))
    }))
})
