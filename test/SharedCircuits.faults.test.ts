/** A store that fails, hangs, answers late or dies: calls run unrecorded, and nobody waits longer than `timeout`. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { type CircuitBreaker, CircuitBreakerRegistry } from "effect-stategraph"
import { SharedCircuits } from "effect-stategraph/persistence"
import { TestClock } from "effect/testing"
import { boom, fan } from "./support/fan.ts"
import { endOf, scenario } from "./support/scenario.ts"
import { faulty, registry, storeError, warningsOf, withStore } from "./support/sharedStore.ts"

const once: CircuitBreaker.Input = { failureThreshold: 1, resetTimeout: 1000 }
const down = Effect.fail("down")
const warning = "Warn the store of shared circuits does not answer, so calls run unrecorded"

describe("a store that fails", () => {
  it.effect("when it is asked: the call runs, its outcome is lost, and it is logged", () =>
    withStore(Effect.gen(function*() {
      const { asked, provide, store } = yield* faulty
      const shared = yield* provide(registry())
      const warnings: Array<string> = []
      store.admit = () => storeError
      assert.strictEqual(yield* warningsOf(warnings)(shared.execute("k", once)(Effect.succeed(1))), 1)
      assert.deepStrictEqual(yield* Effect.exit(shared.execute("k", once)(down)), Exit.fail("down"))
      assert.deepStrictEqual(warnings, [warning])
      assert.strictEqual(asked.record, 0)
      assert.deepStrictEqual(yield* shared.states, [])
      assert.strictEqual((yield* shared.state("k")).state, "CLOSED")
    })))

  it.effect("when it is told: the call keeps its end, and it is logged", () =>
    withStore(Effect.gen(function*() {
      const { provide, store } = yield* faulty
      const shared = yield* provide(registry())
      const warnings: Array<string> = []
      store.record = () => storeError
      const exit = yield* Effect.exit(warningsOf(warnings)(shared.execute("k", once)(down)))
      assert.deepStrictEqual(exit, Exit.fail("down"))
      assert.deepStrictEqual(warnings, [warning])
      assert.deepStrictEqual(yield* shared.states, [])
    })))

  it.effect("when it is looked at: the circuit reads as CLOSED, and it is logged", () =>
    withStore(Effect.gen(function*() {
      const { provide, store } = yield* faulty
      const shared = yield* provide(registry())
      const warnings: Array<string> = []
      yield* Effect.exit(shared.execute("k", once)(down))
      store.state = () => storeError
      assert.deepStrictEqual(yield* warningsOf(warnings)(shared.state("k")), {
        key: "k",
        state: "CLOSED",
        failureCount: 0,
        probes: 0
      })
      assert.deepStrictEqual(warnings, [warning])
    })))

  it.effect("with a defect: just the same", () =>
    withStore(Effect.gen(function*() {
      const { provide, store } = yield* faulty
      const shared = yield* provide(registry())
      const warnings: Array<string> = []
      store.admit = () => Effect.die(new Error("broken client"))
      assert.strictEqual(yield* warningsOf(warnings)(shared.execute("k", once)(Effect.succeed(1))), 1)
      assert.deepStrictEqual(warnings, [warning])
    })))

  it.effect("again and again: it is left alone for 5 seconds, then asked once", () =>
    withStore(Effect.gen(function*() {
      const { asked, healthy, provide, store } = yield* faulty
      const shared = yield* provide(registry())
      const warnings: Array<string> = []
      const calls = (n: number) =>
        warningsOf(warnings)(Effect.forEach(
          Array.from({ length: n }),
          () => shared.execute("k", once)(Effect.void),
          { discard: true }
        ))
      store.admit = () => storeError
      yield* calls(10)
      assert.deepStrictEqual([asked.admit, warnings.length], [3, 3])
      yield* TestClock.adjust(4999)
      yield* calls(10)
      assert.deepStrictEqual([asked.admit, warnings.length], [3, 3])
      yield* TestClock.adjust(1)
      yield* calls(10)
      assert.deepStrictEqual([asked.admit, warnings.length], [4, 4])
      store.admit = healthy.admit
      yield* TestClock.adjust(5000)
      yield* calls(10)
      assert.deepStrictEqual([asked.admit, warnings.length], [14, 4])
    })))

  it.effect("a rejection is no failure of the store", () =>
    withStore(Effect.gen(function*() {
      const { asked, provide } = yield* faulty
      const shared = yield* provide(registry())
      yield* Effect.exit(shared.execute("k", once)(down))
      for (let i = 0; i < 10; i++) {
        assert.strictEqual((yield* Effect.flip(shared.execute("k", once)(Effect.void)))._tag, "CircuitOpenError")
      }
      assert.strictEqual(asked.admit, 11)
    })))
})

describe("a store that hangs", () => {
  /** When a call ends, on the virtual clock. */
  const timed = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const from = yield* Clock.currentTimeMillis
      const { at, exit } = yield* endOf(self)
      return { ms: at - from, exit: yield* Effect.exit(exit) }
    })

  it.effect("when it is asked: the call starts after timeout", () =>
    withStore(Effect.gen(function*() {
      for (const [options, ms] of [[undefined, 1000], [{ timeout: 50 }, 50]] as const) {
        const { asked, provide, store } = yield* faulty
        const shared = yield* provide(registry(options))
        store.admit = () => Effect.never
        assert.strictEqual((yield* timed(shared.execute("k", once)(Effect.succeed(1)))).ms, ms)
        assert.strictEqual(asked.record, 0)
      }
    })))

  it.effect("when it is told: the call ends after timeout, with its own end", () =>
    withStore(Effect.gen(function*() {
      const { provide, store } = yield* faulty
      const shared = yield* provide(registry({ timeout: 50 }))
      store.record = () => Effect.never
      const { exit, ms } = yield* timed(shared.execute("k", once)(down))
      assert.deepStrictEqual([ms, exit], [50, Exit.fail("down")])
    })))

  it.effect("and answers within timeout: nothing is lost", () =>
    withStore(Effect.gen(function*() {
      const { healthy, provide, store } = yield* faulty
      const shared = yield* provide(registry({ timeout: 50 }))
      store.admit = (key) => Effect.delay(healthy.admit(key), 49)
      store.record = (options) => Effect.delay(healthy.record(options), 49)
      assert.strictEqual((yield* timed(shared.execute("k", once)(down))).ms, 98)
      assert.strictEqual((yield* shared.state("k")).state, "OPEN")
    })))

  it.effect("what it answers too late is given back: no probe's slot is lost, and its lease ends", () =>
    withStore(Effect.gen(function*() {
      const { healthy, outcomes, provide, store } = yield* faulty
      const shared = yield* provide(registry({ timeout: 50 }))
      yield* Effect.exit(shared.execute("k", once)(down))
      yield* TestClock.adjust(1000)
      const leases: Array<string> = []
      store.admit = (key) =>
        Effect.acquireRelease(Effect.delay(healthy.admit(key), 200), () => Effect.sync(() => void leases.push("ended")))
      const call = yield* Effect.forkChild(shared.execute("k", once)(Effect.succeed(1)))
      yield* TestClock.adjust(199)
      assert.strictEqual(yield* Fiber.join(call), 1)
      assert.deepStrictEqual([outcomes, leases], [["Failure"], []])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([outcomes, leases], [["Failure", "Ignored"], ["ended"]])
      assert.deepInclude(yield* shared.state("k"), { state: "HALF_OPEN", probes: 0 })
      store.admit = healthy.admit
      yield* shared.execute("k", once)(Effect.void)
      assert.strictEqual((yield* shared.state("k")).state, "CLOSED")
    })))

  it.effect("a caller that is interrupted while it asks waits for it no longer than timeout, and leaves no slot", () =>
    withStore(Effect.gen(function*() {
      const { healthy, outcomes, provide, store } = yield* faulty
      const shared = yield* provide(registry({ timeout: 50 }))
      yield* Effect.exit(shared.execute("k", once)(down))
      yield* TestClock.adjust(1000)
      store.admit = (key) => Effect.delay(healthy.admit(key), 30)
      let ran = false
      const call = yield* Effect.sync(() => ran = true).pipe(shared.execute("k", once), Effect.forkChild)
      yield* TestClock.adjust(10)
      const interruption = yield* Effect.forkChild(Fiber.interrupt(call))
      yield* TestClock.adjust(20)
      yield* Fiber.join(interruption)
      assert.deepStrictEqual([ran, outcomes], [false, ["Failure", "Ignored"]])
      assert.deepInclude(yield* shared.state("k"), { state: "HALF_OPEN", probes: 0 })
    })))
})

