import { assert, describe, it } from "@effect/vitest"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import { Circuit } from "./support/circuit.ts"

/** Opens by rates alone. */
const rated = (input: CircuitBreaker.Input): Circuit =>
  new Circuit({ failureThreshold: Infinity, failureRateThreshold: 0.5, ...input })

const open = (circuit: Circuit): boolean => circuit.state._tag === "OPEN"

describe("options", () => {
  it("without a rate nothing is remembered but failures in a row", () => {
    const circuit = new Circuit({ failureThreshold: 3, windowSize: 5, minimumCalls: 1, windowDuration: 100 })
    circuit.calls("ssffs")
    assert.deepStrictEqual(circuit.state, CircuitBreaker.initial)
    circuit.calls("ff")
    assert.notProperty(circuit.state, "window")
    assert.deepStrictEqual(circuit.tally, { calls: 0, failures: 0, slow: 0 })
  })

  it("failureThreshold: Infinity takes any number of failures", () => {
    const circuit = new Circuit({ failureThreshold: Infinity })
    circuit.calls("f".repeat(1000))
    assert.deepInclude(circuit.state, { _tag: "CLOSED", failureCount: 1000 })
  })

  it("failures in a row count beside the rate", () => {
    const circuit = new Circuit({ failureThreshold: 3, failureRateThreshold: 0.9, windowSize: 100 })
    circuit.calls("ssssfff")
    assert.isTrue(open(circuit))
  })

  it("minimumCalls is never more than a window of calls holds", () => {
    assert.strictEqual(CircuitBreaker.make({ windowSize: 10 }).minimumCalls, 10)
    assert.strictEqual(CircuitBreaker.make({ windowSize: 10, minimumCalls: 50 }).minimumCalls, 10)
    assert.strictEqual(CircuitBreaker.make({ windowSize: 10, minimumCalls: 4 }).minimumCalls, 4)
    assert.strictEqual(CircuitBreaker.make({ windowSize: 10, minimumCalls: 50, windowDuration: 1 }).minimumCalls, 50)
  })

  it("a rate of slow calls alone makes them slow at a minute; a limit alone asks for all to be slow", () => {
    assert.deepInclude(CircuitBreaker.make({ slowCallRateThreshold: 0.5 }), { slowCallThresholdMs: 60_000 })
    assert.deepInclude(CircuitBreaker.make({ slowCallThreshold: 5 }), { slowCallRateThreshold: 1 })
    assert.deepInclude(CircuitBreaker.make({ slowCallRateThreshold: 0.5, slowCallThreshold: Infinity }), {
      slowCallThresholdMs: Infinity
    })
  })

  it("Infinity switches a rate off", () => {
    const circuit = new Circuit({ failureThreshold: Infinity, failureRateThreshold: Infinity, minimumCalls: 1 })
    circuit.calls("ffff")
    assert.deepStrictEqual(circuit.transitions, [])
  })
})

