/**
 * `totalTimeout`: one deadline for all attempts of a flow and the waits between them, counted from its first attempt.
 */
import * as Effect from "effect/Effect"
import * as Emit from "./emit.ts"
import { monotonicMs, startDeadline } from "./time.ts"
import type { Work } from "./work.ts"

/** Milliseconds until the deadline; `Infinity` without one, before the first attempt, and for what runs after the last. */
const remaining = (work: Work, now: number): number =>
  work.started && !work.usedFallback ? work.startedAt + work.config.totalTimeoutMs - now : Infinity

/** What bounds the attempt that starts now: its own limit, or what is left of the whole. */
export const attemptLimitMs = (work: Work, now: number): number => Math.min(work.config.timeoutMs, remaining(work, now))

/**
 * Waits until `register` calls back, the work is cut, or its deadline passes. Whichever comes first calls off the rest.
 */
export const park = (
  work: Work,
  register: (go: () => void) => () => void
): Effect.Effect<"go" | "OutOfTime" | "Cancelled"> =>
  Effect.callback((resume) => {
    if (work.cancelled !== undefined) return resume(Effect.succeed("Cancelled"))
    const left = remaining(work, monotonicMs(work.run.clock))
    if (left <= 0) {
      ended(work, "OutOfTime")
      return resume(Effect.succeed("OutOfTime"))
    }
    let called = false
    let callOff: (() => void) | undefined
    let cancelTimer: (() => void) | undefined
    const wake = (why: "go" | "OutOfTime" | "Cancelled"): void => {
      if (called) return
      // Given back by what is stopped with it, a moment before it is stopped itself.
      if (why === "go" && work.cancelled === undefined && work.owner.isStopping) return callOff?.()
      called = true
      const how = work.cancelled === undefined ? why : "Cancelled"
      work.wake = undefined
      cancelTimer?.()
      if (how !== "go") {
        callOff?.()
        ended(work, how)
      }
      resume(Effect.succeed(how))
    }
    work.wake = () => wake("Cancelled")
    callOff = register(() => wake("go"))
    if (called || left === Infinity) return
    cancelTimer = startDeadline(work.context, work.run.clock, left, () => wake("OutOfTime"))
  })

/** Whether its deadline passed while the attempt before was waited for: it ends then, and no other one begins. */
export const isOutOfTime = (work: Work): boolean => {
  if (remaining(work, monotonicMs(work.run.clock)) > 0) return false
  ended(work, "OutOfTime")
  return true
}

/** What ends while it waits ends now, not when its last attempt did. */
const ended = (work: Work, how: "OutOfTime" | "Cancelled"): void => {
  work.endedAt = monotonicMs(work.run.clock)
  if (how === "Cancelled") return
  const limitMs = work.config.totalTimeoutMs
  Emit.flowTimedOut(work, limitMs, "total", work.line?.state ?? work.state)
}
