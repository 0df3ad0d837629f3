/**
 * What a user installs: the packed package, in an empty project beside this repository's `effect`.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { folders, sourceOf, specifierOf } from "../scripts/entries.ts"
import { root } from "../scripts/root.ts"
import { filesIn } from "../scripts/snippets.ts"

const folder = realpathSync(mkdtempSync(join(tmpdir(), "effect-stategraph-")))
const installed = join(folder, "node_modules", "effect-stategraph")
let packed: ReadonlyArray<string> = []

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    shell: process.platform === "win32"
  })
  if (error !== undefined || status !== 0) {
    throw new Error([`${command} ${args.join(" ")} ended with ${status}`, error?.message, stdout, stderr].join("\n"))
  }
  return stdout
}

const node = (file: string, code: string): string => {
  writeFileSync(join(folder, file), code)
  return run(process.execPath, [file], folder)
}

const manifest = () => JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))

/** What the user has installed beside it. */
const link = (name: string): void => {
  const path = join(folder, "node_modules", name)
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(join(root, "node_modules", name), path, "junction")
}

const typeCheck = (module: string, moduleResolution: string): string => {
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2023", "DOM", "DOM.Iterable"],
    module,
    moduleResolution,
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }))
  return run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "--project", "."], folder)
}

beforeAll(() => {
  run("npm", ["run", "build"], root)
  const [{ filename, files }] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root)
  )
  packed = files.map((file: { readonly path: string }) => file.path)
  run("tar", ["-xzf", filename], folder)
  mkdirSync(join(folder, "node_modules"))
  cpSync(join(folder, "package"), installed, { recursive: true })
  for (const peer of Object.keys(manifest().peerDependencies)) link(peer)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  writeFileSync(join(folder, "consumer.ts"), consumer)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const consumer = `
import { Effect, Schema } from "effect"
import { StateGraph } from "effect-stategraph"

const State = Schema.Struct({ query: Schema.String })
const builder = StateGraph.make("search", State).addNode("trim", (state) => ({ query: state.query.trim() }))
const graph = builder.setEntryPoint("trim").setFinishPoint("trim").compile()
export const state: { readonly query: string } = await Effect.runPromise(graph.invoke({ query: " a " }))

// @ts-expect-error no node has this name
builder.setEntryPoint("nobody")
// @ts-expect-error the state has no such key
builder.addNode("other", () => ({ nothing: 1 }))
// @ts-expect-error not exported
import("effect-stategraph/internal/run")
${folders.map((folder) => `export * as ${folder} from "${specifierOf(folder)}"`).join("\n")}
`

/** Public modules that users get by way of another one. */
const folded: ReadonlyArray<string> = ["GraphOptions", "NodeContext"]

/** The modules that users see of an entry point: those of its folder itself, with a capital. */
const modulesOf = (folder: string): ReadonlyArray<string> =>
  filesIn(join("src", folder), ".ts")
    .flatMap((file) => /^([A-Z]\w*)\.ts$/.exec(file.slice(join("src", folder, "/").length))?.[1] ?? [])
    .filter((module) => !folded.includes(module))

describe("the packed package", () => {
  it("holds what was built, its source and nothing else", () => {
    const kinds = new Set(packed.map((file) => file.replace(/^(dist|src)\/.*?(\.d)?(\.ts|\.js)(\.map)?$/, "$1 $2$3$4")))
    assert.deepStrictEqual(
      [...kinds].filter((kind) => kind !== "README.md").sort(),
      ["LICENSE", "dist .d.ts", "dist .d.ts.map", "dist .js", "dist .js.map", "package.json", "src .ts"].sort()
    )
    const built = packed.filter((file) => file.startsWith("dist/") && file.endsWith(".js")).length
    assert.strictEqual(built, filesIn("src", ".ts").length)
  })
  it("maps its declarations to the source beside them", () => {
    const map = JSON.parse(readFileSync(join(installed, "dist", "index.d.ts.map"), "utf8"))
    assert.deepStrictEqual(map.sources, ["../src/index.ts"])
    assert.include(readdirSync(join(installed, "src")), "index.ts")
  })
  for (const folder of ["", ...folders]) {
    const specifier = specifierOf(folder)
    it(`exports each module of ${specifier} as a namespace`, () => {
      const names = node(
        "names.mjs",
        `import * as all from "${specifier}"\nconsole.log(JSON.stringify(Object.keys(all)))`
      )
      assert.strictEqual(sourceOf(specifier), join("src", folder, "index.ts"))
      assert.isNotEmpty(modulesOf(folder))
      assert.deepStrictEqual(JSON.parse(names).sort(), [...modulesOf(folder)].sort())
    })
  }
  it("runs a graph", () => {
    assert.strictEqual(
      node(
        "run.mjs",
        [
          `import { Effect, Schema } from "effect"`,
          `import { StateGraph } from "effect-stategraph"`,
          `const graph = StateGraph.make("search", Schema.Struct({ query: Schema.String }))`,
          `  .addNode("trim", (state) => ({ query: state.query.trim() }))`,
          `  .setEntryPoint("trim").setFinishPoint("trim").compile()`,
          `console.log(JSON.stringify(await Effect.runPromise(graph.invoke({ query: " a " }))))`
        ].join("\n")
      ),
      "{\"query\":\"a\"}\n"
    )
  })
  it("keeps its internals to itself", () => {
    assert.include(packed, "dist/internal/run.js")
    const code = node(
      "internal.mjs",
      `import("effect-stategraph/internal/run").catch((error) => console.log(error.code))`
    )
    assert.strictEqual(code, "ERR_PACKAGE_PATH_NOT_EXPORTED\n")
    assert.include(
      node(
        "own.mjs",
        `import("effect-stategraph/package.json", { with: { type: "json" } }).then(({ default: { name } }) => console.log(name))`
      ),
      "effect-stategraph"
    )
  })
  it("type-checks with the module resolution of Node", () => {
    assert.strictEqual(typeCheck("nodenext", "nodenext"), "")
  })
  it("type-checks with the module resolution of bundlers", () => {
    assert.strictEqual(typeCheck("esnext", "bundler"), "")
  })
  it("shares effect with its user", () => {
    assert.deepStrictEqual(manifest().dependencies, undefined)
    assert.deepStrictEqual(manifest().peerDependencies?.effect, "^4.1.0")
  })
})