describe("the last calls", () => {
  it.each([
    [1, "f"],
    [1, "sssf"],
    [2, "sf"],
    [4, "ssff"],
    [4, "sfsf"],
    [4, "sssssff"],
    [5, "ssfff"],
    [5, "fssff"]
  ])("a window of %s opens at exactly the last of %s", (windowSize, letters) => {
    const circuit = rated({ windowSize })
    circuit.calls(letters.slice(0, -1))
    assert.isFalse(open(circuit))
    circuit.calls(letters.at(-1)!)
    assert.isTrue(open(circuit))
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN"])
  })

  it("a rate below the threshold never opens, however long it goes on", () => {
    const circuit = rated({ windowSize: 10, failureRateThreshold: 0.3 })
    circuit.calls("sssfsssssf".repeat(50))
    assert.deepStrictEqual(circuit.tally, { calls: 10, failures: 2, slow: 0 })
    assert.deepStrictEqual(circuit.transitions, [])
  })

  it("exactly the threshold opens, as a fraction says it", () => {
    for (const [failures, windowSize] of [[3, 10], [7, 100], [1, 3], [29, 100], [57, 1000]] as const) {
      const circuit = rated({ windowSize, failureRateThreshold: failures / windowSize })
      circuit.calls("s".repeat(windowSize - failures) + "f".repeat(failures - 1))
      assert.isFalse(open(circuit))
      circuit.calls("f")
      assert.isTrue(open(circuit), `${failures} of ${windowSize}`)
    }
  })

  it("a success can complete the window that opens it, without a failure in a row", () => {
    const circuit = rated({ windowSize: 4 })
    circuit.calls("ffs")
    circuit.now = 7
    circuit.calls("s")
    assert.deepStrictEqual(circuit.state, { _tag: "OPEN", generation: 1, failureCount: 0, openedAtMs: 7 })
  })

  it("threshold 0 opens at any failure, and not without one; threshold 1 at nothing else", () => {
    const any = rated({ windowSize: 3, failureRateThreshold: 0 })
    any.calls("sssss")
    assert.isFalse(open(any))
    any.calls("f")
    assert.isTrue(open(any))
    const all = rated({ windowSize: 3, failureRateThreshold: 1 })
    all.calls("ffsffsff")
    assert.isFalse(open(all))
    all.calls("f")
    assert.isTrue(open(all))
  })

  it("below minimumCalls nothing opens, from there on the rate does", () => {
    const circuit = rated({ windowSize: 10, minimumCalls: 3 })
    circuit.calls("ff")
    assert.isFalse(open(circuit))
    circuit.calls("f")
    assert.isTrue(open(circuit))
  })

  it("what fell out of the window no longer counts", () => {
    const circuit = rated({ windowSize: 4 })
    circuit.calls("fsssfsssf")
    assert.deepStrictEqual(circuit.tally, { calls: 4, failures: 1, slow: 0 })
    assert.isFalse(open(circuit))
    assert.deepInclude(circuit.state, {
      failureCount: 1,
      window: { _tag: "Count", calls: 4, failures: 1, slow: 0, ring: "0001" }
    })
  })

  it("ignored calls are not in it", () => {
    const circuit = rated({ windowSize: 2 })
    circuit.calls("iif")
    const before = circuit.state
    circuit.calls("iii")
    assert.strictEqual(circuit.state, before)
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 1, slow: 0 })
  })

  it("counts what a list of the last outcomes would count", () => {
    const circuit = rated({ windowSize: 7, failureRateThreshold: 1, slowCallThreshold: 10 })
    const letters: Array<string> = []
    for (let i = 0; i < 500; i++) {
      const letter = "sSsfF"[(i * i + (i >> 3)) % 5]!
      letters.push(letter)
      circuit.calls(letter)
      const last = letters.slice(-7)
      assert.deepStrictEqual(circuit.tally, {
        calls: last.length,
        failures: last.filter((letter) => letter.toLowerCase() === "f").length,
        slow: last.filter((letter) => letter === letter.toUpperCase()).length
      })
    }
    assert.deepStrictEqual(circuit.transitions, [])
  })

  it("a window that was made for more calls goes on with the last of them", () => {
    const circuit = rated({ windowSize: 6, failureRateThreshold: 1 })
    circuit.calls("fffsfs")
    const smaller = rated({ windowSize: 3, failureRateThreshold: 1 })
    smaller.state = circuit.state
    smaller.calls("f")
    assert.deepStrictEqual(smaller.tally, { calls: 3, failures: 2, slow: 0 })
  })
})

