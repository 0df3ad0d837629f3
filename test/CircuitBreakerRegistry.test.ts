import { assert, describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Logger, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as CircuitBreakerRegistry from "../src/CircuitBreakerRegistry.ts"
import { CircuitOpenError } from "../src/GraphError.ts"
import {
  arrow,
  boom,
  circuitState,
  collectChanges,
  collectWarnings,
  config,
  once,
  openAndWait,
  pending
} from "./support/circuits.ts"

describe("execute", () => {
  it.effect("gives the effect's own exit: value, error, defect and interruption", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const run = registry.execute("k")
      assert.strictEqual(yield* run(Effect.succeed(1)), 1)
      assert.deepStrictEqual(yield* Effect.exit(run(boom)), Exit.fail("boom"))
      assert.deepStrictEqual(yield* Effect.exit(run(Effect.die("dead"))), Exit.die("dead"))
      const exit = yield* Effect.exit(run(Effect.interrupt))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))

  it.effect("a rejected effect does not run, and the error says which circuit, its state and when to come back", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      let runs = 0
      const call = Effect.suspend(() => {
        runs++
        return boom
      }).pipe(registry.execute("k", once))
      yield* Effect.flip(call)
      yield* TestClock.adjust(400)
      const error = yield* Effect.flip(call)
      assert.deepStrictEqual(
        error,
        new CircuitOpenError({ key: "k", circuitState: "OPEN", retryAfter: Duration.millis(600) })
      )
      assert.strictEqual(runs, 1)
    }))

  it.effect("a failed ask in HALF_OPEN says HALF_OPEN", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* openAndWait(registry)
      yield* pending(registry)
      const error = yield* Effect.flip(registry.execute("k", once)(Effect.void))
      assert.deepInclude(error, { circuitState: "HALF_OPEN", retryAfter: Duration.seconds(1) })
    }))

  it.effect("defects count as failures, interruption does not", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const run = registry.execute("k", { failureThreshold: 2 })
      yield* Effect.exit(run(boom))
      yield* Effect.exit(run(Effect.interrupt))
      assert.strictEqual((yield* registry.state("k")).failureCount, 1)
      yield* Effect.exit(run(Effect.die("dead")))
      assert.strictEqual(yield* circuitState(registry), "OPEN")
    }))

  it.effect("isFailure sees the error, or the defect, and decides", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const seen: Array<unknown> = []
      const isFailure = (error: unknown) => {
        seen.push(error)
        return error !== "harmless"
      }
      const run = registry.execute("k", { failureThreshold: 3, isFailure })
      yield* Effect.exit(run(Effect.fail("harmless")))
      yield* Effect.exit(run(Effect.die("harmless")))
      yield* Effect.exit(run(Effect.interrupt))
      assert.deepStrictEqual(yield* registry.states, [])
      yield* Effect.exit(run(boom))
      yield* Effect.exit(run(Effect.failCause(Cause.combine(Cause.fail("harmless"), Cause.die("dead")))))
      assert.strictEqual((yield* registry.state("k")).failureCount, 2)
      assert.deepStrictEqual(seen, ["harmless", "harmless", "boom", "dead"])
    }))

  it.effect("an isFailure that throws makes it a failure, with a warning", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const warnings: Array<ReadonlyArray<unknown>> = []
      const isFailure = () => {
        throw new Error("broken predicate")
      }
      const exit = yield* boom.pipe(
        registry.execute("k", { ...once, isFailure }),
        Effect.exit,
        collectWarnings(warnings)
      )
      assert.deepStrictEqual(exit, Exit.fail("boom"))
      assert.strictEqual(yield* circuitState(registry), "OPEN")
      assert.strictEqual(warnings.length, 1)
      assert.include(String(warnings[0]?.[0]), `circuit "k"`)
    }))

  it.effect("a full configuration is taken as it is", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* Effect.exit(registry.execute("k", config)(boom))
      assert.strictEqual(yield* circuitState(registry), "OPEN")
    }))

  it("options out of range throw", () => {
    const registry = CircuitBreakerRegistry.makeUnsafe()
    expect(() => registry.execute("k", { failureThreshold: 0 })).toThrow(
      /^CircuitBreakerRegistry.execute: failureThreshold is 0/
    )
    // Half an input and half a full configuration is neither.
    expect(() => registry.execute("k", { failureThreshold: 1, resetTimeoutMs: 5 })).toThrow(/resetTimeoutMs/)
    expect(() => registry.execute("k", null as never)).toThrow(/allowed is an object/)
  })

  it.effect("keys are separate circuits", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* Effect.exit(registry.execute("a", once)(boom))
      assert.strictEqual(yield* registry.execute("b", once)(Effect.succeed(1)), 1)
      assert.strictEqual(yield* circuitState(registry, "a"), "OPEN")
    }))
})

