/**
 * Running to the end on the virtual clock: hours in no time, to the millisecond.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { isTestClock, Watching } from "./internal/watching.ts"

/**
 * How an effect ended, and when.
 *
 * **Details**
 *
 * `exit` is an Effect too: `yield* exit` gives the value, or fails as the effect did. `elapsedMs` is the virtual time from its
 * start to its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly elapsedMs: number
}

/**
 * An effect has not ended within the virtual time that it was given.
 *
 * **Details**
 *
 * `nextTimerMs`: in how many milliseconds its next timer is due; absent when it does not wait for time at all.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotEndedError extends Schema.TaggedError<NotEndedError>()("NotEndedError", {
  limitMs: Schema.Finite,
  nextTimerMs: Schema.optionalKey(Schema.Finite)
}) {
  override get message(): string {
    const { limitMs, nextTimerMs } = this
    const waits = nextTimerMs === undefined
      ? "nothing in it waits for the clock, so it waits for ever (Effect.never, a Deferred or a scripted node that nobody answers)" +
        " or for something real, which takes no virtual time"
      : `its next timer is due ${Duration.format(Duration.millis(nextTimerMs))} later`
    return `it has not ended after ${Duration.format(Duration.millis(limitMs))} of virtual time: ${waits}`
  }
}

/**
 * Runs an effect to its end while the virtual clock goes from timer to timer.
 *
 * **When to use**
 *
 * For any run with limits, retries, waits or latency in a test. Where the test has to look at things at an instant, fork the run and
 * use `TestClock.adjust`.
 *
 * **Details**
 *
 * The clock moves only when nothing more happens without it, and only to the next timer, so what is due at one instant is done before
 * the next, and the clock stands where the effect ended. The clock is the `TestClock` in context (that of `it.effect`), or else one of
 * its own. With `limit` (default: 1 day of virtual time) an effect that has not ended by then is interrupted, not waited for, and this
 * fails with a {@link NotEndedError} that says what it was waiting for.
 *
 * **Gotchas**
 *
 * Real input and output takes no virtual time: limits around it pass at once. Give nodes what answers at once, or on the clock. What
 * helps the effect to go on belongs into it, so that its timers are known: fork it there.
 *
 * **Example** (A retry policy of an hour)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 * import { VirtualTime } from "effect-stategraph/testing"
 *
 * const graph = StateGraph.make("import", Schema.Struct({ failed: Schema.optionalKey(Schema.String) }))
 *   .addNode("load", () => Effect.fail("no connection"))
 *   .addFanInNode("report", (_state, { parallelResults: [load] }) => ({ failed: `${load?.attempts} attempts` }))
 *   .addParallelEdge(StateGraph.START, "load", "report", { retry: { maxRetries: 3, baseDelay: "10 minutes", maxDelay: "1 hour" } })
 *   .setFinishPoint("report")
 *   .compile()
 *
 * const program = Effect.gen(function*() {
 *   const { elapsedMs, exit } = yield* VirtualTime.runToEnd(graph.invoke({}))
 *   return [yield* exit, elapsedMs / 60_000]
 * })
 *
 * await Effect.runPromise(program) // => [{ failed: "4 attempts" }, 70]
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const runToEnd = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options?: { readonly limit?: Duration.Input | undefined }
): Effect.Effect<Ended<A, E>, NotEndedError, R> => {
  const limitMs = Duration.toMillis(Duration.fromInputUnsafe(options?.limit ?? "1 day"))
  return Effect.flatMap(Clock.Clock, (clock) =>
    isTestClock(clock)
      ? run(self, clock, limitMs)
      : TestClock.testClockWith((clock) => run(self, clock, limitMs)).pipe(Effect.provide(TestClock.layer())))
}

const run = Effect.fnUntraced(function*<A, E, R>(
  self: Effect.Effect<A, E, R>,
  clock: TestClock.TestClock,
  limitMs: number
) {
  const watching = new Watching(clock, yield* Scheduler.Scheduler)
  // A clock that has never moved cuts the first sleep short where it is one of a finalizer.
  yield* clock.adjust(0)
  const startedAt = watching.now
  let endedAt = startedAt
  const fiber = yield* self.pipe(
    Effect.onExit(() =>
      Effect.sync(() => {
        endedAt = watching.now
      })
    ),
    Effect.provideService(Clock.Clock, watching.clock),
    Effect.provideService(Scheduler.Scheduler, watching.scheduler),
    Effect.forkDetach({ startImmediately: true })
  )
  const stop = Effect.sync(() => fiber.interruptUnsafe())
  const move = toEnd(watching, () => fiber.pollUnsafe() !== undefined, startedAt + limitMs)
  const left = yield* Effect.onInterrupt(move, () => stop)
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return { exit, elapsedMs: endedAt - startedAt }
  yield* stop
  return yield* new NotEndedError({ limitMs, ...left === undefined ? {} : { nextTimerMs: Math.ceil(left) } })
})

/** Moves the clock until it has ended, or to the limit; gives the time to the next timer then. */
const toEnd = Effect.fnUntraced(function*(watching: Watching, hasEnded: () => boolean, limitAt: number) {
  /** Others may wait for the clock to help it: without timers of its own the clock goes in steps that grow. */
  let stepMs = 0
  for (;;) {
    yield* watching.settled
    const { next, now } = watching
    if (hasEnded()) return undefined
    if (now >= limitAt) return next === undefined ? undefined : next - now
    if (next !== undefined) {
      stepMs = 0
      yield* watching.clock.setTime(Math.min(Math.max(next, now), limitAt))
    } else if (stepMs > 0 || !(yield* watching.stirred)) {
      stepMs = Math.max(1, stepMs * 2)
      yield* watching.clock.setTime(Math.min(now + stepMs, limitAt))
    }
  }
})
