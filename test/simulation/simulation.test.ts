/** Random runs: whatever happens in them, what must hold holds. A failing seed is printed with how to run it again. */
import { assert, describe, it } from "@effect/vitest"
import { campaign } from "./campaign.ts"
import { shown } from "./shown.ts"
import { simulate } from "./simulate.ts"
import { featuresOf } from "./spec.ts"
import { specOf } from "./specOf.ts"

const last = 200

describe("random runs", () => {
  it(`of seeds 1 to ${last} keep every promise`, () => {
    const { counts, failures, seeds } = campaign({ kind: "runs", first: 1, last })
    assert.deepStrictEqual(failures, [], failures.map(shown).join("\n\n"))
    assert.strictEqual(seeds, last)
    // They are no trivial runs: everything comes about.
    for (const what of [...everything, "completed", "failed", "stopped", "hung"]) {
      assert.isAtLeast(counts[what] ?? 0, 3, what)
    }
    assert.isAtLeast((counts["stopped, then completed"] ?? 0) + (counts["failed, then completed"] ?? 0), 3)
  })

  it("are the same for the same seed", () => {
    for (const seed of [3, 17, 42]) {
      const outcome = simulate(seed)
      assert.isAbove(outcome.log.length, 3)
      assert.deepStrictEqual(simulate(seed), outcome)
    }
  })

  it("are plain data", () => {
    const drawn = new Set<string>()
    for (let seed = 1; seed <= last; seed++) {
      const spec = specOf(seed)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(spec)), spec)
      for (const feature of featuresOf(spec)) drawn.add(feature)
    }
    assert.deepStrictEqual([...drawn].sort(), [...everything].sort())
  })
})

/** What runs are made of. */
const everything: ReadonlyArray<string> = [
  "beside",
  "choice",
  "circuit",
  "clock jump",
  "completion rule",
  "concurrency",
  "does: bad",
  "does: child",
  "does: defect",
  "does: fail",
  "does: hang",
  "does: interrupt",
  "does: locked",
  "does: now",
  "does: sleep",
  "does: throw",
  "failFast",
  "fallback of a flow",
  "fanOut",
  "graph",
  "guarded node",
  "interruption",
  "late launch",
  "limit",
  "loop",
  "map",
  "nested",
  "node",
  "retry",
  "schedule",
  "several fan-ins",
  "shared circuit",
  "store: claim",
  "store: dies",
  "store: fails",
  "store: hangs",
  "store: load",
  "store: mute",
  "store: release",
  "store: save",
  "store: slow",
  "store: throws",
  "thread",
  "timeout",
  "totalTimeout",
  "watcher: fails",
  "watcher: hangs",
  "watcher: log",
  "watcher: raise",
  "watcher: remove",
  "watcher: slow",
  "watcher: stuck",
  "watcher: throws"
]
