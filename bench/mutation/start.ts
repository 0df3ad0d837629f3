/**
 * `npm run mutation`: breaks the sources in a copy of the project, one small change at a time, and counts the changes that
 * tests notice. `-- --only circuit,retry` for some groups, `--file withRetry` for some of their files, `--again` for what
 * was not noticed the last time, `--wide` by all tests of runs instead of some short ones, `--report` for what is known, without a run.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { root } from "../../scripts/root.ts"
import groups, { all, first, leftOut } from "./groups.ts"
import * as Report from "./report.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const reports = join(root, ".reports", "mutation")

const fail = (sentence: string): never => {
  console.error(sentence)
  process.exit(1)
}

const options = () => {
  try {
    return parseArgs({
      options: {
        only: { type: "string", default: Object.keys(groups).join() },
        file: { type: "string", default: "" },
        again: { type: "boolean", default: false },
        wide: { type: "boolean", default: false },
        report: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return fail(`${(error as Error).message}. Options are --only GROUPS, --file NAMES, --again, --wide and --report.`)
  }
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string, shell = false): void => {
  const { error, status } = spawnSync(command, args, { cwd, stdio: "inherit", shell })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const install = (): void => {
  if (existsSync(join(here, "node_modules", ".package-lock.json"))) return
  console.log("installing Stryker into bench/mutation, once")
  run("npm", ["ci", "--no-audit", "--no-fund"], here, process.platform === "win32")
}

/** Never the checkout itself: files are overwritten while it is measured. */
const copied = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "effect-stategraph-mutation-"))
  const left = [".git", ".reports", "dist", "node_modules"]
  cpSync(root, folder, { recursive: true, filter: (from) => !left.includes(basename(from)) })
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction")
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

// The tests that notice most come first: a mutant is done with at the first test that fails.
const vitestConfig = (tests: ReadonlyArray<string>): string => `
import { BaseSequencer } from "vitest/node"
import base from "./vitest.config.ts"

const first = ${JSON.stringify(first)}
const rank = ({ moduleId }) => {
  const at = first.findIndex((name) => moduleId.includes("/test/" + name))
  return at < 0 ? first.length : at
}

export default {
  ...base,
  test: {
    ...base.test,
    include: ${JSON.stringify(tests)},
    exclude: ${JSON.stringify(leftOut)},
    isolate: false,
    reporters: ["dot"],
    sequence: { sequencer: class extends BaseSequencer { sort = async (files) => [...files].sort((a, b) => rank(a) - rank(b)) } },
    testTimeout: 3_000,
    hookTimeout: 3_000
  }
}
`

const strykerConfig = (mutate: ReadonlyArray<string>, fileName: string) => ({
  plugins: [join(here, "node_modules/@stryker-mutator/vitest-runner/dist/src/index.js")],
  mutate,
  inPlace: true,
  testRunner: "vitest",
  vitest: { configFile: "vitest.mutation.config.ts", related: false },
  coverageAnalysis: "perTest",
  timeoutMS: 3_000,
  concurrency: 1,
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName },
  allowConsoleColors: false
})

const { again, file: named, only, report, wide } = options()
const names = named.split(",").filter((name) => name !== "")
const chosen = only.split(",").map((name) => {
  const group = groups[name] ?? fail(`--only ${name}: groups are ${Object.keys(groups).join(", ")}.`)
  return {
    name,
    ...group,
    files: group.files.filter((file) => names.length === 0 || names.includes(basename(file, ".ts")))
  }
})

if (!report) {
  install()
  const folder = copied()
  mkdirSync(reports, { recursive: true })
  for (const { files, tests } of chosen) {
    const mutate = files.flatMap((file) => again ? Report.missedIn(reports, file, root) : [`src/${file}`])
    if (mutate.length === 0) continue
    const fresh = join(folder, "mutation.json")
    writeFileSync(join(folder, "vitest.mutation.config.ts"), vitestConfig(wide ? all : tests))
    writeFileSync(join(folder, "stryker.json"), JSON.stringify(strykerConfig(mutate, fresh)))
    const stryker = join(here, "node_modules/@stryker-mutator/core/bin/stryker.js")
    run(process.execPath, [stryker, "run", "stryker.json"], folder)
    Report.keep(reports, fresh)
  }
}

const table: Array<string> = []
for (const { files, name } of chosen) {
  let total: Report.Score = { noticed: 0, all: 0, unloaded: 0 }
  for (const file of files) {
    const found = Report.read(reports, file)
    if (found === undefined) {
      console.log(`\n${file} has not been measured`)
      continue
    }
    const lines = Report.survivors(found)
    console.log(`\nsrc/${file}: ${lines.length === 0 ? "every change is noticed" : "not noticed"}`)
    for (const line of lines) console.log(line)
    const score = Report.score(found.mutants)
    table.push(Report.row(`\`${file}\``, score))
    total = Report.sum(total, score)
  }
  table.push(Report.row(`**${name}**`, total))
}
console.log(
  `\n| file | mutants | noticed | not noticed | do not load | score |\n|---|--:|--:|--:|--:|--:|\n${table.join("\n")}`
)
console.log(`\nreports: ${relative(process.cwd(), reports)}`)
