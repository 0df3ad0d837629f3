/**
 * Types tell the truth: checked by the compiler only, every line must hold.
 */
import { Context, Effect, Schema, Scope, type Stream } from "effect"
import { CircuitBreakerRegistry, type GraphError, type GraphEvent, ParallelConfig, StateGraph } from "effect-stategraph"
import { expectTypeOf, test } from "vitest"

type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const is = <A, B>(_same: Eq<A, B>): void => {}

class Http
  extends Context.Service<Http, { readonly get: (q: string) => Effect.Effect<ReadonlyArray<string>, HttpError> }>()(
    "Http"
  )
{}
class HttpError extends Schema.TaggedError<HttpError>()("HttpError", {}) {}
class AErr extends Schema.TaggedError<AErr>()("AErr", {}) {}
class BErr extends Schema.TaggedError<BErr>()("BErr", {}) {}

const State = Schema.Struct({
  query: Schema.String,
  hits: Schema.Array(Schema.String),
  mode: Schema.Literals(["fast", "slow"]),
  note: Schema.optionalKey(Schema.String),
  tag: Schema.optional(Schema.String)
})
const input = { query: "a", hits: [], mode: "fast" } as const
const base = StateGraph.make("search", State)

export const graph = base
  .addNode("plan", (state) => ({ query: state.query.trim() }))
  .addNode(
    "web",
    Effect.fn("web")(function*(state) {
      const http = yield* Http
      return { hits: yield* http.get(state.query) }
    })
  )
  .addNode("cache", (_state, _ctx) => Effect.succeed({ hits: [] }))
  .addFanInNode("merge", (_state, { parallelResults }) => ({
    hits: parallelResults.flatMap((r) => r.success ? r.state.hits : [])
  }))
  .setEntryPoint("plan")
  .addParallelEdge("plan", "web", "merge", { retry: { maxRetries: 2 } })
  .addParallelEdge("plan", "cache", "merge")
  .setFinishPoint("merge")
  .compile()
const r1 = graph.invoke(input)
is<typeof r1, Effect.Effect<typeof State.Type, GraphError.RunError, Http>>(true) // HttpError is captured by the flow
const s1 = graph.stream(input)
is<typeof s1, Stream.Stream<GraphEvent.GraphEvent<typeof State.Type, never>, GraphError.RunError, Http>>(true)

// literals, several failures, optional keys, nothing, services
const g2 = base
  .addNode("lit", () => ({ mode: "slow" }))
  .addNode(
    "lit2",
    Effect.fn("lit")(function*(_s) {
      return { mode: "slow" }
    })
  )
  .addNode(
    "lit2u",
    Effect.fnUntraced(function*(_s) {
      return { mode: "slow" }
    })
  )
  .addNode("lit3", (_s) => Effect.succeed({ mode: "slow" }))
  .addNode("lit4", (_s) =>
    Effect.gen(function*() {
      return { mode: "slow" }
    }))
  .addNode("litc", (_s) => Effect.succeed({ mode: "slow" } as const))
  .addNode("two", (s) =>
    s.query === ""
      ? Effect.fail(new AErr())
      : s.query === "x"
      ? Effect.fail(new BErr())
      : Effect.succeed({ query: "1" }))
  .addNode("opt", (_s) => ({ note: "x", tag: undefined }))
  .addNode("void", (_s) => {})
  .addNode("evoid", (_s) => Effect.log("x"))
  .addNode("maybe", (s) => s.query === "" ? undefined : { query: "x" })
  .addNode("mixed", (s) => s.query ? { query: "x" } : Effect.fail(new AErr()))
  .addNode("pass")
  .addNode("scoped", (_s) =>
    Effect.gen(function*() {
      yield* Scope.Scope
      return { query: "x" }
    }))
  .addFanInNode("join", (_s, ctx) => {
    const r = ctx.parallelResults[0]!
    if (r._tag === "Failure") is<typeof r.failure, AErr | BErr | GraphError.LineError | undefined>(true)
    if (r._tag === "Timeout") is<typeof r.failure, GraphError.FlowTimeoutError>(true)
    if (r._tag === "Rejected") is<typeof r.failure, GraphError.CircuitOpenError | GraphError.LimitExceededError>(true)
    is<ReturnType<typeof r.get<"query">>, string>(true)
  })
const r3 = g2.addEdge(StateGraph.START, "two").addEdge("two", StateGraph.END).compile().invoke(input)
is<Effect.Error<typeof r3>, GraphError.RunError | AErr | BErr>(true)
is<Effect.Services<typeof r3>, never>(true) // Scope is each node's own

