/** Running to the end: the clock goes from timer to timer, stands where it ended, and says what it waited for in vain. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { StateGraph } from "effect-stategraph"
import { VirtualTime } from "effect-stategraph/testing"
import { TestClock } from "effect/testing"

const now = Clock.currentTimeMillis

const State = Schema.Struct({ told: Schema.optionalKey(Schema.String) })

/** A flow that works like this, with its limits. */
const flow = (work: () => Effect.Effect<unknown, unknown>, config: StateGraph.EdgeConfig = {}) =>
  StateGraph.make("flow", State)
    .addNode("work", () => Effect.as(work(), {}))
    .addFanInNode("join", (_state, { parallelResults: [result] }) => ({
      told: `${result?._tag} ${result?.attempts} ${result?.timingMs}`
    }))
    .addParallelEdge(StateGraph.START, "work", "join", config)
    .setFinishPoint("join")
    .compile()
    .invoke({})

describe("an effect runs to its end", () => {
  it.effect("and the clock stands where it ended", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 minute")
      const { elapsedMs, exit } = yield* VirtualTime.runToEnd(
        flow(() => Effect.delay(Effect.fail("no"), "3 hours"), {
          retry: { maxRetries: 2, baseDelay: "1 hour" },
          timeout: "4 hours"
        })
      )
      assert.deepStrictEqual(yield* exit, { told: `Failure 3 ${(9 * 3600 + 120) * 1000}` })
      assert.strictEqual(elapsedMs, (9 * 3600 + 120) * 1000)
      assert.strictEqual(yield* now, 60_000 + elapsedMs)
    }))

  it.effect("with a failure or a defect as its exit", () =>
    Effect.gen(function*() {
      const failed = yield* VirtualTime.runToEnd(Effect.delay(Effect.fail("no"), 5))
      assert.deepStrictEqual(failed, { exit: Exit.fail("no"), elapsedMs: 5 })
      const died = yield* VirtualTime.runToEnd(Effect.die("bug"))
      assert.deepStrictEqual(died, { exit: Exit.die("bug"), elapsedMs: 0 })
    }))

  it.effect("exactly at a limit, and just past it", () =>
    Effect.gen(function*() {
      const at = (ms: number) =>
        Effect.flatMap(VirtualTime.runToEnd(flow(() => Effect.sleep(ms), { timeout: 100 })), ({ exit }) => exit)
      assert.deepStrictEqual(yield* at(100), { told: "Success 1 100" })
      assert.deepStrictEqual(yield* at(101), { told: "Timeout 1 100" })
    }))

  it.effect("and what is due at one instant comes in its order", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const at = (ms: number, name: string) =>
        Effect.delay(Effect.flatMap(now, (at) => Effect.sync(() => order.push(`${name} ${at}`))), ms)
      yield* VirtualTime.runToEnd(
        Effect.all([at(20, "c"), at(10, "a"), Effect.andThen(at(10, "b"), at(5, "between"))], {
          concurrency: "unbounded"
        })
      )
      assert.deepStrictEqual(order, ["a 10", "b 10", "between 15", "c 20"])
    }))

  it.effect("without time passing while something can happen", () =>
    Effect.gen(function*() {
      const turns = Effect.repeat(Effect.yieldNow, { times: 2_000 })
      const promises = Effect.promise(async () => {
        for (let i = 0; i < 2_000; i++) await Promise.resolve()
      })
      const immediate = Effect.promise(() => new Promise((resolve) => setImmediate(() => setImmediate(resolve))))
      for (const work of [turns, promises, immediate]) {
        const { exit } = yield* VirtualTime.runToEnd(
          Effect.all([Effect.sleep(10), Effect.andThen(work, now)], { concurrency: "unbounded" })
        )
        const [, at] = yield* exit
        assert.strictEqual(at, yield* Effect.map(now, (at) => at - 10))
      }
    }))

  it.effect("when something else helps it, now or later", () =>
    Effect.gen(function*() {
      const deferred = yield* Deferred.make<string>()
      const helper = yield* Effect.forkChild(Effect.delay(Deferred.succeed(deferred, "late"), "1 hour"))
      const { elapsedMs, exit } = yield* VirtualTime.runToEnd(Deferred.await(deferred))
      assert.strictEqual(yield* exit, "late")
      assert.strictEqual(elapsedMs, 3_600_000)
      yield* Fiber.join(helper)
    }))

  it.effect("when something real helps it, and no time passes", () =>
    Effect.gen(function*() {
      const real = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
      assert.strictEqual((yield* VirtualTime.runToEnd(real)).elapsedMs, 0)
    }))

  it.live("on a clock of its own where time is real", () =>
    Effect.gen(function*() {
      const before = yield* now
      const { elapsedMs, exit } = yield* VirtualTime.runToEnd(Effect.andThen(Effect.sleep("1 day"), now))
      assert.strictEqual(elapsedMs, 86_400_000)
      assert.strictEqual(yield* exit, 86_400_000)
      assert.isBelow((yield* now) - before, 3_600_000)
    }))
})

