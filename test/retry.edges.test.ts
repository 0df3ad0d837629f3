/** What a retry does at its edges. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Logger } from "effect"
import { Bulkhead } from "effect-stategraph"
import { boom } from "./support/fan.ts"
import { everywhere, lineWith } from "./support/lines.ts"
import { endOf, scenario } from "./support/scenario.ts"

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
