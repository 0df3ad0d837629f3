/** The dependency audit without its files: the command line, what is compared, the sums and the text. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { resolve } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { labelOf, type Locked } from "../examples/audit/lock.ts"
import { compare, licenseOf, NameMismatch, VersionMismatch } from "../examples/audit/manifest.ts"
import { type Size, zero } from "../examples/audit/measure.ts"
import * as Options from "../examples/audit/options.ts"
import * as Print from "../examples/audit/print.ts"
import * as Report from "../examples/audit/report.ts"
import { root } from "../scripts/root.ts"

const size = (bytes: number, fields: Partial<Size> = {}): Size => ({ ...zero, files: 1, bytes, ...fields })

const row = (label: string, fields: Partial<Report.Row> = {}): Report.Row => ({
  label,
  isInModules: true,
  kind: "installed",
  version: "1.0.0",
  license: "MIT",
  size: size(10),
  ...fields
})

const report = (rows: ReadonlyArray<Report.Row>, rest: Report.Report["rest"] = { size: zero, parts: [] }) => ({
  modules: "/project/node_modules",
  rows,
  rest
})

/** From the heading of the table on. */
const lines = (of: Report.Report): ReadonlyArray<string> => {
  const [title, empty, ...rest] = stripVTControlCharacters(Print.text(of)).split("\n")
  assert.deepStrictEqual([title, empty], ["What is in /project/node_modules", ""])
  return rest
}

const missing = { type: "PackageMissing", message: "is in the lock, but not installed" }

describe("the audit's report", () => {
  it("sums up what is in node_modules, with what is in no package and without workspaces", () => {
    const all = report([
      row("a", { size: size(1, { links: 2, folders: 3, folderBytes: 4096 }) }),
      row("b", { size: size(10), problem: { type: "VersionMismatch", message: "" } }),
      row("./tool", { size: size(100), isInModules: false }),
      row("gone", { size: zero, problem: missing })
    ], { size: size(1000, { folders: 1, folderBytes: 10 }), parts: [] })
    assert.deepStrictEqual(Report.total(all), { files: 3, links: 2, folders: 4, bytes: 1011, folderBytes: 4106 })
    assert.isTrue(Report.isComplete(all))
  })

  it("has the biggest first, and names in order among equals", () => {
    const rows = [row("b"), row("a"), row("big", { size: size(11) }), row("unknown")]
    const { size: _unmeasured, ...unknown } = rows[3]!
    assert.deepStrictEqual(Report.bySize([...rows.slice(0, 3), unknown]).map(({ label }) => label), [
      "big",
      "a",
      "b",
      "unknown"
    ])
  })

  it("counts licenses of what is there, the most frequent first", () => {
    const { license: _unread, ...unread } = row("unread", { problem: { type: "ManifestBroken", message: "" } })
    assert.deepStrictEqual(
      Report.licenses([
        row("a", { license: "ISC" }),
        row("b"),
        row("c"),
        row("d", { license: "Apache-2.0" }),
        row("link", { kind: "linked" }),
        row("other platform", { kind: "absent" }),
        row("gone", { problem: missing }),
        unread
      ]),
      [["MIT", 2], ["(not known)", 1], ["Apache-2.0", 1], ["ISC", 1]]
    )
  })

  it("shows twenty packages, the rest in one line, and never more than 80 columns", () => {
    const long = "x".repeat(300)
    const rows = Array.from({ length: 23 }, (_, i) => row(`p${i}`, { size: size(1e12 - i) }))
    const text = lines(report([
      ...rows,
      row(long, { version: long, license: long, problem: { type: "Broken", message: `${long} ${"word ".repeat(99)}` } })
    ], { size: size(5), parts: Array.from({ length: 12 }, (_, i) => ({ name: `.part${i}`, size: size(i) })) }))
    for (const line of text) assert.isAtMost(line.length, Print.width, line)
    assert.match(text[2]!, /^p0 +1\.0\.0 +MIT +1 +1,000,000,000,000$/)
    assert.match(text[21]!, /^p19 /)
    // Three of 10^12 bytes, and the one with 10.
    assert.match(text[22]!, /^4 more +4 +2,999,999,999,947$/)
    assert.match(text[23]!, /^in no package +1 +5$/)
    assert.match(text[25]!, /^node_modules +25 +22,999,999,999,762$/)
    assert.include(text.join("\n"), ".part11, .part10")
    assert.include(text.join("\n"), "2 more")
    assert.strictEqual(text.filter((line) => line.includes("word")).join("").match(/word/g)!.length, 99)
  })

  it("says that sums are too small when something could not be measured", () => {
    const { size: _unmeasured, ...slow } = row("slow", { problem: { type: "TimeoutError", message: "timed out" } })
    assert.isFalse(Report.isComplete(report([slow])))
    assert.isFalse(Report.isComplete(report([], { parts: [] })))
    assert.include(lines(report([slow])).join("\n"), "these sums are too small")
    assert.match(lines(report([slow]))[2]!, /^slow +1\.0\.0 +MIT +\? +\?$/)
    assert.notInclude(lines(report([row("a")])).join("\n"), "too small")
  })

  it("prints nothing that moves the cursor", () => {
    const evil = "a\u001b[2J\u001b]0;title\u0007\r\nb\u202ec\u009b1m"
    const problem = { type: "Broken", message: evil }
    const all = report([row(evil, { version: evil, license: evil, problem })], {
      size: size(1),
      parts: [{ name: evil, size: size(1) }]
    })
    for (const line of lines(all)) assert.notMatch(line, /\p{Cc}|\p{Cf}/u)
  })

  it("tells what failed in the order of the lock, what is in no package last", () => {
    const problem = (type: string) => ({ problem: { type, message: "m" } })
    const all = report([row("b", problem("One")), row("ok"), row("a", problem("Two"))], {
      parts: [],
      ...problem("TimeoutError")
    })
    assert.deepStrictEqual(Report.failures(all).map(({ label, type }) => `${label} ${type}`), [
      "b One",
      "a Two",
      "(in no package) TimeoutError"
    ])
  })
})

