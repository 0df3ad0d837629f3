/**
 * State in, typed state out: a graph of Effect nodes whose parallel flows cannot hang, leak or lie.
 *
 * A node is `State -> Effect<Update, E, R>`, a graph is `Input -> Effect<State, E, R>`.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Pipeable from "effect/Pipeable"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as CircuitBreakerRegistry from "./CircuitBreakerRegistry.ts"
import type { Rule } from "./Completion.ts"
import type { Diagram } from "./Diagram.ts"
import type * as FlowCallbacks from "./FlowCallbacks.ts"
import type { CallbackError, GraphValidationError, RunError } from "./GraphError.ts"
import type { GraphEvent } from "./GraphEvent.ts"
import { begin } from "./internal/builder.ts"
import { END as END_, START as START_ } from "./internal/plan.ts"
import type { FanInContext, NodeContext } from "./NodeContext.ts"
import type * as ParallelConfig from "./ParallelConfig.ts"

export {
  /**
   * The context of the node that is running, for helpers deep in the stack.
   *
   * @category references
   * @since 0.1.0
   */
  CurrentNode
} from "./NodeContext.ts"
export type { FanInContext, NodeContext } from "./NodeContext.ts"

/**
 * Where every run begins: use it as the `from` of an edge.
 *
 * @category constants
 * @since 0.1.0
 */
export const START = START_

/**
 * The type of {@link START}.
 *
 * @category constants
 * @since 0.1.0
 */
export type START = typeof START_

/**
 * Where a line ends: use it as the `to` of an edge.
 *
 * @category constants
 * @since 0.1.0
 */
export const END = END_

/**
 * The type of {@link END}.
 *
 * @category constants
 * @since 0.1.0
 */
export type END = typeof END_

/**
 * What a node returns: the keys of the state that it changes. `undefined` unsets an optional key.
 *
 * @category models
 * @since 0.1.0
 */
export type Update<S> = { readonly [K in keyof S]?: S[K] }

/**
 * What a node's function may return: an update, nothing, or an Effect of one of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Returned<S> = Update<S> | void | undefined | Effect.Effect<Update<S> | void | undefined, unknown, unknown>

/**
 * The typed errors of what a node returns.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ErrorOf<Ret> = Ret extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

/**
 * The services that what a node returns needs.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ServicesOf<Ret> = Ret extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

type SuccessOf<Ret> = Ret extends Effect.Effect<infer A, infer _E, infer _R> ? A : Ret
type UnknownKeys<S, A> = A extends object ? Exclude<keyof A, keyof S> : never

/**
 * `unknown` when an update has keys of the state only, else a type that names the others.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Exact<S, Ret> = [UnknownKeys<S, SuccessOf<Ret>>] extends [never] ? unknown
  : { readonly "~error": `update has keys that are not in the state: ${UnknownKeys<S, SuccessOf<Ret>> & string}` }

/**
 * `unknown` when a node's name is free, else a type that says it is taken.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Fresh<Name extends string, Taken extends string> = string extends Name ? unknown
  : Name extends Taken | START | END ? { readonly "~error": `node name is already taken: ${Name}` }
  : unknown

/**
 * What the builder knows of a node: its name, its typed errors, and the services it needs.
 *
 * @category type-level
 * @since 0.1.0
 */
export interface Node<out Name extends string, out E, out R> {
  readonly name: Name
  readonly E: E
  readonly R: R
}

/**
 * A node of any kind.
 *
 * @category type-level
 * @since 0.1.0
 */
export type AnyNode = Node<string, unknown, unknown>

/**
 * The errors of those nodes that the main line runs: errors of nodes that run only in flows are captured in results.
 *
 * @category type-level
 * @since 0.1.0
 */
export type MainError<N extends AnyNode, Main extends string> = N extends AnyNode
  ? string extends N["name"] ? N["E"] : string extends Main ? N["E"] : N["name"] extends Main ? N["E"] : never
  : never

/**
 * The config of a parallel edge: a `ParallelConfig`, and the branch's `name` (default: the node it starts at).
 *
 * @category models
 * @since 0.1.0
 */
export interface EdgeConfig extends ParallelConfig.Input {
  readonly name?: string | undefined
}

/**
 * Options of a fan-in node.
 *
 * @category models
 * @since 0.1.0
 */
export interface FanInOptions {
  /** When it has enough. Default: `"all"`. */
  readonly completion?: Rule | undefined
}

/**
 * Options of {@link make}.
 *
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions<S = unknown, Progress extends Schema.Top | undefined = Schema.Top | undefined> {
  /** The graph's default config of its flows. */
  readonly parallel?: ParallelConfig.Input | undefined
  /** Of the values that nodes give to `ctx.emit`; without it they may be anything. */
  readonly progress?: Progress | undefined
  /**
   * How a fan-in without a function puts together what its successful flows set, by key: `reduce(current, update)`, first with
   * the state's own value, then flow by flow in order. A key that is unset takes the first value as it is.
   */
  readonly reducers?: Reducers<S> | undefined
}

