/**
 * Where each flow belongs. Its branch is names joined by `/`, and the name of a mapped flow ends with its key in brackets. A
 * key can be anything, a path too: so what the events tell of the flows counts more than the text of a branch.
 */
import { isInside, type RunEvents } from "./timelineRuns.ts"

/** Where a flow belongs. */
export interface Place {
  /** The branch of the flow around it; absent for a flow of the main line. */
  readonly around: string | undefined
  /** How many flows are around it. */
  readonly depth: number
  /** The branch of its parallel edge, in its own graph. */
  readonly name: string
  /** What its branch adds to that of the flow around it. */
  readonly label: string
  readonly isMapped: boolean
  /** Its name below those of the flows around it, without any keys. */
  readonly family: string
}

export type Branches = (branch: string) => Place

/** One way to read a branch: its last name begins here. */
interface Cut {
  readonly at: number
  readonly name: string
  readonly key: string | undefined
}

/** `declared` tells the branches of the edges that lead to a fan-in, if that is known. */
export const branchesOf = (
  runs: ReadonlyArray<RunEvents>,
  declared: (fanIn: string) => ReadonlySet<string> | undefined = () => undefined
): Branches => {
  const known = fanInsOf(runs)
  // Where the events are complete, a flow around another one has been seen.
  const isComplete = runs.every(({ events }) => events[0]?._tag === "GraphStarted")
  const seen = new Map<string, Set<string>>()
  for (const [branch, fanIn] of known) {
    const [only, ...others] = cutsOf(branch)
    if (only !== undefined && others.length === 0) seen.set(fanIn, (seen.get(fanIn) ?? new Set()).add(only.name))
  }
  const around = (line: string, fanIn: string): string | undefined => {
    // From here on there are names only: a branch that is known may end at each of them.
    const from = line.lastIndexOf("]") + 1
    for (let end = line.length; end >= from && end > 0; end = line.lastIndexOf("/", end - 1)) {
      const flow = line.slice(0, end)
      const own = known.get(flow)
      // Flows of one fan-in stand side by side.
      if (own !== undefined && (from === 0 || own !== fanIn)) return flow
    }
    return undefined
  }
  const costOf = (branch: string, { at, key, name }: Cut): number => {
    const fanIn = known.get(branch) ?? ""
    const line = lineOf(branch, at)
    let cost = (declared(fanIn) ?? seen.get(fanIn))?.has(name) === false ? 6 : 0
    if (key !== undefined && !isBalanced(key)) cost += 3
    if (!line.includes("[")) return cost
    // A flow that is known is better than nothing around.
    if (around(line, fanIn) !== undefined) return cost - 1
    return cost + (isBalanced(line) && cutsOf(line).length > 0 ? 2 : 5) + (isComplete ? 4 : 0)
  }
  const places = new Map<string, Place>()
  const placeOf = (branch: string): Place => {
    const own = places.get(branch)
    if (own !== undefined) return own
    let best: Cut = { at: 0, name: branch, key: undefined }
    let least = Infinity
    const cuts = cutsOf(branch)
    for (const cut of cuts) {
      const cost = cuts.length === 1 ? 0 : costOf(branch, cut)
      if (cost < least) [best, least] = [cut, cost]
    }
    const line = lineOf(branch, best.at)
    const outer = around(line, known.get(branch) ?? "")
    const above = outer === undefined ? undefined : placeOf(outer)
    const from = outer === undefined ? 0 : outer.length + 1
    const place: Place = {
      around: outer,
      depth: above === undefined ? 0 : above.depth + 1,
      name: best.name,
      label: branch.slice(from),
      isMapped: best.key !== undefined,
      family: `${above === undefined ? "" : `${above.family}/`}${branch.slice(from, best.at)}${best.name}`
    }
    places.set(branch, place)
    return place
  }
  return placeOf
}

const lineOf = (branch: string, at: number): string => branch.slice(0, Math.max(0, at - 1))

/** The fan-in of each flow; empty where no event tells it. */
const fanInsOf = (runs: ReadonlyArray<RunEvents>): ReadonlyMap<string, string> => {
  const known = new Map<string, string>()
  const add = (branch: string, fanIn: string): void => {
    const own = known.get(branch)
    if (own === undefined || own === "") known.set(branch, fanIn)
  }
  for (const { events } of runs) {
    for (const event of events) {
      if (event._tag === "FanInStarted") {
        // Inside of a node, results are named as they are there.
        if (!isInside(event)) { for (const { branch } of event.results) add(branch, event.fanIn ?? event.node) }
      } else if ("branch" in event && event.branch !== undefined) {
        add(event.branch, "node" in event ? "" : event.fanIn)
      }
    }
  }
  return known
}

/** More ways to read one branch are not looked at. */
const limit = 64

/** Names hold no `/`, `[` or `]`. */
const cutsOf = (branch: string): ReadonlyArray<Cut> => {
  const last = branch.lastIndexOf("/") + 1
  const name = branch.slice(last)
  if (!branch.endsWith("]")) return /[[\]]/.test(name) || name === "" ? [] : [{ at: last, name, key: undefined }]
  const cuts: Array<Cut> = []
  for (let open = branch.indexOf("["); open >= 0 && cuts.length < limit; open = branch.indexOf("[", open + 1)) {
    const at = branch.lastIndexOf("/", open) + 1
    const name = branch.slice(at, open)
    if (name !== "" && !/[[\]]/.test(name)) cuts.push({ at, name, key: branch.slice(open + 1, -1) })
  }
  return cuts
}

const isBalanced = (text: string): boolean => {
  let depth = 0
  for (const char of text) {
    if (char === "[") depth++
    else if (char === "]" && --depth < 0) return false
  }
  return depth === 0
}
