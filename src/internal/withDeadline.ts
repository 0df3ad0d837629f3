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
    if (isOutOfTime(work)) return resume(Effect.succeed("OutOfTime"))
    let isOver = false
    let callOff: (() => void) | undefined
    let cancelTimer: (() => void) | undefined
    const end = (how: "go" | "OutOfTime" | "Cancelled"): void => {
      isOver = true
      work.wake = undefined
      cancelTimer?.()
      if (how !== "go") callOff?.()
      resume(Effect.succeed(how))
    }
    work.wake = () => {
      work.endedAt = monotonicMs(work.run.clock)
      end("Cancelled")
    }
    callOff = register(() => {
      // It can be on its way already when the wait is called off.
      if (isOver) return
      // Given back by what is stopped with it, a moment before it is told to stop itself.
      if (work.cancelled !== undefined || work.owner.isStopping) return callOff?.()
      end("go")
    })
    const left = remaining(work, monotonicMs(work.run.clock))
    if (isOver || left === Infinity) return
    cancelTimer = startDeadline(work.context, work.run.clock, left, () => {
      endOutOfTime(work)
      end("OutOfTime")
    })
  })

/** Whether its deadline passed while the attempt before was waited for: it ends then, and no other one begins. */
export const isOutOfTime = (work: Work): boolean => {
  if (remaining(work, monotonicMs(work.run.clock)) > 0) return false
  endOutOfTime(work)
  return true
}

/** What ends while it waits ends now, not when its last attempt did. */
const endOutOfTime = (work: Work): void => {
  work.endedAt = monotonicMs(work.run.clock)
  Emit.flowTimedOut(work, work.config.totalTimeoutMs, "total", work.line?.state ?? work.state)
}
