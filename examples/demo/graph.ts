/**
 * The graph: asks the five services in parallel and puts what became of each into one row.
 */
import { Effect, Schema } from "effect"
import { HttpClient, type HttpClientError } from "effect/http"
import { type GraphEvent, type ParallelFlowResult, StateGraph } from "../../src/index.ts"
import type { Options } from "./options.ts"
import { Servers, type Service } from "./servers.ts"

export class ServiceError extends Schema.TaggedError<ServiceError>()("ServiceError", { message: Schema.String }) {}

export const Row = Schema.Struct({
  service: Schema.String,
  outcome: Schema.String,
  attempts: Schema.Int,
  timeMs: Schema.Finite,
  circuit: Schema.String,
  note: Schema.String
})

export const State = Schema.Struct({
  run: Schema.Int,
  answer: Schema.optionalKey(Schema.String),
  rows: Schema.Array(Row).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})

export type Result = ParallelFlowResult.ParallelFlowResult<typeof State.Type, ServiceError>
export type Event = GraphEvent.GraphEvent<typeof State.Type, ServiceError>

export const graphName = "status"

/** What may take how long, as printed and as configured. */
export const limits = ({ retries, timeoutMs }: Options) => ({
  timeoutMs,
  budgetMs: timeoutMs + 1500,
  retries,
  failureThreshold: Math.min(2 * (retries + 1), 6)
})

export const make = (options: Options) => {
  const { budgetMs, failureThreshold, retries, timeoutMs } = limits(options)
  return StateGraph.make(graphName, State, {
    parallel: {
      timeout: timeoutMs,
      totalTimeout: budgetMs,
      retry: { maxRetries: retries, baseDelay: "100 millis" },
      circuitBreaker: { failureThreshold, resetTimeout: "5 minutes" }
    }
  })
    .addNode("fast", ask("fast"))
    .addNode("slow", ask("slow"))
    .addNode("flaky", ask("flaky"))
    .addNode("hanging", ask("hanging"))
    .addNode("dead", ask("dead"))
    .addFanInNode("report", (_state, { parallelResults }) => ({ rows: parallelResults.map(toRow) }))
    .addParallelEdge(StateGraph.START, "fast", "report")
    // Asking an overloaded service again makes it slower.
    .addParallelEdge(StateGraph.START, "slow", "report", { retry: false })
    .addParallelEdge(StateGraph.START, "flaky", "report")
    .addParallelEdge(StateGraph.START, "hanging", "report")
    .addParallelEdge(StateGraph.START, "dead", "report")
    .setFinishPoint("report")
    .compile()
}

const ask = (service: Service) => ({ run }: { readonly run: number }) =>
  Effect.gen(function*() {
    const { urls } = yield* Servers
    const response = yield* HttpClient.get(urls[service], { urlParams: { run } })
    if (response.status !== 200) return yield* new ServiceError({ message: `status ${response.status}` })
    return { answer: yield* response.text }
  }).pipe(Effect.catchTag("HttpClientError", (error) => Effect.fail(new ServiceError({ message: describe(error) }))))

const describe = ({ cause, message }: HttpClientError.HttpClientError): string =>
  cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED" ? "connection refused" : message

const toRow = (result: Result): typeof Row.Type => ({
  service: result.branch,
  outcome: result._tag,
  attempts: result.attempts,
  timeMs: result.timingMs,
  circuit: result.circuitState ?? "none",
  note: note(result)
})

/** The one fact about a result that its other columns do not tell. */
export const note = (result: Result): string => {
  switch (result._tag) {
    case "Success":
      return `answered "${result.state.answer}"`
    case "Timeout":
      return result.timeoutKind === "total"
        ? `no answer within its budget of ${result.timeoutMs} ms`
        : `no answer within ${result.timeoutMs} ms`
    case "Rejected":
      return result.attempts === 0 ? "circuit is open, not asked at all" : "circuit opened, not asked again"
    case "Failure":
      return result.error
    case "Interrupted":
      return "interrupted"
  }
}
