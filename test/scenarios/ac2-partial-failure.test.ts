/** AC2: a flow that fails takes nobody with it, and its result says everything. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Schema } from "effect"
import { GraphError, StateGraph } from "effect-stategraph"
import { type Body, Boom, boom, fan, type Result, sleeper } from "../support/fan.ts"
import { endOf, scenario } from "../support/scenario.ts"

const ok = (v: unknown): Body => () => Effect.succeed({ v })
const quiet = Logger.layer([])
const field = (result: Result, name: string): unknown => (result as unknown as Record<string, unknown>)[name]

class HttpFailure extends Error {}

class Tagged extends Schema.TaggedError<Tagged>()("HttpFailure", { status: Schema.Number }) {}

describe("AC2 partial failure", () => {
  scenario("TD.13-UNIT-007 a success has its record, and no field of a failure", (run) =>
    Effect.gen(function*() {
      const g = fan({ good: ok(42) })
      yield* run(g.graph, { n: 1 })
      const result = g.result("good")
      assert.deepInclude(result, {
        _tag: "Success",
        branch: "good",
        success: true,
        state: { n: 1, v: 42 },
        retryCount: 0,
        attempts: 1,
        attemptErrors: [],
        attemptErrorsDropped: 0,
        timeout: false,
        abandoned: false
      })
      assert.isAtLeast(result.timingMs, 0)
      for (const absent of ["error", "errorType", "traceback", "circuitState", "cause", "failure", "failedNode"]) {
        assert.isFalse(absent in result, absent)
      }
    }))

  scenario(
    "TD.13-UNIT-008 a failure has its message, its type, its node, its cause and its attempts",
    (run) =>
      Effect.gen(function*() {
        const g = fan({ bad: () => Effect.andThen(Effect.sleep(10), boom("no such host")) })
        const { exit } = yield* endOf(run(g.graph, { n: 1 }))
        assert.isTrue(Exit.isSuccess(exit))
        const result = g.result("bad")
        assert.deepInclude(result, {
          _tag: "Failure",
          success: false,
          error: "no such host",
          errorType: "Boom",
          failedNode: "bad",
          timeout: false,
          abandoned: false,
          timingMs: 10,
          state: { n: 1 },
          attemptErrors: [{ attempt: 1, error: "no such host", errorType: "Boom", timingMs: 10 }]
        })
        if (result._tag !== "Failure") return
        assert.instanceOf(result.failure, Boom)
        assert.strictEqual(Cause.squash(result.cause), result.failure)
      })
  )

  scenario("TD.13-UNIT-009 a result's time spans its first start to its last end", (run) =>
    Effect.gen(function*() {
      const one = fan({ slow: () => Effect.sleep(150) })
      yield* endOf(run(one.graph, { n: 1 }))
      assert.strictEqual(one.result("slow").timingMs, 150)
      assert.strictEqual(one.result("slow").endTime - one.result("slow").startTime, 150)

      const three = fan({
        flaky: [(_, { attempt }) => Effect.andThen(Effect.sleep(100), attempt < 3 ? boom("again") : Effect.void), {
          retry: { maxRetries: 2, baseDelay: 10 }
        }]
      })
      yield* endOf(Effect.provide(run(three.graph, { n: 1 }), quiet))
      const { attempts, durationMs, endTime, startTime, timingMs } = three.result("flaky")
      assert.deepStrictEqual({ attempts, durationMs, timingMs, span: endTime - startTime }, {
        attempts: 3,
        durationMs: 330,
        timingMs: 330,
        span: 330
      })
    }))

  scenario("TD.13-UNIT-010 a result reads like a record, and like the flow's state", (run) =>
    Effect.gen(function*() {
      const g = fan({ good: ok(42) })
      yield* run(g.graph, { n: 1 })
      const result = g.result("good")
      assert.deepStrictEqual(result["state"], { n: 1, v: 42 })
      assert.isTrue(result["success"])
      assert.strictEqual(result.get("v"), 42)
      assert.isTrue(result.has("v"))
      assert.isTrue(result.has("timingMs"))
      assert.isFalse(result.has("unknown"))
      assert.isUndefined(result.get("unknown" as never))
    }))

  scenario("TD.13-UNIT-011 get takes a state key, a field, or the default", (run) =>
    Effect.gen(function*() {
      const g = fan({ good: ok(42) })
      yield* run(g.graph, { n: 1 })
      const result = g.result("good")
      assert.strictEqual(result.get("v"), 42)
      assert.strictEqual(result.get("nope" as never, "d" as never), "d")
      assert.strictEqual(result.get("error" as never, "d" as never), "d")
    }))

  for (const failFast of [false, true]) {
    scenario(
      `TD.13-UNIT-012 errorType is the tag or the class${failFast ? ", with failFast too" : ""}`,
      (run) =>
        Effect.gen(function*() {
          const throws = (error: unknown): Body => () => Effect.fail(error)
          const defect = (error: unknown): Body => () => {
            throw error
          }
          const cases: ReadonlyArray<readonly [name: string, body: Body, errorType: string]> = [
            ["tagged", throws(new Tagged({ status: 500 })), "HttpFailure"],
            ["class", throws(new HttpFailure("status 500")), "HttpFailure"],
            ["plain", throws(new Error("plain")), "Error"],
            ["range", defect(new RangeError("thrown")), "RangeError"],
            ["rejected", () => Effect.promise(() => Promise.reject(new TypeError("rejected"))), "TypeError"],
            ["text", throws("text"), "UnknownError"],
            ["nothing", throws(undefined), "UnknownError"],
            ["data", throws({ code: 7 }), "UnknownError"]
          ]
          for (const [name, body, errorType] of cases) {
            const g = fan({ [name]: body }, { graph: { failFast } })
            const exit = yield* Effect.exit(run(g.graph, { n: 1 }))
            if (!failFast) {
              assert.deepInclude(g.result(name), { _tag: "Failure", errorType }, name)
            } else {
              const error = yield* Effect.flip(exit)
              assert.instanceOf(error, GraphError.FailFastError, name)
              assert.deepInclude((error as GraphError.FailFastError).result, { branch: name, errorType }, name)
            }
          }
        })
    )
  }

  scenario(
    "TD.13-UNIT-013 a traceback names the thrower and its cause, and only where it is asked for",
    (run) =>
      Effect.gen(function*() {
        const parseAnswer = (): never => {
          throw new Error("bad answer", { cause: new RangeError("byte 7") })
        }
        const body: Body = () => Effect.sync(parseAnswer)
        const g = fan({ told: [body, { includeTraceback: true }], silent: body })
        yield* run(g.graph, { n: 1 })
        const traceback = String(field(g.result("told"), "traceback"))
        assert.include(traceback, "bad answer")
        assert.include(traceback, "parseAnswer")
        assert.include(traceback, "ac2-partial-failure.test.ts")
        assert.include(traceback, "byte 7")
        assert.isFalse("traceback" in g.result("silent"))
      })
  )

  scenario(
    "TD.13-INT-005 a fan-in that reads results like plain states need not ask for success",
    (run) =>
      Effect.gen(function*() {
        const State = Schema.Struct({
          value: Schema.Number,
          flow1_value: Schema.optionalKey(Schema.Number),
          flow2_value: Schema.optionalKey(Schema.Number),
          total: Schema.optionalKey(Schema.Number)
        })
        const graph = StateGraph.make("sum", State)
          .addNode("flow1", ({ value }) => ({ flow1_value: value + 1 }))
          .addNode("flow2", ({ value }) => ({ flow2_value: value + 2 }))
          .addFanInNode("join", (_state, { parallelResults }) => {
            let total = 0
            for (const result of parallelResults) {
              if (result.has("flow1_value")) total += result.get("flow1_value") ?? 0
              total += result.get("flow2_value", 0)
            }
            return { total }
          })
          .addParallelEdge(StateGraph.START, "flow1", "join")
          .addParallelEdge(StateGraph.START, "flow2", "join")
          .setFinishPoint("join")
          .compile()
        assert.deepStrictEqual(yield* run(graph, { value: 5 }), { value: 5, total: 13 })
      })
  )

  scenario("TD.13-INT-006 the three ways to read a key of the state agree", (run) =>
    Effect.gen(function*() {
      let seen: ReadonlyArray<unknown> = []
      const State = Schema.Struct({ v: Schema.Number })
      const graph = StateGraph.make("reads", State)
        .addNode("flow", ({ v }) => ({ v: v * 2 }))
        .addFanInNode("join", (_state, { parallelResults: [r] }) => {
          seen = [r!.state.v, r!["state"]["v"], r!.get("v")]
        })
        .addParallelEdge(StateGraph.START, "flow", "join")
        .setFinishPoint("join")
        .compile()
      yield* run(graph, { v: 21 })
      assert.deepStrictEqual(seen, [42, 42, 42])
    }))

  scenario(
    "TD.13-INT-007 a failure is one of three results in declaration order, and siblings complete",
    (run) =>
      Effect.gen(function*() {
        const done: Array<string> = []
        const finishing = (name: string, ms: number): Body => () =>
          Effect.map(Effect.sleep(ms), () => void done.push(name))
        const g = fan({ ok1: finishing("ok1", 30), boom: () => boom("at once"), ok2: finishing("ok2", 10) })
        const { at, exit } = yield* endOf(run(g.graph, { n: 1 }))
        assert.strictEqual(at, 30)
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(g.results.map(({ branch }) => branch), ["ok1", "boom", "ok2"])
        assert.deepStrictEqual(g.results.map(({ success }) => success), [true, false, true])
        assert.deepStrictEqual(done, ["ok2", "ok1"])
      })
  )

  scenario(
    "TD.13-INT-008 with failFast a failure ends the run at once, with its message and cause",
    (run) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const g = fan({ slow: () => sleeper(1000, log, "slow"), boom: () => boom("original message") }, {
          graph: { failFast: true }
        })
        const { at, exit } = yield* endOf(run(g.graph, { n: 1 }))
        assert.strictEqual(at, 0)
        const error = yield* Effect.flip(exit) as Effect.Effect<GraphError.FailFastError, unknown>
        assert.instanceOf(error, GraphError.FailFastError)
        assert.strictEqual(error.branch, "boom")
        assert.include(error.message, "original message")
        assert.strictEqual(field(error.result as Result, "error"), "original message")
        assert.instanceOf(Cause.squash(field(error.result as Result, "cause") as Cause.Cause<unknown>), Boom)
        assert.deepStrictEqual(log, ["slow interrupted"])
        assert.strictEqual(g.joins.length, 0)
      })
  )
})
