/** Recordings: what they answer about a run, and what an expectation that is not met says. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Schema, Stream } from "effect"
import { Bulkhead, Checkpointer, GraphError, type GraphEvent, StateGraph } from "effect-stategraph"
import { Recorder, Script, VirtualTime } from "effect-stategraph/testing"
import { TestClock } from "effect/testing"

const State = Schema.Struct({ n: Schema.Number, log: Schema.optionalKey(Schema.Array(Schema.String)) })

class Bad extends Schema.TaggedError<Bad>()("Bad", { why: Schema.String }) {
  override get message() {
    return `it is bad: ${this.why}`
  }
}

/** A flow of each kind: one succeeds at the second attempt, one is too slow, one fails in a node with a policy of its own. */
const search = StateGraph.make("search", State)
  .addNode("plan", () => ({ n: 1 }))
  .addNode(
    "web",
    ({ n }, { attempt }) =>
      attempt === 1
        ? Effect.delay(Effect.fail(new Bad({ why: "busy" })), 10)
        : Effect.succeed({ n: n + 1, log: ["web"] })
  )
  .addNode("slow", () => Effect.sleep("1 hour"))
  .addNode("own", () => Effect.fail(new Bad({ why: "always" })), { retry: { maxRetries: 1, baseDelay: 3 } })
  .addFanInNode("join", (_state, { parallelResults }) => ({ log: parallelResults.map(({ _tag }) => _tag) }))
  .setEntryPoint("plan")
  .addParallelEdge("plan", "web", "join", { retry: { maxRetries: 2, baseDelay: 5 } })
  .addParallelEdge("plan", "slow", "join", { timeout: 100 })
  .addParallelEdge("plan", "own", "join", { name: "third" })
  .setFinishPoint("join")
  .compile()

const toEnd = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(VirtualTime.runToEnd(self), ({ exit }) => exit).pipe(Effect.provide(Logger.layer([])))

const recorded = toEnd(Recorder.record(search, { n: 0 }))

/** What an expectation that is not met says first. */
const issueOf = (expectation: () => unknown): string => {
  try {
    expectation()
  } catch (error) {
    assert.instanceOf(error, Recorder.ExpectationError)
    const { happened, issues, message } = error as Recorder.ExpectationError
    assert.strictEqual(message, `${issues.join("\n")}\n\n${happened}`)
    return issues.join("\n")
  }
  throw new Error("it is met")
}

