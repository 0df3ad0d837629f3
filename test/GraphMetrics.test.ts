/** The series of a run, in the registry of whoever runs it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, Schema } from "effect"
import { GraphMetrics, StateGraph } from "effect-stategraph"
import { keyOf } from "../src/GraphMetrics.ts"

type Registry = typeof Metric.MetricRegistry.Service

const make = (graph = "measured") =>
  StateGraph.make(graph, Schema.Struct({ n: Schema.Number }))
    .addNode("start")
    .addNode("a", () => Effect.succeed({ n: 1 }))
    .addNode("b", () => Effect.fail("down"))
    .addFanInNode("join", () => ({}))
    .setEntryPoint("start")
    .addParallelEdge("start", "a", "join")
    .addParallelEdge("start", "b", "join")
    .setFinishPoint("join")
    .compile()

const within = (registry: Registry) => Effect.provideService(Metric.MetricRegistry, registry)

const attributesOf = (branch: string, outcome: string, more = {}) => ({ graph: "measured", branch, outcome, ...more })
const ended = Metric.withAttributes(GraphMetrics.flows, attributesOf("a", "Success"))
const failed = Metric.withAttributes(GraphMetrics.flows, attributesOf("b", "Failure"))
const took = Metric.withAttributes(GraphMetrics.flowDuration, attributesOf("a", "Success"))
const inFlight = Metric.withAttributes(GraphMetrics.flowsInFlight, { graph: "measured" })

const countsIn = (registry: Registry) =>
  Effect.gen(function*() {
    const [a, b, durations, running] = [
      yield* Metric.value(ended),
      yield* Metric.value(failed),
      yield* Metric.value(took),
      yield* Metric.value(inFlight)
    ]
    return [a.count, b.count, durations.count, running.value]
  }).pipe(within(registry))

describe("the series of a graph", () => {
  it.effect("count on, from run to run and from graph to graph of one name", () =>
    Effect.gen(function*() {
      const registry: Registry = new Map()
      const [one, other] = [make(), make()]
      for (const graph of [one, other, one]) yield* within(registry)(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(yield* countsIn(registry), [3, 3, 3, 0])
      // Two of each branch and the one of the graph: what was read above is what was written.
      assert.strictEqual(registry.size, 5)
    }))

  it.effect("are each registry's own, though they take turns", () =>
    Effect.gen(function*() {
      const [first, second]: [Registry, Registry] = [new Map(), new Map()]
      const graph = make()
      for (const registry of [first, second, first]) yield* within(registry)(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(yield* countsIn(first), [2, 2, 2, 0])
      assert.deepStrictEqual(yield* countsIn(second), [1, 1, 1, 0])
    }))

  it.effect("that were removed begin again", () =>
    Effect.gen(function*() {
      const registry: Registry = new Map()
      const graph = make()
      yield* within(registry)(graph.invoke({ n: 0 }))
      yield* within(registry)(Effect.andThen(Metric.remove(ended), Metric.remove(inFlight)))
      yield* within(registry)(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(yield* countsIn(registry), [1, 2, 2, 0])
      registry.clear()
      yield* within(registry)(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(yield* countsIn(registry), [1, 1, 1, 0])
    }))

  it.effect("have the attributes of the context too, for as long as it has them", () =>
    Effect.gen(function*() {
      const registry: Registry = new Map()
      const graph = make()
      const inRegion = (region: string) => Effect.provideService(Metric.CurrentMetricAttributes, { region })
      const run = within(registry)(graph.invoke({ n: 0 }))
      yield* Effect.andThen(run, inRegion("eu")(Effect.andThen(run, run)))
      yield* Effect.andThen(inRegion("us")(run), run)
      assert.deepStrictEqual(yield* countsIn(registry), [2, 2, 2, 0])
      for (const [region, count] of [["eu", 2], ["us", 1]] as const) {
        const series = Metric.withAttributes(GraphMetrics.flows, attributesOf("a", "Success", { region }))
        assert.strictEqual((yield* within(registry)(Metric.value(series))).count, count)
      }
    }))

  it.effect("are found by the keys that Metric gives them", () =>
    Effect.gen(function*() {
      const registry: Registry = new Map()
      yield* within(registry)(make().invoke({ n: 0 }))
      for (const { attributes, description, id, type } of yield* within(registry)(Metric.snapshot)) {
        assert.isTrue(registry.has(keyOf({ attributes, description, id, type } as Parameters<typeof keyOf>[0])), id)
      }
      const unlabelled = [...registry.keys()].filter((key) => key.endsWith("[]]"))
      assert.deepStrictEqual(unlabelled, [])
    }))
})
