/**
 * A fan-out with partial results: three sources asked at once, one of them broken. The fan-in gets all three results.
 *
 *     node examples/02-partial-results.ts
 */
import { Effect, Schema } from "effect"
import { StateGraph } from "../src/index.ts"

class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { source: Schema.String }) {
  override get message(): string {
    return `${this.source} gives no answer`
  }
}

const Search = Schema.Struct({
  query: Schema.String,
  hits: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([]))),
  missing: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})

const graph = StateGraph.make("search", Search)
  .addNode("web", ({ query }) => Effect.delay(Effect.succeed({ hits: [`${query} on the web`] }), "20 millis"))
  .addNode("archive", () => Effect.fail(new NoAnswer({ source: "archive" })))
  .addNode("cache", ({ query }) => ({ hits: [`${query} in the cache`] }))
  .addFanInNode("merge", (_state, { parallelResults }) => ({
    // In the order of the edges below, whoever was first.
    hits: parallelResults.flatMap((result) => result.success ? result.state.hits : []),
    // Typed: the only error that a flow can fail with is NoAnswer, or one of the library's own.
    missing: parallelResults.flatMap((result) => result.success ? [] : [`${result.errorType}: ${result.error}`])
  }))
  .addParallelEdge(StateGraph.START, "web", "merge")
  .addParallelEdge(StateGraph.START, "archive", "merge")
  .addParallelEdge(StateGraph.START, "cache", "merge")
  .setFinishPoint("merge")
  .compile()

const { hits, missing } = await Effect.runPromise(graph.invoke({ query: "effect" }))
console.log(hits)
console.log(missing)

// prints:
// [ 'effect on the web', 'effect in the cache' ]
// [ 'NoAnswer: archive gives no answer' ]
