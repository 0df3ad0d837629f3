/** A saved run as data: its schema, and graphs that have changed since it was saved. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Schema } from "effect"
import { type GraphError, RunState, StateGraph } from "effect-stategraph"
import { compiledOf } from "../src/internal/builder.ts"
import { fingerprintOf } from "../src/internal/thread.ts"
import { edited } from "./support/edited.ts"
import { ended, interrupted, thread, within } from "./support/killed.ts"
import { type Loose, loose } from "./support/looseBuilder.ts"

const State = Schema.Struct({ n: Schema.Number })
type State = typeof State.Type
const input = { n: 0 }

const line: RunState.LineState = {
  state: { n: 1 },
  at: "a",
  phase: "before",
  steps: 0,
  visits: [],
  joins: [],
  elapsedMs: 0
}
const flow: RunState.FlowState = {
  from: "a",
  name: "b",
  launch: "a#1",
  rank: 1_000_000,
  state: {},
  attempts: 0,
  errors: [],
  errorsDropped: 0
}
const pending: RunState.Pending = { node: "a", when: "asked", name: "ok" }
const run: RunState.RunState = { format: 1, graph: "g", fingerprint: "0", runId: "r", main: line, circuits: [] }

const values: Readonly<Record<string, RunState.RunState>> = {
  "that has just begun": run,
  "with everything on a line": {
    ...run,
    main: {
      ...line,
      visits: [["a", 1], ["__proto__", 2]],
      insteadOf: "b",
      usedFallback: true,
      written: ["n"],
      call: { attempts: 2, errors: [], errorsDropped: 3, waitMs: 1.5, attemptMs: 0, circuitState: "HALF_OPEN" },
      inner: { ...line, phase: "launched", at: "__end__" },
      pending: [pending, { ...pending, branch: "x/y", when: "before", payload: [null], schema: { type: "boolean" } }],
      answers: [["constructor", { deep: [1] }]]
    }
  },
  "with flows of every kind": {
    ...run,
    main: {
      ...line,
      joins: [{
        fanIn: "j",
        launches: 2,
        elapsedMs: 0.25,
        completed: "within",
        flows: [
          flow,
          {
            ...flow,
            key: "__proto__",
            item: null,
            index: 0,
            result: { _tag: "Success" },
            written: [],
            cancelled: "why",
            startTime: -1,
            elapsedMs: 7,
            usedFallback: true,
            errors: [{ attempt: 1, error: "no", errorType: "Boom", timingMs: 3 }],
            line: { ...line, joins: [{ fanIn: "k", launches: 0, flows: [flow], maps: [] }] }
          }
        ],
        maps: [{ from: "a", name: "m", launch: "a#1", rank: 1, state: {}, index: 3, items: [1, "two", null] }]
      }]
    }
  },
  "with circuits": {
    ...run,
    circuits: [
      { key: "", state: "CLOSED", failureCount: 0 },
      { key: "k", state: "OPEN", failureCount: 3, lastFailureMsAgo: 1, openedMsAgo: 2, openMs: 3, reopenings: 4 },
      {
        key: "c",
        state: "CLOSED",
        failureCount: 1,
        mode: "forced",
        window: { _tag: "Count", calls: 2, failures: 1, slow: 0, ring: "ab" }
      },
      {
        key: "t",
        state: "CLOSED",
        failureCount: 1,
        window: { _tag: "Time", parts: [{ msAgo: 9, calls: 2, failures: 1, slow: 0 }] }
      }
    ]
  }
}

describe("the schema of a saved run", () => {
  for (const [what, value] of Object.entries(values)) {
    it(`keeps a run ${what}`, () => {
      const body = Schema.encodeSync(RunState.fromBody)(value)
      assert.deepStrictEqual(Schema.decodeSync(RunState.fromBody)(body), value)
      assert.deepStrictEqual(JSON.parse(body), JSON.parse(JSON.stringify(value)))
    })
  }

  it("tells what it waits for, line by line", () => {
    const waiting = (branch: string): RunState.LineState => ({ ...line, pending: [{ ...pending, branch }] })
    const flows = [{ ...flow, line: waiting("x") }, { ...flow, line: { ...line, inner: waiting("y/z") } }]
    const main = { ...line, pending: [pending], joins: [{ fanIn: "j", launches: 2, flows, maps: [] }] }
    assert.deepStrictEqual(RunState.pending({ ...run, main }).map(({ branch }) => branch), [undefined, "x", "y/z"])
  })
})

describe("a graph's fingerprint", () => {
  const inner = (last = "i") =>
    (last === "i" ? loose("inner").addNode("i") : loose("inner").addNode("i").addNode(last).addEdge("i", last))
      .setEntryPoint("i").setFinishPoint(last).compile()
  const of = (change: (graph: Loose) => Loose, sub = inner(), a: unknown = () => ({})): string => {
    const start = loose("g").addNode("a", a).addNode("b").addNode("c") as unknown as {
      addSubgraph(name: string, graph: unknown, options: unknown): Loose
    }
    const nodes = start.addSubgraph("s", sub, { input: () => ({ n: 0 }), output: () => ({}) }).addFanInNode("j")
    return fingerprintOf(compiledOf(change(nodes.setEntryPoint("a")).compile()).plan)
  }
  const flows = (graph: Loose) =>
    graph.addParallelEdge("a", "b", "j").addParallelEdge("a", "s", "j").addEdge("j", "c").setFinishPoint("c")
  const same = of(flows)

  it("is the same for the same shape, whatever its nodes do and its options say", () => {
    assert.strictEqual(of(flows, inner(), () => ({ n: 99 })), same)
    assert.strictEqual(
      of((graph) =>
        graph.addParallelEdge("a", "b", "j", { timeout: 5, retry: { maxRetries: 2 } }).addParallelEdge("a", "s", "j")
          .addEdge("j", "c").setFinishPoint("c")
      ),
      same
    )
    assert.match(same, /^[0-9a-f]{8}$/)
  })

  it("changes with nodes, edges, conditions, branches, maps and graphs inside of it", () => {
    const map = (graph: Loose) =>
      (graph as unknown as { addParallelMap(...args: ReadonlyArray<unknown>): Loose })
        .addParallelMap("a", "b", "j", { items: () => [] }).addParallelEdge("a", "s", "j").addEdge("j", "c")
        .setFinishPoint("c")
    const others = [
      of((graph) =>
        graph.addNode("d").addEdge("j", "d").addEdge("d", "c").setFinishPoint("c").addParallelEdge("a", "b", "j")
          .addParallelEdge("a", "s", "j")
      ),
      of((graph) =>
        graph.addParallelEdge("a", "b", "j").addParallelEdge("a", "s", "j").addConditionalEdges("j", () => "x", {
          x: "c"
        }).setFinishPoint("c")
      ),
      of((graph) =>
        graph.addParallelEdge("a", "b", "j").addParallelEdge("a", "s", "j").addConditionalEdges("j", () => "y", {
          y: "c"
        }).setFinishPoint("c")
      ),
      of((graph) =>
        graph.addParallelEdge("a", "s", "j").addParallelEdge("a", "b", "j").addEdge("j", "c").setFinishPoint("c")
      ),
      of((graph) =>
        graph.addParallelEdge("a", "b", "j", { name: "bee" }).addParallelEdge("a", "s", "j").addEdge("j", "c")
          .setFinishPoint("c")
      ),
      of(map),
      of(flows, inner("k"))
    ]
    assert.strictEqual(new Set([same, ...others]).size, others.length + 1)
  })
})

const hold = () => Effect.sleep(100)

/** A run that is in a flow, in the flow of a map, and beside them. */
const before = StateGraph.make("g", State)
  .addNode("first").addNode("beside", hold).addNode("one", hold).addNode("two", hold)
  .addFanInNode("join", (_, { parallelResults }) => ({ n: parallelResults.length }))
  .setEntryPoint("first").addEdge("first", "beside")
  .addParallelEdge("first", "one", "join")
  .addParallelMap("first", "two", "join", { items: () => [1] })
  .setFinishPoint("join").compile()

