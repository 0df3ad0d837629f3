/**
 * What a graph that can wait for somebody, or is saved, says in its types: checked by the compiler only, every line must hold.
 */
import { Context, Effect, Schema, type Stream } from "effect"
import { type Checkpointer, FlowCallbacks, type GraphError, type GraphEvent, StateGraph } from "effect-stategraph"
import { expectTypeOf, test } from "vitest"

class Http extends Context.Service<Http, { readonly get: Effect.Effect<number> }>()("Http") {}
class Bad extends Schema.TaggedError<Bad>()("Bad", {}) {}
class Late extends Schema.TaggedError<Late>()("Late", {}) {}

const State = Schema.Struct({ n: Schema.Number })
type State = typeof State.Type
type Error<A> = A extends Effect.Effect<unknown, infer E, infer _R> ? E
  : A extends Stream.Stream<unknown, infer E, infer _R> ? E
  : never
type Services<A> = A extends Effect.Effect<unknown, infer _E, infer R> ? R
  : A extends Stream.Stream<unknown, infer _E, infer R> ? R
  : never

const input = { n: 0 }
const base = StateGraph.make("g", State)
const plain = base.addNode("a", () => Effect.fail(new Bad()) as Effect.Effect<State, Bad, Http>)
  .setEntryPoint("a").setFinishPoint("a")
const asking = base
  .addNode("a", () =>
    Effect.gen(function*() {
      yield* Http
      const n = yield* StateGraph.suspend("ok", Schema.Number)
      return n > 0 ? { n } : yield* new Bad()
    }))
  .setEntryPoint("a").setFinishPoint("a")

test("a question is an Effect of its schema's type, for nodes only", () => {
  const question = StateGraph.suspend("ok", Schema.Struct({ at: Schema.Date }), { any: "payload" })
  expectTypeOf(question).toEqualTypeOf<Effect.Effect<{ readonly at: Date }, never, StateGraph.Suspends>>()
  // There is no node around it: it cannot be run.
  expectTypeOf(question).not.toExtend<Parameters<typeof Effect.runPromise>[0]>()
  // @ts-expect-error it needs a schema
  void StateGraph.suspend("ok")
})

test("a graph of such a node needs no more than its services, and can be suspended", () => {
  const graph = asking.compile()
  const run = graph.invoke(input)
  expectTypeOf(run).toEqualTypeOf<Effect.Effect<State, Bad | GraphError.RunError | GraphError.GraphSuspended, Http>>()
  const resumed = graph.resume("t")
  expectTypeOf(resumed).toEqualTypeOf<
    Effect.Effect<
      State,
      Bad | GraphError.RunError | GraphError.GraphSuspended | GraphError.CheckpointError,
      Http | Checkpointer.Checkpointer
    >
  >()
})

test("a stream tells that by an event, and not by an error", () => {
  const graph = asking.compile()
  const stream = graph.stream(input)
  expectTypeOf(stream).toEqualTypeOf<
    Stream.Stream<GraphEvent.GraphEvent<State, Bad>, Bad | GraphError.RunError, Http>
  >()
  const resumed = graph.resumeStream("t")
  expectTypeOf<Error<typeof resumed>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
  expectTypeOf<Services<typeof resumed>>().toEqualTypeOf<Http | Checkpointer.Checkpointer>()
})

test("other graphs cannot be suspended", () => {
  const graph = plain.compile()
  const run = graph.invoke(input)
  expectTypeOf<Error<typeof run>>().toEqualTypeOf<Bad | GraphError.RunError>()
  const resumed = graph.resume("t")
  expectTypeOf<Error<typeof resumed>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
})

test("in a flow, a fan-in, a map, a condition, and beside a policy: wherever it asks, the graph can be suspended", () => {
  const ask = Effect.map(StateGraph.suspend("ok", Schema.Number), (n) => ({ n }))
  type Asks<G> = G extends StateGraph.CompiledGraph<infer _S, infer _In, infer _E, infer R, infer _P, infer I> ? [R, I]
    : never
  const flow = base.addNode("x", () => ask).addFanInNode("join", () => ({}))
    .addParallelEdge(StateGraph.START, "x", "join").setFinishPoint("join").compile()
  expectTypeOf<Asks<typeof flow>>().toEqualTypeOf<[never, GraphError.GraphSuspended]>()
  const fanIn = base.addNode("x").addFanInNode("join", () => ask)
    .addParallelEdge(StateGraph.START, "x", "join").setFinishPoint("join").compile()
  expectTypeOf<Asks<typeof fanIn>>().toEqualTypeOf<[never, GraphError.GraphSuspended]>()
  const map = base.addNode("x", (_, { item }) => Effect.map(ask, ({ n }) => ({ n: n + item })), { item: Schema.Number })
    .addFanInNode("join").addParallelMap(StateGraph.START, "x", "join", { items: () => [1] }).setFinishPoint("join")
    .compile()
  expectTypeOf<Asks<typeof map>>().toEqualTypeOf<[never, GraphError.GraphSuspended]>()
  const decide = base.addNode("x")
    .addConditionalEdges(StateGraph.START, () => Effect.map(ask, () => "x" as const), { x: "x" }).setFinishPoint("x")
    .compile()
  expectTypeOf<Asks<typeof decide>>().toEqualTypeOf<[never, GraphError.GraphSuspended]>()
  const guarded = base.addNode("b", () => ask).addNode("x", () => Effect.fail(new Bad()), {
    fallback: "b",
    timeout: 10
  })
    .setEntryPoint("x").setFinishPoint("x").compile()
  expectTypeOf<Asks<typeof guarded>>().toEqualTypeOf<[never, GraphError.GraphSuspended]>()
  const none = base.addNode("x").setEntryPoint("x").setFinishPoint("x").compile()
  expectTypeOf<Asks<typeof none>>().toEqualTypeOf<[never, never]>()
})

