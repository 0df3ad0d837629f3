/**
 * A run that is interrupted at every point where it can be: inside of every event, and at every instant of its clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, type Fiber, Schema } from "effect"
import { type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../src/internal/builder.ts"
import { execute } from "../src/internal/run.ts"
import { check, interrupted as interruptedIn, resource } from "./support/interrupting.ts"
import { faults } from "./support/pairs.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", {}) {}

/** Flows of every kind, flows in a flow, a loop, a main line beside its flows, finalizers that take their time. */
const graph = StateGraph.make("all", Schema.Struct({ n: Schema.Number }))
  .addNode("first", ({ n }, { emit }) => Effect.as(Effect.andThen(emit("on it"), Effect.sleep(2)), { n: n + 1 }))
  .addNode("beside", () => Effect.andThen(resource, Effect.sleep(7)))
  .addNode("good", () => Effect.andThen(resource, Effect.sleep(12)))
  .addNode("again", () => ({}))
  .addNode(
    "flaky",
    (_state, { attempt }) => Effect.andThen(Effect.sleep(4), attempt < 3 ? Effect.fail(new Boom()) : Effect.void)
  )
  .addNode("broken", () => Effect.die("defect"))
  .addNode("hanging", () => Effect.andThen(resource, Effect.never))
  .addNode("stuck", () => Effect.uninterruptible(Effect.sleep(60)))
  .addNode("queued", () => Effect.sleep(5))
  .addNode("outer", () => Effect.sleep(1))
  .addNode("inner", () => Effect.andThen(Effect.sleep(2), Effect.fail(new Boom())))
  .addNode("sibling", () => Effect.andThen(resource, Effect.sleep(9)))
  .addFanInNode("innerJoin", () => Effect.sleep(1))
  .addFanInNode("join", ({ n }) => Effect.as(Effect.andThen(resource, Effect.sleep(3)), { n: n + 10 }))
  .setEntryPoint("first")
  .addEdge("first", "beside")
  .addEdge("good", "again")
  .addParallelEdge("first", "good", "join")
  .addParallelEdge("first", "flaky", "join", {
    retry: { maxRetries: 2, baseDelay: 3 },
    circuitBreaker: { failureThreshold: 9 }
  })
  .addParallelEdge("first", "broken", "join", { circuitBreaker: { failureThreshold: 1 } })
  .addParallelEdge("first", "hanging", "join", { timeout: 6, totalTimeout: 15, retry: { maxRetries: 5, baseDelay: 2 } })
  .addParallelEdge("first", "stuck", "join", { timeout: 8, grace: 4 })
  .addParallelEdge("first", "queued", "join", { name: "queued" })
  .addParallelEdge("first", "outer", "join", { retry: { maxRetries: 1, baseDelay: 2 } })
  .addParallelEdge("outer", "inner", "innerJoin", { failFast: true })
  .addParallelEdge("outer", "sibling", "innerJoin")
  .addConditionalEdges("join", ({ n }) => n < 30 ? "more" : "enough", { more: "first", enough: StateGraph.END })
  .compile({ parallel: { concurrency: 5, grace: 10 } })

const interrupted = interruptedIn(graph)

describe("a run interrupted anywhere", () => {
  it.effect("has the events of an undisturbed run to be measured by", () =>
    Effect.gen(function*() {
      const whole = yield* interrupted({ event: Infinity })
      check(whole, "undisturbed")
      assert.isTrue(Exit.isSuccess(whole.exit!))
      assert.isAbove(whole.events.length, 150)
    }))

  it.effect("ends everything it started exactly once, interrupted inside of any event", () =>
    Effect.gen(function*() {
      const { events: { length } } = yield* interrupted({ event: Infinity })
      // All but the very last, `GraphCompleted`, which comes too late to be undone.
      for (let event = 1; event < length; event++) {
        const result = yield* interrupted({ event })
        check(result, `interrupted by event ${event} (${result.events[event - 1]!._tag})`, result.events[event - 1]!.at)
        assert.isTrue(Exit.isFailure(result.exit!), `interrupted by event ${event}`)
      }
    }), 60_000)

  it.effect("ends everything it started exactly once, interrupted at any instant", () =>
    Effect.gen(function*() {
      const { events } = yield* interrupted({ event: Infinity })
      const lastMs = events.at(-1)!.at - events[0]!.at
      assert.isAbove(lastMs, 60)
      for (let ms = 0; ms < lastMs; ms++) {
        const result = yield* interrupted({ ms })
        check(result, `interrupted after ${ms} ms`)
        assert.isTrue(Exit.isFailure(result.exit!), `interrupted after ${ms} ms`)
        // Its grace is 10 ms: nothing is waited for beyond that.
        assert.isAtMost(result.events.at(-1)!.at - result.before, 10)
      }
    }), 60_000)

  it.effect("ends everything when a node stops the run that it is part of, in the middle of itself", () =>
    Effect.gen(function*() {
      for (const inFlow of [false, true]) {
        const events: Array<GraphEvent.Any> = []
        let fiber: Fiber.Fiber<unknown, unknown> | undefined
        const stop = () => fiber!.interruptUnsafe()
        const start = StateGraph.make("suicide", Schema.Struct({ n: Schema.Number }))
          .addNode("wait", () => Effect.sleep(5))
          .addNode("stop", () => Effect.andThen(Effect.sync(stop), Effect.sleep(10)))
          .addNode("other", () => Effect.sleep(20))
          .addFanInNode("join")
          .setEntryPoint("wait")
        const stopping = inFlow
          ? start.addParallelEdge("wait", "stop", "join").addParallelEdge("wait", "other", "join").setFinishPoint(
            "join"
          )
            .compile()
          : start.addEdge("wait", "stop").addParallelEdge("wait", "other", "join").setFinishPoint("join").compile()
        fiber = yield* Effect.forkDetach(
          execute(compiledOf(stopping), { n: 0 }, undefined, (event) => void events.push(event))
        )
        yield* TestClock.adjust(50)
        assert.deepStrictEqual(faults(events), [])
        const exit = fiber.pollUnsafe()!
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.strictEqual(events.at(-1)!.at - events[0]!.at, 5)
      }
    }))

  it.effect("ends everything when a node makes another flow fail fast, in the middle of itself", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<never, Boom>()
      const events: Array<GraphEvent.Any> = []
      const graph = StateGraph.make("murder", Schema.Struct({ n: Schema.Number }))
        .addNode("waits", () => Deferred.await(gate))
        .addNode("opens", () =>
          Effect.andThen(Effect.sleep(5), () => {
            Deferred.doneUnsafe(gate, Exit.fail(new Boom()))
            return Effect.sleep(10)
          }))
        .addNode("late", () => Effect.sleep(20))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "waits", "join", { failFast: true })
        .addParallelEdge(StateGraph.START, "opens", "join")
        .addParallelEdge(StateGraph.START, "late", "join")
        .setFinishPoint("join")
        .compile()
      const fiber = yield* Effect.forkDetach(
        execute(compiledOf(graph), { n: 0 }, undefined, (event) => void events.push(event))
      )
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(faults(events), [])
      assert.isTrue(Exit.isFailure(fiber.pollUnsafe()!))
      assert.strictEqual(events.at(-1)!.at - events[0]!.at, 5)
      const results = events.flatMap((event) => event._tag === "FlowCompleted" ? [event.result] : [])
      assert.deepStrictEqual(results.map(({ _tag, branch }) => `${branch} ${_tag}`).sort(), [
        "late Interrupted",
        "opens Interrupted",
        "waits Failure"
      ])
    }))
})
