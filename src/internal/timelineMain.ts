/**
 * What one event tells of the main line.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { count } from "./timelineHtml.ts"
import { readCall, readNode } from "./timelineInside.ts"
import type { Outcome } from "./timelineSegment.ts"
import { suspend } from "./timelineSuspended.ts"
import type { Track } from "./timelineTrack.ts"

/** `isSeen`: whether a flow was at work in this part of its run. */
export const readMain = (main: Track, event: Event, at: number, isSeen: (branch: string) => boolean): void => {
  if ("scope" in event && event.scope === "node") {
    if (main.isUnseen) main.begin({ kind: "node", name: outermost(event.node), from: 0 })
    return readCall(main, event, at)
  }
  switch (event._tag) {
    case "FanInStarted": {
      const from = main.freeAt
      if (main.open !== undefined || from === undefined || at <= from) return
      const { length } = event.results
      const seen = event.results.filter(({ branch }) => isSeen(branch)).length
      const flows = seen === length ? count(length, "flow") : `${seen} of ${count(length, "flow")}`
      main.push({ kind: "gather", from, to: at, label: `waits for ${flows}`, details: [`waited for ${flows}`] })
      return
    }
    case "NodeStarted": {
      const { node } = event
      if (isAround(main, node)) return readNode(main, event, at)
      main.close(at, "open", "has no end in these events")
      return main.begin({ kind: event.fanIn === node ? "fanIn" : "node", name: node, from: at })
    }
    case "NodeProgress":
      if (main.open?.name === event.node) main.notes++
      return readNode(main, event, at)
    case "NodeCompleted":
      return endNode(main, event, at, "success", event.usedFallback === true ? "gave its fallback" : "completed")
    case "NodeFailed":
      return endNode(main, event, at, "failure", "failed", event.error)
    case "NodeInterrupted":
      return endNode(main, event, at, "interrupted", "was interrupted")
  }
}

/** A graph that is a node names its own nodes below itself. */
const isAround = ({ open }: Track, node: string): boolean => open !== undefined && node.startsWith(`${open.name}/`)

const outermost = (node: string): string => node.slice(0, `${node}/`.indexOf("/"))

const endNode = (
  main: Track,
  event: Extract<Event, { readonly _tag: "NodeCompleted" | "NodeFailed" | "NodeInterrupted" }>,
  at: number,
  outcome: Outcome,
  how: string,
  note?: string
): void => {
  const { fanIn, node } = event
  if (main.isUnseen) main.begin({ kind: fanIn === node ? "fanIn" : "node", name: outermost(node), from: 0 })
  if (main.open?.name === node) main.close(at, outcome, how, note)
  else readNode(main, event, at)
}

export const endMain = (main: Track, end: Event | undefined, at: number): void => {
  const pending = end?._tag === "GraphSuspended" ? end.pending.filter(({ branch }) => branch === undefined) : []
  if (pending.length > 0) suspend(main, pending, at)
  main.close(at, "open", "was running when the events end,")
  const from = main.freeAt
  if (from !== undefined && at > from && end?._tag !== "GraphCompleted") {
    const until = end?._tag === "GraphFailed"
      ? "until the run failed"
      : end?._tag === "GraphSuspended"
      ? "until the run was suspended"
      : "when the events end"
    main.push({ kind: "gather", outcome: "open", from, to: at, label: "waits", details: [`waited for flows ${until}`] })
  }
  main.endAll(at)
}
