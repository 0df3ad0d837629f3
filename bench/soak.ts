/**
 * Hours in minutes: `npm run soak`. A thousand runs and what they leave behind, then a dependency with an outage in every
 * period. Ends with a verdict, and with exit code 1 when it is bad.
 */
import { Effect } from "effect"
import { added, busy, Fibers, type Held, held } from "./soak/held.ts"
import { manyRuns } from "./soak/manyRuns.ts"
import { help, parse } from "./soak/options.ts"
import { makeOutage, type Period } from "./soak/outage.ts"
import { isGood, lines, verdictOf } from "./soak/verdict.ts"

const runs = 1000
const periods = 5

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(2)} MB`

const soak = (minutes: number) =>
  Effect.gen(function*() {
    console.log(`${runs} runs of a graph, then ${minutes} min of a dependency with outages`)
    // From the first line on the output is a handle too.
    const { handles } = busy()
    const many = yield* manyRuns(runs)
    const [before, half, after] = many.held
    console.log(
      `${runs} runs: heap ${megabytes(before.heap)}, after ${runs / 2} ${megabytes(half.heap)}, after all ${
        megabytes(after.heap)
      }`
    )

    const periodMs = minutes * 60_000 / periods
    const { period } = makeOutage({ periodMs, everyMs: Math.min(50, periodMs / 120) })
    console.log(`${periods} periods of ${periodMs / 1000} s, in each the dependency is down for ${periodMs / 3000} s`)
    const fibers = new Fibers()
    const past: Array<Period & Held> = []
    for (let i = 0; i < periods; i++) {
      const ended = { ...yield* fibers.track(period(i)), ...yield* held(fibers) }
      past.push(ended)
      console.log(
        `period ${
          i + 1
        }: ${ended.runs} runs, ${ended.asked} executions, ${ended.askedInVain} of them in the outage, heap ${
          megabytes(ended.heap)
        }, CLOSED ${ended.changes.map(({ to }) => to).join(" ")}`
      )
    }
    return verdictOf({ manyRuns: many, periods: past, handles: added(handles, busy().handles) })
  })

const options = parse(process.argv.slice(2))
if (options._tag === "Help") console.log(help)
else if (options._tag === "Wrong") {
  console.error(`soak: ${options.sentence}`)
  process.exitCode = 1
} else if (globalThis.gc === undefined) {
  console.error("soak: the heap after collection can only be seen with `node --expose-gc bench/soak.ts`")
  process.exitCode = 1
} else {
  const rows = await Effect.runPromise(soak(options.minutes))
  console.log(`\n${"Verdict".padEnd(58)}${"measured".padStart(16)}   allowed`)
  for (const line of lines(rows)) console.log(line)
  console.log(isGood(rows) ? "\nsoak: good" : "\nsoak: BAD")
  // What is left behind must not keep a bad soak from ending. A good one ends by itself.
  if (!isGood(rows)) process.exit(1)
}
