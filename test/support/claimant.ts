/**
 * A process that works with a store, as it is told to: `node claimant.ts <folder> files` or `sqlite`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Result from "effect/Result"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Checkpointer from "../../src/Checkpointer.ts"
import * as CheckpointerFile from "../../src/node/CheckpointerFile.ts"
import * as CheckpointerSql from "../../src/sql/CheckpointerSql.ts"
import * as Sqlite from "./sqlite.ts"

export type StoreKind = "files" | "sqlite"

export type Order =
  /** Claims the thread at that time of the clock. */
  | { readonly _tag: "Claim"; readonly thread: string; readonly at: number }
  /** Gives back what it has claimed. */
  | { readonly _tag: "Release" }
  /** Claims the thread and releases it, again and again, and sees that nobody else has it meanwhile. */
  | { readonly _tag: "Compete"; readonly thread: string; readonly until: number }
  /** Claims the thread, and saves for ever, telling each. */
  | { readonly _tag: "Save"; readonly thread: string }

export type Answer =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Claimed"; readonly outcome: string }
  | { readonly _tag: "Released" }
  | { readonly _tag: "Competed"; readonly wins: number; readonly others: ReadonlyArray<string> }
  | { readonly _tag: "Saved"; readonly id: string; readonly body: string }

const [folder = "", kind] = process.argv.slice(2)
const runtime = ManagedRuntime.make(
  kind === "sqlite"
    ? Layer.provide(CheckpointerSql.layer, Sqlite.layer({ filename: join(folder, "checkpoints.db") }))
    : CheckpointerFile.layer(folder)
)
const store = await runtime.runPromise(Checkpointer.Checkpointer)
const held: Array<Checkpointer.Claim> = []

const say = (answer: Answer): boolean => process.send?.(answer) ?? false

const claim = (thread: string) =>
  Effect.map(Effect.result(store.claim(thread)), (result) => {
    if (Result.isFailure(result)) return result.failure.reason
    held.push(result.success)
    return "won"
  })

const release = Effect.suspend(() => Effect.forEach(held.splice(0), store.release))

const waitUntil = (at: number): void => {
  while (Date.now() < at);
}

/** Marks the thread as in use; `false` when somebody who is not about to be killed has marked it. */
const mark = (): boolean => {
  const file = join(folder, "in-use")
  try {
    writeFileSync(file, String(process.pid), { flag: "wx" })
    return true
  } catch {
    if (!existsSync(join(folder, `victim-${readFileSync(file, "utf8")}`))) return false
    writeFileSync(file, String(process.pid))
    return true
  }
}

const compete = Effect.fnUntraced(function*(thread: string, until: number) {
  const others: Array<string> = []
  let wins = 0
  while (Date.now() < until) {
    const outcome = yield* claim(thread)
    if (outcome !== "won") {
      if (outcome !== "Claimed") others.push(outcome)
      continue
    }
    wins++
    if (!mark()) others.push("somebody else has it too")
    yield* Effect.sleep(1)
    rmSync(join(folder, "in-use"), { force: true })
    yield* release
  }
  return { wins, others }
})

const save = Effect.fnUntraced(function*(thread: string) {
  const claim = yield* store.claim(thread)
  for (let n = 1;; n++) {
    const body = JSON.stringify({ n, text: "x".repeat((n * 7919) % 20_000) })
    const { id } = yield* store.save(claim, { runId: "run", graph: "order", status: "running", body })
    say({ _tag: "Saved", id, body })
  }
})

const obey = (order: Order): Effect.Effect<unknown, unknown> => {
  switch (order._tag) {
    case "Claim":
      return Effect.suspend(() => {
        waitUntil(order.at)
        return Effect.map(claim(order.thread), (outcome) => say({ _tag: "Claimed", outcome }))
      })
    case "Release":
      return Effect.map(release, () => say({ _tag: "Released" }))
    case "Compete":
      return Effect.map(compete(order.thread, order.until), (result) => say({ _tag: "Competed", ...result }))
    case "Save":
      return save(order.thread)
  }
}

process.on("message", (order: Order) => void runtime.runPromise(obey(order)))
process.on("disconnect", () => process.exit())
say({ _tag: "Ready" })
