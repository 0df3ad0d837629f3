/**
 * `fallback` of an edge: what a flow does, from its launch state, when its last attempt has failed or it was rejected.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { supervise } from "./attempt.ts"
import { asExecuted, begin, drained } from "./attempts.ts"
import { type End, Line } from "./cells.ts"
import { merge, noteWritten } from "./node.ts"
import { END, type Fallback, type Position } from "./plan.ts"
import { failureCause } from "./settle.ts"
import { monotonicMs } from "./time.ts"
import { withPlace } from "./withPlace.ts"
import type { Flow, Outcome } from "./work.ts"

export const withFallback = (
  self: Effect.Effect<Outcome>,
  flow: Flow,
  fallback: Fallback
): Effect.Effect<Outcome> =>
  flow.usedFallback && fallback._tag === "Node" ? instead(flow, fallback.node) : Effect.flatMap(self, (outcome) => {
    if (!hasFailed(flow, outcome) || flow.cancelled !== undefined || flow.result !== undefined) {
      return Effect.succeed(outcome)
    }
    flow.usedFallback = true
    flow.releasePermit()
    if (fallback._tag === "Value") return Effect.sync(() => value(flow, fallback.update))
    flow.nextAt = monotonicMs(flow.run.clock)
    return instead(flow, fallback.node)
  })

/** Everything but success and interruption. */
const hasFailed = (flow: Flow, outcome: Outcome): boolean => {
  if (outcome._tag === "Executed") return failureCause(flow, outcome.end) !== undefined
  return outcome._tag !== "Cancelled"
}

const lineAt = (flow: Flow, position: Position): Line =>
  new Line(flow.run, flow, Math.max(1, flow.attempts), flow.context, undefined, flow.state, position)

const value = (flow: Flow, update: object): Outcome => {
  const line = lineAt(flow, END)
  flow.line = line
  const state = merge(line, flow.edge.to, update)
  const exit = state instanceof Error ? Exit.fail(state) : Exit.succeed(state)
  if (!(state instanceof Error)) {
    line.state = state
    noteWritten(line, update)
  }
  return { _tag: "Executed", end: { _tag: "Exit", exit }, abandoned: false }
}

/** Runs another node, and what follows it up to the fan-in: once, in a place like any attempt. */
const instead = (flow: Flow, to: Position): Effect.Effect<Outcome> => {
  const once: Effect.Effect<End> = Effect.callback((resume) => {
    const now = monotonicMs(flow.run.clock)
    begin(flow, now)
    const line = lineAt(flow, to)
    const saved = flow.resumed?.line
    flow.resumed = undefined
    flow.line = line
    flow.nextAt = undefined
    line.startedAt = now - (saved?.elapsedMs ?? 0)
    if (saved !== undefined) flow.run.restore(line, saved)
    // As long as an attempt may take; without such a limit, as long as the whole flow may.
    const { timeoutMs, totalTimeoutMs } = flow.config
    supervise(line, timeoutMs === Infinity ? totalTimeoutMs : timeoutMs, (_line, end) => {
      flow.endedAt = monotonicMs(flow.run.clock)
      resume(Effect.succeed(end))
    })
  })
  const whole = asExecuted(once).pipe(drained(flow))
  return flow.places === undefined || flow.resumed?.waitsOn === true ? whole : withPlace(whole, flow, flow.places)
}
