import { assert, describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import { InvalidConfigError } from "../src/GraphError.ts"
import { OptionReader } from "../src/internal/option.ts"
import { Circuit } from "./support/circuit.ts"

const problemOf = (input: unknown): InvalidConfigError => {
  try {
    CircuitBreaker.make(input as CircuitBreaker.Input)
  } catch (error) {
    assert(error instanceof InvalidConfigError)
    return error
  }
  return assert.fail("nothing was thrown")
}

describe("configuration", () => {
  it("defaults are those of the contract", () => {
    assert.deepStrictEqual(CircuitBreaker.make(), CircuitBreaker.defaults)
    assert.deepStrictEqual(CircuitBreaker.defaults, {
      failureThreshold: 5,
      failureRateThreshold: Infinity,
      slowCallThresholdMs: Infinity,
      slowCallRateThreshold: 1,
      windowSize: 100,
      windowDurationMs: Infinity,
      minimumCalls: 100,
      resetTimeoutMs: 30_000,
      resetTimeoutMultiplier: 1,
      maxResetTimeoutMs: 3_600_000,
      retryAfter: undefined,
      halfOpenMaxCalls: 1,
      successThreshold: 1,
      probeTimeoutMs: 30_000,
      isFailure: undefined
    })
  })

  it("every field is read, alone and together", () => {
    const isFailure = () => true
    const retryAfter = () => undefined
    assert.deepStrictEqual(
      CircuitBreaker.make({
        key: "k",
        failureThreshold: 1,
        failureRateThreshold: 0.5,
        slowCallThreshold: "1 second",
        slowCallRateThreshold: 0.25,
        windowSize: 20,
        windowDuration: "1 minute",
        minimumCalls: 30,
        resetTimeout: "2 seconds",
        resetTimeoutMultiplier: 2,
        maxResetTimeout: "10 seconds",
        retryAfter,
        halfOpenMaxCalls: 3,
        successThreshold: 4,
        probeTimeout: Duration.seconds(5),
        isFailure
      }),
      {
        failureThreshold: 1,
        failureRateThreshold: 0.5,
        slowCallThresholdMs: 1000,
        slowCallRateThreshold: 0.25,
        windowSize: 20,
        windowDurationMs: 60_000,
        minimumCalls: 30,
        resetTimeoutMs: 2000,
        resetTimeoutMultiplier: 2,
        maxResetTimeoutMs: 10_000,
        retryAfter,
        halfOpenMaxCalls: 3,
        successThreshold: 4,
        probeTimeoutMs: 5000,
        isFailure
      }
    )
    assert.strictEqual(CircuitBreaker.make({ failureThreshold: 9 }).failureThreshold, 9)
    assert.strictEqual(CircuitBreaker.make({ resetTimeout: 9 }).resetTimeoutMs, 9)
    assert.strictEqual(CircuitBreaker.make({ halfOpenMaxCalls: 9 }).halfOpenMaxCalls, 9)
    assert.strictEqual(CircuitBreaker.make({ successThreshold: 9 }).successThreshold, 9)
    assert.strictEqual(CircuitBreaker.make({ probeTimeout: 9 }).probeTimeoutMs, 9)
    assert.strictEqual(CircuitBreaker.make({ isFailure }).isFailure, isFailure)
  })

  it("probeTimeout follows resetTimeout unless it is given", () => {
    assert.strictEqual(CircuitBreaker.make({ resetTimeout: 7 }).probeTimeoutMs, 7)
    assert.strictEqual(CircuitBreaker.make({ resetTimeout: 7, probeTimeout: 3 }).probeTimeoutMs, 3)
  })

  it("Infinity is a duration", () => {
    assert.strictEqual(CircuitBreaker.make({ resetTimeout: Infinity }).resetTimeoutMs, Infinity)
    assert.strictEqual(CircuitBreaker.make({ probeTimeout: Duration.infinity }).probeTimeoutMs, Infinity)
  })

  it("an explicit undefined is not given", () => {
    const reader = new OptionReader("test")
    const input = { key: undefined, failureThreshold: undefined, resetTimeout: undefined, isFailure: undefined }
    assert.deepStrictEqual(CircuitBreaker.read(reader, "", input), {})
    assert.deepStrictEqual(reader.problems, [])
  })

  it.each<[string, unknown]>([
    ["failureThreshold", 0],
    ["failureThreshold", 1.5],
    ["failureThreshold", "5"],
    ["failureThreshold", -Infinity],
    ["failureRateThreshold", 1.01],
    ["failureRateThreshold", -0.01],
    ["failureRateThreshold", NaN],
    ["failureRateThreshold", "0.5"],
    ["slowCallThreshold", 0],
    ["slowCallThreshold", "slow"],
    ["slowCallRateThreshold", 2],
    ["slowCallRateThreshold", Infinity],
    ["windowSize", 0],
    ["windowSize", Infinity],
    ["windowDuration", -1],
    ["minimumCalls", 0],
    ["minimumCalls", 1.5],
    ["resetTimeoutMultiplier", 0.99],
    ["resetTimeoutMultiplier", Infinity],
    ["resetTimeoutMultiplier", "2"],
    ["maxResetTimeout", 0],
    ["retryAfter", 5],
    ["halfOpenMaxCalls", 0],
    ["successThreshold", -1],
    ["resetTimeout", 0],
    ["resetTimeout", -1],
    ["resetTimeout", "soon"],
    ["resetTimeout", NaN],
    ["probeTimeout", 0],
    ["probeTimeout", "-1 seconds"],
    ["key", ""],
    ["key", 5],
    ["isFailure", true],
    ["isFailure", null],
    ["treshold", 5]
  ])("%s: %s is refused", (field, value) => {
    const problem = problemOf({ [field]: value })
    assert.deepInclude(problem, { field, source: "CircuitBreaker.make" })
    assert.notStrictEqual(problem.allowed, "")
  })

  it.each([null, [], 5, "OPEN", () => ({})])("%s is no configuration", (input) => {
    assert.deepInclude(problemOf(input), { field: "input", allowed: "an object" })
  })

  it("reading collects all problems, under the prefix", () => {
    const reader = new OptionReader("edge a -> b")
    const input = { failureThreshold: 0, resetTimeout: 0, successThreshold: 2 }
    assert.deepStrictEqual(CircuitBreaker.read(reader, "circuitBreaker.", input), { successThreshold: 2 })
    assert.deepStrictEqual(reader.problems.map((problem) => problem.field), [
      "circuitBreaker.failureThreshold",
      "circuitBreaker.resetTimeout"
    ])
    CircuitBreaker.read(reader, "circuitBreaker.", 5 as CircuitBreaker.Input)
    assert.deepInclude(reader.problems[2], { field: "circuitBreaker", source: "edge a -> b" })
  })

  it("the key is read, and is no part of the full configuration", () => {
    assert.deepStrictEqual(CircuitBreaker.read(new OptionReader("test"), "", { key: "k" }), { key: "k" })
    assert.deepStrictEqual(CircuitBreaker.fill({ key: "k" }), CircuitBreaker.defaults)
  })

  it("the source can be given", () => {
    expect(() => CircuitBreaker.make({ failureThreshold: 0 }, "elsewhere")).toThrow(/^elsewhere: failureThreshold is 0/)
  })

  it("configurations differ when any field does", () => {
    const isFailure = () => true
    const inputs: ReadonlyArray<CircuitBreaker.Input> = [
      { failureThreshold: 6 },
      { resetTimeout: 1, probeTimeout: "30 seconds" },
      { halfOpenMaxCalls: 2 },
      { successThreshold: 2 },
      { probeTimeout: 1 },
      { isFailure },
      { failureRateThreshold: 1 },
      { slowCallThreshold: 1 },
      { slowCallThreshold: Infinity, slowCallRateThreshold: 0.5 },
      { windowSize: 200 },
      { windowDuration: "1 minute" },
      { minimumCalls: 99 },
      { resetTimeoutMultiplier: 2 },
      { maxResetTimeout: 1 },
      { retryAfter: () => undefined }
    ]
    for (const input of inputs) {
      assert.isFalse(CircuitBreaker.sameConfig(CircuitBreaker.defaults, CircuitBreaker.make(input)))
      assert.isTrue(CircuitBreaker.sameConfig(CircuitBreaker.make(input), CircuitBreaker.make({ ...input })))
    }
  })
})

describe("CLOSED", () => {
  it("a counted failure keeps the generation", () => {
    const circuit = new Circuit({ failureThreshold: 3 })
    const generation = circuit.call()
    circuit.now = 7
    circuit.record(generation, "failure")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation, failureCount: 1, lastFailureAtMs: 7 })
    assert.strictEqual(circuit.call(), generation)
  })

  it("a success without failures before it changes nothing", () => {
    const circuit = new Circuit()
    circuit.record(circuit.call(), "success")
    assert.strictEqual(circuit.state, CircuitBreaker.initial)
  })

  it("a success forgets the failures", () => {
    const circuit = new Circuit({ failureThreshold: 3 })
    circuit.record(circuit.call(), "failure")
    circuit.record(circuit.call(), "success")
    assert.deepStrictEqual(circuit.state, CircuitBreaker.initial)
  })

  it("an ignored outcome neither counts nor forgets", () => {
    const circuit = new Circuit({ failureThreshold: 2 })
    circuit.record(circuit.call(), "failure")
    const before = circuit.state
    circuit.record(circuit.call(), "ignored")
    assert.strictEqual(circuit.state, before)
    circuit.record(circuit.call(), "failure")
    assert.strictEqual(circuit.state._tag, "OPEN")
  })

  it("however many fail at once, it opens once and the late ones count for nothing", () => {
    const circuit = new Circuit({ failureThreshold: 3 })
    const calls = Array.from({ length: 50 }, () => circuit.call())
    for (const call of calls) {
      circuit.now++
      circuit.record(call, "failure")
    }
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN"])
    assert.deepStrictEqual(circuit.state, {
      _tag: "OPEN",
      generation: 1,
      failureCount: 3,
      openedAtMs: 3,
      lastFailureAtMs: 3
    })
  })
})

