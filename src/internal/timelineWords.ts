/**
 * How a timeline names things: one word and one sign for each outcome, so that no colour is needed to tell them apart.
 */
import type { Row } from "./timelineModel.ts"
import type { Kind, Segment } from "./timelineTrack.ts"

type Outcome = Row["outcome"]

export const words: Record<Outcome, string> = {
  success: "succeeded",
  failure: "failed",
  timeout: "timed out",
  rejected: "refused by its circuit",
  interrupted: "interrupted",
  open: "still running"
}

/** Signs that common fonts have, and that are no emoji. */
export const glyphs: Record<Outcome, string> = {
  success: "✓",
  failure: "✗",
  timeout: "◷",
  rejected: "⊘",
  interrupted: "■",
  open: "…"
}

export const runWords = { success: "completed", failure: "failed", interrupted: "interrupted", open: "not ended" }

/** The class of a segment, which says how it looks. */
export type Look = Kind | Exclude<Outcome, "rejected">

export const lookOf = ({ kind, outcome }: Segment): Look => {
  if (kind === "attempt") return outcome ?? "open"
  if (kind === "node" || kind === "fanIn") return outcome === undefined || outcome === "success" ? kind : outcome
  return kind
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
  ["rejected", "circuit refused: not asked"],
  ["abandoned", "did not stop, left alone"]
]
