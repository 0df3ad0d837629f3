/**
 * A disk that fails at any of its calls, and a process that ends at any of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, type Scope } from "effect"
import type { Checkpointer } from "effect-stategraph"
import { CheckpointerFile } from "effect-stategraph/node"
import * as fs from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { join } from "node:path"
import { vi } from "vitest"
import type { CheckpointError } from "../../src/GraphError.ts"
import { contentOf, temporaryFolder } from "../support/folder.ts"

interface Disk {
  /** The number of calls so far. */
  calls: number
  /** What was opened. */
  files: Array<FileHandle>
  /** What happens in place of a call. */
  fault: (call: number, name: string, work: () => Promise<unknown>) => Promise<unknown>
}

const disk = vi.hoisted((): Disk => ({ calls: 0, files: [], fault: (_call, _name, work) => work() }))

const reset = (fault: Disk["fault"] = (_call, _name, work) => work()): void => {
  disk.calls = 0
  disk.fault = fault
}

/** Closes what a process that has ended would not hold open any more. */
const closeAll = Effect.promise(() => Promise.allSettled(disk.files.splice(0).map((file) => file.close())))

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>()
  const counted =
    (name: string, work: (...args: ReadonlyArray<never>) => Promise<unknown>) => (...args: ReadonlyArray<never>) =>
      disk.fault(++disk.calls, name, () => work(...args))
  const handle = (file: FileHandle): unknown => {
    disk.files.push(file)
    return new Proxy(file, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key)
        // No power is cut here.
        if (key === "sync") return counted("file.sync", () => Promise.resolve())
        return typeof member === "function" ? counted(`file.${String(key)}`, member.bind(target)) : member
      }
    })
  }
  const calls = Object.entries(real).map(([name, member]) => [
    name,
    typeof member !== "function"
      ? member
      : counted(name, async (...args) => {
        const result: unknown = await Reflect.apply(member, real, args)
        return name === "open" ? handle(result as FileHandle) : result
      })
  ])
  return Object.fromEntries(calls)
})

const draft = (body: string): Checkpointer.Draft => ({ runId: "run", graph: "order", status: "running", body })

/** What was acknowledged. */
interface Acknowledged {
  readonly bodies: Array<string>
  deleted: boolean
}

type Script = (store: Checkpointer.Service, done: Acknowledged) => Effect.Effect<void, CheckpointError>

const saving = (bodies: ReadonlyArray<string>): Script => (store, done) =>
  Effect.gen(function*() {
    const claim = yield* store.claim("a")
    for (const body of bodies) {
      yield* store.save(claim, draft(body))
      done.bodies.push(body)
    }
    yield* store.release(claim)
  })

const scripts: Readonly<Record<string, Script>> = {
  "claims, saves and releases": saving(["1", "2"]),
  "takes over": (store, done) =>
    Effect.gen(function*() {
      yield* store.claim("a")
      yield* Effect.flatMap(store.claim("a", { takeOver: true }), store.release)
      yield* saving(["1"])(store, done)
    }),
  "deletes": (store, done) =>
    Effect.gen(function*() {
      yield* saving(["1"])(store, done)
      yield* store.delete("a")
      done.deleted = true
    }),
  "prunes": (store, done) =>
    Effect.gen(function*() {
      yield* saving(["1", "2", "3"])(store, done)
      yield* store.prune("a", { keep: 2 })
    })
}

const bodiesOf = Effect.fnUntraced(function*(store: Checkpointer.Service) {
  const infos = yield* store.list("a")
  const loaded = yield* Effect.forEach(infos, ({ id }) => store.load("a", id))
  const sequences = infos.map(({ sequence }) => sequence)
  assert.deepStrictEqual(sequences, [...new Set(sequences)].sort((a, b) => a - b))
  return loaded.map((found) => Option.getOrThrow(found).body)
})

/** The claims that are left are those of a process that has ended. */
const bury = (folder: string): void => {
  for (const path of contentOf(folder)) {
    if (!path.endsWith("owner")) continue
    const file = join(folder, path)
    const text = fs.readFileSync(file, "utf8")
    if (text !== "") fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(text), pid: 2 ** 22 + 1 }))
  }
}

/** Whether these are the newest of what was acknowledged, and at most one more. */
const isWhatWasSaved = (found: ReadonlyArray<string>, { bodies, deleted }: Acknowledged, name: string): void => {
  if (deleted) return assert.isEmpty(found)
  const all = ["1", "2", "3"]
  const newest = Number(found.at(-1) ?? "0")
  assert.deepStrictEqual(found, all.slice(newest - found.length, newest))
  if (name === "deletes" && found.length === 0) return
  assert.isAtLeast(newest, bodies.length)
  assert.isAtMost(newest, bodies.length + 1)
  if (name === "prunes" && bodies.length === 3) assert.isAtLeast(found.length, 2)
  else assert.strictEqual(found.length, newest)
}

