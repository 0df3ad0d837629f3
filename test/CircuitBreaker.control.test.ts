import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as CircuitBreakerRegistry from "../src/CircuitBreakerRegistry.ts"
import { CircuitOpenError } from "../src/GraphError.ts"
import { Circuit } from "./support/circuit.ts"

const forceOpen = (circuit: Circuit) => circuit.enter(CircuitBreaker.forceOpen(circuit.state, circuit.now))
const isolate = (circuit: Circuit) => circuit.enter(CircuitBreaker.isolate(circuit.state, circuit.now))
const release = (circuit: Circuit) => circuit.enter(CircuitBreaker.release(circuit.state))
const disable = (circuit: Circuit) => circuit.enter(CircuitBreaker.disable(circuit.state))

/** A circuit in each of its three states, with a call in flight. */
const everyState: ReadonlyArray<readonly [CircuitBreaker.CircuitState, () => { circuit: Circuit; inFlight: number }]> =
  [
    ["CLOSED", () => {
      const circuit = new Circuit({ failureThreshold: 2 })
      circuit.calls("f")
      return { circuit, inFlight: circuit.call() }
    }],
    ["OPEN", () => {
      const circuit = new Circuit()
      const inFlight = circuit.call()
      circuit.calls("f")
      return { circuit, inFlight }
    }],
    ["HALF_OPEN", () => {
      const circuit = new Circuit()
      circuit.openAndWait()
      return { circuit, inFlight: circuit.call() }
    }]
  ]

const outcomes = ["success", "failure", "ignored"] as const

describe.each(everyState)("from %s", (from, make) => {
  it("forceOpen rejects for ever, and a reset closes", () => {
    const { circuit } = make()
    const changes = circuit.transitions.length
    circuit.now += 5
    forceOpen(circuit)
    assert.deepInclude(circuit.state, { _tag: "OPEN", failureCount: 0, openMs: Infinity })
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "forced")
    for (const now of [1e15, 0]) {
      circuit.now = now
      assert.deepStrictEqual(circuit.ask(), {
        _tag: "Rejected",
        circuitState: "OPEN",
        retryAfter: Duration.infinity
      })
    }
    circuit.reset()
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "normal")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: circuit.state.generation, failureCount: 0 })
    assert.deepStrictEqual(
      circuit.transitions.slice(changes),
      from === "OPEN" ? ["OPEN->CLOSED"] : [`${from}->OPEN`, "OPEN->CLOSED"]
    )
  })

  it("disable admits everybody and counts nothing, and a reset makes it count again", () => {
    const { circuit } = make()
    const changes = circuit.transitions.length
    disable(circuit)
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "disabled")
    const { state } = circuit
    circuit.calls("f".repeat(50) + "si")
    assert.strictEqual(circuit.state, state)
    const inFlight = circuit.call()
    circuit.reset()
    circuit.record(inFlight, "failure")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: circuit.state.generation, failureCount: 0 })
    assert.deepStrictEqual(circuit.transitions.slice(changes), from === "CLOSED" ? [] : [`${from}->CLOSED`])
  })

  it("isolate rejects until it is released, a reset in between changes nothing", () => {
    const { circuit } = make()
    isolate(circuit)
    circuit.reset()
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "isolated")
    circuit.now = 1e12
    assert.deepInclude(circuit.ask(), { _tag: "Rejected", retryAfter: Duration.infinity })
    release(circuit)
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: circuit.state.generation, failureCount: 0 })
    circuit.call()
  })

  it("a call in flight changes nothing afterwards, whatever was done and undone", () => {
    const acts: ReadonlyArray<(circuit: Circuit) => void> = [forceOpen, disable, isolate, (circuit) => {
      isolate(circuit)
      release(circuit)
    }, (circuit) => {
      disable(circuit)
      circuit.reset()
    }, (circuit) => {
      forceOpen(circuit)
      circuit.reset()
    }]
    for (const act of acts) {
      for (const outcome of outcomes) {
        const { circuit, inFlight } = make()
        act(circuit)
        const { state } = circuit
        circuit.record(inFlight, outcome, { durationMs: 1e9, retryAfterMs: 1e9 })
        assert.strictEqual(circuit.state, state)
      }
    }
  })
})

describe("held by several", () => {
  it("it opens with the first and closes with the last", () => {
    const circuit = new Circuit()
    for (let i = 0; i < 3; i++) isolate(circuit)
    release(circuit)
    release(circuit)
    assert.strictEqual(circuit.state._tag, "OPEN")
    release(circuit)
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN", "OPEN->CLOSED"])
    const { state } = circuit
    release(circuit)
    assert.strictEqual(circuit.state, state)
  })

  it.each([["forced", forceOpen, "OPEN"], ["disabled", disable, "CLOSED"]] as const)(
    "what was asked for meanwhile counts after the last release: %s",
    (mode, act, state) => {
      const circuit = new Circuit()
      isolate(circuit)
      act(circuit)
      assert.strictEqual(CircuitBreaker.mode(circuit.state), "isolated")
      assert.strictEqual(circuit.ask()._tag, "Rejected")
      release(circuit)
      assert.strictEqual(CircuitBreaker.mode(circuit.state), mode)
      assert.strictEqual(circuit.state._tag, state)
      circuit.reset()
      circuit.call()
      assert.strictEqual(CircuitBreaker.mode(circuit.state), "normal")
    }
  )

  it("of forced and disabled the last one counts, and both survive an isolation", () => {
    const circuit = new Circuit()
    forceOpen(circuit)
    isolate(circuit)
    release(circuit)
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "forced")
    disable(circuit)
    circuit.call()
    isolate(circuit)
    release(circuit)
    assert.strictEqual(CircuitBreaker.mode(circuit.state), "disabled")
    forceOpen(circuit)
    assert.strictEqual(circuit.ask()._tag, "Rejected")
  })

  it("it says since when it is open, also when it was before", () => {
    const circuit = new Circuit()
    circuit.now = 10
    circuit.calls("f")
    circuit.now = 20
    forceOpen(circuit)
    assert.deepInclude(circuit.state, { openedAtMs: 10 })
    circuit.reset()
    isolate(circuit)
    assert.deepInclude(circuit.state, { openedAtMs: 20 })
  })
})

