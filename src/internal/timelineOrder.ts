/**
 * In which order the flows of a graph are shown, the same in every run: as the results of a join say it, else as they were
 * first seen. A flow's own flows follow it.
 */
import type { Branches } from "./timelineBranches.ts"
import { isInside, type RunEvents } from "./timelineRuns.ts"

/** The rank of each flow. */
export const orderOf = (runs: ReadonlyArray<RunEvents>, branches: Branches): ReadonlyMap<string, number> => {
  const seen = new Set<string>()
  const add = (branch: string): void => {
    if (seen.has(branch)) return
    const { around } = branches(branch)
    if (around !== undefined) add(around)
    seen.add(branch)
  }
  /** The flows of each fan-in of each line, as its results name them. */
  const joined = new Map<string, Set<string>>()
  for (const { events } of runs) {
    for (const event of events) {
      // Inside of a node, results are named as they are there.
      if (event._tag !== "FanInStarted" || isInside(event)) continue
      const id = `${event.branch ?? ""}\n${event.node}`
      const flows = joined.get(id) ?? new Set()
      for (const { branch } of event.results) flows.add(branch)
      joined.set(id, flows)
    }
  }
  for (const { events } of runs) {
    for (const event of events) {
      if (!("branch" in event) || event.branch === undefined || seen.has(event.branch)) continue
      const id = `${branches(event.branch).around ?? ""}\n${event.fanIn}`
      for (const branch of joined.get(id) ?? []) add(branch)
      joined.delete(id)
      add(event.branch)
    }
  }
  for (const flows of joined.values()) for (const branch of flows) add(branch)
  return ranks(seen, branches)
}

const ranks = (all: ReadonlySet<string>, branches: Branches): ReadonlyMap<string, number> => {
  const children = new Map<string, Array<string>>()
  for (const branch of all) {
    const { around = "" } = branches(branch)
    const siblings = children.get(around)
    if (siblings === undefined) children.set(around, [branch])
    else siblings.push(branch)
  }
  const ranked = new Map<string, number>()
  const open = [...children.get("") ?? []].reverse()
  for (let branch = open.pop(); branch !== undefined; branch = open.pop()) {
    ranked.set(branch, ranked.size)
    open.push(...[...children.get(branch) ?? []].reverse())
  }
  return ranked
}
