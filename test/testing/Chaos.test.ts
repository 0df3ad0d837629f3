/** Faults from a seed: what they are, where they are, and that nothing but the seed decides. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import { Checkpointer, type GraphEvent, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { Chaos } from "effect-stategraph/testing"
import { endOf, eventsOf } from "../support/scenario.ts"

const State = Schema.Struct({
  n: Schema.Number,
  told: Schema.optionalKey(Schema.Array(Schema.String))
})
type Result = ParallelFlowResult.ParallelFlowResult<typeof State.Type, unknown>

/** One flow, joined, and what the join was told. */
const single = (config: StateGraph.EdgeConfig = {}) => {
  const results: Array<Result> = []
  const graph = StateGraph.make("single", State)
    .addNode("web", () => ({ n: 1 }))
    .addFanInNode("join", (_state, { parallelResults }) => {
      results.push(...parallelResults)
    })
    .addParallelEdge(StateGraph.START, "web", "join", config)
    .setFinishPoint("join")
    .compile()
  return { graph, results }
}

/** What becomes of many flows, by branch; `ms` says how long the work of each takes. */
const many = (
  { chaos, concurrency, maxRetries = 0, ms = () => 0, size = 200 }: {
    readonly chaos: Chaos.Options
    readonly concurrency?: number
    readonly maxRetries?: number
    readonly ms?: (index: number) => number
    readonly size?: number
  }
) => {
  const told = new Map<string, string>()
  const graph = StateGraph.make("many", State)
    .addNode("ask", (_state, { index }) => Effect.delay(Effect.void, ms(index!)))
    .addFanInNode("join", (_state, { parallelResults }) => {
      for (const result of parallelResults) {
        const error = result.success ? "" : ` ${result.errorType} ${"failure" in result}`
        told.set(result.branch, `${result._tag} ${result.attempts}${error}`)
      }
    })
    .addParallelMap(StateGraph.START, "ask", "join", {
      items: () => Array.from({ length: size }, (_, i) => i),
      timeout: 50,
      retry: { maxRetries, baseDelay: 1 },
      ...concurrency === undefined ? {} : { concurrency }
    })
    .setFinishPoint("join")
    .compile()
  return Effect.as(endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(Chaos.layer(chaos)))), told)
}

const counted = (told: ReadonlyMap<string, string>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const text of told.values()) counts[text] = (counts[text] ?? 0) + 1
  return counts
}

const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("a fault", () => {
  it.effect("of kind failure is the node's typed failure, and the node does not run", () =>
    Effect.gen(function*() {
      const { graph, results } = single({ retry: { maxRetries: 1, baseDelay: 5 } })
      const chaos = Chaos.layer({ seed: 1, failure: 1 })
      yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(chaos), Effect.ignore))
      // The join is a node too.
      assert.deepStrictEqual(results, [])
      const onlyWeb = Chaos.layer({ seed: 1, failure: 1, nodes: ["web"] })
      yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(onlyWeb)))
      const [result] = results
      assert.strictEqual(result?._tag, "Failure")
      if (result?._tag !== "Failure") return
      assert.instanceOf(result.failure, Chaos.ChaosError)
      assert.strictEqual(result.error, `chaos: a failure in attempt 2 of node "web" in flow "web"`)
      assert.strictEqual(result.attempts, 2)
      assert.strictEqual(result.state.n, 0)
    }))

  it.effect("of kind defect is a defect", () =>
    Effect.gen(function*() {
      const { graph, results } = single()
      yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(Chaos.layer({ seed: 1, defect: 1, nodes: ["web"] }))))
      const [result] = results
      assert.isTrue(result?._tag === "Failure" && Cause.hasDies(result.cause) && !("failure" in result))
      assert.strictEqual(result?.get("errorType"), "ChaosError")
    }))

  it.effect("of kind hang never ends, and can be interrupted", () =>
    Effect.gen(function*() {
      const { graph, results } = single({ timeout: 100, retry: { maxRetries: 1, baseDelay: 5 } })
      const chaos = Chaos.layer({ seed: 1, hang: 1, nodes: ["web"] })
      const { at } = yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(chaos)))
      assert.strictEqual(at, 205)
      assert.strictEqual(results[0]?._tag, "Timeout")
      assert.isFalse(results[0]?.abandoned)
    }))

  it.effect("on the main line fails the run, outside of the graph's errors", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("line", State)
        .addNode("first", () => ({ n: 1 }))
        .setEntryPoint("first")
        .setFinishPoint("first")
        .compile()
      const run = graph.invoke({ n: 0 }).pipe(Effect.provide(Chaos.layer({ seed: 1, failure: 1 })))
      const error = failureOf(yield* Effect.exit(run))
      assert.instanceOf(error, Chaos.ChaosError)
      assert.strictEqual((error as Error).message, `chaos: a failure in attempt 1 of node "first"`)
      // Another run of the same graph, without the layer, has none.
      assert.deepStrictEqual(yield* graph.invoke({ n: 0 }), { n: 1 })
    }))

  it.effect("is survived by a checkpoint, with a schema of other errors too", () =>
    Effect.gen(function*() {
      class Bad extends Schema.TaggedError<Bad>()("Bad", {}) {}
      const graph = StateGraph.make("saved", State, { error: Bad })
        .addNode("web", ({ n }) => n > 9 ? Effect.fail(new Bad()) : Effect.succeed({ n: 1 }))
        .addNode("last", () => ({ n: 2 }))
        .addFanInNode("join", (_state, { parallelResults }) => ({
          told: parallelResults.map((result) => `${result._tag} ${String(result.get("errorType"))}`)
        }))
        .addParallelEdge(StateGraph.START, "web", "join")
        .addEdge("join", "last")
        .setFinishPoint("last")
        .compile()
      const chaos = Chaos.layer({ seed: 1, failure: 1, nodes: ["web", "last"] })
      const exit = yield* Effect.exit(graph.invoke({ n: 0 }, { thread: "t" }).pipe(Effect.provide(chaos)))
      assert.instanceOf(failureOf(exit), Chaos.ChaosError)
      // The same node of the same run, so the same fault.
      const again = yield* Effect.exit(graph.resume("t").pipe(Effect.provide(chaos)))
      assert.instanceOf(failureOf(again), Chaos.ChaosError)
      assert.deepStrictEqual(yield* graph.resume("t"), { n: 2, told: ["Failure ChaosError"] })
    }).pipe(Effect.provide(Checkpointer.Checkpointer.layerMemory)))
})

