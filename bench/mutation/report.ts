/** What Stryker has found, read from its reports. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export interface Mutant {
  readonly status: string
  readonly mutatorName: string
  readonly replacement?: string
  readonly location: { readonly start: Place; readonly end: Place }
}

interface Place {
  readonly line: number
  readonly column: number
}

interface Found {
  readonly source: string
  readonly mutants: ReadonlyArray<Mutant>
}

type Files = Readonly<Record<string, Found>>

const nameOf = (folder: string, file: string): string => join(folder, `${file.replaceAll("/", ".")}.json`)

/** The mutants of a file of `src`, as they were measured last. */
export const read = (folder: string, file: string): Found | undefined => {
  const path = nameOf(folder, file)
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) as Found : undefined
}

const keyOf = ({ location: { end, start }, mutatorName, replacement }: Mutant): string =>
  [start.line, start.column, end.line, end.column, mutatorName, replacement].join()

/** Keeps what Stryker has measured, file by file; of a file that has not changed, beside what was known. */
export const keep = (folder: string, report: string): void => {
  const { files } = JSON.parse(readFileSync(report, "utf8")) as { readonly files: Files }
  for (const [path, { mutants, source }] of Object.entries(files)) {
    const file = path.replace(/^src\//, "")
    const known = read(folder, file)
    const all = new Map(known?.source === source ? known.mutants.map((mutant) => [keyOf(mutant), mutant]) : [])
    for (const mutant of mutants) all.set(keyOf(mutant), mutant)
    writeFileSync(nameOf(folder, file), JSON.stringify({ source, mutants: [...all.values()] }))
  }
}

/** Where the mutants are that no test has noticed; the whole file, when it has changed since. */
export const missedIn = (folder: string, file: string, root: string): ReadonlyArray<string> => {
  const known = read(folder, file)
  if (known?.source !== readFileSync(join(root, "src", file), "utf8")) return [`src/${file}`]
  const ranges = known.mutants.filter(({ status }) => missed.includes(status)).map(({ location: { end, start } }) =>
    `src/${file}:${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`
  )
  return [...new Set(ranges)]
}

const noticed = ["Killed", "Timeout"]
const missed = ["Survived", "NoCoverage"]

export interface Score {
  readonly noticed: number
  readonly all: number
  /** Mutants whose module throws while it is loaded: they are in no score. */
  readonly unloaded: number
}

export const score = (mutants: ReadonlyArray<Mutant>): Score => {
  const of = (statuses: ReadonlyArray<string>) => mutants.filter(({ status }) => statuses.includes(status)).length
  const all = of([...noticed, ...missed])
  return { noticed: of(noticed), all, unloaded: mutants.length - all }
}

export const sum = (a: Score, b: Score): Score => ({
  noticed: a.noticed + b.noticed,
  all: a.all + b.all,
  unloaded: a.unloaded + b.unloaded
})

export const row = (name: string, { all, unloaded, noticed }: Score): string =>
  `| ${name} | ${all} | ${noticed} | ${all - noticed} | ${unloaded} | ${
    (100 * noticed / Math.max(1, all)).toFixed(1)
  } % |`

/** Each mutant that no test has noticed, with the line as it is and what it became. */
export const survivors = ({ mutants, source }: Found): ReadonlyArray<string> => {
  const lines = source.split("\n")
  return mutants.filter(({ status }) => missed.includes(status)).map((mutant) => {
    const { end, start } = mutant.location
    const was = start.line === end.line
      ? lines[start.line - 1]!.slice(start.column - 1, end.column - 1)
      : `${lines[start.line - 1]!.slice(start.column - 1)} ...`
    const status = mutant.status === "NoCoverage" ? ", not executed" : ""
    return `  ${start.line}:${start.column} ${mutant.mutatorName}${status}: ${was}  =>  ${mutant.replacement ?? ""}`
  })
}
