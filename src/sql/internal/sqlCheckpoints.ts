/**
 * The checkpoints of a thread, as rows: saved by its owner, read by anybody.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Draft, Info, Status } from "../../Checkpointer.ts"
import { fromColumn, toColumn } from "./dialect.ts"
import { expiry, inTransaction, isMade, isOwner, type SqlStore } from "./sqlStore.ts"

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
