/**
 * A node with a policy: the wrappers of a flow around a single node, on whatever line it is.
 *
 * To the line around, it is one execution of the node, whose attempts are lines of their own.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { cut } from "./attempt.ts"
import { restoreAttempts } from "./attempts.ts"
import { interrupted, type Line } from "./cells.ts"
import { outcomeOf, withAttempts } from "./flow.ts"
import type { NodeFunction, PlanNode } from "./plan.ts"
import { failureCause, timeoutError } from "./settle.ts"
import { within } from "./span.ts"
import { NodeCall, type Outcome } from "./work.ts"

type Policy = NonNullable<PlanNode["policy"]>

export const guard = (line: Line, node: PlanNode, { config, ownGrace }: Policy): NodeFunction => () =>
  Effect.callback<unknown, unknown>((resume) => {
    const { graceMs } = line.run.config
    const call = new NodeCall(line, node, ownGrace ? config : { ...config, graceMs })
    call.span = line.runningSpan
    call.context = within(line.context, line.runningSpan)
    const resumedCall = line.continued?.call
    if (line.continued !== undefined) line.continued.call = undefined
    if (resumedCall !== undefined) {
      restoreAttempts(call, resumedCall)
      call.resumed = { attemptMs: resumedCall.attemptMs, waitMs: resumedCall.waitMs }
    }
    line.inner = call
    let onEnded = (exit: Exit.Exit<unknown, unknown>): void => resume(exit)
    let hasEnded = false
    Effect.runForkWith(call.context)(withAttempts(call, (self) => self)).addObserver((exit) => {
      if (line.inner === call) line.inner = undefined
      hasEnded = true
      call.releasePermit()
      onEnded(exitOf(call, outcomeOf(exit)))
    })
    const stop = Effect.callback<void>((done) => {
      if (hasEnded) return done(Effect.void)
      onEnded = () => done(Effect.void)
      call.cancelled = interrupted("the line around it was stopped")
      if (call.line !== undefined && !call.line.ended) cut(call.line, call.cancelled)
      else call.wake?.()
    })
    // In a turn of its own: a listener or a node can be what interrupts, in the middle of the engine's work.
    return Effect.andThen(Effect.yieldNow, stop)
  })

const exitOf = (call: NodeCall, outcome: Outcome): Exit.Exit<unknown, unknown> => {
  switch (outcome._tag) {
    case "Rejected":
      return Exit.fail(outcome.error)
    case "OutOfTime":
      return Exit.fail(timeoutError(call, "total", call.config.totalTimeoutMs))
    case "Cancelled":
      return Exit.interrupt()
    case "Executed": {
      const { end } = outcome
      if (end._tag === "Exit" && Exit.isSuccess(end.exit)) return end.exit
      const cause = failureCause(call, end)
      return cause === undefined ? Exit.interrupt() : Exit.failCause(cause)
    }
  }
}
