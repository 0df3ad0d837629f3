/** Random graphs, stopped anywhere and continued. A failing seed is printed, and alone runs again. */
import { assert, describe, it } from "@effect/vitest"
import { stopAnywhere } from "./simulation/stopAnywhere.ts"

/** `npm run simulate -- --stops --seeds 5000` runs as many, `STOP_SEEDS=17` here runs that one. */
const [first = 1, last = first] = (process.env["STOP_SEEDS"] ?? "1-100").split("-").map(Number)
/** `STOP_EFFORT=100` stops each in that many ways, and resumes that many of its checkpoints. */
const effort = process.env["STOP_EFFORT"]
const stops = Number(effort ?? 1)
const checkpoints = Number(effort ?? 1)

/** What the graphs are made of, and how their runs end. */
const features = [
  "bulkhead",
  "circuit",
  "completed",
  "completion rule",
  "condition",
  "failed",
  "fallback of a flow",
  "fallback of a node",
  "fan-out 1 deep",
  "fan-out 2 deep",
  "fan-out 3 deep",
  "flow without an end",
  "guarded node",
  "guarded subgraph",
  "loop",
  "main line beside its flows",
  "map",
  "merging fan-in",
  "point to wait at",
  "question",
  "schedule",
  "several fan-ins",
  "subgraph",
  "timeout",
  "two launches"
]

describe("random graphs", () => {
  it(`of seeds ${first} to ${last} come to the same wherever they are stopped`, () => {
    const found = new Map<string, number>()
    let suspensions = 0
    let broken = 0
    for (let seed = first; seed <= last; seed++) {
      const outcome = stopAnywhere(seed, { checkpoints, stops })
      const replay = `STOP_SEEDS=${seed}${effort === undefined ? "" : ` STOP_EFFORT=${effort}`}`
      assert.deepStrictEqual(outcome.problems, [], `replay it with ${replay}`)
      suspensions += outcome.suspensions
      broken += outcome.broken
      for (const feature of [...outcome.features, outcome.ended]) {
        found.set(feature, (found.get(feature) ?? 0) + 1)
      }
    }
    // They are no trivial graphs: everything comes about.
    if (last - first < 99) return
    for (const feature of features) assert.isAtLeast(found.get(feature) ?? 0, 3, feature)
    assert.deepStrictEqual([...found.keys()].sort(), features)
    assert.isAbove(suspensions, 20)
    assert.isAbove(broken, 10)
  }, 100_000_000)

  it("are the same for the same seed", () => {
    for (const seed of [3, 17]) {
      const outcome = stopAnywhere(seed, { checkpoints: 1, stops: 1 })
      assert.deepStrictEqual(stopAnywhere(seed, { checkpoints: 1, stops: 1 }), outcome)
      assert.isAbove(outcome.executions, 1)
    }
  })
})
