/**
 * What it costs to save a run after every step, per node, beside the same run that is not saved; and how many bytes that writes.
 */
import { Effect, Layer, Schema } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Checkpointer, StateGraph } from "../src/index.ts"
import * as CheckpointerFile from "../src/node/CheckpointerFile.ts"
import * as CheckpointerSql from "../src/sql/CheckpointerSql.ts"
import * as Sqlite from "../test/support/sqlite.ts"
import { compare, print, type Row } from "./measure.ts"

const State = Schema.Struct({ n: Schema.Number })
const steps = 5
const body = ({ n }: typeof State.Type) => Effect.as(Effect.yieldNow, { n: n + 1 })

/** So many flows of five nodes each, all of them at work at the same time. */
const fanOut = (flows: number) => {
  let graph = StateGraph.make("saved", State).addNode("start" as string)
  for (let i = 0; i < flows; i++) for (let j = 0; j < steps; j++) graph = graph.addNode(`${i}-${j}` as string, body)
  let joined = graph.addFanInNode("join" as string, () => ({})).addEdge("start" as never, "join" as never)
  for (let i = 0; i < flows; i++) {
    joined = joined.addParallelEdge("start", `${i}-0`, "join")
    for (let j = 1; j < steps; j++) joined = joined.addEdge(`${i}-${j - 1}`, `${i}-${j}` as never)
  }
  return joined.setEntryPoint("start").setFinishPoint("join").compile()
}

interface Written {
  saves: number
  bytes: number
}

/** Counts what is written, and keeps no old checkpoints: the next run begins on a thread of its own. */
const counting = (store: Checkpointer.Service, written: Written): Checkpointer.Service => ({
  ...store,
  save: (claim, draft) => {
    written.saves++
    written.bytes += draft.body.length
    return store.save(claim, draft)
  }
})

/** Prints the table; whether its targets are met. */
export const durability = async (): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-"))
  const layers = {
    memory: Checkpointer.Checkpointer.layerMemory,
    files: CheckpointerFile.layer(join(folder, "files"), { keep: 1 }),
    SQLite: CheckpointerSql.layerWith({ keep: 1 }).pipe(
      Layer.provide(Sqlite.layer({ filename: join(folder, "checkpoints.db") }))
    )
  }
  const results: Array<boolean> = []
  const perFlow = new Map<number, number>()
  try {
    const rows: Array<Row> = []
    for (const [name, layer] of Object.entries(layers)) {
      for (const flows of [1, 50, 1000]) {
        const graph = fanOut(flows)
        const runs = Math.max(1, Math.round(100 / flows))
        const written: Written = { saves: 0, bytes: 0 }
        let threads = 0
        const [free, saved] = await Effect.runPromise(
          Effect.gen(function*() {
            const store = counting(yield* Checkpointer.Checkpointer, written)
            const once = Effect.suspend(() => {
              const thread = `${name}-${flows}-${++threads}`
              return Effect.andThen(graph.invoke({ n: 0 }, { thread }), store.delete(thread))
            })
            const effect = Effect.provideService(once, Checkpointer.Checkpointer, store)
            return yield* Effect.promise(() =>
              compare([{ name: "free", effect: graph.invoke({ n: 0 }), runs }, { name: "saved", effect, runs }], 5)
            )
          }).pipe(Effect.provide(layer))
        )
        const nodes = flows * steps + 2
        perFlow.set(flows, written.bytes / threads / flows)
        rows.push({
          what: `${name}, ${flows} open flows: ${Math.round(written.saves / threads)} saves, ` +
            `${Math.round(written.bytes / threads / nodes)} bytes a node`,
          per: "per node",
          ours: saved! / nodes,
          theirs: free! / nodes
        })
      }
    }
    results.push(print(`Saved after every step, against not saved`, rows))
    console.log(
      `  bytes a flow: ${[...perFlow].map(([flows, bytes]) => `${Math.round(bytes)} at ${flows}`).join(", ")}`
    )
    const growth = perFlow.get(1000)! / perFlow.get(50)!
    const isLinear = growth <= 1.5
    console.log(
      `  at 1000 flows ${growth.toFixed(2)} times those at 50   <= 1.5  ${
        isLinear ? "met" : "MISSED"
      } (saves are shared)`
    )
    results.push(isLinear)

    const graph = fanOut(50)
    const store = await Effect.runPromise(Effect.provide(Effect.service(Checkpointer.Checkpointer), layers.memory))
    const plain = graph.invoke({ n: 0 })
    const [without, beside] = await compare([
      { name: "no store", effect: plain, runs: 40 },
      { name: "a store, no thread", effect: Effect.provideService(plain, Checkpointer.Checkpointer, store), runs: 40 }
    ])
    results.push(print("Without a thread, a store beside it, against none", [
      { what: "fan-out of 50", per: "per run", ours: beside!, theirs: without!, target: 1.1 }
    ]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return results.every(Boolean)
}

if (import.meta.main) await durability()