describe("the registry", () => {
  const once: CircuitBreaker.Input = { failureThreshold: 1, resetTimeout: 1000 }
  const boom = Effect.fail("boom")

  it.effect("forces a circuit open before anyone has used it, and a reset forgets it", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* TestClock.adjust(5)
      yield* registry.forceOpen("k")
      assert.deepStrictEqual(yield* registry.states, [{
        key: "k",
        state: "OPEN",
        mode: "forced",
        failureCount: 0,
        probes: 0,
        openedAt: 5,
        retryAfter: Duration.infinity
      }])
      yield* TestClock.adjust("1 hour")
      const error = yield* Effect.flip(registry.execute("k", once)(Effect.void))
      assert.deepStrictEqual(
        error,
        new CircuitOpenError({ key: "k", circuitState: "OPEN", retryAfter: Duration.infinity })
      )
      assert.strictEqual(error.message, `circuit "k" is OPEN, and stays so until somebody closes it`)
      yield* registry.reset("k")
      assert.deepStrictEqual(yield* registry.states, [])
      assert.strictEqual(yield* registry.execute("k", once)(Effect.succeed(1)), 1)
    }))

  it.effect("a circuit that was steered first takes the configuration of its first call", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const config = CircuitBreaker.make(once)
      const scope = yield* Scope.make()
      yield* registry.disable("k")
      const permit = yield* registry.acquire("k", config)
      assert.strictEqual(permit.config, config)
      yield* registry.isolate("k").pipe(Scope.provide(scope))
      yield* permit.record("failure")
      yield* registry.reset("k")
      yield* Scope.close(scope, Exit.void)
      yield* Effect.exit(registry.execute("k", once)(boom))
      assert.strictEqual((yield* registry.state("k")).state, "OPEN")
    }))

  it.effect("a disabled circuit admits and counts nothing, under its own key alone", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      yield* registry.disable("k")
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* Effect.flip(registry.execute("k", once)(boom)), "boom")
        yield* Effect.exit(registry.execute("other", once)(boom))
      }
      assert.deepStrictEqual(yield* registry.state("k"), {
        key: "k",
        state: "CLOSED",
        mode: "disabled",
        failureCount: 0,
        probes: 0
      })
      assert.strictEqual((yield* registry.state("other")).state, "OPEN")
      yield* registry.resetAll
      assert.deepStrictEqual(yield* registry.states, [])
    }))

  it.effect("an isolation ends with its release, once, or with its scope", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const mode = Effect.map(registry.state("k"), ({ mode, state }) => `${state} ${mode ?? "normal"}`)
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* registry.isolate("k")
        yield* registry.isolate("k")
        yield* one.release
        yield* one.release
        assert.strictEqual(yield* mode, "OPEN isolated")
      }))
      assert.strictEqual(yield* mode, "CLOSED normal")
      assert.deepStrictEqual(yield* registry.states, [])

      const fiber = yield* registry.isolate("k").pipe(
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual(yield* mode, "OPEN isolated")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* mode, "CLOSED normal")
    }))

  it.effect("every change by hand is published once, after it is stored", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const seen: Array<string> = []
      const fiber = yield* registry.changes.pipe(
        Stream.runForEach(({ from, to }) =>
          Effect.map(registry.state("k"), ({ state }) => seen.push(`${from}->${to} ${state}`))
        ),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      const acts = [
        registry.forceOpen("k"),
        registry.forceOpen("k"),
        registry.disable("k"),
        registry.disable("k"),
        Effect.scoped(Effect.andThen(registry.isolate("k"), Effect.yieldNow)),
        registry.reset("k")
      ]
      for (const act of acts) {
        yield* act
        yield* Effect.yieldNow
      }
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, [
        "CLOSED->OPEN OPEN",
        "OPEN->CLOSED CLOSED",
        "CLOSED->OPEN OPEN",
        "OPEN->CLOSED CLOSED"
      ])
    }))

  it.effect("a probe in flight is cut off by an isolation: its outcome changes nothing", () =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const end = yield* Deferred.make<void>()
      yield* Effect.exit(registry.execute("k", once)(boom))
      yield* TestClock.adjust(1000)
      const probe = yield* Deferred.await(end).pipe(
        registry.execute("k", once),
        Effect.forkChild({ startImmediately: true })
      )
      assert.deepInclude(yield* registry.state("k"), { state: "HALF_OPEN", probes: 1 })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* registry.isolate("k")
        assert.deepInclude(yield* registry.state("k"), { state: "OPEN", probes: 0 })
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.join(probe)
        assert.strictEqual((yield* registry.state("k")).state, "OPEN")
      }))
      assert.deepStrictEqual(yield* registry.states, [])
    }))
})
