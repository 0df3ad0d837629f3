/** AC5: what a result says of an error. */
import { assert, describe } from "@effect/vitest"
import { Effect, Logger, Schema } from "effect"
import { CircuitBreakerRegistry, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { endOf, scenario } from "../support/scenario.ts"

class TimeoutError extends Schema.TaggedError<TimeoutError>()("TimeoutError", { message: Schema.String }) {}

const State = Schema.Struct({ n: Schema.Number })
type Result = ParallelFlowResult.ParallelFlowResult<typeof State.Type, TimeoutError>

describe("AC5 error report", () => {
  scenario(
    "TD.13-UNIT-031 a timeout is told from a failure whose class is called TimeoutError",
    (run) =>
      Effect.gen(function*() {
        let results: ReadonlyArray<Result> = []
        const graph = StateGraph.make("report", State)
          .addNode("hangs", () => Effect.never)
          .addNode("fails", () => Effect.fail(new TimeoutError({ message: "the backend said so" })))
          .addFanInNode("join", (_state, { parallelResults }) => {
            results = parallelResults
          })
          .addParallelEdge(StateGraph.START, "hangs", "join", { timeout: 50 })
          .addParallelEdge(StateGraph.START, "fails", "join", { timeout: 50 })
          .setFinishPoint("join")
          .compile()
        const { at } = yield* endOf(run(graph, { n: 1 }))
        assert.strictEqual(at, 50)
        assert.deepStrictEqual(
          results.map(({ _tag, branch, timeout, ...rest }) => ({
            branch,
            _tag,
            timeout,
            errorType: "errorType" in rest ? rest.errorType : undefined
          })),
          [
            { branch: "hangs", _tag: "Timeout", timeout: true, errorType: "TimeoutError" },
            { branch: "fails", _tag: "Failure", timeout: false, errorType: "TimeoutError" }
          ]
        )
        const [hangs, fails] = results
        // Not the node's error, and not Effect's own either, whose tag it would share.
        assert.strictEqual(hangs!._tag === "Timeout" && hangs!.failure._tag, "FlowTimeoutError")
        assert.instanceOf(fails!._tag === "Failure" && fails!.failure, TimeoutError)
      })
  )

  scenario(
    "TD.13-UNIT-032 a rejected result names the open circuit, and its node is not executed",
    (run) =>
      Effect.gen(function*() {
        let executed = 0
        let result: Result | undefined
        const graph = StateGraph.make("report", State)
          .addNode("down", () => {
            executed++
            return Effect.fail(new TimeoutError({ message: "down" }))
          })
          .addFanInNode("join", (_state, { parallelResults }) => {
            result = parallelResults[0]
          })
          .addParallelEdge(StateGraph.START, "down", "join", {
            circuitBreaker: { failureThreshold: 1, resetTimeout: "30 seconds" }
          })
          .setFinishPoint("join")
          .compile()
        yield* run(graph, { n: 1 })
        assert.strictEqual(executed, 1)
        yield* run(graph, { n: 1 })
        assert.strictEqual(executed, 1)
        assert.isDefined(result)
        assert.strictEqual(result!._tag, "Rejected")
        if (result!._tag !== "Rejected") return
        const { attempts, circuitState, endTime, errorType, failure, startTime, state, timingMs } = result!
        assert.deepStrictEqual(
          { attempts, circuitState, errorType, state, timingMs },
          { attempts: 0, circuitState: "OPEN", errorType: "CircuitOpenError", state: { n: 1 }, timingMs: 0 }
        )
        assert.strictEqual(startTime, endTime)
        assert.deepInclude(failure, { _tag: "CircuitOpenError", key: "report/down", circuitState: "OPEN" })
      }).pipe(
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()),
        Effect.provide(Logger.layer([]))
      )
  )
})