describe("latency", () => {
  it.effect("is added to every execution, also of one that fails", () =>
    Effect.gen(function*() {
      const { graph, results } = single({ retry: { maxRetries: 1, baseDelay: 5 } })
      const chaos = Chaos.layer({ seed: 1, latency: "30 millis", failure: 1, nodes: ["web"] })
      const { at } = yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(chaos)))
      assert.strictEqual(at, 65)
      assert.strictEqual(results[0]?._tag, "Failure")
      const slow = yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(Chaos.layer({ seed: 1, latency: 30 }))))
      // The flow, then the join.
      assert.strictEqual(slow.at, 120_000 + 60)
      assert.strictEqual(results[1]?.timingMs, 30)
      assert.strictEqual(results[1]?.state.n, 1)
    }))

  it.effect("of a range is of whole milliseconds, both ends included", () =>
    Effect.gen(function*() {
      const seen = new Set<number>()
      const graph = StateGraph.make("range", State)
        .addNode("ask", () => {})
        .addFanInNode("join", (_state, { parallelResults }) => {
          for (const { timingMs } of parallelResults) seen.add(timingMs)
        })
        .addParallelMap(StateGraph.START, "ask", "join", { items: () => Array.from({ length: 200 }, (_, i) => i) })
        .setFinishPoint("join")
        .compile()
      const chaos = Chaos.layer({ seed: 1, latency: { min: 20, max: "25 millis" }, nodes: ["ask"] })
      yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(chaos)))
      assert.deepStrictEqual([...seen].sort(), [20, 21, 22, 23, 24, 25])
    }))
})

