/** What is measured goes into `docs/benchmarks.md`, between the marks of its section, with the commit and the machine. */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { root } from "../../scripts/root.ts"

const file = join(root, "docs", "benchmarks.md")

const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()

/** The commit that is measured; `src` must be as it is there. */
const commit = (): string => {
  const changed = git("status", "--porcelain", "--", "src", "bench")
  return `${git("rev-parse", "--short", "HEAD")}${changed === "" ? "" : " with changes"}`
}

const versionOf = (name: string): string =>
  JSON.parse(readFileSync(join(root, "bench", "peers", "node_modules", name, "package.json"), "utf8")).version

export const versions = (): string =>
  [
    ["LangGraph.js", "@langchain/langgraph"],
    ["Mastra", "@mastra/core"],
    ["cockatiel", "cockatiel"],
    ["opossum", "opossum"]
  ].map(([name, of]) => `${name} ${versionOf(of!)}`).join(", ")

export const measuredOn = (): string => {
  const all = cpus()
  return `Commit ${commit()}, Node ${process.versions.node}, ${all.length} cores of ${
    all[0]?.model ?? "an unknown CPU"
  }; ${versions()}.`
}

/** Markdown of a table. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

/** Puts text between `<!-- name -->` and `<!-- /name -->`. */
export const writeSection = (name: string, text: string): void => {
  const before = readFileSync(file, "utf8")
  const pattern = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`)
  if (!pattern.test(before)) throw new Error(`${file} has no section "${name}"`)
  writeFileSync(file, before.replace(pattern, (_, start: string, end: string) => `${start}\n${text}\n\n${end}`))
}
