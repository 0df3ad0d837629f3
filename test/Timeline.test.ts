/**
 * The timeline of a run: its model to the millisecond, and what may stand in its page.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schema } from "effect"
import { type GraphEvent, StateGraph, Timeline } from "effect-stategraph"
import { createHash } from "node:crypto"
import type { Diagram } from "../src/Diagram.ts"
import { duration, escape, list, shorten } from "../src/internal/timelineHtml.ts"
import { layout } from "../src/internal/timelineLayout.ts"
import { type Model, modelOf, type Run } from "../src/internal/timelineModel.ts"
import { script, scriptHash } from "../src/internal/timelineScript.ts"
import { launchNodeOf, ofDiagram, ofEvents } from "../src/internal/timelineShape.ts"
import { style, styleHash } from "../src/internal/timelineStyle.ts"
import { stepOf, ticks } from "../src/internal/timelineTicks.ts"
import { endOf, eventsOf } from "./support/scenario.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

const State = Schema.Struct({ run: Schema.Number })
type Events = ReadonlyArray<GraphEvent.Any>

const nap = (ms: number) => () => Effect.as(Effect.sleep(ms), {})
const boom = new Boom({ message: "status 500" })
const quiet = Effect.provide(Logger.layer([]))

/** Five services: two good ones, one too late, one that fails, one that does not stop. */
const makeServices = () =>
  StateGraph.make("services", State)
    .addNode("plan", nap(10))
    .addNode("good", nap(20))
    .addNode(
      "again",
      (_state, { attempt }) => Effect.andThen(Effect.sleep(5), attempt === 1 ? boom : Effect.succeed({}))
    )
    .addNode("late", () => Effect.onInterrupt(Effect.never, () => Effect.sleep(15)))
    .addNode("dead", () => Effect.andThen(Effect.sleep(5), boom))
    .addNode("zombie", () => Effect.as(Effect.uninterruptible(Effect.sleep(500)), {}))
    .addFanInNode("report", nap(3))
    .setEntryPoint("plan")
    .addParallelEdge("plan", "good", "report")
    .addParallelEdge("plan", "again", "report", { retry: { maxRetries: 1, baseDelay: 30 } })
    .addParallelEdge("plan", "late", "report", {
      timeout: 50,
      retry: { maxRetries: 1, baseDelay: 40 },
      totalTimeout: 85
    })
    .addParallelEdge("plan", "dead", "report", {
      retry: { maxRetries: 2, baseDelay: 10, exponentialBackoff: false },
      circuitBreaker: { failureThreshold: 2, resetTimeout: 100_000 }
    })
    .addParallelEdge("plan", "zombie", "report", { timeout: 30, grace: 20 })
    .setFinishPoint("report")
    .compile()

const runs = (count: number): Effect.Effect<Events> =>
  Effect.gen(function*() {
    const services = makeServices()
    const all: Array<GraphEvent.Any> = []
    for (let run = 1; run <= count; run++) {
      const { exit } = yield* endOf(eventsOf(services, { run }, { runId: `id-${run}` }), 1000)
      if (Exit.isSuccess(exit)) all.push(...exit.value.events)
    }
    return all
  }).pipe(quiet)

const laneOf = (run: Run | undefined, branch: string | undefined) => {
  const lane = run?.lanes.find((lane) => lane.branch === branch)
  assert(lane !== undefined, `there is a lane ${branch}`)
  return lane
}

/** `kind outcome from-to` of each segment. */
const drawn = (run: Run | undefined, branch?: string): ReadonlyArray<string> =>
  laneOf(run, branch).segments.map(({ from, kind, outcome, to }) =>
    `${kind}${outcome === undefined ? "" : ` ${outcome}`} ${from}-${to}`
  )

const bands = (run: Run | undefined, branch: string): ReadonlyArray<string> =>
  laneOf(run, branch).circuit?.bands.map(({ from, state, to }) => `${state} ${from}-${to}`) ?? []

/** Events made by hand. */
const at = <Tag extends GraphEvent.Any["_tag"]>(
  ms: number,
  tag: Tag,
  fields: object = {},
  runId = "r"
): GraphEvent.Any => ({ _tag: tag, runId, graph: "g", at: ms, ...fields }) as unknown as GraphEvent.Any

const on = (branch: string, more: object = {}) => ({ branch, fanIn: "join", attempt: 1, scope: "flow", ...more })

