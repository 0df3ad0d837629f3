import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Metric, Schema, Stream } from "effect"
import { FlowCallbacks, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { endOf, scenario, scenarioLive } from "./support/scenario.ts"

const State = Schema.Struct({ n: Schema.Number })
const quiet = Logger.layer([])

const wide = (
  flows: number,
  options?: StateGraph.CompileOptions<never, GraphError.CallbackError>,
  body = Effect.as(Effect.yieldNow, { n: 1 })
) => {
  let graph = StateGraph.make("wide", State).addNode("start" as string)
  for (let i = 0; i < flows; i++) graph = graph.addNode(`f${i}` as string, () => body)
  let joined = graph.addFanInNode("join" as string, (_state, { parallelResults }) => ({
    n: parallelResults.reduce((sum, result) => sum + (result.success ? result.state.n : 0), 0)
  }))
  for (let i = 0; i < flows; i++) joined = joined.addParallelEdge("start", `f${i}`, "join")
  return joined.setEntryPoint("start").setFinishPoint("join").compile(options)
}

/** What is logged as a warning, with the annotations. */
const warningsOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const warnings: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String(Array.isArray(message) ? message[0] : message))
    })
    return { value: yield* Effect.provide(self, Logger.layer([logger])), warnings }
  })

const failures = (graph: string, callbacks: string) =>
  Effect.map(
    Metric.value(Metric.counter("stategraph_callback_failures_total", {
      description: "Calls of hooks that failed, took too long, or had not ended when their run did",
      incremental: true,
      attributes: { graph, callbacks }
    })),
    ({ count }) => count
  )

