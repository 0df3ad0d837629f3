/** What `compile` says of a graph that cannot run: everything, at once. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { GraphError, StateGraph } from "effect-stategraph"
import { type Loose, loose } from "./support/looseBuilder.ts"

const { END, START } = StateGraph

const problemsOf = (graph: Loose, options?: unknown): ReadonlyArray<GraphError.GraphProblem> => {
  try {
    graph.compile(options)
  } catch (error) {
    assert.instanceOf(error, GraphError.GraphValidationError)
    return (error as GraphError.GraphValidationError).problems
  }
  return []
}

const sound = () =>
  loose().addNode("a").addNode("b").addFanInNode("join")
    .addParallelEdge(START, "a", "join").addParallelEdge(START, "b", "join").setFinishPoint("join")

interface Case {
  readonly code: GraphError.ProblemCode
  readonly what: string
  readonly graph: Loose
  readonly nodes: ReadonlyArray<string>
  readonly says: RegExp
  /** Problems that cannot but come with it. */
  readonly also?: ReadonlyArray<GraphError.ProblemCode>
}

const cases: ReadonlyArray<Case> = [
  {
    code: "InvalidFallback",
    what: "a fan-in as a fallback",
    graph: loose().addNode("a", () => ({}), { fallback: "join" }).addFanInNode("join")
      .addParallelEdge(START, "a", "join").setFinishPoint("join"),
    nodes: ["join"],
    says: /the fallback of node a names "join", a fan-in: only a node can stand in/
  },
  {
    code: "InvalidFallback",
    what: "fallbacks that lead back",
    graph: loose().addNode("a", () => ({}), { fallback: "b" }).addNode("b", () => ({}), { fallback: "a" })
      .setEntryPoint("a").setFinishPoint("a"),
    nodes: ["a"],
    says: /the fallbacks of node "a" lead back to itself/,
    also: ["InvalidFallback"]
  },
  {
    code: "UnknownNode",
    what: "a fallback that does not exist",
    graph: loose().addNode("a", () => ({}), { fallback: "b" }).setEntryPoint("a").setFinishPoint("a"),
    nodes: ["b"],
    says: /the fallback of node a names the node "b", which does not exist/
  },
  {
    code: "UnknownNode",
    what: "an edge's fallback that does not exist",
    graph: sound().addNode("c").addParallelEdge(START, "c", "join", { fallback: "d" }),
    nodes: ["d"],
    says: /the fallback of the parallel edge __start__ -> c names the node "d"/,
    also: ["FanInBeforeNode"]
  },
  {
    code: "NoEntryPoint",
    what: "no entry point",
    graph: loose().addNode("a").setFinishPoint("a"),
    nodes: [],
    says: /no entry point: call setEntryPoint/
  },
  {
    code: "DuplicateNode",
    what: "a node added twice",
    graph: loose().addNode("a").addNode("a").setEntryPoint("a").setFinishPoint("a"),
    nodes: ["a"],
    says: /"a" is added twice/
  },
  {
    code: "UnknownNode",
    what: "an edge to an unknown node",
    graph: loose().addNode("a").setEntryPoint("a").addEdge("a", "nowhere"),
    nodes: ["nowhere"],
    says: /a -> nowhere names the node "nowhere", which does not exist/
  },
  {
    code: "UnknownNode",
    what: "an edge from an unknown node",
    graph: loose().addNode("a").setEntryPoint("a").setFinishPoint("a").addEdge("ghost", "a"),
    nodes: ["ghost"],
    says: /"ghost", which does not exist/
  },
  {
    code: "UnknownNode",
    what: "a condition with an unknown target",
    graph: loose().addNode("a").setEntryPoint("a").addConditionalEdges("a", () => "x", { x: "nowhere", y: END }),
    nodes: ["nowhere"],
    says: /key "x".*"nowhere", which does not exist/
  },
  {
    code: "UnknownNode",
    what: "a parallel edge to an unknown node",
    graph: sound().addParallelEdge(START, "nowhere", "join"),
    nodes: ["nowhere"],
    says: /parallel edge __start__ -> nowhere/
  },
  {
    code: "TwoWaysOut",
    what: "two plain edges from one node",
    graph: loose().addNode("a").addNode("b").setEntryPoint("a").addEdge("a", "b").addEdge("a", END).setFinishPoint("b"),
    nodes: ["a"],
    says: /"a" has two ways out: the edge to b and the edge to __end__/
  },
  {
    code: "TwoWaysOut",
    what: "a plain and a conditional edge from one node",
    graph: loose().addNode("a").setEntryPoint("a").addEdge("a", END).addConditionalEdges("a", () => "x", { x: "a" }),
    nodes: ["a"],
    says: /two ways out: the edge to __end__ and a condition/
  },
  {
    code: "UnreachableNode",
    what: "an unreachable node",
    graph: loose().addNode("a").addNode("island").setEntryPoint("a").setFinishPoint("a").setFinishPoint("island"),
    nodes: ["island"],
    says: /"island" cannot be reached from START/
  },
  {
    code: "DeadEnd",
    what: "a node from which the end cannot be reached",
    graph: loose().addNode("a").addNode("b").setEntryPoint("a").addEdge("a", "b"),
    nodes: ["b"],
    says: /from node "b" END cannot be reached/,
    also: ["DeadEnd"]
  },
  {
    code: "DeadEnd",
    what: "a loop without a way out",
    graph: loose().addNode("a").addNode("b").setEntryPoint("a").addEdge("a", "b").addEdge("b", "a"),
    nodes: ["a"],
    says: /from node "a" END cannot be reached/,
    also: ["DeadEnd"]
  },
  {
    code: "NotAFanIn",
    what: "a parallel edge joined at a plain node",
    graph: loose().addNode("a").addNode("b").addParallelEdge(START, "a", "b").setFinishPoint("b"),
    nodes: [START, "a", "b"],
    says: /"b", which is no fan-in node: add it with addFanInNode/
  },
  {
    code: "UnusedFanIn",
    what: "a fan-in that no parallel edge names",
    graph: loose().addNode("a").addFanInNode("join").setEntryPoint("a").addEdge("a", "join").setFinishPoint("join"),
    nodes: ["join"],
    says: /no parallel edge names the fan-in "join"/
  },
  {
    code: "FlowCannotReachFanIn",
    what: "a flow that goes round for ever",
    graph: loose().addNode("a").addNode("b").addFanInNode("join").addParallelEdge(START, "a", "join").addEdge("a", "b")
      .addEdge("b", "a").setFinishPoint("join"),
    nodes: ["a", "join"],
    says: /the flow "a" can reach neither its fan-in "join" nor END/
  },
  {
    code: "FlowFeedsOwnFanIn",
    what: "a flow that starts flows for its own fan-in",
    graph: loose().addNode("a").addNode("b").addFanInNode("join").addParallelEdge(START, "a", "join")
      .addParallelEdge("a", "b", "join").setFinishPoint("join"),
    nodes: ["a", "b", "join"],
    says: /the flow "a" starts the flow "b" for "join", the fan-in it is itself bound for/
  },
  {
    code: "EndBeforeFanIn",
    what: "a main line that can end past its fan-in",
    graph: loose().addNode("a").addNode("b").addFanInNode("join").setEntryPoint("a").addParallelEdge("a", "b", "join")
      .addConditionalEdges("a", () => "x", { x: END, y: "join" }).setFinishPoint("join"),
    nodes: ["a", "join"],
    says: /the main line can end after node "a" without joining its flows at fan-in "join"/
  },
  {
    code: "DuplicateBranch",
    what: "two flows of one fan-in with one name",
    graph: loose().addNode("a").addNode("b").addFanInNode("join").addParallelEdge(START, "a", "join")
      .addParallelEdge(START, "b", "join", { name: "a" }).setFinishPoint("join"),
    nodes: [START, "b", "join"],
    says: /fan-in "join" has two flows named "a"/
  },
  {
    code: "CircuitConfigConflict",
    what: "one circuit key with two configurations",
    graph: loose().addNode("a").addNode("b").addFanInNode("join")
      .addParallelEdge(START, "a", "join", { circuitBreaker: { key: "db", failureThreshold: 1 } })
      .addParallelEdge(START, "b", "join", { circuitBreaker: { key: "db", failureThreshold: 2 } }).setFinishPoint(
        "join"
      ),
    nodes: ["a", "b"],
    says: /the circuit "db" has two configurations/
  },
  {
    code: "CircuitConfigConflict",
    what: "a node's circuit with another configuration than a flow's",
    graph: loose().addNode("a", () => ({}), { circuitBreaker: { key: "db", failureThreshold: 2 } }).addFanInNode("join")
      .addParallelEdge(START, "a", "join", { name: "flow", circuitBreaker: { key: "db", failureThreshold: 1 } })
      .setFinishPoint("join"),
    nodes: ["a", "a"],
    says: /the circuit "db" has two configurations: of the flow "flow" and of the node "a"/
  },
  {
    code: "FanInBeforeNode",
    what: "a fan-in added before a node of its flows",
    graph: loose().addFanInNode("join").addNode("a").addParallelEdge(START, "a", "join").setFinishPoint("join"),
    nodes: ["join", "a"],
    says: /fan-in "join" is added before node "a" of its flow/
  },
  ...[START, END].map((name): Case => ({
    code: "ReservedName",
    what: `a node called ${name}`,
    graph: loose().addNode("a").addNode(name).setEntryPoint("a").setFinishPoint("a"),
    nodes: [name],
    says: /is reserved/,
    also: ["UnreachableNode"]
  })),
  ...["a/b", "a[0]", "b]"].map((name): Case => ({
    code: "ReservedName",
    what: `a node called ${name}`,
    graph: loose().addNode(name).setEntryPoint(name).setFinishPoint(name),
    nodes: [name],
    says: /has a character that is reserved for paths/
  })),
  {
    code: "ReservedName",
    what: "a node without a name",
    graph: loose().addNode("").setEntryPoint("").setFinishPoint(""),
    nodes: [""],
    says: /needs a name that is not empty/
  },
  {
    code: "ReservedName",
    what: "a branch name with a slash",
    graph: loose().addNode("a").addFanInNode("join").addParallelEdge(START, "a", "join", { name: "x/y" })
      .setFinishPoint("join"),
    nodes: ["x/y"],
    says: /branch name "x\/y" has a character that is reserved/
  },
  {
    code: "EmptyTargets",
    what: "a condition without targets",
    graph: loose().addNode("a").setEntryPoint("a").addConditionalEdges("a", () => "x", {}),
    nodes: ["a"],
    says: /the condition after "a" has no targets/
  },
  {
    code: "InvalidConfig",
    what: "an edge's option out of range",
    graph: loose().addNode("a").addFanInNode("join").addParallelEdge(START, "a", "join", { timeout: -1 })
      .setFinishPoint("join"),
    nodes: [START, "a"],
    says: /edge __start__ -> a: timeout is -1, allowed is/
  }
]

