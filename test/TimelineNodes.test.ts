/** Nodes with a policy of their own, and nodes that are graphs, in a timeline. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schema } from "effect"
import { StateGraph, Timeline } from "effect-stategraph"
import { type Model, modelOf } from "../src/internal/timelineModel.ts"
import { boom } from "./support/fan.ts"
import { endOf, eventsOf } from "./support/scenario.ts"
import { at, bands, drawn, type Events, laneOf, on, result } from "./support/timeline.ts"

const State = Schema.Struct({ n: Schema.Number })
const nap = (ms: number) => () => Effect.as(Effect.sleep(ms), {})
const flaky = (good: number) => (_state: unknown, { attempt }: { readonly attempt: number }) =>
  Effect.andThen(Effect.sleep(5), attempt < good ? boom("no") : Effect.void)

const eventsOfRun = <E>(graph: StateGraph.CompiledGraph<typeof State.Type, { readonly n: number }, E, never>) =>
  Effect.gen(function*() {
    const { exit } = yield* endOf(eventsOf(graph, { n: 1 }, { runId: "r" }), 1000)
    return Exit.isSuccess(exit) ? exit.value.events : []
  }).pipe(Effect.provide(Logger.layer([]))) as Effect.Effect<Events>

/** plan (retried) => work (retried), late (limited, with a fallback) => report */
const guarded = StateGraph.make("guarded", State)
  .addNode("plan", flaky(2), { retry: { maxRetries: 1, baseDelay: 10 } })
  .addNode("work", flaky(3), { retry: { maxRetries: 2, baseDelay: 10, exponentialBackoff: false } })
  .addNode("late", () => Effect.never, { timeout: 20, fallback: {} })
  .addNode("good", flaky(1), { retry: { maxRetries: 1 } })
  .addFanInNode("report", nap(3))
  .setEntryPoint("plan")
  .addParallelEdge("plan", "work", "report")
  .addParallelEdge("plan", "late", "report")
  .addParallelEdge("plan", "good", "report")
  .setFinishPoint("report")
  .compile()

const partsOf = ({ runs: [run] }: Model, branch?: string) =>
  laneOf(run, branch).segments.flatMap(({ parts }) => parts.map(({ from, outcome, to }) => `${outcome} ${from}-${to}`))

