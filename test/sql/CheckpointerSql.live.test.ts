/**
 * Processes that want the same thread of one SQLite database, and processes that are killed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Checkpointer } from "effect-stategraph"
import { CheckpointerSql } from "effect-stategraph/sql"
import { join } from "node:path"
import { claimant, claimants, count, race, releaseAll } from "../support/claimants.ts"
import { temporaryFolder } from "../support/folder.ts"
import * as Sqlite from "../support/sqlite.ts"

const storeIn = (folder: string): Layer.Layer<Checkpointer.Checkpointer, unknown> =>
  Layer.provide(CheckpointerSql.layer, Sqlite.layer({ filename: join(folder, "checkpoints.db") }))

const inFolder = (use: (store: Checkpointer.Service, folder: string) => Effect.Effect<void>) => () =>
  Effect.scoped(
    Effect.flatMap(temporaryFolder, (folder) =>
      Effect.provide(
        Effect.flatMap(Checkpointer.Checkpointer, (store) => use(store, folder)),
        storeIn(folder)
      ))
  )

describe("10 processes with one SQLite database", () => {
  it.live(
    "migrate it at once; of their claims at once one wins, 30 times, and nobody has a thread beside another",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const all = yield* claimants(10, folder, "sqlite")
        for (let round = 0; round < 30; round++) {
          assert.deepStrictEqual(count(yield* race(all, "a")), { won: 1, Claimed: 9 }, `round ${round}`)
          yield* releaseAll(all)
        }
        const until = Date.now() + 2000
        for (const one of all) one.order({ _tag: "Compete", thread: "a", until })
        const results = yield* Effect.promise(() => Promise.all(all.map((one) => one.next("Competed"))))
        assert.deepStrictEqual(results.flatMap(({ others }) => others), [])
        assert.isAbove(results.reduce((sum, { wins }) => sum + wins, 0), 10)
      })),
    120_000
  )
})

describe("a process that is killed while it saves into SQLite", () => {
  it.live(
    "10 times: what it has acknowledged is there, and all that is there is whole",
    inFolder((store, folder) =>
      Effect.gen(function*() {
        const saved = new Map<string, string>()
        for (let round = 0; round < 10; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const one = yield* claimant(folder, "sqlite")
            yield* Effect.promise(() => one.next("Ready"))
            one.order({ _tag: "Save", thread: "a" })
            for (let n = 0; n <= round; n++) {
              const { body, id } = yield* Effect.promise(() => one.next("Saved"))
              saved.set(id, body)
            }
            yield* Effect.sleep(Math.random() * 10)
            yield* Effect.promise(() => one.kill())
            for (const answer of one.answers) if (answer._tag === "Saved") saved.set(answer.id, answer.body)
          }))
          assert.strictEqual((yield* Effect.flip(store.claim("a"))).reason, "Claimed")
          yield* Effect.flatMap(store.claim("a", { takeOver: true }), store.release)
          const infos = yield* store.list("a")
          assert.deepStrictEqual(infos.map(({ sequence }) => sequence), infos.map((_, index) => index + 1))
          const bodies = new Map<string, string>()
          for (const { id } of infos) bodies.set(id, Option.getOrThrow(yield* store.load("a", id)).body)
          for (const [id, body] of saved) assert.strictEqual(bodies.get(id), body)
          assert.isAtMost(bodies.size - saved.size, round + 1)
        }
      }).pipe(Effect.orDie)
    ),
    120_000
  )
})
