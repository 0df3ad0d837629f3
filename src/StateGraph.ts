/**
 * State in, typed state out: a graph of Effect nodes whose parallel flows cannot hang, leak or lie.
 *
 * A node is `State -> Effect<Update, E, R>`, a graph is `Input -> Effect<State, E, R>`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Pipeable from "effect/Pipeable"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Bulkhead from "./Bulkhead.ts"
import type * as Checkpointer from "./Checkpointer.ts"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "./CircuitBreakerRegistry.ts"
import type { Diagram } from "./Diagram.ts"
import type { CallbackError, CheckpointError, GraphSuspended, GraphValidationError, RunError } from "./GraphError.ts"
import type { GraphEvent } from "./GraphEvent.ts"
import type {
  CallbackErrors,
  CallbackServices,
  CompileOptions,
  Durable,
  EdgeConfig,
  EdgeFallback,
  ErrorOf,
  FanInOptions,
  Items,
  ItemsError,
  ItemsServices,
  MakeOptions,
  MapOptions,
  NodePolicy,
  PolicyErrors,
  ProgressOf,
  ResumeOptions,
  RunOptions,
  ServicesOf,
  SuspendOptions,
  ThreadOptions
} from "./GraphOptions.ts"
import { begin } from "./internal/builder.ts"
import { END as END_, START as START_ } from "./internal/plan.ts"
import { suspend as suspend_ } from "./internal/suspend.ts"
import type { FanInContext, NodeContext } from "./NodeContext.ts"

export {
  /**
   * The context of the node that is running, for helpers deep in the stack.
   *
   * @category references
   * @since 0.1.0
   */
  CurrentNode
} from "./NodeContext.ts"
/**
 * The options of a graph, of its nodes and edges, and of its runs.
 */
export type {
  CallbackErrors,
  CallbackServices,
  CompileOptions,
  Durability,
  Durable,
  EdgeConfig,
  EdgeFallback,
  ErrorOf,
  FanInOptions,
  Items,
  ItemsError,
  ItemsServices,
  MakeOptions,
  MapOptions,
  NodePolicy,
  Patch,
  PolicyErrors,
  ProgressOf,
  Reducers,
  ResumeOptions,
  RunOptions,
  ServicesOf,
  SuspendOptions,
  ThreadOptions
} from "./GraphOptions.ts"
/**
 * What nodes are told beside the state.
 */
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
 * What the builder knows of a node: its name, its typed errors, the services it needs, and the items it is for.
 *
 * @category type-level
 * @since 0.1.0
 */
export interface Node<out Name extends string, out E, out R, out Item = unknown> {
  readonly name: Name
  readonly E: E
  readonly R: R
  readonly item: Item
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
 * The errors of a node that another one can stand in for: those of that one, and none when its fallback is an update.
 *
 * @category type-level
 * @since 0.1.0
 */
export type NodeError<N extends AnyNode, E, Fallback> = Fallback extends undefined ? E
  : Fallback extends string ? Extract<N, { readonly name: Fallback }>["E"]
  : never

/**
 * The items that a node is for.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ItemOf<N extends AnyNode, Name extends string> = Extract<N, { readonly name: Name }>["item"]

/**
 * A marker among the services of a node: it may ask somebody with {@link suspend}. `compile` takes it away.
 *
 * @category type-level
 * @since 0.1.0
 */
export interface Suspends {
  readonly "~effect-stategraph/Suspends": unique symbol
}

/**
 * `GraphSuspended` for a graph that can wait for somebody.
 *
 * @category type-level
 * @since 0.1.0
 */
export type SuspendedOf<O, R> = [Extract<keyof O, "suspendBefore" | "suspendAfter"> | Extract<R, Suspends>] extends
  [never] ? never
  : GraphSuspended

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
   * Adds a node. `run(state, ctx)` returns an update, or an Effect of one; without `run` the node changes nothing. With a
   * `policy` it is executed in attempts of its own.
   */
  addNode<const Name extends string>(
    name: Name & Fresh<Name, N["name"]>
  ): StateGraph<S, In, N | Node<Name, never, never>, Main, E2, R2, P>
  addNode<
    const Name extends string,
    Ret extends Returned<S>,
    Item extends Schema.Top = Schema.Unknown,
    Timeout extends Duration.Input | undefined = undefined,
    Circuit extends CircuitBreaker.Input | false | undefined = undefined,
    Limit extends Bulkhead.Input | false | undefined = undefined,
    const Fallback extends N["name"] | Update<S> | undefined = undefined
  >(
    name: Name & Fresh<Name, N["name"]>,
    run: (state: S, ctx: NodeContext<Item["Type"], P>) => Ret & Exact<S, Ret>,
    policy?: NodePolicy<Item, Timeout, Circuit, Limit, Fallback & Exact<S, Fallback>>
  ): StateGraph<
    S,
    In,
    | N
    | Node<
      Name,
      NodeError<N, ErrorOf<Ret> | PolicyErrors<Timeout, Circuit, Limit>, Fallback>,
      ServicesOf<Ret>,
      Item["Type"]
    >,
    Main,
    E2,
    R2,
    P
  >

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

