/**
 * What the databases say differently.
 */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

export interface Dialect {
  readonly name: "pg" | "sqlite"
  /** The database's own time, in epoch milliseconds. */
  readonly now: Fragment
  /** A text that is never made again. */
  readonly unique: Fragment
  /** A transaction that is going to write, so that it does not find out halfway that another one does. */
  readonly begin: string | undefined
  /** The key of a thread, of any length. */
  readonly key: (thread: string) => Fragment
}

// An index of PostgreSQL takes no entry of more than a third of a page.
const indexable = 200

/** `undefined`: a database that is not supported. */
export const dialectOf = (sql: SqlClient): Dialect | undefined =>
  sql.onDialectOrElse<undefined, Dialect, Dialect>({
    sqlite: () => ({
      name: "sqlite",
      now: sql.literal("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
      unique: sql.literal("lower(hex(randomblob(16)))"),
      begin: "BEGIN IMMEDIATE",
      key: (thread) => sql`${toColumn(thread)}`
    }),
    pg: () => ({
      name: "pg",
      now: sql.literal("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"),
      unique: sql.literal("replace(CAST(gen_random_uuid() AS text), '-', '')"),
      begin: undefined,
      // No column text begins like this and does not end with a quote.
      key: (thread) =>
        thread.length <= indexable
          ? sql`CAST(${toColumn(thread)} AS text)`
          : sql`'"sha256:' || encode(sha256(convert_to(${toColumn(thread)}, 'UTF8')), 'hex')`
    }),
    orElse: () => undefined
  })

// What not every database can store, and what would be taken for its escaped form.
const escaped = /^"|[\0\p{Surrogate}]/u

/** Any text, as one that every database gives back as it was. */
export const toColumn = (text: string): string => escaped.test(text) ? JSON.stringify(text) : text

export const fromColumn = (text: string): string => text.startsWith("\"") ? String(JSON.parse(text)) : text
