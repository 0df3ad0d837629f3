/** Limits, waits and `grace` are kept to the millisecond, by a clock that nobody sets. */
import type { GraphEvent } from "effect-stategraph"
import type { Config } from "./spec.ts"

export interface Heard {
  readonly event: GraphEvent.Any
  /** When, by a clock that is never set. */
  readonly at: number
}

/** Of one flow or guarded node. */
interface Work {
  readonly config: Config
  /** When its first attempt began, the last one began and ended, and the next one may begin. */
  readonly first: number
  began: number
  ended: number | undefined
  next: number | undefined
}

/** Times of deadlines are binary fractions. */
const little = 0.01

const isEnd = (tag: string): boolean =>
  tag === "AttemptSucceeded" || tag === "AttemptFailed" || tag === "AttemptInterrupted" || tag === "FlowTimedOut"

/** The edge or node that a config is of. */
export const nameOf = (event: GraphEvent.OfWork): string => {
  const path = event.scope === "flow" ? event.branch : event.node
  return `${event.scope} ${path.slice(path.lastIndexOf("/") + 1).replace(/\[.*$/, "")}`
}

const idOf = (event: GraphEvent.OfWork): string =>
  event.scope === "flow" ? `flow ${event.branch}` : `node ${event.node} in ${event.branch}`

export const timing = (
  heard: ReadonlyArray<Heard>,
  configs: ReadonlyMap<string, Config>,
  resumed: boolean
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const works = new Map<string, Work>()
  for (const { at, event } of heard) {
    if (event._tag === "FlowStarted") works.delete(`flow ${event.branch}`)
    if (event._tag === "FlowCompleted") {
      const work = works.get(`flow ${event.branch}`)
      if (work !== undefined && event.result.attempts > 0) found.push(...settled(event, work, at))
      works.delete(`flow ${event.branch}`)
    }
    if (!("scope" in event)) continue
    const id = idOf(event)
    const config = configs.get(nameOf(event)) ?? {}
    if (event._tag === "AttemptStarted") {
      const known = event.attempt === 1 ? undefined : works.get(id)
      if (known?.next !== undefined) found.push(...begun(id, event.attempt, known, at))
      works.set(id, { config, first: known?.first ?? at, began: at, ended: undefined, next: undefined })
      continue
    }
    const work = works.get(id)
    if (work === undefined) continue
    if (event._tag === "RetryScheduled") found.push(...waits(id, event, config, work, at))
    if (!isEnd(event._tag)) continue
    if (!resumed) found.push(...ended(id, event, work, at))
    work.ended = at
  }
  return found
}

const begun = (id: string, attempt: number, { config, next = 0 }: Work, at: number): ReadonlyArray<string> => {
  const waits = config.concurrency !== undefined || config.limit !== undefined
  // Another edge of its fan-out can limit it.
  if (at < next - little) return [`attempt ${attempt} of ${id} begins ${next - at} ms too early`]
  return !waits && id.startsWith("node") && at > next + little
    ? [`attempt ${attempt} of ${id} begins ${at - next} ms too late`]
    : []
}

const waits = (
  id: string,
  event: Extract<GraphEvent.Any, { readonly _tag: "RetryScheduled" }>,
  { retry }: Config,
  work: Work,
  at: number
): ReadonlyArray<string> => {
  work.next = at + event.delayMs
  if (retry === undefined) return [`${id} is retried without a policy`]
  if ("times" in retry) {
    return event.attempt > retry.times || event.delayMs !== retry.spaced
      ? [`${id} waits ${event.delayMs} ms after attempt ${event.attempt}, its schedule says otherwise`]
      : []
  }
  const { baseDelay, jitter, maxRetries } = retry
  const delay = Math.min(baseDelay * 2 ** (event.attempt - 1), 60_000 / (1 + jitter))
  const isRight = event.delayMs >= delay * (1 - jitter) - little && event.delayMs <= delay * (1 + jitter) + little
  return event.attempt > maxRetries || !isRight
    ? [`${id} waits ${event.delayMs} ms after attempt ${event.attempt}, its policy says ${delay} of ${maxRetries}`]
    : []
}

const ended = (id: string, event: GraphEvent.Any, work: Work, at: number): ReadonlyArray<string> => {
  const { began, config: { grace = 1_000, timeout = Infinity, totalTimeout = Infinity }, first } = work
  const found: Array<string> = []
  const off = (a: number, b: number) => Math.abs(a - b) > little
  if (work.ended === undefined && at - began > timeout + little) {
    found.push(`an attempt of ${id} takes ${at - began} ms, its limit is ${timeout}`)
  }
  // Its time can be up while the last attempt is still waited for.
  const waited = work.ended === undefined ? 0 : grace
  if (at - first > totalTimeout + waited + little) {
    found.push(`${id} takes ${at - first} ms, its limit is ${totalTimeout}`)
  }
  if (event._tag !== "FlowTimedOut") return found
  const isRight = event.timeoutKind === "attempt"
    ? event.timeoutMs === timeout && !off(at - began, timeout)
    : event.timeoutMs === totalTimeout &&
      (waited > 0 ? at - first > totalTimeout - little : !off(at - first, totalTimeout))
  if (!isRight) found.push(`${id} is cut after ${at - began} ms by a limit of ${event.timeoutMs}, ${event.timeoutKind}`)
  return found
}

const settled = (
  { branch, result }: Extract<GraphEvent.Any, { readonly _tag: "FlowCompleted" }>,
  { config: { grace = 1_000 }, ended, next }: Work,
  at: number
): ReadonlyArray<string> => {
  if (ended === undefined || next !== undefined || result.usedFallback) return []
  const waited = at - ended
  return waited <= grace + little
    ? []
    : [`flow ${branch} ends ${waited} ms after its last attempt, its grace is ${grace}`]
}
