/** The runs of a timeline, and what it says of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Timeline } from "effect-stategraph"
import { type Model, modelOf } from "../src/internal/timelineModel.ts"
import { at, drawn, type Events, on, result, runs } from "./support/timeline.ts"

describe("the runs", () => {
  it("are those with one id, in the order of their starts; an id that starts again is another run", () => {
    const { runs, spanMs } = modelOf([
      at(100, "GraphStarted", {}, "late"),
      at(0, "GraphStarted", {}, "early"),
      at(110, "GraphCompleted", {}, "late"),
      at(50, "GraphFailed", { error: "x", errorType: "X" }, "early"),
      at(200, "GraphStarted", {}, "early"),
      at(Number.NaN, "GraphCompleted", {}, "early")
    ])
    assert.deepStrictEqual(runs.map(({ durationMs, number, outcome, runId }) => [number, runId, durationMs, outcome]), [
      [1, "early", 50, "failure"],
      [2, "late", 10, "success"],
      [3, "early", 0, "open"]
    ])
    assert.strictEqual(spanMs, 50)
  })

  it.effect("may be cut off anywhere, at either end", () =>
    Effect.gen(function*() {
      const events = yield* runs(2)
      const inside = ({ runs }: Model): boolean =>
        runs.every(({ durationMs, lanes }) =>
          lanes.every(({ circuit, segments }) =>
            [...segments, ...circuit?.bands ?? []].every(({ from, to }) => from >= 0 && from <= to && to <= durationMs)
          )
        )
      for (let cut = 0; cut <= events.length; cut++) {
        for (const part of [events.slice(0, cut), events.slice(cut)]) {
          assert(inside(modelOf(part)), `cut at ${cut}`)
          assert.match(Timeline.fromEvents(part), /<\/html>\n$/)
        }
      }
    }))

  it("whose events end early are open", () => {
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      at(0, "NodeStarted", { node: "plan" }),
      at(0, "FlowStarted", on("f")),
      at(5, "AttemptStarted", on("f")),
      at(8, "FlowStarted", on("w")),
      at(8, "AttemptStarted", on("w")),
      at(9, "AttemptFailed", on("w", { error: "no" })),
      at(9, "RetryScheduled", on("w", { delayMs: 100, error: "no" })),
      at(30, "NodeProgress", { node: "plan", value: 1 })
    ])
    assert.deepStrictEqual(drawn(run), ["node open 0-30"])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt open 5-30"])
    assert.deepStrictEqual(drawn(run, "w"), ["attempt failure 8-9", "wait 9-30"])
    assert.deepStrictEqual(run?.rows.map(({ branch, outcome, timingMs }) => [branch, outcome, timingMs]), [
      ["f", "open", 30],
      ["w", "open", 22]
    ])
    assert.include(run?.summary, "Run 1 had not ended after 30 ms, when its events end: f and w were still running")
  })

  it("whose first events are missing begin with the first one there is", () => {
    const { runs: [run] } = modelOf([
      at(100, "NodeCompleted", { node: "plan" }),
      at(110, "AttemptSucceeded", on("f", { attempt: 2 })),
      at(110, "FlowCompleted", result("f", { timingMs: 900 }))
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt success 0-10"])
    assert.deepStrictEqual(run?.rows.map(({ startMs, timingMs }) => [startMs, timingMs]), [[0, 900]])
  })

  it("may see their clock step back", () => {
    const { runs: [run] } = modelOf([
      at(100, "GraphStarted"),
      at(110, "AttemptStarted", on("f")),
      at(60, "AttemptFailed", on("f", { error: "no" })),
      at(60, "RetryScheduled", on("f", { delayMs: 5, error: "no" })),
      at(120, "AttemptStarted", on("f", { attempt: 2 })),
      at(50, "GraphCompleted")
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["wait 10-70", "attempt failure 60-60", "attempt open 70-70"])
  })
})

describe("a summary", () => {
  it.effect("says what happened to whom, and why a run was faster", () =>
    Effect.gen(function*() {
      const { runs: [first, second] } = modelOf(yield* runs(2))
      assert.strictEqual(
        first?.summary,
        "Run 1 took 98 ms: dead (2 attempts, 20 ms) was not asked again, because its circuit opened; late (1 attempt, " +
          "85 ms) and zombie (1 attempt, 30 ms) reached their time limits; zombie did not stop and was left alone; " +
          "the circuit of dead opened; again (2 attempts) needed more than one attempt."
      )
      assert.match(
        second?.summary ?? "",
        /^Run 2 took 98 ms: dead was not asked at all, because its circuit is OPEN; late/
      )
    }))

  const run = (ms: number, runId: string, length: number, ...rows: ReadonlyArray<object>) => [
    at(ms, "GraphStarted", {}, runId),
    ...rows.map((row) => at(ms + length, "FlowCompleted", row, runId)),
    at(ms + length, "GraphCompleted", {}, runId)
  ]
  const summaries = (...events: ReadonlyArray<Events>) => modelOf(events.flat()).runs.map(({ summary }) => summary)

  it("compares a run with the one before", () => {
    const refused = { _tag: "Rejected", success: false, attempts: 0, timingMs: 0, circuitState: "OPEN", error: "no" }
    assert.deepStrictEqual(
      summaries(
        run(0, "a", 2500, result("dead", { timingMs: 2500 }), result("x", { timingMs: 4 })),
        run(5000, "b", 12, result("dead", refused), result("x", { timingMs: 10 })),
        run(6000, "c", 700, result("dead", refused), result("x", { timingMs: 690 }))
      ),
      [
        "Run 1 took 2.5 s: all 2 flows succeeded; dead took longest, 2.5 s.",
        "Run 2 took 12 ms: dead was not asked at all, because its circuit is OPEN; x took longest, 10 ms. " +
        "That is 2.49 s less than run 1, because it did not ask dead (2.5 s there).",
        "Run 3 took 700 ms: dead was not asked at all, because its circuit is OPEN; x took longest, 690 ms. " +
        "That is 688 ms more than run 2, because x took 690 ms instead of 10 ms."
      ]
    )
  })

  it("counts what is too much to name", () => {
    const rows = Array.from(
      { length: 30 },
      (_, i) =>
        result(`f${i}`, i < 20 ? { timingMs: 5 } : { _tag: "Failure", success: false, timingMs: 5, error: "no" })
    )
    assert.deepStrictEqual(summaries(run(0, "a", 9, ...rows)), [
      "Run 1 took 9 ms: 10 flows failed (f20, f21, f22 and 7 more); 20 of 30 flows succeeded."
    ])
  })

  it("says how a run failed", () => {
    const error = { error: "the disk is full", errorType: "DiskError" }
    assert.deepStrictEqual(summaries([at(0, "GraphStarted"), at(1500, "GraphFailed", error)]), [
      "Run 1 failed after 1.5 s with “the disk is full”."
    ])
    assert.deepStrictEqual(
      summaries([at(0, "GraphStarted"), at(5, "GraphFailed", { ...error, errorType: "InterruptedError" })]),
      ["Run 1 was interrupted after 5 ms."]
    )
  })
})
