/** What an attempt tells when it begins and ends, and what is taken for it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Schedule, Schema, Tracer } from "effect"
import { Bulkhead, type Checkpointer, type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../src/internal/builder.ts"
import { execute, resume } from "../src/internal/run.ts"
import { type Body, boom, fan, type Result, State } from "./support/fan.ts"
import { interrupted, settled, thread, within } from "./support/killed.ts"
import { endOf, eventsOf } from "./support/scenario.ts"
import { recordingTracer } from "./support/tracer.ts"

const { START } = StateGraph

const quiet = Effect.provide([Logger.layer([]), Bulkhead.layer])

describe("the span of an attempt", () => {
  it.effect("ends as the attempt does", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const { graph } = fan({
        good: () => Effect.sleep(10),
        bad: () => boom("down"),
        itself: () => Effect.interrupt,
        late: [() => Effect.never, { timeout: 5 }],
        stopped: () => Effect.never
      }, { completion: { minSuccessful: 1 } })
      yield* endOf(Effect.provideService(graph.invoke({ n: 0 }), Tracer.Tracer, tracer))
      const how = (span: Tracer.NativeSpan) => {
        const { status } = span
        if (status._tag !== "Ended") return "is open"
        if (Exit.isSuccess(status.exit)) return "succeeds"
        const { cause } = status.exit
        return Cause.hasInterruptsOnly(cause) ? "is interrupted" : (Cause.squash(cause) as { _tag: string })._tag
      }
      const attempts = spans.filter(({ name }) => name === "StateGraph.attempt")
      assert.deepStrictEqual(attempts.map((span) => `${span.attributes.get("flow.branch")} ${how(span)}`), [
        "good succeeds",
        "bad Boom",
        "itself is interrupted",
        "late FlowTimeoutError",
        "stopped is interrupted"
      ])
    }))
})

describe("an attempt that a circuit lets through", () => {
  it.effect("as its probe tells that first, and once", () =>
    Effect.gen(function*() {
      const circuitBreaker = { failureThreshold: 1, resetTimeout: 100, successThreshold: 2 }
      let broken = true
      const { graph } = fan({ a: [() => broken ? boom("down") : {}, { circuitBreaker }] })
      yield* endOf(graph.invoke({ n: 0 }), 100)
      broken = false
      const told = Effect.map(eventsOf(graph, { n: 0 }), ({ events }) =>
        events.flatMap((event): ReadonlyArray<string> => {
          if (event._tag === "CircuitStateChanged") {
            return [`${event.from} -> ${event.to}`]
          }
          return event._tag === "FlowStarted" || event._tag.startsWith("Attempt") ? [event._tag] : []
        }))
      assert.deepStrictEqual(yield* told, ["FlowStarted", "OPEN -> HALF_OPEN", "AttemptStarted", "AttemptSucceeded"])
      assert.deepStrictEqual(yield* told, [
        "FlowStarted",
        "AttemptStarted",
        "AttemptSucceeded",
        "HALF_OPEN -> CLOSED"
      ])
    }).pipe(quiet))
})

describe("an attempt that is not needed any more when its start is told", () => {
  it.effect("is stopped at once", () =>
    Effect.gen(function*() {
      const b: { ends?: () => void } = {}
      const { graph, result } = fan({
        b: () =>
          Effect.callback<void>((resume) => {
            b.ends = () => resume(Effect.void)
          }),
        a: () => Effect.sleep(500)
      }, { completion: { minSuccessful: 1 } })
      const events: Array<string> = []
      const { at } = yield* endOf(execute(compiledOf(graph), { n: 0 }, {}, (event) => {
        if ("branch" in event && event.branch === "a") events.push(event._tag)
        if (event._tag === "AttemptStarted" && event.branch === "a") b.ends!()
      }))
      assert.strictEqual(at, 0)
      assert.deepInclude(result("a"), { _tag: "Interrupted", attempts: 1, timingMs: 0, abandoned: false })
      assert.include(events, "AttemptInterrupted")
      assert.strictEqual(events.at(-1), "FlowCompleted")
    }))
})

describe("a schedule of retries that dies", () => {
  const dies = Schedule.forever.pipe(Schedule.modifyDelay(() => Effect.die(new RangeError("no such delay"))))

  it.effect("is a defect of a run whose node has it", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State).addNode("a", () => boom("down"), { retry: dies })
        .setEntryPoint("a").setFinishPoint("a").compile()
      const { exit } = yield* endOf(graph.invoke({ n: 0 }))
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.instanceOf(Cause.squash(exit.cause), RangeError)
    }).pipe(quiet))

  it.effect("makes its defect the result of the flow, and the others go on", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({ a: [() => boom("down"), { retry: dies }], b: () => Effect.sleep(10) })
      const { at } = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(at, 10)
      assert.deepInclude(result("a"), {
        _tag: "Failure",
        error: "no such delay",
        errorType: "RangeError",
        attempts: 1,
        abandoned: false
      })
      assert.strictEqual(result("b")._tag, "Success")
    }).pipe(quiet))
})

describe("a permit that comes when the time of a flow is up", () => {
  it.effect("is given back", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({
        a: [() => boom("down"), {
          limit: { key: "k", permits: 1 },
          retry: { maxRetries: 1, baseDelay: 20 },
          totalTimeout: 20
        }]
      })
      const { at } = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(at, 20)
      assert.deepInclude(result("a"), { _tag: "Timeout", timeoutKind: "total", attempts: 1, timingMs: 20 })
      assert.deepStrictEqual((yield* Bulkhead.CurrentBulkheads).states, [])
    }).pipe(quiet))
})

describe("a flow of a continued run that can only wait on", () => {
  const asks = (name: string, then: Effect.Effect<void> = Effect.void): Body => () =>
    Effect.andThen(StateGraph.suspend(name, Schema.String), then) as never

  /** How it ends within a second, by whatever answers; one that hangs is left alone. */
  const continued = (graph: object, store: Checkpointer.Service, answers: Readonly<Record<string, string>> = {}) =>
    Effect.gen(function*() {
      const events: Array<GraphEvent.Any> = []
      const run = resume(compiledOf(graph), thread, { answers }, (event) => void events.push(event))
      const fiber = yield* Effect.forkDetach(within(store)(Effect.exit(run) as Effect.Effect<unknown>))
      yield* settled
      yield* TestClock.adjust(1_000)
      assert.isDefined(fiber.pollUnsafe(), "it has ended")
      return events
    })

  it.effect("needs no permit for that", () =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const { graph } = fan({ a: [asks("question"), { limit }] })
      const store = yield* interrupted(Effect.exit(graph.invoke({ n: 0 }, { thread })), 10)
      yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
      assert.strictEqual((yield* continued(graph, store)).at(-1)?._tag, "GraphSuspended")
    }).pipe(quiet))

  const ways: ReadonlyArray<readonly [string, StateGraph.EdgeConfig & { readonly fallback?: string }, boolean]> = [
    ["in an attempt", {}, false],
    ["instead of its attempts", { fallback: "first" }, true]
  ]
  for (const [what, edge, usedFallback] of ways) {
    it.effect(`${what} is where it was from the start, and does not wait for a place`, () =>
      Effect.gen(function*() {
        const results: Array<Result> = []
        const graph = StateGraph.make("g", State)
          .addNode("b", asks("go", Effect.sleep(50)))
          .addNode("fails", () => boom("down"))
          .addNode("first", () => ({ v: "mine" }))
          .addNode("asks", asks("question"))
          .addFanInNode("join", (_state, { parallelResults }) => void results.push(...parallelResults), {
            completion: { within: 30 }
          })
          .addEdge("first", "asks")
          .addParallelEdge(START, "b", "join", { concurrency: 1 })
          .addParallelEdge(START, usedFallback ? "fails" : "first", "join", { name: "a", ...edge } as {})
          .addParallelEdge(START, "fails", "join")
          .setFinishPoint("join").compile()
        const store = yield* interrupted(Effect.exit(graph.invoke({ n: 0 }, { thread })), 10)
        const events = yield* continued(graph, store, { "b/go": "yes" })
        assert.deepInclude(results[1], {
          branch: "a",
          _tag: "Interrupted",
          state: { n: 0, v: "mine" },
          usedFallback,
          attempts: 1
        })
        const attempts = events.flatMap((event) => event._tag === "AttemptStarted" ? [event] : [])
        assert.deepStrictEqual(attempts.map(({ branch }) => branch), usedFallback ? ["b"] : ["b", "a"])
      }).pipe(quiet))
  }
})
