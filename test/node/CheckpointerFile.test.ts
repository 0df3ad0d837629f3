import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Option, Scope } from "effect"
import type { Checkpointer } from "effect-stategraph"
import { CheckpointerFile } from "effect-stategraph/node"
import * as fs from "node:fs"
import { join } from "node:path"
import { CheckpointError, InvalidConfigError } from "../../src/GraphError.ts"
import { hashOf } from "../../src/node/internal/checkpointFile.ts"
import { hostileThreads } from "../../src/testing/internal/threadCases.ts"
import { conforms } from "../support/conformance.ts"
import { contentOf, temporaryFolder } from "../support/folder.ts"

type Service = Checkpointer.Service

describe("a store of files conforms", () => {
  conforms(Layer.unwrap(Effect.map(temporaryFolder, (folder) => CheckpointerFile.layer(folder))))
})

const draft = (body: string, rest?: Partial<Checkpointer.Draft>): Checkpointer.Draft => ({
  runId: "run",
  graph: "order",
  status: "running",
  body,
  ...rest
})

/** A test with a store in a folder of its own. */
const withStore = <E>(
  name: string,
  use: (store: Service, folder: string) => Effect.Effect<void, E, Scope.Scope>,
  options?: CheckpointerFile.Options
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* use(yield* CheckpointerFile.make(folder, options), folder)
    }))

const threadFolder = (folder: string, thread: string): string => join(folder, hashOf(thread))

const filesOf = (folder: string, thread: string): ReadonlyArray<string> =>
  fs.readdirSync(threadFolder(folder, thread)).filter((name) => name.endsWith(".checkpoint")).sort()
    .map((name) => join(threadFolder(folder, thread), name))

/** Where the one claim of a thread has its owner. */
const ownerFile = (folder: string, thread: string): string => {
  const claims = join(threadFolder(folder, thread), "claim")
  const [token = "none"] = fs.readdirSync(claims)
  return join(claims, token, "owner")
}

/** Makes the claim of a thread somebody else's. */
const disown = (folder: string, thread: string, owner: object): void => {
  const file = ownerFile(folder, thread)
  fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, "utf8")), ...owner }))
}

/** Lets time pass for the claim of a thread. */
const age = (folder: string, thread: string, seconds: number): void => {
  const file = ownerFile(folder, thread)
  const then = fs.statSync(file).mtimeMs / 1000 - seconds
  for (const path of [file, join(file, "..")]) fs.utimesSync(path, then, then)
}

const gone = { pid: 2 ** 22 + 1 }
const elsewhere = { host: "another host" }

const saveAll = (store: Service, thread: string, bodies: ReadonlyArray<string>) =>
  Effect.acquireUseRelease(
    store.claim(thread),
    (claim) => Effect.forEach(bodies, (body) => store.save(claim, draft(body))),
    store.release
  )

const collectWarnings = (output: Array<unknown>) =>
  Effect.provide(Logger.layer([Logger.make(({ message }) => void output.push(message))]))

