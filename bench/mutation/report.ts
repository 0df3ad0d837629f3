/** What Stryker has found, read from its reports. */
import { existsSync, readFileSync } from "node:fs"
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

/** Where the report of a file of `src` is. */
export const reportOf = (folder: string, file: string): string => join(folder, `${file.replaceAll("/", ".")}.json`)

/** The mutants of a file, as they were measured last. */
export const read = (folder: string, file: string): Found | undefined => {
  const path = reportOf(folder, file)
  if (!existsSync(path)) return undefined
  const { files } = JSON.parse(readFileSync(path, "utf8")) as { readonly files: Readonly<Record<string, Found>> }
  return files[`src/${file}`]
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
