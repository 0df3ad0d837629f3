/**
 * Checkpoints in a database: for processes on any number of machines.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Checkpointer, type Service } from "../Checkpointer.ts"
import { CheckpointError, type InvalidConfigError } from "../GraphError.ts"
import { claimed, encodable, fenced, keeping, named, refuse } from "../internal/checkpoints.ts"
import { OptionReader } from "../internal/option.ts"
import { dialectOf } from "./internal/dialect.ts"
import { migrate } from "./internal/migrations.ts"
import * as SqlCheckpoints from "./internal/sqlCheckpoints.ts"
import * as SqlStore from "./internal/sqlStore.ts"

/**
 * How checkpoints are kept in a database.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many checkpoints of a thread are kept; older ones are removed after a save. Default: all. */
  readonly keep?: number | "all" | undefined
  /** How long a claim is kept for an owner of which nothing is heard, by the database's time. Default: `"30 seconds"`. */
  readonly lease?: Duration.Input | undefined
}

const parse = (
  options: Options
): Effect.Effect<{ readonly keep: number; readonly leaseMs: number }, InvalidConfigError> => {
  const reader = new OptionReader("CheckpointerSql.layerWith")
  reader.known("", options, ["keep", "lease"])
  const keep = options.keep === "all" ? Infinity : reader.integer("keep", options.keep, 1, `"all"`) ?? Infinity
  const leaseMs = reader.duration("lease", options.lease, { zero: false, finite: true }) ?? 30_000
  const [problem] = reader.problems
  return problem === undefined ? Effect.succeed({ keep, leaseMs }) : Effect.fail(problem)
}

// Nothing of it was done, and it is done when it is tried again.
const passing: ReadonlyArray<string> = ["DeadlockError", "SerializationError"]

/** Work in the database; what it fails with, defects of its driver too, is a `CheckpointError`. */
const work = <A, E extends { readonly _tag: string }>(
  thread: string,
  issue: string,
  self: Effect.Effect<A, E | SqlError>
): Effect.Effect<A, CheckpointError> => {
  const failed = (cause: unknown) => Effect.fail(new CheckpointError({ thread, reason: "Storage", issue, cause }))
  return self.pipe(
    Effect.retry({
      times: 5,
      while: (error) => error._tag === "SqlError" && "reason" in error && passing.includes(error.reason._tag)
    }),
    Effect.catch(failed),
    Effect.catchDefect(failed)
  )
}

const open = (settings: { readonly keep: number; readonly leaseMs: number }) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const dialect = dialectOf(sql)
    if (dialect === undefined) {
      return yield* refuse("", "Storage", "the database is none of those that are supported, SQLite and PostgreSQL")
    }
    yield* work(
      "",
      "the tables could not be made",
      Effect.provideService(migrate, SqlClient.BeginTransaction, dialect.begin).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
    )
    return makeService({ ...settings, sql, dialect })
  })

const makeService = (store: SqlStore.SqlStore): Service => {
  const read = (thread: string, row: SqlCheckpoints.Row) => {
    const info = SqlCheckpoints.toInfo(thread, row)
    return info === undefined
      ? refuse(thread, "Unreadable", "its row was changed", { checkpointId: row.id })
      : Effect.succeed(info)
  }
  return {
    leaseMs: store.leaseMs,
    claim: (thread, options) =>
      named(
        thread,
        Effect.flatMap(
          work(thread, "the thread could not be claimed", SqlStore.claim(store, thread, options?.takeOver === true)),
          (token) => token === undefined ? claimed(thread) : Effect.succeed({ thread, token })
        )
      ),
    renew: ({ thread, token }) =>
      named(
        thread,
        Effect.flatMap(
          work(thread, "the claim could not be renewed", SqlStore.renew(store, thread, token)),
          (isKept) => isKept ? Effect.void : fenced(thread)
        )
      ),
    release: ({ thread, token }) =>
      named(thread, work(thread, "the claim could not be given back", SqlStore.release(store, thread, token))),
    save: ({ thread, token }, draft) =>
      named(
        thread,
        encodable(
          thread,
          draft.body,
          Clock.clockWith((clock) => {
            const save = SqlCheckpoints.save(store, thread, token, draft, clock.currentTimeMillisUnsafe())
            return Effect.flatMap(
              work(thread, "the checkpoint could not be saved", save),
              (info) => info === undefined ? fenced(thread) : Effect.succeed(info)
            )
          })
        )
      ),
    load: (thread, checkpointId) =>
      named(
        thread,
        Effect.flatMap(
          work(thread, "the checkpoint could not be read", SqlCheckpoints.load(store, thread, checkpointId)),
          (row) =>
            row === undefined
              ? Effect.succeed(Option.none())
              : Effect.map(read(thread, row), (info) => Option.some({ ...info, body: row.body }))
        )
      ),
    list: (thread) =>
      named(
        thread,
        Effect.flatMap(
          work(thread, "the checkpoints could not be read", SqlCheckpoints.list(store, thread)),
          Effect.fnUntraced(function*(rows) {
            const [infos, damaged] = yield* Effect.partition(rows, (row) => read(thread, row))
            for (const { checkpointId, issue } of damaged) {
              yield* Effect.logWarning(`a checkpoint is left out of the list, it is unreadable: ${issue}`).pipe(
                Effect.annotateLogs({ thread, checkpoint: checkpointId })
              )
            }
            return infos
          })
        )
      ),
    delete: (thread) =>
      named(
        thread,
        Effect.flatMap(
          work(thread, "the thread could not be deleted", SqlStore.drop(store, thread)),
          (dropped) => dropped ? Effect.void : claimed(thread)
        )
      ),
    prune: (thread, { keep }) =>
      named(
        thread,
        keeping(thread, keep, work(thread, "the thread could not be pruned", SqlCheckpoints.prune(store, thread, keep)))
      )
  }
}

/**
 * Makes a store that keeps its checkpoints in the database in its context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<Service, CheckpointError | InvalidConfigError, SqlClient.SqlClient> =>
  Effect.flatMap(parse(options), open)

/**
 * Provides a store that keeps its checkpoints in a database: SQLite, or PostgreSQL 13 and later, PGlite included.
 *
 * **When to use**
 *
 * For runs that are continued on another machine, and wherever there is a database anyway.
 *
 * **Details**
 *
 * - It makes its tables (`stategraph_threads`, `stategraph_checkpoints`, `stategraph_migrations`) when it is built.
 * - A save is one transaction, which checks the claim, counts and inserts. What it loses is what the database loses.
 * - A claim is kept for 30 seconds after its last save or renewal, by the database's time; a run renews it while it is on.
 * - Deadlocks and serialization failures are tried again, up to 5 times.
 * - Fails with a `CheckpointError` without a thread when the tables cannot be made.
 *
 * **Gotchas**
 *
 * Inside of a `sql.withTransaction` of yours a save is part of your transaction, and gone when that is rolled back. The encoding of
 * a PostgreSQL database has to be UTF8.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Checkpointer, CheckpointError, SqlClient.SqlClient> = Layer.effect(
  Checkpointer,
  open({ keep: Infinity, leaseMs: 30_000 })
)

/**
 * Provides a store like {@link layer}, with options; those out of range fail with `InvalidConfigError`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: Options
): Layer.Layer<Checkpointer, CheckpointError | InvalidConfigError, SqlClient.SqlClient> =>
  Layer.effect(Checkpointer, make(options))