describe("one configuration per key", () => {
  const other: CircuitBreaker.Input = { failureThreshold: 9, resetTimeout: 1000 }

  it.effect("the first one wins while the circuit lives; others are ignored with one warning", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const warnings: Array<ReadonlyArray<unknown>> = []
      yield* Effect.gen(function*() {
        const permit = yield* registry.acquire("k", config)
        for (let i = 0; i < 3; i++) yield* registry.execute("k", other)(Effect.void)
        yield* registry.execute("k", { ...once })(Effect.void)
        assert.strictEqual((yield* registry.acquire("k", CircuitBreaker.make(other))).config, config)
        yield* Effect.exit(registry.execute("k", other)(boom))
        yield* permit.record("success")
      }).pipe(collectWarnings(warnings))
      assert.strictEqual(yield* circuitState(registry), "OPEN")
      assert.strictEqual(warnings.length, 1)
      assert.include(String(warnings[0]?.[0]), `circuit "k"`)
    }))

  it.effect("isFailure is that of the circuit, too", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* registry.acquire("k", CircuitBreaker.make({ ...once, isFailure: () => false }))
      yield* boom.pipe(registry.execute("k", once), Effect.exit, collectWarnings([]))
      assert.strictEqual(yield* circuitState(registry), "CLOSED")
    }))

  it.effect("a forgotten circuit takes the next configuration without a warning", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const warnings: Array<ReadonlyArray<unknown>> = []
      yield* Effect.gen(function*() {
        yield* registry.execute("k", other)(Effect.void)
        yield* Effect.exit(registry.execute("k", once)(boom))
      }).pipe(collectWarnings(warnings))
      assert.strictEqual(yield* circuitState(registry), "OPEN")
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("a circuit that was forgotten and came back warns again", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const warnings: Array<ReadonlyArray<unknown>> = []
      yield* Effect.gen(function*() {
        for (let life = 1; life <= 2; life++) {
          const permit = yield* registry.acquire("k", config)
          yield* registry.execute("k", other)(Effect.void)
          yield* permit.record("success")
          assert.strictEqual(warnings.length, life)
        }
      }).pipe(collectWarnings(warnings))
    }))

  it.effect("a logger that fails costs no slot", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const broken = Logger.make(() => {
        throw new Error("no disk")
      })
      const permit = yield* registry.acquire("k", config)
      const value = yield* Effect.succeed(1).pipe(registry.execute("k", other), Effect.provide(Logger.layer([broken])))
      assert.strictEqual(value, 1)
      yield* permit.record("success")
      assert.deepStrictEqual(yield* registry.states, [])
    }))
})

describe("permits", () => {
  it.effect("a probe's permit says so, and that it changed the state", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const plain = yield* registry.acquire("k", config)
      assert.deepInclude(plain, { generation: 0, probe: false, config })
      assert.notProperty(plain, "transition")
      assert.deepStrictEqual(yield* plain.record("failure"), {
        circuitState: "OPEN",
        transition: { key: "k", from: "CLOSED", to: "OPEN" }
      })
      yield* TestClock.adjust("1 second")
      const probe = yield* registry.acquire("k", config)
      assert.isTrue(probe.probe)
      assert.deepStrictEqual(probe.transition, { key: "k", from: "OPEN", to: "HALF_OPEN" })
      assert.deepStrictEqual(yield* probe.record("ignored"), { circuitState: "HALF_OPEN" })
    }))

  it.effect("a permit records once; after that it only tells the state", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const held = yield* registry.acquire("k", CircuitBreaker.make({ failureThreshold: 2 }))
      const permit = yield* registry.acquire("k", held.config)
      const failure = permit.record("failure")
      assert.deepStrictEqual(yield* failure, { circuitState: "CLOSED" })
      assert.deepStrictEqual(yield* failure, { circuitState: "CLOSED" })
      assert.deepStrictEqual(yield* permit.record("success"), { circuitState: "CLOSED" })
      assert.strictEqual((yield* registry.state("k")).failureCount, 1)
      yield* held.record("success")
      assert.deepStrictEqual(yield* registry.states, [])
    }))
})

