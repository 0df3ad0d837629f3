import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Option } from "effect"
import type { Checkpointer } from "effect-stategraph"
import { CheckpointerSql } from "effect-stategraph/sql"
import { SqlClient, SqlError } from "effect/sql"
import { join } from "node:path"
import { CheckpointError, InvalidConfigError } from "../../src/GraphError.ts"
import { conforms } from "../support/conformance.ts"
import { temporaryFolder } from "../support/folder.ts"
import * as Pglite from "../support/pglite.ts"
import * as Sqlite from "../support/sqlite.ts"

describe("a store in SQLite conforms", () => {
  conforms(Layer.provide(CheckpointerSql.layer, Sqlite.layer({ filename: ":memory:" })))
})

describe("a store in PGlite conforms", () => {
  conforms(Layer.provide(CheckpointerSql.layer, Pglite.layer))
})

const draft = (body: string, rest?: Partial<Checkpointer.Draft>): Checkpointer.Draft => ({
  runId: "run",
  graph: "order",
  status: "running",
  body,
  ...rest
})

/** A test with a database of its own. */
const inDatabase = <E>(
  name: string,
  use: (sql: SqlClient.SqlClient) => Effect.Effect<void, E, SqlClient.SqlClient>,
  options?: Partial<Sqlite.Options>
) =>
  it.effect(
    name,
    () =>
      Effect.flatMap(SqlClient.SqlClient, use).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:", ...options })))
  )

const saveAll = (store: Checkpointer.Service, thread: string, bodies: ReadonlyArray<string>) =>
  Effect.acquireUseRelease(
    store.claim(thread),
    (claim) => Effect.forEach(bodies, (body) => store.save(claim, draft(body))),
    store.release
  )

const reasonOf = (self: Effect.Effect<unknown, CheckpointError>) =>
  Effect.map(Effect.flip(self), ({ reason }) => reason)

/** Lets time pass for all claims. */
const age = (sql: SqlClient.SqlClient, seconds: number) =>
  sql`UPDATE stategraph_threads SET expires_at = expires_at - ${seconds * 1000}`

describe("a claim", () => {
  inDatabase("is kept for 30 seconds, and then it is free and its owner fenced off", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      assert.strictEqual(store.leaseMs, 30_000)
      const first = yield* store.claim("a")
      yield* age(sql, 10)
      assert.strictEqual(yield* reasonOf(store.claim("a")), "Claimed")
      assert.strictEqual(yield* reasonOf(store.delete("a")), "Claimed")
      yield* age(sql, 20)
      const second = yield* store.claim("a")
      assert.strictEqual(yield* reasonOf(store.save(first, draft("1"))), "Fenced")
      assert.strictEqual(yield* reasonOf(store.renew!(first)), "Fenced")
      yield* store.save(second, draft("2"))
    }))
  inDatabase("is kept for another lease by renew and by save", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const first = yield* store.claim("a")
      for (const sign of [store.renew!(first), store.save(first, draft("1"))]) {
        yield* age(sql, 40)
        yield* sign
        yield* age(sql, 10)
        assert.strictEqual(yield* reasonOf(store.claim("a")), "Claimed")
      }
    }))
  inDatabase("that is over still saves, as long as nobody has taken the thread", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const claim = yield* store.claim("a")
      yield* age(sql, 100)
      yield* store.save(claim, draft("1"))
      assert.strictEqual(yield* reasonOf(store.claim("a")), "Claimed")
    }))
  inDatabase("that is over does not keep a thread from being deleted", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const claim = yield* store.claim("a")
      yield* store.save(claim, draft("1"))
      yield* age(sql, 100)
      yield* store.delete("a")
      assert.strictEqual(yield* reasonOf(store.save(claim, draft("2"))), "Fenced")
      assert.deepStrictEqual(yield* store.load("a"), Option.none())
    }))
  inDatabase("has the lease that the options say", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make({ lease: "10 minutes" })
      assert.strictEqual(store.leaseMs, 600_000)
      yield* store.claim("a")
      yield* age(sql, 300)
      assert.strictEqual(yield* reasonOf(store.claim("a")), "Claimed")
      yield* age(sql, 300)
      yield* store.claim("a")
    }))
  inDatabase("of a thread without checkpoints leaves nothing behind", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      yield* Effect.flatMap(store.claim("a"), store.release)
      assert.isEmpty(yield* sql`SELECT * FROM stategraph_threads`)
    }))
})

