/**
 * The lanes of one run: its main line, and one for each flow.
 */
import type { Any as Event } from "../GraphEvent.ts"
import type { Branches } from "./timelineBranches.ts"
import { endFlow, readFlow } from "./timelineFlow.ts"
import type { Launches } from "./timelineLaunches.ts"
import { endMain, readMain } from "./timelineMain.ts"
import type { Row } from "./timelineModel.ts"
import { endOf, type RunEvents } from "./timelineRuns.ts"
import type { Lane } from "./timelineSegment.ts"
import { Track } from "./timelineTrack.ts"

/** What is the same in all runs of a graph. */
export interface Around {
  readonly branches: Branches
  readonly launches: Launches
  readonly order: ReadonlyMap<string, number>
}

export const lanesOf = (
  { endAt, events, part, startAt }: RunEvents,
  { branches, launches, order }: Around
): { readonly lanes: ReadonlyArray<Lane>; readonly rows: ReadonlyArray<Row> } => {
  const main = new Track(undefined)
  main.freeAt = 0
  const flows = new Map<string, Track>()
  /** When each node began and ended last, by line and name. */
  const times = new Map<string, { started?: number; completed?: number }>()
  const trackOf = (event: Event): Track => {
    const branch = "branch" in event ? event.branch : undefined
    if (branch === undefined) return main
    let track = flows.get(branch)
    if (track !== undefined) return track
    flows.set(branch, track = new Track(branch))
    const around = flows.get(branches(branch).around ?? "")
    if (around !== undefined) around.hasFlows = true
    return track
  }
  const launchedAt = (branch: string, fanIn: string): number | undefined => {
    const { around = "", name } = branches(branch)
    const launch = launches.of(fanIn, name)
    if (launch === undefined) return undefined
    if (launch.node === undefined) return part === 1 ? 0 : undefined
    return times.get(`${around}\n${launch.node}`)?.[launch.when]
  }
  for (const event of events) {
    const at = event.at - startAt
    const track = trackOf(event)
    if (event._tag === "NodeStarted") times.set(`${event.branch ?? ""}\n${event.node}`, { started: at })
    if (event._tag === "NodeCompleted") times.set(`${event.branch ?? ""}\n${event.node}`, { completed: at })
    if (track === main) readMain(main, event, at, (branch) => flows.has(branch))
    else readFlow(track, event, at, launchedAt)
  }
  for (const track of flows.values()) endFlow(track, endAt - startAt)
  endMain(main, endOf(events), endAt - startAt)
  const tracks = [...flows.values()].sort((a, b) => rank(order, a) - rank(order, b))
  return { lanes: [main, ...tracks].map((track) => laneOf(track, branches)), rows: tracks.flatMap(({ rows }) => rows) }
}

const rank = (order: ReadonlyMap<string, number>, { branch }: Track): number => order.get(branch ?? "") ?? -1

const laneOf = ({ branch, fanIn, rows, segments }: Track, branches: Branches): Lane => ({
  branch,
  place: branch === undefined ? undefined : branches(branch),
  fanIn,
  segments: segments.sort((a, b) => a.from - b.from || a.to - b.to),
  row: rows.at(-1)
})
