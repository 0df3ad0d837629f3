/**
 * The tables. Once released, a migration is never changed: a change is another one.
 */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"

const loader = Migrator.fromRecord({
  "0001_checkpoints": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      CREATE TABLE stategraph_threads (
        thread_key TEXT PRIMARY KEY NOT NULL,
        thread TEXT NOT NULL,
        last_sequence INTEGER NOT NULL,
        token TEXT,
        expires_at BIGINT
      )`
    yield* sql`
      CREATE TABLE stategraph_checkpoints (
        thread_key TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE,
        run_id TEXT NOT NULL,
        graph TEXT NOT NULL,
        status TEXT NOT NULL,
        parent TEXT,
        saved_at BIGINT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (thread_key, sequence)
      )`
  })
})

export const migrate = Migrator.make({})({ loader, table: "stategraph_migrations" })