describe("introspection and reset", () => {
  it.effect("a circuit without failures and without calls in flight is forgotten", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      for (const key of ["a", "b", "c", "a"]) yield* registry.execute(key)(Effect.void)
      assert.deepStrictEqual(yield* registry.states, [])
      const inFlight = yield* pending(registry)
      assert.deepStrictEqual((yield* registry.states).map(({ key }) => key), ["k"])
      yield* inFlight.succeed
      assert.deepStrictEqual(yield* registry.states, [])
      yield* openAndWait(registry)
      yield* registry.execute("k", once)(Effect.void)
      assert.deepStrictEqual(yield* registry.states, [])
    }))

  it.effect("snapshots hold epoch milliseconds, whatever the monotonic clock says", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const clock = yield* Clock.clockWith(Effect.succeed)
      let wallMs = 1_700_000_000_000
      const shifted: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => wallMs,
        currentTimeNanosUnsafe: () => BigInt(wallMs) * 1_000_000n
      }
      yield* Effect.gen(function*() {
        const { changes, stop } = yield* collectChanges(registry)
        yield* Effect.exit(registry.execute("k", once)(boom))
        yield* TestClock.adjust(250)
        wallMs += 250
        assert.deepStrictEqual(yield* registry.state("k"), {
          key: "k",
          state: "OPEN",
          failureCount: 1,
          probes: 0,
          openedAt: 1_700_000_000_000,
          lastFailureAt: 1_700_000_000_000,
          retryAfter: Duration.millis(750)
        })
        yield* TestClock.adjust(750)
        wallMs += 750
        assert.notProperty(yield* registry.state("k"), "retryAfter")
        // A wall clock that is set back keeps nothing open.
        wallMs -= 3_600_000
        yield* registry.execute("k", once)(Effect.void)
        yield* stop
        assert.deepStrictEqual(changes, [
          { key: "k", from: "CLOSED", to: "OPEN", at: 1_700_000_000_000 },
          { key: "k", from: "OPEN", to: "HALF_OPEN", at: wallMs },
          { key: "k", from: "HALF_OPEN", to: "CLOSED", at: wallMs }
        ])
      }).pipe(Effect.provideService(Clock.Clock, shifted))
    }))

  it.effect("a monotonic clock of another origin keeps nothing open", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* TestClock.adjust("1 hour")
      yield* Effect.exit(registry.execute("k", once)(boom))
      const clock = yield* Clock.clockWith(Effect.succeed)
      const restarted: Clock.Clock = { ...clock, monotonicTimeNanosUnsafe: () => 0n }
      const value = yield* Effect.succeed(1).pipe(
        registry.execute("k", once),
        Effect.provideService(Clock.Clock, restarted)
      )
      assert.strictEqual(value, 1)
    }))

  it.effect("an unknown key is CLOSED, and resetting it does nothing", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      assert.deepStrictEqual(yield* registry.state("no"), { key: "no", state: "CLOSED", failureCount: 0, probes: 0 })
      yield* registry.reset("no")
      assert.deepStrictEqual(yield* registry.states, [])
    }))

  it.effect("resetting a circuit that was forgotten leaves its next life alone", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* registry.execute("k", once)(Effect.void)
      yield* registry.reset("k")
      const inFlight = yield* pending(registry)
      yield* registry.execute("other", once)(Effect.void)
      assert.deepStrictEqual((yield* registry.states).map(({ key }) => key), ["k"])
      yield* inFlight.fail
      assert.strictEqual(yield* circuitState(registry), "OPEN")
    }))

  it.effect("after a reset, calls that were in flight no longer count, and the circuit is forgotten with the last", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const { changes, stop } = yield* collectChanges(registry)
      const inFlight = [yield* pending(registry), yield* pending(registry)] as const
      yield* registry.reset("k")
      yield* inFlight[0].fail
      assert.deepInclude(yield* registry.state("k"), { state: "CLOSED", failureCount: 0 })
      assert.strictEqual((yield* registry.states).length, 1)
      yield* inFlight[1].fail
      assert.deepStrictEqual(yield* registry.states, [])
      yield* stop
      assert.deepStrictEqual(changes, [])
    }))

  it.effect("a reset of a probing circuit closes it, and the probe's failure changes nothing", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* openAndWait(registry)
      const probe = yield* pending(registry)
      yield* registry.reset("k")
      assert.strictEqual(yield* circuitState(registry), "CLOSED")
      yield* probe.fail
      assert.deepStrictEqual(yield* registry.states, [])
    }))
})

