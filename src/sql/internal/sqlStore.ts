/**
 * Threads as rows, each with its claim. Everything is one statement or one transaction.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { type Dialect, toColumn } from "./dialect.ts"

export interface SqlStore {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly leaseMs: number
  readonly keep: number
}

// Ids and tokens are made by the database; others are none, and not every database can be asked about them.
export const isMade = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)

export const inTransaction =
  ({ dialect, sql }: SqlStore) => <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
    Effect.provideService(sql.withTransaction(self), SqlClient.BeginTransaction, dialect.begin)

/** When a lease that begins now is over. */
export const expiry = ({ dialect, leaseMs, sql }: SqlStore) => sql`${dialect.now} + CAST(${leaseMs} AS bigint)`

export const isOwner = ({ dialect, sql }: SqlStore, thread: string, token: string) =>
  sql`thread_key = ${dialect.key(thread)} AND token = ${token}`

/** The token; `undefined` when somebody else has the thread. */
export const claim = (
  store: SqlStore,
  thread: string,
  takeOver: boolean
): Effect.Effect<string | undefined, SqlError> =>
  Effect.gen(function*() {
    const { dialect, sql } = store
    const [{ token }] = (yield* sql<{ token: string }>`SELECT ${dialect.unique} AS token`) as [{ token: string }]
    const free = takeOver
      ? sql`1 = 1`
      : sql`(stategraph_threads.token IS NULL OR stategraph_threads.expires_at <= ${dialect.now})`
    const rows = yield* sql`
      INSERT INTO stategraph_threads (thread_key, thread, last_sequence, token, expires_at)
      VALUES (${dialect.key(thread)}, ${toColumn(thread)}, 0, ${token}, ${expiry(store)})
      ON CONFLICT (thread_key) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at
      WHERE ${free}
      RETURNING token`.pipe(Effect.onInterrupt(() => Effect.ignore(release(store, thread, token))))
    return rows.length === 0 ? undefined : token
  })

export const release = (store: SqlStore, thread: string, token: string): Effect.Effect<void, SqlError> =>
  Effect.gen(function*() {
    if (!isMade(token)) return
    const { sql } = store
    // A thread without checkpoints is forgotten.
    yield* sql`DELETE FROM stategraph_threads WHERE ${isOwner(store, thread, token)} AND last_sequence = 0`
    yield* sql`
      UPDATE stategraph_threads SET token = NULL, expires_at = NULL
      WHERE ${isOwner(store, thread, token)}`
  })

/** `false`: the claim was lost. */
export const renew = (store: SqlStore, thread: string, token: string): Effect.Effect<boolean, SqlError> => {
  if (!isMade(token)) return Effect.succeed(false)
  const { sql } = store
  const rows = sql`
    UPDATE stategraph_threads SET expires_at = ${expiry(store)}
    WHERE ${isOwner(store, thread, token)}
    RETURNING token`
  return Effect.map(rows, ({ length }) => length > 0)
}

/** `false`: somebody has the thread. */
export const drop = (store: SqlStore, thread: string): Effect.Effect<boolean, SqlError> => {
  const { dialect, sql } = store
  const key = dialect.key(thread)
  return Effect.gen(function*() {
    const dropped = yield* sql`
      DELETE FROM stategraph_threads
      WHERE thread_key = ${key} AND (token IS NULL OR expires_at <= ${dialect.now})
      RETURNING thread_key`
    if (dropped.length === 0) {
      return (yield* sql`SELECT 1 AS found FROM stategraph_threads WHERE thread_key = ${key}`).length === 0
    }
    yield* sql`DELETE FROM stategraph_checkpoints WHERE thread_key = ${key}`
    return true
  }).pipe(inTransaction(store))
}
