/**
 * Watching: callbacks that can disturb nothing, progress of a node as it works, and the graph as a diagram.
 *
 *     node examples/07-watching.ts
 */
import { Effect, Schema, Stream } from "effect"
import { FlowCallbacks, StateGraph } from "../src/index.ts"

const graph = StateGraph.make("import", Schema.Struct({ rows: Schema.Number }), {
  progress: Schema.Struct({ done: Schema.Number })
})
  .addNode("load", ({ rows }, { emit }) =>
    Effect.gen(function*() {
      for (let done = 1; done <= rows; done++) {
        yield* Effect.sleep("5 millis")
        yield* emit({ done })
      }
    }))
  .addNode("check", () => Effect.fail("checksum does not match" as const))
  .addFanInNode("finish")
  .addParallelEdge(StateGraph.START, "load", "finish")
  .addParallelEdge(StateGraph.START, "check", "finish")
  .setFinishPoint("finish")
  .compile()

const audit = FlowCallbacks.make({
  onFlowError: ({ branch, error }) => console.log(`audit: ${branch} failed, ${error}`),
  onFlowComplete: ({ branch, result }) => Effect.sync(() => console.log(`audit: ${branch} ended, ${result._tag}`))
}, { name: "audit" })

await Effect.runPromise(
  graph.stream({ rows: 2 }, { callbacks: audit }).pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "NodeProgress") console.log(`${event.node}: ${event.value.done} done`)
        if (event._tag === "GraphCompleted") console.log("completed")
      })
    )
  )
)
console.log(graph.toMermaid())

// prints:
// audit: check failed, checksum does not match
// audit: check ended, Failure
// load: 1 done
// load: 2 done
// audit: load ended, Success
// completed
// flowchart TD
//   s(["start"])
//   n0["load"]
//   n1["check"]
//   n2{{"finish"}}
//   e(["end"])
//   s ==> n0
//   s ==> n1
//   n0 -.-> n2
//   n1 -.-> n2
//   n2 --> e
