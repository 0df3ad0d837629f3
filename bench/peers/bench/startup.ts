/**
 * What a library costs before it does anything: milliseconds of processor time to import it in a fresh process, and bytes of a program that
 * uses it, bundled. Ours is imported as it is published, one JavaScript file per module, and so is `effect`.
 */
import { build, type BuildOptions, transform } from "esbuild"
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { root } from "../../../scripts/root.ts"

const here = fileURLToPath(new URL("..", import.meta.url))

const median = (values: Array<number>) => values.sort((a, b) => a - b)[values.length >> 1]!

/** The modules of `src` as JavaScript, in a folder from which `effect` is found. */
const published = async (folder: string): Promise<string> => {
  for (const file of globSync("**/*.ts", { cwd: join(root, "src") })) {
    const { code } = await transform(readFileSync(join(root, "src", file), "utf8"), { loader: "ts", target: "es2022" })
    const to = join(folder, file.replace(/\.ts$/, ".js"))
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, code.replace(/(from ?|import\()("\.[^"]*)\.ts"/g, "$1$2.js\""))
  }
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
  return join(folder, "index.js")
}

/** Of fresh processes in turn. */
export const importTimes = async (samples = 9): Promise<Record<string, number>> => {
  const folder = mkdtempSync(join(here, "node_modules", ".published-"))
  try {
    const modules = {
      "effect-stategraph": await published(folder),
      "hand-made Effect": "effect",
      "LangGraph.js": "@langchain/langgraph",
      Mastra: "@mastra/core/workflows",
      cockatiel: "cockatiel",
      opossum: "opossum"
    }
    const taken = Object.entries(modules).map(([name, module]) => ({ name, module, ms: [] as Array<number> }))
    for (let i = 0; i < samples; i++) {
      for (const { module, ms } of taken) {
        const code = `const t = process.cpuUsage(); await import(${JSON.stringify(module)});` +
          `const { system, user } = process.cpuUsage(t); console.log((system + user) / 1000); process.exit()`
        const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", code], {
          cwd: here,
          encoding: "utf8"
        })
        ms.push(Number(printed.trim().split("\n").at(-1)))
      }
    }
    return Object.fromEntries(taken.map(({ ms, name }) => [name, median(ms)]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The same small program for each: two calls at a time with a limit, and what became of them; or one call, where that is all. */
const programs: { readonly [name: string]: string } = {
  "effect-stategraph": `
    import { Effect, Schema } from "effect"
    import { StateGraph } from "${join(root, "src", "index.ts")}"
    const graph = StateGraph.make("two", Schema.Struct({ n: Schema.Number }), { parallel: { timeout: "1 second" } })
      .addNode("a", ({ n }) => Effect.succeed({ n: n + 1 })).addNode("b", ({ n }) => Effect.succeed({ n: n + 2 }))
      .addFanInNode("join", (_, { parallelResults }) => ({ n: parallelResults.filter((result) => result.success).length }))
      .addParallelEdge(StateGraph.START, "a", "join").addParallelEdge(StateGraph.START, "b", "join")
      .setFinishPoint("join").compile()
    Effect.runPromise(graph.invoke({ n: 1 })).then(console.log)`,
  "hand-made Effect": `
    import { Effect } from "effect"
    const flows = [1, 2].map((n) => Effect.exit(Effect.timeout(Effect.succeed(n + 1), "1 second")))
    Effect.runPromise(Effect.all(flows, { concurrency: "unbounded" })).then(console.log)`,
  "LangGraph.js": `
    import { Annotation, END, START, StateGraph } from "@langchain/langgraph"
    const State = Annotation.Root({ n: Annotation({ reducer: (a, b) => a + b, default: () => 0 }) })
    new StateGraph(State)
      .addNode("a", () => ({ n: 1 }), { timeout: 1000 }).addNode("b", () => ({ n: 2 }), { timeout: 1000 })
      .addNode("join", () => ({})).addEdge(START, "a").addEdge(START, "b").addEdge("a", "join").addEdge("b", "join")
      .addEdge("join", END).compile().invoke({}).then(console.log)`,
  Mastra: `
    import { createStep, createWorkflow } from "@mastra/core/workflows"
    import { z } from "zod"
    const step = (id) => createStep({ id, inputSchema: z.any(), outputSchema: z.any(), execute: async () => 1 })
    createWorkflow({ id: "two", inputSchema: z.any(), outputSchema: z.any() }).parallel([step("a"), step("b")]).commit()
      .createRun().then((run) => run.start({ inputData: {} })).then(console.log)`,
  cockatiel: `
    import { circuitBreaker, ConsecutiveBreaker, handleAll, retry, timeout, TimeoutStrategy, wrap } from "cockatiel"
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(5) })
    wrap(retry(handleAll, { maxAttempts: 2 }), breaker, timeout(1000, TimeoutStrategy.Aggressive))
      .execute(() => 1).then(console.log)`,
  opossum: `
    import CircuitBreaker from "opossum"
    new CircuitBreaker(async () => 1, { timeout: 1000 }).fire().then(console.log)`
}

const bundle = async (contents: string, options: BuildOptions = {}): Promise<number> => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: here, loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node22",
    logLevel: "silent",
    ...options
  })
  return gzipSync(outputFiles![0]!.contents, { level: 9 }).length
}

/** Kilobytes, minified and compressed; nothing is left out. */
export const bundleSizes = async (): Promise<Record<string, number>> => {
  const sizes: Record<string, number> = {}
  for (const [name, program] of Object.entries(programs)) {
    sizes[name] = await bundle(program) / 1000
  }
  return sizes
}

/** Ours without `effect`: what it adds to a program that has it anyway. */
export const ownSize = async (): Promise<number> =>
  await bundle(programs["effect-stategraph"]!, { external: ["effect", "effect/*"] }) / 1000
