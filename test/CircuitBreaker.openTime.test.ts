import { assert, describe, it } from "@effect/vitest"
import { Clock, Data, Duration, Effect, Exit, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as CircuitBreakerRegistry from "../src/CircuitBreakerRegistry.ts"
import { Circuit } from "./support/circuit.ts"

/** The open times of a circuit whose probes all fail. */
const openTimes = (circuit: Circuit, openings: number): ReadonlyArray<number> =>
  Array.from({ length: openings }, () => {
    circuit.record(circuit.call(), "failure")
    const { waitMs } = circuit
    circuit.now += waitMs
    return waitMs
  })

const failWith = (circuit: Circuit, retryAfterMs: number): void =>
  circuit.record(circuit.call(), "failure", { retryAfterMs })

describe("an open time that grows", () => {
  it("does not, unless it is asked for", () => {
    const circuit = new Circuit()
    assert.deepStrictEqual(openTimes(circuit, 5), [1000, 1000, 1000, 1000, 1000])
    assert.notProperty(circuit.state, "reopenings")
  })

  it("is multiplied by each probe that fails, up to the maximum", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2, maxResetTimeout: 6000 })
    assert.deepStrictEqual(openTimes(circuit, 6), [1000, 2000, 4000, 6000, 6000, 6000])
    assert.deepInclude(circuit.state, { _tag: "OPEN", openMs: 6000, reopenings: 5 })
  })

  it("is over exactly then", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 3 })
    openTimes(circuit, 1)
    circuit.record(circuit.call(), "failure")
    circuit.now += 2999
    assert.deepInclude(circuit.ask(), { _tag: "Rejected", retryAfter: Duration.millis(1) })
    circuit.now += 1
    circuit.call()
  })

  it("starts from resetTimeout after a close, and after a reset", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2 })
    assert.deepStrictEqual(openTimes(circuit, 3), [1000, 2000, 4000])
    circuit.record(circuit.call(), "success")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: circuit.state.generation, failureCount: 0 })
    assert.deepStrictEqual(openTimes(circuit, 2), [1000, 2000])
    circuit.reset()
    assert.deepStrictEqual(openTimes(circuit, 2), [1000, 2000])
  })

  it("an ignored probe, or one that lost its slot, makes nothing grow", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2, probeTimeout: 10 })
    openTimes(circuit, 1)
    circuit.record(circuit.call(), "ignored")
    const hung = circuit.call()
    circuit.now += 10
    circuit.record(hung, "failure")
    circuit.record(circuit.call(), "failure")
    assert.strictEqual(circuit.waitMs, 2000)
  })

  it("several probes that fail at once make it grow once", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2, halfOpenMaxCalls: 3 })
    openTimes(circuit, 1)
    for (const probe of [circuit.call(), circuit.call(), circuit.call()]) circuit.record(probe, "failure")
    assert.strictEqual(circuit.waitMs, 2000)
  })

  it("takes any number of openings, also without a maximum", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 10, maxResetTimeout: Infinity })
    assert.deepStrictEqual(openTimes(circuit, 8), [3, 4, 5, 6, 7, 8, 9, 10].map((digits) => 10 ** digits))
    const capped = new Circuit({ resetTimeoutMultiplier: 10 })
    assert.strictEqual(openTimes(capped, 400).at(-1), 3_600_000)
  })

  it("a resetTimeout above the maximum stays what it is", () => {
    const circuit = new Circuit({ resetTimeout: 5000, resetTimeoutMultiplier: 2, maxResetTimeout: 1000 })
    assert.deepStrictEqual(openTimes(circuit, 2), [5000, 5000])
    const never = new Circuit({ resetTimeout: Infinity, resetTimeoutMultiplier: 2, maxResetTimeout: 1000 })
    assert.deepStrictEqual(openTimes(never, 1), [Infinity])
  })

  it("a clock that stepped back ends it", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2 })
    circuit.now = 5000
    openTimes(circuit, 1)
    circuit.record(circuit.call(), "failure")
    circuit.now -= 1
    circuit.call()
  })
})

