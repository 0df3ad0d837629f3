/** What a launch of a map keeps of flows that have settled. */
import { assert, describe, it } from "@effect/vitest"
import type { Line } from "../src/internal/cells.ts"
import type { PlanEdge } from "../src/internal/plan.ts"
import { type Flow, MapLaunch, type Mapped } from "../src/internal/work.ts"

const result = { _tag: "Success", branch: "each[a]" } as Flow["result"] & {}

/** A launch with one flow, and what is left of that when it is released. */
const left = (flow: Partial<Flow>, index = 0): unknown => {
  const launch = new MapLaunch({ flow: undefined } as Line, { name: "each" } as PlanEdge, "n#1", 0, {})
  launch.entries.push(flow as Flow)
  launch.release(flow as Flow, { index } as Mapped)
  return launch.entries[0]
}

describe("a launch of a map", () => {
  it("keeps nothing of a flow that has settled but its result", () => {
    assert.strictEqual(left({ result, failedFast: false }), result)
  })

  it("keeps a flow whose result does not say all that is to be known", () => {
    const kept: ReadonlyArray<Partial<Flow>> = [
      { failedFast: false },
      { result, failedFast: true },
      { result, failedFast: false, written: new Set(["n"]) },
      { result, failedFast: false, cancelled: { _tag: "Interrupted", by: "a test" } }
    ]
    for (const flow of kept) assert.strictEqual(left(flow), flow)
  })

  it("keeps a flow that is not where its item would be", () => {
    const flow = { result, failedFast: false }
    assert.strictEqual(left(flow, 1), flow)
  })

  it("knows the key of a flow from its branch", () => {
    const inFlow = { flow: { branch: "outer[x]/inner" } } as Line
    const launch = new MapLaunch(inFlow, { name: "each" } as PlanEdge, "n#1", 0, {})
    assert.strictEqual(launch.keyOf({ branch: "outer[x]/inner/each[a]b]" } as Flow), "a]b")
  })
})
