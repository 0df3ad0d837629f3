/**
 * One measure of speed of one library, in a process of its own: what another one leaves to the collector, or has taught the
 * compiler, is not to be paid for by this one. `node bench/speed.ts fanOut 100 ours` prints the microseconds of a run, a median.
 *
 * Without `--expose-gc`: a forced collection before a sample throws away optimised code, and what is measured is its absence.
 */
import { Effect } from "effect"
import { compare, cpuClock } from "../../measure.ts"
import type { Library, Measure } from "./subject.ts"
import { sumOf } from "./work.ts"

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

const load = async (name: string): Promise<Library> => (await import(`./${name}.ts`))[name]

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

const [measure, size, name] = [process.argv[2] as Measure, Number(process.argv[3]), process.argv[4]!]
const effect = (await load(name))[measure]!(size)
const result = await Effect.runPromise(effect)
if (result !== expected[measure](size)) throw new Error(`${name} came to ${result}`)
const runs = await runsFor(effect)
const [micros] = await compare([{ name, effect, runs }], runs === 1 ? 5 : 13, cpuClock)
process.send?.(micros!)
console.log(`${name} ${micros!.toFixed(1)} (${runs})`)
process.exit()