describe("a recording", () => {
  it.effect("tells what happened to each flow", () =>
    Effect.gen(function*() {
      const recording = yield* recorded
      assert.deepStrictEqual(recording.branches, ["web", "slow", "third"])
      const { attempts, delaysMs, events, outcome, result } = recording.flow("web")
      assert.deepStrictEqual([outcome, attempts, delaysMs], ["Success", 2, [5]])
      assert.strictEqual(result?.timingMs, 15)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "FlowStarted",
        "AttemptStarted",
        "AttemptFailed",
        "RetryScheduled",
        "AttemptStarted",
        "AttemptSucceeded",
        "FlowCompleted"
      ])
      assert.strictEqual(recording.flow("slow").outcome, "Timeout")
      assert.strictEqual(recording.flow("third").attempts, 1)
    }))

  it.effect("tells how the run ended, and when", () =>
    Effect.gen(function*() {
      const { durationMs, exit, outcome } = yield* recorded
      assert.deepStrictEqual([outcome, durationMs], ["Completed", 100])
      assert.deepStrictEqual(exit, Exit.succeed({ n: 1, log: ["Success", "Timeout", "Failure"] }))
    }))

  it.effect("tells how often nodes ran and things happened", () =>
    Effect.gen(function*() {
      const recording = yield* recorded
      assert.deepStrictEqual(recording.node("web"), {
        started: 2,
        completed: 1,
        failed: 1,
        interrupted: 0,
        updates: [{ n: 2, log: ["web"] }]
      })
      assert.strictEqual(recording.node("slow").interrupted, 1)
      assert.strictEqual(recording.node("nobody").started, 0)
      assert.strictEqual(recording.count("AttemptStarted"), 6)
      assert.strictEqual(recording.count("AttemptStarted web"), 2)
      assert.strictEqual(recording.count("AttemptStarted web 2"), 1)
      assert.strictEqual(recording.count("AttemptStarted node own"), 2)
      assert.strictEqual(recording.count("AttemptFailed node own 2 in third"), 1)
      assert.strictEqual(recording.count("AttemptStarted we"), 0)
    }))

  it.effect("is text, with the time of each event", () =>
    Effect.gen(function*() {
      const { print } = yield* recorded
      assert.strictEqual(
        print,
        [
          `run of "search", completed after 100 ms`,
          `  0 ms  GraphStarted`,
          `  0 ms  NodeStarted plan`,
          `  0 ms  NodeCompleted plan: sets n`,
          `  0 ms  FlowStarted web`,
          `  0 ms  AttemptStarted web 1`,
          `  0 ms  NodeStarted web in web`,
          `  0 ms  FlowStarted slow`,
          `  0 ms  AttemptStarted slow 1`,
          `  0 ms  NodeStarted slow in slow`,
          `  0 ms  FlowStarted third`,
          `  0 ms  AttemptStarted third 1`,
          `  0 ms  NodeStarted own in third`,
          `  0 ms  AttemptStarted node own 1 in third`,
          `  0 ms  AttemptFailed node own 1 in third: Bad: it is bad: always`,
          `  0 ms  RetryScheduled node own 1 in third: again in 3 ms`,
          `  3 ms  AttemptStarted node own 2 in third`,
          `  3 ms  AttemptFailed node own 2 in third: Bad: it is bad: always`,
          `  3 ms  NodeFailed own in third: Bad: it is bad: always`,
          `  3 ms  AttemptFailed third 1: Bad: it is bad: always`,
          `  3 ms  FlowCompleted third Failure: Bad: it is bad: always`,
          ` 10 ms  NodeFailed web in web: Bad: it is bad: busy`,
          ` 10 ms  AttemptFailed web 1: Bad: it is bad: busy`,
          ` 10 ms  RetryScheduled web 1: again in 5 ms`,
          ` 15 ms  AttemptStarted web 2`,
          ` 15 ms  NodeStarted web in web`,
          ` 15 ms  NodeCompleted web in web: sets n, log`,
          ` 15 ms  AttemptSucceeded web 2`,
          ` 15 ms  FlowCompleted web Success`,
          `100 ms  NodeInterrupted slow in slow`,
          `100 ms  FlowTimedOut slow 1: its limit is 100 ms`,
          `100 ms  FlowCompleted slow Timeout: TimeoutError: flow "slow" timed out after 100 ms`,
          `100 ms  FanInStarted join: joins web Success, slow Timeout, third Failure`,
          `100 ms  NodeStarted join`,
          `100 ms  NodeCompleted join: sets log`,
          `100 ms  FanInCompleted join`,
          `100 ms  GraphCompleted`
        ].join("\n")
      )
    }))

  it.effect("of a loop holds each round of a flow", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("loop", State)
        .addNode("start", ({ n }) => ({ n: n + 1 }))
        .addNode("ask", ({ n }) => n === 1 ? Effect.fail("no") : Effect.void)
        .addFanInNode("join", () => {})
        .setEntryPoint("start")
        .addParallelEdge("start", "ask", "join")
        .addConditionalEdges("join", ({ n }) => n < 3 ? "again" : "done", { again: "start", done: StateGraph.END })
        .compile()
      const recording = yield* Recorder.record(graph, { n: 0 })
      assert.deepStrictEqual(recording.flows("ask").map(({ outcome }) => outcome), ["Failure", "Success", "Success"])
      recording.expectFlow("ask", { _tag: "Success", state: { n: 3 } })
    }))
})

