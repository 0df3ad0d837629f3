/**
 * The lanes of one run: its main line, and one for each flow.
 */
import type { Any as Event } from "../GraphEvent.ts"
import { endFlow, readFlow } from "./timelineFlow.ts"
import { count, duration } from "./timelineHtml.ts"
import type { LaunchNode, Row, RunEvents } from "./timelineModel.ts"
import { type Lane, type Outcome, Track } from "./timelineTrack.ts"

export const lanesOf = (
  { endAt, events, graph, startAt }: RunEvents,
  order: ReadonlyMap<string, number>,
  launchNode: LaunchNode
): { readonly lanes: ReadonlyArray<Lane>; readonly rows: ReadonlyArray<Row> } => {
  const main = new Track(undefined)
  main.freeAt = 0
  const flows = new Map<string, Track>()
  /** When each node ended last, by line and name. */
  const nodeEnds = new Map<string, number>()
  const trackOf = (event: Event): Track => {
    const branch = "branch" in event ? event.branch : undefined
    if (branch === undefined) return main
    let track = flows.get(branch)
    if (track !== undefined) return track
    flows.set(branch, track = new Track(branch))
    const around = flows.get(branch.slice(0, Math.max(0, branch.lastIndexOf("/"))))
    if (around !== undefined) around.hasFlows = true
    return track
  }
  const launchedAt = (branch: string, fanIn: string): number | undefined => {
    const from = launchNode(graph, branch, fanIn)
    const line = branch.slice(0, Math.max(0, branch.lastIndexOf("/")))
    return from === undefined ? undefined : from === "" ? 0 : nodeEnds.get(`${line}\n${from}`)
  }
  for (const event of events) {
    const at = event.at - startAt
    const track = trackOf(event)
    if (event._tag === "NodeCompleted") nodeEnds.set(`${event.branch ?? ""}\n${event.node}`, at)
    if (track === main) readMain(main, event, at)
    else readFlow(track, event, at, launchedAt)
  }
  for (const track of flows.values()) endFlow(track, endAt - startAt)
  endMain(main, events.at(-1)!, endAt - startAt)
  const tracks = [...flows.values()].sort((a, b) => rank(order, a) - rank(order, b))
  return { lanes: [main, ...tracks].map(laneOf), rows: tracks.flatMap(({ rows }) => rows) }
}

const rank = (order: ReadonlyMap<string, number>, { branch }: Track): number => order.get(branch ?? "") ?? -1

const laneOf = ({ branch, fanIn, rows, segments }: Track): Lane => ({
  branch,
  fanIn,
  depth: branch === undefined ? 0 : branch.split("/").length - 1,
  segments: segments.sort((a, b) => a.from - b.from || a.to - b.to),
  row: rows.at(-1)
})

const readMain = (main: Track, event: Event, at: number): void => {
  switch (event._tag) {
    case "FanInStarted": {
      const from = main.freeAt
      if (from === undefined || at <= from) return
      const flows = count(event.results.length, "flow")
      main.push({ kind: "gather", from, to: at, label: `waits for ${flows}`, details: [`waited for ${flows}`] })
      return
    }
    case "NodeStarted":
      main.nodes.push({ name: event.node, from: at, notes: 0 })
      main.freeAt = undefined
      return
    case "NodeProgress":
      for (const node of main.nodes) if (node.name === event.node) node.notes++
      return
    case "NodeCompleted":
      return endMainNode(main, event.node, at, "success", "completed", event.fanIn)
    case "NodeFailed":
      return endMainNode(main, event.node, at, "failure", `failed: ${event.error}`, event.fanIn)
    case "NodeInterrupted":
      return endMainNode(main, event.node, at, "interrupted", "was interrupted", event.fanIn)
  }
}

const endMainNode = (
  main: Track,
  name: string,
  at: number,
  outcome: Outcome,
  how: string,
  fanIn: string | undefined
): void => {
  const node = main.nodes.filter((open) => open.name === name).at(-1)
  main.nodes = main.nodes.filter((open) => open !== node)
  main.freeAt = at
  if (node === undefined) return
  const kind = fanIn === name ? "fanIn" : "node"
  const what = kind === "node" ? "node" : "fan-in"
  const told = node.notes === 0 ? [] : [`told ${count(node.notes, "progress note")}`]
  const details = [`${what} ${name} ${how}`, `ran for ${duration(at - node.from)}`, ...told]
  main.push({ kind, outcome, from: node.from, to: at, label: name, details })
}

const endMain = (main: Track, last: Event, at: number): void => {
  for (const { from, name } of main.nodes) {
    const details = [`node ${name} was running when the events end`]
    main.push({ kind: "node", outcome: "open", from, to: at, label: name, details })
  }
  const from = main.freeAt
  if (main.nodes.length > 0 || from === undefined || at <= from || last._tag === "GraphCompleted") return
  const until = last._tag === "GraphFailed" ? "until the run failed" : "when the events end"
  main.push({ kind: "gather", outcome: "open", from, to: at, label: "waits", details: [`waited for flows ${until}`] })
}