g2.addConditionalEdges("two", (s) => s.mode === "fast" ? "a" : "b", { a: "lit", b: StateGraph.END })
g2.addConditionalEdges("two", () => "a", { a: "lit", b: StateGraph.END })
g2.addConditionalEdges("two", (s) => s.mode, { fast: "lit", slow: StateGraph.END })
const r4 = base
  .addNode("lit")
  .addConditionalEdges(
    StateGraph.START,
    Effect.fn("d")(function*(s) {
      yield* Http
      if (s.query === "") return yield* new AErr()
      return s.mode
    }),
    { fast: "lit", slow: StateGraph.END }
  )
  .compile()
  .invoke(input)
is<typeof r4, Effect.Effect<typeof State.Type, GraphError.RunError | AErr, Http>>(true)

// dynamic names: all errors count as the main line's
const names: ReadonlyArray<string> = ["p", "q"]
let dynamic = base.addNode("start" as string, () => ({}))
for (const name of names) dynamic = dynamic.addNode(name, () => ({ query: name }))
dynamic.addEdge("anything", "q")

test("errors and services of a graph are those of its nodes", () => {
  expectTypeOf(r1).toEqualTypeOf<Effect.Effect<typeof State.Type, GraphError.RunError, Http>>()
  expectTypeOf(r3).toEqualTypeOf<Effect.Effect<typeof State.Type, GraphError.RunError | AErr | BErr>>()
})

// config
ParallelConfig.make({
  timeout: "2 seconds",
  retry: false,
  circuitBreaker: false,
  grace: "wait",
  concurrency: "unbounded"
})
is<
  typeof CircuitBreakerRegistry.layerMemory extends
    import("effect").Layer.Layer<CircuitBreakerRegistry.CircuitBreakerRegistry> ? true : false,
  true
>(true)

test("what is wrong does not compile", () => {
  expectTypeOf(base.name).toBeString()
  // @ts-expect-error an async node
  base.addNode("x", async () => ({ query: "x" }))
  // @ts-expect-error a Promise
  base.addNode("x", (_s) => Promise.resolve())
  // @ts-expect-error an array
  base.addNode("x", (_s) => [1])
  // @ts-expect-error a number
  base.addNode("x", (_s) => 42)
  // @ts-expect-error an Effect of a number
  base.addNode("x", (_s) => Effect.succeed(42))
  // @ts-expect-error an Effect of an array
  base.addNode("x", (_s) => Effect.promise(() => Promise.resolve([1])))
  // @ts-expect-error an Effect of an Effect
  base.addNode("x", (_s) => Effect.succeed(Effect.succeed({ query: "" })))
  // @ts-expect-error undefined for a key that is optional but not undefined
  base.addNode("x", (_s) => ({ note: undefined }))
  // @ts-expect-error the same in an Effect
  base.addNode("x", (_s) => Effect.succeed({ note: undefined }))
  // @ts-expect-error a key that is not in the state
  base.addNode("x", (_s) => ({ query: "x", typo: 1 }))
  // @ts-expect-error the same in an Effect
  base.addNode("x", (_s) => Effect.succeed({ query: "x", typo: 1 }))
  base.addNode(
    "x",
    // @ts-expect-error the same in a generator
    Effect.fn("x")(function*(_s) {
      return { query: "x", typo: 1 }
    })
  )
  // @ts-expect-error a value of the wrong type
  base.addNode("x", (_s) => ({ query: 1 }))
  // @ts-expect-error a function
  base.addNode("x", (_s) => () => ({ query: "" }))
  // @ts-expect-error a name taken twice
  g2.addNode("two", (_s) => ({}))
  // @ts-expect-error a reserved name
  base.addNode("__end__")
  // @ts-expect-error an edge to an unknown node
  g2.addEdge("two", "nope")
  // @ts-expect-error an edge from an unknown node
  g2.addEdge("nope", "two")
  // @ts-expect-error an unknown fan-in
  g2.addParallelEdge("two", "lit", "nope")
  // @ts-expect-error a condition's answer without a target
  g2.addConditionalEdges("two", (_s) => "zzz", { a: "lit" })
  // @ts-expect-error a condition's target that does not exist
  g2.addConditionalEdges("two", (_s) => "a", { a: "nope" })
  // @ts-expect-error a condition that answers any string
  g2.addConditionalEdges("two", (s) => s.query, { a: "lit" })
  // @ts-expect-error input of the wrong type
  void graph.invoke({ query: 1, hits: [], mode: "fast" })
  // @ts-expect-error an unknown option of an edge
  g2.addParallelEdge("two", "lit", "join", { timeOut: 1 })
})

