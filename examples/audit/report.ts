/**
 * What the audit found, as data, and the sums over it.
 */
import { Schema } from "effect"
import * as Measure from "./measure.ts"

export const Problem = Schema.Struct({ type: Schema.String, message: Schema.String })
export type Problem = typeof Problem.Type

/** What became of one package. */
export const Row = Schema.Struct({
  label: Schema.String,
  /** Whether it counts in the total of `node_modules`: a workspace does not. */
  isInModules: Schema.Boolean,
  kind: Schema.Literals(["installed", "linked", "absent"]),
  version: Schema.optionalKey(Schema.String),
  license: Schema.optionalKey(Schema.String),
  /** Absent when it could not be measured to the end. */
  size: Schema.optionalKey(Measure.Size),
  problem: Schema.optionalKey(Problem)
})
export type Row = typeof Row.Type

export const Report = Schema.Struct({
  modules: Schema.String,
  /** In the order of the lock. */
  rows: Schema.Array(Row),
  /** What of `node_modules` is in no package. */
  rest: Schema.Struct({
    size: Schema.optionalKey(Measure.Size),
    parts: Schema.Array(Measure.Part),
    problem: Schema.optionalKey(Problem)
  })
})
export type Report = typeof Report.Type

interface Sized {
  readonly size?: Measure.Size
}

export const sum = (all: ReadonlyArray<Sized>): Measure.Size =>
  all.reduce((total, { size = Measure.zero }) => Measure.add(total, size), Measure.zero)

/** Of `node_modules`: all packages in it, and what is in none. */
export const total = ({ rest, rows }: Report): Measure.Size => sum([...rows.filter((row) => row.isInModules), rest])

/** Whether something is there at all: the bytes of a folder that is only missing are known. */
export const isThere = ({ kind, problem }: Row): boolean => kind !== "absent" && problem?.type !== "PackageMissing"

export const isComplete = ({ rest, rows }: Report): boolean =>
  rest.size !== undefined && rows.every(({ size }) => size !== undefined)

const bytes = ({ size = Measure.zero }: Sized): number => size.bytes

/** Biggest first, and by name where that is the same. */
export const bySize = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  [...rows].sort((a, b) => bytes(b) - bytes(a) || (a.label < b.label ? -1 : 1))

/** How many packages have which license, the most frequent first; links are counted where they lead to. */
export const licenses = (rows: ReadonlyArray<Row>): ReadonlyArray<readonly [license: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const row of rows) {
    if (row.kind !== "installed" || !isThere(row)) continue
    const license = row.license ?? "(not known)"
    counts.set(license, (counts.get(license) ?? 0) + 1)
  }
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
}

export const failures = ({ rest, rows }: Report): ReadonlyArray<Problem & { readonly label: string }> =>
  [...rows, { label: "(in no package)", ...rest }].flatMap(({ label, problem }) =>
    problem === undefined ? [] : [{ label, ...problem }]
  )
