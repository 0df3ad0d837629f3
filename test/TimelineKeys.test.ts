/** The flows of a map in a timeline: keys are data, and may be paths or URLs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { type GraphEvent, StateGraph, Timeline } from "effect-stategraph"
import { branchesOf } from "../src/internal/timelineBranches.ts"
import { modelOf } from "../src/internal/timelineModel.ts"
import { splitRuns } from "../src/internal/timelineRuns.ts"

const keys = ["a/b", "c", "a/d", "https://x/y?z=[1]/2"]

const graph = StateGraph.make("map", Schema.Struct({ n: Schema.Number }))
  .addNode("plan", () => Effect.void)
  .addNode("fetch", () => Effect.sleep(0), { item: Schema.String })
  .addFanInNode("join")
  .setEntryPoint("plan")
  .addParallelMap("plan", "fetch", "join", { items: () => keys, key: (key) => key, concurrency: 1 })
  .setFinishPoint("join")
  .compile()

const events = (): Promise<ReadonlyArray<GraphEvent.Any>> =>
  Effect.runPromise(Stream.runCollect(graph.stream({ n: 0 })))

const lanes = (page: string) =>
  [...page.matchAll(/class="name"[^>]*title="([^"]*)"[^>]*>(.*?)<\//g)].map(([, title, text]) => ({ title, text }))

const svg = (page: string) => page.slice(page.indexOf("<svg"), page.indexOf("</svg>"))

describe("the flows of a map in a timeline", () => {
  for (const diagram of [graph.diagram, undefined]) {
    const how = diagram === undefined ? "without its diagram" : "with its diagram"

    it(`have lanes of their whole names, in the order of the items, ${how}`, async () => {
      const page = Timeline.fromEvents(await events(), { diagram })
      const names = ["main line", ...keys.map((key) => `fetch[${key}]`)]
      assert.deepStrictEqual(lanes(page), names.map((name) => ({ title: name, text: name })))
    })

    it(`are marked at the one node that they start at, ${how}`, async () => {
      const drawn = svg(Timeline.fromEvents(await events(), { diagram }))
      assert.strictEqual(drawn.match(/<title>fetch(\[.*?)?<\/title>/g)?.length, 1)
      assert.include(drawn, `class="marks"`)
      assert.strictEqual(drawn.match(/<path class="edge/g)?.length, 4, "start to plan to fetch to join to end")
    })
  }
})

const at = (tag: string, branch: string, more: object = {}) =>
  ({ _tag: tag, runId: "r", graph: "g", at: 0, scope: "flow", branch, fanIn: "join", attempt: 1, ...more }) as never

const start = { _tag: "GraphStarted", runId: "r", graph: "g", at: 0 } as never

/** The flow around each, its name without its key, and what names it below the one around. */
const placesOf = (
  branches: ReadonlyArray<readonly [branch: string, fanIn: string]>,
  options: { readonly cut?: boolean; readonly declared?: Record<string, ReadonlyArray<string>> } = {}
) => {
  const events = branches.map(([branch, fanIn]) => at("AttemptStarted", branch, { fanIn }))
  const declared = (fanIn: string) => {
    const names = options.declared?.[fanIn]
    return names === undefined ? undefined : new Set(names)
  }
  const placeOf = branchesOf(splitRuns(options.cut === true ? events : [start, ...events]), declared)
  return branches.map(([branch]) => {
    const { around, label, name } = placeOf(branch)
    return [around, name, label]
  })
}

