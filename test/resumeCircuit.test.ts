/** Circuits of runs that are stopped and continued by a process that knows none of them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { CircuitBreakerRegistry, GraphError, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { copyOf, countOf, ended, interrupted, killed, lastOf, thread } from "./support/killed.ts"

const State = Schema.Struct({ n: Schema.Number })
const input = { n: 0 }

const told = (results: ReadonlyArray<ParallelFlowResult.Any>) =>
  results.map((result) => `${result.branch} ${result._tag} ${result.attempts} ${result.circuitState}`)

describe("the circuit of a continued run", () => {
  it.effect("lets an attempt go on that had begun before it opened", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const graph = StateGraph.make("g", State)
        .addNode("one", (_state, { item }) =>
          Effect.andThen(Effect.sleep(5), item === 0 ? Effect.fail("no") : Effect.sleep(95)))
        .addFanInNode("join", (_state, { parallelResults }) => {
          seen.push(told(parallelResults))
          return {}
        })
        .addParallelMap(StateGraph.START, "one", "join", {
          items: () => [0, 1],
          circuitBreaker: { failureThreshold: 1, resetTimeout: "1 hour" }
        })
        .setFinishPoint("join").compile()
      yield* ended(graph.invoke(input, { thread }))
      const store = yield* interrupted(graph.invoke(input, { thread }), 50)
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(seen[1], seen[0])
      assert.deepStrictEqual(seen[0], ["one[0] Failure 1 OPEN", "one[1] Success 1 OPEN"])
    }))

  it.effect("lets an attempt of a node go on likewise", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const graph = StateGraph.make("g", State)
        .addNode("one", (_state, { item }) =>
          Effect.andThen(Effect.sleep(5), item === 0 ? Effect.fail("no") : Effect.sleep(95)), {
          circuitBreaker: { failureThreshold: 1, resetTimeout: "1 hour" }
        })
        .addFanInNode("join", (_state, { parallelResults }) => {
          seen.push(told(parallelResults))
          return {}
        })
        .addParallelMap(StateGraph.START, "one", "join", { items: () => [0, 1] })
        .setFinishPoint("join").compile()
      const store = yield* interrupted(graph.invoke(input, { thread }), 50)
      yield* ended(graph.resume(thread), store)
      assert.deepStrictEqual(seen[0], ["one[0] Failure 1 undefined", "one[1] Success 1 undefined"])
    }))

  it.effect("is saved again by a process that has not come to it", () =>
    Effect.gen(function*() {
      // Each process compiles its own graph: only a run tells which circuits the items of a map have.
      const seen: Array<ReadonlyArray<string>> = []
      const make = (name: string) => {
        const inner = StateGraph.make("inner", State)
          .addNode("one", (_state, { item }) => item === "bad" ? Effect.fail("no") : Effect.sleep(10), {
            item: Schema.String
          })
          .addFanInNode("join", (_state, { parallelResults }) => {
            seen.push(told(parallelResults))
            return {}
          })
          .addParallelMap(StateGraph.START, "one", "join", {
            items: () => ["bad", "good", "good", "bad"],
            concurrency: 1,
            circuitBreaker: { key: (item) => item, failureThreshold: 1, resetTimeout: "1 hour" }
          })
          .setFinishPoint("join").compile()
        return StateGraph.make(name, State)
          .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state })
          .setEntryPoint("sub").setFinishPoint("sub").compile()
      }
      const store = yield* interrupted(make("g").invoke(input, { thread }), 5)
      const saves = yield* countOf(store)
      yield* killed(make("g").resume(thread), 0, store)
      const second = yield* copyOf(store, saves + 1)
      yield* ended(make("g").resume(thread), second)
      assert.deepStrictEqual(seen[0]!.map((told) => told.replace("one", "")), [
        "[0] Failure 1 OPEN",
        "[1] Success 1 CLOSED",
        "[2] Success 1 CLOSED",
        "[3] Rejected 0 OPEN"
      ])
      const { circuits } = (yield* lastOf(second)) as { readonly circuits: ReadonlyArray<{ readonly key: string }> }
      assert.deepStrictEqual(circuits.map(({ key }) => key), ["bad"])
    }))

  it.effect("stays open for the rest of its time, without that of the stop", () =>
    Effect.gen(function*() {
      const waits: Array<unknown> = []
      const circuitBreaker = { key: "k", failureThreshold: 1, resetTimeout: 100 }
      const graph = StateGraph.make("g", State)
        .addNode("bad", () => Effect.fail("no")).addNode("again").addNode("wait", () => Effect.sleep(40))
        .addFanInNode("join", () => ({}))
        .addFanInNode("last", (_state, { parallelResults }) => {
          const failure = parallelResults[0]!.get("failure")
          waits.push(failure instanceof GraphError.CircuitOpenError ? Duration.toMillis(failure.retryAfter) : failure)
          return {}
        })
        .addParallelEdge(StateGraph.START, "bad", "join", { circuitBreaker })
        .addEdge("join", "wait")
        .addParallelEdge("wait", "again", "last", { circuitBreaker })
        .setFinishPoint("last").compile()
      for (const stops of [1, 2, 3, 4]) {
        const store = yield* interrupted(graph.invoke(input, { thread }), 20)
        for (let i = 1; i < stops; i++) {
          yield* TestClock.adjust("1 hour")
          yield* interrupted(graph.resume(thread), 20, store)
        }
        yield* TestClock.adjust("1 hour")
        yield* ended(graph.resume(thread), store)
      }
      // It has been open for 20 ms for each stop, and for the 40 ms of the wait.
      assert.deepStrictEqual(waits, [40, 20, undefined, undefined])
    }))

  it.effect("is what the registry knows of it, if it knows it", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("bad", () => Effect.fail("no"))
        .addNode("wait", () => Effect.sleep(50)).addNode("next", () => Effect.sleep(50))
        .addNode("again", () => ({}))
        .addFanInNode("join", () => ({}))
        .addFanInNode("last", (_state, { parallelResults }) => ({ n: parallelResults[0]!.success ? 1 : 2 }))
        .setEntryPoint("wait")
        .addParallelEdge("wait", "bad", "join", { circuitBreaker: { key: "k", failureThreshold: 1 } })
        .addEdge("join", "next")
        .addParallelEdge("next", "again", "last", { circuitBreaker: { key: "k", failureThreshold: 1 } })
        .setFinishPoint("last").compile()
      const store = yield* interrupted(graph.invoke(input, { thread }), 75)
      const fresh = yield* copyOf(store)
      assert.deepStrictEqual(yield* ended(graph.resume(thread), fresh), { n: 2 })
      const registry = CircuitBreakerRegistry.makeUnsafe()
      // Known, and closed: another run has closed it meanwhile.
      yield* Effect.exit(registry.execute("k", { failureThreshold: 2, resetTimeout: 1 })(Effect.fail("no")))
      const known = Effect.provideService(
        graph.resume(thread),
        CircuitBreakerRegistry.CircuitBreakerRegistry,
        registry
      )
      assert.deepStrictEqual(yield* ended(known, store), { n: 1 })
    }))
})
