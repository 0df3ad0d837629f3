/**
 * A unit test of a graph of yours, on the virtual clock: hours pass in no time, to the millisecond, with a service of the
 * test's own.
 *
 *     npx vitest run examples/05-test-your-graph.test.ts
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { StateGraph } from "../src/index.ts"
import { Recorder, VirtualTime } from "../src/testing/index.ts"

// The program.

class Mailer extends Context.Service<Mailer, { readonly send: (text: string) => Effect.Effect<void> }>()("Mailer") {}

const reminder = StateGraph.make("reminder", Schema.Struct({ sent: Schema.optionalKey(Schema.Boolean) }))
  .addNode("wait", () => Effect.sleep("24 hours"))
  .addNode("send", () => Effect.flatMap(Mailer, (mailer) => mailer.send("do not forget")))
  .addFanInNode("note", (_state, { parallelResults: [result] }) => ({ sent: result?.success === true }))
  .setEntryPoint("wait")
  .addParallelEdge("wait", "send", "note", { timeout: "5 seconds" })
  .setFinishPoint("note")
  .compile()

// The test.

describe("the reminder", () => {
  it.effect("is sent after a day", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const mailer = Mailer.of({ send: (text) => Effect.sync(() => void sent.push(text)) })
      const fiber = yield* Effect.forkChild(Effect.provideService(reminder.invoke({}), Mailer, mailer))
      yield* TestClock.adjust("23 hours")
      assert.deepStrictEqual(sent, [])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(sent, ["do not forget"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), { sent: true })
    }))

  it.effect("is given up when the mailer hangs", () =>
    Effect.gen(function*() {
      const mailer = Mailer.of({ send: () => Effect.never })
      const { elapsedMs, exit } = yield* VirtualTime.runToEnd(
        Recorder.record(reminder, {}).pipe(Effect.provideService(Mailer, mailer)),
        { limit: "2 days" }
      )
      const recording = yield* exit
      recording.expectOutcome("Completed").expectFlow("send", { _tag: "Timeout", attempts: 1 })
      assert.deepStrictEqual(yield* recording.exit, { sent: false })
      assert.strictEqual(elapsedMs, 24 * 3_600_000 + 5_000)
    }))
})