const inFolder = (use: (folder: string) => Effect.Effect<void, unknown, Scope.Scope>) => () =>
  Effect.scoped(Effect.flatMap(temporaryFolder, use)).pipe(Effect.ensuring(Effect.sync(() => reset())))

/** Runs the script until it ends, or its process does at this call: before it, after it, or in the middle of a write. */
const crash = (folder: string, script: Script, at: number, when: "before" | "after" | "within", done: Acknowledged) =>
  Effect.callback<"ended" | "crashed", unknown>((resume) => {
    let crashed = false
    reset(async (call, name, work) => {
      if (call === at) {
        crashed = true
        if (when === "after") await work().catch(() => {})
        if (when === "within" && name === "file.writeFile") {
          const [half] = contentOf(folder).filter((path) => /claim\/[^/]+\/[^o/][^/]+$/.test(path))
          if (half !== undefined) fs.writeFileSync(join(folder, half), "effect-stategraph-ch")
        }
        resume(Effect.succeed("crashed"))
      }
      return crashed ? new Promise(() => {}) : work()
    })
    Effect.runFork(
      Effect.scoped(Effect.flatMap(CheckpointerFile.make(folder), (store) => script(store, done))).pipe(
        Effect.onExit((exit) => Effect.sync(() => crashed || resume(Effect.as(exit, "ended" as const))))
      )
    )
  })

describe("a process that ends at any call, while it", () => {
  for (const [name, script] of Object.entries(scripts)) {
    for (const when of ["before", "after", "within"] as const) {
      if (when === "within" && !name.includes("saves")) continue
      it.effect(`${name}: ${when} the call`, () =>
        Effect.gen(function*() {
          let at = 0
          let outcome = "crashed"
          while (outcome === "crashed") {
            at++
            yield* inFolder((folder) =>
              Effect.gen(function*() {
                const done: Acknowledged = { bodies: [], deleted: false }
                outcome = yield* crash(folder, script, at, when, done)
                reset()
                yield* closeAll
                bury(folder)
                const store = yield* CheckpointerFile.make(folder)
                const found = yield* bodiesOf(store)
                isWhatWasSaved(found, done, name)
                const claim = yield* store.claim("a")
                yield* store.save(claim, draft("next"))
                yield* store.release(claim)
                assert.deepStrictEqual(yield* bodiesOf(store), [...found, "next"])
                const left = contentOf(folder).filter((path) => !/^\w{64}(\/\d{12}-[\w-]+\.checkpoint)?$/.test(path))
                assert.deepStrictEqual(left.filter((path) => !/^\w{64}\/new-/.test(path)), [])
              })
            )()
          }
          assert.isAbove(at, 20)
        }), 60_000)
    }
  }
})

describe("a disk that fails once when a claim is given back", () => {
  it.effect(
    "is asked again",
    inFolder((folder) =>
      Effect.gen(function*() {
        const store = yield* CheckpointerFile.make(folder)
        const claim = yield* store.claim("a")
        reset((call, _name, work) => call === 1 ? Promise.reject(new Error("once")) : work())
        yield* store.release(claim)
        assert.isAbove(disk.calls, 1)
        yield* store.claim("a")
      })
    )
  )
})

describe("a disk that fails at any call, while a store", () => {
  for (const [name, script] of Object.entries(scripts)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        let at = 0
        let failed = true
        const reasons = new Set<string>()
        while (failed) {
          at++
          yield* inFolder((folder) =>
            Effect.gen(function*() {
              const store = yield* CheckpointerFile.make(folder)
              const done: Acknowledged = { bodies: [], deleted: false }
              failed = false
              reset((call, name, work) => {
                if (call !== at) return work()
                failed = true
                const error = Object.assign(new Error(`EIO: i/o error, ${name}`), { code: "EIO" })
                // A file that cannot be closed is closed.
                return name === "file.close" ? work().then(() => Promise.reject(error)) : Promise.reject(error)
              })
              const held: Array<Checkpointer.Claim> = []
              const watched: Checkpointer.Service = {
                ...store,
                claim: (thread, options) =>
                  Effect.tap(store.claim(thread, options), (claim) => Effect.sync(() => held.push(claim)))
              }
              const exit = yield* Effect.exit(script(watched, done))
              reset()
              yield* closeAll
              if (Exit.isFailure(exit)) {
                const error = yield* Effect.flip(exit)
                reasons.add(error.reason)
                assert.strictEqual((error.cause as NodeJS.ErrnoException).code, "EIO")
              }
              // The same process goes on.
              const found = yield* bodiesOf(store)
              if (done.deleted) assert.isEmpty(found)
              else if (name !== "prunes" && name !== "deletes") assert.deepStrictEqual(found, done.bodies)
              yield* Effect.forEach(held, store.release)
              const claim = yield* store.claim("a")
              yield* store.save(claim, draft("next"))
              yield* store.release(claim)
              assert.deepStrictEqual(yield* bodiesOf(store), [...found, "next"])
            })
          )()
        }
        assert.isAbove(at, 20)
        assert.deepStrictEqual([...reasons], ["Storage"])
      }), 60_000)
  }
})
