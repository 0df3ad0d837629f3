import { Schema } from "effect"
import { StateGraph } from "effect-stategraph"

/** Names that mean something to Mermaid, to Graphviz, to HTML, or to a diagram's own ids. */
export const nastyNames: ReadonlyArray<string> = [
  "a-b",
  "a.b",
  "a b",
  "a_b",
  "end",
  "graph",
  "subgraph",
  `"quoted"`,
  "日本語",
  "🦊",
  "<script>alert(1)<script>",
  "<b>bold<b>",
  "__x__",
  "#",
  "#35;",
  ";",
  "%% comment",
  "\\",
  "\\n",
  "`",
  "`**bold**`",
  "&lt;",
  "line\nbreak",
  "s",
  "e",
  "n0",
  "-->",
  "{{x}}",
  "(("
]

/** Keys of conditions may be anything, also what names may not. */
export const nastyKeys: ReadonlyArray<string> = [
  ...nastyNames.map((name) => `key ${name}`),
  "",
  "<script>alert(1)</script>",
  "<br/>",
  "[a](b/c)",
  "1. item",
  "- item",
  "__proto__"
]

/** A graph with all of them as nodes, labels and branches. */
export const nastyGraph = (names: ReadonlyArray<string> = nastyNames, keys: ReadonlyArray<string> = nastyKeys) => {
  let nodes = StateGraph.make(`nasty "graph"`, Schema.Struct({ n: Schema.Number })).addNode("plan" as string)
  for (const name of names) nodes = nodes.addNode(name)
  let flows = nodes.addFanInNode("join" as string).addNode("after" as string).setEntryPoint("plan")
  names.forEach((name, i) => {
    flows = flows.addParallelEdge(
      "plan",
      name,
      "join",
      i % 2 === 0 ? {} : { name: `branch ${name.replaceAll("/", "")}` }
    )
  })
  const targets = Object.fromEntries(keys.map((key, i) => [key, i % 2 === 0 ? StateGraph.END : "plan"]))
  return flows.addEdge("join", "after").addConditionalEdges("after", () => "", targets).compile()
}
