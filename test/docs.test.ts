/**
 * The documentation is compiled and run: every ```ts block of the docstrings in `src`, of `README.md` and of `docs/`.
 *
 * - `expression // => value` claims that they are deeply equal; a claim that is never reached fails too.
 * - A ```txt block right after a block is what that block prints, if it is marked ```txt printed or begins with `// prints`.
 * - ```ts no-run is type-checked only.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { root } from "../scripts/root.ts"
import { check, nameOf, type Report } from "../scripts/runSnippets.ts"
import { collect, fromMarkdown, fromSource, type Snippet, toProgram } from "../scripts/snippets.ts"

const snippets = collect()
const ownSnippets = new Map<string, Snippet>()
const folders = [".docs-tmp/all", ".docs-tmp/own"] as const
let report: Report
let ownReport: Report

/** A snippet for testing the tester itself. */
const own = (name: string, code: string, options?: Partial<Snippet>): string => {
  const snippet: Snippet = { file: name, line: 1, code, runs: true, printed: undefined, ...options }
  ownSnippets.set(name, snippet)
  return nameOf(snippet)
}

const program = (code: string): string =>
  toProgram({ file: "x", line: 1, code, runs: true, printed: undefined }, (name) => `source of ${name}`).code

beforeAll(async () => {
  const checks = await Promise.all([check(snippets, folders[0]), check([...ownSnippets.values()], folders[1])])
  report = checks[0]
  ownReport = checks[1]
}, 240_000)

afterAll(() => rmSync(join(root, ".docs-tmp"), { recursive: true, force: true }))

describe("the snippets", () => {
  it("are found in src", () => {
    assert.isNotEmpty(snippets.filter((snippet) => snippet.file.startsWith("src/")))
  })
  it("find a project without type errors", () => {
    assert.strictEqual(report.elsewhere.join("\n"), "")
  })
  for (const snippet of snippets) {
    it(nameOf(snippet), () => {
      assert.strictEqual((report.problems.get(nameOf(snippet)) ?? ["not checked"]).join("\n"), "")
    })
  }
})

describe("what the tester finds", () => {
  const good = own(
    "good",
    [
      `import { Duration, Effect } from "effect"`,
      `const one = 1 // => 1`,
      `Duration.seconds(30) // => Duration.millis(30_000)`,
      `console.log({ one }) // => { one: 1 }`,
      `await Effect.runPromise(Effect.gen(function*() {`,
      `  yield* Effect.succeed(2) // => 2`,
      `}))`,
      `Array.of(1, 2) // =>`,
      `// [1,`,
      `//  2]`
    ].join("\n")
  )
  const wrong = own("wrong", "const one: number = 1\none // => 2")
  const wrongType = own("wrong type", "const one: number = 1\nexport const two: string = one", { line: 10 })
  const noRunWrongType = own("no-run", "export const two: string = 2\nthrow new Error()", { runs: false })
  const unreached = own("unreached", "export const f = () => {\n  1 // => 1\n}")
  const throws = own("throws", `throw new Error("thrown in a snippet")`)
  const rejects = own(
    "rejects",
    `void Promise.reject(new Error("rejected in a snippet"))\nawait new Promise((r) => setTimeout(r, 20))`
  )
  const exits = own("exits", "process.exit(0)\nexport {}")
  const waits = own("waits", "await new Promise(() => {})\nexport {}")
  const afterwards = own("afterwards", "1 + 1 // => 2")
  const prints = own("prints", "console.log(1)\nconsole.log(2)", { printed: "1\n2" })
  const printsOther = own("prints other", "console.log(1)\nconsole.log(2)", { printed: "1\n3" })
  const noValue = own("no value", "1 // => one, or so")
  const problemsOf = (name: string): string => ownReport.problems.get(name)?.join("\n") ?? "not checked"

  it("is nothing in a good snippet", () => {
    assert.strictEqual(problemsOf(good), "")
    assert.strictEqual(problemsOf(afterwards), "")
    assert.strictEqual(problemsOf(prints), "")
  })
  it("is a claim that does not hold, with its line", () => {
    assert.include(problemsOf(wrong), "1 !== 2")
    assert.include(problemsOf(wrong), "at wrong:2")
  })
  it("is a type error, with its line", () => {
    assert.include(problemsOf(wrongType), "wrong type:11: error TS2322")
    assert.include(problemsOf(noRunWrongType), "no-run:1: error TS2322")
    assert.notInclude(problemsOf(noRunWrongType), "Error: ")
  })
  it("is a claim that is never reached", () => assert.include(problemsOf(unreached), "line 2 was never reached"))
  it("is an error", () => {
    assert.include(problemsOf(throws), "thrown in a snippet")
    assert.include(problemsOf(rejects), "rejected in a snippet")
  })
  it("is an end of the process", () => assert.include(problemsOf(exits), "ended the process with exit code 0"))
  it("is a wait without end", () => assert.include(problemsOf(waits), "waits for something that never comes"))
  it("is other output", () => assert.include(problemsOf(printsOther), "and not\n1\n3"))
  it("is a claim without a value", () => assert.include(problemsOf(noValue), `no value:1: "one, or so" is no value`))
})