describe("a run that does not complete", () => {
  it.effect("is recorded too: failed, and with input that is refused", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("bad", State)
        .addNode("only", () => Effect.fail(new Bad({ why: "always" })))
        .setEntryPoint("only")
        .setFinishPoint("only")
        .compile()
      const failed = yield* Recorder.record(graph, { n: 0 })
      assert.deepStrictEqual(failed.exit, Exit.fail(new Bad({ why: "always" })))
      failed.expectOutcome("Failed").expectOrder(["NodeFailed only", "GraphFailed"])
      assert.include(failed.print, "GraphFailed: Bad: it is bad: always")
      const refused = yield* Recorder.record(graph, { n: "x" } as never)
      assert.deepStrictEqual([refused.outcome, refused.events, refused.durationMs], ["Failed", [], 0])
      assert.isTrue(
        Exit.isFailure(refused.exit) && Cause.squash(refused.exit.cause) instanceof GraphError.InvalidInputError
      )
      assert.strictEqual(refused.print, `run of "bad", failed`)
    }))

  it.effect("can be watched, and interrupted", () =>
    Effect.gen(function*() {
      const web = Script.make<typeof State.Type>()
      const graph = StateGraph.make("watched", State)
        .addNode("web", web.node)
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "web", "join")
        .setFinishPoint("join")
        .compile()
      const recorder = yield* Recorder.make(graph)
      assert.deepStrictEqual([recorder.recording.outcome, recorder.recording.events], ["Running", []])
      const first = yield* Effect.forkChild(recorder.invoke({ n: 0 }), { startImmediately: true })
      yield* web.next
      const { recording } = recorder
      assert.deepStrictEqual([recording.outcome, recording.exit, recording.flow("web").outcome], [
        "Running",
        undefined,
        "Running"
      ])
      yield* TestClock.adjust(7)
      yield* Fiber.interrupt(first)
      recording.expectOutcome("Interrupted").expectFlow("web", { _tag: "Interrupted", timingMs: 7 })
      assert.isTrue(recording.exit !== undefined && Exit.hasInterrupts(recording.exit))
      const second = yield* Effect.forkChild(recorder.invoke({ n: 1 }), { startImmediately: true })
      yield* (yield* web.next).succeed({ n: 2 })
      assert.deepStrictEqual(yield* Fiber.join(second), { n: 2 })
      assert.deepStrictEqual(recorder.recordings.map(({ outcome }) => outcome), ["Interrupted", "Completed"])
      assert.strictEqual(recorder.recording, recorder.recordings[1])
    }))

  it.effect("waits for somebody, and is recorded when it is resumed", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("asks", State)
        .addNode("ask", () => Effect.map(StateGraph.suspend("how many", Schema.Number), (n) => ({ n })))
        .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ n: result!.state.n }))
        .addParallelEdge(StateGraph.START, "ask", "join")
        .setFinishPoint("join")
        .compile()
      const suspended = yield* Recorder.record(graph, { n: 0 }, { thread: "t" })
      suspended.expectOutcome("Suspended")
      assert.deepStrictEqual([suspended.flow("ask").outcome, suspended.flow("ask").result], ["Suspended", undefined])
      assert.include(suspended.print, "GraphSuspended: waits for how many")
      assert.strictEqual(
        issueOf(() => suspended.expectFlow("ask", { _tag: "Success" })),
        "flow ask has no result: it is suspended"
      )
      const resumed = yield* Recorder.recordResume(graph, "t", { answers: { "ask/how many": 3 } })
      assert.deepStrictEqual(resumed.exit, Exit.succeed({ n: 3 }))
      resumed.expectOutcome("Completed").expectFlow("ask", { _tag: "Success" })
      const unknown = yield* Recorder.recordResume(graph, "other")
      assert.isTrue(
        Exit.isFailure(unknown.exit) && Cause.squash(unknown.exit.cause) instanceof GraphError.CheckpointError
      )
    }).pipe(Effect.provide(Checkpointer.Checkpointer.layerMemory)))
})