describe("a callback object", () => {
  scenario("that hangs on 1000 flows costs one limit in all, and no flow any time", (run) =>
    Effect.gen(function*() {
      const callbacks = FlowCallbacks.make({ onFlowStart: () => Effect.never }, {
        name: "hanging",
        timeout: "2 seconds"
      })
      const { value, warnings } = yield* warningsOf(endOf(run(wide(1000, { callbacks }), { n: 0 })))
      assert.deepStrictEqual(value, { at: 2000, exit: Exit.succeed({ n: 1000 }) })
      // One call timed out; the others were not delivered, which is said once.
      assert.strictEqual(warnings.length, 2)
      assert.include(warnings[0], "onFlowStart")
      assert.include(warnings[1], "999 calls of \"hanging\"")
    }))

  it.effect("that did not get everything is counted", () =>
    Effect.gen(function*() {
      const callbacks = FlowCallbacks.make({ onFlowStart: () => Effect.never }, { name: "counted" })
      yield* endOf(wide(10, { callbacks }).invoke({ n: 0 })).pipe(Effect.provide(quiet))
      assert.strictEqual(yield* failures("wide", "counted"), 10)
    }))

  scenarioLive("that throws on every event changes no result", (run) =>
    Effect.gen(function*() {
      const broken = (): void => {
        throw new Error("broken")
      }
      const callbacks = FlowCallbacks.make({ onFlowStart: broken, onFlowComplete: broken, onCallbackError: broken })
      assert.deepStrictEqual(
        yield* run(wide(200, { callbacks }), { n: 0 }).pipe(Effect.provide(quiet)),
        yield* run(wide(200), { n: 0 })
      )
    }))

  scenario("sees nothing more after its first error when it says remove", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const callbacks = FlowCallbacks.make({
        onFlowStart: ({ branch }) => {
          seen.push(branch)
          throw new Error("once")
        },
        onFlowComplete: ({ branch }) => void seen.push(`complete ${branch}`)
      }, { errorPolicy: "remove" })
      const graph = wide(5, { callbacks })
      assert.deepStrictEqual(yield* run(graph, { n: 0 }).pipe(Effect.provide(quiet)), { n: 5 })
      assert.deepStrictEqual(seen, ["f0"])
      // For the rest of that run only.
      yield* run(graph, { n: 0 }).pipe(Effect.provide(quiet))
      assert.deepStrictEqual(seen, ["f0", "f0"])
    }))

  scenario(
    "fails the run at its next step when it says raise, and no flow runs twice",
    (run) =>
      Effect.gen(function*() {
        let executions = 0
        let joins = 0
        const callbacks = FlowCallbacks.make({
          onFlowStart: () => Effect.fail("refused")
        }, { name: "strict", errorPolicy: "raise" })
        const graph = StateGraph.make("strict", State)
          .addNode("work", () => Effect.andThen(Effect.sleep(10), Effect.sync(() => void executions++)))
          .addFanInNode("join", () => void joins++)
          .addParallelEdge(StateGraph.START, "work", "join", { retry: { maxRetries: 3 } })
          .setFinishPoint("join")
          .compile({ callbacks })
        const exit = yield* Effect.exit(run(graph, { n: 1 })).pipe(
          Effect.provide(quiet),
          Effect.forkChild({ startImmediately: true }),
          Effect.tap(() => TestClock.adjust(1000)),
          Effect.flatMap(Fiber.join)
        )
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(error, GraphError.CallbackError)
        assert.strictEqual(error.hook, "onFlowStart")
        assert.strictEqual(error.callbacks, "strict")
        assert.deepStrictEqual([executions, joins], [1, 0])
      })
  )

  scenario("that raises from the last event still fails the run", (run) =>
    Effect.gen(function*() {
      const callbacks = FlowCallbacks.make({
        onFlowComplete: () => Effect.andThen(Effect.sleep(100), Effect.fail("late"))
      }, { errorPolicy: "raise" })
      const { at, exit } = yield* endOf(run(wide(1, { callbacks }), { n: 1 }).pipe(Effect.provide(quiet)))
      assert.strictEqual(at, 100)
      assert.strictEqual(Exit.isFailure(exit) && (Cause.squash(exit.cause) as Error).name, "CallbackError")
    }))

  scenario("is told of the errors of all", (run) =>
    Effect.gen(function*() {
      const failed: Array<FlowCallbacks.Failed> = []
      const callbacks = [
        FlowCallbacks.make({ onFlowComplete: () => Effect.fail("full") }),
        FlowCallbacks.make({ onCallbackError: (error) => void failed.push(error) })
      ]
      yield* run(wide(1, { callbacks }), { n: 0 }).pipe(Effect.provide(quiet))
      assert.strictEqual(failed.length, 1)
      assert.strictEqual(failed[0]!.hook, "onFlowComplete")
      assert.strictEqual(failed[0]!.event._tag, "FlowCompleted")
      assert.strictEqual(Cause.squash(failed[0]!.cause), "full")
    }))

  scenario("of a run that fails has its grace, not its limit, to end", (run) =>
    Effect.gen(function*() {
      const callbacks = FlowCallbacks.make({ onFlowStart: () => Effect.never })
      const graph = StateGraph.make("failing", State)
        .addNode("work")
        .addFanInNode("join", () => Effect.fail("no"))
        .addParallelEdge(StateGraph.START, "work", "join")
        .setFinishPoint("join")
        .compile({ callbacks, parallel: { grace: 300 } })
      const { at, exit } = yield* endOf(run(graph, { n: 1 }).pipe(Effect.provide(quiet)))
      assert.deepStrictEqual([at, exit], [300, Exit.fail("no")])
    }))

  it.effect("of a run that is interrupted while it waits has its grace from then on", () =>
    Effect.gen(function*() {
      let released = -1
      const callbacks = FlowCallbacks.make({
        onFlowStart: () =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.clockWith((clock) => Effect.sync(() => void (released = clock.currentTimeMillisUnsafe()))))
      })
      const graph = wide(1, { callbacks, parallel: { grace: 300 } })
      const fiber = yield* Effect.forkChild(Effect.provide(graph.invoke({ n: 1 }), quiet), { startImmediately: true })
      yield* TestClock.adjust(1000)
      assert.isUndefined(fiber.pollUnsafe())
      fiber.interruptUnsafe()
      yield* TestClock.adjust(299)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const exit = fiber.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
      assert.strictEqual(released, 1300)
    }))

  it.effect("ends before the run's own end event", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const callbacks = FlowCallbacks.make({
        onFlowComplete: () => Effect.andThen(Effect.sleep(50), Effect.sync(() => void order.push("callback")))
      })
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(wide(1, { callbacks }).stream({ n: 1 }), ({ _tag }) =>
          Effect.sync(() => void (_tag === "GraphCompleted" && order.push(_tag)))),
        { startImmediately: true }
      )
      yield* TestClock.adjust(50)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(order, ["callback", "GraphCompleted"])
    }))
})

