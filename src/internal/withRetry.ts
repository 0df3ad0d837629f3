/**
 * Retries: decides, after an attempt that failed, whether another one follows and when.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Resolved } from "../ParallelConfig.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import { errorMessage, errorType, primaryError } from "./describe.ts"
import * as Emit from "./emit.ts"
import { failureCause } from "./settle.ts"
import { monotonicMs, startTimer } from "./time.ts"
import { isOutOfTime, park } from "./withDeadline.ts"
import { releasePlace } from "./withPlace.ts"
import type { Outcome, Work } from "./work.ts"

type Retry = NonNullable<Resolved["retry"]>

/** Milliseconds until the next attempt, or `undefined`: there is none. */
type NextDelay = (error: unknown, attempt: number) => Effect.Effect<number | undefined>

export const withRetry = (self: Effect.Effect<Outcome>, work: Work, retry: Retry): Effect.Effect<Outcome> =>
  Effect.flatMap(
    nextDelay(retry, work),
    (next) => {
      const again: Effect.Effect<Outcome> = Effect.flatMap(self, (outcome) => {
        const error = failureOf(work, outcome)
        if (error === undefined) return Effect.succeed(outcome)
        if (work.cancelled !== undefined) return Effect.succeed<Outcome>({ _tag: "Cancelled" })
        return Effect.flatMap(
          next(error.value, work.attempts),
          (delayMs) => delayMs === undefined ? Effect.succeed(outcome) : wait(work, error.value, delayMs, again)
        )
      })
      const waitMs = work.resumed?.waitMs
      return waitMs === undefined ? again : parked(work, waitMs, again)
    }
  )

/** The error of an attempt that may be retried: never of an interruption, a rejection, or beside a zombie. */
const failureOf = (work: Work, outcome: Outcome): { readonly value: unknown } | undefined => {
  if (outcome._tag !== "Executed" || outcome.abandoned) return undefined
  if (outcome.end._tag === "Limit" && outcome.end.kind === "total") return undefined
  const cause = failureCause(work, outcome.end)
  return cause === undefined ? undefined : { value: primaryError(cause) }
}

const wait = (work: Work, error: unknown, delayMs: number, again: Effect.Effect<Outcome>): Effect.Effect<Outcome> => {
  if (isOutOfTime(work)) return Effect.succeed({ _tag: "OutOfTime" })
  const message = errorMessage(error)
  Emit.retryScheduled(work, delayMs, message, errorType(error), work.line!.state)
  const logged = Effect.logWarning(
    `retry of ${nameOf(work)} after attempt ${work.attempts} in ${delayMs} ms: ${message}`
  ).pipe(
    Effect.annotateLogs({
      graph: work.run.plan.name,
      runId: work.run.runId,
      ...(work.branch === undefined ? {} : { branch: work.branch }),
      ...(work.scope === "node" ? { node: work.node.name } : {}),
      attempt: work.attempts,
      delayMs,
      error: message
    })
  )
  work.releasePermit()
  if (work.scope === "flow") releasePlace(work)
  return Effect.andThen(logged, parked(work, delayMs, again))
}

/** Until the next attempt, unless the work is stopped before. */
const parked = (work: Work, delayMs: number, again: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
  Effect.flatMap(
    park(work, (go) => {
      work.nextAt = monotonicMs(work.run.clock) + delayMs
      return startTimer(work.context, work.run.clock, delayMs, go)
    }),
    (how): Effect.Effect<Outcome> => {
      work.resumed = undefined
      return how === "go" ? again : Effect.succeed({ _tag: how })
    }
  )

const nameOf = (work: Work): string => {
  if (work.scope === "flow") return `flow "${work.branch}"`
  return `node "${work.node.name}"${work.branch === undefined ? "" : ` in flow "${work.branch}"`}`
}

const nextDelay = (retry: Retry, work: Work): Effect.Effect<NextDelay> =>
  retry._tag === "Policy"
    ? Effect.succeed(byPolicy(retry.policy))
    : Effect.flatMap(bySchedule(retry.schedule), (next) => Effect.as(caughtUp(next, work), next))

/** More steps than any schedule takes: a number in a checkpoint must not keep a run busy for ever. */
const mostSteps = 10_000

/** A schedule is no data: that of a saved run takes the steps again that it took for the failed attempts. */
const caughtUp = (next: NextDelay, { attempts, errors, errorsDropped, resumed }: Work): Effect.Effect<void> => {
  if (resumed === undefined) return Effect.void
  const steps = resumed.waitMs === undefined ? attempts - 1 : attempts
  return Effect.forEach(
    Array.from({ length: Math.min(Math.max(0, steps), mostSteps) }, (_, i) => errors[Math.max(0, i - errorsDropped)]),
    // Whatever it makes of that: what it says of the next failure counts.
    (error, i) => Effect.ignoreCause(next(retold(error), i + 1)),
    { discard: true }
  )
}

/** As much of an attempt's error as was kept. */
const retold = (error: Work["errors"][number] | undefined): Error => {
  const { error: message = "", errorType: type = "Error" } = error ?? {}
  return Object.assign(new Error(message), { name: type, _tag: type === "TimeoutError" ? "FlowTimeoutError" : type })
}

const byPolicy = (policy: RetryPolicy.RetryPolicy): NextDelay => (error, attempt) => {
  if (attempt > policy.maxRetries) return Effect.succeed(undefined)
  try {
    if (!RetryPolicy.asks(policy, error)) return Effect.succeed(undefined)
  } catch (defect) {
    // The flow keeps its own error: a predicate that throws is no reason to lose it.
    return Effect.as(Effect.logWarning("retryOn threw, so there is no retry", Cause.die(defect)), undefined)
  }
  return policy.jitter === 0
    ? Effect.succeed(Duration.toMillis(RetryPolicy.delay(policy, attempt)))
    : Effect.map(Random.next, (random) => Duration.toMillis(RetryPolicy.jittered(policy, attempt, random)))
}

/** A schedule is stepped with the error of each failed attempt; its end is the end of the retries. */
const bySchedule = (schedule: Schedule.Schedule<unknown>): Effect.Effect<NextDelay> =>
  Effect.map(
    Schedule.toStep(schedule),
    (step): NextDelay => (error) =>
      Effect.clockWith((clock) =>
        step(clock.currentTimeMillisUnsafe(), error).pipe(
          Effect.map(([, delay]): number | undefined => Duration.toMillis(delay)),
          Effect.catchCause((cause) =>
            Cause.hasDies(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.succeed(undefined)
          )
        )
      )
  )