describe("a node with a policy of its own", () => {
  it.effect("shows its attempts inside of what it belongs to, on the main line and in a flow", () =>
    Effect.gen(function*() {
      const model = modelOf(yield* eventsOfRun(guarded))
      const { runs: [run] } = model
      assert.deepStrictEqual(drawn(run), ["node success 0-20", "gather 20-55", "fanIn success 55-58"])
      assert.deepStrictEqual(partsOf(model), ["failure 0-5", "success 15-20"])
      assert.deepStrictEqual(drawn(run, "work"), ["attempt success 20-55"])
      assert.deepStrictEqual(partsOf(model, "work"), ["failure 20-25", "failure 35-40", "success 50-55"])
      assert.deepStrictEqual(drawn(run, "late"), ["attempt success 20-40"])
      assert.deepStrictEqual(partsOf(model, "late"), ["timeout 20-40"])
      assert.deepStrictEqual(partsOf(model, "good"), [], "it succeeded at once")
      assert.deepStrictEqual(laneOf(run, undefined).segments[0]?.details, [
        "node plan completed after 20 ms",
        "node plan, attempt 1 failed: no, after 5 ms",
        "node plan: attempt 2 follows 10 ms later",
        "node plan, attempt 2 succeeded after 5 ms"
      ])
      assert.deepStrictEqual(laneOf(run, "late").segments[0]?.details.slice(1), [
        "node late gave its fallback after 20 ms",
        "node late, attempt 1 timed out: the limit of 20 ms for one attempt was reached, after 20 ms"
      ])
      assert.strictEqual(run?.rows.every(({ attempts }) => attempts === 1), true)
    }))

  it.effect("has thin marks in the page, to scale, and the key says what they are", () =>
    Effect.gen(function*() {
      const page = Timeline.fromEvents(yield* eventsOfRun(guarded))
      assert.include(
        page,
        `<u class="p failure" style="--m:0;--n:25"></u><u class="p success" style="--m:75;--n:25"></u>`
      )
      assert.include(page, "attempts of a node of its own")
      assert.notInclude(Timeline.fromEvents([at(0, "GraphStarted")]), "attempts of a node of its own")
    }))

  it("can be refused, and its circuit is not taken for the flow's", () => {
    const node = { node: "n", scope: "node" }
    const events = [
      at(0, "GraphStarted"),
      at(0, "FlowStarted", on("f")),
      at(0, "AttemptStarted", on("f")),
      at(0, "NodeStarted", on("f", { node: "n" })),
      at(2, "AttemptStarted", on("f", node)),
      at(4, "AttemptFailed", on("f", { ...node, error: "no" })),
      at(4, "CircuitStateChanged", on("f", { ...node, key: "g#n", from: "CLOSED", to: "OPEN" })),
      at(6, "FlowRejected", on("f", { ...node, circuit: { key: "g#n", state: "OPEN", retryAfterMs: 5 } })),
      at(6, "NodeFailed", on("f", { node: "n", error: "circuit open" })),
      at(6, "AttemptFailed", on("f", { error: "circuit open" })),
      at(6, "FlowCompleted", result("f", { _tag: "Failure", success: false, error: "circuit open" })),
      at(8, "NodeStarted", { node: "m" }),
      at(9, "FlowRejected", { node: "m", scope: "node", limit: { key: "api", permits: 2, queue: 3 } }),
      at(9, "NodeFailed", { node: "m", error: "limit" }),
      at(9, "GraphFailed", { error: "limit", errorType: "LimitExceededError" })
    ]
    const model = modelOf(events)
    const { runs: [run] } = model
    assert.deepStrictEqual(drawn(run, "f"), ["attempt failure 0-6"])
    assert.deepStrictEqual(partsOf(model, "f"), ["failure 2-4", "rejected 6-6"])
    assert.deepStrictEqual(partsOf(model), ["rejected 9-9"])
    assert.include(laneOf(run, "f").segments[0]?.details.join("\n"), "node n was refused: circuit g#n is OPEN")
    assert.include(
      laneOf(run, undefined).segments.at(-1)?.details.join("\n"),
      "node m was refused: limit api has all 2 permits in use, and all 3 places of its queue"
    )
    assert.deepStrictEqual([laneOf(run, "f").circuit?.node, ...bands(run, "f")], ["n", "CLOSED 0-4", "OPEN 4-9"])
    assert.include(run?.summary, "the circuit of node n opened")
  })

  it("ends with what it belongs to, and is no attempt of a flow that began before the events", () => {
    const node = { node: "n", scope: "node" }
    const model = modelOf([
      at(0, "AttemptFailed", { ...node, attempt: 4, error: "no" }),
      at(0, "RetryScheduled", on("f", { ...node, attempt: 7, delayMs: 3, error: "no" })),
      at(5, "AttemptStarted", on("f", { ...node, attempt: 8 })),
      at(9, "AttemptInterrupted", on("f", { attempt: 2 })),
      at(9, "AttemptInterrupted", on("f", { ...node, attempt: 8 })),
      at(9, "NodeCompleted", { node: "n" })
    ])
    assert.deepStrictEqual(drawn(model.runs[0], "f"), ["attempt interrupted 0-9"])
    assert.deepStrictEqual(laneOf(model.runs[0], "f").segments[0]?.label, "2")
    assert.deepStrictEqual(partsOf(model, "f"), ["open 5-9"])
    assert.deepStrictEqual(drawn(model.runs[0]), ["node success 0-9"])
  })
})

