/**
 * Faults in the nodes of any graph, from a seed, without touching the graph.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { InvalidConfigError } from "../GraphError.ts"
import { CurrentInterceptor, type Interceptor } from "../internal/interception.ts"
import { faultOf, type Faults, read } from "./internal/faults.ts"

/**
 * One execution of a node, which may get a fault.
 *
 * **Details**
 *
 * `node` is named as events name it: `outer/inner` in a graph that is a node. `branch` is absent on the main line; `attempt`, `item`
 * and `index` are those that the node is told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Execution {
  readonly graph: string
  readonly node: string
  readonly branch: string | undefined
  readonly attempt: number
  readonly item: unknown
  readonly index: number | undefined
}

/**
 * Which faults, how often, and where.
 *
 * **Details**
 *
 * `failure`, `defect` and `hang` are the shares of executions, from 0 to 1, that end with that fault instead of running the node;
 * together at most 1. An execution has one of them at most.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The same seed, the same faults. */
  readonly seed: number | string
  /** Of executions that fail with a {@link ChaosError}. Default: 0. */
  readonly failure?: number | undefined
  /** Of executions that die of a {@link ChaosError}. Default: 0. */
  readonly defect?: number | undefined
  /** Of executions that never end by themselves; they can be interrupted. Default: 0. */
  readonly hang?: number | undefined
  /**
   * How long every execution waits before it does anything: always the same, or whole milliseconds from `min` (default 0) to
   * `max`, each as likely as the other. Default: not at all.
   */
  readonly latency?: Duration.Input | { readonly min?: Duration.Input; readonly max: Duration.Input } | undefined
  /** Which nodes: their names, as events name them, or a predicate. Default: all that have a function. */
  readonly nodes?: ReadonlyArray<string> | ((execution: Execution) => boolean) | undefined
}

/**
 * What an injected fault fails, or dies, with.
 *
 * **Gotchas**
 *
 * It is outside of the graph's `E`: no type tells of it, `catchTag` of a typed graph does not know its tag, and a `failure` in a
 * result can be one. `Effect.catch` catches it, `retryOn` and `isFailure` see it like any other error.
 *
 * @category errors
 * @since 0.1.0
 */
export class ChaosError extends Schema.TaggedError<ChaosError>()("ChaosError", {
  kind: Schema.Literals(["failure", "defect"]),
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  attempt: Schema.Int
}) {
  override get message(): string {
    const where = this.branch === undefined ? "" : ` in flow "${this.branch}"`
    return `chaos: a ${this.kind} in attempt ${this.attempt} of node "${this.node}"${where}`
  }
}

/**
 * Injects faults into the nodes of every graph that runs with it.
 *
 * **When to use**
 *
 * To see that what is around the nodes holds: retries, limits, circuits, fallbacks, completion rules. Let one test run many seeds,
 * and print the seed of a run that goes wrong.
 *
 * **Details**
 *
 * Whether an execution gets a fault is decided by hashing the seed with what tells that execution from all others of its run:
 * branch, node, visit, and the attempts of everything around it. So it does not depend on what runs beside it, in which order, or
 * how fast; and a retry is another execution, with other luck. Nodes of graphs that are nodes get faults too, and so does the node
 * that such a graph is. Conditions, the items of maps, and nodes without a function get none.
 *
 * Building it fails with an `InvalidConfigError` when an option is out of range. Within another layer of its kind both inject: the
 * outer one first.
 *
 * **Gotchas**
 *
 * Two runs of one graph with one seed get the same faults, and so does a run that is resumed: give each a seed of its own where that
 * is not wanted. Layers side by side, `Effect.provide([a, b])`, do not see each other: the last one counts alone. Nest them.
 *
 * **Example** (Every third call fails)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { ParallelFlowResult, StateGraph } from "effect-stategraph"
 * import { Chaos } from "effect-stategraph/testing"
 *
 * const graph = StateGraph.make("search", Schema.Struct({ found: Schema.Number }))
 *   .addNode("ask", (_state, { index }) => ({ found: index ?? 0 }))
 *   .addFanInNode("count", (_state, { parallelResults }) => ({
 *     found: ParallelFlowResult.successes(parallelResults).length
 *   }))
 *   .addParallelMap(StateGraph.START, "ask", "count", { items: () => Array.from({ length: 300 }, (_, i) => i) })
 *   .setFinishPoint("count")
 *   .compile()
 *
 * const chaos = Chaos.layer({ seed: 1, failure: 1 / 3, nodes: ["ask"] })
 * const { found } = await Effect.runPromise(graph.invoke({ found: 0 }).pipe(Effect.provide(chaos)))
 *
 * found > 150 && found < 250 // => true
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, InvalidConfigError> =>
  // What it builds depends on what is around it.
  Layer.fresh(
    Layer.effect(
      CurrentInterceptor,
      Effect.zipWith(CurrentInterceptor, Effect.fromResult(read(options)), (outer, faults) => {
        const own = interceptor(faults)
        return outer === undefined ? own : within(outer, own)
      })
    )
  )

const within = (outer: Interceptor, own: Interceptor): Interceptor => (execution, run) =>
  outer(execution, () => own(execution, run))

const interceptor = (faults: Faults): Interceptor => ({ ctx, key, node }, run) => {
  const { attempt, branch, graph, index, item } = ctx
  if (!faults.hits({ graph, node, branch, attempt, item, index })) return run()
  const { delayMs, kind } = faultOf(faults, key)
  const act = (): unknown => {
    if (kind === undefined) return run()
    if (kind === "hang") return Effect.never
    const error = new ChaosError({ kind, node, ...branch === undefined ? {} : { branch }, attempt })
    return kind === "failure" ? Effect.fail(error) : Effect.die(error)
  }
  return delayMs === 0 ? act() : Effect.delay(Effect.suspend(() => asEffect(act())), delayMs)
}

const asEffect = (returned: unknown): Effect.Effect<unknown, unknown> =>
  Effect.isEffect(returned) ? returned as Effect.Effect<unknown, unknown> : Effect.succeed(returned)
