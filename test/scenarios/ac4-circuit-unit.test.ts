/**
 * AC4, the circuit on its own, without a graph: TD.13-UNIT-020 to 030.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import * as CircuitBreakerRegistry from "../../src/CircuitBreakerRegistry.ts"

type Registry = CircuitBreakerRegistry.Service

const fail = (registry: Registry, input: CircuitBreaker.Input, key = "k") =>
  Effect.fail("down").pipe(registry.execute(key, input), Effect.flip)

const succeed = (registry: Registry, input: CircuitBreaker.Input, key = "k") =>
  Effect.succeed("up").pipe(registry.execute(key, input))

const isRejected = (error: unknown): boolean => error !== "down"

/** One operation per turn, so that fibers interleave at every point where they can. */
const stepwise = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

const collectChanges = Effect.fnUntraced(function*(registry: Registry) {
  const changes: Array<string> = []
  const fiber = yield* registry.changes.pipe(
    Stream.runForEach(({ from, key, to }) => Effect.sync(() => changes.push(`${key}: ${from}->${to}`))),
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.yieldNow
  return { changes, stop: Fiber.interrupt(fiber) }
})

describe("AC4 circuit breaker", () => {
  it("TD.13-UNIT-020 there are exactly three states, told apart by literal", () => {
    expectTypeOf<CircuitBreaker.CircuitState>().toEqualTypeOf<"CLOSED" | "OPEN" | "HALF_OPEN">()
    expectTypeOf<CircuitBreaker.State["_tag"]>().toEqualTypeOf<CircuitBreaker.CircuitState>()
    const config = CircuitBreaker.make({ failureThreshold: 1, resetTimeout: 10 })
    const closed = CircuitBreaker.initial
    const open = CircuitBreaker.record(closed, { generation: 0, outcome: "failure" }, 0, config).state
    const halfOpen = CircuitBreaker.admit(open, 10, config).state
    assert.deepStrictEqual([closed._tag, open._tag, halfOpen._tag], ["CLOSED", "OPEN", "HALF_OPEN"])
  })

  it.effect("TD.13-UNIT-021 a new circuit is CLOSED, has no failures and admits", () =>
    Effect.gen(function*() {
      const { decision } = CircuitBreaker.admit(CircuitBreaker.initial, 0, CircuitBreaker.defaults)
      assert.deepStrictEqual(decision, { _tag: "Admitted", generation: 0, probe: false })
      const registry = CircuitBreakerRegistry.makeUnsafe()
      assert.deepInclude(yield* registry.state("k"), { state: "CLOSED", failureCount: 0 })
      assert.strictEqual(yield* succeed(registry, {}), "up")
    }))

  it.effect("TD.13-UNIT-022 the third failure in a row opens a circuit of threshold 3, a success in between starts over", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 3 }
      const after = (calls: ReadonlyArray<typeof fail | typeof succeed>, key: string) =>
        Effect.forEach(
          calls,
          (call) => Effect.andThen(call(registry, input, key), Effect.map(registry.state(key), ({ state }) => state))
        )
      assert.deepStrictEqual(yield* after([fail, fail, fail], "a"), ["CLOSED", "CLOSED", "OPEN"])
      assert.deepStrictEqual(
        yield* after([fail, fail, succeed, fail, fail], "b"),
        ["CLOSED", "CLOSED", "CLOSED", "CLOSED", "CLOSED"]
      )
      assert.strictEqual((yield* registry.state("b")).failureCount, 2)
    }))

  it.effect("TD.13-UNIT-023 OPEN refuses, and 1000 asks change neither state nor timestamps", () =>
    Effect.gen(function*() {
      const config = CircuitBreaker.make({ failureThreshold: 1 })
      const open = CircuitBreaker.record(CircuitBreaker.initial, { generation: 0, outcome: "failure" }, 5, config).state
      for (let nowMs = 5; nowMs < 1005; nowMs++) {
        const asked = CircuitBreaker.admit(open, nowMs, config)
        assert.strictEqual(asked.state, open)
        assert.strictEqual(asked.decision._tag, "Rejected")
      }

      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* fail(registry, { failureThreshold: 1 })
      const { changes, stop } = yield* collectChanges(registry)
      const before = yield* registry.state("k")
      for (let i = 0; i < 1000; i++) assert.isTrue(isRejected(yield* fail(registry, { failureThreshold: 1 })))
      assert.deepStrictEqual(yield* registry.state("k"), before)
      yield* stop
      assert.deepStrictEqual(changes, [])
    }))

  it.effect("TD.13-UNIT-024 with a reset of 30 s, 29.999 s are refused and at 30.000 s the first ask is a probe", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 1, resetTimeout: "30 seconds" } as const
      yield* fail(registry, input)
      yield* TestClock.adjust(29_999)
      const error = yield* Effect.flip(succeed(registry, input))
      assert.deepInclude(error, { circuitState: "OPEN", retryAfter: Duration.millis(1) })
      assert.strictEqual((yield* registry.state("k")).state, "OPEN")
      yield* TestClock.adjust(1)
      const inside = yield* Effect.map(registry.state("k"), ({ state }) => state).pipe(registry.execute("k", input))
      assert.strictEqual(inside, "HALF_OPEN")
    }))

  it.effect("TD.13-UNIT-025 a reset by name closes one circuit, a reset of all closes every one, an unknown name is a no-op", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 1 }
      for (const key of ["a", "b", "c"]) yield* fail(registry, input, key)
      yield* registry.reset("nobody")
      assert.deepStrictEqual((yield* registry.states).map(({ state }) => state), ["OPEN", "OPEN", "OPEN"])
      yield* registry.reset("a")
      assert.deepInclude(yield* registry.state("a"), { state: "CLOSED", failureCount: 0 })
      assert.strictEqual(yield* succeed(registry, input, "a"), "up")
      assert.strictEqual((yield* registry.state("b")).state, "OPEN")
      yield* registry.resetAll
      for (const key of ["b", "c"]) {
        assert.deepInclude(yield* registry.state(key), { state: "CLOSED", failureCount: 0 })
        assert.strictEqual(yield* succeed(registry, input, key), "up")
      }
    }))

  it.effect("TD.13-UNIT-026 introspection has one entry per circuit: name, state, failures, last failure, probes", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 2, resetTimeout: 1000, halfOpenMaxCalls: 2 }
      yield* TestClock.adjust(100)
      yield* fail(registry, input, "payments")
      yield* fail(registry, input, "search")
      yield* TestClock.adjust(100)
      yield* fail(registry, input, "payments")
      yield* TestClock.adjust(1000)
      yield* Effect.never.pipe(registry.execute("payments", input), Effect.forkChild({ startImmediately: true }))
      yield* fail(registry, input, "mail")
      yield* fail(registry, input, "mail")
      assert.deepStrictEqual(yield* registry.states, [
        { key: "payments", state: "HALF_OPEN", failureCount: 2, openedAt: 200, lastFailureAt: 200, probes: 1 },
        { key: "search", state: "CLOSED", failureCount: 1, lastFailureAt: 100, probes: 0 },
        {
          key: "mail",
          state: "OPEN",
          failureCount: 2,
          openedAt: 1200,
          lastFailureAt: 1200,
          probes: 0,
          retryAfter: Duration.seconds(1)
        }
      ])
    }))

  it.effect("TD.13-UNIT-027 20 fibers with 1000 failures each count exactly 20000", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const config = CircuitBreaker.make({ failureThreshold: 20_001 })
      const call = Effect.andThen(Effect.yieldNow, Effect.fail("down")).pipe(registry.execute("k", config), Effect.flip)
      yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.forEach(Array.from({ length: 1000 }), () => call, { discard: true }),
        { concurrency: "unbounded", discard: true }
      )
      assert.deepInclude(yield* registry.state("k"), { state: "CLOSED", failureCount: 20_000 })
    }))

  it.effect("TD.13-UNIT-027 of 50 concurrent asks in HALF_OPEN with limit 3 exactly 3 are admitted, after one transition", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 1, resetTimeout: 1000, halfOpenMaxCalls: 3 }
      yield* fail(registry, input)
      yield* TestClock.adjust(1000)
      const { changes, stop } = yield* collectChanges(registry)
      let [admitted, rejected] = [0, 0]
      const all = yield* Deferred.make<void>()
      const count = Effect.suspend(() => admitted + rejected === 50 ? Deferred.succeed(all, undefined) : Effect.void)
      const call = Effect.andThen(Effect.sync(() => admitted++), Effect.andThen(count, Effect.never)).pipe(
        registry.execute("k", input),
        Effect.catch(() => Effect.andThen(Effect.sync(() => rejected++), count)),
        stepwise
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkChild(call))
      yield* Deferred.await(all)
      assert.deepStrictEqual([admitted, rejected], [3, 47])
      assert.deepInclude(yield* registry.state("k"), { state: "HALF_OPEN", probes: 3 })
      yield* Fiber.interruptAll(fibers)
      yield* stop
      assert.deepStrictEqual(changes, ["k: OPEN->HALF_OPEN"])
    }))

  it.effect("TD.13-UNIT-028 a half-open limit of 2 admits two; a probe that is interrupted or dies frees its slot", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 1, resetTimeout: 1000, halfOpenMaxCalls: 2 }
      const hang = Effect.never.pipe(registry.execute("k", input), Effect.forkChild({ startImmediately: true }))
      const probes = Effect.map(registry.state("k"), ({ probes }) => probes)
      yield* fail(registry, input)
      yield* TestClock.adjust(1000)

      const asks = [yield* hang, yield* hang, yield* hang] as const
      assert.deepStrictEqual(asks.map((fiber) => fiber.pollUnsafe() === undefined), [true, true, false])
      yield* Fiber.interrupt(asks[0])
      assert.strictEqual(yield* probes, 1)
      const next = yield* hang
      assert.isUndefined(next.pollUnsafe())
      assert.strictEqual(yield* probes, 2)

      yield* Fiber.interrupt(next)
      const exit = yield* Effect.exit(registry.execute("k", input)(Effect.die("dead")))
      assert.deepStrictEqual(exit, Exit.die("dead"))
      assert.deepInclude(yield* registry.state("k"), { state: "OPEN", probes: 0 })
      yield* TestClock.adjust(1000)
      const again = [yield* hang, yield* hang, yield* hang]
      assert.deepStrictEqual(again.map((fiber) => fiber.pollUnsafe() === undefined), [true, true, false])
    }))

  it.effect("TD.13-UNIT-029 a success in HALF_OPEN closes the circuit with count 0", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 2, resetTimeout: 1000 }
      yield* fail(registry, input)
      yield* fail(registry, input)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* succeed(registry, input), "up")
      assert.deepStrictEqual(yield* registry.state("k"), { key: "k", state: "CLOSED", failureCount: 0, probes: 0 })
      yield* fail(registry, input)
      assert.strictEqual((yield* registry.state("k")).state, "CLOSED")
    }))

  it.effect("TD.13-UNIT-030 a failure in HALF_OPEN opens the circuit for a new full window from that moment", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input = { failureThreshold: 2, resetTimeout: "30 seconds" } as const
      yield* fail(registry, input)
      yield* fail(registry, input)
      yield* TestClock.adjust(40_000)
      const probe = yield* Effect.fail("down").pipe(
        Effect.delay(5000),
        registry.execute("k", input),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(yield* Fiber.join(probe), Exit.fail("down"))
      assert.deepInclude(yield* registry.state("k"), {
        state: "OPEN",
        openedAt: 45_000,
        retryAfter: Duration.seconds(30)
      })
      yield* TestClock.adjust(29_999)
      assert.isTrue(isRejected(yield* fail(registry, input)))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* succeed(registry, input), "up")
    }))
})