describe("a program", () => {
  it("asserts the claims of its snippet", () => {
    assert.strictEqual(program("f(1) // => 2"), "$claim(0, f(1), 2) // => 2")
    assert.strictEqual(program("f(\n  1\n); // => 2"), "$claim(0, f(\n  1\n), 2); // => 2")
    assert.strictEqual(program("const a = f(1) // => { b: 2 }"), "const a = $claim(0, f(1), { b: 2 }) // => { b: 2 }")
    assert.strictEqual(program("f(1)\n// => 2"), "$claim(0, f(1), 2)\n// => 2")
    assert.strictEqual(program("console.log(a) // => 2"), "console.log($claim(0, a, 2)) // => 2")
    assert.strictEqual(program("a // => [\n//  1 ]\n// text"), "$claim(0, a, [ 1 ]) // => [\n//  1 ]\n// text")
  })
  it("leaves strings and other comments alone", () => {
    const code = "const a = \"// => 1\" // a comment\n/* a // => 1 */"
    assert.strictEqual(program(code), code)
  })
  it("imports the source", () => {
    assert.strictEqual(
      program("import { A } from \"effect-stategraph\"\nexport * from \"effect\""),
      "import { A } from \"source of effect-stategraph\"\nexport * from \"effect\""
    )
  })
  it("has no claim without a statement", () => {
    assert.throws(() => program("f(\n  1, // => 1\n  2\n)"), "x:2: no statement ends before this claim")
    assert.throws(() => program("\n\n// => 1"), "x:3: no statement ends before this claim")
    assert.throws(() => program("a // => 1, 2"), "x:1: \"1, 2\" is no value")
  })
})

describe("snippets are read", () => {
  it("from doc comments", () => {
    const source =
      "const a = 1\n/**\n * Text.\n *\n * ```ts\n * f(1)\n *   // => 2\n * ```\n */\nexport const b = `/** ```ts`\n"
    assert.deepStrictEqual(fromSource("a.ts", source), [
      { file: "a.ts", line: 6, code: "f(1)\n  // => 2", runs: true, printed: undefined }
    ])
  })
  it("from Markdown, with what they print", () => {
    const text = [
      "```ts",
      "f(1)",
      "```",
      "",
      "```txt",
      "// prints",
      "one",
      "```",
      "```ts no-run",
      "f(2)",
      "```",
      "```py",
      "f(3)",
      "```",
      "```ts",
      "f(4)",
      "```",
      "```txt printed",
      "two",
      "```",
      "```ts",
      "f(5)",
      "```",
      "text",
      "```txt printed",
      "three",
      "```"
    ].join("\n")
    assert.deepStrictEqual(fromMarkdown("a.md", text), [
      { file: "a.md", line: 2, code: "f(1)", runs: true, printed: "one" },
      { file: "a.md", line: 10, code: "f(2)", runs: false, printed: undefined },
      { file: "a.md", line: 16, code: "f(4)", runs: true, printed: "two" },
      { file: "a.md", line: 22, code: "f(5)", runs: true, printed: undefined }
    ])
  })
  it("only with marks that are known, and closed", () => {
    assert.throws(() => fromMarkdown("a.md", "```ts skip\nf(1)\n```"), "a.md:2: \"ts skip\"")
    assert.throws(() => fromMarkdown("a.md", "```ts\nf(1)"), "a.md: the block that opens in line 1 is never closed")
  })
})
