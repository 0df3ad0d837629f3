/**
 * The modules of `src` form tiers: at run time a module needs only modules of lower tiers. `import type` is free.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { folders } from "../scripts/entries.ts"
import { type Import, importsOf, stabilityOf } from "../scripts/modules.ts"
import { root } from "../scripts/root.ts"
import { filesIn } from "../scripts/snippets.ts"

/** Every module of `src`, from the bottom up. */
const tiers: ReadonlyArray<ReadonlyArray<string>> = [
  ["RunState"],
  ["GraphError", "GraphEvent", "GraphMetrics", "GraphOptions", "NodeContext"],
  [
    "internal/bulkheads",
    "internal/cells",
    "internal/interception",
    "internal/issue",
    "internal/option",
    "internal/places",
    "internal/span",
    "internal/time",
    "internal/work"
  ],
  ["internal/circuitOptions", "internal/circuitOutcome", "internal/circuitWindow"],
  [
    "RetryPolicy",
    "Bulkhead",
    "CircuitBreaker",
    "Completion",
    "FlowCallbacks",
    "internal/checkpoints",
    "internal/environment"
  ],
  ["ParallelConfig", "internal/callbacks", "internal/circuitStore", "internal/complete"],
  ["internal/circuitSaved"],
  ["Checkpointer", "CircuitBreakerRegistry", "internal/describe", "internal/plan", "internal/saver"],
  ["internal/capture", "internal/circuits", "internal/compiled", "internal/paths"],
  ["Diagram", "internal/emit", "internal/mergeFlows", "internal/resultCodec", "internal/validate"],
  ["ParallelFlowResult", "internal/node"],
  ["internal/codecs", "internal/readOptions", "internal/settle", "internal/withDeadline"],
  ["internal/attempt", "internal/withCircuit", "internal/withLimit", "internal/withPlace"],
  ["internal/attempts", "internal/session", "internal/withRetry"],
  ["internal/withFallback"],
  ["internal/flow"],
  ["internal/guard", "internal/produce"],
  ["internal/fanOut"],
  ["internal/restore", "internal/walk"],
  ["internal/supported", "internal/suspend", "internal/thread"],
  ["internal/begin", "internal/prepare"],
  ["internal/run"],
  ["internal/compile"],
  ["internal/builder"],
  ["StateGraph"],
  [
    "internal/timelineCurve",
    "internal/timelineHtml",
    "internal/timelineLaunches",
    "internal/timelineRuns",
    "internal/timelineScript",
    "internal/timelineSegment",
    "internal/timelineStyle"
  ],
  [
    "internal/timelineBranches",
    "internal/timelineLabels",
    "internal/timelineOrder",
    "internal/timelineShape",
    "internal/timelineTicks",
    "internal/timelineWords"
  ],
  [
    "internal/timelineCircuits",
    "internal/timelineInside",
    "internal/timelineLayout",
    "internal/timelineSeen",
    "internal/timelineSummary",
    "internal/timelineView"
  ],
  ["internal/timelineGraph", "internal/timelinePage", "internal/timelineTrack"],
  ["internal/timelineSuspended"],
  ["internal/timelineFlow", "internal/timelineMain"],
  ["internal/timelineLanes"],
  ["internal/timelineModel"],
  ["Timeline"],
  ["index"],
  ["node/internal/disk", "node/internal/checkpointFile"],
  ["node/internal/owner"],
  ["node/internal/claimFolder"],
  ["node/internal/fileStore"],
  ["node/internal/fileCheckpoints"],
  ["node/CheckpointerFile"],
  ["node/index"],
  ["sql/internal/dialect", "sql/internal/migrations"],
  ["sql/internal/sqlStore"],
  ["sql/internal/sqlCheckpoints"],
  ["sql/CheckpointerSql"],
  ["sql/index"],
  [
    "testing/internal/conformance",
    "testing/internal/differences",
    "testing/internal/draw",
    "testing/internal/eventText",
    "testing/internal/expectation",
    "testing/internal/graphFacts",
    "testing/internal/runEvents",
    "testing/internal/soundResult",
    "testing/internal/startsAndEnds",
    "testing/internal/watching"
  ],
  [
    "testing/internal/attemptsInOrder",
    "testing/internal/circuitsHeld",
    "testing/internal/faults",
    "testing/internal/joins",
    "testing/internal/placesHeld",
    "testing/internal/recording"
  ],
  ["testing/internal/claimCases", "testing/internal/saveCases", "testing/internal/threadCases"],
  [
    "testing/Chaos",
    "testing/CheckpointerConformance",
    "testing/Invariants",
    "testing/Recorder",
    "testing/Script",
    "testing/VirtualTime"
  ],
  ["testing/index"],
  ["internal/sharedConfig", "internal/sharedSeen", "internal/sharedStore"],
  ["internal/sharedCircuits"],
  ["persistence/SharedCircuits"],
  ["persistence/index"]
]

