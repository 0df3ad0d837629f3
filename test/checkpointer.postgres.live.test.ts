/**
 * Checkpoints in a real PostgreSQL server, with many connections.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option } from "effect"
import type { Checkpointer } from "effect-stategraph"
import { CheckpointerSql } from "effect-stategraph/sql"
import { SqlClient } from "effect/sql"
import { conforms } from "./support/conformance.ts"
import { clientOf, missing, type Server, server } from "./support/postgres.ts"

if (missing !== undefined) console.log(`skipped, the tests with PostgreSQL: ${missing}`)

class Postgres extends Context.Service<Postgres, Server>()("test/Postgres") {
  static readonly layer = Layer.effect(Postgres, server)
  static readonly client = Layer.unwrap(Effect.map(Postgres, (running) => clientOf(running)))
}

const draft = (body: string): Checkpointer.Draft => ({ runId: "run", graph: "order", status: "running", body })

const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index + 1)

describe.skipIf(missing !== undefined)("a store in PostgreSQL", () => {
  describe("conforms", () => {
    conforms(CheckpointerSql.layer.pipe(Layer.provide(Postgres.client), Layer.provide(Postgres.layer)))
  })

  it.layer(Layer.provideMerge(Postgres.client, Postgres.layer), { timeout: 60_000, excludeTestServices: true })(
    (it) => {
      it.effect(
        "is made once by stores that begin at once, each with connections of its own",
        () =>
          Effect.gen(function*() {
            const running = yield* Postgres
            const stores = yield* Effect.forEach(
              upTo(8),
              () => Effect.provide(CheckpointerSql.make(), clientOf(running, 1)),
              {
                concurrency: "unbounded"
              }
            )
            assert.lengthOf(stores, 8)
            const sql = yield* SqlClient.SqlClient
            assert.lengthOf(yield* sql`SELECT * FROM stategraph_migrations`, 1)
          }),
        60_000
      )
      it.effect(
        "gives a thread to one of 50 claims at once, 20 times, and to one of 50 takeovers",
        () =>
          Effect.gen(function*() {
            const store = yield* CheckpointerSql.make()
            for (const round of upTo(20)) {
              const exits = yield* Effect.forEach(upTo(50), () => Effect.exit(store.claim("race")), {
                concurrency: "unbounded"
              })
              const won = exits.filter(Exit.isSuccess)
              assert.lengthOf(won, 1, `round ${round}`)
              yield* store.release(won[0]!.value)
            }
            const claims = yield* Effect.forEach(upTo(50), () => store.claim("race", { takeOver: true }), {
              concurrency: "unbounded"
            })
            const saves = yield* Effect.forEach(claims, (claim) => Effect.exit(store.save(claim, draft("{}"))), {
              concurrency: "unbounded"
            })
            assert.lengthOf(saves.filter(Exit.isSuccess), 1)
          }),
        60_000
      )
      it.effect(
        "lets no save through that begins after a takeover, and loses none before it",
        () =>
          Effect.gen(function*() {
            const store = yield* CheckpointerSql.make()
            let owner = yield* store.claim("handover")
            let acknowledged = 0
            for (const _ of upTo(30)) {
              const former = owner
              const [saves, next] = yield* Effect.all([
                Effect.forEach(upTo(10), () => Effect.exit(store.save(former, draft("{}"))), { concurrency: 3 }),
                store.claim("handover", { takeOver: true })
              ], { concurrency: "unbounded" })
              owner = next
              acknowledged += saves.filter(Exit.isSuccess).length
              assert.strictEqual((yield* Effect.flip(store.save(former, draft("late")))).reason, "Fenced")
            }
            const list = yield* store.list("handover")
            assert.deepStrictEqual(
              list.map(({ sequence }) => sequence),
              upTo(acknowledged)
            )
          }),
        60_000
      )
      it.effect(
        "deletes a thread and claims it at once, and never loses what the claim saves",
        () =>
          Effect.gen(function*() {
            const store = yield* CheckpointerSql.make()
            for (const round of upTo(50)) {
              const thread = `delete ${round}`
              if (round % 2 === 0) {
                const claim = yield* store.claim(thread)
                yield* store.save(claim, draft("old"))
                yield* store.release(claim)
              }
              const [, saved] = yield* Effect.all([
                Effect.exit(store.delete(thread)),
                Effect.flatMap(store.claim(thread), (claim) => store.save(claim, draft("new")))
              ], { concurrency: "unbounded" })
              assert.strictEqual(Option.getOrThrow(yield* store.load(thread)).id, saved.id)
            }
          }),
        60_000
      )
      it.effect("stops a save that is interrupted, in the server too", () =>
        Effect.gen(function*() {
          const running = yield* Postgres
          const store = yield* CheckpointerSql.make()
          const claim = yield* store.claim("slow")
          yield* Effect.gen(function*() {
            const other = yield* SqlClient.SqlClient
            yield* other.withTransaction(Effect.gen(function*() {
              // Whoever wants to write waits.
              yield* other`LOCK TABLE stategraph_checkpoints IN ACCESS EXCLUSIVE MODE`
              assert.isTrue(Option.isNone(yield* Effect.timeoutOption(store.save(claim, draft("1")), "300 millis")))
            }))
          }).pipe(Effect.provide(clientOf(running, 1)))
          assert.deepStrictEqual(yield* store.list("slow"), [])
          assert.strictEqual((yield* store.save(claim, draft("2"))).sequence, 1)
        }), 60_000)
      // The last one: it ends the server.
      it.effect(
        "fails when the server is gone, and has all that was acknowledged when it is there again",
        () =>
          Effect.gen(function*() {
            const running = yield* Postgres
            const store = yield* CheckpointerSql.make()
            const claim = yield* store.claim("crash")
            const saved = yield* Effect.forEach(upTo(20), (n) => store.save(claim, draft(String(n))))
            yield* running.crash
            const error = yield* Effect.flip(store.save(claim, draft("lost")))
            assert.strictEqual(error.reason, "Storage")
            yield* running.start
            yield* Effect.gen(function*() {
              const again = yield* CheckpointerSql.make()
              assert.deepStrictEqual(yield* again.list("crash"), saved)
              assert.strictEqual((yield* again.save(claim, draft("21"))).sequence, 21)
            }).pipe(Effect.provide(clientOf(running)))
          }),
        60_000
      )
    }
  )
})
