/** Ids of threads, and options of runs that are saved: hostile ones too. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { FakeStore } from "./support/fakeStore.ts"
import { asks, completed, failed, reasonOf, State, statuses, step, suspended, threaded } from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

describe("the id of a thread", () => {
  const ids = [
    "../../x",
    "a/b",
    "con",
    " ",
    "x".repeat(10_000),
    "\u{1F600}",
    "__proto__",
    "constructor",
    "a\0b",
    "\ud800",
    "ä\u0308"
  ]
  threaded("is any text", (drive) =>
    Effect.gen(function*() {
      const graph = make().addNode("a", asks([], "a")).setEntryPoint("a").setFinishPoint("a").compile()
      for (const [i, thread] of ids.entries()) {
        suspended(yield* drive.begin(graph, { thread }))
        assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: i } }, thread)).n, i)
        assert.deepStrictEqual((yield* statuses(thread)).at(-1), "completed")
      }
    }))

  threaded("that is empty is refused", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", step(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
      assert.strictEqual(reasonOf(yield* drive.begin(graph, { thread: "" })), "InvalidThread")
      assert.strictEqual(reasonOf(yield* drive.resume(graph, {}, "")), "InvalidThread")
      assert.deepStrictEqual(ran, [])
    }))
})

describe("options that are none", () => {
  const begins: ReadonlyArray<readonly [object, RegExp]> = [
    [{ thread: 7 }, /thread is 7, allowed is a string/],
    [{ thread: null }, /thread is null/],
    [{ durability: "always" }, /durability is "always", allowed is "step", "async" or "exit"/],
    [{ durability: null }, /durability is null/],
    [{ runId: 7 }, /runId is 7, allowed is a string/],
    [{ takeOver: "yes" }, /takeOver is "yes"/],
    [{ answers: {} }, /answers/],
    [{ checkpointId: "1" }, /checkpointId/]
  ]
  const resumes: ReadonlyArray<readonly [object, RegExp]> = [
    [{ durability: "Step" }, /durability is "Step"/],
    [{ answers: [1] }, /answers is .*, allowed is an object/],
    [{ answers: "ok" }, /answers is "ok"/],
    [{ answers: null }, /answers is null/],
    [{ checkpointId: 1 }, /checkpointId is 1, allowed is a string/],
    [{ takeOver: "yes" }, /takeOver is "yes"/],
    [{ thread: "t" }, /thread/],
    [{ runId: "r" }, /runId/],
    [{ parallel: { timeout: -1 } }, /timeout is -1/]
  ]
  threaded("are refused before the thread is touched", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const fake = new FakeStore()
      const graph = make().addNode("a", step(ran, "a")).setEntryPoint("a").setFinishPoint("a").compile()
      const refused = (outcome: Parameters<typeof failed>[0], issue: RegExp) => {
        const error = failed(outcome) as GraphError.InvalidConfigError
        assert.strictEqual(error._tag, "InvalidConfigError", String(error))
        assert.match(error.message, issue)
      }
      const using = Effect.provideService(Checkpointer.Checkpointer, fake.service)
      for (const [options, issue] of begins) refused(yield* using(drive.begin(graph, options)), issue)
      for (const [options, issue] of resumes) refused(yield* using(drive.resume(graph, options as never)), issue)
      refused(yield* using(drive.resume(graph, {}, 7 as never)), /thread is 7, allowed is a string/)
      assert.deepStrictEqual([ran, fake.used], [[], []])
    }))
})
