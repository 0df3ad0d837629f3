import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Checkpointer from "../src/Checkpointer.ts"
import { CheckpointError, InvalidConfigError } from "../src/GraphError.ts"

const draft = (body: string): Checkpointer.Draft => ({ runId: "run", graph: "order", status: "running", body })

describe("layerMemory", () => {
  it.effect("keeps what is saved, in order, with the time of the clock", () =>
    Effect.gen(function*() {
      const store = yield* Checkpointer.Checkpointer
      const claim = yield* store.claim("a")
      const first = yield* store.save(claim, draft("1"))
      yield* TestClock.adjust("1 second")
      const second = yield* store.save(claim, { ...draft("2"), status: "completed", parent: first.id })
      assert.deepStrictEqual(yield* store.list("a"), [first, second])
      assert.deepStrictEqual([first.sequence, second.sequence, second.savedAt - first.savedAt], [1, 2, 1000])
      assert.deepStrictEqual(yield* store.load("a"), Option.some({ ...second, body: "2" }))
      assert.deepStrictEqual(yield* store.load("a", first.id), Option.some({ ...first, body: "1" }))
      assert.strictEqual(yield* store.prune("a", { keep: 1 }), 1)
      assert.deepStrictEqual(yield* store.list("a"), [second])
    }).pipe(Effect.provide(Checkpointer.layerMemory)))
  it.effect("gives a thread to one at a time", () =>
    Effect.gen(function*() {
      const store = yield* Checkpointer.make
      const first = yield* store.claim("a")
      assert.strictEqual((yield* Effect.flip(store.claim("a"))).reason, "Claimed")
      assert.strictEqual((yield* Effect.flip(store.delete("a"))).reason, "Claimed")
      const second = yield* store.claim("a", { takeOver: true })
      assert.strictEqual((yield* Effect.flip(store.save(first, draft("1")))).reason, "Fenced")
      yield* store.release(first)
      yield* store.save(second, draft("1"))
      yield* store.release(second)
      yield* store.delete("a")
      assert.deepStrictEqual(yield* store.load("a"), Option.none())
    }))
})

describe("keep", () => {
  it.effect("is how many checkpoints of a thread stay in memory", () =>
    Effect.gen(function*() {
      const store = yield* Checkpointer.Checkpointer
      const claim = yield* store.claim("a")
      const saved = yield* Effect.forEach(["1", "2", "3", "4"], (body) => store.save(claim, draft(body)))
      assert.deepStrictEqual(yield* store.list("a"), saved.slice(2))
      assert.deepStrictEqual(yield* store.load("a", saved[1]!.id), Option.none())
    }).pipe(Effect.provide(Checkpointer.layerMemoryWith({ keep: 2 }))))
  for (const options of [{ keep: 0 }, { keep: 1.5 }, { other: 1 } as Checkpointer.MemoryOptions]) {
    it.effect(`out of range is refused: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        assert.throws(() => Checkpointer.makeUnsafe(options), "Checkpointer.makeUnsafe")
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Checkpointer.layerMemoryWith(options))))
        assert.instanceOf(error, InvalidConfigError)
      }))
  }
})

describe("CheckpointError", () => {
  it("says what, where and what to do, however long a thread's id is", () => {
    const error = new CheckpointError({ thread: "a", reason: "Claimed", issue: "another run has claimed the thread" })
    assert.strictEqual(
      error.message,
      `thread "a": another run has claimed the thread; wait until that run has ended, or take the thread over (takeOver: true)`
    )
    const long = new CheckpointError({
      thread: "x".repeat(10_000),
      checkpointId: "7",
      graph: "order",
      reason: "Unreadable",
      issue: "it is cut off"
    })
    assert.match(long.message, /^checkpoint "7" of thread "x{100}\.\.\." of graph "order": it is cut off; /)
  })
})