interface Parts {
  readonly nodes: ReadonlyArray<string>
  readonly fanIn?: string
  readonly edges: (graph: Loose & Pick<Maps, "addParallelMap">) => Loose
  readonly name?: string
}
interface Maps {
  addParallelMap(from: string, to: string, fanIn: string, options: unknown): Loose
}

const graphOf = ({ edges, fanIn = "join", name = "g", nodes }: Parts) =>
  edges(
    nodes.reduce(
      (graph, node) => graph.addNode(node, node === "first" ? undefined : hold),
      loose(name, undefined, State)
    )
      .addFanInNode(fanIn, (_: State, { parallelResults }: { readonly parallelResults: ReadonlyArray<unknown> }) => ({
        n: parallelResults.length
      })) as Loose & Maps
  ).compile() as unknown as typeof before

const items = { items: () => [1] }
const all = ["first", "beside", "one", "two"]
const full = (graph: Loose & Maps, map: string = "two") =>
  (graph.setEntryPoint("first").addEdge("first", "beside").addParallelEdge("first", "one", "join") as Loose & Maps)
    .addParallelMap("first", map, "join", items).setFinishPoint("join")

const refused = (graph: typeof before) =>
  Effect.gen(function*() {
    const store = yield* interrupted(before.invoke(input, { thread }), 50)
    return (yield* Effect.flip(within(store)(graph.resume(thread)))) as GraphError.CheckpointError
  })

