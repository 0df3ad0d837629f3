/** The verdict: what was measured beside what is allowed. */
import type { Held } from "./held.ts"
import type { ManyRuns } from "./manyRuns.ts"
import { isCycle, type Period } from "./outage.ts"

export interface Row {
  readonly what: string
  readonly measured: string
  readonly allowed: string
  readonly ok: boolean
}

export interface Measured {
  readonly manyRuns: ManyRuns
  /** The periods of the soak, each with what was held after it. */
  readonly periods: ReadonlyArray<Period & Held>
  /** Handles that were not there at the start. */
  readonly handles: ReadonlyArray<string>
}

const mb = (bytes: number): string => `${(bytes / 1_000_000).toFixed(2)} MB`

const atMost = (what: string, measured: number, most: number, show: (value: number) => string = String): Row => ({
  what,
  measured: show(measured),
  allowed: most === 0 ? "0" : `at most ${show(most)}`,
  ok: measured <= most
})

const sum = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)

/** Bytes that a run of ten flows may seem to add: the noise is some 250, one fiber kept of each flow would be several thousand. */
const perRun = 1000

export const ofManyRuns = ({ flows, held: [before, half, after], open, runs, wrong }: ManyRuns): ReadonlyArray<Row> => [
  atMost(`heap after collection, ${runs} runs of ${flows} flows`, after.heap - before.heap, 5_000_000, mb),
  // Growth that goes on is a leak however small it is: the second half of the runs adds next to nothing.
  atMost(
    "its growth per run, in the second half",
    Math.round((after.heap - half.heap) / (runs - Math.floor(runs / 2))),
    perRun,
    (bytes) => `${bytes} bytes`
  ),
  atMost("fibers after them", after.fibers, 0),
  atMost("timers after them", after.timers, 0),
  atMost("connections open after them", open, 0),
  atMost("runs with a wrong result among them", wrong, 0)
]

export const ofPeriods = (periods: Measured["periods"]): ReadonlyArray<Row> => {
  const heaps = periods.map(({ heap }) => heap)
  const rise = Math.max(...heaps.map((heap, i) => heap - Math.min(...heaps.slice(0, i + 1))))
  const cycles = periods.filter(({ changes }) => isCycle(changes)).length
  return [
    {
      what: "circuit cycles CLOSED, OPEN, HALF_OPEN, CLOSED",
      measured: `${cycles} of ${periods.length} periods`,
      allowed: "every period",
      ok: periods.length > 0 && cycles === periods.length
    },
    {
      what: "executions while the dependency was down",
      measured: String(sum(periods.map(({ askedInVain }) => askedInVain))),
      allowed: "some in every period",
      ok: periods.every(({ askedInVain }) => askedInVain > 0)
    },
    atMost("executions while OPEN", sum(periods.map(({ askedWhileOpen }) => askedWhileOpen)), 0),
    atMost("heap after collection, above that of an earlier period", rise, 1_000_000, mb),
    atMost("fibers after a period", Math.max(...periods.map(({ fibers }) => fibers)), 0),
    atMost("timers after a period", Math.max(...periods.map(({ timers }) => timers)), 0),
    atMost("connections open after a period", Math.max(...periods.map(({ open }) => open)), 0),
    atMost("runs with a wrong result in the periods", sum(periods.map(({ wrong }) => wrong)), 0)
  ]
}

export const ofProcess = (handles: Measured["handles"]): ReadonlyArray<Row> => [{
  what: "handles that were not there at the start",
  measured: handles.length === 0 ? "0" : handles.join(", "),
  allowed: "0",
  ok: handles.length === 0
}]

export const verdictOf = ({ handles, manyRuns, periods }: Measured): ReadonlyArray<Row> => [
  ...ofManyRuns(manyRuns),
  ...ofPeriods(periods),
  ...ofProcess(handles)
]

export const isGood = (rows: ReadonlyArray<Row>): boolean => rows.every(({ ok }) => ok)

export const lines = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  rows.map(({ allowed, measured, ok, what }) =>
    `  ${what.padEnd(56)}${measured.padStart(16)}   ${allowed.padEnd(22)}${ok ? "ok" : "BAD"}`
  )