describe("options", () => {
  inDatabase("keep: only the newest stay", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make({ keep: 3 })
      yield* saveAll(store, "a", ["1", "2", "3", "4", "5"])
      yield* saveAll(store, "a", ["6", "7"])
      assert.deepStrictEqual((yield* store.list("a")).map(({ sequence }) => sequence), [5, 6, 7])
      assert.lengthOf(yield* sql`SELECT id FROM stategraph_checkpoints`, 3)
    }))
  for (const options of [{ keep: 0 }, { lease: 0 }, { lease: Infinity }, { other: 1 } as CheckpointerSql.Options]) {
    inDatabase(`${JSON.stringify(options)} is refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(CheckpointerSql.make(options))
        assert.instanceOf(error, InvalidConfigError)
        assert.deepStrictEqual([error.field, error.source], [Object.keys(options)[0], "CheckpointerSql.layerWith"])
        const byLayer = yield* Effect.flip(Effect.scoped(Layer.build(CheckpointerSql.layerWith(options))))
        assert.instanceOf(byLayer, InvalidConfigError)
      }))
  }
})

describe("a database", () => {
  it.effect("keeps what was saved for the next process, and its tables", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryFolder, "checkpoints.db")
      const process = <A, E>(use: (store: Checkpointer.Service) => Effect.Effect<A, E>) =>
        Effect.flatMap(CheckpointerSql.make(), use).pipe(Effect.provide(Sqlite.layer({ filename })))
      const saved = yield* process((store) => saveAll(store, "a", ["1", "2"]))
      assert.deepStrictEqual(yield* process((store) => store.list("a")), saved)
    }).pipe(Effect.scoped))
  inDatabase("is migrated once, however many stores begin at once", (sql) =>
    Effect.gen(function*() {
      yield* Effect.all(Array.from({ length: 5 }, () => CheckpointerSql.make()), { concurrency: "unbounded" })
      assert.lengthOf(yield* sql`SELECT * FROM stategraph_migrations`, 1)
    }))
  inDatabase("may have a client that names columns its own way", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const saved = yield* saveAll(store, "a", ["1"])
      assert.deepStrictEqual(yield* store.list("a"), saved)
    }), {
    transformRows: (rows) =>
      rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([key, value]) => [key.toUpperCase(), value])) as never
      )
  })
  inDatabase("rolls a save back with the transaction around it", (sql) =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const claim = yield* store.claim("a")
      yield* store.save(claim, draft("1"))
      yield* Effect.exit(sql.withTransaction(Effect.andThen(store.save(claim, draft("2")), Effect.fail("no"))))
      assert.lengthOf(yield* store.list("a"), 1)
      assert.strictEqual((yield* store.save(claim, draft("3"))).sequence, 2)
    }))
  inDatabase("that is not supported is refused", (sql) =>
    Effect.gen(function*() {
      const mysql: SqlClient.SqlClient = Object.assign(Object.create(sql), {
        withoutTransforms: () => mysql,
        onDialectOrElse: (options: { readonly orElse: () => unknown }) => options.orElse()
      })
      const error = yield* Effect.flip(CheckpointerSql.make().pipe(Effect.provideService(SqlClient.SqlClient, mysql)))
      assert.instanceOf(error, CheckpointError)
      assert.deepInclude({ ...error }, { thread: "", reason: "Storage" })
    }))
})

describe("a row that was changed", () => {
  for (const change of ["status = 'odd'", "saved_at = 'odd'", "graph = '\"odd'"]) {
    inDatabase(`is unreadable, and the others are not: ${change}`, (sql) =>
      Effect.gen(function*() {
        const store = yield* CheckpointerSql.make()
        const saved = yield* saveAll(store, "a", ["1", "2"])
        yield* sql`UPDATE stategraph_checkpoints SET ${sql.literal(change)} WHERE sequence = 2`
        const error = yield* Effect.flip(store.load("a"))
        assert.deepInclude({ ...error }, { thread: "a", checkpointId: saved[1]!.id, reason: "Unreadable" })
        const warnings: Array<unknown> = []
        const list = yield* store.list("a").pipe(
          Effect.provide(Logger.layer([Logger.make(({ message }) => void warnings.push(message))]))
        )
        assert.deepStrictEqual(list, saved.slice(0, 1))
        assert.lengthOf(warnings, 1)
        assert.isTrue(Option.isSome(yield* store.load("a", saved[0]!.id)))
      }))
  }
})

describe("a database that fails", () => {
  type Fault = (sql: string) => Effect.Effect<void, SqlError.SqlError>
  const noFault: Fault = () => Effect.void
  let fault = noFault
  const failing = <E>(
    name: string,
    use: (sql: SqlClient.SqlClient) => Effect.Effect<void, E, SqlClient.SqlClient>
  ) =>
    inDatabase(name, (sql) => Effect.ensuring(use(sql), Effect.sync(() => void (fault = noFault))), {
      watch: (sql) => fault(sql)
    })

  const cause = new Error("disk I/O error")
  const broken = Effect.fail(new SqlError.SqlError({ reason: new SqlError.UnknownError({ cause }) }))

  /** Fails the `at`th statement from now on. */
  const failAt = (at: number): { readonly isReached: () => boolean } => {
    let count = 0
    fault = () => ++count === at ? broken : Effect.void
    return { isReached: () => count >= at }
  }

  type Call = (store: Checkpointer.Service) => Effect.Effect<unknown, CheckpointError>
  const calls: Readonly<Record<string, Call>> = {
    claim: (store) => store.claim("free"),
    save: (store) => Effect.flatMap(store.claim("free"), (claim) => store.save(claim, draft("1"))),
    release: (store) => Effect.flatMap(store.claim("free"), store.release),
    renew: (store) => Effect.flatMap(store.claim("free"), store.renew!),
    load: (store) => store.load("a"),
    list: (store) => store.list("a"),
    prune: (store) => store.prune("a", { keep: 1 }),
    delete: (store) => store.delete("a")
  }
  for (const [name, call] of Object.entries(calls)) {
    failing(
      `at any statement fails ${name} with its cause, and all of it is done or nothing`,
      () =>
        Effect.gen(function*() {
          const store = yield* CheckpointerSql.make()
          for (let at = 1;; at++) {
            for (const thread of ["a", "free"]) {
              yield* Effect.flatMap(store.claim(thread, { takeOver: true }), store.release)
              yield* store.delete(thread)
            }
            const saved = yield* saveAll(store, "a", ["1", "2"])
            const { isReached } = failAt(at)
            const exit = yield* Effect.exit(call(store))
            if (!isReached()) return assert.isAbove(at, 1)
            fault = noFault
            const error = yield* Effect.flip(exit)
            assert.deepStrictEqual([error.reason, (error.cause as SqlError.SqlError).reason.cause], ["Storage", cause])
            assert.deepStrictEqual(yield* store.list("a"), saved)
            assert.deepStrictEqual(yield* store.list("free"), [])
            const claim = yield* store.claim("free", { takeOver: true })
            assert.strictEqual((yield* store.save(claim, draft("1"))).sequence, 1)
          }
        })
    )
  }
  for (
    const reason of [new SqlError.DeadlockError({ cause }), new SqlError.SerializationError({ cause })]
  ) {
    failing(`with ${reason._tag} is asked again, up to 5 times`, () =>
      Effect.gen(function*() {
        const store = yield* CheckpointerSql.make()
        const claim = yield* store.claim("a")
        const error = new SqlError.SqlError({ reason })
        const failures = (times: number): Fault => (sql) =>
          sql.includes("INSERT") && times-- > 0 ? Effect.fail(error) : Effect.void
        fault = failures(5)
        assert.strictEqual((yield* store.save(claim, draft("1"))).sequence, 1)
        fault = failures(6)
        assert.strictEqual(yield* reasonOf(store.save(claim, draft("2"))), "Storage")
        fault = noFault
        assert.lengthOf(yield* store.list("a"), 1)
      }))
  }
  failing("with a connection that was lost is not asked again: it may have saved", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const claim = yield* store.claim("a")
      let asked = 0
      fault = (sql) => {
        if (!sql.includes("INSERT")) return Effect.void
        asked++
        return Effect.fail(new SqlError.SqlError({ reason: new SqlError.ConnectionError({ cause }) }))
      }
      assert.strictEqual(yield* reasonOf(store.save(claim, draft("1"))), "Storage")
      assert.strictEqual(asked, 1)
    }))
  failing("when it makes its tables fails the layer, and the next one makes them", () =>
    Effect.gen(function*() {
      fault = (sql) => sql.includes("CREATE TABLE stategraph_checkpoints") ? broken : Effect.void
      const error = yield* Effect.flip(Effect.scoped(Layer.build(CheckpointerSql.layer)))
      assert.deepInclude({ ...error }, { thread: "", reason: "Storage" })
      fault = noFault
      yield* saveAll(yield* CheckpointerSql.make(), "a", ["1"])
    }))
  failing("with a defect of its driver fails with an error", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      fault = () => Effect.die(cause)
      const error = yield* Effect.flip(store.load("a"))
      assert.deepStrictEqual([error.reason, error.cause], ["Storage", cause])
    }))
  failing("to answer can be interrupted", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointerSql.make()
      const claim = yield* store.claim("a")
      const reached = yield* Deferred.make<void>()
      fault = (sql) =>
        sql.includes("INSERT") ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
      const fiber = yield* Effect.forkChild(store.save(claim, draft("1")))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      fault = noFault
      assert.strictEqual((yield* store.save(claim, draft("2"))).sequence, 1)
    }))
})