describe("the folder", () => {
  it.effect("holds hashes, numbers and claims, whatever the ids of the threads are", () =>
    Effect.gen(function*() {
      const outside = yield* temporaryFolder
      const store = yield* CheckpointerFile.make(join(outside, "deep", "checkpoints"))
      for (const thread of hostileThreads) yield* store.save(yield* store.claim(thread), draft("{}"))
      assert.deepStrictEqual(fs.readdirSync(outside), ["deep"])
      assert.deepStrictEqual(fs.readdirSync(join(outside, "deep")), ["checkpoints"])
      const content = contentOf(join(outside, "deep", "checkpoints"))
      const name = /^[0-9a-f]{64}(\/\d{12}-[0-9a-f-]{36}\.checkpoint|\/claim(\/[0-9a-f-]{36}(\/owner)?)?)?$/
      assert.deepStrictEqual(content.filter((path) => !name.test(path)), [])
      assert.lengthOf(content, hostileThreads.length * 5)
    }).pipe(Effect.scoped))
  withStore("is as it was when nothing was saved", (store, folder) =>
    Effect.gen(function*() {
      yield* store.release(yield* store.claim("a"))
      yield* store.load("a")
      yield* store.delete("a")
      assert.deepStrictEqual(contentOf(folder), [])
    }))
  withStore("loses everything of a thread that is deleted", (store, folder) =>
    Effect.gen(function*() {
      yield* saveAll(store, "a", ["1", "2"])
      assert.lengthOf(contentOf(folder), 3)
      yield* store.delete("a")
      assert.deepStrictEqual(contentOf(folder), [])
    }))
  it.effect("is rid of what killed processes left behind", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function*() {
        const store = yield* CheckpointerFile.make(folder)
        yield* store.save(yield* store.claim("a"), draft("1"))
        fs.writeFileSync(join(ownerFile(folder, "a"), "..", "half"), "effect-stategr")
        fs.cpSync(folder, `${folder}-copy`, { recursive: true })
      }).pipe(Effect.scoped)
      const copy = yield* Effect.acquireRelease(
        Effect.succeed(`${folder}-copy`),
        (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
      )
      disown(copy, "a", gone)
      for (const name of ["old-1", "new-1", "new-2"]) {
        fs.mkdirSync(join(threadFolder(copy, "a"), name, "x"), { recursive: true })
      }
      fs.utimesSync(join(threadFolder(copy, "a"), "new-1"), 1, 1)
      fs.cpSync(threadFolder(copy, "a"), join(copy, "old-thread"), { recursive: true })
      const store = yield* CheckpointerFile.make(copy)
      yield* store.release(yield* store.claim("a"))
      const [file = ""] = filesOf(copy, "a")
      // Somebody may be at work in `new-2`: it is too young.
      assert.deepStrictEqual(
        contentOf(copy).map((path) => join(copy, path)).filter((path) => !path.includes("new-2")),
        [threadFolder(copy, "a"), file]
      )
    }).pipe(Effect.scoped))
  it.effect("that cannot be made or used is an error", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      fs.writeFileSync(join(folder, "file"), "")
      const error = yield* Effect.flip(CheckpointerFile.make(join(folder, "file", "x")))
      assert.instanceOf(error, CheckpointError)
      assert.deepInclude({ ...error }, { thread: "", reason: "Storage" })
      assert.include(error.message, join(folder, "file", "x"))

      const store = yield* CheckpointerFile.make(folder)
      fs.writeFileSync(threadFolder(folder, "a"), "")
      const refused = yield* Effect.flip(store.claim("a"))
      assert.deepStrictEqual([refused.reason, refused.thread], ["Storage", "a"])
      assert.strictEqual((refused.cause as NodeJS.ErrnoException).code, "ENOTDIR")
    }).pipe(Effect.scoped))
})

