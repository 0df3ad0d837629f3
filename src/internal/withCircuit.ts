/**
 * The circuit breaker around every attempt: permission before, exactly one record after, taken when the attempt is cut
 * and not when its remains are gone.
 */
import * as Effect from "effect/Effect"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type { Resolved } from "../ParallelConfig.ts"
import type { End, Flow, Outcome } from "./cells.ts"
import { primaryError } from "./describe.ts"
import * as Emit from "./emit.ts"
import { circuitKey } from "./plan.ts"
import { failureCause } from "./settle.ts"
import { spanEvent } from "./span.ts"

export const withCircuit = (
  self: Effect.Effect<End>,
  flow: Flow,
  { config, key: configured }: NonNullable<Resolved["circuitBreaker"]>
): Effect.Effect<Outcome> => {
  const key = circuitKey(flow.run.plan.name, flow.branch, configured)
  flow.run.useCircuit(flow.branch, key)
  const permitted = (permit: CircuitBreakerRegistry.Permit): Effect.Effect<Outcome> => {
    // Asking may take time where circuits are shared between processes; the flow may have been cut meanwhile.
    if (flow.cancelled !== undefined) return Effect.as(permit.record("ignored"), { _tag: "Cancelled" })
    noteTransition(flow, permit.transition)
    return Effect.flatMap(
      self,
      (end) =>
        Effect.map(permit.record(outcomeOf(flow, end, config)), ({ circuitState, transition }) => {
          flow.circuitState = circuitState
          if (transition !== undefined) {
            noteTransition(flow, transition)
            Emit.circuitStateChanged(flow, transition)
          }
          return { _tag: "Executed", end, abandoned: false }
        })
    )
  }
  return Effect.matchEffect(flow.run.registry.acquire(key, config), {
    onSuccess: permitted,
    onFailure: (error) => {
      flow.circuitState = error.circuitState
      spanEvent(flow.run, flow.span, "rejected", { "circuit.key": error.key, "circuit.state": error.circuitState })
      Emit.flowRejected(flow, error)
      return Effect.succeed<Outcome>({ _tag: "Rejected", error })
    }
  })
}

const noteTransition = (flow: Flow, transition: CircuitBreakerRegistry.Transition | undefined): void => {
  flow.transition = transition
  if (transition === undefined) return
  spanEvent(flow.run, flow.span, "circuit", {
    "circuit.key": transition.key,
    "circuit.from": transition.from,
    "circuit.to": transition.to
  })
}

/** Failures, defects and limits count, unless `isFailure` says otherwise; interruptions from outside are ignored. */
const outcomeOf = (flow: Flow, end: End, config: CircuitBreaker.Config): CircuitBreaker.Outcome => {
  if (end._tag === "Exit" && end.exit._tag === "Success") return "success"
  const cause = failureCause(flow, end)
  if (cause === undefined) return "ignored"
  try {
    return config.isFailure === undefined || config.isFailure(primaryError(cause)) ? "failure" : "ignored"
  } catch {
    return "failure"
  }
}