describe("which executions get a fault", () => {
  it.effect("is as many as their shares say", () =>
    Effect.gen(function*() {
      const chaos = { seed: 1, failure: 0.2, defect: 0.1, hang: 0.3, nodes: ["ask"] }
      const counts = counted(yield* many({ chaos, size: 2000 }))
      assert.strictEqual(Object.values(counts).reduce((sum, count) => sum + count, 0), 2000)
      // Five standard deviations.
      assert.closeTo(counts["Failure 1 ChaosError true"]!, 400, 90)
      assert.closeTo(counts["Failure 1 ChaosError false"]!, 200, 70)
      assert.closeTo(counts["Timeout 1 TimeoutError true"]!, 600, 103)
      assert.closeTo(counts["Success 1"]!, 800, 110)
    }))

  it.effect("does not depend on what runs when", () =>
    Effect.gen(function*() {
      const chaos: Chaos.Options = { seed: "a", failure: 0.3, hang: 0.2, nodes: ["ask"] }
      const plain = yield* many({ chaos, maxRetries: 2 })
      const others = [
        yield* many({ chaos, maxRetries: 2, concurrency: 3 }),
        yield* many({ chaos, maxRetries: 2, ms: (index) => (index * 7) % 40 }),
        yield* many({ chaos, maxRetries: 2, concurrency: 5, ms: (index) => 40 - index % 40 })
      ]
      assert.isAbove(new Set(plain.values()).size, 3)
      for (const other of others) assert.deepStrictEqual(other, plain)
    }))

  it.effect("is other ones with another seed", () =>
    Effect.gen(function*() {
      const of = (seed: number) => many({ chaos: { seed, failure: 0.5, nodes: ["ask"] } })
      assert.deepStrictEqual(yield* of(1), yield* of(1))
      assert.notDeepEqual(yield* of(1), yield* of(2))
    }))

  it.effect("is decided anew for each attempt, of the flow and of the node", () =>
    Effect.gen(function*() {
      const attempts: Array<string> = []
      const graph = StateGraph.make("both", State)
        .addNode("ask", () => {}, { retry: { maxRetries: 2, baseDelay: 1 } })
        .addFanInNode("join", (_state, { parallelResults }) => {
          attempts.push(...parallelResults.map(({ _tag, attempts }) => `${_tag} ${attempts}`))
        })
        .addParallelMap(StateGraph.START, "ask", "join", {
          items: () => Array.from({ length: 300 }, (_, i) => i),
          retry: { maxRetries: 3, baseDelay: 1 }
        })
        .setFinishPoint("join")
        .compile()
      const chaos = Chaos.layer({ seed: 1, failure: 0.5, nodes: ["ask"] })
      yield* endOf(graph.invoke({ n: 0 }).pipe(Effect.provide(chaos)))
      // An attempt of the flow fails when three of the node do: one of eight.
      const first = attempts.filter((text) => text === "Success 1").length
      assert.closeTo(first, 300 * 7 / 8, 29)
      assert.isAbove(attempts.filter((text) => text === "Success 2").length, 0)
      assert.isBelow(attempts.filter((text) => text === "Failure 4").length, 4)
    }))

  it.effect("is decided anew in each round of a loop", () =>
    Effect.gen(function*() {
      const failed: Array<boolean> = []
      const graph = StateGraph.make("loop", State)
        .addNode("start", ({ n }) => ({ n: n + 1 }))
        .addNode("ask", () => {})
        .addNode("own", () => {}, { fallback: { told: ["fallback"] } })
        .addFanInNode("join", (_state, { parallelResults: [result] }) => {
          failed.push(result?.success === false)
        })
        .setEntryPoint("start")
        .addParallelEdge("start", "ask", "join")
        .addEdge("join", "own")
        .addConditionalEdges("own", ({ n }) => n < 60 ? "again" : "done", { again: "start", done: StateGraph.END })
        .compile()
      const chaos = Chaos.layer({ seed: 1, failure: 0.5, nodes: ["ask", "own"] })
      const { events } = yield* eventsOf(graph, { n: 0 }).pipe(Effect.provide(chaos))
      const of = (name: string) =>
        (events as ReadonlyArray<GraphEvent.Any>).filter((event) =>
          event._tag === "NodeCompleted" && event.node === name && event.usedFallback === true
        ).length
      assert.closeTo(failed.filter((one) => one).length, 30, 19)
      assert.closeTo(of("own"), 30, 19)
    }))
})

