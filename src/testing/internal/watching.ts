/**
 * What an effect waits for, seen from outside: a clock and a scheduler that know its timers and its turns.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import type { TestClock } from "effect/testing/TestClock"

/** Turns without anything happening after which nothing is expected to happen without time: Promises that are resolved need some. */
const quietTurns = 3

/** Turns after which work that never stops is not waited for any more. */
const maxTurns = 100_000

/** Real milliseconds that an effect without timers is given, for what others have still to do for it. */
const patienceMs = 20

export class Watching {
  readonly clock: TestClock
  readonly scheduler: Scheduler.Scheduler
  readonly #timers = new Set<{ readonly at: number }>()
  readonly #real: TestClock
  /** Turns that are due, and how much has been asked for so far. */
  #due = 0
  #activity = 0

  constructor(real: TestClock, scheduler: Scheduler.Scheduler) {
    this.#real = real
    this.clock = { ...real, sleep: (duration) => this.#sleep(duration) }
    this.scheduler = {
      executionMode: scheduler.executionMode,
      shouldYield: (fiber) => scheduler.shouldYield(fiber),
      makeDispatcher: () => this.#dispatcher(scheduler.makeDispatcher())
    }
  }

  get now(): number {
    return this.#real.currentTimeMillisUnsafe()
  }

  /** The instant of the next timer, if there is one. */
  get next(): number | undefined {
    let next = Infinity
    for (const { at } of this.#timers) next = Math.min(next, at)
    return next === Infinity ? undefined : next
  }

  /** Waits until nothing more happens without time. */
  readonly settled: Effect.Effect<void> = Effect.suspend(() => this.#settled(quietTurns))

  /** Waits, in real time, for something to happen; not long. */
  readonly stirred: Effect.Effect<boolean> = Effect.suspend(() => {
    const before = this.#activity
    const wait = (left: number): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        if (this.#activity !== before) return Effect.succeed(true)
        if (left === 0) return Effect.succeed(false)
        return Effect.andThen(this.#real.withLive(Effect.sleep(1)), wait(left - 1))
      })
    return wait(patienceMs)
  })

  #settled(quiet: number, turns = maxTurns): Effect.Effect<void> {
    if (quiet === 0 || turns === 0) return Effect.void
    const before = this.#activity
    return Effect.andThen(
      Effect.yieldNow,
      Effect.suspend(() => {
        const isQuiet = this.#due === 0 && this.#activity === before
        return this.#settled(isQuiet ? quiet - 1 : quietTurns, turns - 1)
      })
    )
  }

  #sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const timer = { at: this.now + Duration.toMillis(duration) }
        this.#timers.add(timer)
        this.#activity++
        return timer
      }),
      () => this.#real.sleep(duration),
      (timer) =>
        Effect.sync(() => {
          this.#timers.delete(timer)
          this.#activity++
        })
    )
  }

  #dispatcher(real: Scheduler.SchedulerDispatcher): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task, priority) => {
        this.#due++
        this.#activity++
        real.scheduleTask(() => {
          this.#due--
          task()
        }, priority)
      },
      flush: () => real.flush()
    }
  }
}

/** Whether a clock is one that moves only when it is told to. */
export const isTestClock = (clock: Clock.Clock): clock is TestClock => "adjust" in clock && "withLive" in clock