describe("options", () => {
  withStore("keep: only the newest stay", (store, folder) =>
    Effect.gen(function*() {
      yield* saveAll(store, "a", ["1", "2", "3", "4", "5"])
      yield* saveAll(store, "a", ["6", "7"])
      assert.deepStrictEqual((yield* store.list("a")).map(({ sequence }) => sequence), [5, 6, 7])
      assert.lengthOf(filesOf(folder, "a"), 3)
    }), { keep: 3 })
  withStore("maxBytes: a larger checkpoint is not saved", (store, folder) =>
    Effect.gen(function*() {
      const claim = yield* store.claim("a")
      const error = yield* Effect.flip(store.save(claim, draft("x".repeat(1000))))
      assert.deepStrictEqual([error.reason, error.graph], ["TooLarge", "order"])
      const info = yield* store.save(claim, draft("x".repeat(100)))
      assert.strictEqual(info.sequence, 1)
      const smaller = yield* CheckpointerFile.make(folder, { maxBytes: 300 })
      assert.strictEqual((yield* Effect.flip(smaller.load("a"))).reason, "Unreadable")
    }), { maxBytes: 800 })
  for (
    const [field, options] of [
      ["keep", { keep: 0 }],
      ["keep", { keep: 1.5 }],
      ["maxBytes", { maxBytes: 0 }],
      ["lease", { lease: 0 }],
      ["lease", { lease: Infinity }],
      ["other", { other: 1 }]
    ] as ReadonlyArray<readonly [string, CheckpointerFile.Options]>
  ) {
    it.effect(`${JSON.stringify(options)} is refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(CheckpointerFile.make("/nowhere/at/all", options))
        assert.instanceOf(error, InvalidConfigError)
        assert.deepStrictEqual([error.field, error.source], [field, "CheckpointerFile.layer"])
      }).pipe(Effect.scoped))
  }
  it.effect("an empty directory is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(CheckpointerFile.make(""))
      assert.instanceOf(error, InvalidConfigError)
    }).pipe(Effect.scoped))
})

describe("a claim", () => {
  withStore("of a process that is gone is free at once", (store, folder) =>
    Effect.gen(function*() {
      const first = yield* store.claim("a")
      disown(folder, "a", gone)
      const second = yield* store.claim("a")
      assert.strictEqual((yield* Effect.flip(store.save(first, draft("1")))).reason, "Fenced")
      yield* store.save(second, draft("2"))
    }))
  withStore("of a process whose id another one has now is free at once", (store, folder) =>
    Effect.gen(function*() {
      yield* store.claim("a")
      disown(folder, "a", { started: "1" })
      yield* store.claim("a")
    }))
  withStore("of a process that lives is kept, however old it is", (store, folder) =>
    Effect.gen(function*() {
      yield* store.claim("a")
      age(folder, "a", 100_000)
      const other = yield* CheckpointerFile.make(folder)
      assert.strictEqual((yield* Effect.flip(other.claim("a"))).reason, "Claimed")
    }))
  for (const [name, owner] of Object.entries({ elsewhere, worker: { worker: 1 }, space: { space: "pid:[1]" } })) {
    withStore(
      `whose owner cannot be seen from here is kept for its lease: ${name}`,
      (store, folder) =>
        Effect.gen(function*() {
          const first = yield* store.claim("a")
          disown(folder, "a", owner)
          age(folder, "a", 29)
          const other = yield* CheckpointerFile.make(folder)
          assert.strictEqual((yield* Effect.flip(other.claim("a"))).reason, "Claimed")
          age(folder, "a", 2)
          yield* other.claim("a")
          assert.strictEqual((yield* Effect.flip(store.save(first, draft("1")))).reason, "Fenced")
        })
    )
    withStore(`is kept for another lease by renew and by save: ${name}`, (store, folder) =>
      Effect.gen(function*() {
        const first = yield* store.claim("a")
        const other = yield* CheckpointerFile.make(folder)
        for (const sign of [store.renew!(first), Effect.asVoid(store.save(first, draft("1")))]) {
          disown(folder, "a", owner)
          age(folder, "a", 31)
          yield* sign
          assert.strictEqual((yield* Effect.flip(other.claim("a"))).reason, "Claimed")
        }
      }))
  }
  withStore("that is no longer to be read is kept for its lease", (store, folder) =>
    Effect.gen(function*() {
      yield* store.claim("a")
      for (const text of ["", "{", "null", "{\"pid\":\"1\"}", "\0\0\0"]) {
        fs.writeFileSync(ownerFile(folder, "a"), text)
        assert.strictEqual((yield* Effect.flip(store.claim("a"))).reason, "Claimed")
      }
      age(folder, "a", 31)
      yield* store.claim("a")
    }))
  withStore("has the lease that the options say", (store, folder) =>
    Effect.gen(function*() {
      assert.strictEqual(store.leaseMs, 5000)
      yield* store.claim("a")
      disown(folder, "a", elsewhere)
      age(folder, "a", 6)
      yield* store.claim("a")
    }), { lease: "5 seconds" })
  it.effect("ends with the layer that gave it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(CheckpointerFile.make(folder), scope)
      const claim = yield* first.claim("a")
      const second = yield* CheckpointerFile.make(folder)
      assert.strictEqual((yield* Effect.flip(second.claim("a"))).reason, "Claimed")
      assert.strictEqual((yield* Effect.flip(second.save(claim, draft("1")))).reason, "Fenced")
      yield* Scope.close(scope, Exit.void)
      yield* second.claim("a")
    }).pipe(Effect.scoped))
  withStore(
    "leaves nothing beside when saves are interrupted, and some are saved and some are not",
    (store, folder) =>
      Effect.gen(function*() {
        const claim = yield* store.claim("a")
        let saved = 0
        // A machine that does other things too needs more turns for a save.
        for (let turns = 0; turns < 40 || saved === 0; turns++) {
          const fiber = yield* Effect.forkChild(store.save(claim, draft("1")), { startImmediately: true })
          for (let turn = 0; turn < turns * turns; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(fs.readdirSync(join(ownerFile(folder, "a"), "..")), ["owner"])
          const { length } = yield* store.list("a")
          assert.isAtMost(length, saved + 1)
          saved = length
          // The first one is interrupted before it has begun.
          if (turns === 0) assert.strictEqual(saved, 0)
        }
      })
  )
})

describe("a damaged file", () => {
  const damages: Readonly<Record<string, (file: string, folder: string) => void>> = {
    "cut off in its body": (file) => fs.truncateSync(file, fs.statSync(file).size - 1),
    "cut off in its info": (file) => fs.truncateSync(file, 300),
    "cut off in its first line": (file) => fs.truncateSync(file, 50),
    "empty": (file) => fs.writeFileSync(file, ""),
    "of garbage": (file) => fs.writeFileSync(file, "\n\0\ufffd{}[]"),
    "of 50 MB of garbage": (file) => fs.writeFileSync(file, Buffer.alloc(50_000_000, "x")),
    "with 50 MB at its end": (file) => fs.appendFileSync(file, Buffer.alloc(50_000_000)),
    "with a number as large as can be": (file) =>
      fs.writeFileSync(
        file,
        `effect-stategraph-checkpoint 1 ${"9".repeat(15)} 1 ${"0".repeat(64)} ${"0".repeat(64)}\n`
      ),
    "of another format": (file) =>
      fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("checkpoint 1 ", "checkpoint 2 ")),
    "that is another thread's": (file, folder) => fs.copyFileSync(filesOf(folder, "other")[0]!, file),
    "that is another checkpoint's": (file, folder) => fs.copyFileSync(filesOf(folder, "a")[0]!, file),
    "that is a folder": (file) => {
      fs.rmSync(file)
      fs.mkdirSync(file)
    },
    "that is a link to something endless": (file) => {
      fs.rmSync(file)
      fs.symlinkSync("/dev/zero", file)
    },
    "that is a link to a good one": (file, folder) => {
      fs.rmSync(file)
      fs.symlinkSync(filesOf(folder, "a")[0]!, file)
    }
  }
  for (const [name, damage] of Object.entries(damages)) {
    withStore(`${name} is unreadable, and the others are not`, (store, folder) =>
      Effect.gen(function*() {
        yield* saveAll(store, "other", ["0", "0"])
        const infos = yield* saveAll(store, "a", ["1", "2", "3"])
        damage(filesOf(folder, "a")[2]!, folder)
        const error = yield* Effect.flip(store.load("a"))
        assert.deepInclude({ ...error }, { thread: "a", checkpointId: infos[2]!.id, reason: "Unreadable" })
        const warnings: Array<unknown> = []
        assert.deepStrictEqual(yield* store.list("a").pipe(collectWarnings(warnings)), infos.slice(0, 2))
        assert.lengthOf(warnings, 1)
        assert.strictEqual(Option.getOrThrow(yield* store.load("a", infos[1]!.id)).body, "2")
        assert.strictEqual((yield* Effect.flip(store.load("a", infos[2]!.id))).reason, "Unreadable")
        // What is damaged is neither counted as kept, nor is its number given again.
        const [next] = yield* saveAll(store, "a", ["4"])
        assert.strictEqual(next?.sequence, 4)
        assert.strictEqual(yield* store.prune("a", { keep: 2 }), 1)
        assert.deepStrictEqual((yield* store.list("a")).map(({ sequence }) => sequence), [2, 4])
        yield* store.delete("a")
        assert.strictEqual((yield* store.list("other")).length, 2)
      }))
  }
  withStore("is noticed whichever of its bytes was changed", (store, folder) =>
    Effect.gen(function*() {
      yield* saveAll(store, "a", [`{"total":100,"paid":false}`])
      const file = filesOf(folder, "a")[0]!
      const good = fs.readFileSync(file)
      for (let at = 0; at < good.length; at++) {
        const bad = Buffer.from(good)
        bad[at] = bad[at]! ^ 1
        fs.writeFileSync(file, bad)
        const error = yield* Effect.flip(store.load("a"))
        assert.strictEqual(error.reason, "Unreadable", `byte ${at}`)
      }
      fs.writeFileSync(file, good)
      assert.isTrue(Option.isSome(yield* store.load("a")))
    }))
  withStore("by another name is none of the store's", (store, folder) =>
    Effect.gen(function*() {
      const infos = yield* saveAll(store, "a", ["1"])
      for (
        const name of [
          "x",
          "1-x.checkpoint",
          "999999999999.checkpoint",
          "000000000009-x.checkpoint.bak",
          "-1.checkpoint"
        ]
      ) {
        fs.writeFileSync(join(threadFolder(folder, "a"), name), "x")
      }
      assert.deepStrictEqual(yield* store.list("a"), infos)
    }))
})
