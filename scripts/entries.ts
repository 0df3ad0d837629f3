/**
 * The entry points of this package: what `package.json` exports.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./root.ts"

const { exports, name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Readonly<Record<string, string | null | { readonly types: string; readonly default: string }>>
}

/** The source of an entry point, from the root of the project: `src/index.ts` of the package's own name. */
export const sourceOf = (specifier: string): string => {
  const entry = exports[`.${specifier.slice(name.length)}`]
  if (typeof entry !== "object" || entry === null) throw new Error(`package.json exports no "${specifier}"`)
  return entry.default.replace(/^\.\/dist\//, "src/").replace(/\.js$/, ".ts")
}

/** The entry points beside the main one, each a folder of `src`: for one runtime, or an unstable part of Effect. */
export const folders: ReadonlyArray<string> = Object.entries(exports).flatMap(([path, entry]) =>
  typeof entry === "object" && entry !== null && path !== "." ? path.slice("./".length) : []
)

/** How a user imports an entry point, by its folder in `src`; the main one has none. */
export const specifierOf = (folder: string): string => folder === "" ? name : `${name}/${folder}`
