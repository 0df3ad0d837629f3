/**
 * The types of the test kit tell the truth: checked by the compiler only, every line must hold.
 */
import { Context, Effect, type Exit, type Layer, Schema } from "effect"
import { type Checkpointer, FlowCallbacks, type GraphError, type GraphEvent, StateGraph } from "effect-stategraph"
import { Chaos, Invariants, Recorder, Script, VirtualTime } from "effect-stategraph/testing"
import { expectTypeOf, test } from "vitest"

type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const is = <A, B>(_same: Eq<A, B>): void => {}

class Http extends Context.Service<Http, { readonly get: Effect.Effect<number> }>()("Http") {}
class Bad extends Schema.TaggedError<Bad>()("Bad", {}) {}
class Worse extends Schema.TaggedError<Worse>()("Worse", {}) {}

const State = Schema.Struct({ n: Schema.Number, note: Schema.optionalKey(Schema.String) })
type State = typeof State.Type

// scripted nodes
const web = Script.make<State, Bad>()
const cache = Script.make<State>()
export const graph = StateGraph.make("g", State, { progress: Schema.Struct({ done: Schema.Number }) })
  .addNode("main", web.node)
  .addNode("cache", cache.node)
  .addNode("http", () => Effect.flatMap(Http, ({ get }) => Effect.map(get, (n) => ({ n }))))
  .addFanInNode("join")
  .setEntryPoint("main")
  .addParallelEdge("main", "cache", "join")
  .addParallelEdge("main", "http", "join")
  .setFinishPoint("join")
  .compile()
const invoked = graph.invoke({ n: 1 })
is<typeof invoked, Effect.Effect<State, Bad | GraphError.RunError, Http>>(true)

export const answering = Effect.gen(function*() {
  const call = yield* web.next
  is<typeof call, Script.Call<State, Bad>>(true)
  is<typeof call.state, State>(true)
  yield* call.succeed()
  yield* call.succeed({ n: 1 })
  // @ts-expect-error no key of the state
  yield* call.succeed({ m: 1 })
  // @ts-expect-error another type
  yield* call.succeed({ n: "1" })
  yield* call.fail(new Bad())
  is<Parameters<typeof call.fail>[0], Bad>(true)
  yield* (yield* cache.next).fail("anything")
  is<typeof call.interrupted, boolean>(true)
})
// @ts-expect-error a script of another state
StateGraph.make("other", Schema.Struct({ m: Schema.String })).addNode("web", web.node)

// faults need nothing and change no type
const chaos = Chaos.layer({
  seed: "a",
  failure: 0.1,
  latency: { max: "1 second" },
  nodes: ({ node }) => node === "web"
})
is<typeof chaos, Layer.Layer<never, GraphError.InvalidConfigError>>(true)
// @ts-expect-error a seed is needed
Chaos.layer({ failure: 0.1 })
// @ts-expect-error `max` is needed
Chaos.layer({ seed: 1, latency: { min: "1 second" } })

// running to the end
const ended = VirtualTime.runToEnd(invoked, { limit: "2 hours" })
is<typeof ended, Effect.Effect<VirtualTime.Ended<State, Bad | GraphError.RunError>, VirtualTime.NotEndedError, Http>>(
  true
)

// recordings
const recorded = Recorder.record(graph, { n: 1 })
is<
  typeof recorded,
  Effect.Effect<Recorder.Ended<State, Bad, { readonly done: number }, Bad | GraphError.RunError>, never, Http>
>(true)
const saved = Recorder.record(graph, { n: 1 }, { thread: "t" })
is<Effect.Services<typeof saved>, Http | Checkpointer.Checkpointer>(true)
class Audit extends Context.Service<Audit, { readonly note: Effect.Effect<void> }>()("Audit") {}
const watched = Recorder.record(graph, { n: 1 }, {
  callbacks: FlowCallbacks.make({ onFlowStart: () => Effect.flatMap(Audit, ({ note }) => note) })
})
is<Effect.Services<typeof watched>, Http | Audit>(true)
// @ts-expect-error input of another type
export const badInput = Recorder.record(graph, { n: "1" })
// @ts-expect-error no option of a run
export const badOption = Recorder.record(graph, { n: 1 }, { threads: "t" })
const resumed = Recorder.recordResume(graph, "t", { update: { n: 2 } })
is<Effect.Services<typeof resumed>, Http | Checkpointer.Checkpointer>(true)

export const asserting = Effect.gen(function*() {
  const recording = yield* recorded
  is<typeof recording.exit, Exit.Exit<State, Bad | GraphError.RunError>>(true)
  is<typeof recording.events, ReadonlyArray<GraphEvent.GraphEvent<State, Bad, { readonly done: number }>>>(true)
  const same = recording
    .expectOutcome("Completed")
    .expectFlow("cache", { _tag: "Timeout", attempts: 2, timeoutKind: "total", state: { n: 1 }, error: /limit/ })
    .expectFlow("cache", { failure: new Worse() })
    .expectOrder(["FlowStarted cache", "GraphCompleted"])
    .expectCount("FlowRejected", 0)
  is<typeof same, typeof recording>(true)
  is<NonNullable<ReturnType<typeof recording.flow>["result"]>["state"], State>(true)
  // @ts-expect-error no outcome of a run
  recording.expectOutcome("Success")
  // @ts-expect-error no tag of a result
  recording.expectFlow("cache", { _tag: "Succeeded" })
  // @ts-expect-error no field of a result
  recording.expectFlow("cache", { retries: 1 })
  // @ts-expect-error no key of the state
  recording.expectFlow("cache", { state: { m: 1 } })
  // @ts-expect-error a number is not looked for with a regular expression
  recording.expectFlow("cache", { attempts: /2/ })
  // @ts-expect-error no event
  recording.expectOrder(["FlowStart cache"])
  const recorder = yield* Recorder.make(graph)
  const run = recorder.invoke({ n: 1 })
  is<typeof run, typeof invoked>(true)
  is<typeof recorder.recording.exit, Exit.Exit<State, unknown> | undefined>(true)
  const found = Invariants.check(recording.events, { graph, config: { timeout: 100 } })
  is<typeof found, ReadonlyArray<string>>(true)
  // @ts-expect-error no graph
  Invariants.check(recording.events, { graph: {} })
})

test("the types of the test kit", () => {
  expectTypeOf(graph.name).toEqualTypeOf<string>()
})