describe("a license", () => {
  const written: ReadonlyArray<readonly [content: object, license: string]> = [
    [{ license: "MIT" }, "MIT"],
    [{ license: " (MIT OR ISC) " }, "(MIT OR ISC)"],
    [{ license: { type: "BSD", url: "u" } }, "BSD"],
    [{ licenses: [{ type: "MIT" }, { type: "GPL-2.0" }] }, "MIT OR GPL-2.0"],
    [{ licenses: ["MIT", 5] }, "MIT"],
    [{ license: "", licenses: [] }, "(none stated)"],
    [{ license: 5 }, "(none stated)"],
    [{ license: null }, "(none stated)"],
    [{}, "(none stated)"]
  ]
  for (const [content, license] of written) {
    it(`written as ${JSON.stringify(content)} is ${license}`, () => {
      assert.strictEqual(licenseOf(content), license)
    })
  }
})

describe("a package", () => {
  const locked: Locked = { key: "node_modules/a/node_modules/@s/b", name: "@s/b", version: "1.0.0", optional: false }

  it("is called by its folder", () => {
    assert.strictEqual(labelOf(locked), "a/node_modules/@s/b")
    assert.strictEqual(labelOf({ ...locked, key: "tools/a" }), "./tools/a")
    assert.strictEqual(labelOf({ ...locked, key: "tools/a/node_modules/b" }), "./tools/a/node_modules/b")
  })

  it("has the name and the version of the lock, where it has them", () => {
    const compared = (manifest: object, of: Locked = locked) =>
      Effect.runSyncExit(compare({ license: "MIT", ...manifest }, of))
    assert.deepStrictEqual(compared({ name: "@s/b", version: "1.0.0" }), Exit.void)
    assert.deepStrictEqual(compared({ version: "3.0.0" }, { key: "tools/a", optional: false }), Exit.void)
    assert.deepStrictEqual(
      compared({ name: "b", version: "2.0.0" }),
      Exit.fail(new NameMismatch({ locked: "@s/b", installed: "b" }))
    )
    assert.deepStrictEqual(
      compared({ name: "@s/b", version: "2.0.0" }),
      Exit.fail(new VersionMismatch({ locked: "1.0.0", installed: "2.0.0" }))
    )
    assert.deepStrictEqual(compared({ name: "@s/b" }), Exit.fail(new VersionMismatch({ locked: "1.0.0" })))
  })
})

describe("the command line of the audit", () => {
  const given = (args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const seen: Array<Options.Options> = []
      const command = Options.command((options) => Effect.sync(() => void seen.push(options)))
      const exit = yield* Effect.exit(Command.runWith(command, { version: "" })(args))
      const [out, errors] = [yield* TestConsole.logLines, yield* TestConsole.errorLines]
      return { seen, failed: Exit.isFailure(exit), out: out.join("\n"), errors: errors.join("\n") }
    }).pipe(Effect.provide(Layer.mergeAll(Options.layer, NodeServices.layer, TestConsole.layer)))

  it.effect("audits this project by default, or another one", () =>
    Effect.gen(function*() {
      const [mine] = (yield* given([])).seen
      assert.deepStrictEqual({ ...mine, place: resolve(mine!.place) }, {
        place: resolve(root),
        concurrency: 8,
        html: Option.none()
      })
      assert.deepStrictEqual((yield* given(["--concurrency", "3", "../other", "--html", "out.html"])).seen, [
        { place: "../other", concurrency: 3, html: Option.some("out.html") }
      ])
    }))

  it.effect("explains itself", () =>
    Effect.gen(function*() {
      const { errors, out, seen } = yield* given(["--help"])
      for (const word of ["package-lock.json", "--concurrency", "--html", "--help"]) assert.include(out, word)
      assert.strictEqual(errors, "")
      assert.deepStrictEqual(seen, [])
    }))

  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
    [["--concurrency", "0"], `--concurrency is "0", allowed is an integer from 1 to 256`],
    [["--concurrency", "257"], `--concurrency is "257", allowed is an integer from 1 to 256`],
    [["--concurrency", "1.5"], `--concurrency is "1.5", allowed is an integer from 1 to 256`],
    [
      ["--html", "/no such/out.html"],
      `--html is "/no such/out.html", allowed is a file in a folder that can be written to`
    ],
    [["--html", "/"], `--html is "/", allowed is a file in a folder that can be written to`],
    [["--htlm", "out.html"], `unknown option "--htlm", did you mean --html`],
    [["a", "b"], `unexpected argument "b"`]
  ]
  for (const [args, says] of wrong) {
    it.effect(`says in one sentence what is wrong with ${args.join(" ")}`, () =>
      Effect.gen(function*() {
        const { errors, failed, out, seen } = yield* given(args)
        assert.strictEqual(errors, `audit: ${says} (see --help)`)
        assert.deepStrictEqual({ failed, out, seen }, { failed: true, out: "", seen: [] })
      }))
  }
})
