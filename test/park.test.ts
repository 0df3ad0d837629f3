/** Waiting for something, within a deadline, as long as nobody stops it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { isOutOfTime, park } from "../src/internal/withDeadline.ts"
import type { Work } from "../src/internal/work.ts"

/** As much of a flow's work as a wait looks at: it has started at 0, and has told nothing yet. */
const makeWork = Effect.fnUntraced(function*(totalTimeoutMs: number) {
  const clock = yield* Clock.Clock
  let timers = 0
  const told: Array<unknown> = []
  const work = {
    scope: "flow",
    started: true,
    usedFallback: false,
    startedAt: Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
    endedAt: undefined as number | undefined,
    cancelled: undefined as unknown,
    wake: undefined as (() => void) | undefined,
    state: "launched",
    line: undefined as { readonly state: unknown } | undefined,
    config: { totalTimeoutMs },
    context: yield* Effect.context<never>(),
    owner: { isStopping: false },
    branch: "a",
    edge: { fanIn: { name: "join" } },
    run: {
      plan: { name: "g" },
      runId: "r",
      clock: {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        sleep: (duration: Duration.Duration) =>
          Effect.suspend(() => {
            timers++
            return Effect.ensuring(clock.sleep(duration), Effect.sync(() => timers--))
          })
      },
      emit: (event: { readonly _tag: string; readonly state: unknown }) => void told.push([event._tag, event.state])
    }
  }
  const begun = work.startedAt
  return {
    /** What a test sets; the engine sees the same object. */
    work,
    engine: work as unknown as Work,
    told,
    timers: () => timers,
    /** Milliseconds from its start to its end, if it has been told to end. */
    endedAfter: () => work.endedAt === undefined ? undefined : work.endedAt - begun
  }
})

/** A thing to wait for, and how often it was called off. */
const makeThing = () => {
  const thing = { go: () => {}, calledOff: 0 }
  const register = (go: () => void) => {
    thing.go = go
    return () => void thing.calledOff++
  }
  return { thing, register }
}

const forked = (self: Effect.Effect<string>) => Effect.forkChild(self, { startImmediately: true })

describe("a wait", () => {
  it.effect("ends with what it waits for, and leaves no timer", () =>
    Effect.gen(function*() {
      const { endedAfter, engine, timers, told, work } = yield* makeWork(100)
      const { register, thing } = makeThing()
      const fiber = yield* forked(park(engine, register))
      yield* TestClock.adjust(60)
      assert.strictEqual(timers(), 1)
      thing.go()
      assert.strictEqual(yield* Fiber.join(fiber), "go")
      assert.deepStrictEqual([timers(), thing.calledOff, work.wake, endedAfter(), told], [
        0,
        0,
        undefined,
        undefined,
        []
      ])
    }))

  it.effect("for what is there already needs no timer", () =>
    Effect.gen(function*() {
      const { engine, timers } = yield* makeWork(100)
      const how = yield* park(engine, (go) => {
        go()
        return () => assert.fail("called off")
      })
      assert.deepStrictEqual([how, timers()], ["go", 0])
    }))

  it.effect("without a deadline needs no timer", () =>
    Effect.gen(function*() {
      const { engine, timers } = yield* makeWork(Infinity)
      const { register, thing } = makeThing()
      const fiber = yield* forked(park(engine, register))
      assert.strictEqual(timers(), 0)
      thing.go()
      assert.strictEqual(yield* Fiber.join(fiber), "go")
    }))

  it.effect("is over at the deadline, and what comes then wakes nobody", () =>
    Effect.gen(function*() {
      const { endedAfter, engine, told, work } = yield* makeWork(100)
      const { register, thing } = makeThing()
      const fiber = yield* forked(park(engine, register))
      yield* TestClock.adjust(99)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "OutOfTime")
      assert.deepStrictEqual([thing.calledOff, work.wake, endedAfter()], [1, undefined, 100])
      assert.deepStrictEqual(told, [["FlowTimedOut", "launched"]])
      const next = () => {}
      work.wake = next
      thing.go()
      assert.strictEqual(work.wake, next)
    }))

  it.effect("tells the state of the attempt before, if there was one", () =>
    Effect.gen(function*() {
      const { engine, told, work } = yield* makeWork(100)
      work.line = { state: "attempted" }
      const fiber = yield* forked(park(engine, makeThing().register))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "OutOfTime")
      assert.deepStrictEqual(told, [["FlowTimedOut", "attempted"]])
    }))

  for (const [past, left] of [[100, 0], [130, -30]] as const) {
    it.effect(`does not begin with ${left} ms left`, () =>
      Effect.gen(function*() {
        const { endedAfter, engine, told } = yield* makeWork(100)
        yield* TestClock.adjust(past)
        assert.strictEqual(yield* park(engine, () => assert.fail("it began")), "OutOfTime")
        assert.deepStrictEqual([endedAfter(), told], [past, [["FlowTimedOut", "launched"]]])
      }))
  }

  it.effect("that is stopped ends at once, without a timer", () =>
    Effect.gen(function*() {
      const { endedAfter, engine, timers, told, work } = yield* makeWork(100)
      const { register, thing } = makeThing()
      const fiber = yield* forked(park(engine, register))
      yield* TestClock.adjust(40)
      work.cancelled = { by: "somebody" }
      work.wake?.()
      assert.strictEqual(yield* Fiber.join(fiber), "Cancelled")
      assert.deepStrictEqual([timers(), thing.calledOff, work.wake, endedAfter(), told], [0, 1, undefined, 40, []])
    }))

  it.effect("of what was stopped before does not begin", () =>
    Effect.gen(function*() {
      const { engine, work } = yield* makeWork(100)
      work.cancelled = { by: "somebody" }
      assert.strictEqual(yield* park(engine, () => assert.fail("it began")), "Cancelled")
    }))

  for (const stopping of ["it", "what is around it"]) {
    it.effect(`gives back what it gets when ${stopping} is about to be stopped`, () =>
      Effect.gen(function*() {
        const { engine, work } = yield* makeWork(100)
        const { register, thing } = makeThing()
        const fiber = yield* forked(park(engine, register))
        if (stopping === "it") work.cancelled = { by: "somebody" }
        else work.owner.isStopping = true
        thing.go()
        yield* Effect.yieldNow
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual(thing.calledOff, 1)
        work.wake?.()
        assert.strictEqual(yield* Fiber.join(fiber), "Cancelled")
      }))
  }
})

describe("time is up", () => {
  it.effect("at the deadline, which is told once; never without one, before the first attempt or after the last", () =>
    Effect.gen(function*() {
      const { engine, told, work } = yield* makeWork(100)
      yield* TestClock.adjust(99)
      assert.isFalse(isOutOfTime(engine))
      yield* TestClock.adjust(1)
      work.started = false
      assert.isFalse(isOutOfTime(engine))
      work.started = true
      work.usedFallback = true
      assert.isFalse(isOutOfTime(engine))
      work.usedFallback = false
      work.config.totalTimeoutMs = Infinity
      assert.isFalse(isOutOfTime(engine))
      assert.deepStrictEqual(told, [])
      work.config.totalTimeoutMs = 100
      assert.isTrue(isOutOfTime(engine))
      assert.deepStrictEqual(told, [["FlowTimedOut", "launched"]])
    }))
})
