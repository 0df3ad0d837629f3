/** What no order of calls, outcomes, stops and clocks may do to a circuit. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreakerRegistry from "../src/CircuitBreakerRegistry.ts"
import {
  arrow,
  boom,
  circuitState,
  collectChanges,
  config,
  once,
  openAndWait,
  pending,
  type Registry,
  stepwise
} from "./support/circuits.ts"

describe("guards", () => {
  it.effect("a late success does not close a circuit that others opened", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const slow = yield* pending(registry)
      yield* Effect.exit(registry.execute("k", once)(boom))
      yield* slow.succeed
      assert.strictEqual(yield* circuitState(registry), "OPEN")

      const slower = yield* Effect.andThen(TestClock.adjust("1 second"), pending(registry))
      yield* registry.reset("k")
      yield* Effect.exit(registry.execute("k", once)(boom))
      yield* slower.succeed
      assert.strictEqual(yield* circuitState(registry), "OPEN")
    }))

  it.effect("an interrupted probe frees its slot at once", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* openAndWait(registry)
      const probe = yield* pending(registry)
      assert.strictEqual((yield* registry.state("k")).probes, 1)
      yield* probe.interrupt
      assert.deepInclude(yield* registry.state("k"), { state: "HALF_OPEN", probes: 0 })
      yield* registry.execute("k", once)(Effect.void)
      assert.strictEqual(yield* circuitState(registry), "CLOSED")
    }))

  it.effect("a probe that dies opens the circuit for a new window", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* openAndWait(registry)
      yield* Effect.exit(registry.execute("k", once)(Effect.die("dead")))
      assert.deepInclude(yield* registry.state("k"), { state: "OPEN", retryAfter: Duration.seconds(1), probes: 0 })
      yield* TestClock.adjust("1 second")
      yield* registry.execute("k", once)(Effect.void)
      assert.strictEqual(yield* circuitState(registry), "CLOSED")
    }))

  it.effect("a hung probe loses its slot at probeTimeout, and its outcome then changes nothing", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { ...once, probeTimeout: 300, successThreshold: 2 }
      yield* openAndWait(registry, input)
      const hung = [yield* pending(registry, input)]
      yield* TestClock.adjust(299)
      yield* TestClock.adjust(1)
      hung.push(yield* pending(registry, input))
      yield* TestClock.adjust(300)
      hung.push(yield* pending(registry, input))
      yield* TestClock.adjust(300)
      for (const [index, probe] of hung.entries()) {
        yield* [probe.succeed, probe.fail, probe.interrupt][index] ?? assert.fail()
        assert.deepInclude(yield* registry.state("k"), { state: "HALF_OPEN", failureCount: 1, probes: 0 })
      }
      yield* registry.execute("k", input)(Effect.void)
      assert.strictEqual(yield* circuitState(registry), "HALF_OPEN")
      yield* registry.execute("k", input)(Effect.void)
      assert.strictEqual(yield* circuitState(registry), "CLOSED")
    }))

  it.effect("50 that fail at once make one transition, and one count for each up to the threshold", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const { changes, stop } = yield* collectChanges(registry)
      const gate = yield* Deferred.make<never, string>()
      const fibers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () =>
          Deferred.await(gate).pipe(
            registry.execute("k", { failureThreshold: 10 }),
            Effect.forkChild({ startImmediately: true })
          )
      )
      yield* Deferred.fail(gate, "boom")
      yield* Fiber.awaitAll(fibers)
      yield* stop
      assert.deepStrictEqual(changes.map(arrow), ["CLOSED->OPEN"])
      assert.deepInclude(yield* registry.state("k"), { state: "OPEN", failureCount: 10 })
    }))

  it.effect("interrupted at any step, a call leaves neither a slot nor an entry", () =>
    Effect.gen(function*() {
      const calls: ReadonlyArray<(registry: Registry) => Effect.Effect<unknown, unknown>> = [
        (registry) => registry.execute("k", once)(Effect.never),
        (registry) =>
          Effect.acquireUseRelease(
            registry.acquire("k", config),
            () => Effect.never,
            (permit) => permit.record("ignored")
          )
      ]
      for (const call of calls) {
        const reached = new Set<string>()
        for (let steps = 0; steps < 60; steps++) {
          const registry = CircuitBreakerRegistry.makeUnsafe()
          yield* openAndWait(registry)
          const fiber = yield* Effect.forkChild(stepwise(call(registry)))
          for (let i = 0; i < steps; i++) yield* Effect.yieldNow
          const { probes, state } = yield* registry.state("k")
          reached.add(`${state} ${probes}`)
          yield* Fiber.interrupt(fiber)
          assert.strictEqual((yield* registry.state("k")).probes, 0)
          yield* registry.execute("k", once)(Effect.void)
          assert.deepStrictEqual(yield* registry.states, [])
        }
        assert.deepStrictEqual([...reached], ["OPEN 0", "HALF_OPEN 1"])
      }
    }))

  it.effect("interrupted at any step, a call through a closed circuit leaves no entry", () =>
    Effect.gen(function*() {
      const reached = new Set<number>()
      for (let steps = 0; steps < 60; steps++) {
        const registry = CircuitBreakerRegistry.makeUnsafe()
        const fiber = yield* Effect.forkChild(stepwise(registry.execute("k", once)(Effect.never)))
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        reached.add((yield* registry.states).length)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* registry.states, [])
      }
      assert.deepStrictEqual([...reached], [0, 1])
    }))

  it.effect("an ask, a record or a reset that is interrupted half way is still whole", () =>
    Effect.gen(function*() {
      type Act = (registry: Registry, permit: CircuitBreakerRegistry.Permit) => Effect.Effect<unknown, unknown>
      const acts: ReadonlyArray<Act> = [
        (registry) => registry.acquire("k", config),
        (_registry, permit) => permit.record("success"),
        (registry) => registry.reset("k")
      ]
      for (const act of acts) {
        const reached = new Set<string>()
        for (let steps = 0; steps < 30; steps++) {
          const registry = CircuitBreakerRegistry.makeUnsafe()
          const permit = yield* registry.acquire("k", config)
          yield* Effect.exit(registry.execute("k", once)(boom))
          const fiber = yield* Effect.forkChild(stepwise(act(registry, permit)))
          for (let i = 0; i < steps; i++) yield* Effect.yieldNow
          reached.add(fiber.pollUnsafe() === undefined ? "under way" : "done")
          yield* Fiber.interrupt(fiber)
          yield* permit.record("success")
          yield* registry.reset("k")
          assert.deepStrictEqual(yield* registry.states, [])
        }
        assert.deepStrictEqual([...reached], ["under way", "done"])
      }
    }))

  it.effect("no interleaving admits a probe too many or changes the state twice", () =>
    Effect.gen(function*() {
      const input = { ...once, halfOpenMaxCalls: 3, successThreshold: 3 }
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* openAndWait(registry, input)
      const { changes, stop } = yield* collectChanges(registry)
      let [running, most] = [0, 0]
      const call = Effect.sync(() => most = Math.max(most, ++running)).pipe(
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.sync(() => running--)),
        registry.execute("k", input),
        stepwise
      )
      yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.exit(call), { concurrency: "unbounded" })
      yield* stop
      assert.deepStrictEqual(changes.map(arrow), ["OPEN->HALF_OPEN", "HALF_OPEN->CLOSED"])
      assert.strictEqual(most, 3)
    }))
})
