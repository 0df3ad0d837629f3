/** Measures effects against each other in one process: samples are interleaved, so that noise meets all alike. */
import { Effect } from "effect"

export interface Subject {
  readonly name: string
  readonly effect: Effect.Effect<unknown, unknown>
  /** Runs per sample. */
  readonly runs: number
}

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Milliseconds of processor time, of all threads: what others do on the machine does not count. */
export const cpuClock = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

const time = async ({ effect, runs }: Subject, clock: () => number): Promise<number> => {
  const program = Effect.gen(function*() {
    for (let i = 0; i < runs; i++) yield* effect
  })
  const start = clock()
  await Effect.runPromise(program)
  return (clock() - start) / runs * 1000
}

/** Median microseconds per run of each subject. */
export const compare = async (
  subjects: ReadonlyArray<Subject>,
  samples = 21,
  clock: () => number = () => performance.now()
): Promise<ReadonlyArray<number>> => {
  for (const subject of subjects) for (let i = 0; i < 3; i++) await time(subject, clock)
  const taken: Array<Array<number>> = subjects.map(() => [])
  for (let i = 0; i < samples; i++) {
    for (const [index, subject] of subjects.entries()) {
      globalThis.gc?.()
      taken[index]!.push(await time(subject, clock))
    }
  }
  return taken.map(median)
}

export interface Row {
  readonly what: string
  readonly ours: number
  readonly theirs: number
  readonly per: string
  /** The most that `ours / theirs` may be; none: shown only. */
  readonly target?: number
}

const pad = (text: string, width: number) => text.padEnd(width)
const micros = (value: number) => value.toFixed(2).padStart(10)

export const print = (title: string, rows: ReadonlyArray<Row>): boolean => {
  console.log(`\n${title}`)
  console.log(`  ${pad("", 58)}${"ours µs".padStart(10)}${"theirs µs".padStart(11)}${"ratio".padStart(8)}   target`)
  let met = true
  for (const row of rows) {
    const ratio = row.ours / row.theirs
    const ok = row.target === undefined || ratio <= row.target
    met &&= ok
    const target = row.target === undefined ? "" : `<= ${row.target}  ${ok ? "met" : "MISSED"}`
    console.log(
      `  ${pad(`${row.what} (${row.per})`, 58)}${micros(row.ours)} ${micros(row.theirs)}${
        ratio.toFixed(2).padStart(8)
      }   ${target}`
    )
  }
  return met
}
