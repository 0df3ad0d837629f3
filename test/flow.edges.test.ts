/** What flows take and give back at the edges of their attempts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger } from "effect"
import { Bulkhead } from "effect-stategraph"
import { boom, fan } from "./support/fan.ts"
import { endOf } from "./support/scenario.ts"

describe("a place of the fan-out", () => {
  it.effect("is not given back by a flow that ends while it holds none", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const at = (name: string, ms: number) => () =>
        Effect.clockWith((clock) => {
          started.push(`${name} at ${clock.currentTimeMillisUnsafe()}`)
          return Effect.sleep(ms)
        })
      const { graph, result } = fan({
        a: [() => boom("a"), { totalTimeout: 30, retry: { maxRetries: 1, baseDelay: 100 } }],
        b: at("b", 50),
        c: at("c", 50)
      }, { graph: { concurrency: 1 } })
      const end = yield* endOf(graph.invoke({ n: 0 }))
      assert.strictEqual(end.at, 100)
      assert.deepStrictEqual(started, ["b at 0", "c at 50"])
      assert.deepInclude(result("a"), { _tag: "Timeout", timingMs: 30 })
    }).pipe(Effect.provide(Logger.layer([]))))
})

describe("a limit that flows share", () => {
  it.effect("is warned of when they want different numbers of permits, and runs both", () =>
    Effect.gen(function*() {
      for (const [permits, warnings] of [[1, 0], [2, 1]] as const) {
        const messages: Array<string> = []
        const logger = Logger.make(({ message }) => void messages.push(String(message)))
        const { graph, result } = fan({
          a: [() => Effect.sleep(10), { limit: { key: "k", permits: 1 } }],
          b: [() => Effect.sleep(10), { limit: { key: "k", permits } }]
        })
        const { exit } = yield* endOf(
          graph.invoke({ n: 0 }).pipe(Effect.provide([Logger.layer([logger]), Bulkhead.layer]))
        )
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(messages.length, warnings, messages.join())
        for (const message of messages) assert.include(message, `"k"`)
        for (const branch of ["a", "b"]) assert.strictEqual(result(branch)._tag, "Success")
      }
    }))
})
