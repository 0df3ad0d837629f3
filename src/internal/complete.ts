/**
 * Step 6: the rule of a fan-in, asked whenever one of its flows has settled, when the line arrives, and when its time is up.
 */
import * as Completion from "../Completion.ts"
import type { Line } from "./cells.ts"
import { monotonicMs, startDeadline } from "./time.ts"
import type { Join } from "./work.ts"

const countsOf = (join: Join): Completion.Counts => {
  return {
    total: join.total,
    successful: join.successful,
    failed: join.settled - join.successful,
    closed: join.closed && join.producers.size === 0
  }
}

/** Stops the flows that are not needed any more, if the rule says so. */
export const check = (owner: Line, join: Join): void => {
  const rule = join.fanIn.completion
  if (rule === undefined || join.completed !== undefined || owner.ended) return
  const reason = Completion.decide(rule, countsOf(join))
  if (reason !== undefined) complete(owner, join, reason)
}

/** Starts the time of a rule with the first flow. */
export const startTime = (owner: Line, join: Join, startedAt: number): void => {
  join.startedAt = startedAt
  const withinMs = join.fanIn.completion?.withinMs ?? Infinity
  if (withinMs === Infinity || join.completed !== undefined) return
  const left = Math.max(0, startedAt + withinMs - monotonicMs(owner.run.clock))
  join.cancelTimer = startDeadline(owner.context, owner.run.clock, left, () => {
    if (join.completed === undefined && !owner.ended) complete(owner, join, "within")
  })
}

const complete = (owner: Line, join: Join, reason: Completion.Completion["reason"]): void => {
  join.completed = reason
  owner.run.cutFlows(join, `the fan-in "${join.fanIn.name}" ${words(join, reason)}`)
}

const words = ({ fanIn: { completion: rule }, total }: Join, reason: Completion.Completion["reason"]): string => {
  switch (reason) {
    case "minSuccessful":
      return `has the ${rule?.minSuccessful} successful flows it needs`
    case "unreachable":
      return `needs ${rule?.minSuccessful} successful flows, which ${total} cannot give any more`
    case "tolerate":
      return `tolerates ${rule?.tolerate} flows that do not succeed, and has more`
    case "tolerateRatio":
      return `tolerates that ${rule?.tolerateRatio} of its flows do not succeed, and has more`
    case "within":
      return `waits ${rule?.withinMs} ms, which have passed`
    case "all":
      return "has all its flows"
  }
}

/** What the fan-in is told. */
export const completionOf = (join: Join | undefined, rule: Completion.Resolved | undefined): Completion.Completion => {
  const by = join?.completed
  const interrupted = by === undefined ? 0 : join?.interrupted ?? 0
  const { successful, total } = join ?? { successful: 0, total: 0 }
  const counts = { total, successful, failed: total - successful - interrupted, interrupted }
  const reason = by ?? (rule && Completion.decide(rule, { ...counts, closed: true })) ?? "all"
  return { reason, satisfied: Completion.isSatisfied(rule, counts), ...counts }
}
