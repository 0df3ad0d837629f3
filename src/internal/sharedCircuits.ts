/**
 * A registry whose circuits live in Effect's `CircuitBreakerStore`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Effects from "effect/persistence/CircuitBreaker"
import * as Scope from "effect/Scope"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Permit, Recorded, Service, Snapshot, Transition } from "../CircuitBreakerRegistry.ts"
import { CircuitOpenError, InvalidConfigError } from "../GraphError.ts"
import { outcomeOf } from "./circuitOutcome.ts"
import { isConfig } from "./circuitStore.ts"
import { openFor, tripPolicy, unsupported } from "./sharedConfig.ts"
import { Seen, states } from "./sharedSeen.ts"
import { reaching } from "./sharedStore.ts"

export interface Options {
  readonly timeoutMs: number
  /** Makes the store forget a circuit; without it none can be reset. */
  readonly forget: ((key: string) => Effect.Effect<unknown, unknown>) | undefined
}

const outcomes = { success: "Success", failure: "Failure", ignored: "Ignored" } as const

const nothing = (): Effect.Effect<void> => Effect.void

export const make = (
  store: Effects.CircuitBreakerStore["Service"],
  scope: Scope.Scope,
  { forget, timeoutMs }: Options
): Service => {
  const reach = reaching(scope, timeoutMs)
  const seen = new Seen()

  const permitOf = Effect.fnUntraced(function*(
    key: string,
    config: CircuitBreaker.Config,
    { consecutiveOpenings, generation, probe, transition }: Effects.Admission,
    slot: Scope.Closeable
  ): Effect.fn.Return<Permit> {
    let circuitState: CircuitBreaker.CircuitState = probe ? "HALF_OPEN" : "CLOSED"
    let ended = false
    seen.meet(key, circuitState, config, 1)
    const record = (outcome: CircuitBreaker.Outcome, retryAfter = Duration.zero): Effect.Effect<Recorded> =>
      Effect.uninterruptible(Effect.gen(function*() {
        if (ended) return { circuitState }
        ended = true
        const answer = yield* reach(
          store.record({
            key,
            generation,
            outcome: outcomes[outcome],
            tripPolicy: tripPolicy(config),
            openFor: openFor(config, consecutiveOpenings, Duration.toMillis(retryAfter))
          }),
          nothing
        )
        yield* Scope.close(slot, Exit.void)
        const moved = yield* seen.moved(answer !== undefined && Exit.isSuccess(answer) ? answer.value : undefined)
        circuitState = moved?.to ?? circuitState
        seen.meet(key, circuitState, config, -1)
        return withTransition({ circuitState }, moved)
      }))
    // A probe that hangs gives its slot back, as it does where circuits are in memory.
    if (probe && config.probeTimeoutMs !== Infinity) {
      yield* Effect.forkIn(Effect.delay(record("ignored"), config.probeTimeoutMs), slot)
    }
    return withTransition({ generation, probe, config, record }, yield* seen.moved(transition))
  })

  const acquire = (key: string, config: CircuitBreaker.Config): Effect.Effect<Permit, CircuitOpenError> =>
    Effect.uninterruptible(Effect.gen(function*() {
      const problem = unsupported(config, `circuit "${key}"`)[0]
      if (problem !== undefined) return yield* Effect.die(problem)
      const slot = yield* Scope.fork(scope)
      const answer = yield* reach(
        store.admit(key).pipe(
          Scope.provide(slot),
          Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(slot, Exit.void))
        ),
        (late) => Effect.flatMap(permitOf(key, config, late, slot), ({ record }) => record("ignored"))
      )
      if (answer === undefined) return unrecorded(config)
      return Exit.isSuccess(answer)
        ? yield* permitOf(key, config, answer.value, slot)
        : yield* Effect.mapError(Effect.failCause(answer.cause), (error) => rejection(key, config, error))
    }))

  const rejection = (key: string, config: CircuitBreaker.Config, { reason }: Effects.CircuitBreakerError) => {
    const circuitState = reason._tag === "CircuitOpen" ? "OPEN" : "HALF_OPEN"
    seen.meet(key, circuitState, config)
    // The store does not tell since when its probe runs, but longer than this it does not hold the slot.
    const retryAfter = reason._tag === "CircuitOpen" ? reason.retryAfter : Duration.millis(config.probeTimeoutMs)
    return new CircuitOpenError({ key, circuitState, retryAfter })
  }

  const state = (key: string): Effect.Effect<Snapshot> =>
    Effect.map(reach(store.state(key), nothing), (answer) => {
      const config = seen.configOf(key)
      if (answer === undefined || Exit.isFailure(answer)) return { key, state: "CLOSED", failureCount: 0, probes: 0 }
      seen.meet(key, states[answer.value._tag], config)
      return snapshot(answer.value, config ?? CircuitBreaker.defaults)
    })

  const reset = (key: string): Effect.Effect<void> =>
    forget === undefined ? refused("reset") : Effect.uninterruptible(Effect.gen(function*() {
      const { state: from } = yield* state(key)
      yield* Effect.orDie(Effect.timeout(forget(key), timeoutMs))
      seen.meet(key, "CLOSED", undefined)
      if (from !== "CLOSED") yield* seen.publish(key, { from, to: "CLOSED" })
    }))

  return {
    execute: (key, config) => {
      const full = config === undefined || isConfig(config)
        ? config ?? CircuitBreaker.defaults
        : CircuitBreaker.make(config, "CircuitBreakerRegistry.execute")
      const problem = unsupported(full, `circuit "${key}"`)[0]
      if (problem !== undefined) throw problem
      return (self) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            acquire(key, full),
            ({ record }) =>
              Effect.onExit(restore(self), (exit) =>
                Effect.flatMap(
                  outcomeOf(exit, key, full),
                  ({ outcome, retryAfterMs = 0 }) => record(outcome, Duration.millis(retryAfterMs))
                ))
          )
        )
    },
    acquire,
    state,
    states: Effect.suspend(() =>
      Effect.map(Effect.forEach(seen.keys, state), (all) => all.filter(({ key }) => seen.has(key)))
    ),
    reset,
    resetAll: forget === undefined
      ? refused("resetAll")
      : Effect.suspend(() => Effect.forEach(seen.keys, reset, { discard: true })),
    forceOpen: () => refused("forceOpen"),
    disable: () => refused("disable"),
    isolate: () => refused("isolate"),
    unsupported,
    changes: seen.changes
  }
}

const withTransition = <A extends object>(
  value: A,
  transition: Transition | undefined
): A & { readonly transition?: Transition } => transition === undefined ? value : { ...value, transition }

const snapshot = (found: Effects.State, { probeTimeoutMs }: CircuitBreaker.Config): Snapshot => {
  const waits = found._tag === "Open"
    ? found.retryAfter
    : found._tag === "HalfOpen" && found.probing
    ? Duration.millis(probeTimeoutMs)
    : Duration.zero
  return {
    key: found.key,
    state: states[found._tag],
    failureCount: 0,
    probes: found._tag === "HalfOpen" && found.probing ? 1 : 0,
    ...!Duration.isZero(waits) && { retryAfter: waits }
  }
}

/** Of a call that the store was not asked about, or has not answered. */
const unrecorded = (config: CircuitBreaker.Config): Permit => ({
  generation: -1,
  probe: false,
  config,
  record: () => Effect.succeed({ circuitState: "CLOSED" })
})

const refused = (operation: string): Effect.Effect<never> =>
  Effect.die(
    new InvalidConfigError({
      field: operation,
      value: "asked for",
      allowed: "what the store of shared circuits can do; circuits in memory can do all",
      source: "SharedCircuits"
    })
  )
