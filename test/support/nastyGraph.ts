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

/** A graph with all of them as nodes, labels and branches. */
export const nastyGraph = (names: ReadonlyArray<string> = nastyNames) => {
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
  const keys = Object.fromEntries(names.map((name, i) => [`key ${name}`, i % 2 === 0 ? StateGraph.END : "plan"]))
  return flows.addEdge("join", "after").addConditionalEdges("after", () => "", keys).compile()
}
