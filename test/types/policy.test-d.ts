/**
 * What policies, fallbacks and limits do to the types of a graph: checked by the compiler only.
 */
import { Context, Duration, Effect, Schedule, Schema } from "effect"
import { Bulkhead, type CircuitBreaker, type GraphError, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { test } from "vitest"

type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const is = <A, B>(_same: Eq<A, B>): void => {}

class AErr extends Schema.TaggedError<AErr>()("AErr", {}) {}
class BErr extends Schema.TaggedError<BErr>()("BErr", {}) {}
class Cache
  extends Context.Service<Cache, { readonly get: Effect.Effect<{ readonly note: string }, BErr> }>()("Cache")
{}

const State = Schema.Struct({
  query: Schema.String,
  mode: Schema.Literals(["fast", "slow"]),
  note: Schema.optionalKey(Schema.String)
})
type S = typeof State.Type
const base = StateGraph.make("g", State)
const failing = (): Effect.Effect<{ readonly note: string }, AErr> => null as never
const limit = { key: "db", permits: 3 } as const

// policies: what they can fail with is in E, on the main line
const policies = {
  plain: base.addNode("a", failing).setEntryPoint("a").compile(),
  retry: base.addNode("a", failing, { retry: { maxRetries: 3 } }).setEntryPoint("a").compile(),
  schedule: base.addNode("a", failing, { retry: Schedule.recurs(3), grace: "wait" }).setEntryPoint("a").compile(),
  timeout: base.addNode("a", failing, { timeout: "2 seconds" }).setEntryPoint("a").compile(),
  duration: base.addNode("a", failing, { timeout: Duration.seconds(2) }).setEntryPoint("a").compile(),
  circuit: base.addNode("a", failing, { circuitBreaker: {} }).setEntryPoint("a").compile(),
  limit: base.addNode("a", failing, { limit }).setEntryPoint("a").compile(),
  all: base.addNode("a", failing, { timeout: 1, circuitBreaker: { failureThreshold: 2 }, limit, retry: {} })
    .setEntryPoint("a").compile(),
  off: base.addNode("a", failing, { timeout: undefined, circuitBreaker: false, limit: false, retry: false })
    .setEntryPoint("a").compile(),
  infallible: base.addNode("a", () => ({ note: "" }), { timeout: 5 }).setEntryPoint("a").compile()
}
type ErrorsOf<G> = G extends StateGraph.CompiledGraph<infer _S, infer _I, infer E, infer _R> ? E : never
is<ErrorsOf<typeof policies.plain>, AErr>(true)
is<ErrorsOf<typeof policies.retry>, AErr>(true)
is<ErrorsOf<typeof policies.schedule>, AErr>(true)
is<ErrorsOf<typeof policies.timeout>, AErr | GraphError.FlowTimeoutError>(true)
is<ErrorsOf<typeof policies.duration>, AErr | GraphError.FlowTimeoutError>(true)
is<ErrorsOf<typeof policies.circuit>, AErr | GraphError.CircuitOpenError>(true)
is<ErrorsOf<typeof policies.limit>, AErr | GraphError.LimitExceededError>(true)
is<ErrorsOf<typeof policies.all>, AErr | GraphError.PolicyError>(true)
is<ErrorsOf<typeof policies.off>, AErr>(true)
is<ErrorsOf<typeof policies.infallible>, GraphError.FlowTimeoutError>(true)

// a policy whose parts may be there or not can fail with what they mean
const maybe = null as unknown as {
  readonly timeout: number | undefined
  readonly circuitBreaker: CircuitBreaker.Input | false
  readonly limit: Bulkhead.Input | undefined
}
const unsure = base.addNode("a", failing, maybe).setEntryPoint("a").compile()
is<ErrorsOf<typeof unsure>, AErr | GraphError.PolicyError>(true)

// in flows they are captured: not in E, but in the results
const flows = base
  .addNode("a", failing, { timeout: 1, limit })
  .addFanInNode("join", (_state, { parallelResults }) => {
    is<
      typeof parallelResults,
      ReadonlyArray<
        ParallelFlowResult.ParallelFlowResult<S, AErr | GraphError.FlowTimeoutError | GraphError.LimitExceededError>
      >
    >(true)
  })
  .addParallelEdge(StateGraph.START, "a", "join")
  .setFinishPoint("join")
  .compile()
is<ErrorsOf<typeof flows>, never>(true)

// fallbacks: an update takes all errors away, a node leaves its own
const fallbacks = {
  update: base.addNode("a", failing, { timeout: 1, circuitBreaker: {}, limit, fallback: { note: "" } })
    .setEntryPoint("a").compile(),
  nothing: base.addNode("a", failing, { fallback: {} }).setEntryPoint("a").compile(),
  node: base.addNode("cached", () => Effect.flatMap(Cache, (cache) => cache.get))
    .addNode("a", failing, { timeout: 1, fallback: "cached" }).setEntryPoint("a").compile(),
  chain: base.addNode("cached", () => Effect.flatMap(Cache, (cache) => cache.get), { fallback: { note: "" } })
    .addNode("a", failing, { timeout: 1, fallback: "cached" }).setEntryPoint("a").compile(),
  limited: base.addNode("cached", () => ({ note: "" }), { limit })
    .addNode("a", failing, { fallback: "cached" }).setEntryPoint("a").compile(),
  either: base.addNode("cached", () => Effect.flatMap(Cache, (cache) => cache.get))
    .addNode("a", failing, { fallback: null as unknown as "cached" | undefined }).setEntryPoint("a").compile(),
  perhaps: base.addNode("a", failing, { fallback: null as unknown as { readonly note: string } | undefined })
    .setEntryPoint("a").compile()
}
type ServicesOf<G> = G extends StateGraph.CompiledGraph<infer _S, infer _I, infer _E, infer R> ? R : never
is<ErrorsOf<typeof fallbacks.update>, never>(true)
is<ErrorsOf<typeof fallbacks.nothing>, never>(true)
is<ErrorsOf<typeof fallbacks.node>, BErr>(true)
is<ServicesOf<typeof fallbacks.node>, Cache>(true)
is<ErrorsOf<typeof fallbacks.chain>, never>(true)
is<ErrorsOf<typeof fallbacks.limited>, GraphError.LimitExceededError>(true)
is<ErrorsOf<typeof fallbacks.either>, AErr | BErr>(true)
is<ErrorsOf<typeof fallbacks.perhaps>, AErr>(true)

// graphs as nodes take the same options
const inner = StateGraph.make("inner", Schema.Struct({ text: Schema.String }))
  .addNode("x", (): Effect.Effect<{ readonly text: string }, AErr> => null as never)
  .setEntryPoint("x")
  .compile()
const mapping = { input: (state: S) => ({ text: state.query }), output: () => ({}) }
const subs = {
  policy: base.addSubgraph("a", inner, { ...mapping, timeout: 1, retry: { maxRetries: 1 } }).setEntryPoint("a")
    .compile(),
  fallback: base.addSubgraph("a", inner, { ...mapping, limit, fallback: { note: "" } }).setEntryPoint("a").compile()
}
is<ErrorsOf<typeof subs.policy>, AErr | GraphError.RunError | GraphError.FlowTimeoutError>(true)
is<ErrorsOf<typeof subs.fallback>, never>(true)

// items are inferred beside a policy
const mapped = base
  .addNode("a", (_state, ctx) => {
    is<typeof ctx.item, { readonly url: string }>(true)
    is<typeof ctx.attempt, number>(true)
    return { note: ctx.item.url }
  }, { item: Schema.Struct({ url: Schema.String }), timeout: "1 second", fallback: { note: "" } })
  .addFanInNode("join")
mapped.addParallelMap(StateGraph.START, "a", "join", { items: () => [{ url: "" }], fallback: { note: "none" }, limit })
mapped.addParallelMap(StateGraph.START, "a", "join", { items: () => [{ url: "" }], fallback: "a" })

const edged = base.addNode("a", failing).addNode("b").addFanInNode("join")
edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: "b", limit, name: "x" })
edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: { mode: "slow" }, retry: { maxRetries: 1 } })
edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: {} })
edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: undefined })