/** What the entry points beside the main one may import of others: all of Effect, and what they are there for. */
const foreignOf: Readonly<Record<string, RegExp>> = {
  node: /^(effect\/|node:)/,
  sql: /^effect\//,
  persistence: /^effect\//,
  testing: /^effect\//
}

type Sources = ReadonlyMap<string, ReadonlyArray<Import>>

const sources: Sources = new Map(
  filesIn("src", ".ts").map((file) => [
    file.slice("src/".length, -".ts".length),
    importsOf(file, readFileSync(join(root, file), "utf8"))
  ])
)

const targetOf = (module: string, specifier: string): string =>
  posix.join(posix.dirname(module), specifier).replace(/\.ts$/, "")

const isLocal = ({ specifier }: Import): boolean => specifier.startsWith(".")

const tierProblems = (sources: Sources, tiers: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const tierOf = new Map(tiers.flatMap((modules, tier) => modules.map((module) => [module, tier] as const)))
  const unlisted = [...sources.keys()].filter((module) => !tierOf.has(module))
  const absent = [...tierOf.keys()].filter((module) => !sources.has(module))
  const upwards = [...sources].flatMap(([module, imports]) =>
    imports.filter((one) => !one.isType && isLocal(one)).flatMap((one) => {
      const target = targetOf(module, one.specifier)
      const [from, to] = [tierOf.get(module), tierOf.get(target)]
      if (from === undefined) return []
      if (to === undefined) return [`${module} (tier ${from}) imports ${target}, which is in no tier`]
      return to < from ? [] : [`${module} (tier ${from}) imports ${target} (tier ${to})`]
    })
  )
  return [
    ...unlisted.map((module) => `${module} is in no tier: add it`),
    ...absent.map((module) => `${module} is in a tier, but not in src`),
    ...upwards
  ]
}

/** What a module needs, with the modules that it imports, types too: they stand in its declarations. */
const closureOf = (sources: Sources, module: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(module)) return seen
  seen.add(module)
  for (const one of sources.get(module) ?? []) {
    if (isLocal(one)) closureOf(sources, targetOf(module, one.specifier), seen)
  }
  return seen
}

const foreignProblems = (module: string, imports: ReadonlyArray<Import>): ReadonlyArray<string> =>
  imports.filter((one) => !isLocal(one)).flatMap(({ names, specifier }) => {
    if (!/^effect(\/|$)/.test(specifier)) return [`${module} imports ${specifier}`]
    if (specifier === "effect") return [`${module} imports all of "effect": name the module, "effect/..."`]
    const stability = stabilityOf(specifier)
    if (stability !== "stable") return [`${module} imports ${specifier}, which is ${stability ?? "not there"}`]
    return names.flatMap((name) => {
      const stability = stabilityOf(specifier, name) ?? "stable"
      return stability === "stable" ? [] : [`${module} uses ${name} of ${specifier}, which is ${stability}`]
    })
  })

const strangers = (modules: ReadonlyArray<string>, sources: Sources, allowed: RegExp): ReadonlyArray<string> =>
  modules.flatMap((module) =>
    (sources.get(module) ?? []).filter((one) => !isLocal(one) && !allowed.test(one.specifier)).map(({ specifier }) =>
      `${module} imports ${specifier}`
    )
  )