describe("compile reports", () => {
  for (const { also = [], code, graph, nodes, says, what } of cases) {
    it(`${what} as ${code}`, () => {
      const problems = problemsOf(graph)
      const found = problems.find((problem) => problem.code === code && says.test(problem.message))
      assert.isDefined(found, JSON.stringify(problems))
      assert.deepStrictEqual(found!.nodes, nodes)
      assert.notInclude(found!.message, "\n")
      const others = problems.filter((problem) => problem !== found).map((problem) => problem.code)
      assert.deepStrictEqual([...new Set(others)], [...new Set(also)], JSON.stringify(problems))
    })
  }

  it("every code there is", () => {
    const codes = (GraphError.ProblemCode as unknown as { readonly literals: ReadonlyArray<string> }).literals
    assert.sameMembers([...new Set(cases.map(({ code }) => code))], [...codes] as never)
  })

  it("options of its own that are out of range", () => {
    const graph = sound()
    const text = (options: unknown) => problemsOf(graph, options).map(({ code, message }) => `${code}: ${message}`)
    assert.deepStrictEqual(text({ maxSteps: 0 }), [
      "InvalidConfig: compile: maxSteps is 0, allowed is an integer of at least 1"
    ])
    assert.match(text({ maxSteps: 1.5 })[0]!, /maxSteps is 1.5/)
    assert.match(text({ parallel: { concurrency: 0 } })[0]!, /concurrency is 0/)
    assert.match(text({ unknownOption: 1 })[0]!, /unknownOption/)
    assert.match(text({ callbacks: 5 })[0]!, /callbacks/)
    assert.deepStrictEqual(text({ maxSteps: "unbounded" }), [])
  })

  it("all problems at once, in one error whose message lists them", () => {
    const graph = loose()
      .addNode("a")
      .addNode("a")
      .addNode("x/y")
      .addFanInNode("unused")
      .setEntryPoint("a")
      .addEdge("a", "nowhere")
      .addConditionalEdges("a", () => "k", {})
      .addParallelEdge("a", "x/y", "a", { timeout: Number.NaN, retry: { maxRetries: 0.5 } })
    const problems = problemsOf(graph, { maxSteps: -1 })
    const codes = new Set(problems.map(({ code }) => code))
    for (
      const code of [
        "DuplicateNode",
        "ReservedName",
        "UnusedFanIn",
        "UnknownNode",
        "TwoWaysOut",
        "EmptyTargets",
        "NotAFanIn",
        "InvalidConfig"
      ] as const
    ) assert.isTrue(codes.has(code), code)
    assert.strictEqual(problems.filter(({ code }) => code === "InvalidConfig").length, 3)
    const error = new GraphError.GraphValidationError({ graph: "g", problems })
    assert.include(error.message, `graph "g" has ${problems.length} problems:`)
    for (const { code, message } of problems) assert.include(error.message, `- ${code}: ${message}`)
  })

  it("nothing of a sound graph", () => {
    assert.deepStrictEqual(problemsOf(sound()), [])
  })
})