describe("changes", () => {
  it.effect("every subscriber gets every transition from its subscription on, in order", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const early = yield* collectChanges(registry)
      yield* openAndWait(registry)
      const late = yield* collectChanges(registry)
      yield* Effect.exit(registry.execute("k", once)(boom))
      yield* registry.resetAll
      yield* Effect.all([early.stop, late.stop])
      assert.deepStrictEqual(early.changes.map(({ at, ...change }) => `${at} ${arrow(change)}`), [
        "0 CLOSED->OPEN",
        "1000 OPEN->HALF_OPEN",
        "1000 HALF_OPEN->OPEN",
        "1000 OPEN->CLOSED"
      ])
      assert.deepStrictEqual(late.changes, early.changes.slice(1))
    }))

  it.effect("are stored before they are published", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const seen: Array<string> = []
      const fiber = yield* registry.changes.pipe(
        Stream.runForEach(({ to }) => Effect.map(circuitState(registry), (state) => seen.push(`${to} ${state}`))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      yield* Effect.exit(registry.execute("k", once)(boom))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, ["OPEN OPEN"])
    }))

  it.effect("form one unbroken line, however the fibers interleave", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const { changes, stop } = yield* collectChanges(registry)
      const input = { failureThreshold: 1, resetTimeout: "1 nano", halfOpenMaxCalls: 3 } as const
      const call = (n: number) =>
        (n % 3 === 0 ? boom : Effect.yieldNow).pipe(
          registry.execute("k", input),
          Effect.exit,
          Effect.andThen(n % 7 === 0 ? registry.reset("k") : TestClock.adjust(1)),
          Effect.provideService(Scheduler.MaxOpsBeforeYield, 3 + n % 5)
        )
      yield* Effect.forEach(Array.from({ length: 1000 }, (_, n) => n), call, { concurrency: 20, discard: true })
      yield* stop
      assert.isAbove(changes.length, 100)
      let state: CircuitBreaker.CircuitState = "CLOSED"
      for (const { from, to } of changes) {
        assert.strictEqual(from, state)
        state = to
      }
    }))
})

describe("layers", () => {
  it.effect("layerMemory shares circuits among those it is provided to, and each build has its own", () =>
    Effect.gen(function*() {
      const open = Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        yield* Effect.exit(registry.execute("k", once)(boom))
      })
      const look = Effect.gen(function*() {
        return yield* circuitState(yield* CircuitBreakerRegistry.CircuitBreakerRegistry)
      })
      const provide = Effect.provide(CircuitBreakerRegistry.layerMemory)
      assert.strictEqual(yield* provide(Effect.andThen(open, look)), "OPEN")
      assert.strictEqual(yield* provide(look), "CLOSED")
      assert.strictEqual(CircuitBreakerRegistry.CircuitBreakerRegistry.layerMemory, CircuitBreakerRegistry.layerMemory)
    }))

  it.effect("make makes a registry of its own each time", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* CircuitBreakerRegistry.make, yield* CircuitBreakerRegistry.make]
      yield* Effect.exit(one.execute("k", once)(boom))
      assert.deepStrictEqual([yield* circuitState(one), yield* circuitState(two)], ["OPEN", "CLOSED"])
    }))
})
