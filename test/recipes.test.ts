/** Every row of the README's table is shown by a program that runs. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../scripts/root.ts"
import { fromMarkdown } from "../scripts/snippets.ts"

const text = (file: string): string => readFileSync(join(root, file), "utf8")

/** As GitHub makes anchors of headings. */
const anchorOf = (heading: string): string =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} -]/gu, "").trim().replaceAll(" ", "-")

const rows = (): ReadonlyArray<string> => {
  const readme = text("README.md")
  const table = readme.slice(readme.indexOf("| when you want | write |")).split("\n")
  return table.slice(2, table.findIndex((row) => !row.startsWith("|")))
}

const recipes = new Map(
  text("docs/recipes.md").split(/^## /m).slice(1).map((section) => [anchorOf(section.split("\n")[0]!), section])
)

describe("the README's table of what to write", () => {
  it("has a recipe for each row, and each recipe its row", () => {
    const anchors = rows().map((row) => /\]\(docs\/recipes\.md#([\w-]+)\)/.exec(row)?.[1] ?? `none in ${row}`)
    assert.isAtLeast(anchors.length, 12)
    assert.deepStrictEqual(anchors, [...recipes.keys()])
  })

  for (const [anchor, section] of recipes) {
    it(`${anchor} is shown by one program that claims something`, () => {
      const snippets = fromMarkdown("docs/recipes.md", section)
      assert.strictEqual(snippets.length, 1)
      assert.isTrue(snippets[0]!.runs)
      assert.match(snippets[0]!.code, /\/\/ =>/)
    })
  }
})
