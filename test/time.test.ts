/** The engine's timers and stretches of time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect } from "effect"
import { TestClock } from "effect/testing"
import { isOver, monotonicMs, startDeadline, startTimer } from "../src/internal/time.ts"

const clock = Effect.clockWith((clock) => Effect.succeed<Clock.Clock>(clock))
const context = Effect.context<never>()

describe.each([["startTimer", startTimer], ["startDeadline", startDeadline]] as const)("%s", (_name, start) => {
  for (const ms of [0, 2 ** -10, 1, 50]) {
    it.effect(`calls back once, after ${ms} ms and not before`, () =>
      Effect.gen(function*() {
        const fired: Array<number> = []
        const at = yield* clock
        yield* TestClock.adjust(1)
        const began = monotonicMs(at)
        start(yield* context, at, ms, () => void fired.push(monotonicMs(at) - began))
        if (ms > 0) {
          yield* TestClock.adjust(ms * 0.999)
          assert.deepStrictEqual(fired, [])
        }
        yield* TestClock.adjust(ms - ms * 0.999)
        assert.strictEqual(fired.length, 1)
        yield* TestClock.adjust(1000)
        assert.strictEqual(fired.length, 1)
      }))
  }

  it.effect("calls nobody when it was called off", () =>
    Effect.gen(function*() {
      let fired = 0
      const cancel = start(yield* context, yield* clock, 10, () => fired++)
      yield* TestClock.adjust(9)
      cancel()
      yield* TestClock.adjust(100)
      assert.strictEqual(fired, 0)
    }))
})

describe("a deadline", () => {
  it.effect("comes after all else that is due at its instant, set before or after it", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const [at, services]: [Clock.Clock, Context.Context<never>] = [yield* clock, yield* context]
      startTimer(services, at, 10, () => void order.push("before"))
      startDeadline(services, at, 10, () => void order.push("deadline"))
      startTimer(services, at, 10, () => void order.push("after"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(order, ["before", "after", "deadline"])
    }))
})

describe("a stretch of time", () => {
  it("is over at its last instant, and when the clock has stepped back before it", () => {
    for (
      const [length, now, over] of [
        [100, 1000, false],
        [100, 1099, false],
        [100, 1100, true],
        [100, 1101, true],
        [100, 999, true],
        [0, 1000, true],
        [Infinity, 1e15, false],
        [Infinity, 999, false]
      ] as const
    ) assert.strictEqual(isOver(1000, length, now), over, `${length} at ${now}`)
  })
})
