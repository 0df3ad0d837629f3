/**
 * `npm run simulate -- --bugs`: makes bugs in copies of the sources, one at a time, and shows how many seeds the simulation needs to
 * find each. One that is not found is an error, and so is one that cannot be made.
 */
import { availableParallelism } from "node:os"
import { type Bug, bugs } from "../test/simulation/bugs.ts"
import type { Task } from "../test/simulation/campaign.ts"
import { withBug } from "../test/simulation/makeBug.ts"
import { worker } from "./workers.ts"

/** Both kinds of runs are tried up to each of these, before more of them are. */
const steps = [20, 100, 500, 2_000]

interface Found {
  readonly kind: Task["kind"]
  readonly seed: number
  readonly problem: string
}

const search = (bug: Bug): Promise<Found | undefined> =>
  withBug(bug, async (sources) => {
    let first = 1
    for (const last of steps) {
      for (const kind of ["runs", "stops"] as const) {
        const { failures: [failure] } = await worker({ kind, first, last, failures: 1, tries: 0, sources })
        if (failure !== undefined) return { kind, seed: failure.seed, problem: failure.problems[0]! }
      }
      first = last + 1
    }
    return undefined
  })

const left = [...bugs]
let found = 0
const work = async () => {
  for (let bug = left.shift(); bug !== undefined; bug = left.shift()) {
    const how = await search(bug)
    if (how !== undefined) found++
    console.log(`${bug.name}\n  ${how === undefined ? "NOT FOUND" : `seed ${how.seed} (${how.kind}): ${how.problem}`}`)
  }
}
try {
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  console.log(`\n${found} of ${bugs.length} bugs are found within ${steps.at(-1)} seeds`)
  if (found < bugs.length) process.exitCode = 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