describe("where a flow belongs", () => {
  it("is read from names and keys in brackets", () => {
    assert.deepStrictEqual(
      placesOf([
        ["a", "join"],
        ["a/b", "within"],
        ["a/node/c", "node/within"],
        ["map[1]", "join"],
        ["map[@s/p]", "join"],
        ["map[@s/p]/in[x/y]", "within"],
        ["map[@s/p]/in[x/y]/deep", "below"],
        ["map[[x]]", "join"]
      ]),
      [
        [undefined, "a", "a"],
        ["a", "b", "b"],
        ["a", "c", "node/c"],
        [undefined, "map", "map[1]"],
        [undefined, "map", "map[@s/p]"],
        ["map[@s/p]", "in", "in[x/y]"],
        ["map[@s/p]/in[x/y]", "deep", "deep"],
        [undefined, "map", "map[[x]]"]
      ]
    )
  })

  it("is read from the flows that are known, where keys have brackets without their counterparts", () => {
    assert.deepStrictEqual(
      placesOf([
        ["map[a[]", "join"],
        ["map[a[]/in[b]", "within"],
        ["map[a]b]", "join"],
        ["map[a]b]/in[c/[]", "within"],
        ["map[x/y[z]", "join"],
        ["map[]]", "join"]
      ]),
      [
        [undefined, "map", "map[a[]"],
        ["map[a[]", "in", "in[b]"],
        [undefined, "map", "map[a]b]"],
        ["map[a]b]", "in", "in[c/[]"],
        [undefined, "map", "map[x/y[z]"],
        [undefined, "map", "map[]]"]
      ]
    )
  })

  it("is beside a flow of the same fan-in, whatever its key looks like", () => {
    assert.deepStrictEqual(placesOf([["map[x]", "join"], ["map[x]/in[y]", "join"]]), [
      [undefined, "map", "map[x]"],
      [undefined, "map", "map[x]/in[y]"]
    ])
    assert.deepStrictEqual(placesOf([["map[x]", "join"], ["map[x]/map[y]", "join"]]), [
      [undefined, "map", "map[x]"],
      [undefined, "map", "map[x]/map[y]"]
    ])
    assert.deepStrictEqual(placesOf([["map[x]", "join"], ["map[x]/in[y]", "within"]]), [
      [undefined, "map", "map[x]"],
      ["map[x]", "in", "in[y]"]
    ])
  })

  it("is read from the edges of the diagram, if there is one", () => {
    const branch = "map[x]/in[y]"
    const read = (name: string) => placesOf([[branch, "join"]], { cut: true, declared: { join: [name] } })
    assert.deepStrictEqual(read("map"), [[undefined, "map", branch]])
    assert.deepStrictEqual(read("in"), [[undefined, "in", branch]])
  })

  it("is as the text says, when the events are cut off and tell nothing", () => {
    assert.deepStrictEqual(placesOf([["map[a/b]/in[c]", "within"]], { cut: true }), [[
      undefined,
      "in",
      "map[a/b]/in[c]"
    ]])
    assert.deepStrictEqual(placesOf([["no]name", "join"], ["/", "join"], ["", "join"]]), [
      [undefined, "no]name", "no]name"],
      [undefined, "/", "/"],
      [undefined, "", ""]
    ])
  })

  it("is found in reasonable time, whatever a key is", () => {
    const key = "[/]a[".repeat(3000)
    const [place] = placesOf([[`map[${key}]`, "join"]])
    assert.strictEqual(place?.[1], "map")
  })
})

describe("the flows of a map with a limited number of places", () => {
  it("wait to start, from when the node before them has completed", () => {
    const onMain = { branch: undefined, fanIn: undefined, node: "plan" }
    const { runs: [made] } = modelOf(
      [
        start,
        at("NodeStarted", "", onMain),
        at("NodeCompleted", "", { ...onMain, at: 10 }),
        at("FlowStarted", "fetch[a/b]", { at: 30 }),
        at("AttemptStarted", "fetch[a/b]", { at: 30 }),
        at("AttemptSucceeded", "fetch[a/b]", { at: 40 })
      ].map((event: object) => ({ ...event, graph: "map" }) as never),
      graph.diagram
    )
    assert.deepStrictEqual(
      made?.lanes[1]?.segments.map(({ from, kind, to }) => [kind, from, to]),
      [["queue", 10, 30], ["attempt", 30, 40]]
    )
  })

  it("are counted at their node", async () => {
    for (const diagram of [graph.diagram, undefined]) {
      const drawn = svg(Timeline.fromEvents(await events(), { diagram }))
      assert.include(drawn, `<tspan class="success">4 ✓<title>run 1: 4 succeeded</title></tspan>`)
      assert.include(drawn, "for each item")
    }
  })

  it("share their circuit, if it is the one of their edge", () => {
    const { runs: [run] } = modelOf([
      start,
      at("AttemptStarted", "map[a/1]"),
      at("CircuitStateChanged", "map[a/1]", { at: 5, key: "g/map", from: "CLOSED", to: "OPEN" }),
      at("AttemptStarted", "map[b]"),
      at("CircuitStateChanged", "other[a]", { at: 7, key: "host-a", from: "CLOSED", to: "OPEN" }),
      at("AttemptStarted", "other[b]", { at: 9 })
    ])
    const circuits = run?.lanes.slice(1).map(({ branch, circuit }) => [branch, circuit?.key])
    assert.deepStrictEqual(circuits, [
      ["map[a/1]", "g/map"],
      ["map[b]", "g/map"],
      ["other[a]", "host-a"],
      ["other[b]", undefined]
    ])
  })
})
