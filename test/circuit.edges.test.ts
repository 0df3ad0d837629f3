/** What a circuit does at the edges of an attempt. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, References, Schema, Tracer } from "effect"
import { Checkpointer, CircuitBreakerRegistry, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, boom, fan, State } from "./support/fan.ts"
import { endOf, eventsOf } from "./support/scenario.ts"
import { recordingTracer } from "./support/tracer.ts"

const quiet = Effect.provide(Logger.layer([]))

/** A registry that takes its time to answer, as one does that asks another process. */
const slow = (registry: CircuitBreakerRegistry.Service, ms: number): CircuitBreakerRegistry.Service => ({
  ...registry,
  acquire: (key, config) => Effect.andThen(Effect.sleep(ms), registry.acquire(key, config))
})

describe("a flow that is stopped while its circuit is asked", () => {
  it.effect("does not begin, and gives its probe back", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const circuitBreaker = { key: "k", failureThreshold: 1, resetTimeout: 100, probeTimeout: "1 hour" } as const
      yield* Effect.exit(registry.execute("k", circuitBreaker)(Effect.fail("down")))
      yield* TestClock.adjust(100)
      let ran = 0
      const { graph } = fan({
        a: [() => void ran++, { circuitBreaker }],
        b: [() => Effect.andThen(Effect.sleep(10), boom("b")), { failFast: true }]
      })
      const { at, exit } = yield* endOf(
        eventsOf(graph, { n: 0 }).pipe(
          Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, slow(registry, 20))
        ),
        1000
      )
      assert(Exit.isSuccess(exit))
      assert.strictEqual(at, 120)
      assert.strictEqual(ran, 0)
      const told = exit.value.events.flatMap((event) => "branch" in event && event.branch === "a" ? [event] : [])
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["FlowCompleted"])
      const last = told.at(-1)
      assert(last?._tag === "FlowCompleted")
      assert.deepInclude(last.result, { _tag: "Interrupted", attempts: 0, errorType: "InterruptedError" })
      assert.deepInclude(yield* registry.state("k"), { state: "HALF_OPEN", probes: 0 })
    }).pipe(quiet))
})

describe("what says nothing about the dependency", () => {
  const circuitBreaker = { key: "k", failureThreshold: 3 }
  const failing = fan({ a: [() => boom("down"), { circuitBreaker }] })

  for (
    const [what, after] of [
      ["a success", 0],
      ["an attempt that interrupts itself", 1],
      ["a flow that is stopped", 1],
      ["a flow that is stopped while its circuit is asked", 1],
      ["a flow that waits for somebody", 1]
    ] as const
  ) {
    it.effect(`leaves ${after === 1 ? "the failures that were counted" : "none"}: ${what}`, () =>
      Effect.gen(function*() {
        const registry = CircuitBreakerRegistry.makeUnsafe()
        const on = (registry: CircuitBreakerRegistry.Service) =>
          Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry)
        yield* failing.graph.invoke({ n: 0 }).pipe(on(registry))
        assert.strictEqual((yield* registry.state("k")).failureCount, 1)
        const body: Record<typeof what, Body> = {
          "a success": () => ({ v: 1 }),
          "an attempt that interrupts itself": () => Effect.interrupt,
          "a flow that is stopped": () => Effect.never,
          "a flow that is stopped while its circuit is asked": () => ({ v: 1 }),
          "a flow that waits for somebody": () => Effect.as(StateGraph.suspend("question", Schema.String), {}) as never
        }
        const { graph } = fan({
          a: [body[what], { circuitBreaker }],
          b: [() => Effect.andThen(Effect.sleep(10), boom("b")), { failFast: what.includes("stopped") }]
        })
        yield* endOf(
          graph.invoke({ n: 0 }, { thread: "t" }).pipe(
            on(what.endsWith("asked") ? slow(registry, 20) : registry),
            Effect.provide(Checkpointer.layerMemory)
          ),
          1000
        )
        assert.strictEqual((yield* registry.state("k")).failureCount, after)
      }).pipe(quiet))
  }
})

describe("the span of what a circuit guards", () => {
  const spansOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const { spans, tracer } = recordingTracer()
      return Effect.map(Effect.exit(Effect.provideService(self, Tracer.Tracer, tracer)), () => spans)
    })

  it.effect("names the key, and says by which key it was rejected", () =>
    Effect.gen(function*() {
      const { graph } = fan({ a: [() => boom("down"), { circuitBreaker: { failureThreshold: 1 } }] })
      const spans = yield* spansOf(Effect.andThen(Effect.exit(graph.invoke({ n: 0 })), graph.invoke({ n: 0 })))
      const flows = spans.filter(({ name }) => name === "StateGraph.flow")
      assert.deepStrictEqual(flows.map(({ attributes }) => attributes.get("circuit.key")), ["g/a", "g/a"])
      assert.deepStrictEqual(flows.map(({ events }) => events.map(([name]) => name)), [["circuit"], ["rejected"]])
    }).pipe(quiet))

  it.effect("is not needed", () =>
    Effect.gen(function*() {
      const { graph, result } = fan({ a: [() => ({ v: 1 }), { circuitBreaker: {} }] })
      yield* graph.invoke({ n: 0 }).pipe(Effect.provideService(References.TracerEnabled, false))
      assert.deepInclude(result("a"), { _tag: "Success", circuitState: "CLOSED" })
    }))
})

describe("the circuit of a node in a flow", () => {
  it.effect("is reset by the node's name, not by the flow's", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("first")
        .addNode("work", () => boom("down"), { circuitBreaker: { failureThreshold: 1 } })
        .addFanInNode("join")
        .addEdge("first", "work")
        .addParallelEdge(StateGraph.START, "first", "join")
        .setFinishPoint("join")
        .compile()
      const state = Effect.map(graph.circuitStates, (states) => states.map(({ key, state }) => `${key} ${state}`))
      yield* Effect.exit(graph.invoke({ n: 0 }))
      assert.deepStrictEqual(yield* state, ["g#work OPEN"])
      yield* graph.resetCircuit("first")
      assert.deepStrictEqual(yield* state, ["g#work OPEN"])
      yield* graph.resetCircuit("work")
      assert.deepStrictEqual(yield* state, ["g#work CLOSED"])
    }).pipe(quiet))
})
