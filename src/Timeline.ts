/**
 * A run as a picture: its events as one HTML page that needs nothing else.
 *
 * @since 0.1.0
 */
import type { Diagram } from "./Diagram.ts"
import type * as GraphEvent from "./GraphEvent.ts"
import { drawGraph } from "./internal/timelineGraph.ts"
import { nested } from "./internal/timelineLaunches.ts"
import { modelOf } from "./internal/timelineModel.ts"
import { renderPage } from "./internal/timelinePage.ts"
import { ofEvents } from "./internal/timelineSeen.ts"
import { ofDiagram } from "./internal/timelineShape.ts"

/**
 * Options of {@link fromEvents}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The title of the page. Default: the names of the graphs. */
  readonly title?: string | undefined
  /**
   * What to draw on top: `graph.diagram`. It also tells how long flows waited to start. Default: what the events show of
   * the graph. It stands for the graph of its name.
   */
  readonly diagram?: Diagram | undefined
}

/**
 * Turns the events of one or several runs into one HTML page.
 *
 * **When to use**
 *
 * To see why a run took as long as it did: which flow was slow, which one failed or was not asked at all, and what
 * everybody waited for meanwhile. Collect the events of `graph.stream`, write the page to a file, open it.
 *
 * **Details**
 *
 * On top stands the graph. Below it, each run has a summary in a sentence or two, one lane for its main line and one for
 * each flow, and the table of its results. A lane shows, to scale, attempts, waits, limits, refusals by a circuit or a limit,
 * fallbacks and abandoned work, and under them the state of the flow's circuit. Attempts of a node with a policy of its own
 * are thin marks inside of what they belong to. All runs share one scale, and circuits keep their state from one run to the
 * next. Arrow keys move between the parts of the lanes, Enter shows the details of one.
 *
 * A run that waits for somebody says so before anything else, and its lanes name the questions. One that was resumed has a
 * section for each part; checkpoints are dots above its main line.
 *
 * The page loads nothing and sends nothing: styles and script are in it, and its content security policy allows no other.
 * It follows the light or dark scheme of its reader. Whatever comes from a run is text in it. States and updates are not
 * in it; names, the keys of items, error messages and circuit keys are.
 *
 * Events may be cut off at either end: what has not ended is drawn as open. They may have been stored as JSON in between.
 * The order of runs is that of their starts.
 *
 * **Example** (The timeline of a run)
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { StateGraph, Timeline } from "effect-stategraph"
 *
 * const graph = StateGraph.make("search", Schema.Struct({ hits: Schema.Number }))
 *   .addNode("web", () => ({ hits: 2 }))
 *   .addNode("cache", () => Effect.fail(new RangeError("no entry <1>")))
 *   .addFanInNode("merge", (_state, { parallelResults }) => ({ hits: parallelResults.length }))
 *   .addParallelEdge(StateGraph.START, "web", "merge")
 *   .addParallelEdge(StateGraph.START, "cache", "merge")
 *   .setFinishPoint("merge")
 *   .compile()
 *
 * const events = await Effect.runPromise(Stream.runCollect(graph.stream({ hits: 0 })))
 * const page = Timeline.fromEvents(events, { title: "One search", diagram: graph.diagram })
 *
 * page.startsWith("<!doctype html>") // => true
 * page.includes("no entry &lt;1&gt;") // => true
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const fromEvents = (events: Iterable<GraphEvent.Any>, options?: Options): string => {
  const all = [...events]
  const { diagram, title } = options ?? {}
  const { runs, ...model } = modelOf(all, diagram)
  const diagrams = diagram === undefined ? [] : nested(diagram)
  const declared = new Set(diagrams.map(([{ name }]) => name))
  const seen = new Set(all.map(({ graph }) => graph))
  const runsOf = (name: string) => runs.filter(({ graph, inner }) => graph === name || inner.has(name))
  const drawn = [
    ...diagrams.map(([diagram, path]) => ({ ...diagram, shape: ofDiagram(diagram, path), path })),
    ...[...seen].filter((name) => !declared.has(name)).map((name) => ({ name, shape: ofEvents(all, name), path: "" }))
  ]
  const graphs = drawn.map(({ name, path, shape }, id) => {
    const caption = path !== "" ? `${path.slice(0, -1)} is graph ${name}` : drawn.length > 1 ? name : undefined
    return drawGraph(shape, runsOf(name), name, id, caption)
  })
  const names = new Set([...diagram === undefined ? [] : [diagram.name], ...runs.map(({ graph }) => graph)])
  return renderPage({
    title: title ?? ["Timeline", [...names].join(", ")].filter((part) => part !== "").join(" of "),
    model: { runs, ...model },
    graphs
  })
}
