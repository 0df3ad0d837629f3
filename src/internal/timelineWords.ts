/**
 * How a timeline names things: one word and one sign for each outcome, so that no colour is needed to tell them apart.
 */
import type { Any as Event } from "../GraphEvent.ts"
import type { Pending } from "../RunState.ts"
import { duration, list } from "./timelineHtml.ts"
import type { Row, Run } from "./timelineModel.ts"
import type { Kind, Segment } from "./timelineSegment.ts"

type Outcome = Row["outcome"]

export const words: Record<Outcome, string> = {
  success: "succeeded",
  failure: "failed",
  timeout: "timed out",
  rejected: "refused",
  interrupted: "interrupted",
  suspended: "waits for an answer",
  open: "still running"
}

/** Signs that common fonts have, and that are no emoji. */
export const glyphs: Record<Outcome, string> = {
  success: "✓",
  failure: "✗",
  timeout: "◷",
  rejected: "⊘",
  interrupted: "■",
  suspended: "?",
  open: "…"
}

/** An outcome with what made it one. */
export const told = ({ abandoned, outcome, refusedBy, usedFallback }: Row): string =>
  [
    refusedBy === undefined ? words[outcome] : `refused by its ${refusedBy}`,
    ...usedFallback ? ["fallback used"] : [],
    ...abandoned ? ["left alone"] : []
  ].join(", ")

export const runWords: Record<Run["outcome"], string> = {
  success: "completed",
  failure: "failed",
  interrupted: "interrupted",
  suspended: "waits for an answer",
  open: "not ended"
}

/** Of several parts of one run: which one. */
export const nameOf = ({ number, part, isContinued }: Pick<Run, "number" | "part" | "isContinued">): string =>
  part === 1 && !isContinued ? `run ${number}` : `run ${number}, part ${part}`

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** What somebody is waited for, as it follows after "waits" or "waited": with the flows that ask, but for `own`. */
export const waitText = (pending: ReadonlyArray<Pending>, own?: string): string => {
  const of = (branch: string | undefined) => branch === undefined || branch === own ? "" : ` of ${branch}`
  const asked = pending.filter(({ when }) => when === "asked").map(({ branch, name }) => `“${name}”${of(branch)}`)
  const points = pending.filter(({ when }) => when !== "asked")
    .map(({ branch, node, when }) => `${when} ${node}${of(branch)}`)
  const answers = asked.length === 0 ? [] : [`for ${asked.length === 1 ? "an answer" : "answers"} to ${list(asked)}`]
  const parts = [...answers, ...points.length === 0 ? [] : [list(points)]]
  return parts.length === 0 ? "for somebody" : parts.join(", and ")
}

/** Why an attempt was not allowed. */
export const refusalText = ({ circuit, limit }: Extract<Event, { readonly _tag: "FlowRejected" }>): string => {
  if (circuit !== undefined) return `circuit ${circuit.key} is ${circuit.state}`
  if (limit === undefined) return "for no reason that is told"
  const queue = limit.queue === 0 ? "" : `, and all ${limit.queue} places of its queue`
  return `limit ${limit.key} has all ${limit.permits} permits in use${queue}`
}

export const limitText = ({ timeoutKind, timeoutMs }: Extract<Event, { readonly _tag: "FlowTimedOut" }>): string =>
  `the limit of ${duration(timeoutMs)} for ${timeoutKind === "total" ? "all attempts" : "one attempt"} was reached`

/** The class of a segment, which says how it looks. */
export type Look = Kind | Exclude<Outcome, "rejected">

export const lookOf = ({ kind, outcome }: Segment): Look => {
  if (kind === "attempt") return outcome ?? "open"
  if (kind !== "node" && kind !== "fanIn" && kind !== "fallback") return kind
  return outcome === undefined || outcome === "success" ? kind : outcome
}

/** The legend, in the order of what a flow goes through. */
export const legend: ReadonlyArray<readonly [Look, string]> = [
  ["node", "node of the main line"],
  ["fanIn", "fan-in: joins the flows"],
  ["gather", "main line waits for flows"],
  ["queue", "waits to start"],
  ["success", "attempt that succeeded"],
  ["failure", "failed"],
  ["timeout", "reached its time limit"],
  ["interrupted", "was interrupted"],
  ["open", "not ended in these events"],
  ["stopping", "being stopped"],
  ["wait", "wait before the next attempt"],
  ["limit", "gave up during a wait"],
  ["rejected", "circuit or limit refused: not asked"],
  ["fallback", "fallback, instead of what failed"],
  ["suspended", "ran until it asked"],
  ["ask", "waits for an answer"],
  ["abandoned", "did not stop, left alone"]
]
