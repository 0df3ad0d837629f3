import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Diagram, StateGraph } from "effect-stategraph"
import { nastyGraph, nastyKeys, nastyNames } from "./support/nastyGraph.ts"

const State = Schema.Struct({ n: Schema.Number })

const everything = StateGraph.make("all", State)
  .addNode("plan")
  .addNode("web")
  .addNode("parse")
  .addNode("cache")
  .addNode("inner")
  .addFanInNode("innerJoin")
  .addFanInNode("merge")
  .addNode("beside")
  .addNode("check")
  .setEntryPoint("plan")
  .addEdge("plan", "beside")
  .addParallelEdge("plan", "web", "merge")
  .addEdge("web", "parse")
  .addParallelEdge("plan", "cache", "merge", { name: "store" })
  .addParallelEdge("cache", "inner", "innerJoin")
  .addEdge("merge", "check")
  .addConditionalEdges("check", () => Effect.succeed("done" as const), { again: "plan", done: StateGraph.END })
  .compile()

describe("the diagram of a graph", () => {
  it("is every node in the order of declaration and every edge, implied ones too", () => {
    assert.deepStrictEqual(everything.diagram, {
      name: "all",
      nodes: [
        ...["plan", "web", "parse", "cache", "inner"].map((name) => ({ name, kind: "node" as const })),
        { name: "innerJoin", kind: "fanIn" },
        { name: "merge", kind: "fanIn" },
        { name: "beside", kind: "node" },
        { name: "check", kind: "node" }
      ],
      edges: [
        { kind: "edge", from: StateGraph.START, to: "plan" },
        { kind: "edge", from: "plan", to: "beside" },
        { kind: "parallel", from: "plan", to: "web", fanIn: "merge", branch: "web" },
        { kind: "parallel", from: "plan", to: "cache", fanIn: "merge", branch: "store" },
        { kind: "edge", from: "web", to: "parse" },
        { kind: "join", from: "parse", to: "merge" },
        { kind: "parallel", from: "cache", to: "inner", fanIn: "innerJoin", branch: "inner" },
        { kind: "join", from: "inner", to: "innerJoin" },
        { kind: "join", from: "innerJoin", to: "merge" },
        { kind: "edge", from: "merge", to: "check" },
        { kind: "join", from: "beside", to: "merge" },
        { kind: "condition", from: "check", to: "plan", label: "again" },
        { kind: "condition", from: "check", to: StateGraph.END, label: "done" }
      ]
    })
  })

  it("is drawn alike by the graph and by the module", () => {
    assert.strictEqual(everything.toMermaid(), Diagram.toMermaid(everything.diagram))
    assert.strictEqual(everything.toDot(), Diagram.toDot(everything.diagram))
  })

  it("as Mermaid has its fan-ins, its parallel edges, its implied edges and its labels", () => {
    assert.strictEqual(
      everything.toMermaid(),
      [
        "flowchart TD",
        `  s(["start"])`,
        `  n0["plan"]`,
        `  n1["web"]`,
        `  n2["parse"]`,
        `  n3["cache"]`,
        `  n4["inner"]`,
        `  n5{{"innerJoin"}}`,
        `  n6{{"merge"}}`,
        `  n7["beside"]`,
        `  n8["check"]`,
        `  e(["end"])`,
        "  s --> n0",
        "  n0 --> n7",
        "  n0 ==> n1",
        `  n0 ==>|"store"| n3`,
        "  n1 --> n2",
        "  n2 -.-> n6",
        "  n3 ==> n4",
        "  n4 -.-> n5",
        "  n5 -.-> n6",
        "  n6 --> n8",
        "  n7 -.-> n6",
        `  n8 -->|"again"| n0`,
        `  n8 -->|"done"| e`
      ].join("\n")
    )
  })

  it("as DOT has the same edges as as Mermaid", () => {
    const dot = everything.toDot().split("\n").filter((line) => line.includes("->")).map((line) =>
      line.trim().replace(/ \[.*/, "")
    )
    const mermaid = everything.toMermaid().split("\n").filter((line) => />/.test(line)).map((line) =>
      line.trim().replace(/ (-->|==>|-\.->)(\|.*\|)? /, " -> ")
    )
    assert.isAbove(dot.length, 12)
    assert.deepStrictEqual(dot, mermaid)
  })

  it("has an end where an edge goes there", () => {
    const toItself: Diagram.Diagram = {
      name: "loop",
      nodes: [{ name: "a", kind: "node" }],
      edges: [{ kind: "edge", from: StateGraph.START, to: "a" }, { kind: "edge", from: "a", to: "a" }]
    }
    const toEnd = { ...toItself, edges: [...toItself.edges, { kind: "edge" as const, from: "a", to: StateGraph.END }] }
    assert.notInclude(Diagram.toMermaid(toItself), "end")
    assert.notInclude(Diagram.toDot(toItself), "end")
    assert.include(Diagram.toMermaid(toEnd), `e(["end"])`)
    assert.include(Diagram.toDot(toEnd), `e [label="end"`)
  })

  it("has the edge of an empty key without a label", () => {
    const graph = StateGraph.make("empty", State)
      .addNode("a")
      .setEntryPoint("a")
      .addConditionalEdges("a", () => "" as const, { "": StateGraph.END })
      .compile()
    assert.deepStrictEqual(graph.diagram.edges.at(-1), { kind: "condition", from: "a", to: StateGraph.END, label: "" })
    assert.strictEqual(graph.toMermaid().split("\n").at(-1), "  n0 --> e")
    assert.strictEqual(graph.toDot().split("\n").at(-2), "  n0 -> e")
  })

  it("has the fan-in's flow, its join and its way on, where the start launches", () => {
    const flows = StateGraph.make("flows", State).addNode("a").addFanInNode("j")
      .addParallelEdge(StateGraph.START, "a", "j").addEdge("j", StateGraph.END).compile()
    assert.deepStrictEqual(flows.diagram.edges.map(({ kind }) => kind), ["parallel", "join", "edge"])
  })
})

describe("fallbacks", () => {
  const graph = StateGraph.make("fallbacks", State)
    .addNode("last", () => ({}))
    .addNode("rescue", () => ({}), { fallback: "last" })
    .addNode("work", () => ({}), { fallback: "rescue" })
    .addNode("value", () => ({}), { fallback: { n: 1 } })
    .addFanInNode("join")
    .addParallelEdge(StateGraph.START, "work", "join", { fallback: "rescue" })
    .addParallelEdge(StateGraph.START, "work", "join", { name: "again", fallback: "rescue" })
    .addParallelEdge(StateGraph.START, "value", "join", { fallback: "last" })
    .setFinishPoint("join")
    .compile()

  it("that are nodes are edges, each once; values are none", () => {
    const shown = graph.diagram.edges.filter(({ kind }) => kind === "fallback").map(({ from, to }) => `${from} ${to}`)
    assert.deepStrictEqual(shown.sort(), ["rescue last", "value last", "work rescue"])
  })

  it("say so, dotted", () => {
    assert.include(graph.toMermaid(), `  n2 -.->|"fallback"| n1`)
    assert.include(graph.toDot(), `  n2 -> n1 [label="fallback", style=dotted]`)
  })
})

describe("names of any kind", () => {
  const parts = [
    ..."abn019 .-_#;&<>\"'`\\%|{}()=~*\n\t\u0000é日🦊",
    ...nastyNames.filter((name) => !/[/[\]]/.test(name))
  ]
  const reserved = ["plan", "join", "after", StateGraph.START, StateGraph.END]
  const part = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: parts.length - 1 })))
  const drawn = Arbitrary.array(Arbitrary.array(part, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })
  const namesOf = (drawn: ReadonlyArray<ReadonlyArray<number>>) =>
    [...new Set(drawn.map((indices) => indices.map((i) => parts[i]!).join("")))]
      .filter((name) => !reserved.includes(name))

  it.prop("never collide, and no node or edge is lost", { drawn }, ({ drawn }) => {
    const names = namesOf(drawn)
    const graph = nastyGraph(["x", ...names], ["", ...names])
    const { edges, nodes } = graph.diagram
    for (const text of [graph.toMermaid(), graph.toDot()]) {
      const lines = text.split("\n").map((line) => line.trim())
      const declared = lines.flatMap((line) => /^(n\d+|s|e)(\(\[|\{\{|\[| \[label)/.exec(line)?.[1] ?? [])
      assert.strictEqual(new Set(declared).size, declared.length)
      assert.strictEqual(declared.length, nodes.length + (edges.some(({ to }) => to === StateGraph.END) ? 2 : 1))
      const drawn = lines.flatMap((line) => {
        const edge = /^(n\d+|s|e) (?:-->|==>|-\.->|->)(?:\|"[^"]*"\|)? (n\d+|e)( \[.*\])?$/.exec(line)
        return edge === null ? [] : [`${edge[1]} ${edge[2]}`]
      })
      const id = (name: string) =>
        name === StateGraph.START
          ? "s"
          : name === StateGraph.END
          ? "e"
          : `n${nodes.findIndex((node) => node.name === name)}`
      assert.deepStrictEqual(drawn, edges.map(({ from, to }) => `${id(from)} ${id(to)}`))
    }
  }, { arbitrary: { runs: 300, seed: 7, size: 12 } })

  it.prop("have no character in Mermaid that means something there", { drawn }, ({ drawn }) => {
    for (const [, label] of nastyGraph(["x", ...namesOf(drawn)], nastyKeys).toMermaid().matchAll(/"([^"]*)"/g)) {
      assert.match(label!, /^(?:[\p{L}\p{M}\p{N} _-]|#\d+;)*$/u)
    }
  }, { arbitrary: { runs: 300, seed: 7, size: 12 } })
})