describe("compileResult", () => {
  it("returns the error that compile throws", () => {
    const builder = StateGraph.make("g", Schema.Struct({ n: Schema.Number })).addNode("a")
    const result = builder.compileResult()
    assert.isTrue(Result.isFailure(result))
    if (Result.isSuccess(result)) return
    assert.instanceOf(result.failure, GraphError.GraphValidationError)
    assert.throws(() => builder.compile(), result.failure.message)
    assert.isTrue(Result.isSuccess(builder.setEntryPoint("a").setFinishPoint("a").compileResult()))
  })
})

describe("make", () => {
  const refused = (make: () => unknown): GraphError.InvalidConfigError => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, GraphError.InvalidConfigError)
      return error as GraphError.InvalidConfigError
    }
    throw new Error("nothing was thrown")
  }

  it("refuses options out of range by name, value and range", () => {
    const error = refused(() => loose("g", { parallel: { retry: { maxRetries: -1 } } }))
    assert.deepInclude(error, { field: "retry.maxRetries", value: "-1", source: `StateGraph.make("g")` })
    assert.match(error.allowed, /integer of at least 0/)
  })

  it("refuses what it does not know", () => {
    assert.strictEqual(refused(() => loose("g", { paralel: {} })).field, "paralel")
    assert.strictEqual(refused(() => loose("g", { parallel: { timeot: 1 } })).field, "timeot")
    assert.strictEqual(refused(() => loose("g", { progress: 5 })).field, "progress")
  })

  it("refuses a state that is no struct", () => {
    for (const schema of [Schema.String, Schema.Array(Schema.String), 5, null, undefined]) {
      assert.strictEqual(refused(() => StateGraph.make("g", schema as never)).field, "schema")
    }
  })
})