  /**
   * Adds a compiled graph as a node.
   *
   * **Details**
   *
   * `input(state)` is what it is invoked with, `output(result, state)` the update that its final state means. It runs with its
   * own configuration and circuits; its events are part of this graph's stream, its branches and nodes under this node's name
   * (`name/branch`), its spans under this node's span; its callbacks of `compile` are called too. What it fails with this node
   * fails with. The steps of its main line count on the line that runs it. The rest of `options` is a policy, as of any node.
   */
  addSubgraph<
    const Name extends string,
    S3,
    In3,
    E3,
    R3,
    P3,
    I3,
    Ret extends Update<S>,
    Timeout extends Duration.Input | undefined = undefined,
    Circuit extends CircuitBreaker.Input | false | undefined = undefined,
    Limit extends Bulkhead.Input | false | undefined = undefined,
    const Fallback extends N["name"] | Update<S> | undefined = undefined
  >(
    name: Name & Fresh<Name, N["name"]>,
    graph: CompiledGraph<S3, In3, E3, R3, P3, I3>,
    options: Omit<NodePolicy<Schema.Unknown, Timeout, Circuit, Limit, Fallback & Exact<S, Fallback>>, "item"> & {
      readonly input: (state: S) => In3
      readonly output: (result: S3, state: S) => Ret & Exact<S, Ret>
    }
  ): StateGraph<
    S,
    In,
    | N
    | Node<
      Name,
      NodeError<N, E3 | RunError | PolicyErrors<Timeout, Circuit, Limit>, Fallback>,
      R3 | ([I3] extends [never] ? never : Suspends)
    >,
    Main,
    E2,
    R2,
    P
  >

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
    decide: (state: S, ctx: NodeContext<unknown, P>) => Ret,
    targets: T
  ): StateGraph<S, In, N, Main | Exclude<T[keyof T], END>, E2 | ErrorOf<Ret>, R2 | ServicesOf<Ret>, P>

  /** Starts a flow at `to` when `from` completes; it is joined at `fanIn`. */
  addParallelEdge<const Fallback extends Update<S> = {}>(
    from: N["name"] | START,
    to: N["name"],
    fanIn: N["name"],
    config?: EdgeConfig & EdgeFallback<N["name"], Fallback & Exact<S, Fallback>>
  ): StateGraph<S, In, N, Main, E2, R2, P>

  /**
   * Starts one flow per item at `to` when `from` completes; all of them are joined at `fanIn`.
   *
   * **Details**
   *
   * `items(state)` gives a list, another iterable, an Effect of one, or a Stream; the nodes of a flow read `ctx.item` and
   * `ctx.index`. Flows are named `to[key]`, by default `to[index]`; with `concurrency` items are taken as places become free.
   * Results are in the order of the items. The flows of a map share one circuit, unless `circuitBreaker.key` is a function of
   * the item. An empty input runs the fan-in with no results. What `items` fails with fails the line; two items with one key are
   * a `DuplicateKeyError`, before any flow of a list has started.
   */
  addParallelMap<To extends N["name"], Ret extends Items<ItemOf<N, To>>, const Fallback extends Update<S> = {}>(
    from: N["name"] | START,
    to: To,
    fanIn: N["name"],
    options: MapOptions<S, ItemOf<N, To>, Ret, P> & EdgeFallback<N["name"], Fallback & Exact<S, Fallback>>
  ): StateGraph<S, In, N, Main, E2 | ItemsError<Ret>, R2 | ItemsServices<Ret>, P>

  /** `addEdge(START, to)`. */
  setEntryPoint<To extends N["name"]>(to: To): StateGraph<S, In, N, Main | To, E2, R2, P>

  /** `addEdge(from, END)`. */
  setFinishPoint(from: N["name"]): StateGraph<S, In, N, Main, E2, R2, P>

  /** Validates the graph; throws `GraphValidationError` with all problems. */
  compile<const O extends CompileOptions<unknown, CallbackError> & SuspendOptions<N["name"]> = {}>(
    options?: O
  ): CompiledGraph<
    S,
    In,
    E2 | MainError<N, Main> | CallbackErrors<O>,
    Exclude<R2 | N["R"], Scope.Scope | Suspends> | CallbackServices<O>,
    P,
    SuspendedOf<O, R2 | N["R"]>
  >

  /** The same, with the error as a value. */
  compileResult<const O extends CompileOptions<unknown, CallbackError> & SuspendOptions<N["name"]> = {}>(
    options?: O
  ): Result.Result<
    CompiledGraph<
      S,
      In,
      E2 | MainError<N, Main> | CallbackErrors<O>,
      Exclude<R2 | N["R"], Scope.Scope | Suspends> | CallbackServices<O>,
      P,
      SuspendedOf<O, R2 | N["R"]>
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
export interface CompiledGraph<in out S, in In, out E, out R, out P = unknown, out I = never>
  extends Pipeable.Pipeable
{
  readonly name: string

  /**
   * Runs the graph to its final state.
   *
   * **Details**
   *
   * Interrupting it interrupts every flow and awaits their finalizers, each for at most `grace`. With a `thread` the run is saved
   * by the `Checkpointer` in its context; a thread whose run has not ended is a `CheckpointError`: `resume` continues it.
   */
  readonly invoke: <const O extends RunOptions<unknown, CallbackError> & ThreadOptions = {}>(
    input: In,
    options?: O
  ) => Effect.Effect<
    S,
    E | I | RunError | CallbackErrors<O> | Durable<O, CheckpointError>,
    R | CallbackServices<O> | Durable<O, Checkpointer.Checkpointer>
  >

  /**
   * The same run, with its events handed out. It ends after `GraphCompleted` or `GraphSuspended`; on failure it emits
   * `GraphFailed`, then fails. Dropping the stream interrupts the run. A slow consumer never slows the run.
   */
  readonly stream: <const O extends RunOptions<unknown, CallbackError> & ThreadOptions = {}>(
    input: In,
    options?: O
  ) => Stream.Stream<
    GraphEvent<S, E, P>,
    E | RunError | CallbackErrors<O> | Durable<O, CheckpointError>,
    R | CallbackServices<O> | Durable<O, Checkpointer.Checkpointer>
  >

  /**
   * Continues the run that was saved under a thread, in this process or another.
   *
   * **Details**
   *
   * What was saved is not run again: settled flows keep their results, and a line goes on after its last completed node. A run that
   * failed goes on with the node, or the flow, that it failed with. A thread that does not exist, has ended, is run by somebody else,
   * or does not fit the graph any more is a `CheckpointError`, and so is an answer that fits no open question or several.
   */
  readonly resume: <const O extends ResumeOptions<S, unknown, CallbackError> = {}>(
    thread: string,
    options?: O
  ) => Effect.Effect<
    S,
    E | I | RunError | CheckpointError | CallbackErrors<O>,
    R | CallbackServices<O> | Checkpointer.Checkpointer
  >

  /** The same, with its events handed out. */
  readonly resumeStream: <const O extends ResumeOptions<S, unknown, CallbackError> = {}>(
    thread: string,
    options?: O
  ) => Stream.Stream<
    GraphEvent<S, E, P>,
    E | RunError | CheckpointError | CallbackErrors<O>,
    R | CallbackServices<O> | Checkpointer.Checkpointer
  >

  /**
   * Resets the circuit of one branch, and of the node of that name, or all circuits that this graph uses. Without a circuit it
   * is a no-op.
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

/**
 * Asks somebody, and waits for as long as it takes: inside of a node.
 *
 * **When to use**
 *
 * For what only a human, or another system, can answer: an approval, a choice, a signature.
 *
 * **Details**
 *
 * Without an answer the node is interrupted and parked; no `catch` or `retry` sees that, and no circuit counts it. When nothing else
 * of the run can go on, the run fails with `GraphSuspended`, whose `pending` holds the question with its `name`, its `payload` (JSON)
 * and the JSON Schema of its answer. `resume(thread, { answers: { [name]: value } })` runs the node again, and then this gives the
 * answer, read by `schema`. An answer is used up when its node completes.
 *
 * **Gotchas**
 *
 * What the node does before it asks is done again after the answer: ask first, or use `ctx.idempotencyKey`. A node may ask
 * several questions, one after the other or at once, by different names.
 *
 * **Example** (An approval)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Checkpointer, StateGraph } from "effect-stategraph"
 *
 * const graph = StateGraph.make("order", Schema.Struct({ total: Schema.Number, status: Schema.optionalKey(Schema.String) }))
 *   .addNode("approve", ({ total }) =>
 *     StateGraph.suspend("approved", Schema.Boolean, { total }).pipe(
 *       Effect.map((approved) => ({ status: approved ? "shipped" : "refused" }))
 *     ))
 *   .setEntryPoint("approve")
 *   .setFinishPoint("approve")
 *   .compile()
 *
 * const program = Effect.gen(function*() {
 *   const asked = yield* graph.invoke({ total: 900 }, { thread: "order-7" }).pipe(
 *     Effect.as([]),
 *     Effect.catchTag("GraphSuspended", ({ pending }) => Effect.succeed(pending.map(({ name }) => name)))
 *   )
 *   const { status } = yield* graph.resume("order-7", { answers: { approved: true } })
 *   return [asked, status]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Checkpointer.Checkpointer.layerMemory))) // => [["approved"], "shipped"]
 * ```
 *
 * @category suspending
 * @since 0.1.0
 */
export const suspend: <A extends Schema.Constraint>(
  name: string,
  schema: A,
  payload?: unknown
) => Effect.Effect<A["Type"], never, Suspends | A["DecodingServices"]> = suspend_ as never
