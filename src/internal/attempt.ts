/**
 * One supervised execution of a line. It ends exactly once: by itself, or cut. A cut interrupts the work at once and does
 * not wait for it; `drain` does, for as long as `grace` allows, and then abandons what is left.
 *
 * `Effect.timeout` cannot be used here: it waits for an uninterruptible loser, for ever if need be.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as GraphMetrics from "../GraphMetrics.ts"
import { type Cut, type End, interrupted, type Limit, type Line } from "./cells.ts"
import * as Emit from "./emit.ts"
import { isIdle, resultOf, settle } from "./settle.ts"
import { endSpan } from "./span.ts"
import { monotonicMs, startDeadline, startTimer } from "./time.ts"
import type { Join } from "./work.ts"

/** Walks the line, for at most `limitMs` from its start, and calls back once with how it ended. */
export const supervise = (line: Line, limitMs: number, onEnd: (line: Line, end: End) => void): void => {
  const { run } = line
  line.onEnd = onEnd
  // No timer, and on very many lines no cell for an Infinity of their own.
  if (limitMs === Infinity) return run.walk(line)
  line.limitMs = limitMs
  run.walk(line)
  if (line.ended || line.dialog?.stoppedAt !== undefined) return
  const left = line.startedAt + limitMs - monotonicMs(run.clock)
  line.cancelTimer = startDeadline(line.context, run.clock, Math.max(0, left), () => cut(line, limitOf(line)))
}

/** The limit that a line has reached: what was left of the whole, if that was less than an attempt may take. */
const limitOf = ({ call, flow, limitMs }: Line): Limit => {
  const { timeoutMs, totalTimeoutMs } = (call ?? flow!).config
  return limitMs! < timeoutMs
    ? { _tag: "Limit", kind: "total", limitMs: totalTimeoutMs }
    : { _tag: "Limit", kind: "attempt", limitMs: timeoutMs }
}

/** A line came to its end by itself. */
export const end = (line: Line, exit: Exit.Exit<Line["state"], unknown>): void => {
  // What is to be cut in this turn has been stopped already.
  if (line.ended || line.pendingCut !== undefined) return
  // A synchronous loop can hold the timer back: what ends after its limit is late, whatever it brings.
  const late = line.limitMs !== undefined && monotonicMs(line.run.clock) - line.startedAt > line.limitMs
  conclude(line, late ? limitOf(line) : { _tag: "Exit", exit }, "the line that joins it ended")
}

/** Stops a line before its end: its node and its flows are interrupted at once, and not waited for. */
export const cut = (line: Line, why: Cut): void => {
  if (line.ended) return
  const by = why._tag === "Interrupted" ? why.by : "the line that joins it was stopped"
  if (line.onStack) {
    if (line.pendingCut !== undefined) return
    line.run.session.stopping(line, why)
    line.pendingCut = why
    return cutFlows(line, by)
  }
  line.rarely.failedNode = why._tag === "Failed" ? why.node : line.running?.name
  conclude(line, why, by)
}

const conclude = (line: Line, how: End, by: string): void => {
  line.run.session.stopping(line, how)
  line.ended = true
  line.how = how
  line.cancelTimer?.()
  cutFlows(line, by)
  line.fiber?.interruptUnsafe()
  tell(line)
}

/** Once. What a finalizer does at an interruption can have made others abandon the line before its end is told. */
const tell = (line: Line): void => {
  const { how, onEnd } = line
  line.onEnd = undefined
  onEnd?.(line, how!)
}

/** Stops all flows of a line that have not settled. */
const cutFlows = (line: Line, by: string): void => {
  for (const join of line.open) cutJoin(join, by)
}

export const cutJoin = (join: Join, by: string): void => {
  join.cancelTimer?.()
  if (join.pending === 0) return
  for (const producer of join.producers) producer.stop()
  const why = interrupted(by)
  const left = [...join.open()].filter(({ cancelled }) => cancelled === undefined)
  // All are told before one of them stops: its place must not go to one that is to be stopped too.
  for (const flow of left) flow.cancelled = why
  for (const { line, wake } of left) {
    if (line !== undefined && !line.ended) cut(line, why)
    else wake?.()
  }
}

/** Waits until nothing of an ended line runs, for at most `graceMs`; then abandons it. */
export const drain = (line: Line, graceMs: number, done: (abandoned: boolean) => void): void => {
  if (isIdle(line)) return done(line.zombies > 0)
  if (graceMs === 0) {
    abandon(line)
    return done(true)
  }
  let cancelTimer: (() => void) | undefined
  line.rarely.onIdle = () => {
    cancelTimer?.()
    done(line.zombies > 0)
  }
  if (graceMs === Infinity) return
  cancelTimer = startTimer(line.context, line.run.clock, graceMs, () => {
    line.rarely.onIdle = undefined
    abandon(line)
    done(true)
  })
}

const gone = interrupted("the work around it was abandoned")

/** Ends, for the observers, everything that is open on a line; what still runs is watched, and its outcome dropped. */
const abandon = (line: Line): void => {
  if (line.muted) return
  const { inner } = line
  if (inner?.line !== undefined) {
    cut(inner.line, gone)
    // It may have ended with that.
    if (line.inner === inner) abandon(inner.line)
  }
  // The fiber of a node that is a graph, or has a policy, waits for nothing but its lines.
  if (line.fiber !== undefined && line.inner === undefined) watchZombie(line, line.fiber)
  if (line.running !== undefined) {
    Emit.nodeInterrupted(line, line.running)
    endSpan(line.run, line.runningSpan, Exit.interrupt())
    line.running = undefined
  }
  line.muted = true
  for (const join of line.open) {
    for (const producer of join.producers) {
      const fiber = producer.abandon()
      if (fiber !== undefined) watchZombie(line, fiber)
    }
    for (const flow of join.open()) {
      const { line: attempt } = flow
      if (attempt !== undefined) {
        abandon(attempt)
        if (attempt.ended) tell(attempt)
        else conclude(attempt, gone, gone.by)
      }
      settle(
        flow,
        resultOf(flow, { _tag: "Executed", end: gone, abandoned: true })
      )
    }
  }
}

export const watchZombie = (line: Line, fiber: NonNullable<Line["fiber"]>): void => {
  const { flow, run } = line
  const where = {
    graph: run.plan.name,
    runId: run.runId,
    branch: flow?.branch ?? "main line",
    attempt: line.attempt,
    node: (line.call?.node ?? line.running)?.name ?? ""
  }
  const tell = (effect: Effect.Effect<void>) => Effect.runForkWith(line.context)(Effect.annotateLogs(effect, where))
  zombie(line, 1)
  GraphMetrics.abandoned(run.metricTarget, run.plan.name)
  tell(Effect.logWarning("abandoned: work did not stop within its grace after it was interrupted"))
  fiber.addObserver(() => {
    zombie(line, -1)
    tell(Effect.logInfo("abandoned work ended, its outcome is dropped"))
  })
}

/** Abandoned work counts for every line around it: nothing is retried beside a zombie. */
const zombie = (line: Line, change: 1 | -1): void => {
  for (let at: Line | undefined = line; at !== undefined; at = at.around) {
    at.zombies += change
  }
}
