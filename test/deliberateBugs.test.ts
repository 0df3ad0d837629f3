/** The simulation finds bugs: `npm run simulate -- --bugs` makes all of them, here are some that it finds at once. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../scripts/root.ts"
import { worker } from "../scripts/workers.ts"
import { bugs } from "./simulation/bugs.ts"
import { changed, withBug } from "./simulation/makeBug.ts"

describe("deliberate bugs", () => {
  it("can be made, each in one place", () => {
    assert.isAtLeast(bugs.length, 20)
    assert.strictEqual(new Set(bugs.map(({ name }) => name)).size, bugs.length)
    for (const bug of bugs) {
      const text = readFileSync(join(root, "src", bug.file), "utf8")
      assert.notStrictEqual(changed(text, bug), text, bug.name)
    }
  })

  it("that cannot be made are an error", () => {
    const bug = { name: "none", file: "x.ts", find: "ab", replace: "" }
    assert.throws(() => changed("a b", bug), /the bug "none" cannot be made: what it replaces is 0 times in x\.ts/)
    assert.throws(() => changed("ab ab", bug), /2 times/)
  })

  for (
    const [name, kind, problem] of [
      ["retry overlapping", "runs", /is at work when/],
      ["lost result", "runs", /where flow n\d+ belongs/],
      ["saved step run again", "stops", /ends with|was executed/]
    ] as const
  ) {
    it(`"${name}" is found within 20 seeds, and without it they are green`, async () => {
      const bug = bugs.find((bug) => bug.name.startsWith(`${name}:`))!
      const task = { kind, first: 1, last: 20, failures: 1, tries: 100 }
      const { failures: [failure] } = await withBug(bug, (sources) => worker({ ...task, sources }))
      assert.match(failure?.problems.join("\n") ?? "nothing", problem)
      // It is made smaller, and the small one is there to be read.
      assert.isDefined(failure?.small)
      assert.deepStrictEqual((await worker(task)).failures, [])
    })
  }
})