describe("the last stretch of time", () => {
  const timed = (input?: CircuitBreaker.Input) => rated({ windowDuration: 100, minimumCalls: 2, ...input })

  it("a call counts until just before windowDuration", () => {
    const circuit = timed()
    circuit.calls("f")
    circuit.now = 99
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 1, slow: 0 })
    circuit.calls("f")
    assert.isTrue(open(circuit))

    const late = timed()
    late.calls("f")
    late.now = 100
    assert.deepStrictEqual(late.tally, { calls: 0, failures: 0, slow: 0 })
    late.calls("f")
    assert.isFalse(open(late))
    assert.deepStrictEqual(late.tally, { calls: 1, failures: 1, slow: 0 })
  })

  it("calls leave it with the first of their tenth, so at most a tenth too early", () => {
    const circuit = timed({ failureRateThreshold: 1 })
    circuit.calls("s")
    circuit.now = 9
    circuit.calls("f")
    circuit.now = 10
    circuit.calls("f")
    circuit.now = 99
    assert.deepStrictEqual(circuit.tally, { calls: 3, failures: 2, slow: 0 })
    circuit.now = 100
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 1, slow: 0 })
    circuit.now = 109
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 1, slow: 0 })
    circuit.now = 110
    assert.deepStrictEqual(circuit.tally, { calls: 0, failures: 0, slow: 0 })
  })

  it("however many calls there are, it holds ten parts", () => {
    const circuit = timed({ failureRateThreshold: 1 })
    for (let i = 0; i < 5000; i++) {
      circuit.now += 0.1 * (i % 7)
      circuit.calls("sf"[i % 2]!)
      assert(circuit.state._tag === "CLOSED" && circuit.state.window?._tag === "Time")
      assert.isAtMost(circuit.state.window.parts.length, 10)
    }
    assert.isAbove(circuit.tally.calls, 200)
  })

  it("it counts no call that is too old, and every one of its last nine tenths", () => {
    const circuit = timed({ failureRateThreshold: 1 })
    const at: Array<number> = []
    for (let i = 0; i < 2000; i++) {
      circuit.now += (i * 7919) % 23
      if (i % 97 === 0) circuit.now += 80
      circuit.calls("sf"[i % 2]!)
      at.push(circuit.now)
      const { calls } = circuit.tally
      assert.isAtMost(calls, at.filter((ms) => circuit.now - ms < 100).length)
      assert.isAtLeast(calls, at.filter((ms) => circuit.now - ms < 90).length)
    }
  })

  it("calls at one instant are one part, and the last of them opens it", () => {
    const circuit = timed({ minimumCalls: 50 })
    circuit.calls("sf".repeat(24) + "s")
    assert.isFalse(open(circuit))
    circuit.calls("f")
    assert.isTrue(open(circuit))
  })

  it("a clock that stepped back makes it empty, and does not prolong anything", () => {
    const circuit = timed()
    circuit.now = 50
    circuit.calls("f")
    circuit.now = 49
    assert.deepStrictEqual(circuit.tally, { calls: 0, failures: 0, slow: 0 })
    circuit.calls("f")
    assert.isFalse(open(circuit))
    circuit.now = 52
    circuit.calls("f")
    assert.isTrue(open(circuit))
  })

  it("windowDuration: Infinity is a window of calls; another kind of window starts empty", () => {
    const circuit = rated({ windowDuration: Infinity, windowSize: 2 })
    circuit.calls("f")
    assert(circuit.state._tag === "CLOSED")
    assert.strictEqual(circuit.state.window?._tag, "Count")
    const other = timed()
    other.state = circuit.state
    other.calls("f")
    assert.deepStrictEqual(other.tally, { calls: 1, failures: 1, slow: 0 })
    const back = rated({ windowSize: 3 })
    back.state = other.state
    back.calls("s")
    assert.deepStrictEqual(back.tally, { calls: 1, failures: 0, slow: 0 })
  })
})