describe("a limit", () => {
  it("that refuses a flow is not taken for a circuit", () => {
    const refused = {
      _tag: "Rejected",
      success: false,
      attempts: 0,
      timingMs: 0,
      error: "limit reached",
      errorType: "LimitExceededError"
    }
    const events = [
      at(0, "GraphStarted"),
      at(3, "FlowRejected", on("f", { limit: { key: "api", permits: 2, queue: 0 } })),
      at(3, "FlowCompleted", result("f", refused)),
      at(4, "GraphCompleted")
    ]
    const { runs: [run] } = modelOf(events)
    assert.deepStrictEqual(drawn(run, "f"), ["rejected 3-3"])
    assert.deepStrictEqual(laneOf(run, "f").segments[0]?.details, ["refused: limit api has all 2 permits in use"])
    assert.strictEqual(run?.summary, "Run 1 took 4 ms: f was refused, because its limit was reached.")
    const page = Timeline.fromEvents(events)
    assert.include(page, "refused by its limit")
    assert.notInclude(page, "refused by its circuit")
  })
})

describe("a node that is a graph", () => {
  const inner = StateGraph.make("prices", State)
    .addNode("start", nap(2))
    .addNode("corner", nap(10))
    .addNode("market", nap(15))
    .addFanInNode("collect", nap(1))
    .setEntryPoint("start")
    .addParallelEdge("start", "corner", "collect")
    .addParallelMap("start", "market", "collect", { items: () => ["a/b", "c"], key: String })
    .setFinishPoint("collect")
    .compile()
  const outer = StateGraph.make("order", State)
    .addNode("plan", nap(5))
    .addSubgraph("ask", inner, { input: (state) => state, output: () => ({}) })
    .addSubgraph("again", inner, { input: (state) => state, output: () => ({}) })
    .addFanInNode("report", nap(1))
    .setEntryPoint("plan")
    .addEdge("plan", "ask")
    .addParallelEdge("ask", "again", "report", { name: "second" })
    .setFinishPoint("report")
    .compile()

  it.effect("is part of the run that it is a node of, with its flows", () =>
    Effect.gen(function*() {
      const { runs } = modelOf(yield* eventsOfRun(outer), outer.diagram)
      assert.deepStrictEqual(runs.map(({ graph, outcome }) => [graph, outcome]), [["order", "success"]])
      const [run] = runs
      assert.deepStrictEqual(drawn(run), [
        "node success 0-5",
        "node success 5-23",
        "gather 23-41",
        "fanIn success 41-42"
      ])
      assert.deepStrictEqual(run?.lanes.map(({ branch, place }) => [branch, place?.label, place?.depth]), [
        [undefined, undefined, undefined],
        ["ask/corner", "ask/corner", 0],
        ["ask/market[a/b]", "ask/market[a/b]", 0],
        ["ask/market[c]", "ask/market[c]", 0],
        ["second", "second", 0],
        ["second/again/corner", "again/corner", 1],
        ["second/again/market[a/b]", "again/market[a/b]", 1],
        ["second/again/market[c]", "again/market[c]", 1]
      ])
      assert.deepStrictEqual(run?.rows.map(({ branch }) => branch), run?.lanes.slice(1).map(({ branch }) => branch))
      assert.deepStrictEqual(laneOf(run, undefined).segments[1]?.details, [
        "node ask completed after 18 ms",
        "node ask/start completed after 2 ms",
        "node ask/collect completed after 1 ms"
      ])
    }))

  it.effect("has a drawing of its own, with how its flows ended", () =>
    Effect.gen(function*() {
      const events = yield* eventsOfRun(outer)
      const page = Timeline.fromEvents(events, { diagram: outer.diagram })
      const captions = [...page.matchAll(/<p class="caption">(.*?)<\/p>/g)].map(([, text]) => text)
      assert.deepStrictEqual(captions, ["order", "ask is graph prices", "again is graph prices"])
      const drawings = page.split("<svg").slice(1)
      for (const drawing of drawings.slice(1)) {
        assert.include(drawing, ">market<")
        assert.include(drawing, `<tspan class="success">2 ✓<title>run 1: 2 succeeded</title></tspan>`)
      }
      const bare = Timeline.fromEvents(events).split("<svg").slice(1)
      assert.strictEqual(bare.length, 2)
      assert.include(bare[1], ">ask/market<")
      assert.deepStrictEqual([...bare[1]!.matchAll(/<text class="on-edge"[^>]*>([^<]*)/g)].map(([, text]) => text), [
        "for each item",
        "for each item"
      ])
    }))
})
