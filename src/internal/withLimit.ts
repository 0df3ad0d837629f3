/**
 * `limit`: a permit of the bulkhead that all work with the same key shares, held from before the circuit is asked until nothing
 * of the attempt runs, or what still runs is abandoned; and, after the last attempt of a flow, until its result is known: what
 * that result stops must not start in between.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Bulkhead from "../Bulkhead.ts"
import { LimitExceededError } from "../GraphError.ts"
import { CurrentPermits } from "./bulkheads.ts"
import * as Emit from "./emit.ts"
import { park } from "./withDeadline.ts"
import type { Outcome, Work } from "./work.ts"

export const withLimit = (
  self: Effect.Effect<Outcome>,
  work: Work,
  limit: Bulkhead.Limit
): Effect.Effect<Outcome> => {
  const around = Context.get(work.context, CurrentPermits)
  return Effect.suspend(() => {
    // An attempt that goes on has had a permit before: it waits for one however many others do.
    const wanted = work.continues ? { ...limit, queue: Infinity } : limit
    const asked = Context.get(work.context, Bulkhead.CurrentBulkheads).ask(wanted, around)
    if (asked._tag === "Full") {
      const error = new LimitExceededError({ key: limit.key, permits: asked.permits, queue: asked.queue })
      Emit.rejectedByLimit(work, error)
      return Effect.succeed<Outcome>({ _tag: "Rejected", error })
    }
    work.context = Context.add(work.context, CurrentPermits, asked.held)
    return Effect.flatMap(
      park(work, (go) => {
        asked.take(go)
        return asked.release
      }),
      (how): Effect.Effect<Outcome> => {
        if (how !== "go") {
          asked.release()
          return Effect.succeed({ _tag: how })
        }
        work.permit = asked.release
        return self
      }
    ).pipe((self) => asked.conflict === undefined ? self : Effect.andThen(Effect.logWarning(asked.conflict), self))
  })
}
