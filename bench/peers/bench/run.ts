/**
 * Beside its peers: `npm run bench:peers`. Every figure is measured in a process of its own; a row's libraries take turns, three
 * times, and figures are medians. `--only text`: the rows whose names hold it. `--write`: the table goes into `docs/benchmarks.md`.
 */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { measuredOn, table, writeSection } from "../report.ts"
import { graceMs, limitMs } from "./constants.ts"
import { bundleSizes, importTimes, ownSize } from "./startup.ts"
import type { Measure } from "./subject.ts"

const libraries = ["effect-stategraph", "hand-made Effect", "LangGraph.js", "Mastra", "cockatiel", "opossum"] as const

type Name = (typeof libraries)[number]
type Values = { readonly [N in Name]?: number | undefined }

interface Target {
  readonly text: string
  readonly met: (values: { readonly [N in Name]: number }) => boolean
}

interface Row {
  readonly what: string
  readonly unit: string
  readonly measure: () => Promise<Values>
  readonly target?: Target
}

const inProcess = <A>(
  file: string,
  args: ReadonlyArray<string | number>,
  execArgv: ReadonlyArray<string> = []
): Promise<A> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), args.map(String), {
      execArgv: [...execArgv],
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    let answer: { readonly value: A } | undefined
    child.on("message", (value) => {
      answer = { value: value as A }
    })
    child.on("exit", (code) =>
      answer === undefined ? reject(new Error(`${file} ${args.join(" ")} ended with ${code}`)) : resolve(answer.value))
  })

const wait = (kind: string) => () => inProcess<Values>("waits.ts", [kind])

/** The medians of three processes for each library, one library after the other. */
const inTurns = async (of: ReadonlyArray<Name>, measure: (name: Name) => Promise<number>): Promise<Values> => {
  const taken: Record<string, Array<number>> = {}
  for (let i = 0; i < 3; i++) {
    for (const name of of) (taken[name] ??= []).push(await measure(name))
  }
  return Object.fromEntries(Object.entries(taken).map(([name, values]) => [name, values.sort((a, b) => a - b)[1]!]))
}

/** As many as a library can be asked for in reasonable time. */
const holds: { readonly [N in Name]: readonly [key: string, flows: number] } = {
  "effect-stategraph": ["ours", 100_000],
  "hand-made Effect": ["handMade", 100_000],
  "LangGraph.js": ["langgraph", 1000],
  Mastra: ["mastra", 1000],
  cockatiel: ["cockatiel", 100_000],
  opossum: ["opossum", 100_000]
}

const memory = (of: ReadonlyArray<Name>, ...spans: ReadonlyArray<"spans">) => () =>
  inTurns(of, (name) => inProcess<number>("hold.ts", [...holds[name], ...spans], ["--expose-gc"]))

const takingPart: { readonly [M in Measure]: ReadonlyArray<Name> } = {
  fanOut: ["effect-stategraph", "hand-made Effect", "LangGraph.js", "Mastra"],
  fanOutNoSpans: ["effect-stategraph", "hand-made Effect", "LangGraph.js"],
  guarded: ["effect-stategraph", "hand-made Effect", "LangGraph.js", "Mastra", "cockatiel"],
  chain: ["effect-stategraph", "hand-made Effect", "LangGraph.js", "Mastra"],
  circuit: ["effect-stategraph", "hand-made Effect", "cockatiel", "opossum"],
  bare: ["effect-stategraph", "cockatiel"],
  leastCircuit: ["effect-stategraph", "cockatiel"],
  circuitSync: ["effect-stategraph", "hand-made Effect", "cockatiel", "opossum"]
}

const speed = (measure: Measure, size: number, per = 1) => () =>
  inTurns(
    takingPart[measure],
    async (name) => await inProcess<number>("speed.ts", [measure, size, holds[name][0]]) / per
  )

const faster = (times: number): Target => ({
  text: `${times} times LangGraph.js`,
  met: (values) => values["LangGraph.js"] / values["effect-stategraph"] >= times
})

const notSlower: Target = {
  text: "not slower than hand-made",
  met: (values) => values["effect-stategraph"] <= values["hand-made Effect"]
}

const twiceCockatiel: Target = {
  text: "2 times cockatiel",
  met: (values) => values["effect-stategraph"] <= values.cockatiel * 2
}

const noMoreThanHandMade: Target = {
  text: "1.25 times hand-made",
  met: (values) => values["effect-stategraph"] <= values["hand-made Effect"] * 1.25
}

const atMost = (limit: number): Target => ({
  text: `at most ${limit}`,
  met: (values) => values["effect-stategraph"] <= limit
})