describe("the layer", () => {
  it.effect("when it is closed: what it still waits for is interrupted, and calls run unrecorded", () =>
    withStore(Effect.gen(function*() {
      const { provide, store } = yield* faulty
      const scope = yield* Scope.make()
      const built = yield* provide(Layer.buildWithScope(Layer.fresh(SharedCircuits.layer()), scope))
      const shared = Context.get(built, CircuitBreakerRegistry.CircuitBreakerRegistry)
      const asked = yield* Deferred.make<void>()
      let interrupted = false
      store.admit = () =>
        Effect.andThen(Deferred.succeed(asked, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => interrupted = true))
        )
      const call = yield* Effect.forkChild(shared.execute("k", once)(Effect.succeed(1)))
      yield* Deferred.await(asked)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(call), 1)
      assert.isTrue(interrupted)
      assert.strictEqual(yield* shared.execute("k", once)(Effect.succeed(2)), 2)
    })))
})

describe("graphs", () => {
  scenario(
    "run as if there were no circuit, each attempt at most twice timeout later",
    (run) =>
      withStore(Effect.gen(function*() {
        const { provide, store } = yield* faulty
        const shared = yield* provide(registry({ timeout: 50 }))
        store.record = () => Effect.never
        const g = fan({
          b: [() => boom("down"), {
            circuitBreaker: { key: "k", failureThreshold: 1 },
            retry: { maxRetries: 1, baseDelay: 0 }
          }],
          c: [() => Effect.succeed({ v: 1 }), { circuitBreaker: { key: "k", failureThreshold: 1 } }]
        })
        const { at, exit } = yield* endOf(
          Effect.provideService(run(g.graph, { n: 1 }), CircuitBreakerRegistry.CircuitBreakerRegistry, shared)
        )
        yield* exit
        assert.strictEqual(at, 100)
        assert.deepInclude(g.result("b"), { _tag: "Failure", attempts: 2, circuitState: "CLOSED" })
        assert.deepInclude(g.result("c"), { _tag: "Success", attempts: 1, circuitState: "CLOSED" })
      }))
  )
})
