/**
 * Step 5, the heart: one flow, from its place in the fan-out to exactly one result. Read from inside out:
 *
 * ```text
 * execute(flow)                  one attempt, cut at its limit
 *   |> withCircuit(flow)         asks before, records after, every attempt
 *   |> drained(flow)             waits for what was cut, for as long as grace allows
 *   |> withLimit(flow)           takes a permit of the bulkhead that it shares, for the attempt
 *   |> withPlace(flow)           takes a place of the fan-out, given back for a wait and at the end
 *   |> withRetry(flow)           decides whether and when another attempt runs
 *   |> withFallback(flow)        does something else when all of it has failed
 *   |> capture                   Outcome -> ParallelFlowResult, always exactly one
 * ```
 *
 * The total limit is a deadline that every attempt and every wait knows (`withDeadline.ts`). Wrappers that are not
 * configured are not applied: a flow without retry and circuit needs no fiber of its own beside its line's. The same wrappers
 * stand around a single node (`guard.ts`).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { asExecuted, attempt, attemptEnded, drained, drainThen, execute } from "./attempts.ts"
import { type End, type Interrupted, Line } from "./cells.ts"
import * as Emit from "./emit.ts"
import { isIdle, resultOf, settle } from "./settle.ts"
import { flowSpan, within } from "./span.ts"
import { withCircuit } from "./withCircuit.ts"
import { withFallback } from "./withFallback.ts"
import { withLimit } from "./withLimit.ts"
import { releasePlace, withPlace } from "./withPlace.ts"
import { withRetry } from "./withRetry.ts"
import type { Flow, Outcome, Work } from "./work.ts"

/** Starts a flow; it settles by itself. */
export const start = (flow: Flow): void => {
  flow.span = flowSpan(flow)
  // It had begun before its run was saved.
  if (flow.started) Emit.flowStarted(flow)
  if (flow.cancelled !== undefined) return capture(flow, cutBefore(flow, flow.cancelled))
  flow.context = within(flow.owner.context, flow.span)
  const { circuitBreaker, limit, retry } = flow.config
  const { fallback } = flow.edge
  if (
    circuitBreaker === undefined && retry === undefined && limit === undefined && fallback === undefined &&
      flow.places === undefined ||
    // What only waits on takes nothing that others wait for.
    flow.resumed?.waitsOn === true && !flow.usedFallback
  ) {
    return attempt(flow, ended)
  }
  const { places } = flow
  const whole = withAttempts(flow, (self) => places === undefined ? self : withPlace(self, flow, places))
  const all = fallback === undefined ? whole : withFallback(whole, flow, fallback)
  Effect.runForkWith(flow.context)(all).addObserver((exit) => capture(flow, outcomeOf(exit)))
}

/** It was cut, and had not settled, when its run was saved: its result tells where. */
const cutBefore = (flow: Flow, end: Interrupted): Outcome => {
  const saved = flow.resumed?.line
  if (saved === undefined) return { _tag: "Cancelled" }
  const state = flow.run.codecs.decodeState(saved.state, "state")
  const line = new Line(flow.run, flow, flow.attempts, flow.context, undefined, state, flow.edge.to)
  const waited = saved.joins.some(({ fanIn, flows }) =>
    fanIn === saved.at && flows.some(({ result }) => result === undefined)
  )
  if (saved.phase === "before" && !waited) line.rarely.failedNode = saved.at
  if (saved.usedFallback === true) line.rarely.usedFallback = true
  flow.line = line
  return { _tag: "Executed", end, abandoned: false }
}

/** The wrappers that flows and single nodes share, as far as they are configured. */
export const withAttempts = (
  work: Work,
  around: (self: Effect.Effect<Outcome>) => Effect.Effect<Outcome>
): Effect.Effect<Outcome> => {
  const { circuitBreaker, limit, retry } = work.config
  const once = execute(work).pipe(
    (self) => circuitBreaker === undefined ? asExecuted(self) : withCircuit(self, work, circuitBreaker),
    drained(work),
    (self) => limit === undefined ? self : withLimit(self, work, limit),
    around
  )
  return retry === undefined ? once : withRetry(once, work, retry)
}

export const outcomeOf = (exit: Exit.Exit<Outcome>): Outcome =>
  Exit.isSuccess(exit) ? exit.value : { _tag: "Executed", end: { _tag: "Exit", exit }, abandoned: false }

const capture = (flow: Flow, outcome: Outcome): void => {
  if (flow.result === undefined) settle(flow, resultOf(flow, outcome))
  releasePlace(flow)
}

/** The end of the only attempt of a flow that has no fiber of its own. */
const ended = (line: Line, end: End): void => {
  const flow = line.flow!
  attemptEnded(flow, line, end)
  if (isIdle(line)) capture(flow, { _tag: "Executed", end, abandoned: line.zombies > 0 })
  else drainThen(flow, end, (outcome) => capture(flow, outcome))
}
