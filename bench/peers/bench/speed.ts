/**
 * One measure of speed, in a process of its own: all libraries that have a form for it at the same work, samples interleaved,
 * medians. `node bench/speed.ts fanOut 100` prints microseconds of one run, by library.
 *
 * Without `--expose-gc`: a forced collection before a sample throws away optimised code, and what is measured is its absence.
 */
import { Effect } from "effect"
import { compare, cpuClock } from "../../measure.ts"
import type { Library } from "./subject.ts"
import { sumOf } from "./work.ts"

type Measure = Exclude<keyof Library, "name">

const expected: { readonly [M in Measure]: (size: number) => number } = {
  fanOut: sumOf,
  fanOutNoSpans: sumOf,
  guarded: sumOf,
  chain: (nodes) => nodes + 1,
  circuit: (calls) => calls * 2,
  bare: (calls) => calls * 2,
  leastCircuit: (calls) => calls * 2,
  circuitSync: (calls) => calls * 2
}

const libraries = { ours: 0, handMade: 0, langgraph: 0, mastra: 0, cockatiel: 0, opossum: 0 }

/** A library is loaded only where it takes part: some slow down the whole process. */
const takingPart: { readonly [M in Measure]: ReadonlyArray<keyof typeof libraries> } = {
  fanOut: ["ours", "handMade", "langgraph", "mastra"],
  fanOutNoSpans: ["ours", "handMade", "langgraph"],
  guarded: ["ours", "handMade", "langgraph", "mastra", "cockatiel"],
  chain: ["ours", "handMade", "langgraph", "mastra"],
  circuit: ["ours", "handMade", "cockatiel", "opossum"],
  bare: ["ours", "cockatiel"],
  leastCircuit: ["ours", "cockatiel"],
  circuitSync: ["ours", "handMade", "cockatiel", "opossum"]
}

const load = async (name: keyof typeof libraries): Promise<Library> => (await import(`./${name}.ts`))[name]

const warmUpMs = 1500
const sampleMs = 100

/** Warms the code up, and tells how many runs make a sample long enough. */
const runsFor = async (effect: Effect.Effect<number, unknown>): Promise<number> => {
  let runs = 1
  for (let spentMs = 0;;) {
    const start = cpuClock()
    for (let i = 0; i < runs; i++) await Effect.runPromise(effect)
    const ms = cpuClock() - start
    spentMs += ms
    if (spentMs > warmUpMs) return Math.max(1, Math.round(runs * sampleMs / ms))
    runs *= 2
  }
}

const [measure, size] = [process.argv[2] as Measure, Number(process.argv[3])]
const subjects = []
for (const name of takingPart[measure]) {
  const library = await load(name)
  const effect = library[measure]!(size)
  const result = await Effect.runPromise(effect)
  if (result !== expected[measure](size)) throw new Error(`${library.name} came to ${result}`)
  subjects.push({ name: library.name, effect, runs: await runsFor(effect) })
}
const values = await compare(subjects, subjects.some(({ runs }) => runs === 1) ? 5 : 13, cpuClock)
process.send?.(Object.fromEntries(subjects.map(({ name }, i) => [name, values[i]!])))
console.log(subjects.map(({ name, runs }, i) => `${name} ${values[i]!.toFixed(1)} (${runs})`).join(", "))
process.exit()