describe("an effect that does not end", () => {
  it.effect("within a day, or its limit, is stopped there", () =>
    Effect.gen(function*() {
      let stopped = false
      const sleeping = Effect.onInterrupt(Effect.sleep("2 days"), () =>
        Effect.sync(() => {
          stopped = true
        }))
      const error = yield* Effect.flip(VirtualTime.runToEnd(sleeping))
      assert.instanceOf(error, VirtualTime.NotEndedError)
      assert.strictEqual(error.message, "it has not ended after 1d of virtual time: its next timer is due 1d later")
      assert.strictEqual(yield* now, 86_400_000)
      yield* Effect.yieldNow
      assert.isTrue(stopped)
      const shorter = yield* Effect.flip(VirtualTime.runToEnd(Effect.sleep(101), { limit: "100 millis" }))
      assert.deepStrictEqual([shorter.limitMs, shorter.nextTimerMs], [100, 1])
      assert.strictEqual(yield* now, 86_400_100)
      assert.isTrue(Exit.isSuccess((yield* VirtualTime.runToEnd(Effect.sleep(100), { limit: "100 millis" })).exit))
    }))

  it.effect("for nothing that time could bring is told so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(VirtualTime.runToEnd(flow(() => Effect.never)))
      assert.strictEqual(error.nextTimerMs, undefined)
      assert.include(error.message, "it has not ended after 1d of virtual time: nothing in it waits for the clock")
    }))

  it.effect("although its timers never end", () =>
    Effect.gen(function*() {
      const polling = Effect.forever(Effect.sleep("1 minute"))
      const error = yield* Effect.flip(VirtualTime.runToEnd(polling, { limit: "1 hour" }))
      assert.strictEqual(error.nextTimerMs, 60_000)
      // A limit is a timer in two legs.
      const limited = VirtualTime.runToEnd(flow(() => Effect.never, { timeout: "2 hours" }), { limit: "1 hour" })
      assert.strictEqual((yield* Effect.flip(limited)).nextTimerMs, 3_600_000)
    }))

  it.effect("and does not stop either, is not waited for", () =>
    Effect.gen(function*() {
      const stubborn = Effect.uninterruptible(Effect.sleep("2 hours"))
      const error = yield* Effect.flip(VirtualTime.runToEnd(stubborn, { limit: "1 hour" }))
      assert.strictEqual(error.limitMs, 3_600_000)
    }))

  it.effect("is interrupted with the test", () =>
    Effect.gen(function*() {
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const run = VirtualTime.runToEnd(
        Effect.onExit(Effect.never, (exit) => Effect.sync(() => exits.push(exit))),
        { limit: "Infinity" }
      )
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      yield* Effect.yieldNow
      assert.strictEqual(exits.length, 1)
      const [exit] = exits
      assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))
})
