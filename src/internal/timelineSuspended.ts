/**
 * A line that waits for somebody: what it ran until then, and from when on it did nothing but wait.
 */
import type { Pending } from "../RunState.ts"
import type { Track } from "./timelineTrack.ts"
import { waitText } from "./timelineWords.ts"

/** Ends a lane so, and says what it waits for. */
export const suspend = (track: Track, pending: ReadonlyArray<Pending>, at: number): string => {
  const text = `waits ${waitText(pending, track.branch)}`
  const own = pending.filter(({ branch }) => branch === track.branch)
  // It was stopped because it waits: that is no interruption.
  const stopped = track.reopen() ?? at
  const { inside, open } = track
  for (const { name, node, when } of own) {
    if (when !== "asked") continue
    for (const one of inside) {
      if (one.is === "node" && one.name === node && isStopped(one.how)) one.how = `asked “${name}”`
      else if (one.is === "call" && one.node === node && isStopped(one.how)) {
        Object.assign(one, { how: `asked “${name}”`, outcome: "suspended" })
      }
    }
  }
  const last = inside.reduce(
    (last, one) => one.is === "note" ? last : Math.max(last, Math.min(stopped, one.to ?? one.from)),
    open?.from ?? 0
  )
  // Flows that it started can have gone on while it waited for them.
  const from = open === undefined ? track.freeAt ?? stopped : own.length > 0 ? last : stopped
  if (open !== undefined && from > open.from) track.close(from, "suspended", "was stopped to wait", text)
  track.open = undefined
  track.freeAt = undefined
  track.push({ kind: "ask", outcome: "suspended", from, to: Infinity, label: text, details: [text] })
  return text
}

const isStopped = (how: string | undefined): boolean =>
  how === undefined || how === "was stopped" || how === "was interrupted"
