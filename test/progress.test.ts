/** `ctx.emit`: what a node tells while it runs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Schema } from "effect"
import { type GraphEvent, StateGraph } from "effect-stategraph"
import { endOf, eventsOf } from "./support/scenario.ts"

const State = Schema.Struct({ n: Schema.Number })
const Progress = Schema.Struct({ done: Schema.Int })

const progressOf = (events: ReadonlyArray<GraphEvent.Any>) =>
  events.flatMap((event) => event._tag === "NodeProgress" ? [event] : [])

describe("progress of a node", () => {
  it.effect("is an event that says where it is from, between the node's start and its end", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("rows", State, { progress: Progress })
        .addNode("main", (_state, { emit }) => emit({ done: 0 }))
        .addNode("load", (_state, { attempt, emit }) =>
          Effect.gen(function*() {
            yield* emit({ done: attempt })
            yield* Effect.sleep(10)
            yield* emit({ done: attempt + 10 })
            if (attempt === 1) return yield* Effect.fail("again" as const)
          }))
        .addFanInNode("join", (_state, { emit }) => emit({ done: 100 }))
        .setEntryPoint("main")
        .addParallelEdge("main", "load", "join", { retry: { maxRetries: 1, baseDelay: 5 } })
        .setFinishPoint("join")
        .compile()
      const { at, exit } = yield* endOf(Effect.provide(eventsOf(graph, { n: 0 }), Logger.layer([])))
      assert.strictEqual(at, 25)
      const { events } = yield* exit
      assert.deepStrictEqual(
        progressOf(events).map(({ attempt, branch, fanIn, node, value }) => ({ node, branch, fanIn, attempt, value })),
        [
          { node: "main", branch: undefined, fanIn: undefined, attempt: undefined, value: { done: 0 } },
          { node: "load", branch: "load", fanIn: "join", attempt: 1, value: { done: 1 } },
          { node: "load", branch: "load", fanIn: "join", attempt: 1, value: { done: 11 } },
          { node: "load", branch: "load", fanIn: "join", attempt: 2, value: { done: 2 } },
          { node: "load", branch: "load", fanIn: "join", attempt: 2, value: { done: 12 } },
          { node: "join", branch: undefined, fanIn: "join", attempt: undefined, value: { done: 100 } }
        ]
      )
      const tags = events.map(({ _tag }) => _tag)
      assert.isBelow(tags.indexOf("NodeStarted"), tags.indexOf("NodeProgress"))
      assert.isBelow(tags.indexOf("NodeProgress"), tags.indexOf("NodeCompleted"))
    }))

  it.effect("that does not fit the schema is dropped with a warning, and the node goes on", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void warnings.push(`${logLevel}: ${String(message)}`))
      const graph = StateGraph.make("rows", State, { progress: Progress })
        .addNode("load", (_state, { emit }) => Effect.as(emit({ done: 0.5 }), { n: 1 }))
        .setEntryPoint("load")
        .setFinishPoint("load")
        .compile()
      const { events } = yield* Effect.provide(eventsOf(graph, { n: 0 }), Logger.layer([logger]))
      assert.deepStrictEqual(progressOf(events), [])
      assert.strictEqual(events.at(-1)?._tag, "GraphCompleted")
      assert.deepStrictEqual(warnings, [
        `Warn: node "load" emitted a value that is no progress of graph "rows": dropped`
      ])
    }))

  it.effect("is free where nobody listens", () =>
    Effect.gen(function*() {
      let emitted = 0
      const graph = StateGraph.make("rows", State, { progress: Progress })
        .addNode("load", (_state, { emit }) => Effect.andThen(emit({ done: 1 }), Effect.sync(() => void emitted++)))
        .setEntryPoint("load")
        .setFinishPoint("load")
        .compile()
      assert.deepStrictEqual(yield* graph.invoke({ n: 0 }), { n: 0 })
      assert.strictEqual(emitted, 1)
    }))

  it.effect("of abandoned work is no event any more", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("rows", State, { progress: Progress })
        .addNode("stuck", (_state, { emit }) =>
          Effect.uninterruptible(Effect.andThen(Effect.sleep(100), emit({ done: 1 }))))
        .addNode("after", () =>
          Effect.sleep(500))
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "stuck", "join", { timeout: 10, grace: 10 })
        .addEdge("join", "after")
        .setFinishPoint("after")
        .compile()
      const { at, exit } = yield* endOf(Effect.provide(eventsOf(graph, { n: 0 }), Logger.layer([])))
      assert.strictEqual(at, 520)
      assert.deepStrictEqual(progressOf((yield* exit).events), [])
    }))
})