describe("OPEN", () => {
  it("a late success does not close it", () => {
    const circuit = new Circuit()
    const slow = circuit.call()
    circuit.record(circuit.call(), "failure")
    const open = circuit.state
    circuit.record(slow, "success")
    assert.strictEqual(circuit.state, open)
  })

  it("retryAfter is what is left of the window, in whole milliseconds", () => {
    const circuit = new Circuit()
    circuit.record(circuit.call(), "failure")
    circuit.now = 0.25
    assert.deepStrictEqual(circuit.ask(), {
      _tag: "Rejected",
      circuitState: "OPEN",
      retryAfter: Duration.millis(1000)
    })
    circuit.now = 400
    assert.deepInclude(circuit.ask(), { retryAfter: Duration.millis(600) })
  })

  it("a clock that stepped back keeps it open no longer", () => {
    const circuit = new Circuit()
    circuit.now = 5000
    circuit.record(circuit.call(), "failure")
    circuit.now = 4999
    circuit.call()
    assert.strictEqual(circuit.state._tag, "HALF_OPEN")
  })

  it("an infinite window ends by a reset only", () => {
    const circuit = new Circuit({ resetTimeout: Infinity })
    circuit.now = 5000
    circuit.record(circuit.call(), "failure")
    for (const now of [1e15, 0]) {
      circuit.now = now
      assert.deepStrictEqual(circuit.ask(), {
        _tag: "Rejected",
        circuitState: "OPEN",
        retryAfter: Duration.infinity
      })
    }
    circuit.reset()
    circuit.call()
  })
})

