/** AC4: circuits across runs, flows and graphs. */
import { assert, describe } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { CircuitBreakerRegistry } from "effect-stategraph"
import { type Body, boom, fan } from "../support/fan.ts"
import { endOf, eventsOf, scenario } from "../support/scenario.ts"

/** A body that counts its executions and can be healed. */
const backend = () => {
  const state = { executed: 0, healthy: false }
  const body: Body = () =>
    Effect.suspend(() => {
      state.executed++
      return state.healthy ? Effect.succeed({ v: "served" }) : boom("down")
    })
  return Object.assign(state, { body })
}

const withRegistry = <A, E, R>(test: (registry: CircuitBreakerRegistry.Service) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const registry = CircuitBreakerRegistry.makeUnsafe()
    return test(registry).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    )
  })

describe("AC4 circuit", () => {
  scenario("TD.13-INT-014 the graph's own circuit opens across its runs", (run) =>
    Effect.gen(function*() {
      const down = backend()
      const g = fan({ down: [down.body, { circuitBreaker: { failureThreshold: 2 } }] })
      for (let i = 0; i < 3; i++) yield* run(g.graph, { n: i })
      assert.strictEqual(down.executed, 2)
      assert.deepStrictEqual(g.joins.map(([result]) => result!._tag), ["Failure", "Failure", "Rejected"])
      assert.deepInclude(g.result("down"), { errorType: "CircuitOpenError", circuitState: "OPEN", attempts: 0 })
      assert.deepStrictEqual(g.joins.map(([result]) => result!.circuitState), ["CLOSED", "OPEN", "OPEN"])
    }))

  scenario(
    "TD.13-INT-015 after a reset a healthy node is executed and its circuit is CLOSED",
    (run) =>
      Effect.gen(function*() {
        const down = backend()
        const g = fan({ down: [down.body, { circuitBreaker: { failureThreshold: 2 } }] })
        for (let i = 0; i < 3; i++) yield* run(g.graph, { n: i })
        const [open] = yield* g.graph.circuitStates
        assert.deepInclude(open, { key: "g/down", state: "OPEN", failureCount: 2 })
        yield* g.graph.resetCircuit("no such branch")
        assert.strictEqual((yield* g.graph.circuitStates)[0]!.state, "OPEN")
        yield* g.graph.resetCircuit("down")
        down.healthy = true
        yield* run(g.graph, { n: 4 })
        assert.strictEqual(down.executed, 3)
        assert.deepInclude(g.result("down"), { _tag: "Success", circuitState: "CLOSED", state: { n: 4, v: "served" } })
        assert.deepInclude((yield* g.graph.circuitStates)[0], { state: "CLOSED", failureCount: 0 })
      })
  )

  scenario("TD.13-INT-015 a reset without a branch resets all circuits of the graph", (run) =>
    Effect.gen(function*() {
      const g = fan({
        a: [() => boom("down"), { circuitBreaker: { failureThreshold: 1 } }],
        b: [() => boom("down"), { circuitBreaker: { failureThreshold: 1, key: "shared" } }]
      })
      yield* run(g.graph, { n: 1 })
      const states = () => Effect.map(g.graph.circuitStates, (all) => all.map(({ key, state }) => `${key} ${state}`))
      assert.sameMembers(yield* states(), ["g/a OPEN", "shared OPEN"])
      yield* g.graph.resetCircuit()
      assert.sameMembers(yield* states(), ["g/a CLOSED", "shared CLOSED"])
    }))

  scenario(
    "TD.13-INT-016 50 concurrent failures count 50 and open a shared circuit once",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const branches = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [
            `b${i}`,
            [() => Effect.andThen(Effect.sleep(10), boom("down")), {
              circuitBreaker: { key: "shared", failureThreshold: 50 }
            }] as const
          ]))
          const g = fan(branches)
          yield* endOf(run(g.graph, { n: 1 }))
          assert.deepInclude(yield* registry.state("shared"), { state: "OPEN", failureCount: 50 })
          assert.strictEqual(g.results.filter(({ _tag }) => _tag === "Failure").length, 50)
          yield* registry.resetAll
          const { exit } = yield* endOf(eventsOf(g.graph, { n: 1 }))
          const changes = (yield* exit).events.filter((event) => event._tag === "CircuitStateChanged")
          assert.deepStrictEqual(changes.map(({ from, to }) => `${from} > ${to}`), ["CLOSED > OPEN"])
        })
      )
  )

  scenario(
    "TD.13-INT-017 branches with one key share one circuit",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const shared = { circuitBreaker: { key: "backend", failureThreshold: 2 } }
          const third = backend()
          const g = fan({
            a: [() => boom("down"), shared],
            b: [() => boom("down"), shared],
            c: [third.body, { ...shared, retry: { maxRetries: 0 } }]
          }, { graph: { concurrency: 1 } })
          yield* run(g.graph, { n: 1 })
          assert.strictEqual((yield* registry.state("backend")).state, "OPEN")
          assert.strictEqual(third.executed, 0)
          assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), ["Failure", "Failure", "Rejected"])
        })
      )
  )

  scenario(
    "TD.13-INT-018 branches without a key have circuits of their own",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const healthy = backend()
          healthy.healthy = true
          const own = { circuitBreaker: { failureThreshold: 1 } }
          const g = fan({ a: [() => boom("down"), own], b: [healthy.body, own] })
          yield* run(g.graph, { n: 1 })
          yield* run(g.graph, { n: 2 })
          assert.strictEqual((yield* registry.state("g/a")).state, "OPEN")
          assert.strictEqual((yield* registry.state("g/b")).state, "CLOSED")
          assert.strictEqual(healthy.executed, 2)
          assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), ["Rejected", "Success"])
        })
      )
  )
})