const all: ReadonlyArray<Row> = [
  { what: "fan-out of 10", unit: "µs", measure: speed("fanOut", 10) },
  { what: "fan-out of 100", unit: "µs", measure: speed("fanOut", 100) },
  { what: "fan-out of 1000", unit: "µs", measure: speed("fanOut", 1000), target: faster(50) },
  { what: "fan-out of 1000, no spans", unit: "µs", measure: speed("fanOutNoSpans", 1000), target: faster(50) },
  { what: "guarded fan-out of 100", unit: "µs", measure: speed("guarded", 100), target: notSlower },
  { what: "guarded fan-out of 1000", unit: "µs", measure: speed("guarded", 1000), target: notSlower },
  { what: "chain of 100", unit: "µs", measure: speed("chain", 100), target: faster(50) },
  {
    what: "call through a circuit",
    unit: "µs",
    measure: speed("circuit", 1000, 1000),
    target: twiceCockatiel
  },
  { what: "the same call, bare Effect and bare await", unit: "µs", measure: speed("bare", 1000, 1000) },
  {
    what: "an Effect.onExit that does nothing, cockatiel's circuit",
    unit: "µs",
    measure: speed("leastCircuit", 1000, 1000)
  },
  {
    what: "call through a circuit, work that does not wait",
    unit: "µs",
    measure: speed("circuitSync", 1000, 1000),
    target: twiceCockatiel
  },
  { what: `late after a limit of ${limitMs} ms`, unit: "ms", measure: wait("stops"), target: atMost(5) },
  {
    what: "late after that limit, work that does not stop",
    unit: "ms",
    measure: wait("refuses"),
    target: atMost(graceMs + 5)
  },
  { what: "late after a failure that ends the run", unit: "ms", measure: wait("failFast") },
  {
    what: "memory of a waiting flow, no spans",
    unit: "bytes",
    measure: memory(libraries),
    target: noMoreThanHandMade
  },
  {
    what: "memory of a waiting flow, with spans",
    unit: "bytes",
    measure: memory(["effect-stategraph", "hand-made Effect"], "spans"),
    target: noMoreThanHandMade
  },
  { what: "import", unit: "ms", measure: importTimes },
  { what: "program, bundled", unit: "kB", measure: bundleSizes },
  {
    what: "program, bundled, without effect",
    unit: "kB",
    measure: async () => ({ "effect-stategraph": await ownSize() })
  }
]

const figure = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(value < 10 ? 2 : 3)

const cell = (name: Name, values: Values): string => {
  const value = values[name]
  const own = values["effect-stategraph"]
  if (value === undefined || own === undefined) return "-"
  if (name === "effect-stategraph") return figure(value)
  const ratio = value / own
  return `${figure(value)} (${ratio >= 10 ? Math.round(ratio) : ratio.toPrecision(2)}x)`
}

const index = process.argv.indexOf("--only")
const rows = index < 0 ? all : all.filter(({ what }) => what.includes(process.argv[index + 1] ?? ""))
const widths = [48, 6, ...libraries.map((name) => Math.max(name.length, 17))]
const line = (cells: ReadonlyArray<string>) =>
  console.log(cells.map((text, i) => text.padEnd(widths[i] ?? 0)).join(" ").trimEnd())

const start = performance.now()
line(["", "unit", ...libraries, "target"])
const printed: Array<ReadonlyArray<string>> = []
const measured: Array<{ readonly what: string; readonly values: Values }> = []
let missed = 0
for (const { measure, target, unit, what } of rows) {
  const values = await measure()
  const met = target?.met(values as { readonly [N in Name]: number })
  if (met === false) missed++
  const cells = [
    what,
    unit,
    ...libraries.map((name) => cell(name, values)),
    target === undefined ? "" : `${target.text}: ${met ? "met" : "MISSED"}`
  ]
  printed.push(cells)
  measured.push({ what, values })
  line(cells)
}
console.log(
  `\n${missed === 0 ? "all targets met" : `${missed} targets MISSED`}; in brackets: how many times ours. ${
    Math.round((performance.now() - start) / 1000)
  } s`
)
if (process.argv.includes("--write")) {
  const ahead = measured.flatMap(({ values, what }) =>
    libraries.flatMap((name) => {
      const times = values["effect-stategraph"]! / (values[name] ?? Infinity)
      return times > 1.05 ? [`- ${what}: ${name}, ${times >= 10 ? Math.round(times) : times.toPrecision(2)} times`] : []
    })
  )
  writeSection(
    "bench",
    [
      measuredOn(),
      table(["", "unit", ...libraries, "target"], printed),
      "Where somebody is ahead of effect-stategraph:",
      ahead.join("\n")
    ].join("\n\n")
  )
}