const result = (branch: string, more: object = {}) => ({
  branch,
  fanIn: "join",
  result: { _tag: "Success", branch, success: true, abandoned: false, attempts: 1, timingMs: 10, ...more }
})

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
      at(1, "AttemptStarted", on("f", { scope: "node" })),
      at(5, "AttemptFailed", on("f", { scope: "node", error: "no" })),
      at(5, "RetryScheduled", on("f", { scope: "node", delayMs: 2, error: "no" })),
      at(9, "FlowTimedOut", on("f", { scope: "node", timeoutKind: "attempt", timeoutMs: 2 })),
      at(12, "AttemptSucceeded", on("f"))
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt success 0-12"])
    assert.deepStrictEqual(laneOf(run, "f").segments[0]?.details.slice(1), [
      "its node failed in its own attempt 1: no",
      "its node: the limit of 2 ms for one attempt was reached"
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
    assert.deepStrictEqual(drawn(modelOf(events, launchNodeOf(diagram)).runs[0], "f"), [
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
    assert.deepStrictEqual(run?.lanes.map(({ branch, depth }) => [branch, depth]), [
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

describe("the graph", () => {
  const edges = (shape: ReturnType<typeof ofEvents>): ReadonlyArray<string> =>
    shape.edges.map(({ from, kind, to }) => `${from} ${kind} ${to}`).sort()

  it.effect("that the events show is the one of the diagram", () =>
    Effect.gen(function*() {
      const [seen, declared] = [ofEvents(yield* runs(1)), ofDiagram(makeServices().diagram)]
      assert.deepStrictEqual(edges(seen), edges(declared))
      assert.sameDeepMembers([...seen.nodes], [...declared.nodes])
    }))

  it("shows flows that never ran a node, and flows of flows", () => {
    const shape = ofEvents([
      at(0, "GraphStarted"),
      at(0, "FlowRejected", on("off", { circuit: { key: "k", state: "OPEN", retryAfterMs: 1 } })),
      at(0, "FlowStarted", on("outer")),
      at(0, "AttemptStarted", on("outer")),
      at(0, "NodeStarted", on("outer", { node: "n" })),
      at(1, "NodeCompleted", on("outer", { node: "n" })),
      at(1, "FlowStarted", on("outer/inner", { fanIn: "within" })),
      at(1, "AttemptStarted", on("outer/inner", { fanIn: "within" })),
      at(1, "NodeStarted", on("outer/inner", { fanIn: "within", node: "m" }))
    ])
    assert.deepStrictEqual(edges(shape), [
      "__start__ parallel flow join off",
      "__start__ parallel n",
      "flow join off join join",
      "m join within",
      "n parallel m"
    ])
  })

  it("draws many flows of one kind as one box", () => {
    const many = Array.from({ length: 50 }, (_, i) => on(`f${i}`))
    const shape = ofEvents([
      at(0, "GraphStarted"),
      at(0, "NodeStarted", { node: "plan" }),
      at(1, "NodeCompleted", { node: "plan" }),
      ...many.flatMap((one) => [
        at(1, "FlowStarted", one),
        at(1, "AttemptStarted", one),
        at(1, "NodeStarted", { ...one, node: one.branch })
      ])
    ])
    assert.deepStrictEqual(shape.nodes.map(({ label }) => label), ["start", "plan", "join", "50 flows"])
    assert.strictEqual(shape.nodes[3]?.flows.length, 50)
  })

  it("is laid out from left to right, without boxes that overlap", () => {
    const names = Array.from({ length: 30 }, (_, i) => `n${i}`)
    const boxes = names.map((id, i) => ({ id, width: 40 + i % 7 * 20, height: 28 + i % 3 * 10 }))
    const links = names.flatMap((from, i) =>
      [i * 2 + 1, i * 2 + 2, i + 9].filter((to) => to < 30).map((to) => ({ from, to: names[to]! }))
    )
    const loops = [{ from: "n29", to: "n0" }, { from: "n4", to: "n4" }]
    const placed = layout(boxes, [...links, ...loops])
    const areas = boxes.map((box) => ({ ...box, ...placed.boxes.get(box.id)! }))
    for (const a of areas) {
      assert(a.x >= 0 && a.y >= 0 && a.x + a.width <= placed.width && a.y + a.height <= placed.height, a.id)
      for (const b of areas) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
        assert(a === b || apart, `${a.id} and ${b.id}`)
      }
    }
    const area = (id: string) => areas.find((one) => one.id === id)!
    for (const { from, to } of links) assert.isBelow(area(from).x + area(from).width, area(to).x)
    assert.strictEqual(placed.paths.length, links.length + 2)
    assert.notInclude(placed.paths.join(), "NaN")
  })
})

describe("the page", () => {
  const hostile = [
    `<img src=x onerror=alert(1)>`,
    `"><script>alert(2)</script>`,
    `'onmouseover='alert(3)`,
    "</style></title></textarea><!--",
    "javascript:alert(4)",
    "a\u0000b\u0007\ud800\u202ec",
    "`${alert(5)}`"
  ]

  it("holds nothing of a run but text", () => {
    const events = hostile.flatMap((name, i) =>
      [
        at(0, "GraphStarted", {}, name),
        at(0, "NodeStarted", { node: name }),
        at(1, "NodeFailed", { node: name, error: name }),
        at(1, "AttemptStarted", on(name)),
        at(2, "CircuitStateChanged", on(name, { key: name, from: "CLOSED", to: "OPEN" })),
        at(2, "AttemptFailed", on(name, { error: name })),
        at(2, "FlowCompleted", {
          ...result(name, { _tag: "Failure", success: false, error: name }),
          fanIn: name
        }),
        at(3 + i, "GraphFailed", { error: name, errorType: name })
      ].map((event) => ({ ...event, graph: name, runId: name }))
    )
    const page = Timeline.fromEvents(events, { title: hostile.join() })
    const tags = [...page.matchAll(/<\/?([a-z!][a-z0-9-]*)/gi)].map(([, tag]) => tag?.toLowerCase())
    for (const tag of ["img", "textarea"]) assert.notInclude(tags, tag)
    for (const tag of ["script", "style", "title"]) {
      const inSvg = tag === "title" ? [...page.matchAll(/<title>[^<]*<\/title>/g)].length : 1
      assert.strictEqual(tags.filter((one) => one === tag).length, 2 * inSvg, tag)
    }
    const markup = page.replace(/<(style|script)>[^]*?<\/\1>/g, "").replace(/"[^"]*"/g, "")
    assert.notMatch(markup, /<[^>]*\son[a-z]+\s*=/i)
    for (const name of hostile) assert.include(page, escape(name))
    assert.notMatch(page, /(?![\n\t])[\p{Cc}\p{Cs}]/u)
  })

  it("allows its own style and script, and nothing else", () => {
    const page = Timeline.fromEvents([at(0, "GraphStarted")])
    const hash = (text: string) => `sha256-${createHash("sha256").update(text).digest("base64")}`
    assert.strictEqual(styleHash, hash(style))
    assert.strictEqual(scriptHash, hash(script))
    assert.include(page, `<style>${style}</style>`)
    assert.include(page, `<script>${script}</script>`)
    const policy =
      `default-src 'none'; script-src '${scriptHash}'; style-src '${styleHash}'; style-src-attr 'unsafe-inline'`
    assert.include(page, `content="${escape(policy)}`)
    assert.notMatch(page, /https?:|url\((?!#)|@import|\ssrc=/)
  })

  it.effect("is the same for events that were stored as JSON", () =>
    Effect.gen(function*() {
      const events = yield* runs(1)
      assert.strictEqual(Timeline.fromEvents(JSON.parse(JSON.stringify(events))), Timeline.fromEvents(events))
    }))

  it("says that there are no events", () => {
    const page = Timeline.fromEvents([])
    assert.include(page, "There are no events.")
    assert.include(page, "<title>Timeline</title>")
  })

  it("has the title that was given, or one of its graphs", () => {
    assert.include(Timeline.fromEvents([at(0, "GraphStarted")]), "<title>Timeline of g</title>")
    assert.include(Timeline.fromEvents([at(0, "GraphStarted")], { title: "A & B" }), "<title>A &amp; B</title>")
  })

  it("takes only the diagram of its own graph for it", () => {
    const diagram: Diagram = { name: "other", nodes: [{ name: "elsewhere", kind: "node" }], edges: [] }
    const page = Timeline.fromEvents([at(0, "GraphStarted"), at(0, "NodeStarted", { node: "here" })], { diagram })
    assert.include(page, ">here<")
    assert.include(page, ">elsewhere<")
    const own = Timeline.fromEvents([at(0, "GraphStarted"), at(0, "NodeStarted", { node: "here" })], {
      diagram: { ...diagram, name: "g" }
    })
    assert.include(own, ">elsewhere<")
    assert.strictEqual(own.match(/class="graph"/g)?.length, 1)
  })
})

describe("words", () => {
  it("are escaped for text and for quoted attributes", () => {
    assert.strictEqual(
      escape(`<a b="c" d='e'>&\`\r\n\t\u0000\ud800`),
      "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;&#96;&#10;\t\ufffd\ufffd"
    )
  })

  it("tell a time as a reader says it", () => {
    const times = [0, 12.4, 999, 1000, 2516, 12_345, 60_000, 185_000, 3_600_000, 7_800_000]
    assert.deepStrictEqual(times.map(duration), [
      "0 ms",
      "12 ms",
      "999 ms",
      "1 s",
      "2.52 s",
      "12.3 s",
      "1 min",
      "3 min 5 s",
      "1 h",
      "2 h 10 min"
    ])
  })
  it("tell the first of many names", () => {
    assert.strictEqual(list(["a", "b", "c", "d", "e", "f"]), "a, b, c and 3 more")
    assert.strictEqual(list(["a", "b"]), "a and b")
    assert.strictEqual(list([]), "")
    assert.strictEqual(shorten("abcdef", 3), "abc…")
  })
  it("stand at round times of the axis, at most eleven of them", () => {
    for (let span = 1; span < 1e9; span = Math.ceil(span * 1.7)) {
      const all = ticks(span)
      assert.isAtMost(all.length, 11)
      assert.strictEqual(all[0]?.text, "0")
      assert.strictEqual(all.length < 2 ? 0 : all[1]!.at, all.length < 2 ? 0 : stepOf(span))
    }
    assert.deepStrictEqual(ticks(2516).map(({ text }) => text), ["0", "500 ms", "1 s", "1.5 s", "2 s"])
  })
})