describe("the modules of src", () => {
  it("are found, with their imports", () => {
    assert.isAbove(sources.size, 10)
    assert.isAbove([...sources.values()].flat().filter((one) => isLocal(one) && !one.isType).length, 20)
    assert.isAbove([...sources.values()].flat().filter((one) => !isLocal(one)).length, 20)
  })
  it("need only modules of lower tiers", () => {
    assert.deepStrictEqual(tierProblems(sources, tiers), [])
  })
  it("import nothing but stable modules of Effect, as far as the main entry needs them", () => {
    const closure = closureOf(sources, "index")
    assert.isAbove(closure.size, 10)
    assert.deepStrictEqual([...closure].flatMap((module) => foreignProblems(module, sources.get(module) ?? [])), [])
  })
  it("import nothing of Node, outside of the entries for it", () => {
    const inside = [...sources].filter(([module]) => !folders.some((folder) => module.startsWith(`${folder}/`)))
    assert.deepStrictEqual(
      inside.flatMap(([module, imports]) =>
        imports.filter(({ specifier }) => specifier.startsWith("node:")).map(({ specifier }) =>
          `${module}: ${specifier}`
        )
      ),
      []
    )
  })
  it("are in src itself, in internal, or in the folder of an entry point", () => {
    const inFolders = new Set([...sources.keys()].filter((module) => module.includes("/")).map((m) => m.split("/")[0]!))
    assert.deepStrictEqual([...inFolders].sort(), ["internal", ...folders].sort())
  })
  it("import what their entry point is there for, and nothing else", () => {
    assert.deepStrictEqual(
      folders.flatMap((folder) =>
        strangers([...closureOf(sources, `${folder}/index`)], sources, foreignOf[folder] ?? /^$/)
      ),
      []
    )
  })
})

describe("what these tests find", () => {
  const made = (files: Record<string, string>): Sources =>
    new Map(Object.entries(files).map(([name, text]) => [name, importsOf(`${name}.ts`, text)]))

  it("is a module that imports upwards, sideways or from no tier", () => {
    const problems = tierProblems(
      made({
        Low: `import { up } from "./internal/up.ts"`,
        Beside: `export * from "./Low.ts"`,
        "internal/up": `import { type A } from "../Beside.ts"\nimport type { B } from "../High.ts"\nimport "./new.ts"`,
        "internal/new": "",
        High: `export const load = () => import("./Higher.ts")`,
        Higher: `/** import { a } from "./nowhere.ts" */ const text = 'import { a } from "./nowhere.ts"'`
      }),
      [["Low", "Beside"], ["internal/up", "internal/gone"], ["High"], ["Higher"]]
    )
    assert.deepStrictEqual(problems, [
      "internal/new is in no tier: add it",
      "internal/gone is in a tier, but not in src",
      "Low (tier 0) imports internal/up (tier 1)",
      "Beside (tier 0) imports Low (tier 0)",
      "internal/up (tier 1) imports internal/new, which is in no tier",
      "High (tier 2) imports Higher (tier 3)"
    ])
  })
  it("is what the main entry needs of others", () => {
    const files = made({
      index: `export * as A from "./A.ts"`,
      A: `import type { B } from "./B.ts"\nimport * as Effect from "effect/Effect"\nEffect.succeed(1)`,
      B: [
        `import { readFileSync } from "node:fs"`,
        `import { Effect } from "effect"`,
        `import * as Graph from "effect/Graph"`,
        `import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"`,
        `import * as Metric from "effect/Metric"`,
        `import * as Schema from "effect/Schema"`,
        `import { nothing } from "effect/Nothing"`,
        `export const b = Metric.registerUnsafe(Metric.counter("x"))`
      ].join("\n"),
      C: `import { readFileSync } from "node:fs"`
    })
    const closure = [...closureOf(files, "index")]
    assert.deepStrictEqual(closure, ["index", "A", "B"])
    assert.deepStrictEqual(closure.flatMap((module) => foreignProblems(module, files.get(module) ?? [])), [
      "B imports node:fs",
      "B imports all of \"effect\": name the module, \"effect/...\"",
      "B imports effect/Graph, which is unstable",
      "B imports effect/persistence/CircuitBreaker, which is experimental",
      "B uses registerUnsafe of effect/Metric, which is unstable",
      "B imports effect/Nothing, which is not there"
    ])
  })
  it("is what an entry point is not there for", () => {
    const files = made({
      "node/index": `export * as A from "./A.ts"`,
      "node/A":
        `import { readFileSync } from "node:fs"\nimport * as Effect from "effect/Effect"\nimport { Redis } from "redis"`
    })
    const closure = [...closureOf(files, "node/index")]
    assert.deepStrictEqual(strangers(closure, files, foreignOf["node"]!), ["node/A imports redis"])
    assert.deepStrictEqual(strangers(closure, files, foreignOf["sql"]!), [
      "node/A imports node:fs",
      "node/A imports redis"
    ])
  })
  it("is a module that cannot be read", () => {
    assert.throws(() => importsOf("broken.ts", "import { from"), "broken.ts: ")
  })
})
