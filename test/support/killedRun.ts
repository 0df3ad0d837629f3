/**
 * A run of 50 flows in a process of its own, made to be killed: begins or continues its thread, and notes in a file every node
 * that it runs. Arguments: the store (`file` or `sqlite`), a folder, a thread.
 */
import { Effect, Layer, Schema } from "effect"
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { Checkpointer, RunState, StateGraph } from "../../src/index.ts"
import * as CheckpointerFile from "../../src/node/CheckpointerFile.ts"
import * as CheckpointerSql from "../../src/sql/CheckpointerSql.ts"
import * as Sqlite from "./sqlite.ts"

export type StoreKind = "file" | "sqlite"

export const storeIn = (kind: StoreKind, folder: string): Layer.Layer<Checkpointer.Checkpointer, unknown> =>
  kind === "file"
    ? CheckpointerFile.layer(join(folder, "checkpoints"))
    : CheckpointerSql.layer.pipe(Layer.provide(Sqlite.layer({ filename: join(folder, "checkpoints.db") })))

const State = Schema.Struct({ sum: Schema.Number, visited: Schema.Array(Schema.String) })

export const flows = 50

/** What a run comes to, however often it was killed. */
export const finalState = {
  sum: flows * 3 + 1,
  visited: ["first", ...Array.from({ length: flows }, (_, i) => [`f${i}/a`, `f${i}/b`, `f${i}/c`]).flat(), "last"]
}

export const graphOf = (note: (key: string) => void) => {
  const node = (name: string) => (state: typeof State.Type, ctx: StateGraph.NodeContext<unknown, never>) =>
    Effect.suspend(() => {
      note(`${ctx.branch ?? ""}|${ctx.node}`)
      // Different in every flow, so that they are never all at the same place.
      const millis = (Number(ctx.branch?.slice(1) ?? 0) * 7 + name.length) % 23
      const visited = ctx.branch === undefined ? [name] : [`${ctx.branch}/${name.slice(-1)}`]
      return Effect.as(Effect.sleep(5 + millis), { sum: state.sum + 1, visited: [...state.visited, ...visited] })
    })
  let graph = StateGraph.make("killed", State).addNode("first" as string, (state, ctx) =>
    Effect.sync(() => {
      note(`|${ctx.node}`)
      return { visited: [...state.visited, "first"] }
    }))
  for (let i = 0; i < flows; i++) {
    for (const name of ["a", "b", "c"]) graph = graph.addNode(`${i}${name}` as string, node(name))
  }
  let joined = graph.addFanInNode("join" as string, (_, ctx) => {
    note(`|${ctx.node}`)
    const states = ctx.parallelResults.flatMap((result) => result.success ? [result.state] : [])
    return {
      sum: states.reduce((sum, state) => sum + state.sum, 0),
      visited: ["first", ...states.flatMap(({ visited }) => visited.slice(1))]
    }
  }).addNode("last" as string, (state, ctx) =>
    Effect.sync(() => {
      note(`|${ctx.node}`)
      return { sum: state.sum + 1, visited: [...state.visited, "last"] }
    }))
  for (let i = 0; i < flows; i++) joined = joined.addParallelEdge("first", `${i}a`, "join", { name: `f${i}` })
  const main = joined.setEntryPoint("first").addEdge("join", "last").setFinishPoint("last")
  const chained = Array.from({ length: flows }, (_, i) => i).reduce(
    (graph, i) => graph.addEdge(`${i}a`, `${i}b` as string).addEdge(`${i}b`, `${i}c` as string),
    main
  )
  return chained.compile()
}

if (import.meta.main) {
  const [kind, folder, thread] = process.argv.slice(2) as [StoreKind, string, string]
  const graph = graphOf((key) => appendFileSync(join(folder, `${thread}.log`), `${key}\n`))
  // A database cannot tell that the process before is gone.
  const takeOver = kind === "sqlite"
  const program = Effect.gen(function*() {
    const store = yield* Checkpointer.Checkpointer
    const latest = yield* store.load(thread)
    process.send?.("begins")
    if (latest._tag === "None") {
      return yield* graph.invoke({ sum: 0, visited: [] }, { thread, takeOver })
    }
    // Killed after its run had ended, and before it could say so.
    if (latest.value.status === "completed") {
      return Schema.decodeUnknownSync(RunState.fromBody)(latest.value.body).main.state
    }
    return yield* graph.resume(thread, { takeOver })
  })
  const state = await Effect.runPromise(Effect.provide(program, storeIn(kind, folder)))
  process.send?.({ state })
  process.disconnect()
}