describe("a graph that has changed since its run was saved", () => {
  const gone: Readonly<Record<string, readonly [Parts, string]>> = {
    "a node": [
      {
        nodes: ["first", "one", "two"],
        edges: (graph) =>
          (graph.setEntryPoint("first").addParallelEdge("first", "one", "join") as Loose & Maps)
            .addParallelMap("first", "two", "join", items).setFinishPoint("join")
      },
      `the graph has no node "beside" any more`
    ],
    "a branch": [
      {
        nodes: ["first", "beside", "two"],
        edges: (graph) =>
          (graph.setEntryPoint("first").addEdge("first", "beside") as Loose & Maps)
            .addParallelMap("first", "two", "join", items).setFinishPoint("join")
      },
      `the graph has no parallel edge "one" from "first" to fan-in "join" any more`
    ],
    "a fan-in": [
      {
        nodes: all,
        fanIn: "other",
        edges: (graph) =>
          (graph.setEntryPoint("first").addEdge("first", "beside").addParallelEdge("first", "one", "other") as
            & Loose
            & Maps)
            .addParallelMap("first", "two", "other", items).setFinishPoint("other")
      },
      `the graph has no node "join" any more`
    ],
    "a fan-in, which is a node now": [
      {
        nodes: [...all, "join"],
        fanIn: "other",
        edges: (graph) =>
          (graph.setEntryPoint("first").addEdge("first", "beside").addParallelEdge("first", "one", "other") as
            & Loose
            & Maps)
            .addParallelMap("first", "two", "other", items).addEdge("other", "join").setFinishPoint("join")
      },
      `node "join" of the graph is no fan-in any more`
    ]
  }
  for (const [what, [parts, issue]] of Object.entries(gone)) {
    it.effect(`is refused when it has lost ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* refused(graphOf(parts))
        assert.deepStrictEqual([error._tag, error.reason, error.issue, error.thread, error.graph], [
          "CheckpointError",
          "Incompatible",
          issue,
          thread,
          "g"
        ])
        assert.isString(error.checkpointId)
      }))
  }

  it.effect("is refused when a map that is not through is an edge now", () =>
    Effect.gen(function*() {
      const graph = (map: boolean) =>
        graphOf({
          nodes: ["one"],
          edges: (graph) =>
            (map
              ? graph.addParallelMap(StateGraph.START, "one", "join", { items: () => [1, 2], concurrency: 1 })
              : graph.addParallelEdge(StateGraph.START, "one", "join")).setFinishPoint("join")
        })
      const store = yield* interrupted(graph(true).invoke(input, { thread }), 50)
      const error = (yield* Effect.flip(within(store)(graph(false).resume(thread)))) as GraphError.CheckpointError
      assert.deepStrictEqual([error.reason, error.issue], [
        "Incompatible",
        `the parallel edge "one" from "${StateGraph.START}" of the graph is no map any more`
      ])
    }))

  it.effect("goes on with a warning when it has gained something", () =>
    Effect.gen(function*() {
      const gained: ReadonlyArray<Parts> = [
        { nodes: [...all, "last"], edges: (graph) => full(graph).addEdge("beside", "last") },
        {
          nodes: [...all, "three"],
          edges: (graph) => full(graph).addParallelEdge("first", "three", "join")
        },
        {
          nodes: [...all, "c"],
          edges: (graph) =>
            full(graph).addConditionalEdges("beside", () => "x", { x: "join", c: "c" }).addEdge("c", "join")
        }
      ]
      for (const parts of gained) {
        const warnings: Array<unknown> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel === "Warn") warnings.push(message)
        })
        const store = yield* interrupted(before.invoke(input, { thread }), 50)
        const state = yield* ended(graphOf(parts).resume(thread), store).pipe(Effect.provide(Logger.layer([logger])))
        assert.deepStrictEqual(state, { n: 2 })
        assert.match(String(warnings), /the graph has changed since the run was saved/)
        assert.strictEqual(warnings.length, 1)
      }
    }))

  it.effect("goes on without one when it is the same", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ message }) => void warnings.push(message))
      const store = yield* interrupted(before.invoke(input, { thread }), 50)
      const graph = graphOf({ nodes: all, edges: full })
      yield* ended(graph.resume(thread), store).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("of another name is refused, also when only the body says so", () =>
    Effect.gen(function*() {
      const other = yield* refused(graphOf({ name: "other", nodes: all, edges: full }))
      assert.deepStrictEqual([other.reason, other.issue], ["WrongGraph", `it was saved by graph "g"`])
      const store = yield* interrupted(before.invoke(input, { thread }), 50)
      const changed = yield* edited(store, (body) => body.replace(`"graph":"g"`, `"graph":"h"`))
      const error = (yield* Effect.flip(within(changed)(before.resume(thread)))) as GraphError.CheckpointError
      assert.deepStrictEqual([error.reason, error.issue], ["WrongGraph", `it was saved by graph "h"`])
    }))
})