describe("slow calls", () => {
  const slowing = (input?: CircuitBreaker.Input) =>
    new Circuit({ failureThreshold: 9, slowCallThreshold: 100, slowCallRateThreshold: 0.5, windowSize: 4, ...input })

  it("a call of exactly the limit is not slow, one above it is", () => {
    const circuit = slowing()
    circuit.record(circuit.call(), "success", { durationMs: 100 })
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 0, slow: 0 })
    circuit.record(circuit.call(), "success", { durationMs: 100.001 })
    assert.deepStrictEqual(circuit.tally, { calls: 2, failures: 0, slow: 1 })
  })

  it("a call without a duration, or of a clock that stepped back, is not slow", () => {
    const circuit = slowing()
    circuit.record(circuit.call(), "success")
    circuit.record(circuit.call(), "success", { durationMs: -1e9 })
    assert.deepStrictEqual(circuit.tally, { calls: 2, failures: 0, slow: 0 })
  })

  it.each(["sSsS", "SSss", "ssSsS", "SFss"])("half of the calls slow: the last of %s opens", (letters) => {
    const circuit = slowing()
    circuit.calls(letters.slice(0, -1))
    assert.isFalse(open(circuit))
    circuit.calls(letters.at(-1)!)
    assert.isTrue(open(circuit))
  })

  it("slow failures count for both rates, and for failures in a row", () => {
    const circuit = slowing({ failureRateThreshold: 1, slowCallRateThreshold: 1 })
    circuit.calls("FfF")
    assert.deepStrictEqual(circuit.tally, { calls: 3, failures: 3, slow: 2 })
    assert.strictEqual(circuit.state.failureCount, 3)
    circuit.calls("S")
    assert.strictEqual(circuit.state.failureCount, 0)
    assert.deepStrictEqual(circuit.tally, { calls: 4, failures: 3, slow: 3 })
  })

  it("threshold 0 opens at any slow call, and not without one", () => {
    const circuit = slowing({ slowCallRateThreshold: 0, minimumCalls: 1 })
    circuit.calls("sfsfs")
    assert.isFalse(open(circuit))
    circuit.calls("S")
    assert.isTrue(open(circuit))
  })

  it("a slow probe has failed", () => {
    const circuit = slowing({ minimumCalls: 1 })
    circuit.calls("S")
    circuit.now += 1000
    circuit.calls("S")
    assert.deepInclude(circuit.state, { _tag: "OPEN", failureCount: 1, openedAtMs: 1000, lastFailureAtMs: 1000 })
    circuit.now += 1000
    circuit.calls("s")
    assert.strictEqual(circuit.state._tag, "CLOSED")
  })

  it("an ignored slow probe frees its slot", () => {
    const circuit = slowing({ minimumCalls: 1 })
    circuit.calls("S")
    circuit.now += 1000
    circuit.calls("I")
    assert.deepInclude(circuit.state, { _tag: "HALF_OPEN", probes: [] })
  })
})

describe("guards", () => {
  it("however many fail at once, it opens once and the late ones count for nothing", () => {
    const circuit = rated({ windowSize: 10 })
    const calls = Array.from({ length: 50 }, () => circuit.call())
    for (const call of calls) circuit.record(call, "failure")
    assert.deepStrictEqual(circuit.transitions, ["CLOSED->OPEN"])
    assert.deepInclude(circuit.state, { _tag: "OPEN", generation: 1, failureCount: 10 })
  })

  it("a late outcome is not in the window of the next life", () => {
    const circuit = rated({ windowSize: 2 })
    const late = [circuit.call(), circuit.call(), circuit.call()] as const
    circuit.calls("ff")
    circuit.record(late[0], "failure")
    circuit.now += 1000
    circuit.calls("s")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: 3, failureCount: 0 })
    circuit.record(late[1], "failure")
    circuit.record(late[2], "success", { durationMs: 1e9 })
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: 3, failureCount: 0 })
    circuit.calls("f")
    assert.deepStrictEqual(circuit.tally, { calls: 1, failures: 1, slow: 0 })
  })

  it("what slow calls opened is closed by a probe, also of a configuration that takes no rates", () => {
    const circuit = rated({ windowSize: 2, slowCallThreshold: 10 })
    circuit.calls("SS")
    circuit.now += 1000
    const probe = circuit.call()
    assert.deepInclude(circuit.state, { _tag: "HALF_OPEN", failureCount: 0 })
    const answer = { generation: probe, outcome: "success" } as const
    const { transition } = CircuitBreaker.record(circuit.state, answer, circuit.now, CircuitBreaker.make())
    assert.deepStrictEqual(transition, { from: "HALF_OPEN", to: "CLOSED" })
  })

  it("a reset forgets the window, and calls in flight stay out of it", () => {
    const circuit = rated({ windowSize: 3 })
    const inFlight = circuit.call()
    circuit.calls("sf")
    circuit.reset()
    circuit.record(inFlight, "failure")
    assert.deepStrictEqual(circuit.state, { _tag: "CLOSED", generation: 1, failureCount: 0 })
    circuit.calls("fs")
    assert.isFalse(open(circuit))
  })
})
