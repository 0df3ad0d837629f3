/**
 * `npm run simulate -- --bugs`: makes bugs in copies of the sources, one at a time, and shows how many seeds the simulation needs to
 * find each. One that is not found is an error, and so is one that cannot be made.
 */
import { spawn } from "node:child_process"
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { type Bug, bugs } from "../test/simulation/bugs.ts"
import type { Report, Task } from "../test/simulation/campaign.ts"
import { root } from "./root.ts"

/** Each has to be found within so many. */
const most = 2_000

/** Both kinds of runs are tried up to each of these, before more of them are. */
const steps = [20, 100, 500, most]

interface Found {
  readonly bug: Bug
  readonly kind?: Task["kind"]
  readonly seeds: number
  readonly problem: string
}

const worker = (task: Task): Promise<Report> =>
  new Promise((resolve, reject) => {
    const args = [join("test", "simulation", "worker.ts"), JSON.stringify(task)]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    let text = ""
    let errors = ""
    child.stdout.on("data", (data: Buffer) => text += data.toString())
    child.stderr.on("data", (data: Buffer) => errors += data.toString())
    child.on("close", (code) => code === 0 ? resolve(JSON.parse(text) as Report) : reject(new Error(errors)))
  })

/** A copy of the sources with the bug in it. */
const make = async (folder: string, { file, find, name, replace }: Bug): Promise<string> => {
  const sources = join(folder, "src")
  await cp(join(root, "src"), sources, { recursive: true })
  await symlink(join(root, "node_modules"), join(folder, "node_modules"))
  const path = join(sources, file)
  const text = await readFile(path, "utf8")
  if (text.split(find).length !== 2) {
    throw new Error(
      `the bug "${name}" cannot be made: what it replaces is ${text.split(find).length - 1} times in ${file}`
    )
  }
  await writeFile(path, text.replace(find, () => replace))
  return sources
}

const search = async (bug: Bug): Promise<Found> => {
  const folder = await mkdtemp(join(tmpdir(), "bug-"))
  try {
    const sources = await make(folder, bug)
    let first = 1
    for (const last of steps) {
      for (const kind of ["runs", "stops"] as const) {
        const { failures: [failure] } = await worker({ kind, first, last, failures: 1, tries: 0, sources })
        if (failure !== undefined) return { bug, kind, seeds: failure.seed, problem: failure.problems[0]! }
      }
      first = last + 1
    }
    return { bug, seeds: most, problem: "not found" }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const left = [...bugs]
const all: Array<Found> = []
const work = async () => {
  for (let bug = left.shift(); bug !== undefined; bug = left.shift()) {
    const found = await search(bug)
    all.push(found)
    const how = found.kind === undefined
      ? "NOT FOUND"
      : `found by seed ${found.seeds} (${found.kind}): ${found.problem}`
    console.log(`${bug.name}: ${how}`)
  }
}
try {
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const missed = all.filter(({ kind }) => kind === undefined)
  console.log(`\n${all.length - missed.length} of ${bugs.length} bugs are found, each within ${most} seeds`)
  if (missed.length > 0 || all.length < bugs.length) process.exitCode = 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