/**
 * Functions by key of the state.
 *
 * @category models
 * @since 0.1.0
 */
export type Reducers<S> = {
  readonly [K in keyof S]?: (current: Required<S>[K], update: Required<S>[K]) => Required<S>[K]
}

/**
 * The progress values of a graph made with the schema `Progress`, or without one.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ProgressOf<Progress> = Progress extends Schema.Top ? Progress["Type"] : unknown

/**
 * Options of `compile`. Callbacks may need services `R` and raise `E`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompileOptions<out R = never, out E = never> {
  /** Merged over the config given to {@link make}. */
  readonly parallel?: ParallelConfig.Input | undefined
  /** Nodes that one line of execution, the main line or one flow attempt, may run. Default: 1000. */
  readonly maxSteps?: number | "unbounded" | undefined
  /** Watch every run. */
  readonly callbacks?: FlowCallbacks.Given<R, E> | undefined
}

/**
 * Options of one run. Callbacks may need services `R` and raise `E`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<out R = never, out E = never> {
  /** Default: a random id. */
  readonly runId?: string | undefined
  /** Merged over the graph's config, below that of its edges. */
  readonly parallel?: ParallelConfig.Input | undefined
  /** Watch this run, beside those of `compile` and of layers. */
  readonly callbacks?: FlowCallbacks.Given<R, E> | undefined
}

/**
 * The services that the callbacks in options `O` need.
 *
 * @category type-level
 * @since 0.1.0
 */
export type CallbackServices<O> = "callbacks" extends keyof O ? FlowCallbacks.Services<O["callbacks"]> : never

/**
 * The errors that the callbacks in options `O` can fail a run with.
 *
 * @category type-level
 * @since 0.1.0
 */
export type CallbackErrors<O> = "callbacks" extends keyof O ? FlowCallbacks.Raised<O["callbacks"]> : never

/**
 * An immutable builder: adding to it returns a new one and leaves the old one as it was.
 *
 * **Details**
 *
 * `S` is the state, `In` the input, `N` the nodes added so far, `Main` the names that the main line reaches, `E2` and `R2`
 * the errors and services of conditions, `P` the progress values.
 *
 * @category models
 * @since 0.1.0
 */
export interface StateGraph<
  in out S,
  in out In,
  in out N extends AnyNode = never,
  in out Main extends string = never,
  out E2 = never,
  out R2 = never,
  in out P = unknown
> extends Pipeable.Pipeable {
  readonly name: string

  /**
   * Adds a node. `run(state, ctx)` returns an update, or an Effect of one; without `run` the node changes nothing.
   */
  addNode<const Name extends string>(
    name: Name & Fresh<Name, N["name"]>
  ): StateGraph<S, In, N | Node<Name, never, never>, Main, E2, R2, P>
  addNode<const Name extends string, Ret extends Returned<S>>(
    name: Name & Fresh<Name, N["name"]>,
    run: (state: S, ctx: NodeContext<undefined, P>) => Ret & Exact<S, Ret>
  ): StateGraph<S, In, N | Node<Name, ErrorOf<Ret>, ServicesOf<Ret>>, Main, E2, R2, P>

  /**
   * Adds a node that joins flows: `ctx.parallelResults` holds their results in declaration order. Add it after the nodes
   * of its flows, so that the results' type knows their errors. Without `run` it puts what the successful flows set into the
   * state: with the key's reducer (`make`), or as it is; two flows that set a key without one are a `MergeConflictError`.
   */
  addFanInNode<const Name extends string>(
    name: Name & Fresh<Name, N["name"]>,
    run?: undefined,
    options?: FanInOptions
  ): StateGraph<S, In, N | Node<Name, never, never>, Main | Name, E2, R2, P>
  addFanInNode<const Name extends string, Ret extends Returned<S>>(
    name: Name & Fresh<Name, N["name"]>,
    run: (state: S, ctx: FanInContext<S, N["E"], P>) => Ret & Exact<S, Ret>,
    options?: FanInOptions
  ): StateGraph<S, In, N | Node<Name, ErrorOf<Ret>, ServicesOf<Ret>>, Main | Name, E2, R2, P>

  /** The one way on from a node. */
  addEdge<To extends N["name"] | END>(
    from: N["name"] | START,
    to: To
  ): StateGraph<S, In, N, Main | Exclude<To, END>, E2, R2, P>

  /** The way on from a node, decided by the state: `decide` answers with a key of `targets`. */
  addConditionalEdges<
    const T extends { readonly [key: string]: N["name"] | END },
    Ret extends (keyof T & string) | Effect.Effect<keyof T & string, unknown, unknown>
  >(
    from: N["name"] | START,
    decide: (state: S, ctx: NodeContext<undefined, P>) => Ret,
    targets: T
  ): StateGraph<S, In, N, Main | Exclude<T[keyof T], END>, E2 | ErrorOf<Ret>, R2 | ServicesOf<Ret>, P>

  /** Starts a flow at `to` when `from` completes; it is joined at `fanIn`. */
  addParallelEdge(
    from: N["name"] | START,
    to: N["name"],
    fanIn: N["name"],
    config?: EdgeConfig
  ): StateGraph<S, In, N, Main, E2, R2, P>

  /** `addEdge(START, to)`. */
  setEntryPoint<To extends N["name"]>(to: To): StateGraph<S, In, N, Main | To, E2, R2, P>

  /** `addEdge(from, END)`. */
  setFinishPoint(from: N["name"]): StateGraph<S, In, N, Main, E2, R2, P>

  /** Validates the graph; throws `GraphValidationError` with all problems. */
  compile<const O extends CompileOptions<unknown, CallbackError> = {}>(
    options?: O
  ): CompiledGraph<
    S,
    In,
    E2 | MainError<N, Main> | CallbackErrors<O>,
    Exclude<R2 | N["R"], Scope.Scope> | CallbackServices<O>,
    P
  >

  /** The same, with the error as a value. */
  compileResult<const O extends CompileOptions<unknown, CallbackError> = {}>(
    options?: O
  ): Result.Result<
    CompiledGraph<
      S,
      In,
      E2 | MainError<N, Main> | CallbackErrors<O>,
      Exclude<R2 | N["R"], Scope.Scope> | CallbackServices<O>,
      P
    >,
    GraphValidationError
  >
}

