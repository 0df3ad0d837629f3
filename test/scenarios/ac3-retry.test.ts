/** AC3: failed attempts are repeated, each from the launch state, and all of them are told. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, References, Schema } from "effect"
import { RetryPolicy, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, boom, fan } from "../support/fan.ts"
import { endOf, scenario, watch } from "../support/scenario.ts"

const quiet = Logger.layer([])

class A extends Error {}
class SubA extends A {}
class B extends Error {}

/** Fails with these, one per attempt, then succeeds. */
const failing = (starts: Array<number>, ...errors: ReadonlyArray<unknown>): Body => (_state, { attempt }) =>
  Effect.clockWith((clock) => {
    starts.push(clock.currentTimeMillisUnsafe())
    return attempt <= errors.length ? Effect.fail(errors[attempt - 1]) : Effect.succeed({ v: attempt })
  })

describe("AC3 retry", () => {
  scenario("TD.13-UNIT-014 the default policy executes once", (run) =>
    Effect.gen(function*() {
      assert.deepInclude(RetryPolicy.make({}), {
        maxRetries: 0,
        backoffMultiplier: 2,
        exponentialBackoff: true,
        jitter: 0
      })
      for (const config of [{}, { retry: {} }]) {
        const starts: Array<number> = []
        const g = fan({ bad: [failing(starts, "a", "b"), config] })
        yield* run(g.graph, { n: 1 })
        assert.strictEqual(starts.length, 1)
        assert.deepInclude(g.result("bad"), { _tag: "Failure", attempts: 1, retryCount: 0 })
      }
    }))

  for (
    const [how, retryOn, other] of [
      ["class names", ["A"], ["B"]],
      ["a predicate", (error: unknown) => error instanceof A, (error: unknown) => error instanceof B]
    ] as const
  ) {
    scenario(
      `TD.13-UNIT-016 retryOn by ${how} retries what it names and nothing else`,
      (run) =>
        Effect.gen(function*() {
          const tries = (retryOn: RetryPolicy.Input["retryOn"], ...errors: ReadonlyArray<unknown>) =>
            Effect.gen(function*() {
              const starts: Array<number> = []
              const g = fan({ work: [failing(starts, ...errors), { retry: { maxRetries: 5, baseDelay: 1, retryOn } }] })
              yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
              return `${g.result("work")._tag} after ${starts.length}`
            })
          assert.strictEqual(yield* tries(retryOn, new A(), new A()), "Success after 3")
          assert.strictEqual(yield* tries(retryOn, new B()), "Failure after 1")
          assert.strictEqual(yield* tries(retryOn, new SubA()), "Success after 2")
          assert.strictEqual(yield* tries(retryOn, new A(), new B(), new A()), "Failure after 2")
          assert.strictEqual(yield* tries(other, new SubA()), "Failure after 1")
        })
    )
  }

  scenario(
    "TD.13-UNIT-017 failures, defects and rejections retry, interruption of the run does not",
    (run) =>
      Effect.gen(function*() {
        const bodies: ReadonlyArray<Effect.Effect<never, unknown>> = [
          boom("typed"),
          Effect.die(new Error("defect")),
          Effect.sync(() => {
            throw new Error("thrown")
          }),
          Effect.promise(() => Promise.reject(new Error("rejected")))
        ]
        for (const bad of bodies) {
          const g = fan({
            work: [(_, { attempt }) => attempt === 1 ? bad : Effect.succeed({ v: attempt }), {
              retry: { maxRetries: 1, baseDelay: 10 }
            }]
          })
          yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
          assert.deepInclude(g.result("work"), { _tag: "Success", attempts: 2 })
        }
        let starts = 0
        const g = fan({
          work: [() => Effect.suspend(() => (starts++, Effect.never)), { retry: { maxRetries: 5, baseDelay: 10 } }]
        })
        const watched = yield* watch(run(g.graph, { n: 1 }))
        assert.isFalse(yield* watched.endedAt(5))
        yield* Fiber.interrupt(watched.fiber)
        yield* TestClock.adjust(1000)
        assert.strictEqual(starts, 1)
        assert.isTrue(Exit.isFailure(yield* watched.exit))
      })
  )

  scenario(
    "TD.13-UNIT-019 four retries of one second, doubling, run at 0, 1, 3, 7 and 15 s",
    (run) =>
      Effect.gen(function*() {
        const starts: Array<number> = []
        const g = fan({
          work: [failing(starts, ..."abcde"), { retry: { maxRetries: 4, baseDelay: "1 second", backoffMultiplier: 2 } }]
        })
        const { at } = yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
        assert.deepStrictEqual(starts, [0, 1000, 3000, 7000, 15_000])
        assert.strictEqual(at, 15_000)
        assert.deepInclude(g.result("work"), { _tag: "Failure", attempts: 5, retryCount: 4, timingMs: 15_000 })
      })
  )

  for (const maxRetries of [2, 5]) {
    scenario(
      `TD.13-INT-009 a flow that fails twice succeeds with maxRetries ${maxRetries}`,
      (run) =>
        Effect.gen(function*() {
          const State = Schema.Struct({ result: Schema.String, attempts: Schema.Number })
          let seen: unknown
          const graph = StateGraph.make("flaky", State)
            .addNode("flaky", (_state, { attempt }) =>
              attempt <= 2
                ? boom(`Attempt ${attempt} failed`)
                : Effect.succeed({ result: "success", attempts: attempt }))
            .addFanInNode("join", (_state, { parallelResults: [result] }) => {
              seen = { state: result!.state, retryCount: result!.retryCount, attempts: result!.attempts }
              return result!.state
            })
            .addParallelEdge(StateGraph.START, "flaky", "join", { retry: { maxRetries, baseDelay: 10 } })
            .setFinishPoint("join")
            .compile()
          const { exit } = yield* endOf(Effect.provide(run(graph, { result: "", attempts: 0 }), quiet))
          assert.deepStrictEqual(exit, Exit.succeed({ result: "success", attempts: 3 }))
          assert.deepStrictEqual(seen, { state: { result: "success", attempts: 3 }, retryCount: 2, attempts: 3 })
        })
    )
  }

  scenario("TD.13-INT-010 a limit is per attempt, a total limit is for all of them", (run) =>
    Effect.gen(function*() {
      const second = fan({
        work: [(_, { attempt }) => attempt === 1 ? Effect.sleep(10_000) : Effect.succeed({ v: 2 }), {
          timeout: 100,
          retry: { maxRetries: 1, baseDelay: 10 }
        }]
      })
      const start = yield* endOf(Effect.provide(run(second.graph, { n: 1 }), quiet), 60_000)
      assert.strictEqual(start.at, 110)
      assert.deepInclude(second.result("work"), { _tag: "Success", retryCount: 1, timingMs: 110 })
    }))

  scenario(
    "TD.13-INT-010 attempts that fail before the limit are no timeouts, however many",
    (run) =>
      Effect.gen(function*() {
        const three = fan({
          work: [(_, { attempt }) => Effect.andThen(Effect.sleep(80), boom(`failure ${attempt}`)), {
            timeout: 100,
            retry: { maxRetries: 2, baseDelay: 1 }
          }]
        })
        yield* endOf(Effect.provide(run(three.graph, { n: 1 }), quiet))
        const result = three.result("work")
        assert.deepInclude(result, { _tag: "Failure", timeout: false, attempts: 3 })
        assert.deepStrictEqual(result.attemptErrors.map(({ errorType }) => errorType), ["Boom", "Boom", "Boom"])
      })
  )

  scenario("TD.13-INT-010 endless hangs end at the total limit", (run) =>
    Effect.gen(function*() {
      const g = fan({
        work: [() => Effect.never, { timeout: 100, totalTimeout: 150, retry: { maxRetries: 9, baseDelay: 10 } }]
      })
      const { at } = yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
      assert.strictEqual(at, 150)
      assert.deepInclude(g.result("work"), {
        _tag: "Timeout",
        timeoutKind: "total",
        timeoutMs: 150,
        timingMs: 150,
        attempts: 2
      })
    }))

  scenario(
    "TD.13-INT-011 the final failure is the last one, and holds all of them in order",
    (run) =>
      Effect.gen(function*() {
        const body: Body = (_, { attempt }) => boom(`Attempt ${attempt} failed`)
        const g = fan({
          all: [body, { retry: { maxRetries: 3, baseDelay: 1 } }],
          last2: [body, { retry: { maxRetries: 3, baseDelay: 1, maxStoredErrors: 2 } }]
        })
        yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
        const all = g.result("all")
        assert.deepInclude(all, { _tag: "Failure", attempts: 4, retryCount: 3, error: "Attempt 4 failed" })
        assert.deepStrictEqual(
          all.attemptErrors.map(({ attempt, error }) => ({ attempt, error })),
          [1, 2, 3, 4].map((attempt) => ({ attempt, error: `Attempt ${attempt} failed` }))
        )
        assert.strictEqual(all.attemptErrorsDropped, 0)
        const last2 = g.result("last2")
        assert.deepStrictEqual(last2.attemptErrors.map(({ attempt }) => attempt), [3, 4])
        assert.strictEqual(last2.attemptErrorsDropped, 2)
      })
  )

  scenario("TD.13-INT-012 a flow that waits for its retry holds no place", (run) =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const at = (name: string) =>
        Effect.clockWith((clock) => Effect.sync(() => void done.push(`${name} at ${clock.currentTimeMillisUnsafe()}`)))
      const g = fan({
        flaky: [(_, { attempt }) => attempt === 1 ? boom("once") : at("flaky"), {
          retry: { maxRetries: 1, baseDelay: 500 }
        }],
        quick: () => Effect.andThen(Effect.sleep(20), at("quick"))
      }, { graph: { concurrency: 1 } })
      yield* endOf(Effect.provide(run(g.graph, { n: 1 }), quiet))
      assert.deepStrictEqual(done, ["quick at 20", "flaky at 500"])
    }))

  scenario(
    "TD.13-INT-013 each retry is one log record with branch, attempt, delay and error",
    (run) =>
      Effect.gen(function*() {
        for (const [level, expected] of [["Info", 2], ["Warn", 2], ["Error", 0]] as const) {
          const records: Array<Record<string, unknown>> = []
          const logger = Logger.make(({ fiber, logLevel, message }) => {
            records.push({ logLevel, message: String(message), ...fiber.getRef(References.CurrentLogAnnotations) })
          })
          const g = fan({
            work: [(_, { attempt }) => attempt < 3 ? boom(`failure ${attempt}`) : Effect.void, {
              retry: { maxRetries: 2, baseDelay: 10 }
            }]
          })
          yield* endOf(
            run(g.graph, { n: 1 }, { runId: "r" }).pipe(
              Effect.provide(Logger.layer([logger])),
              Effect.provideService(References.MinimumLogLevel, level)
            )
          )
          assert.strictEqual(records.length, expected)
          if (expected === 0) continue
          const [first, second] = records
          const same = { logLevel: "Warn", graph: "g", runId: "r", branch: "work" }
          assert.deepInclude(first, { ...same, attempt: 1, delayMs: 10, error: "failure 1" })
          assert.deepInclude(second, { ...same, attempt: 2, delayMs: 20, error: "failure 2" })
          assert.include(String(first!["message"]), "failure 1")
        }
      })
  )
})
