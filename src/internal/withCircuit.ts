/**
 * The circuit breaker around every attempt: permission before, exactly one record after, taken when the attempt is cut
 * and not when its remains are gone.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type { Resolved } from "../ParallelConfig.ts"
import type { End } from "./cells.ts"
import { outcomeOf } from "./circuitOutcome.ts"
import * as Emit from "./emit.ts"
import { circuitKey, nodeCircuitKey } from "./plan.ts"
import { failureCause } from "./settle.ts"
import type { OfCircuit, Outcome, Work } from "./work.ts"

export const withCircuit = (
  self: Effect.Effect<End>,
  work: Work,
  { config, key: configured }: NonNullable<Resolved["circuitBreaker"]>
): Effect.Effect<Outcome> => {
  const key = keyOf(work, configured)
  work.run.useCircuit(work.scope === "flow" ? work.family : work.node.name, key)
  work.span?.attribute("circuit.key", key)
  const permitted = (permit: CircuitBreakerRegistry.Permit): Effect.Effect<Outcome> => {
    // Asking may take time where circuits are shared between processes; the flow may have been cut meanwhile.
    if (work.cancelled !== undefined) return Effect.as(permit.record("ignored"), { _tag: "Cancelled" })
    const circuit: OfCircuit = { state: work.circuit?.state, transition: permit.transition, release: undefined }
    work.circuit = circuit
    const noted = ({ circuitState, transition }: CircuitBreakerRegistry.Recorded): void => {
      circuit.state = circuitState
      if (transition !== undefined) Emit.circuitStateChanged(work, transition)
    }
    // What waits for somebody is no probe, and nothing that a circuit waits for.
    circuit.release = () => {
      circuit.release = undefined
      Effect.runForkWith(work.context)(Effect.map(permit.record("ignored"), noted))
    }
    return Effect.flatMap(self, (end) => {
      if (circuit.release === undefined) return Effect.succeed(executed(end))
      circuit.release = undefined
      return Effect.map(recorded(work, end, permit, key), (answer) => {
        noted(answer)
        return executed(end)
      })
    })
  }
  return Effect.matchEffect(work.run.registry.acquire(key, config), {
    onSuccess: permitted,
    onFailure: (error) => {
      // It was admitted before the run was saved; what comes of it does not count any more.
      work.circuit = { state: error.circuitState, transition: undefined, release: undefined }
      if (work.continues) return Effect.map(self, executed)
      Emit.rejected(work, error)
      return Effect.succeed<Outcome>({ _tag: "Rejected", error })
    }
  })
}

const executed = (end: End): Outcome => ({ _tag: "Executed", end, abandoned: false })

const keyOf = (work: Work, configured: string | undefined): string => {
  const graph = work.run.plan.name
  if (work.scope === "node") return nodeCircuitKey(graph, work.node.name, configured)
  return work.mapped?.circuitKey ?? circuitKey(graph, work.family, configured)
}

/** Failures, defects and limits count, unless `isFailure` says otherwise; interruptions are ignored. */
const recorded = (work: Work, end: End, permit: CircuitBreakerRegistry.Permit, key: string) => {
  if (end._tag === "Exit" && Exit.isSuccess(end.exit)) return permit.record("success")
  const cause = failureCause(work, end)
  return cause === undefined
    ? permit.record("ignored")
    : Effect.flatMap(
      outcomeOf(Exit.failCause(cause), key, permit.config),
      ({ outcome, retryAfterMs }) =>
        permit.record(outcome, retryAfterMs === undefined ? undefined : Duration.millis(retryAfterMs))
    )
}
