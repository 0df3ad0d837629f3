/**
 * A time axis with round numbers.
 */
import { duration } from "./timelineHtml.ts"

export interface Tick {
  readonly at: number
  readonly text: string
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** Steps that read well, up to a day. */
const steps: ReadonlyArray<number> = ([
  [1, [1, 2, 5, 10, 20, 50, 100, 200, 500]],
  [second, [1, 2, 5, 10, 15, 30]],
  [minute, [1, 2, 5, 10, 15, 30]],
  [hour, [1, 2, 3, 6, 12, 24]]
] as const).flatMap(([unit, counts]) => counts.map((n) => n * unit))

/** The distance of two ticks: at most ten fit. */
export const stepOf = (span: number): number =>
  steps.find((step) => span / step <= 10) ?? Math.ceil(span / 10 / (24 * hour)) * 24 * hour

export const ticks = (span: number): ReadonlyArray<Tick> => {
  const step = stepOf(span)
  const all: Array<Tick> = []
  for (let at = 0; at <= span; at += step) all.push({ at, text: at === 0 ? "0" : duration(at) })
  // The last one needs room for its text.
  return all.filter(({ at }) => at === 0 || at <= span * 0.97)
}
