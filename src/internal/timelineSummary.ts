/**
 * A run in one or two sentences: what happened to whom, and why it took more or less time than the run before.
 */
import { count, duration, list, shorten } from "./timelineHtml.ts"
import type { Row, Run } from "./timelineModel.ts"
import { capital, nameOf, waitText } from "./timelineWords.ts"

type Told = Omit<Run, "summary">

export const summarize = (run: Told, previous: Run | undefined): string => {
  const rows = run.outcome === "suspended" ? run.rows.filter(({ outcome }) => outcome !== "suspended") : run.rows
  const facts = [...troubles(rows), ...opened(run), ...goodNews(run.rows), ...slowest(run)]
  const between = run.outcome === "suspended" ? "; " : ": "
  const first = `${opening(run)}${facts.length === 0 ? "" : `${between}${facts.join("; ")}`}.`
  const second = compared(run, previous)
  return second === undefined ? first : `${first} ${second}`
}

const opening = (run: Told): string => {
  const { checkpointId, durationMs, error, isContinued, outcome, pausedMs, pending } = run
  const name = capital(nameOf(run)) + (pausedMs === undefined ? "" : ` (resumed after ${duration(pausedMs)})`)
  const time = duration(durationMs)
  switch (outcome) {
    case "success":
      return `${name} took ${time}`
    case "failure":
      return `${name} failed after ${time} with “${shorten(error ?? "", 160)}”`
    case "interrupted":
      return `${name} was interrupted after ${time}`
    case "suspended": {
      if (isContinued) return `${name} was suspended after ${time}, and waited ${waitText(pending)}`
      const unsaved = checkpointId !== undefined ? "" : ", and was not saved, so that it cannot be resumed"
      return `${name} waits ${waitText(pending)}: it was suspended after ${time}${unsaved}`
    }
    case "open":
      return `${name} had not ended after ${time}, when its events end`
  }
}

/** Flows that share a fate: all by name, with what is known of each, or, when they are many, a number and some names. */
const fate = (
  rows: ReadonlyArray<Row>,
  one: string,
  more: string,
  detail: (row: Row) => string | undefined = () => undefined
): ReadonlyArray<string> => {
  if (rows.length === 0) return []
  const times = new Map<string, number>()
  for (const { branch } of rows) times.set(branch, (times.get(branch) ?? 0) + 1)
  const branches = [...times.keys()]
  if (branches.length > named) return [`${branches.length} flows ${more} (${list(branches)})`]
  const names = branches.map((branch) => {
    const n = times.get(branch)!
    const known = n > 1 ? `${n} times` : detail(rows.find((row) => row.branch === branch)!)
    return known === undefined ? branch : `${branch} (${known})`
  })
  return [`${list(names)} ${branches.length === 1 ? one : more}`]
}

/** So many flows of one fate are named one by one. */
const named = 4

const tried = ({ attempts, timingMs }: Row): string => `${count(attempts, "attempt")}, ${duration(timingMs)}`

const troubles = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const ended = (outcome: Row["outcome"]) => rows.filter((row) => row.outcome === outcome)
  const refused = ended("rejected").filter(({ refusedBy }) => refusedBy !== "limit")
  const notAsked = refused.filter(({ attempts }) => attempts === 0)
  const states = [...new Set(notAsked.flatMap(({ circuit }) => circuit === undefined ? [] : [circuit]))].join(" or ")
  return [
    ...fate(
      notAsked,
      `was not asked at all, because its circuit is ${states}`,
      `were not asked at all, because their circuits are ${states}`
    ),
    ...fate(
      refused.filter(({ attempts }) => attempts > 0),
      "was not asked again, because its circuit opened",
      "were not asked again, because their circuits opened",
      tried
    ),
    ...fate(
      ended("rejected").filter(({ refusedBy }) => refusedBy === "limit"),
      "was refused, because its limit was reached",
      "were refused, because their limits were reached"
    ),
    ...fate(ended("timeout"), "reached its time limit", "reached their time limits", tried),
    ...fate(
      ended("failure"),
      "failed",
      "failed",
      (row) => `${count(row.attempts, "attempt")}: ${shorten(row.note, 80)}`
    ),
    ...fate(ended("interrupted"), "was interrupted", "were interrupted"),
    ...fate(ended("suspended"), "waits for an answer", "wait for answers"),
    ...fate(ended("open"), "was still running", "were still running"),
    ...fate(
      rows.filter(({ abandoned }) => abandoned),
      "did not stop and was left alone",
      "did not stop and were left alone"
    )
  ]
}

