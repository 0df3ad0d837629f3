/** The demo's live view: from events to lines, without a terminal. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { stripVTControlCharacters } from "node:util"
import type { Event } from "../examples/demo/graph.ts"
import * as Live from "../examples/demo/live.ts"

const event = (fields: object): Event => ({ runId: "r", graph: "status", at: 0, fanIn: "report", ...fields }) as never

const lines = (view: Live.View, now: number, columns = 80) =>
  Live.frame(view, now, columns).map((line) => stripVTControlCharacters(line))

const after = (...events: ReadonlyArray<object>) => events.map(event).reduce(Live.update, Live.initial)

describe("the live view", () => {
  it("has one line per service from the start", () => {
    assert.deepStrictEqual(
      lines(Live.initial, 0).map((line) => line.trim().split(/\s+/)[0]),
      ["fast", "slow", "flaky", "hanging", "dead"]
    )
    for (const line of lines(Live.initial, 0)) assert.include(line, "not asked yet")
  })

  it("shows the attempt, the time so far and what comes next", () => {
    const view = after(
      { _tag: "FlowStarted", branch: "flaky", at: 1000 },
      { _tag: "AttemptStarted", branch: "flaky", attempt: 1 },
      { _tag: "AttemptFailed", branch: "flaky", attempt: 1, error: "status 503" },
      { _tag: "RetryScheduled", branch: "flaky", attempt: 1, delayMs: 100, error: "status 503" }
    )
    assert.match(lines(view, 2500)[2]!, /flaky +attempt 1 +1\.5 s +status 503, again in 100 ms/)
    assert.match(lines(after(), 0)[0]!, /fast +not asked yet/)
  })

  it("keeps the time and the outcome of what has ended", () => {
    const view = after(
      { _tag: "FlowStarted", branch: "fast", at: 0 },
      { _tag: "AttemptStarted", branch: "fast", attempt: 1 },
      { _tag: "FlowCompleted", branch: "fast", at: 200, result: { success: true } },
      { _tag: "FlowRejected", branch: "dead", at: 5, circuit: { state: "OPEN" } },
      { _tag: "FlowCompleted", branch: "dead", at: 5, result: { success: false } },
      { _tag: "FlowStarted", branch: "slow", at: 0 },
      { _tag: "FlowTimedOut", branch: "slow", attempt: 1, timeoutMs: 50 },
      { _tag: "FlowCompleted", branch: "slow", at: 50, result: { success: false } }
    )
    const [fast, slow, , , dead] = lines(view, 60_000)
    assert.match(fast!, /✔ fast +attempt 1 +0\.2 s +answered/)
    assert.match(slow!, /✘ slow +0\.1 s +no answer within 50 ms/)
    assert.match(dead!, /⊘ dead +0\.0 s +not asked: circuit is OPEN/)
  })

  it("says why it asks again, also after a timeout", () => {
    const view = after(
      { _tag: "FlowStarted", branch: "hanging", at: 0 },
      { _tag: "AttemptStarted", branch: "hanging", attempt: 1 },
      { _tag: "FlowTimedOut", branch: "hanging", attempt: 1, timeoutMs: 1000 },
      { _tag: "RetryScheduled", branch: "hanging", attempt: 1, delayMs: 100, error: "flow \"hanging\" timed out" }
    )
    assert.match(lines(view, 1050)[3]!, /no answer within 1000 ms, again in 100 ms$/)
  })

  it("never fills a line of the terminal, however narrow it is", () => {
    const error = "a reason that is much longer than any line ".repeat(5)
    const view = after(
      { _tag: "FlowStarted", branch: "dead", at: 0 },
      { _tag: "AttemptFailed", branch: "dead", attempt: 1, error }
    )
    for (const columns of [200, 80, 60, 30, 10]) {
      const drawn = lines(view, 1000, columns)
      assert.strictEqual(drawn.length, 5)
      for (const line of drawn) assert.isBelow(line.length, columns)
      assert.isTrue(drawn[4]!.endsWith("…"), `${columns}: ${drawn[4]}`)
    }
  })

  it("turns its spinner while a service is asked, and not afterwards", () => {
    const view = after({ _tag: "FlowStarted", branch: "fast", at: 0 })
    const marks = [0, 80, 160].map((now) => lines(view, now)[0]!.trim()[0])
    assert.strictEqual(new Set(marks).size, 3)
  })

  it.effect("is drawn over itself, and its last frame stays", () =>
    Effect.gen(function*() {
      let written = ""
      const live = Live.make({
        columns: 0,
        write: (text) => {
          written += text
        }
      })
      yield* live.event(event({ _tag: "GraphStarted" }))
      const fiber = yield* Effect.forkChild(
        live.during(
          Effect.andThen(Effect.sleep(200), live.event(event({ _tag: "FlowStarted", branch: "fast", at: 0 })))
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(200)
      assert.isDefined(fiber.pollUnsafe())
      const frames = written.split("\u001b[5A")
      assert.isAtLeast(frames.length, 4)
      assert.include(frames[0], "not asked yet")
      assert.match(stripVTControlCharacters(frames.at(-1)!), /fast +0\.2 s/)
      const drawn = written
      yield* TestClock.adjust(1000)
      assert.strictEqual(written, drawn)
    }))
})