describe("what the dependency asks for", () => {
  it.each([
    [0, 1000],
    [-5, 1000],
    [999, 1000],
    [1000, 1000],
    [1001, 1001],
    [5000, 5000],
    [20_000, 10_000],
    [Infinity, 10_000]
  ])("retryAfter %s keeps it open for %s", (retryAfterMs, waitMs) => {
    const circuit = new Circuit({ maxResetTimeout: 10_000 })
    failWith(circuit, retryAfterMs)
    assert.strictEqual(circuit.waitMs, waitMs)
    circuit.now += waitMs - 1
    assert.strictEqual(circuit.ask()._tag, "Rejected")
    circuit.now += 1
    circuit.call()
  })

  it("counts of the failure that opens, and of no other", () => {
    const circuit = new Circuit({ failureThreshold: 3 })
    failWith(circuit, 9000)
    failWith(circuit, 8000)
    circuit.calls("f")
    assert.strictEqual(circuit.waitMs, 1000)
    const late = new Circuit({ failureThreshold: 1 })
    const second = late.call()
    failWith(late, 2000)
    const { state } = late
    late.record(second, "failure", { retryAfterMs: 9000 })
    assert.strictEqual(late.state, state)
  })

  it("counts of a probe too, and the longer of it and the growth wins", () => {
    const circuit = new Circuit({ resetTimeoutMultiplier: 2 })
    failWith(circuit, 3000)
    circuit.now += 3000
    failWith(circuit, 500)
    assert.strictEqual(circuit.waitMs, 2000)
    circuit.now += 2000
    failWith(circuit, 60_000)
    assert.strictEqual(circuit.waitMs, 60_000)
    circuit.now += 60_000
    circuit.calls("f")
    assert.strictEqual(circuit.waitMs, 8000)
  })

  it("of a success it means nothing", () => {
    const circuit = new Circuit({ failureThreshold: Infinity, failureRateThreshold: 0.5, windowSize: 2 })
    circuit.calls("f")
    circuit.record(circuit.call(), "success")
    assert.strictEqual(circuit.waitMs, 1000)
  })
})

class Busy extends Data.TaggedError("Busy")<{ readonly seconds: number }> {}

