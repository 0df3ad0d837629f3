/** What a retry does at its edges. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Random, References, Schedule } from "effect"
import { Bulkhead } from "effect-stategraph"
import { boom, fan } from "./support/fan.ts"
import { everywhere, lineWith } from "./support/lines.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"

/** What is logged as a warning while it runs, the messages alone. */
const warningsOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String((message as ReadonlyArray<unknown>)[0]))
    })
    return Effect.map(
      Effect.exit(Effect.provide(self, [Logger.layer([logger]), Bulkhead.layer])),
      (exit) => ({ exit, warnings })
    )
  })

describe("a retryOn that throws", () => {
  for (const where of everywhere) {
    scenario(`${where}: is told, and the attempt's own error stays`, (run) =>
      Effect.gen(function*() {
        let attempts = 0
        const graph = lineWith(where, () => (attempts++, boom("its own")), {
          retry: {
            maxRetries: 3,
            retryOn: () => {
              throw new Error("bug in retryOn")
            }
          }
        })
        const { exit: ended } = yield* endOf(warningsOf(run(graph, { n: 0 })))
        assert(Exit.isSuccess(ended))
        const { exit, warnings } = ended.value
        assert.strictEqual(attempts, 1)
        assert.deepStrictEqual(warnings, ["retryOn threw, so there is no retry"])
        assert.deepInclude(Exit.isFailure(exit) && Cause.squash(exit.cause), { _tag: "Boom", message: "its own" })
      }))
  }
})

describe("the jitter of a flow", () => {
  const drawing = (next: () => number) =>
    Effect.provideService(Random.Random, { nextIntUnsafe: next, nextDoubleUnsafe: next })
  const once = (jitter: number) =>
    fan({
      a: [(_state, { attempt }) => attempt < 2 ? boom("again") : {}, {
        retry: { maxRetries: 1, baseDelay: 100, jitter }
      }]
    })

  for (const [random, waitMs] of [[0, 50], [0.5, 100], [1, 150]] as const) {
    scenario(`spreads its wait: ${waitMs} ms for ${random}`, (run) =>
      Effect.gen(function*() {
        const { graph, result } = once(0.5)
        const { at } = yield* endOf(drawing(() => random)(run(graph, { n: 0 })))
        assert.strictEqual(at, waitMs)
        assert.strictEqual(result("a").attempts, 2)
      }).pipe(Effect.provide(Logger.layer([]))))
  }

  scenario("of 0 draws no number", (run) =>
    Effect.gen(function*() {
      const { graph } = once(0)
      const refused = () => assert.fail("a number was drawn")
      const { at, exit } = yield* endOf(drawing(refused)(run(graph, { n: 0 }, { runId: "r" })))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 100)
    }).pipe(Effect.provide(Logger.layer([]))))
})

describe("no retry is announced", () => {
  const toldOf = (
    events: ReadonlyArray<{ readonly _tag: string; readonly branch?: string | undefined }>,
    branch: string
  ) => events.flatMap((event) => event.branch === branch ? [event._tag] : [])

  for (const retry of [{ maxRetries: 5, baseDelay: 10 }, Schedule.spaced(10)]) {
    it.effect(`when the total limit cut the attempt: ${"maxRetries" in retry ? "a policy" : "a Schedule"}`, () =>
      Effect.gen(function*() {
        const { graph, result } = fan({ a: [() => Effect.never, { totalTimeout: 30, retry }] })
        const { exit } = yield* endOf(eventsOf(graph, { n: 0 }))
        assert(Exit.isSuccess(exit))
        const told = toldOf(exit.value.events as never, "a")
        assert.deepStrictEqual(told.filter((tag) => tag === "FlowTimedOut" || tag === "RetryScheduled"), [
          "FlowTimedOut"
        ])
        assert.deepInclude(result("a"), { _tag: "Timeout", timeoutKind: "total", attempts: 1, timingMs: 30 })
      }))
  }

  it.effect("when the flow was stopped while its failed attempt cleaned up", () =>
    Effect.gen(function*() {
      const slowToEnd = Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep(40)))
      const { graph } = fan({
        a: [() => slowToEnd, { timeout: 10, grace: "wait", retry: { maxRetries: 5, baseDelay: 10 } }],
        b: [() => Effect.andThen(Effect.sleep(20), boom("b")), { failFast: true }]
      })
      const { at, exit } = yield* endOf(eventsOf(graph, { n: 0 }))
      assert.strictEqual(at, 50)
      assert(Exit.isSuccess(exit))
      const told = toldOf(exit.value.events as never, "a")
      assert.include(told, "FlowTimedOut")
      assert.notInclude(told, "RetryScheduled")
    }).pipe(Effect.provide(Logger.layer([]))))
})

describe("the log of a retry", () => {
  it.effect("says which flow, after which attempt, when, and why", () =>
    Effect.gen(function*() {
      const { graph } = fan({ a: [() => boom("down"), { retry: { maxRetries: 2, baseDelay: 10 } }] })
      const { exit } = yield* endOf(warningsOf(graph.invoke({ n: 0 })))
      assert(Exit.isSuccess(exit))
      assert.deepStrictEqual(exit.value.warnings, [
        `retry of flow "a" after attempt 1 in 10 ms: down`,
        `retry of flow "a" after attempt 2 in 20 ms: down`
      ])
    }))
})

describe("the log of a retry of a node", () => {
  const annotated = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const logs: Array<Readonly<Record<string, unknown>>> = []
      const logger = Logger.make(({ fiber, message }) =>
        void logs.push({ message: String(message), ...fiber.getRef(References.CurrentLogAnnotations) })
      )
      return Effect.as(Effect.exit(Effect.provide(self, [Logger.layer([logger]), Bulkhead.layer])), logs)
    })
  const known = { graph: "g", runId: "r", node: "work", attempt: 1, delayMs: 10, error: "down" }

  for (
    const [where, message, branch] of [
      ["on the main line", `retry of node "work" after attempt 1 in 10 ms: down`, {}],
      ["in a flow", `retry of node "work" in flow "work" after attempt 1 in 10 ms: down`, { branch: "work" }]
    ] as const
  ) {
    it.effect(`says which node, and where: ${where}`, () =>
      Effect.gen(function*() {
        const graph = lineWith(where, () => boom("down"), { retry: { maxRetries: 1, baseDelay: 10 } })
        const { exit } = yield* endOf(annotated(graph.invoke({ n: 0 }, { runId: "r" })))
        assert(Exit.isSuccess(exit))
        assert.deepStrictEqual(exit.value, [{ message, ...known, ...branch }])
      }))
  }
})
