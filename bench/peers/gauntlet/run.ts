/**
 * The same faults for everybody: `npm run gauntlet`. Each scenario runs against each peer that has what it is about; it passes
 * when what was observed is what its name says.
 *
 * `--only text`: the scenarios whose names hold it. `--prove`: that every scenario can be failed, by one that does
 * everything wrong. `--write`: the table goes into `docs/benchmarks.md`.
 */
import { measuredOn, table, writeSection } from "../report.ts"
import { type Scenario, sleep } from "./check.ts"
import type { Peer } from "./peer.ts"
import { careless } from "./peers/careless.ts"
import { cockatiel } from "./peers/cockatiel.ts"
import { handMade } from "./peers/handMade.ts"
import { langgraph } from "./peers/langgraph.ts"
import { mastra } from "./peers/mastra.ts"
import { opossum } from "./peers/opossum.ts"
import { ours } from "./peers/ours.ts"
import { circuits } from "./scenarios/circuits.ts"
import { flows, maps } from "./scenarios/flows.ts"
import { graphs, listeners } from "./scenarios/graphs.ts"
import { limits } from "./scenarios/limits.ts"
import { retries } from "./scenarios/retries.ts"
import { settled } from "./work.ts"

const has = (flag: string): boolean => process.argv.includes(flag)
const only = has("--only") ? process.argv[process.argv.indexOf("--only") + 1] ?? "" : ""

const real: ReadonlyArray<Peer> = [ours, handMade, langgraph, mastra, cockatiel, opossum]
const peers = has("--prove") ? [careless] : real
const scenarios: ReadonlyArray<Scenario> = [
  ...limits,
  ...retries,
  ...circuits,
  ...flows,
  ...maps,
  ...graphs,
  ...listeners
]
  .filter(({ name }) => name.includes(only))

/** What would have ended the process. */
let fatal: Array<unknown> = []
process.on("unhandledRejection", (error) => fatal.push(error))
process.on("uncaughtException", (error) => fatal.push(error))

// Peers tell of the faults on the console.
const print = (text: string): void => void process.stdout.write(`${text}\n`)
for (const method of ["log", "info", "warn", "error", "debug"] as const) console[method] = () => {}

interface Verdict {
  readonly mark: "passes" | "FAILS" | "-"
  readonly why: string
}

const judge = async ({ needs, run }: Scenario, peer: Peer): Promise<Verdict> => {
  const lacking = needs.find((feature) => peer.lacks[feature] !== undefined)
  if (lacking !== undefined) return { mark: "-", why: peer.lacks[lacking]! }
  fatal = []
  let why: string | undefined
  try {
    await run(peer)
  } catch (error) {
    why = (error as Error).message
  }
  await settled(1000)
  await sleep(5)
  // An unhandled rejection ends a process of Node.
  if (why === undefined && fatal.length > 0) why = `unhandled: ${String(fatal[0])}`
  return why === undefined ? { mark: "passes", why: "" } : { mark: "FAILS", why }
}

const width = Math.max(...scenarios.map(({ name }) => name.length))
const line = (name: string, cells: ReadonlyArray<string>) =>
  print(`${name.padEnd(width)}  ${cells.map((cell) => cell.padEnd(17)).join(" ").trimEnd()}`)

line("", peers.map(({ name }) => name))
const rows: Array<ReadonlyArray<Verdict>> = []
for (const scenario of scenarios) {
  const row: Array<Verdict> = []
  for (const peer of peers) row.push(await judge(scenario, peer))
  rows.push(row)
  line(scenario.name, row.map(({ mark }) => mark))
}

const marks = (peer: number, mark: Verdict["mark"]) => rows.filter((row) => row[peer]!.mark === mark).length
const totals = peers.map((_, i) => `${marks(i, "passes")} of ${rows.length - marks(i, "-")}`)
line("passes, of what it has", totals)

const failed = peers.map((_, i) =>
  rows.flatMap((row, at) => row[i]!.mark === "FAILS" ? [[scenarios[at]!.name, row[i]!.why]] : [])
)
for (const [i, { name }] of peers.entries()) {
  if (failed[i]!.length > 0) {
    print(`\n${name} fails\n${failed[i]!.map(([name, why]) => `  ${name}: ${why}`).join("\n")}`)
  }
}

if (has("--write")) {
  const cells = { passes: "yes", FAILS: "**no**", "-": "-" }
  const short = ({ name }: Peer) => name
  const text = [
    measuredOn(),
    table(["", ...peers.map(short)], [
      ...scenarios.map(({ name }, at) => [name, ...rows[at]!.map(({ mark }) => cells[mark])]),
      ["**passes, of what it has**", ...totals.map((total) => `**${total}**`)]
    ]),
    "What failed, and what was seen instead:",
    table(
      ["peer", "scenario", "seen"],
      peers.flatMap(({ name }, i) => failed[i]!.map(([what, why]) => [name, what!, why!.replaceAll("|", "\\|")]))
    )
  ]
  writeSection("gauntlet", text.join("\n\n"))
}

if (has("--prove")) {
  const unproven = scenarios.filter((_, at) => rows[at]![0]!.mark !== "FAILS").map(({ name }) => name)
  print(unproven.length === 0 ? "\nevery scenario can be failed" : `\nnot failed: ${unproven.join("; ")}`)
  process.exit(unproven.length === 0 ? 0 : 1)
}
// A failure of ours is one of this command; hanging work would keep the process alive.
process.exit(failed[0]!.length === 0 ? 0 : 1)