/** Circuits that opened in this run. */
const opened = ({ lanes }: Told): ReadonlyArray<string> => {
  const owners = new Map<string, string>()
  for (const { branch, circuit } of lanes) {
    if (circuit === undefined || owners.has(circuit.key)) continue
    const owner = circuit.node === undefined ? branch : `node ${circuit.node}`
    if (owner !== undefined && circuit.bands.some(({ from, state }, i) => state === "OPEN" && (i > 0 || from > 0))) {
      owners.set(circuit.key, owner)
    }
  }
  const names = [...owners.values()]
  return names.length === 0 ? [] : [`the ${names.length === 1 ? "circuit" : "circuits"} of ${list(names)} opened`]
}

const goodNews = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const good = rows.filter(({ outcome }) => outcome === "success")
  if (rows.length === 0) return []
  const again = good.filter(({ attempts }) => attempts > 1)
  const all = good.length === rows.length
  const how = rows.length === 1
    ? good.map(({ branch }) => `${branch} succeeded`)
    : all
    ? [`all ${rows.length} flows succeeded`]
    : rows.length > 8
    ? [`${good.length} of ${rows.length} flows succeeded`]
    : []
  const needed = "needed more than one attempt"
  const fallbacks = good.filter(({ usedFallback }) => usedFallback)
  return [
    ...how,
    ...fate(
      again.filter(({ usedFallback }) => !usedFallback),
      needed,
      needed,
      ({ attempts }) => count(attempts, "attempt")
    ),
    ...fate(
      fallbacks,
      "used its fallback",
      "used their fallbacks",
      ({ attempts }) => attempts === 0 ? undefined : count(attempts, "attempt")
    )
  ]
}

/** The flow that a run waited for, when that is worth a word. */
const slowest = ({ outcome, part, rows }: Told): ReadonlyArray<string> => {
  // What is told of a flow that was at work in several parts is the time of all.
  if (rows.length < 2 || part > 1 || outcome === "suspended") return []
  const [first, second] = [...rows].sort((a, b) => b.timingMs - a.timingMs)
  if (first!.outcome === "timeout") return []
  return first!.timingMs > second!.timingMs * 1.1 ? [`${first!.branch} took longest, ${duration(first!.timingMs)}`] : []
}

/** Why a run was much faster or slower than the one before. */
const compared = (run: Told, previous: Run | undefined): string | undefined => {
  if (previous === undefined || !isWhole(run) || !isWhole(previous)) return undefined
  const [now, then] = [run.durationMs, previous.durationMs]
  const faster = now * 1.5 < then
  if (!faster && then * 1.5 >= now) return undefined
  const before = new Map(previous.rows.map((row) => [row.branch, row]))
  const changed = run.rows.flatMap((row) => {
    const old = before.get(row.branch)
    if (old === undefined) return []
    const [short, long] = faster ? [held(row), held(old)] : [held(old), held(row)]
    const limit = faster ? now : then
    return long > limit * 0.9 && short * 1.5 < long ? [{ row, old }] : []
  })
  if (changed.length === 0) return undefined
  const notAsked = changed.filter(({ row }) => faster && row.outcome === "rejected" && row.attempts === 0)
  const asked = changed.filter((one) => !notAsked.includes(one))
  const why = [
    ...notAsked.length === 0
      ? []
      : [`it did not ask ${list(notAsked.map(({ old }) => `${old.branch} (${duration(held(old))} there)`))}`],
    ...asked.length === 0 ? [] : [
      list(asked.map(({ old, row }) => `${row.branch} took ${duration(held(row))} instead of ${duration(held(old))}`))
    ]
  ]
  const much = `${duration(Math.abs(then - now))} ${faster ? "less" : "more"} than run ${previous.number}`
  return `That is ${much}, because ${why.join(" and ")}.`
}

const isWhole = ({ isContinued, outcome, part }: Told): boolean => outcome === "success" && part === 1 && !isContinued

/** How long a flow kept its line waiting. */
const held = ({ endMs, startMs }: Row): number => endMs - startMs
