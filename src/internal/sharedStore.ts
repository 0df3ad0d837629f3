/**
 * A store that may be slow or gone: it is asked with a limit, and left alone for a while when it fails again and again.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { CircuitBreakerError } from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import { warn } from "./circuitOutcome.ts"

class Unreachable extends Data.TaggedError("Unreachable")<{ readonly why: Cause.Cause<unknown> | string }> {}

/** What the store answers; nothing when it did not. What it answers too late goes to `late`. */
export type Reach = <A>(
  operation: Effect.Effect<A, CircuitBreakerError>,
  late: (answer: A) => Effect.Effect<unknown>
) => Effect.Effect<Exit.Exit<A, CircuitBreakerError> | undefined>

/** Work of the store goes on in the scope, so that no answer is lost when nobody waits for it any more. */
export const reaching = (scope: Scope.Scope, timeoutMs: number): Reach => {
  const guarded = CircuitBreakerRegistry.makeUnsafe().execute("store", {
    failureThreshold: 3,
    resetTimeout: "5 seconds"
  })
  return (operation, late) =>
    within(operation, scope, timeoutMs, late).pipe(
      guarded,
      Effect.catchTag("Unreachable", ({ why }) =>
        Effect.as(warn("the store of shared circuits does not answer, so calls run unrecorded", why), undefined)),
      // It was told when the store failed.
      Effect.catchTag("CircuitOpenError", () =>
        Effect.succeed(undefined))
    )
}

const within = <A>(
  operation: Effect.Effect<A, CircuitBreakerError>,
  scope: Scope.Scope,
  timeoutMs: number,
  late: (answer: A) => Effect.Effect<unknown>
): Effect.Effect<Exit.Exit<A, CircuitBreakerError>, Unreachable> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkIn(operation, scope, { startImmediately: true })
    if (fiber.pollUnsafe() === undefined) yield* Effect.timeoutOption(Fiber.await(fiber), timeoutMs)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      const run = Effect.runForkWith(yield* Effect.context<never>())
      fiber.addObserver((exit) => Exit.isSuccess(exit) ? run(late(exit.value)) : undefined)
      return yield* new Unreachable({ why: `no answer within ${timeoutMs} ms` })
    }
    if (Exit.isSuccess(exit) || isRejection(exit.cause)) return exit
    return yield* new Unreachable({ why: exit.cause })
  })

const isRejection = (cause: Cause.Cause<CircuitBreakerError>): boolean => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return error !== undefined && error.reason._tag !== "CircuitBreakerStoreError"
}
