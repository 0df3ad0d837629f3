/**
 * `totalTimeout`: one deadline for all attempts of a flow and the waits between them, counted from its first attempt.
 */
import * as Effect from "effect/Effect"
import type { Flow, Limit } from "./cells.ts"
import * as Emit from "./emit.ts"
import { monotonicMs, startDeadline } from "./time.ts"

/** Milliseconds until the flow's deadline; `Infinity` without one, or before the first attempt. */
const remaining = (flow: Flow, now: number): number =>
  flow.attempts === 0 ? Infinity : flow.startedAt + flow.config.totalTimeoutMs - now

/** What bounds the attempt that starts now: its own limit, or what is left of the whole. */
export const attemptLimit = (flow: Flow, now: number): Limit | undefined => {
  const { timeoutMs, totalTimeoutMs } = flow.config
  const left = remaining(flow, now)
  if (timeoutMs === Infinity && left === Infinity) return undefined
  return left < timeoutMs
    ? { _tag: "Limit", kind: "total", limitMs: totalTimeoutMs, ms: left }
    : { _tag: "Limit", kind: "attempt", limitMs: timeoutMs, ms: timeoutMs }
}

/**
 * Waits until `register` calls back, the flow is cut, or its deadline passes. Whichever comes first calls off the rest.
 */
export const park = (
  flow: Flow,
  register: (go: () => void) => () => void
): Effect.Effect<"go" | "OutOfTime" | "Cancelled"> =>
  Effect.callback((resume) => {
    if (flow.cancelled !== undefined) return resume(Effect.succeed("Cancelled"))
    let called = false
    let callOff: (() => void) | undefined
    let cancelTimer: (() => void) | undefined
    const wake = (why: "go" | "OutOfTime" | "Cancelled"): void => {
      if (called) return
      called = true
      const how = flow.cancelled === undefined ? why : "Cancelled"
      flow.wake = undefined
      cancelTimer?.()
      if (how !== "go") {
        callOff?.()
        ended(flow, how)
      }
      resume(Effect.succeed(how))
    }
    flow.wake = () => wake("Cancelled")
    callOff = register(() => wake("go"))
    const left = remaining(flow, monotonicMs(flow.run.clock))
    if (called || left === Infinity) return
    if (left <= 0) wake("OutOfTime")
    else cancelTimer = startDeadline(flow.context, flow.run.clock, left, () => wake("OutOfTime"))
  })

/** A flow that ends while it waits ends now, not when its last attempt did. */
const ended = (flow: Flow, how: "OutOfTime" | "Cancelled"): void => {
  flow.endedAt = monotonicMs(flow.run.clock)
  if (how === "Cancelled") return
  const limitMs = flow.config.totalTimeoutMs
  Emit.flowTimedOut(flow, limitMs, "total", flow.line?.state ?? flow.state)
}
