/** The guide shows everything of the test kit, in programs that run. */
import { assert, describe, it } from "@effect/vitest"
import * as Kit from "effect-stategraph/testing"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../../scripts/root.ts"
import { fromMarkdown } from "../../scripts/snippets.ts"

const snippets = fromMarkdown("docs/testing.md", readFileSync(join(root, "docs/testing.md"), "utf8"))

describe("the guide to testing", () => {
  it("has snippets, which all run and claim something", () => {
    assert.isAtLeast(snippets.length, 10)
    for (const { code, line, printed, runs } of snippets) {
      assert.isTrue(runs && (/\/\/ =>/.test(code) || printed !== undefined), `line ${line}`)
    }
  })
  for (const module of Object.keys(Kit)) {
    it(`uses ${module}`, () => {
      assert.isTrue(snippets.some(({ code }) => code.includes(`${module}.`)))
    })
  }
})
