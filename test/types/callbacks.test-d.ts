/**
 * What callbacks and progress add to the types of a graph: checked by the compiler only.
 */
import { Context, Effect, Schema, type Stream } from "effect"
import { FlowCallbacks, type GraphError, type GraphEvent, StateGraph } from "effect-stategraph"
import { test } from "vitest"

type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const is = <A, B>(_same: Eq<A, B>): void => {}

class Sink extends Context.Service<Sink, { readonly add: (text: string) => Effect.Effect<void> }>()("Sink") {}
class Log extends Context.Service<Log, { readonly add: (text: string) => Effect.Effect<void> }>()("Log") {}

const State = Schema.Struct({ n: Schema.Number })
type S = typeof State.Type
const base = StateGraph.make("g", State).addNode("a").setEntryPoint("a").setFinishPoint("a")

const plain = FlowCallbacks.make({ onFlowStart: ({ branch }) => void branch.length })
const needy = FlowCallbacks.make({
  onFlowStart: () => Effect.flatMap(Sink, (sink) => sink.add("")),
  onFlowComplete: ({ result }) => result.success ? Effect.flatMap(Log, (log) => log.add("")) : undefined
})
const strict = FlowCallbacks.make({ onFlowError: () => Effect.fail("no") }, { errorPolicy: "raise" })
const throwing = FlowCallbacks.make({
  onFlowStart: () => {
    throw new Error()
  }
})

is<typeof plain, FlowCallbacks.FlowCallbacks<never, never>>(true)
is<typeof needy, FlowCallbacks.FlowCallbacks<Sink | Log, never>>(true)
is<typeof strict, FlowCallbacks.FlowCallbacks<never, GraphError.CallbackError>>(true)
is<typeof throwing, FlowCallbacks.FlowCallbacks<never, never>>(true)

const none = base.compile().invoke({ n: 1 })
is<typeof none, Effect.Effect<S, GraphError.RunError, never>>(true)
const one = base.compile({ callbacks: plain }).invoke({ n: 1 })
is<typeof one, Effect.Effect<S, GraphError.RunError, never>>(true)
const compiled = base.compile({ callbacks: [plain, needy] }).invoke({ n: 1 })
is<typeof compiled, Effect.Effect<S, GraphError.RunError, Sink | Log>>(true)
const ran = base.compile().invoke({ n: 1 }, { callbacks: [needy, strict] })
is<typeof ran, Effect.Effect<S, GraphError.RunError | GraphError.CallbackError, Sink | Log>>(true)
const raising = base.compile({ callbacks: strict }).stream({ n: 1 })
is<
  typeof raising,
  Stream.Stream<
    GraphEvent.GraphEvent<S, GraphError.CallbackError>,
    GraphError.RunError | GraphError.CallbackError,
    never
  >
>(true)

// Options typed beforehand hold callbacks that need nothing and raise nothing.
const options: StateGraph.RunOptions = { runId: "r", callbacks: plain }
const typed = base.compile().invoke({ n: 1 }, options)
is<typeof typed, Effect.Effect<S, GraphError.RunError, never>>(true)
// @ts-expect-error these need services
export const wrong: StateGraph.RunOptions = { callbacks: needy }

// @ts-expect-error an async function is no hook
FlowCallbacks.make({ onFlowStart: async () => {} })
// @ts-expect-error no run below would know the error
FlowCallbacks.layer(strict)

// progress
StateGraph.make("p", State, { progress: Schema.Struct({ done: Schema.Int }) })
  .addNode("a", (_state, ctx) => {
    // @ts-expect-error no such progress
    void ctx.emit({ done: "1" })
    return Effect.as(ctx.emit({ done: 1 }), { n: 2 })
  })
const progress = StateGraph.make("p", State, { progress: Schema.Struct({ done: Schema.Int }) })
  .addNode("a", (_state, ctx) => Effect.as(ctx.emit({ done: 1 }), { n: 2 }))
  .setEntryPoint("a").setFinishPoint("a").compile().stream({ n: 1 })
is<
  typeof progress,
  Stream.Stream<GraphEvent.GraphEvent<S, never, { readonly done: number }>, GraphError.RunError, never>
>(
  true
)
// Without a schema anything goes, and a helper takes the context of any graph.
const helper = (ctx: StateGraph.NodeContext) => ctx.branch
base.addNode("b", (_state, ctx) => {
  helper(ctx)
  return Effect.as(ctx.emit("x"), {})
})

test("the statements above are checked by the compiler", () => {})
