/**
 * An order that waits for an approval, over four processes. One is killed in the middle of its work, and nothing is done twice.
 *
 *     node examples/approval/main.ts            the whole story
 *
 *     node examples/approval/main.ts start 7 FOLDER             or each of its steps, by hand
 *     node examples/approval/main.ts resume 7 FOLDER
 *     node examples/approval/main.ts list 7 FOLDER
 *     node examples/approval/main.ts approve 7 FOLDER           (or: refuse)
 */
import { Console, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Checkpointer } from "../../src/index.ts"
import { CheckpointerFile } from "../../src/node/index.ts"
import { graph, thread } from "./order.ts"
import { tell } from "./story.ts"

type Steps = Readonly<Record<string, (order: string) => Effect.Effect<void, unknown, Checkpointer.Checkpointer>>>

/** What came of a run: the order's outcome, or what it waits for. */
const told = <R>(
  run: Effect.Effect<{ readonly outcome?: string; readonly notes: ReadonlyArray<string> }, unknown, R>
) =>
  run.pipe(
    Effect.flatMap(({ notes, outcome }) => Console.log(`  the order is ${outcome}: ${notes.join(", ")}`)),
    Effect.catchIf(
      (error): error is { readonly _tag: "GraphSuspended"; readonly message: string } =>
        (error as { readonly _tag?: unknown })._tag === "GraphSuspended",
      (error) => Console.log(`  ${error.message}`)
    )
  )

const steps: Steps = {
  start: (order) => told(graph.invoke({ item: "a kettle", total: 900, notes: [] }, { thread: thread(order) })),
  resume: (order) => told(graph.resume(thread(order))),
  approve: (order) => told(graph.resume(thread(order), { answers: { approved: true } })),
  refuse: (order) => told(graph.resume(thread(order), { answers: { approved: false } })),
  list: (order) =>
    Effect.gen(function*() {
      const store = yield* Checkpointer.Checkpointer
      const checkpoints = yield* store.list(thread(order))
      const last = checkpoints.at(-1)
      const more = checkpoints.length - 1
      yield* Console.log(
        last === undefined
          ? "  nothing"
          : `  the run, ${last.status}, and ${more > 0 ? "how" : "not how"} it came there`
      )
    })
}

const [name, order = "7", folder] = process.argv.slice(2)
const step = name === undefined ? undefined : steps[name]

if (name === undefined) {
  const temporary = mkdtempSync(join(tmpdir(), "order-"))
  try {
    await tell(temporary)
  } finally {
    rmSync(temporary, { recursive: true })
  }
} else if (step === undefined || folder === undefined) {
  console.error(`use: main.ts [${Object.keys(steps).join(" | ")}] ORDER FOLDER`)
  process.exitCode = 1
} else {
  await Effect.runPromise(Effect.provide(step(order), CheckpointerFile.layer(folder))).catch((error: unknown) => {
    console.error(`  ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  })
}
