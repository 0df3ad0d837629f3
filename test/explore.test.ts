/** Every order in which the flows of small graphs can end, and every outcome of each. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explore } from "./simulation/explore.ts"
import { shapes } from "./simulation/shapes.ts"

describe("every run", () => {
  for (const shape of shapes) {
    it(`of ${shape.name}: ${shape.count}, each as it has to be`, () => {
      assert.deepStrictEqual(explore(shape), { runs: shape.count, completed: shape.completed, problems: [] })
    })
  }

  it("is made once: no two of them are the same", () => {
    const told = new Set<string>()
    const [, , failing] = shapes
    let calls = 0
    explore({
      ...failing!,
      graph: ({ join, node }) => {
        const story: Array<string> = []
        return failing!.graph({
          join: (state, joined) => {
            calls++
            told.add(story.join())
            return join(state, joined)
          },
          node: (state, ctx) =>
            Effect.onExit(node(state, ctx), ({ _tag }) => Effect.sync(() => void story.push(`${ctx.node} ${_tag}`)))
        })
      }
    })
    assert.strictEqual(calls, failing!.count)
    assert.strictEqual(told.size, failing!.count)
  })

  it("is looked at: what comes to something else than it was told is found in each", () => {
    const [three] = shapes
    const { problems, runs } = explore({
      ...three!,
      graph: (stage) =>
        three!.graph({
          ...stage,
          node: (state, told) =>
            told.node === "b" ? Effect.andThen(stage.node(state, told), Effect.fail("no")) : stage.node(state, told)
        })
    })
    assert.strictEqual(runs, 6)
    assert.strictEqual(problems.length, 6)
    assert.match(
      problems[0]!,
      /^three flows, a succeeds, b succeeds, c succeeds: b was told to succeed, and is a Failure/
    )
  })

  it("is found to hang when it does", () => {
    const [three] = shapes
    const { problems } = explore({
      ...three!,
      graph: (stage) =>
        three!.graph({
          ...stage,
          node: (state, told) => told.node === "b" ? Effect.never : stage.node(state, told)
        })
    })
    assert.include(problems[0], "it hangs")
  })
})