describe("nodes are chosen", () => {
  const inner = StateGraph.make("inner", State)
    .addNode("web", () => {})
    .addNode("cache", () => {})
    .addFanInNode("join")
    .addParallelEdge(StateGraph.START, "web", "join")
    .addParallelEdge(StateGraph.START, "cache", "join")
    .setFinishPoint("join")
    .compile()
  const outer = StateGraph.make("outer", State)
    .addNode("web", () => {})
    .addSubgraph("ask", inner, { input: ({ n }) => ({ n }), output: () => ({}) })
    .addFanInNode("merge", () => {})
    .addParallelEdge(StateGraph.START, "web", "merge")
    .addParallelEdge(StateGraph.START, "ask", "merge")
    .setFinishPoint("merge")
    .compile()
  const failing = (nodes: Chaos.Options["nodes"]) =>
    Effect.gen(function*() {
      const { events } = yield* eventsOf(outer, { n: 0 }).pipe(
        Effect.provide(Chaos.layer({ seed: 1, failure: 1, nodes }))
      )
      return (events as ReadonlyArray<GraphEvent.Any>).flatMap((event) =>
        event._tag === "NodeFailed" ? [event.node] : []
      )
    })

  it.effect("by name, as events name them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failing(["web"]), ["web"])
      assert.deepStrictEqual(yield* failing(["ask/web"]), ["ask/web"])
      assert.deepStrictEqual(yield* failing(["ask"]), ["ask"])
      assert.deepStrictEqual(yield* failing(["nothing"]), [])
    }))

  it.effect("by what is known of the execution", () =>
    Effect.gen(function*() {
      const seen: Array<Chaos.Execution> = []
      const failed = yield* failing((execution) => {
        seen.push(execution)
        return execution.graph === "inner"
      })
      assert.deepStrictEqual(failed, ["ask/web", "ask/cache"])
      assert.deepStrictEqual(seen.map(({ branch, graph, node }) => `${graph} ${node} ${branch}`), [
        "outer web web",
        "outer ask ask",
        "inner ask/web ask/ask/web",
        "inner ask/cache ask/ask/cache",
        "outer merge undefined"
      ])
    }))

  it.effect("and nothing else: no condition, no items, no node without a function", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("others", State)
        .addNode("start")
        .addNode("ask", () => {})
        .addFanInNode("join")
        .setEntryPoint("start")
        .addParallelMap("start", "ask", "join", { items: () => [1, 2] })
        .addConditionalEdges("join", () => "done", { done: StateGraph.END })
        .compile()
      const { events, exit } = yield* eventsOf(graph, { n: 0 }).pipe(
        Effect.provide(Chaos.layer({ seed: 1, failure: 1 }))
      )
      assert.isTrue(Exit.isSuccess(exit))
      const failed = (events as ReadonlyArray<GraphEvent.Any>).flatMap((event) =>
        event._tag === "NodeFailed" ? [`${event.node} ${event.branch}`] : []
      )
      assert.deepStrictEqual(failed, ["ask ask[0]", "ask ask[1]"])
    }))
})

describe("layers", () => {
  it.effect("inject both, when one is within the other", () =>
    Effect.gen(function*() {
      const { graph, results } = single()
      const slow = Chaos.layer({ seed: 1, latency: 30, nodes: ["web"] })
      const failing = Chaos.layer({ seed: 2, failure: 1, latency: 4, nodes: ["web"] })
      const { at } = yield* endOf(
        graph.invoke({ n: 0 }).pipe(Effect.provide(failing.pipe(Layer.provide(slow))))
      )
      assert.strictEqual(at, 34)
      assert.strictEqual(results[0]?._tag, "Failure")
    }))

  it.effect("are refused with options out of range", () =>
    Effect.gen(function*() {
      const problem = (options: object) =>
        Effect.map(
          Effect.flip(Effect.provide(Effect.void, Chaos.layer(options as Chaos.Options))),
          ({ allowed, field, value }) => `${field} is ${value}, allowed is ${allowed}`
        )
      assert.strictEqual(yield* problem({}), "seed is undefined, allowed is a number or a string")
      assert.strictEqual(yield* problem({ seed: 1, failure: 1.1 }), "failure is 1.1, allowed is a number from 0 to 1")
      assert.strictEqual(yield* problem({ seed: 1, hang: -1 }), "hang is -1, allowed is a number from 0 to 1")
      assert.strictEqual(yield* problem({ seed: 1, defect: "x" }), `defect is "x", allowed is a number from 0 to 1`)
      assert.strictEqual(
        yield* problem({ seed: 1, failure: 0.5, defect: 0.25, hang: 0.5 }),
        "failure + defect + hang is 1.25, allowed is a number from 0 to 1"
      )
      assert.strictEqual(
        yield* problem({ seed: 1, latency: "Infinity" }),
        `latency is "Infinity", allowed is a finite duration of 0 or more`
      )
      assert.strictEqual(
        yield* problem({ seed: 1, latency: { min: 5, max: 4 } }),
        "latency.max is 4, allowed is at least latency.min"
      )
      assert.strictEqual(
        yield* problem({ seed: 1, latency: { min: 5 } }),
        "latency.max is undefined, allowed is a finite duration of 0 or more"
      )
      assert.strictEqual(
        yield* problem({ seed: 1, nodes: [] }),
        "nodes is an array of 0, allowed is names of nodes, or a predicate"
      )
      assert.include(yield* problem({ seed: 1, failures: 1 }), "failures is 1, allowed is one of seed, failure,")
    }))
})
