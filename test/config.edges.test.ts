/** What is read of options at their edges. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import { CircuitBreaker, ParallelConfig, StateGraph } from "effect-stategraph"
import { OptionReader } from "../src/internal/option.ts"
import { State } from "./support/fan.ts"
import { eventsOf } from "./support/scenario.ts"

/** What a duration of 0 or more is read as; `undefined` when it is refused. */
const read = (value: unknown): number | undefined => {
  const reader = new OptionReader("test")
  const millis = reader.duration("wait", value, { zero: true })
  assert.strictEqual(reader.problems.length, millis === undefined ? 1 : 0)
  return millis
}

describe("a duration", () => {
  it("is read in every unit of its parts", () => {
    const units = {
      weeks: 604_800_000,
      days: 86_400_000,
      hours: 3_600_000,
      minutes: 60_000,
      seconds: 1_000,
      milliseconds: 1,
      microseconds: 1e-3,
      nanoseconds: 1e-6
    }
    for (const [unit, millis] of Object.entries(units)) {
      assert.strictEqual(read({ [unit]: 2 }), 2 * millis, unit)
    }
    assert.strictEqual(read({ hours: 1, minutes: 1 }), 3_660_000)
    assert.strictEqual(read({ hours: 1, minutes: undefined }), 3_600_000)
    assert.strictEqual(read([2, 500_000]), 2_000.5)
  })

  it("with a part that is no number is none", () => {
    for (const part of ["1", 1n, null, true, NaN, {}]) assert.isUndefined(read({ seconds: part }))
    assert.isUndefined(read({ seconds: undefined }))
    assert.isUndefined(read({}))
  })

  it("below 0 is refused in every form, and 0 is not", () => {
    for (
      const value of [-1, -1n, "-1 nanos", "-5 seconds", -Infinity, "-Infinity", { seconds: -1 }, [-1, 0], [0, -5]]
    ) {
      assert.isUndefined(read(value), String(value))
    }
    for (const value of [0, 0n, "0 millis", Duration.zero, { seconds: 0 }, [0, 0]]) {
      assert.strictEqual(read(value), 0, String(value))
    }
  })
})

describe("the options of a circuit", () => {
  it("hold the limits themselves", () => {
    const limits = {
      failureThreshold: 1,
      failureRateThreshold: 0,
      slowCallRateThreshold: 1,
      windowSize: 1,
      minimumCalls: 1,
      resetTimeoutMultiplier: 1,
      halfOpenMaxCalls: 1,
      successThreshold: 1
    }
    assert.deepInclude(CircuitBreaker.make(limits), limits)
    assert.throws(() => CircuitBreaker.make({ resetTimeoutMultiplier: 0.99 }), "resetTimeoutMultiplier is 0.99")
  })
})

describe("the options of a node", () => {
  const told = (options: object) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State).addNode("work", () => ({ v: 1 }), options).setEntryPoint("work")
        .setFinishPoint("work").compile()
      const { events } = yield* eventsOf(graph, { n: 0 })
      return events.flatMap(({ _tag }) => _tag.startsWith("Attempt") ? [_tag] : [])
    })

  it.effect("make attempts of it when one is given, a fallback alone too, and not when all are undefined", () =>
    Effect.gen(function*() {
      const nothing = { timeout: undefined, retry: undefined, grace: undefined, fallback: undefined }
      assert.deepStrictEqual(yield* told({}), [])
      assert.deepStrictEqual(yield* told(nothing), [])
      for (const options of [{ timeout: 10 }, { fallback: { v: 2 } }]) {
        assert.deepStrictEqual(yield* told({ ...nothing, ...options }), ["AttemptStarted", "AttemptSucceeded"])
      }
    }))

  it("tell the keys of the state when a fallback sets another one", () => {
    const graph = StateGraph.make("g", State).addNode("work", () => ({}), { fallback: { nn: 1 } as never })
    assert.throws(
      () => graph.setEntryPoint("work").setFinishPoint("work").compile(),
      `fallback.nn is "nn", allowed is a key of the state: n, v, joined`
    )
  })
})

describe("the environment", () => {
  it.effect("tells each of several problems in a line of its own", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromEnv({ env: { STATEGRAPH_TIMEOUT: "0", STATEGRAPH_CONCURRENCY: "0" } })
      const error = yield* Effect.flip(ParallelConfig.config.parse(provider))
      const lines = error.message.split("\n")
      assert.deepStrictEqual(lines.map((line) => /STATEGRAPH_\w+/.exec(line)?.[0]), [
        "STATEGRAPH_TIMEOUT",
        "STATEGRAPH_CONCURRENCY"
      ])
    }))
})

describe("references", () => {
  it("carry the name of the package, so that two copies of it are one", () => {
    assert.strictEqual(ParallelConfig.CurrentConfig.key, "effect-stategraph/ParallelConfig/CurrentConfig")
    assert.strictEqual(ParallelConfig.CurrentOverride.key, "effect-stategraph/ParallelConfig/CurrentOverride")
  })
})