describe("HALF_OPEN", () => {
  it("a probe has a generation of its own", () => {
    const circuit = new Circuit({ halfOpenMaxCalls: 3 })
    const before = circuit.call()
    circuit.openAndWait()
    const probes = [circuit.call(), circuit.call(), circuit.call()]
    assert.strictEqual(new Set([before, ...probes]).size, 4)
  })

  it("a late outcome from before the opening changes nothing", () => {
    const circuit = new Circuit()
    const slow = [circuit.call(), circuit.call(), circuit.call()] as const
    circuit.openAndWait()
    circuit.call()
    const halfOpen = circuit.state
    circuit.record(slow[0], "success")
    circuit.record(slow[1], "failure")
    circuit.record(slow[2], "ignored")
    assert.strictEqual(circuit.state, halfOpen)
  })

  it("a full one is rejected until the first probe would lose its slot, with the identical state", () => {
    const circuit = new Circuit({ halfOpenMaxCalls: 2, probeTimeout: 300 })
    circuit.openAndWait()
    circuit.call()
    circuit.now += 100
    circuit.call()
    circuit.now += 50
    const full = circuit.state
    assert.deepStrictEqual(circuit.ask(), {
      _tag: "Rejected",
      circuitState: "HALF_OPEN",
      retryAfter: Duration.millis(150)
    })
    assert.strictEqual(circuit.state, full)
    circuit.now += 150
    circuit.call()
    assert.deepInclude(circuit.ask(), { retryAfter: Duration.millis(100) })
  })

  it("an ignored probe frees its slot, and only its own", () => {
    const circuit = new Circuit({ halfOpenMaxCalls: 2 })
    circuit.openAndWait()
    const first = circuit.call()
    const second = circuit.call()
    circuit.record(first, "ignored")
    assert.deepStrictEqual(
      CircuitBreaker.probes(circuit.state, circuit.now, circuit.config).map((probe) => probe.generation),
      [second]
    )
    circuit.call()
    assert.strictEqual(circuit.ask()._tag, "Rejected")
    assert.strictEqual(circuit.state._tag, "HALF_OPEN")
  })

  it("closes at successThreshold, which failures and ignored probes do not reach", () => {
    const circuit = new Circuit({ successThreshold: 2 })
    circuit.openAndWait()
    circuit.record(circuit.call(), "success")
    circuit.record(circuit.call(), "ignored")
    assert.deepInclude(circuit.state, { _tag: "HALF_OPEN", successes: 1, probes: [] })
    circuit.record(circuit.call(), "success")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: circuit.state.generation, failureCount: 0 })
  })

  it("successes of an earlier half-open time do not count", () => {
    const circuit = new Circuit({ successThreshold: 2 })
    circuit.openAndWait()
    circuit.record(circuit.call(), "success")
    circuit.openAndWait()
    circuit.record(circuit.call(), "success")
    assert.strictEqual(circuit.state._tag, "HALF_OPEN")
  })

  it("a failed probe counts, and opens it once for its siblings too", () => {
    const circuit = new Circuit({ halfOpenMaxCalls: 3 })
    circuit.openAndWait()
    const probes = [circuit.call(), circuit.call(), circuit.call()] as const
    circuit.now = 1500
    circuit.record(probes[1], "failure")
    assert.deepInclude(circuit.state, { _tag: "OPEN", failureCount: 2, openedAtMs: 1500, lastFailureAtMs: 1500 })
    const open = circuit.state
    circuit.record(probes[0], "success")
    circuit.record(probes[2], "failure")
    assert.strictEqual(circuit.state, open)
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN", "OPEN->HALF_OPEN", "HALF_OPEN->OPEN"])
  })

  it("after it closed, the outcome of a sibling probe changes nothing", () => {
    const circuit = new Circuit({ halfOpenMaxCalls: 2, failureThreshold: 1 })
    circuit.openAndWait()
    const [first, second] = [circuit.call(), circuit.call()]
    circuit.record(first, "success")
    const closed = circuit.state
    circuit.record(second, "failure")
    assert.strictEqual(circuit.state, closed)
  })

  it.each(["success", "failure", "ignored"] as const)(
    "%s of a probe that lost its slot changes nothing, whether or not someone took the slot",
    (outcome) => {
      const circuit = new Circuit({ probeTimeout: 10 })
      circuit.openAndWait()
      const hung = circuit.call()
      circuit.now += 10
      const untaken = circuit.state
      circuit.record(hung, outcome)
      assert.strictEqual(circuit.state, untaken)
      const next = circuit.call()
      const taken = circuit.state
      circuit.record(hung, outcome)
      assert.strictEqual(circuit.state, taken)
      circuit.record(next, "success")
      assert.strictEqual(circuit.state._tag, "CLOSED")
    }
  )

  it("a probe that ends just before probeTimeout counts", () => {
    const circuit = new Circuit({ probeTimeout: 10 })
    circuit.openAndWait()
    const probe = circuit.call()
    circuit.now += 9
    circuit.record(probe, "success")
    assert.strictEqual(circuit.state._tag, "CLOSED")
  })

  it("a probe without a limit keeps its slot for ever", () => {
    const circuit = new Circuit({ probeTimeout: Infinity })
    circuit.openAndWait()
    const probe = circuit.call()
    for (const now of [1e15, 0]) {
      circuit.now = now
      assert.deepInclude(circuit.ask(), { _tag: "Rejected", retryAfter: Duration.infinity })
    }
    circuit.record(probe, "success")
    assert.strictEqual(circuit.state._tag, "CLOSED")
  })

  it("a clock that stepped back keeps no slot", () => {
    const circuit = new Circuit()
    circuit.openAndWait()
    circuit.call()
    circuit.now -= 1
    circuit.call()
  })
})

describe("reset", () => {
  it("closes every state and starts a new generation", () => {
    const circuit = new Circuit({ failureThreshold: 2 })
    circuit.record(circuit.call(), "failure")
    circuit.reset()
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: 1, failureCount: 0 })
    assert.deepStrictEqual(circuit.transitions, [])
    circuit.record(circuit.call(), "failure")
    circuit.openAndWait()
    circuit.call()
    circuit.reset()
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN", "OPEN->HALF_OPEN", "HALF_OPEN->CLOSED"])
  })

  it("outcomes of calls that were in flight change nothing", () => {
    const circuit = new Circuit()
    const inFlight = circuit.call()
    circuit.reset()
    const after = circuit.state
    circuit.record(inFlight, "failure")
    assert.strictEqual(circuit.state, after)

    circuit.openAndWait()
    const probe = circuit.call()
    circuit.reset()
    const closed = circuit.state
    circuit.record(probe, "failure")
    assert.strictEqual(circuit.state, closed)
  })
})
