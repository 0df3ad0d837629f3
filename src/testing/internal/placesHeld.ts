/**
 * No more flows of one fan-out are attempted at a time than its `concurrency` allows.
 */
import type { Facts } from "./graphFacts.ts"
import { endsAttempt, Flows, type RunEvents } from "./runEvents.ts"

export const placesHeld = ({ events }: RunEvents, facts: Facts | undefined): ReadonlyArray<string> => {
  if (facts === undefined) return []
  const found: Array<string> = []
  const flows = new Flows()
  /** Flows in an attempt, by fan-out. */
  const on = new Map<string, Set<string>>()
  for (const event of events) {
    if (event._tag === "FlowStarted") flows.note(event)
    if (!("scope" in event) || event.scope !== "flow") continue
    const { branch, fanIn } = event
    const known = facts.flow(branch, fanIn)
    if (known?.launch === undefined || known.concurrency === Infinity) continue
    const { concurrency, launch: { from } } = known
    const fanOut = JSON.stringify([flows.around(event), fanIn, from])
    const attempted = on.get(fanOut) ?? new Set()
    on.set(fanOut, attempted)
    if (endsAttempt(event)) attempted.delete(branch)
    if (event._tag !== "AttemptStarted") continue
    attempted.add(branch)
    if (attempted.size > concurrency) {
      found.push(`${attempted.size} flows are attempted at a time for fan-in ${fanIn}, allowed are ${concurrency}`)
    }
  }
  return found
}