test("a graph that is a node lets the graph around it be suspended, without an error of its own", () => {
  const around = base
    .addSubgraph("sub", asking.compile(), { input: (state) => state, output: (state) => state })
    .setEntryPoint("sub").setFinishPoint("sub").compile()
  const run = around.invoke(input)
  expectTypeOf<Error<typeof run>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.GraphSuspended>()
  expectTypeOf<Services<typeof run>>().toEqualTypeOf<Http>()
  const stream = around.stream(input)
  expectTypeOf<Error<typeof stream>>().toEqualTypeOf<Bad | GraphError.RunError>()
  const stopped = base.addNode("a").setEntryPoint("a").setFinishPoint("a").compile({ suspendBefore: ["a"] })
  const outer = base.addSubgraph("sub", stopped, { input: (state) => state, output: (state) => state })
    .setEntryPoint("sub").setFinishPoint("sub").compile().invoke(input)
  expectTypeOf<Error<typeof outer>>().toEqualTypeOf<GraphError.RunError | GraphError.GraphSuspended>()
})

test("points are names of nodes, and let the graph be suspended", () => {
  for (const graph of [plain.compile({ suspendBefore: ["a"] }), plain.compile({ suspendAfter: ["a"] })]) {
    const run = graph.invoke(input)
    expectTypeOf<Error<typeof run>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.GraphSuspended>()
    const stream = graph.stream(input)
    expectTypeOf<Error<typeof stream>>().toEqualTypeOf<Bad | GraphError.RunError>()
  }
  const result = plain.compileResult({ suspendBefore: ["a"] })
  if (result._tag === "Success") {
    const run = result.success.invoke(input)
    expectTypeOf<Error<typeof run>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.GraphSuspended>()
  }
  // @ts-expect-error no node is called so
  plain.compile({ suspendBefore: ["b"] })
  // @ts-expect-error nor so
  plain.compile({ suspendAfter: ["a", "b"] })
  // @ts-expect-error the start is no node
  plain.compile({ suspendBefore: [StateGraph.START] })
})

test("only a run with a thread needs a Checkpointer, and can fail with its error", () => {
  const graph = plain.compile()
  const saved = graph.invoke(input, { thread: "t", durability: "async" })
  expectTypeOf(saved).toEqualTypeOf<
    Effect.Effect<State, Bad | GraphError.RunError | GraphError.CheckpointError, Http | Checkpointer.Checkpointer>
  >()
  const stream = graph.stream(input, { thread: "t" })
  expectTypeOf<Error<typeof stream>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
  expectTypeOf<Services<typeof stream>>().toEqualTypeOf<Http | Checkpointer.Checkpointer>()
  const unsaved = graph.invoke(input, { runId: "r", durability: "exit" })
  expectTypeOf(unsaved).toEqualTypeOf<Effect.Effect<State, Bad | GraphError.RunError, Http>>()
  // @ts-expect-error no such durability
  void graph.invoke(input, { thread: "t", durability: "always" })
  // @ts-expect-error an option of resume
  void graph.invoke(input, { checkpointId: "1" })
  // @ts-expect-error an option of invoke
  void graph.resume("t", { runId: "r" })
})

test("options that have a type already say what they could hold", () => {
  const graph = plain.compile()
  const options: StateGraph.RunOptions & StateGraph.ThreadOptions = { thread: "t" }
  const run = graph.invoke(input, options)
  expectTypeOf<Error<typeof run>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
  expectTypeOf<Services<typeof run>>().toEqualTypeOf<Http | Checkpointer.Checkpointer>()
  const without: StateGraph.RunOptions = { runId: "r" }
  const plainly = graph.invoke(input, without)
  expectTypeOf<Error<typeof plainly>>().toEqualTypeOf<Bad | GraphError.RunError>()
  const either = Math.random() > 0.5 ? { thread: "t" } : {}
  const maybe = graph.invoke(input, either)
  expectTypeOf<Error<typeof maybe>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
  const points: StateGraph.SuspendOptions<"a"> = {}
  const stopped = plain.compile(points).invoke(input)
  expectTypeOf<Error<typeof stopped>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.GraphSuspended>()
  const resuming: StateGraph.ResumeOptions<State> = { update: { n: 1 }, answers: { ok: 1 } }
  const resumed = graph.resume("t", resuming)
  expectTypeOf<Error<typeof resumed>>().toEqualTypeOf<Bad | GraphError.RunError | GraphError.CheckpointError>()
})

test("an update has keys and values of the state, of the main line or of a flow", () => {
  const graph = plain.compile()
  void graph.resume("t", { update: { n: 1 } })
  void graph.resume("t", { update: { branch: "x", patch: { n: 1 } } })
  // @ts-expect-error a value of another type
  void graph.resume("t", { update: { n: "1" } })
  // @ts-expect-error the same in a flow
  void graph.resume("t", { update: { branch: "x", patch: { n: "1" } } })
})

test("callbacks of a resume join its errors and services, as they do of a run", () => {
  const callbacks = FlowCallbacks.make({ onFlowStart: () => Effect.asVoid(Http) as Effect.Effect<void, Late, Http> })
  const graph = base.addNode("a").setEntryPoint("a").setFinishPoint("a").compile()
  const resumed = graph.resume("t", { callbacks })
  expectTypeOf<Services<typeof resumed>>().toEqualTypeOf<Http | Checkpointer.Checkpointer>()
})