// a limit adds its error to an effect
const limited = Bulkhead.withLimit(limit)(failing())
is<typeof limited, Effect.Effect<{ readonly note: string }, AErr | GraphError.LimitExceededError>>(true)
const piped = Effect.flatMap(Cache, (cache) => cache.get).pipe(Bulkhead.withLimit({ key: "k", permits: 1, queue: 0 }))
is<typeof piped, Effect.Effect<{ readonly note: string }, BErr | GraphError.LimitExceededError, Cache>>(true)

test("what must not type-check", () => {
  // @ts-expect-error a fallback that is no node
  base.addNode("a", failing, { fallback: "nope" })
  // @ts-expect-error a fallback that is the node itself
  base.addNode("a", failing, { fallback: "a" })
  // @ts-expect-error a fallback with a key that is not in the state
  base.addNode("a", failing, { fallback: { nope: 1 } })
  // @ts-expect-error a fallback with a value of another type
  base.addNode("a", failing, { fallback: { query: 1 } })
  // @ts-expect-error a fallback with another literal
  base.addNode("a", failing, { fallback: { mode: "other" } })
  // @ts-expect-error a fallback that is an Effect
  base.addNode("a", failing, { fallback: Effect.succeed({ note: "" }) })
  // @ts-expect-error a fallback that is a function
  base.addNode("a", failing, { fallback: () => ({ note: "" }) })
  // @ts-expect-error the same of a graph as a node
  base.addSubgraph("a", inner, { ...mapping, fallback: "nope" })
  // @ts-expect-error the same of an edge: no node
  edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: "nope" })
  // @ts-expect-error the same of an edge: no key
  edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: { nope: 1 } })
  // @ts-expect-error the same of an edge: another type
  edged.addParallelEdge(StateGraph.START, "a", "join", { fallback: { query: 1 } })
  // @ts-expect-error the same of a map
  mapped.addParallelMap(StateGraph.START, "a", "join", { items: () => [{ url: "" }], fallback: { nope: 1 } })
  // @ts-expect-error the same of a map: no node
  mapped.addParallelMap(StateGraph.START, "a", "join", { items: () => [{ url: "" }], fallback: "nope" })
  // @ts-expect-error an option of flows only
  base.addNode("a", failing, { totalTimeout: 5 })
  // @ts-expect-error another one
  base.addNode("a", failing, { failFast: true })
  // @ts-expect-error an unknown option
  base.addNode("a", failing, { timeOut: 5 })
  // @ts-expect-error no duration
  base.addNode("a", failing, { timeout: "soon" })
  // @ts-expect-error no retry policy
  base.addNode("a", failing, { retry: 3 })
  // @ts-expect-error an unknown option of a circuit
  base.addNode("a", failing, { circuitBreaker: { threshold: 3 } })
  // @ts-expect-error a limit without permits
  base.addNode("a", failing, { limit: { key: "k" } })
  // @ts-expect-error a limit without a key
  edged.addParallelEdge(StateGraph.START, "a", "join", { limit: { permits: 1 } })
  // @ts-expect-error a queue that is no number
  Bulkhead.withLimit({ key: "k", permits: 1, queue: "short" })
  // @ts-expect-error a fan-in has no policy
  base.addFanInNode("join", () => {}, { timeout: 5 })
})