/**
 * A validated graph that can be run any number of times, also concurrently.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompiledGraph<in out S, in In, out E, out R, out P = unknown> extends Pipeable.Pipeable {
  readonly name: string

  /**
   * Runs the graph to its final state.
   *
   * **Details**
   *
   * Interrupting it interrupts every flow and awaits their finalizers, each for at most `grace`.
   */
  readonly invoke: <const O extends RunOptions<unknown, CallbackError> = {}>(
    input: In,
    options?: O
  ) => Effect.Effect<S, E | RunError | CallbackErrors<O>, R | CallbackServices<O>>

  /**
   * The same run, with its events handed out. It ends after `GraphCompleted`; on failure it emits `GraphFailed`, then
   * fails. Dropping the stream interrupts the run. A slow consumer never slows the run.
   */
  readonly stream: <const O extends RunOptions<unknown, CallbackError> = {}>(
    input: In,
    options?: O
  ) => Stream.Stream<GraphEvent<S, E, P>, E | RunError | CallbackErrors<O>, R | CallbackServices<O>>

  /**
   * Resets the circuit of one branch, or all circuits that this graph uses. A branch without a circuit is a no-op.
   */
  readonly resetCircuit: (branch?: string) => Effect.Effect<void>

  /** Snapshots of all circuits that this graph uses, one per key. */
  readonly circuitStates: Effect.Effect<ReadonlyArray<CircuitBreakerRegistry.Snapshot>>

  /** The graph as data, for diagrams and timelines. */
  readonly diagram: Diagram

  /** The graph as a Mermaid flowchart: `Diagram.toMermaid` of its `diagram`. */
  readonly toMermaid: () => string

  /** The graph in the DOT language of Graphviz: `Diagram.toDot` of its `diagram`. */
  readonly toDot: () => string
}

/**
 * An empty graph over a state schema.
 *
 * **When to use**
 *
 * Start here: add nodes, connect them, `compile`, and `invoke`.
 *
 * **Details**
 *
 * `schema` is a `Schema.Struct` (or its fields). Its constructor checks the input of every run and fills its defaults.
 * Throws `InvalidConfigError` when `options` are out of range.
 *
 * **Gotchas**
 *
 * A `Schema.Class` is refused: an update would lose its prototype.
 *
 * **Example** (Two flows, joined)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 *
 * const State = Schema.Struct({ n: Schema.Number, total: Schema.optionalKey(Schema.Number) })
 *
 * const graph = StateGraph.make("sum", State)
 *   .addNode("double", (state) => ({ n: state.n * 2 }))
 *   .addNode("square", (state) => Effect.succeed({ n: state.n * state.n }))
 *   .addFanInNode("add", (_state, { parallelResults }) => ({
 *     total: parallelResults.reduce((sum, r) => sum + (r.success ? r.state.n : 0), 0)
 *   }))
 *   .addParallelEdge(StateGraph.START, "double", "add")
 *   .addParallelEdge(StateGraph.START, "square", "add")
 *   .setFinishPoint("add")
 *   .compile()
 *
 * await Effect.runPromise(graph.invoke({ n: 3 })) // => { n: 3, total: 15 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const F extends Schema.Struct.Fields, Progress extends Schema.Top | undefined = undefined>(
  name: string,
  schema: F | Schema.Struct<F>,
  options?: MakeOptions<Schema.Struct<F>["Type"], Progress>
): StateGraph<
  Schema.Struct<F>["Type"],
  Schema.Struct<F>["~type.make.in"],
  never,
  never,
  never,
  never,
  ProgressOf<Progress>
> => begin(name, schema, options) as never
