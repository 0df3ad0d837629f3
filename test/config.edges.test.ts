/** What is read of options at their edges. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { ParallelConfig } from "effect-stategraph"
import { OptionReader } from "../src/internal/option.ts"

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

describe("references", () => {
  it("carry the name of the package, so that two copies of it are one", () => {
    assert.strictEqual(ParallelConfig.CurrentConfig.key, "effect-stategraph/ParallelConfig/CurrentConfig")
    assert.strictEqual(ParallelConfig.CurrentOverride.key, "effect-stategraph/ParallelConfig/CurrentOverride")
  })
})
