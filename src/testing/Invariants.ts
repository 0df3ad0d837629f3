/**
 * What holds for every run, whatever its graph does and whatever goes wrong in it.
 *
 * @since 0.1.0
 */
import type { Diagram } from "../Diagram.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import { compiledOf } from "../internal/builder.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import { attemptsInOrder } from "./internal/attemptsInOrder.ts"
import { circuitsHeld } from "./internal/circuitsHeld.ts"
import { type Facts, ofConfig, ofGraph } from "./internal/graphFacts.ts"
import { joins } from "./internal/joins.ts"
import { placesHeld } from "./internal/placesHeld.ts"
import { type RunEvents, runsOf } from "./internal/runEvents.ts"
import { soundResult } from "./internal/soundResult.ts"
import { startsAndEnds } from "./internal/startsAndEnds.ts"

/**
 * What is known of the runs beside their events.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Their graph: then order, attempts, concurrency and circuits are checked against what it says. */
  readonly graph?: { readonly name: string; readonly diagram: Diagram } | undefined
  /**
   * The config of the runs, as their option `parallel`, or that of a layer around them. Without a `graph` it counts as the whole
   * config of every flow.
   */
  readonly config?: ParallelConfig.Input | undefined
  /** Each of them went on with what had been saved, so not everything that ends in it begins in it. Default: false. */
  readonly resumed?: boolean | undefined
  /** Somebody else moves the circuits meanwhile: other runs, or a `reset` by hand. Default: false. */
  readonly sharedCircuits?: boolean | undefined
}

/**
 * What is wrong with the events of runs, in words; nothing when all is as it has to be.
 *
 * **When to use**
 *
 * At the end of a test with random faults, where nobody knows what has to come out: whatever that is, these have to hold.
 *
 * **Details**
 *
 * It takes all events of one or more runs, from their starts to their ends, in the order in which they happened. An id that starts
 * again is a run that was resumed.
 *
 * - Every start has exactly one end, and nothing happens outside of what it is part of.
 * - Every result is sound: its tag, its times and its counts fit together.
 * - A fan-in joins each of its flows exactly once; with a `graph`, in declared order.
 * - Attempts are numbered one after the other and do not overlap; with a `graph` or a `config`, there are no more than the policy allows.
 * - No attempt begins while its circuit is OPEN, and circuits go from the state in which they are; with a `graph` or a `config`, there
 *   are no more probes than allowed.
 * - With a `graph`, no more flows of a fan-out are attempted at a time than `concurrency` allows.
 *
 * Throws an `InvalidConfigError` when `config` is none.
 *
 * **Gotchas**
 *
 * Layers with a config are not known: give what they say as `config`. Where a line launches flows again that it has not joined yet, two
 * flows have one name, and what is found then means nothing.
 *
 * **Example** (Whatever the faults are)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 * import { Chaos, Invariants, Recorder, VirtualTime } from "effect-stategraph/testing"
 *
 * const graph = StateGraph.make("crawl", Schema.Struct({}))
 *   .addNode("load", () => {})
 *   .addFanInNode("join")
 *   .addParallelMap(StateGraph.START, "load", "join", {
 *     items: () => [1, 2, 3, 4, 5],
 *     concurrency: 2,
 *     timeout: "1 second",
 *     retry: { maxRetries: 2 },
 *     circuitBreaker: { failureThreshold: 3 }
 *   })
 *   .setFinishPoint("join")
 *   .compile()
 *
 * const run = (seed: number) => {
 *   const chaos = Chaos.layer({ seed, failure: 0.2, hang: 0.2, latency: { max: "2 seconds" }, nodes: ["load"] })
 *   return VirtualTime.runToEnd(Recorder.record(graph, {})).pipe(Effect.provide(chaos), Effect.flatMap(({ exit }) => exit))
 * }
 *
 * const { events } = await Effect.runPromise(run(7))
 * Invariants.check(events, { graph }) // => []
 * ```
 *
 * @category checking
 * @since 0.1.0
 */
export const check = <S, E, P>(
  events: Iterable<GraphEvent.GraphEvent<S, E, P>>,
  options: Options = {}
): ReadonlyArray<string> => {
  const all = [...events] as unknown as ReadonlyArray<GraphEvent.Any>
  const runs = runsOf(all, options.resumed === true)
  const facts = factsOf(options)
  const found = runs.flatMap((run) => {
    const ofRun = checkRun(run, facts)
    return runs.length === 1 ? ofRun : ofRun.map((what) => `run ${run.runId}: ${what}`)
  })
  if (runs.length === 0) found.push("there are no events")
  return options.sharedCircuits === true ? found : [...found, ...circuitsHeld(all, runs, facts)]
}

const checkRun = (run: RunEvents, facts: Facts | undefined): ReadonlyArray<string> => [
  ...startsAndEnds(run.events),
  ...run.events.flatMap((event) => event._tag === "FlowCompleted" ? soundResult(event.result) : []),
  ...joins(run, facts),
  ...attemptsInOrder(run, facts),
  ...placesHeld(run, facts)
]

const factsOf = ({ config, graph }: Options): Facts | undefined => {
  const given = config === undefined ? ParallelConfig.empty : ParallelConfig.make(config)
  if (graph !== undefined) return ofGraph(compiledOf(graph).plan, given)
  return config === undefined ? undefined : ofConfig(ParallelConfig.resolve(given))
}

/**
 * What is wrong with the result of a flow, in words.
 *
 * @category checking
 * @since 0.1.0
 */
export const checkResult = (result: AnyResult): ReadonlyArray<string> => soundResult(result)
