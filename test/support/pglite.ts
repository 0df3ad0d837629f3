/**
 * PostgreSQL in this process (PGlite), spoken to by the protocol of PostgreSQL.
 */
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { Effect, Layer } from "effect"
import { Duplex } from "node:stream"

const streamTo = (db: PGlite) => (): Duplex => {
  let last: Promise<void> = Promise.resolve()
  const duplex: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      last = last.then(async () => {
        const answer = await db.execProtocolRaw(new Uint8Array(chunk))
        if (answer.length > 0) duplex.push(Buffer.from(answer))
        done()
      }).catch(done)
    }
  })
  return duplex
}

/** A database in memory, with the one session that it can have. */
export const layer = Layer.unwrap(Effect.gen(function*() {
  const db = yield* Effect.acquireRelease(
    Effect.promise(() => PGlite.create()),
    (db) => Effect.promise(() => db.close())
  )
  return PgClient.layer({ stream: streamTo(db), username: "postgres", database: "postgres", maxConnections: 1 })
}))
