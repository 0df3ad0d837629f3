/**
 * Timeout and retry: an attempt that hangs is interrupted after 50 ms, its connection is closed, and it is tried again.
 *
 *     node examples/03-timeout-and-retry.ts
 */
import { Console, Effect, References, Schema } from "effect"
import { StateGraph } from "../src/index.ts"

const State = Schema.Struct({ answer: Schema.optionalKey(Schema.String) })

/** Hangs twice; its connection is closed whatever happens. */
const ask = (attempt: number) =>
  Effect.acquireUseRelease(
    Console.log(`attempt ${attempt}: connected`),
    () => attempt < 3 ? Effect.never : Effect.succeed({ answer: "42" }),
    () => Console.log(`attempt ${attempt}: closed`)
  )

const graph = StateGraph.make("oracle", State)
  .addNode("oracle", (_state, { attempt }) => ask(attempt))
  .addFanInNode("report", (_state, { parallelResults: [result] }) => {
    console.log(
      `${result?._tag} after ${result?.attempts} attempts: ${
        result?.attemptErrors.map(({ error }) => error).join("; ")
      }`
    )
    return { answer: result?.get("answer", "none") ?? "none" }
  })
  .addParallelEdge(StateGraph.START, "oracle", "report", {
    timeout: "50 millis",
    totalTimeout: "2 seconds",
    retry: { maxRetries: 4, baseDelay: "10 millis", jitter: 0.2 }
  })
  .setFinishPoint("report")
  .compile()

// Retries are logged as warnings; this example tells them itself.
const quiet = Effect.provideService(References.MinimumLogLevel, "Error")
console.log(await Effect.runPromise(quiet(graph.invoke({}))))

// prints:
// attempt 1: connected
// attempt 1: closed
// attempt 2: connected
// attempt 2: closed
// attempt 3: connected
// attempt 3: closed
// Success after 3 attempts: flow "oracle" timed out after 50 ms; flow "oracle" timed out after 50 ms
// { answer: '42' }
