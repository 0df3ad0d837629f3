/**
 * AC3, the pure part: what a retry policy says, without a graph. The rest of AC3 runs graphs.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { ParallelConfig, RetryPolicy } from "effect-stategraph"

const delays = (policy: RetryPolicy.RetryPolicy, ns: ReadonlyArray<number>): ReadonlyArray<number> =>
  ns.map((n) => Duration.toMillis(RetryPolicy.delay(policy, n)))

it("TD.13-UNIT-014: by default nothing is retried; waits are 1 s to 60 s, doubling, for every error", () => {
  const policy = RetryPolicy.make()
  assert.deepStrictEqual(policy, {
    maxRetries: 0,
    baseDelayMs: 1_000,
    maxDelayMs: 60_000,
    exponentialBackoff: true,
    backoffMultiplier: 2,
    jitter: 0,
    retryOn: undefined,
    maxStoredErrors: 5
  })
  assert.strictEqual(RetryPolicy.retries(policy, new Error("any")), true)
  assert.strictEqual(ParallelConfig.resolve(ParallelConfig.make({ retry: {} })).retry, undefined)
})

it.effect("TD.13-UNIT-014: the default policy gives exactly one execution", () =>
  Effect.gen(function*() {
    let executions = 0
    const failing = Effect.suspend(() => Effect.fail(`attempt ${++executions}`))
    const exit = yield* Effect.exit(Effect.retry(failing, RetryPolicy.schedule(RetryPolicy.make())))
    assert.deepStrictEqual(exit, Exit.fail("attempt 1"))
    assert.strictEqual(executions, 1)
  }))

it("TD.13-UNIT-015: the delay is min(base * mult ** (n - 1), max), finite for every n", () => {
  const policy = RetryPolicy.make({ baseDelay: "1 second", backoffMultiplier: 2, maxDelay: "60 seconds" })
  assert.deepStrictEqual(delays(policy, [1, 2, 3, 4, 11]), [1_000, 2_000, 4_000, 8_000, 60_000])
  assert.deepStrictEqual(delays(policy, [5_000]), [60_000])
})

it("TD.13-UNIT-018: base 10, mult 2, max 30 gives 10, 20, 30, 30", () => {
  const policy = RetryPolicy.make({ baseDelay: 10, backoffMultiplier: 2, maxDelay: 30 })
  assert.deepStrictEqual(delays(policy, [1, 2, 3, 4]), [10, 20, 30, 30])
})
