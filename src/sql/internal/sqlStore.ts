/**
 * Threads and checkpoints as rows. Every method is one statement or one transaction.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Draft, Info, Status } from "../../Checkpointer.ts"
import { type Dialect, fromColumn, toColumn } from "./dialect.ts"

export interface SqlStore {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly leaseMs: number
  readonly keep: number
}

/** A checkpoint as a row. */
export interface Row {
  readonly id: string
  readonly sequence: unknown
  readonly run_id: string
  readonly graph: string
  readonly status: string
  readonly parent: string | null
  readonly saved_at: unknown
}

const statuses: ReadonlyArray<string> = ["running", "suspended", "failed", "completed"] satisfies Array<Status>

const isStatus = (text: string): text is Status => statuses.includes(text)

/** `undefined` when somebody has changed it to something else. */
export const toInfo = (thread: string, row: Row): Info | undefined => {
  const { id, parent, status } = row
  const [sequence, savedAt] = [Number(row.sequence), Number(row.saved_at)]
  if (!isStatus(status) || !Number.isInteger(sequence) || !Number.isFinite(savedAt)) return undefined
  try {
    const [runId, graph] = [fromColumn(row.run_id), fromColumn(row.graph)]
    return {
      thread,
      id,
      sequence,
      runId,
      graph,
      status,
      savedAt,
      ...(parent === null ? {} : { parent: fromColumn(parent) })
    }
  } catch {
    return undefined
  }
}

// Ids and tokens are made by the database; others are none, and not every database can be asked about them.
const isMade = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)

const inTransaction =
  ({ dialect, sql }: SqlStore) => <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
    Effect.provideService(sql.withTransaction(self), SqlClient.BeginTransaction, dialect.begin)

/** When a lease that begins now is over. */
const expiry = ({ dialect, leaseMs, sql }: SqlStore) => sql`${dialect.now} + CAST(${leaseMs} AS bigint)`

const isOwner = ({ dialect, sql }: SqlStore, thread: string, token: string) =>
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

interface Saved {
  readonly id: string
  readonly sequence: unknown
}

/** `undefined`: the claim was lost. */
export const save = (
  store: SqlStore,
  thread: string,
  token: string,
  { body, graph, parent, runId, status }: Draft,
  savedAt: number
): Effect.Effect<Info | undefined, SqlError> =>
  Effect.gen(function*() {
    if (!isMade(token)) return undefined
    const { dialect, keep, sql } = store
    const owner = sql<{ last_sequence: unknown }>`
      UPDATE stategraph_threads SET last_sequence = last_sequence + 1, expires_at = ${expiry(store)}
      WHERE ${isOwner(store, thread, token)}
      RETURNING last_sequence`
    const columns = sql.literal("thread_key, sequence, id, run_id, graph, status, parent, saved_at, body")
    const rest = sql`${dialect.unique}, ${toColumn(runId)}, ${toColumn(graph)}, ${status},
      ${parent === undefined ? null : toColumn(parent)}, CAST(${savedAt} AS bigint), ${body}`
    const key = dialect.key(thread)
    const rows = dialect.name === "pg"
      ? yield* sql<Saved>`
        WITH owner AS (${owner})
        INSERT INTO stategraph_checkpoints (${columns}) SELECT ${key}, owner.last_sequence, ${rest} FROM owner
        RETURNING id, sequence`
      : yield* Effect.flatMap(owner, ([found]) =>
        found === undefined ? Effect.succeed([]) : sql<Saved>`
          INSERT INTO stategraph_checkpoints (${columns}) VALUES (${key}, ${found.last_sequence}, ${rest})
          RETURNING id, sequence`).pipe(inTransaction(store))
    const [saved] = rows
    if (saved === undefined) return undefined
    const sequence = Number(saved.sequence)
    // It is saved, whatever comes of this.
    if (sequence > keep) yield* Effect.ignore(prune(store, thread, keep))
    return {
      thread,
      id: saved.id,
      sequence,
      runId,
      graph,
      status,
      savedAt,
      ...(parent === undefined ? {} : { parent })
    }
  })

const infoColumns = "id, sequence, run_id, graph, status, parent, saved_at"

export const list = ({ dialect, sql }: SqlStore, thread: string): Effect.Effect<ReadonlyArray<Row>, SqlError> =>
  sql<Row>`
    SELECT ${sql.literal(infoColumns)} FROM stategraph_checkpoints
    WHERE thread_key = ${dialect.key(thread)} ORDER BY sequence`

/** The latest, or the one with the id. */
export const load = (
  { dialect, sql }: SqlStore,
  thread: string,
  id: string | undefined
): Effect.Effect<(Row & { readonly body: string }) | undefined, SqlError> => {
  if (id !== undefined && !isMade(id)) return Effect.succeed(undefined)
  const rows = sql<Row & { readonly body: string }>`
    SELECT ${sql.literal(infoColumns)}, body FROM stategraph_checkpoints
    WHERE thread_key = ${dialect.key(thread)} ${id === undefined ? sql.literal("") : sql`AND id = ${id}`}
    ORDER BY sequence DESC LIMIT 1`
  return Effect.map(rows, ([row]) => row)
}

/** How many were removed. */
export const prune = ({ dialect, sql }: SqlStore, thread: string, keep: number): Effect.Effect<number, SqlError> => {
  const key = dialect.key(thread)
  const rows = sql`
    DELETE FROM stategraph_checkpoints
    WHERE thread_key = ${key} AND sequence < (
      SELECT min(sequence) FROM (
        SELECT sequence FROM stategraph_checkpoints WHERE thread_key = ${key}
        ORDER BY sequence DESC LIMIT CAST(${Math.min(keep, 0x7fff_ffff)} AS integer)
      ) AS kept
    )
    RETURNING sequence`
  return Effect.map(rows, ({ length }) => length)
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
