/**
 * Time as the engine uses it: monotonic milliseconds, and timers that are cheap to cancel.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Monotonic milliseconds of arbitrary origin: for differences only. */
export const monotonicMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** Calls back after `ms`; the returned function cancels. */
export const startTimer = (
  context: Context.Context<never>,
  clock: Clock.Clock,
  ms: number,
  fired: () => void
): () => void => start(context, clock.sleep(Duration.millis(ms)), fired)

/** A binary fraction, so that two legs add up exactly. */
const lastLegMs = 2 ** -10

/**
 * Like {@link startTimer}, but after everything else that is due at the same instant: what ends exactly at its limit is
 * in time. It sleeps in two legs, so that at the instant itself this timer is the last to have been set.
 */
export const startDeadline = (
  context: Context.Context<never>,
  clock: Clock.Clock,
  ms: number,
  fired: () => void
): () => void =>
  ms <= lastLegMs
    ? startTimer(context, clock, ms, fired)
    : start(
      context,
      Effect.andThen(clock.sleep(Duration.millis(ms - lastLegMs)), clock.sleep(Duration.millis(lastLegMs))),
      fired
    )

const start = (context: Context.Context<never>, sleep: Effect.Effect<void>, fired: () => void): () => void => {
  const fiber = Effect.runForkWith(context)(sleep)
  fiber.addObserver((exit) => Exit.isSuccess(exit) ? fired() : undefined)
  return () => fiber.interruptUnsafe()
}

/**
 * Whether a stretch of time has passed. The last instant belongs to "over", and so does a time before the stretch: a clock
 * that stepped back must not prolong it.
 */
export const isOver = (sinceMs: number, lengthMs: number, nowMs: number): boolean =>
  nowMs - sinceMs >= lengthMs || (nowMs < sinceMs && lengthMs !== Infinity)
