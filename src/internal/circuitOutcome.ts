/**
 * What the end of a call means to its circuit.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Config, Outcome } from "../CircuitBreaker.ts"
import { LimitExceededError } from "../GraphError.ts"
import { OptionReader } from "./option.ts"

/** An outcome, and how long the dependency asked to be left alone. */
export interface Judged {
  readonly outcome: Outcome
  readonly retryAfterMs?: number
}

const succeeded = Effect.succeed<Judged>({ outcome: "success" })
const failed = Effect.succeed<Judged>({ outcome: "failure" })
const ignored = Effect.succeed<Judged>({ outcome: "ignored" })

/**
 * A defect counts like a typed failure, only interruption and a full limit, which executes nothing, are ignored, and a function
 * of the options that throws does not make an error harmless.
 */
export const outcomeOf = (
  exit: Exit.Exit<unknown, unknown>,
  key: string,
  { isFailure, retryAfter }: Config
): Effect.Effect<Judged> => {
  if (Exit.isSuccess(exit)) return succeeded
  if (Cause.hasInterruptsOnly(exit.cause) || Cause.squash(exit.cause) instanceof LimitExceededError) return ignored
  if (isFailure === undefined && retryAfter === undefined) return failed
  const defect = exit.cause.reasons.find(Cause.isDieReason)
  const error = defect === undefined ? Cause.squash(exit.cause) : defect.defect
  const counts = isFailure === undefined ? failed : judge(error, key, isFailure)
  return retryAfter === undefined
    ? counts
    : Effect.flatMap(counts, (judged) => judged.outcome === "failure" ? prolong(error, key, retryAfter) : counts)
}

const judge = (error: unknown, key: string, isFailure: (error: unknown) => boolean): Effect.Effect<Judged> => {
  try {
    return isFailure(error) === false ? ignored : failed
  } catch (thrown) {
    return Effect.andThen(
      warn(`isFailure of circuit "${key}" threw, so the error counts as a failure`, Cause.die(thrown)),
      failed
    )
  }
}

const prolong = (
  error: unknown,
  key: string,
  retryAfter: NonNullable<Config["retryAfter"]>
): Effect.Effect<Judged> => {
  const reader = new OptionReader(`circuit "${key}"`)
  try {
    const retryAfterMs = reader.duration("retryAfter", retryAfter(error), { zero: true })
    if (reader.problems[0] !== undefined) return Effect.andThen(warn(reader.problems[0].message), failed)
    return retryAfterMs === undefined ? failed : Effect.succeed({ outcome: "failure", retryAfterMs })
  } catch (thrown) {
    return Effect.andThen(
      warn(`retryAfter of circuit "${key}" threw, so it prolongs nothing`, Cause.die(thrown)),
      failed
    )
  }
}

/** A logger that fails must not cost a slot. */
export const warn = (...message: ReadonlyArray<unknown>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.logWarning(...message))