describe("the registry", () => {
  const warningsOf = <A, E, R>(self: Effect.Effect<A, E, R>) => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => {
      warnings.push(String((message as ReadonlyArray<unknown>)[0]))
    })
    return Effect.map(Effect.exit(Effect.provide(self, Logger.layer([logger]))), (exit) => ({ exit, warnings }))
  }

  const options = (retryAfter: unknown): CircuitBreaker.Input => ({
    failureThreshold: 1,
    resetTimeout: 1000,
    retryAfter: retryAfter as NonNullable<CircuitBreaker.Input["retryAfter"]>
  })

  const waitMs = (registry: CircuitBreakerRegistry.Service) =>
    Effect.map(registry.state("k"), ({ retryAfter }) => retryAfter === undefined ? 0 : Duration.toMillis(retryAfter))

  it.effect("asks the error, or the defect, how long to wait", () =>
    Effect.gen(function*() {
      const retryAfter = (error: unknown) => error instanceof Busy ? Duration.seconds(error.seconds) : undefined
      for (
        const [failure, expected] of [
          [Effect.fail(new Busy({ seconds: 7 })), 7000],
          [Effect.die(new Busy({ seconds: 8 })), 8000],
          [Effect.fail("other"), 1000],
          [Effect.fail(new Busy({ seconds: 1e9 })), 3_600_000]
        ] as const
      ) {
        const registry = CircuitBreakerRegistry.makeUnsafe()
        yield* Effect.exit(registry.execute("k", options(retryAfter))<never, unknown, never>(failure))
        assert.strictEqual(yield* waitMs(registry), expected)
        yield* TestClock.adjust(expected - 1)
        assert.strictEqual(
          (yield* Effect.flip(registry.execute("k", options(retryAfter))(Effect.void)))._tag,
          "CircuitOpenError"
        )
        yield* TestClock.adjust(1)
        yield* registry.execute("k", options(retryAfter))(Effect.void)
      }
    }))

  it.effect("an error that isFailure takes for harmless is not asked", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const asked: Array<unknown> = []
      const input = options((error: unknown) => void asked.push(error))
      yield* Effect.exit(registry.execute("k", { ...input, isFailure: () => false })(Effect.fail("harmless")))
      assert.deepStrictEqual(asked, [])
      yield* Effect.exit(registry.execute("k", { ...input, isFailure: () => true })(Effect.fail("harmful")))
      assert.deepStrictEqual(asked, ["harmful"])
    }))

  it.effect("an answer that is no duration, or no answer at all, prolongs nothing and is told", () =>
    Effect.gen(function*() {
      const broken = () => {
        throw new Error("no header")
      }
      for (
        const [retryAfter, warned] of [
          [() => "soon", `circuit "k": retryAfter is "soon", allowed is a duration of 0 or more`],
          [() => NaN, `circuit "k": retryAfter is NaN, allowed is a duration of 0 or more`],
          [() => -1, `circuit "k": retryAfter is -1, allowed is a duration of 0 or more`],
          [broken, `retryAfter of circuit "k" threw, so it prolongs nothing`]
        ] as const
      ) {
        const registry = CircuitBreakerRegistry.makeUnsafe()
        const { exit, warnings } = yield* warningsOf(registry.execute("k", options(retryAfter))(Effect.fail("boom")))
        assert.deepStrictEqual(exit, Exit.fail("boom"))
        assert.deepStrictEqual(warnings, [warned])
        assert.strictEqual(yield* waitMs(registry), 1000)
      }
    }))

  it.effect("measures a call from its permission to its record, on the monotonic clock", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input: CircuitBreaker.Input = { slowCallThreshold: 100, slowCallRateThreshold: 0.5, windowSize: 4 }
      const clock = yield* Clock.clockWith(Effect.succeed)
      const restarted: Clock.Clock = { ...clock, monotonicTimeNanosUnsafe: () => 0n }
      const config = CircuitBreaker.make(input)
      const took = (ms: number) =>
        Effect.gen(function*() {
          const permit = yield* registry.acquire("k", config)
          yield* TestClock.adjust(ms)
          yield* permit.record("success")
        })
      yield* took(100)
      assert.deepStrictEqual((yield* registry.state("k")).window, { calls: 1, failures: 0, slow: 0 })
      yield* took(101)
      assert.deepStrictEqual((yield* registry.state("k")).window, { calls: 2, failures: 0, slow: 1 })
      yield* TestClock.adjust(1000)
      const permit = yield* registry.acquire("k", config)
      yield* Effect.provideService(permit.record("success"), Clock.Clock, restarted)
      assert.deepStrictEqual((yield* registry.state("k")).window, { calls: 3, failures: 0, slow: 1 })
      yield* registry.execute("k", input)(TestClock.adjust(101))
      assert.deepInclude(yield* registry.state("k"), { state: "OPEN", failureCount: 0 })
    }))

  it.effect("keeps a circuit that has counted, until it is reset", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const input: CircuitBreaker.Input = { failureThreshold: Infinity, failureRateThreshold: 0.5, windowSize: 4 }
      const call = registry.execute("k", input)
      yield* call(Effect.void)
      for (const key of ["a", "b"]) yield* registry.execute(key)(Effect.void)
      assert.deepStrictEqual(yield* registry.states, [{
        key: "k",
        state: "CLOSED",
        failureCount: 0,
        probes: 0,
        window: { calls: 1, failures: 0, slow: 0 }
      }])
      yield* call(Effect.void)
      yield* Effect.exit(call(Effect.fail(1)))
      assert.strictEqual((yield* registry.state("k")).state, "CLOSED")
      yield* Effect.exit(call(Effect.fail(1)))
      assert.strictEqual((yield* registry.state("k")).state, "OPEN")
      yield* registry.reset("k")
      assert.deepStrictEqual(yield* registry.states, [])
    }))
})