describe("callbacks", () => {
  class Sink extends Context.Service<Sink, { readonly add: (text: string) => Effect.Effect<void> }>()("Sink") {}

  it.effect("of compile, a run and layers are all called, with their own services", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const named = (name: string) => FlowCallbacks.make({ onFlowStart: () => void seen.push(name) })
      const needy = (name: string) =>
        FlowCallbacks.make({ onFlowStart: () => Effect.flatMap(Sink, (sink) => sink.add(name)) })
      const sink = (name: string) =>
        Layer.succeed(Sink, { add: (text) => Effect.sync(() => void seen.push(`${name}:${text}`)) })
      const graph = wide(1, { callbacks: named("compile") })
      yield* graph.invoke({ n: 1 }, { callbacks: [named("run"), needy("run")] }).pipe(
        Effect.provide(
          FlowCallbacks.layer(needy("inner"), { mergeWithExisting: true }).pipe(
            Layer.provide(sink("inner")),
            Layer.provideMerge(Layer.merge(FlowCallbacks.layer(named("outer")), sink("program")))
          )
        )
      )
      assert.deepStrictEqual([...seen].sort(), ["compile", "inner:inner", "outer", "program:run", "run"])
    }))

  it.effect("of an inner layer replace those of an outer one unless they are merged", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const named = (name: string) =>
        FlowCallbacks.layer(FlowCallbacks.make({ onFlowStart: () => void seen.push(name) }))
      yield* Effect.provide(wide(1).invoke({ n: 1 }), Layer.provideMerge(named("inner"), named("outer")))
      assert.deepStrictEqual(seen, ["inner"])
    }))

  it("with unknown hooks, bad limits or policies are refused by name", () => {
    const refused = (make: () => unknown): string => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, GraphError.InvalidConfigError)
        return error.message
      }
      return "accepted"
    }
    assert.include(refused(() => FlowCallbacks.make({ onStart: () => undefined } as never)), "onStart")
    assert.include(
      refused(() => FlowCallbacks.make({ onFlowStart: 1 as never })),
      "onFlowStart is 1, allowed is a function"
    )
    assert.include(refused(() => FlowCallbacks.make({}, { timeout: 0 })), "timeout is 0")
    assert.include(refused(() => FlowCallbacks.make({}, { timeout: Number.NaN })), "timeout is NaN")
    assert.include(refused(() => FlowCallbacks.make({}, { errorPolicy: "explode" as never })), "errorPolicy")
    assert.include(refused(() => FlowCallbacks.layer({} as never)), "FlowCallbacks.layer: callbacks is an object")
    assert.include(
      refused(() => {
        try {
          wide(1, { callbacks: [{}] as never })
        } catch (error) {
          throw new GraphError.InvalidConfigError({
            field: "",
            value: "",
            allowed: (error as Error).message,
            source: ""
          })
        }
      }),
      "callbacks is an array of 1, allowed is what FlowCallbacks.make returns"
    )
  })

  it.effect("of a run that are none fail it before any node", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(wide(1).invoke({ n: 1 }, { callbacks: {} as never }))
      assert.strictEqual(error._tag, "InvalidConfigError")
      assert.include(error.message, "callbacks")
    }))
})
