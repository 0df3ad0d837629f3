/**
 * Attempts come one after the other, and no more of them than the policy allows.
 */
import type { Facts } from "./graphFacts.ts"
import { endsAttempt, type RunEvents, workOf } from "./runEvents.ts"

export const attemptsInOrder = ({ events, resumed }: RunEvents, facts: Facts | undefined): ReadonlyArray<string> => {
  const found: Array<string> = []
  /** The last attempt of each work, and whether it is on. */
  const last = new Map<string, { readonly attempt: number; on: boolean }>()
  for (const event of events) {
    if (event._tag === "FlowStarted") last.delete(`flow ${event.branch}`)
    if (event._tag === "NodeStarted") last.delete(workOf({ ...event, scope: "node" }))
    if (endsAttempt(event)) {
      const attempt = last.get(workOf(event))
      if (attempt?.attempt === event.attempt) attempt.on = false
    }
    if (event._tag === "FlowCompleted") {
      const { attempts, branch } = event.result
      const allowed = facts?.flow(event.branch, event.fanIn)?.maxAttempts(event.result) ?? Infinity
      if (attempts > allowed) found.push(`flow ${branch} is attempted ${attempts} times, allowed is ${allowed}`)
    }
    if (event._tag !== "AttemptStarted") continue
    const { attempt } = event
    const work = workOf(event)
    const before = last.get(work)
    if (before?.on === true) found.push(`attempt ${attempt} of ${work} begins while attempt ${before.attempt} is on`)
    const follows = attempt === (before?.attempt ?? 0) + 1
    if (!follows && !(resumed && before === undefined)) {
      found.push(`attempt ${attempt} of ${work} follows ${before === undefined ? "none" : `attempt ${before.attempt}`}`)
    }
    last.set(work, { attempt, on: true })
    if (event.scope === "flow") continue
    const allowed = facts?.node(event.node)?.maxAttempts ?? Infinity
    if (attempt > allowed) found.push(`${work} is attempted ${attempt} times, allowed is ${allowed}`)
  }
  return found
}