describe("an expectation", () => {
  it.effect("that is met gives the recording back", () =>
    Effect.gen(function*() {
      const recording = yield* recorded
      assert.strictEqual(
        recording
          .expectOutcome("Completed")
          .expectFlow("web", { _tag: "Success", attempts: 2, state: { log: ["web"] }, retryCount: 1 })
          .expectFlow("web", {
            attemptErrors: [{ attempt: 1, error: "it is bad: busy", errorType: "Bad", timingMs: 10 }]
          })
          .expectFlow("slow", { _tag: "Timeout", timeoutMs: 100, failedNode: "slow", abandoned: false })
          .expectFlow("third", { error: /always/, failure: new Bad({ why: "always" }) })
          .expectOrder(["FlowStarted web", "FlowStarted slow", "FlowCompleted third Failure", "FlowCompleted web"])
          .expectOrder(["AttemptStarted web", "AttemptStarted web", "FanInStarted", "GraphCompleted"])
          .expectOrder([])
          .expectCount("RetryScheduled web", 1)
          .expectCount("FlowRejected", 0),
        recording
      )
    }))

  it.effect("of a flow says which fields differ, and what happened", () =>
    Effect.gen(function*() {
      const recording = yield* recorded
      assert.strictEqual(
        issueOf(() =>
          recording.expectFlow("web", { _tag: "Timeout", attempts: 2, state: { n: 3, log: ["web", "x"] } })
        ),
        [
          `flow web._tag is "Success", expected is "Timeout"`,
          `flow web.state.n is 2, expected is 3`,
          `flow web.state.log is ["web"], expected is ["web","x"]`
        ].join("\n")
      )
      assert.strictEqual(
        issueOf(() => recording.expectFlow("third", { error: /never/ })),
        `flow third.error is "it is bad: always", which /never/ does not match`
      )
      assert.include(issueOf(() => recording.expectFlow("third", { failure: new Bad({ why: "never" }) })), "always")
      assert.strictEqual(
        issueOf(() => recording.expectFlow("wbe", {})),
        "there is no flow wbe: the flows are web, slow, third"
      )
      assert.strictEqual(
        issueOf(() => recording.expectFlow("web", { abandoned: true })),
        "flow web.abandoned is false, expected is true"
      )
    }))

  it.effect("of the run, of an order and of a number says what is there instead", () =>
    Effect.gen(function*() {
      const recording = yield* recorded
      assert.strictEqual(
        issueOf(() => recording.expectOutcome("Failed")),
        `the outcome is "Completed", expected is "Failed"`
      )
      assert.strictEqual(
        issueOf(() => recording.expectOrder(["FlowCompleted web", "FlowCompleted third"])),
        "FlowCompleted third does not happen after FlowCompleted web; expected is this order: FlowCompleted web, FlowCompleted third"
      )
      assert.strictEqual(
        issueOf(() => recording.expectOrder(["FlowStarted nobody"])),
        "FlowStarted nobody does not happen; expected is this order: FlowStarted nobody"
      )
      assert.include(
        issueOf(() => recording.expectOrder(["GraphStarted", "GraphStarted"])),
        "GraphStarted does not happen after GraphStarted"
      )
      assert.strictEqual(
        issueOf(() => recording.expectCount("AttemptStarted web", 3)),
        "the number of AttemptStarted web is 2, expected is 3"
      )
    }))
})

describe("the other events", () => {
  it.effect("of circuits, limits, progress, fallbacks and what is abandoned are told", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("others", State)
        .addNode("down", () => Effect.fail("down"))
        .addNode("full", (_state, ctx) => Effect.andThen(ctx.emit({ done: 1 }), Effect.sleep(20)))
        .addNode("stuck", () => Effect.uninterruptible(Effect.sleep(500)))
        .addNode("saved", () => Effect.fail("no"), { fallback: { n: 9 } })
        .addFanInNode("join", () => {})
        .addParallelEdge(StateGraph.START, "down", "join", {
          circuitBreaker: { failureThreshold: 1, resetTimeout: 10 },
          retry: { maxRetries: 1, baseDelay: 1 }
        })
        .addParallelMap(StateGraph.START, "full", "join", {
          items: () => [1, 2],
          limit: { key: "db", permits: 1, queue: 0 }
        })
        .addParallelEdge(StateGraph.START, "stuck", "join", { timeout: 5, grace: 5, fallback: { n: 8 } })
        .addParallelEdge(StateGraph.START, "saved", "join")
        .setFinishPoint("join")
        .compile({ parallel: { grace: 30 } })
      const { print } = yield* toEnd(Recorder.record(graph, { n: 0 }))
      const lines = print.split("\n").map((line) => line.trim())
      for (
        const line of [
          "0 ms  CircuitStateChanged down CLOSED -> OPEN: circuit others/down",
          "1 ms  FlowRejected down: circuit others/down is OPEN",
          "0 ms  NodeProgress full in full[0]: {\"done\":1}",
          "0 ms  FlowRejected full[1]: limit db is full",
          "0 ms  NodeCompleted saved in saved: by its fallback, sets n",
          "0 ms  FlowCompleted saved Success: used its fallback"
        ]
      ) {
        assert.include(lines, line)
      }
    }).pipe(Effect.provide(Bulkhead.layer)))

  it.effect("that were collected otherwise are a recording too", () =>
    Effect.gen(function*() {
      const events = yield* toEnd(Stream.runCollect(search.stream({ n: 0 })))
      const recording = Recorder.fromEvents(events)
      assert.strictEqual(recording.print, (yield* recorded).print)
      assert.isUndefined(recording.exit)
      assert.strictEqual(Recorder.fromEvents<object, never, unknown>([]).outcome, "Running")
      const stored = JSON.parse(JSON.stringify(events)) as Array<GraphEvent.Any>
      assert.deepStrictEqual(Recorder.fromEvents(stored).flow("web").attempts, 2)
    }))
})
