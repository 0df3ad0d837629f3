/**
 * A `SqlClient` over the SQLite of Node: one connection, one statement at a time.
 */
import { Effect, Layer, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"

export interface Options {
  /** A file, or `":memory:"`. */
  readonly filename: string
  /** Runs before every statement, and may fail in its place. */
  readonly watch?: (sql: string) => Effect.Effect<void, SqlError.SqlError>
  /** As clients are set up that name columns their own way. */
  readonly transformRows?: SqlClient.SqlClient.MakeOptions["transformRows"]
}

const bindable = (value: unknown): SQLInputValue =>
  value === undefined ? null : typeof value === "boolean" ? Number(value) : value as SQLInputValue

const cacheSize = 100

// `node:sqlite` has the result code in `errcode`, what classifies errors looks for it in `errno`.
const sqlError = (cause: unknown): SqlError.SqlError => {
  if (typeof cause === "object" && cause !== null && "errcode" in cause) Object.assign(cause, { errno: cause.errcode })
  return new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause, { message: String(cause) }) })
}

const connect = (db: DatabaseSync, watch: NonNullable<Options["watch"]>): SqlConnection.Connection => {
  const statements = new Map<string, StatementSync>()
  const prepared = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    if (statements.size >= cacheSize) statements.clear()
    const statement = db.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  const run = <A>(work: () => A): Effect.Effect<A, SqlError.SqlError> => Effect.try({ try: work, catch: sqlError })
  const rows = (statement: StatementSync, params: ReadonlyArray<unknown>): Array<Record<string, unknown>> =>
    statement.all(...params.map(bindable))
  const all = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.andThen(watch(sql), run(() => rows(prepared(sql), params)))
  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(all(sql, params), (rows) => rows.map((row) => Object.values(row)))
  return {
    execute: (sql, params, transform) => Effect.map(all(sql, params), (rows) => transform ? transform(rows) : rows),
    executeRaw: all,
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.map(all(sql, params), (rows) => Stream.fromIterable(transform ? transform(rows) : rows))),
    executeValues: values,
    executeValuesUnprepared: values,
    executeUnprepared: (sql, params, transform) =>
      Effect.map(all(sql, params), (rows) => transform ? transform(rows) : rows)
  }
}

/** A database; it waits 5 seconds for other processes that write. */
export const layer = (
  { filename, transformRows, watch = () => Effect.void }: Options
): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const db = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(filename, { timeout: 5000 })),
        (db) => Effect.sync(() => db.close())
      )
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
      const connection = connect(db, watch)
      return yield* SqlClient.make({
        ...SqlClient.makeSqliteAcquirers({
          connection: Effect.succeed(connection),
          semaphore: Semaphore.makeUnsafe(1),
          isTransaction: () => db.isTransaction
        }),
        compiler: Statement.makeCompilerSqlite(),
        driver: "node-sqlite",
        prepareTransactionControls: true,
        ...(transformRows === undefined ? {} : { transformRows }),
        spanAttributes: [["db.system.name", "sqlite"]]
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
