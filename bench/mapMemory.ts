/**
 * What a map of very many items holds in memory beside its input and its results, 100 items at a time: live bytes after a
 * collection, when all items but the last ones have settled.
 */
import { Effect, Schema } from "effect"
import { type ParallelFlowResult, StateGraph } from "../src/index.ts"

const State = Schema.Struct({ n: Schema.Number })

const live = (): number => {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

/** Bytes beside input and results, near the end of the map; and of the results alone. */
const mapOf = async (count: number): Promise<{ readonly beside: number; readonly results: number }> => {
  let results: ReadonlyArray<ParallelFlowResult.Any> = []
  let near = 0
  const items = Array.from({ length: count }, (_, i) => i)
  const graph = StateGraph.make("map", State)
    .addNode("each", (_, { item }) =>
      Effect.map(Effect.yieldNow, () => {
        if (item === count - 50) near = live()
        return { n: item }
      }), { item: Schema.Number })
    .addFanInNode("join", (_, { parallelResults }) => {
      results = parallelResults
      return {}
    })
    .addParallelMap(StateGraph.START, "each", "join", { items: () => items, concurrency: 100 })
    .setFinishPoint("join")
    .compile()
  const before = live()
  await Effect.runPromise(Effect.withTracerEnabled(graph.invoke({ n: 0 }), false))
  const after = live()
  if (results.length !== count || items.length !== count) throw new Error("the map lost an item")
  return { beside: near - after, results: after - before }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`

/** Prints the table; whether its target is met. */
export const mapMemory = async (): Promise<boolean> => {
  console.log("\nMemory of a map, 100 items at a time: what it holds beside its input and its results, near its end")
  for (let i = 0; i < 3; i++) await mapOf(1000)
  const taken = new Map<number, number>()
  for (const count of [1000, 10_000, 100_000]) {
    const { beside, results } = await mapOf(count)
    taken.set(count, beside)
    console.log(`  ${count} items: ${megabytes(beside)}, its results ${megabytes(results)}`)
  }
  // Whatever is kept of each item would show: the cell of a flow that runs takes hundreds of bytes.
  const each = (taken.get(100_000)! - taken.get(10_000)!) / 90_000
  const isConstant = each <= 16
  console.log(
    `  for each further item from 10,000 to 100,000: ${each.toFixed(1)} bytes   <= 16  ${isConstant ? "met" : "MISSED"}`
  )
  return isConstant
}

if (import.meta.main) await mapMemory()
