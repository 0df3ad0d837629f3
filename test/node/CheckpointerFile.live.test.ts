/**
 * Processes that want the same thread, and processes that are killed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { CheckpointerFile } from "effect-stategraph/node"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { hashOf } from "../../src/node/internal/checkpointFile.ts"
import { fateOf, thisProcess } from "../../src/node/internal/owner.ts"
import { claimant, claimants, count, race, releaseAll } from "../support/claimants.ts"
import { contentOf, temporaryFolder } from "../support/folder.ts"

describe("20 processes that claim a thread at once", () => {
  it.live(
    "50 times a free one, 50 times one whose owner is dead, and then whenever the owner was killed: one wins",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        let all = yield* claimants(20, folder)
        const store = yield* CheckpointerFile.make(folder)
        for (let round = 0; round < 50; round++) {
          assert.deepStrictEqual(count(yield* race(all, "free")), { won: 1, Claimed: 19 }, `round ${round}`)
          yield* releaseAll(all)

          yield* store.claim("dead")
          const claims = join(folder, hashOf("dead"), "claim")
          const owner = join(claims, fs.readdirSync(claims)[0]!, "owner")
          fs.writeFileSync(owner, JSON.stringify({ ...JSON.parse(fs.readFileSync(owner, "utf8")), pid: 2 ** 22 + 1 }))
          assert.deepStrictEqual(count(yield* race(all, "dead")), { won: 1, Claimed: 19 }, `round ${round}`)
          yield* releaseAll(all)
        }
        assert.deepStrictEqual(contentOf(folder), [])
        while (all.length > 5) {
          const outcomes = yield* race(all, "killed")
          assert.deepStrictEqual(count(outcomes), { won: 1, Claimed: all.length - 1 })
          const winner = all[outcomes.indexOf("won")]!
          yield* Effect.promise(() => winner.kill())
          all = all.filter((one) => one !== winner)
        }
      }),
    180_000
  )
  it.live("again and again, while some of them are killed: nobody has it beside another", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const all = yield* claimants(12, folder)
      const until = Date.now() + 4000
      for (const one of all) one.order({ _tag: "Compete", thread: "a", until })
      for (const victim of all.slice(0, 6)) {
        yield* Effect.sleep(400)
        fs.writeFileSync(join(folder, `victim-${victim.child.pid}`), "")
        yield* Effect.promise(() => victim.kill())
      }
      const results = yield* Effect.promise(() => Promise.all(all.slice(6).map((one) => one.next("Competed"))))
      assert.deepStrictEqual(results.flatMap(({ others }) => others), [])
      assert.isAbove(results.reduce((sum, { wins }) => sum + wins, 0), 20)
    }), 120_000)
})

describe("a process that is killed while it saves", () => {
  it.live(
    "20 times: what it has acknowledged is there, all that is there is whole, and the thread is free",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const store = yield* CheckpointerFile.make(folder)
        const saved = new Map<string, string>()
        for (let round = 0; round < 20; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const one = yield* claimant(folder)
            yield* Effect.promise(() => one.next("Ready"))
            one.order({ _tag: "Save", thread: "a" })
            yield* Effect.promise(() => one.next("Saved")).pipe(
              Effect.tap(({ body, id }) => Effect.sync(() => saved.set(id, body)))
            )
            yield* Effect.sleep(Math.random() * 60)
            yield* Effect.promise(() => one.kill())
            for (const answer of one.answers) if (answer._tag === "Saved") saved.set(answer.id, answer.body)
          }))
          yield* Effect.flatMap(store.claim("a"), store.release)
          const infos = yield* store.list("a")
          assert.deepStrictEqual(infos.map(({ sequence }) => sequence), infos.map((_, index) => index + 1))
          const bodies = new Map<string, string>()
          for (const { id } of infos) bodies.set(id, Option.getOrThrow(yield* store.load("a", id)).body)
          for (const [id, body] of saved) assert.strictEqual(bodies.get(id), body)
          assert.isAtMost(bodies.size - saved.size, round + 1)
        }
        assert.isAtLeast(saved.size, 60)
        assert.isEmpty(contentOf(folder).filter((path) => !/^\w{64}(\/\d{12}-[\w-]+\.checkpoint)?$/.test(path)))
      }),
    180_000
  )
})

describe("a process that has ended", () => {
  it.live("is gone, also as long as its parent has not asked how", () =>
    Effect.scoped(Effect.gen(function*() {
      // The shell becomes another program, which knows nothing of the child it has.
      const parent = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "inherit"] })
        ),
        (child) => Effect.sync(() => void child.kill("SIGKILL"))
      )
      const pid = Number(yield* Effect.promise(async () => String((await parent.stdout.iterator().next()).value)))
      const me = yield* Effect.promise(thisProcess)
      const stat = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")
      while (stat()[2] !== "Z") yield* Effect.sleep(10)
      const owner = { ...me, pid, started: stat()[21] }
      assert.strictEqual(yield* Effect.promise(() => fateOf(owner, me)), "gone")
      const alive = {
        ...me,
        pid: parent.pid!,
        started: fs.readFileSync(`/proc/${parent.pid}/stat`, "utf8").split(" ")[21]
      }
      assert.strictEqual(yield* Effect.promise(() => fateOf(alive, me)), "alive")
    })))
})
