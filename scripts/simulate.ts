/**
 * `npm run simulate -- --seeds 100000`: random runs, as many as asked for, and as many of them stopped anywhere and continued, on
 * as many processes as there are processors. `--first 17 --seeds 1` runs one seed again, `--runs` or `--stops` only one of the two.
 * `--spec run.json` runs one that was printed, `--bugs` shows that it finds bugs, `--explore` runs every order instead of random ones.
 */
import { availableParallelism } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import type { Failure, Task } from "../test/simulation/campaign.ts"
import { shown } from "../test/simulation/shown.ts"
import { program, worker } from "./workers.ts"

const fail = (sentence: string): never => {
  console.error(sentence)
  process.exit(1)
}

const options = () => {
  try {
    return parseArgs({
      options: {
        seeds: { type: "string", default: "1000" },
        first: { type: "string", default: "1" },
        processes: { type: "string", default: String(availableParallelism()) },
        runs: { type: "boolean", default: false },
        stops: { type: "boolean", default: false },
        bugs: { type: "boolean", default: false },
        explore: { type: "boolean", default: false },
        size: { type: "string" },
        spec: { type: "string" }
      }
    }).values
  } catch (error) {
    const known = "--seeds N, --first N, --processes N, --runs, --stops, --size N, --spec FILE, --bugs and --explore"
    return fail(`${(error as Error).message}. Options are ${known}.`)
  }
}

const count = (name: string, text: string): number =>
  /^[1-9]\d{0,8}$/.test(text)
    ? Number(text)
    : fail(`--${name} is ${JSON.stringify(text)}, allowed is a whole number of at least 1.`)

/** Seeds of one process at a time: enough to be worth its start, and few enough to end together. */
const shareOf = (seeds: number, processes: number): number =>
  Math.min(5_000, Math.max(100, Math.ceil(seeds / processes / 4)))

const seconds = (from: number): number => Math.round((performance.now() - from) / 100) / 10

interface Wanted {
  readonly kinds: ReadonlyArray<Task["kind"]>
  readonly first: number
  readonly seeds: number
  readonly processes: number
  readonly size?: number
}

const simulate = async ({ first, kinds, processes, seeds, size }: Wanted): Promise<boolean> => {
  const last = first + seeds - 1
  const share = shareOf(seeds, processes)
  const tasks: Array<Task> = []
  for (const kind of kinds) {
    for (let at = first; at <= last; at += share) {
      const task = { kind, first: at, last: Math.min(last, at + share - 1) }
      tasks.push(size === undefined ? task : { ...task, size })
    }
  }
  const done = new Map<Task["kind"], number>()
  const failures: Array<Failure> = []
  const began = performance.now()
  const work = async () => {
    for (let task = tasks.shift(); task !== undefined && failures.length < 3; task = tasks.shift()) {
      const report = await worker(task)
      done.set(task.kind, (done.get(task.kind) ?? 0) + report.seeds)
      for (const failure of report.failures) console.log(`\n${shown(failure)}`)
      failures.push(...report.failures)
      const all = [...done.values()].reduce((sum, n) => sum + n, 0)
      if (all % 10_000 < share && all >= 10_000) console.log(`${all} seeds, in ${seconds(began)} s`)
    }
  }
  await Promise.all(Array.from({ length: processes }, work))
  const words = { runs: "random runs", stops: "runs stopped anywhere and continued" }
  const what = [...done].map(([kind, n]) => `${n} ${words[kind]}`).join(", ")
  const all = [...done.values()].reduce((sum, n) => sum + n, 0)
  const rate = Math.round(all / Math.max(0.1, seconds(began)))
  const color = failures.length === 0 ? "green" : "RED"
  console.log(
    `seeds ${first}-${last}: ${what}: ${color}, in ${seconds(began)} s (${rate} a second, ${processes} processes)`
  )
  return failures.length === 0
}

const { bugs, explore, first, processes, runs, seeds, size, spec, stops } = options()
const kinds = (["runs", "stops"] as const).filter((kind) => runs === stops || (kind === "runs" ? runs : stops))
const wanted = {
  kinds,
  first: count("first", first),
  seeds: count("seeds", seeds),
  processes: count("processes", processes),
  ...size === undefined ? {} : { size: count("size", size) }
}
try {
  if (spec !== undefined) await program([join("test", "simulation", "replay.ts"), resolve(spec)], "inherit")
  else if (bugs || explore) await program([join("scripts", bugs ? "bugs.ts" : "explore.ts")], "inherit")
  else if (!await simulate(wanted)) process.exitCode = 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