// reducers: typed by the state, optional keys as the value they have when set
StateGraph.make("r", State, { reducers: { hits: (a, b) => [...a, ...b], note: (a, b) => a + b } })
// @ts-expect-error a reducer of a key that is not in the state
StateGraph.make("r", State, { reducers: { nope: (a: string) => a } })
// @ts-expect-error a reducer of another type than its key
StateGraph.make("r", State, { reducers: { hits: (a: string, b: string) => a + b } })

// maps: items are typed by their node, errors and services of the items join the graph's
const mapped = base
  .addNode("two")
  .addNode("item", (_state, ctx) => ({ query: ctx.item.url }), { item: Schema.Struct({ url: Schema.String }) })
  .addNode("plainItem", (_state, ctx) => {
    is<typeof ctx.item, unknown>(true)
  })
  .addFanInNode("join")
mapped.addParallelMap("two", "item", "join", { items: (s) => [{ url: s.query }], key: (i) => i.url })
mapped.addParallelMap("two", "item", "join", {
  items: () => new Set([{ url: "" }]),
  config: (i, index) => ({ timeout: i.url.length + index }),
  circuitBreaker: { key: (i) => i.url },
  concurrency: 3
})
mapped.addParallelMap("two", "plainItem", "join", { items: () => [1, "any"] })
// @ts-expect-error items of another type than the node's
mapped.addParallelMap("two", "item", "join", { items: () => [1] })
// @ts-expect-error a key of another type than text
mapped.addParallelMap("two", "item", "join", { items: () => [{ url: "" }], key: () => 5 })
// @ts-expect-error an unknown node
mapped.addParallelMap("two", "nope", "join", { items: () => [] })
const mapRun = mapped
  .setEntryPoint("two")
  .addParallelMap("two", "item", "join", {
    items: () =>
      Effect.gen(function*() {
        yield* Http
        return yield* Effect.fail(new AErr())
      })
  })
  .setFinishPoint("join")
  .compile()
  .invoke(input)
is<Effect.Error<typeof mapRun>, GraphError.RunError | AErr>(true)
is<Effect.Services<typeof mapRun>, Http>(true)
const streamRun = mapped
  .setEntryPoint("two")
  .addParallelMap("two", "item", "join", {
    items: (): Stream.Stream<{ readonly url: string }, BErr, Http> => null as never
  })
  .setFinishPoint("join")
  .compile()
  .invoke(input)
is<Effect.Error<typeof streamRun>, GraphError.RunError | BErr>(true)
is<Effect.Services<typeof streamRun>, Http>(true)

// subgraphs: input, output, errors and services of the inner graph
const inner = StateGraph.make("inner", Schema.Struct({ text: Schema.String }))
  .addNode("a", (): Effect.Effect<{ readonly text: string }, AErr, Http> => null as never)
  .setEntryPoint("a")
  .setFinishPoint("a")
  .compile()
const subRun = base
  .addSubgraph("sub", inner, { input: (s) => ({ text: s.query }), output: ({ text }) => ({ query: text }) })
  .setEntryPoint("sub")
  .setFinishPoint("sub")
  .compile()
  .invoke(input)
is<Effect.Error<typeof subRun>, GraphError.RunError | AErr>(true)
is<Effect.Services<typeof subRun>, Http>(true)
// @ts-expect-error another input than the inner graph's
base.addSubgraph("sub", inner, { input: () => ({ text: 5 }), output: () => ({}) })
// @ts-expect-error an update with a key that is not in the state
base.addSubgraph("sub", inner, { input: () => ({ text: "" }), output: () => ({ nope: 1 }) })
// @ts-expect-error a name that is taken
base.addNode("sub").addSubgraph("sub", inner, { input: () => ({ text: "" }), output: () => ({}) })

// completion: rules, and what a fan-in is told of them
base.addNode("f").addFanInNode("c", (_state, { completion }) => {
  is<typeof completion.satisfied, boolean>(true)
}, { completion: { minSuccessful: 1, within: "1 second" } })
// @ts-expect-error two rules that exclude each other
base.addFanInNode("c", () => {}, { completion: { tolerate: 1, tolerateRatio: 0.5 } })
// @ts-expect-error no rule at all
base.addFanInNode("c", () => {}, { completion: {} })
