/**
 * The circuit breaker around every attempt: permission before, exactly one record after, taken when the attempt is cut
 * and not when its remains are gone.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type { Resolved } from "../ParallelConfig.ts"
import type { End, Flow, Outcome } from "./cells.ts"
import { outcomeOf } from "./circuitStore.ts"
import * as Emit from "./emit.ts"
import { circuitKey } from "./plan.ts"
import { failureCause } from "./settle.ts"

export const withCircuit = (
  self: Effect.Effect<End>,
  flow: Flow,
  { config, key: configured }: NonNullable<Resolved["circuitBreaker"]>
): Effect.Effect<Outcome> => {
  const key = flow.mapped?.circuitKey ?? circuitKey(flow.run.plan.name, flow.family, configured)
  flow.run.useCircuit(flow.family, key)
  flow.span?.attribute("circuit.key", key)
  const permitted = (permit: CircuitBreakerRegistry.Permit): Effect.Effect<Outcome> => {
    // Asking may take time where circuits are shared between processes; the flow may have been cut meanwhile.
    if (flow.cancelled !== undefined) return Effect.as(permit.record("ignored"), { _tag: "Cancelled" })
    flow.transition = permit.transition
    return Effect.flatMap(
      self,
      (end) =>
        Effect.map(recorded(flow, end, permit, key), ({ circuitState, transition }) => {
          flow.circuitState = circuitState
          if (transition !== undefined) Emit.circuitStateChanged(flow, transition)
          return { _tag: "Executed", end, abandoned: false }
        })
    )
  }
  return Effect.matchEffect(flow.run.registry.acquire(key, config), {
    onSuccess: permitted,
    onFailure: (error) => {
      flow.circuitState = error.circuitState
      Emit.flowRejected(flow, error)
      return Effect.succeed<Outcome>({ _tag: "Rejected", error })
    }
  })
}

/** Failures, defects and limits count, unless `isFailure` says otherwise; interruptions are ignored. */
const recorded = (flow: Flow, end: End, permit: CircuitBreakerRegistry.Permit, key: string) => {
  if (end._tag === "Exit" && Exit.isSuccess(end.exit)) return permit.record("success")
  const cause = failureCause(flow, end)
  return cause === undefined
    ? permit.record("ignored")
    : Effect.flatMap(outcomeOf(Exit.failCause(cause), key, permit.config), permit.record)
}
