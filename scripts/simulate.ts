/**
 * `npm run simulate -- --seeds 100000`: random runs, as many as asked for, and as many of them stopped anywhere and continued.
 * `--first 17 --seeds 1` runs one seed again.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { root } from "./root.ts"

const fail = (sentence: string): never => {
  console.error(sentence)
  process.exit(1)
}

const options = () => {
  try {
    return parseArgs({
      options: { seeds: { type: "string", default: "1000" }, first: { type: "string", default: "1" } }
    }).values
  } catch (error) {
    return fail(`${(error as Error).message}. Options are --seeds N and --first N.`)
  }
}

const count = (name: string, text: string): number =>
  /^[1-9]\d{0,8}$/.test(text)
    ? Number(text)
    : fail(`--${name} is ${JSON.stringify(text)}, allowed is a whole number of at least 1.`)

const { first: from, seeds: number } = options()
const first = count("first", from)
const range = `${first}-${first + count("seeds", number) - 1}`

const began = performance.now()
const { status } = spawnSync(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "test/simulation/simulation.test.ts",
    "test/stopAnywhere.test.ts",
    "-t",
    "of seeds"
  ],
  { cwd: root, stdio: "inherit", env: { ...process.env, SIMULATION_SEEDS: range, STOP_SEEDS: range } }
)
const seconds = Math.round((performance.now() - began) / 1000)
console.log(
  `seeds ${range} of random runs, and of runs stopped anywhere: ${status === 0 ? "green" : "RED"}, in ${seconds} s`
)
process.exit(status ?? 1)
