/** The lanes of a timeline, to the millisecond. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Diagram } from "../src/Diagram.ts"
import { modelOf } from "../src/internal/timelineModel.ts"
import { at, bands, drawn, laneOf, on, result, runs } from "./support/timeline.ts"

describe("a lane", () => {
  it.effect("shows nodes, attempts, waits, limits, refusals and abandoned work to the millisecond", () =>
    Effect.gen(function*() {
      const { runs: [run] } = modelOf(yield* runs(1))
      assert.deepStrictEqual(drawn(run), ["node success 0-10", "gather 10-95", "fanIn success 95-98"])
      assert.deepStrictEqual(drawn(run, "good"), ["attempt success 10-30"])
      assert.deepStrictEqual(drawn(run, "again"), ["attempt failure 10-15", "wait 15-45", "attempt success 45-50"])
      assert.deepStrictEqual(drawn(run, "late"), [
        "attempt timeout 10-60",
        "stopping 60-75",
        "wait 75-95",
        "limit timeout 95-95"
      ])
      assert.deepStrictEqual(drawn(run, "dead"), [
        "attempt failure 10-15",
        "wait 15-25",
        "attempt failure 25-30",
        "wait 30-40",
        "rejected 40-40"
      ])
      assert.deepStrictEqual(drawn(run, "zombie"), ["attempt timeout 10-40", "stopping 40-60", "abandoned 60-98"])
      assert.strictEqual(run?.durationMs, 98)
      assert.strictEqual(run?.outcome, "success")
    }))

  it.effect("tells the details of an attempt", () =>
    Effect.gen(function*() {
      const { runs: [run] } = modelOf(yield* runs(1))
      assert.deepStrictEqual(laneOf(run, "again").segments.map(({ details }) => details), [
        ["attempt 1 failed after 5 ms", "status 500", "node again failed after 5 ms"],
        ["waited 30 ms", "attempt 2 follows 30 ms after attempt 1 failed: status 500"],
        ["attempt 2 succeeded after 5 ms", "node again completed after 5 ms"]
      ])
    }))

  it("shows the nodes of an attempt, and where each begins", () => {
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      at(0, "FlowStarted", on("f")),
      at(0, "AttemptStarted", on("f")),
      at(0, "NodeStarted", on("f", { node: "a" })),
      at(4, "NodeProgress", on("f", { node: "a", value: 1 })),
      at(10, "NodeCompleted", on("f", { node: "a" })),
      at(12, "NodeStarted", on("f", { node: "b" })),
      at(20, "NodeCompleted", on("f", { node: "b" })),
      at(20, "AttemptSucceeded", on("f")),
      at(20, "FlowCompleted", result("f"))
    ])
    const [segment] = laneOf(run, "f").segments
    assert.deepStrictEqual(segment?.marks, [12])
    assert.deepStrictEqual(segment?.details.slice(1), [
      "node a completed after 10 ms, told 1 progress note",
      "node b completed after 8 ms"
    ])
  })

  it("tells of a node's own attempts without taking them for the flow's", () => {
    const { runs: [run] } = modelOf([
      at(0, "AttemptStarted", on("f")),
      at(1, "AttemptStarted", on("f", { scope: "node", node: "n" })),
      at(5, "AttemptFailed", on("f", { scope: "node", node: "n", error: "no" })),
      at(5, "RetryScheduled", on("f", { scope: "node", node: "n", delayMs: 2, error: "no" })),
      at(9, "FlowTimedOut", on("f", { scope: "node", node: "n", timeoutKind: "attempt", timeoutMs: 2 })),
      at(12, "AttemptSucceeded", on("f"))
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt success 0-12"])
    assert.deepStrictEqual(laneOf(run, "f").segments[0]?.details.slice(1), [
      "node n, attempt 1 failed: no, after 4 ms",
      "node n: attempt 2 follows 2 ms later",
      "node n gave up: the limit of 2 ms for one attempt was reached"
    ])
  })

  it("shows what an attempt that failed had to stop, if it had flows of its own", () => {
    const failed = (branch: string) => [
      at(10, "AttemptFailed", on(branch, { error: "no" })),
      at(25, "FlowCompleted", result(branch, { _tag: "Failure", success: false, error: "no" }))
    ]
    const { runs: [run] } = modelOf([
      at(0, "AttemptStarted", on("alone")),
      at(0, "AttemptStarted", on("outer")),
      at(0, "AttemptStarted", on("outer/inner")),
      ...failed("alone"),
      ...failed("outer")
    ])
    assert.deepStrictEqual(drawn(run, "alone"), ["attempt failure 0-10"])
    assert.deepStrictEqual(drawn(run, "outer"), ["attempt failure 0-10", "stopping 10-25"])
  })

  it("shows how long a flow waited to start, when the diagram tells where it is launched", () => {
    const events = [
      at(0, "GraphStarted"),
      at(0, "NodeStarted", { node: "plan" }),
      at(10, "NodeCompleted", { node: "plan" }),
      at(30, "FlowStarted", on("f")),
      at(30, "AttemptStarted", on("f")),
      at(40, "AttemptSucceeded", on("f"))
    ]
    const diagram: Diagram = {
      name: "g",
      nodes: [{ name: "plan", kind: "node" }, { name: "f", kind: "node" }, { name: "join", kind: "fanIn" }],
      edges: [{ kind: "parallel", from: "plan", to: "f", fanIn: "join", branch: "f" }]
    }
    assert.deepStrictEqual(drawn(modelOf(events, diagram).runs[0], "f"), [
      "queue 10-30",
      "attempt success 30-40"
    ])
    assert.deepStrictEqual(drawn(modelOf(events).runs[0], "f"), ["attempt success 30-40"])
  })

  it("stands below the flow that it belongs to, in the order of the results", () => {
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      at(0, "FlowStarted", on("b")),
      at(0, "FlowStarted", on("a")),
      at(1, "FlowStarted", on("b/z")),
      at(1, "FlowStarted", on("a/x")),
      at(9, "FanInStarted", { node: "join", fanIn: "join", results: [{ branch: "a" }, { branch: "b" }] })
    ])
    assert.deepStrictEqual(run?.lanes.map(({ branch, place }) => [branch, place?.depth ?? 0]), [
      [undefined, 0],
      ["a", 0],
      ["a/x", 1],
      ["b", 0],
      ["b/z", 1]
    ])
  })

  it("holds every visit of a flow in a loop", () => {
    const visit = (from: number) => [
      at(from, "FlowStarted", on("f")),
      at(from, "AttemptStarted", on("f")),
      at(from + 10, "AttemptSucceeded", on("f")),
      at(from + 10, "FlowCompleted", result("f"))
    ]
    const { runs: [run] } = modelOf([at(0, "GraphStarted"), ...visit(0), ...visit(20)])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt success 0-10", "attempt success 20-30"])
    assert.deepStrictEqual(run?.rows.map(({ startMs }) => startMs), [0, 20])
  })
})

describe("a circuit", () => {
  it.effect("is a band that carries over to the next run", () =>
    Effect.gen(function*() {
      const { runs: [first, second] } = modelOf(yield* runs(2))
      assert.deepStrictEqual(bands(first, "dead"), ["CLOSED 0-30", "OPEN 30-98"])
      assert.deepStrictEqual(bands(second, "dead"), ["OPEN 0-98"])
      assert.deepStrictEqual(drawn(second, "dead"), ["rejected 10-10"])
      assert.deepStrictEqual(bands(first, "good"), [])
    }))

  it("shows its probe", () => {
    const change = (ms: number, from: string, to: string) =>
      at(ms, "CircuitStateChanged", on("f", { key: "k", from, to }))
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      change(5, "OPEN", "HALF_OPEN"),
      change(9, "HALF_OPEN", "CLOSED"),
      at(20, "GraphCompleted")
    ])
    assert.deepStrictEqual(bands(run, "f"), ["OPEN 0-5", "HALF_OPEN 5-9", "CLOSED 9-20"])
  })

  it("keeps its state in a run that tells nothing of it", () => {
    const { runs: [, second] } = modelOf([
      at(0, "GraphStarted"),
      at(5, "CircuitStateChanged", on("f", { key: "k", from: "CLOSED", to: "OPEN" })),
      at(9, "GraphCompleted"),
      at(20, "GraphStarted", {}, "r2"),
      at(25, "AttemptStarted", on("f"), "r2")
    ])
    assert.deepStrictEqual(bands(second, "f"), ["OPEN 0-5"])
  })

  it("that opens while a flow is being stopped is not closed by the older state in that flow's result", () => {
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      at(5, "CircuitStateChanged", on("f", { key: "k", from: "CLOSED", to: "OPEN" })),
      at(9, "FlowCompleted", result("f", { circuitState: "CLOSED" }))
    ])
    assert.deepStrictEqual(bands(run, "f"), ["CLOSED 0-5", "OPEN 5-9"])
  })

  it("that was reset between two runs is CLOSED in the second", () => {
    const { runs: [, second] } = modelOf([
      at(0, "GraphStarted"),
      at(5, "CircuitStateChanged", on("f", { key: "g/f", from: "CLOSED", to: "OPEN" })),
      at(9, "GraphCompleted"),
      at(20, "GraphStarted", {}, "r2"),
      at(30, "FlowCompleted", result("f", { circuitState: "CLOSED" }), "r2")
    ])
    assert.deepStrictEqual(bands(second, "f"), ["CLOSED 0-10"])
  })

  it("that another run opens meanwhile is open here too", () => {
    const { runs: [first] } = modelOf([
      at(0, "GraphStarted"),
      at(10, "GraphStarted", {}, "r2"),
      at(15, "CircuitStateChanged", on("f", { key: "k", from: "CLOSED", to: "OPEN" }), "r2"),
      at(20, "FlowRejected", on("f", { circuit: { key: "k", state: "OPEN", retryAfterMs: 5 } }))
    ])
    assert.deepStrictEqual(bands(first, "f"), ["CLOSED 0-15", "OPEN 15-20"])
  })
})
