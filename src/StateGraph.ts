/**
 * State in, typed state out: a graph of Effect nodes whose parallel flows cannot hang, leak or lie.
 *
 * A node is `State -> Effect<Update, E, R>`, a graph is `Input -> Effect<State, E, R>`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Pipeable from "effect/Pipeable"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as CircuitBreakerRegistry from "./CircuitBreakerRegistry.ts"
import { type GraphValidationError, InvalidConfigError, type RunError } from "./GraphError.ts"
import type { GraphEvent } from "./GraphEvent.ts"
import { compile as compilePlan } from "./internal/compile.ts"
import { type BuilderData, END as END_, type NodeFunction, START as START_, type State } from "./internal/plan.ts"
import { type Compiled, execute, registryOf } from "./internal/run.ts"
import type { FanInContext, NodeContext } from "./NodeContext.ts"
import * as ParallelConfig from "./ParallelConfig.ts"

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
 * Options of {@link make}.
 *
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions {
  /** The graph's default config of its flows. */
  readonly parallel?: ParallelConfig.Input | undefined
}

/**
 * Options of `compile`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompileOptions {
  /** Merged over the config given to {@link make}. */
  readonly parallel?: ParallelConfig.Input | undefined
  /** Nodes that one line of execution, the main line or one flow attempt, may run. Default: 1000. */
  readonly maxSteps?: number | "unbounded" | undefined
}

/**
 * Options of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** Default: a random id. */
  readonly runId?: string | undefined
  /** Merged over the graph's config, below that of its edges. */
  readonly parallel?: ParallelConfig.Input | undefined
}

/**
 * An immutable builder: adding to it returns a new one and leaves the old one as it was.
 *
 * **Details**
 *
 * `S` is the state, `In` the input, `N` the nodes added so far, `Main` the names that the main line reaches, `E2` and `R2`
 * the errors and services of conditions.
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
  out R2 = never
> extends Pipeable.Pipeable {
  readonly name: string

  /**
   * Adds a node. `run(state, ctx)` returns an update, or an Effect of one; without `run` the node changes nothing.
   */
  addNode<const Name extends string>(
    name: Name & Fresh<Name, N["name"]>
  ): StateGraph<S, In, N | Node<Name, never, never>, Main, E2, R2>
  addNode<const Name extends string, Ret extends Returned<S>>(
    name: Name & Fresh<Name, N["name"]>,
    run: (state: S, ctx: NodeContext) => Ret & Exact<S, Ret>
  ): StateGraph<S, In, N | Node<Name, ErrorOf<Ret>, ServicesOf<Ret>>, Main, E2, R2>

  /**
   * Adds a node that joins flows: `ctx.parallelResults` holds their results in declaration order. Add it after the nodes
   * of its flows, so that the results' type knows their errors.
   */
  addFanInNode<const Name extends string>(
    name: Name & Fresh<Name, N["name"]>
  ): StateGraph<S, In, N | Node<Name, never, never>, Main | Name, E2, R2>
  addFanInNode<const Name extends string, Ret extends Returned<S>>(
    name: Name & Fresh<Name, N["name"]>,
    run: (state: S, ctx: FanInContext<S, N["E"]>) => Ret & Exact<S, Ret>
  ): StateGraph<S, In, N | Node<Name, ErrorOf<Ret>, ServicesOf<Ret>>, Main | Name, E2, R2>

  /** The one way on from a node. */
  addEdge<To extends N["name"] | END>(
    from: N["name"] | START,
    to: To
  ): StateGraph<S, In, N, Main | Exclude<To, END>, E2, R2>

  /** The way on from a node, decided by the state: `decide` answers with a key of `targets`. */
  addConditionalEdges<
    const T extends { readonly [key: string]: N["name"] | END },
    Ret extends (keyof T & string) | Effect.Effect<keyof T & string, unknown, unknown>
  >(
    from: N["name"] | START,
    decide: (state: S, ctx: NodeContext) => Ret,
    targets: T
  ): StateGraph<S, In, N, Main | Exclude<T[keyof T], END>, E2 | ErrorOf<Ret>, R2 | ServicesOf<Ret>>

  /** Starts a flow at `to` when `from` completes; it is joined at `fanIn`. */
  addParallelEdge(
    from: N["name"] | START,
    to: N["name"],
    fanIn: N["name"],
    config?: EdgeConfig
  ): StateGraph<S, In, N, Main, E2, R2>

  /** `addEdge(START, to)`. */
  setEntryPoint<To extends N["name"]>(to: To): StateGraph<S, In, N, Main | To, E2, R2>

  /** `addEdge(from, END)`. */
  setFinishPoint(from: N["name"]): StateGraph<S, In, N, Main, E2, R2>

  /** Validates the graph; throws `GraphValidationError` with all problems. */
  compile(
    options?: CompileOptions
  ): CompiledGraph<S, In, E2 | MainError<N, Main>, Exclude<R2 | N["R"], Scope.Scope>>

  /** The same, with the error as a value. */
  compileResult(
    options?: CompileOptions
  ): Result.Result<
    CompiledGraph<S, In, E2 | MainError<N, Main>, Exclude<R2 | N["R"], Scope.Scope>>,
    GraphValidationError
  >
}

/**
 * A validated graph that can be run any number of times, also concurrently.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompiledGraph<in out S, in In, out E, out R> extends Pipeable.Pipeable {
  readonly name: string

  /**
   * Runs the graph to its final state.
   *
   * **Details**
   *
   * Interrupting it interrupts every flow and awaits their finalizers, each for at most `grace`.
   */
  readonly invoke: (input: In, options?: RunOptions) => Effect.Effect<S, E | RunError, R>

  /**
   * The same run, with its events handed out. It ends after `GraphCompleted`; on failure it emits `GraphFailed`, then
   * fails. Dropping the stream interrupts the run. A slow consumer never slows the run.
   */
  readonly stream: (input: In, options?: RunOptions) => Stream.Stream<GraphEvent<S, E>, E | RunError, R>

  /**
   * Resets the circuit of one branch, or all circuits that this graph uses. A branch without a circuit is a no-op.
   */
  readonly resetCircuit: (branch?: string) => Effect.Effect<void>

  /** Snapshots of all circuits that this graph uses, one per key. */
  readonly circuitStates: Effect.Effect<ReadonlyArray<CircuitBreakerRegistry.Snapshot>>
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
export const make = <const F extends Schema.Struct.Fields>(
  name: string,
  schema: F | Schema.Struct<F>,
  options?: MakeOptions
): StateGraph<Schema.Struct<F>["Type"], Schema.Struct<F>["~type.make.in"]> => {
  const struct = asStruct(name, schema)
  const parsed = options?.parallel === undefined
    ? Result.succeed(ParallelConfig.empty)
    : ParallelConfig.parse(options.parallel, `StateGraph.make("${name}")`)
  if (Result.isFailure(parsed)) throw parsed.failure[0]
  const data: BuilderData = { name, nodes: [], edges: [], conditionals: [], parallels: [] }
  const context: Making = {
    make: (input) => struct.makeEffect(input as never) as Effect.Effect<State, never>,
    keys: new Map(Object.entries(struct.fields).map(([key, field]) => [key, { optional: isOptional(field) }])),
    config: parsed.success
  }
  return new Builder(data, context) as unknown as StateGraph<
    Schema.Struct<F>["Type"],
    Schema.Struct<F>["~type.make.in"]
  >
}

/** What stays the same while a graph is built. */
interface Making {
  readonly make: Compiled["make"]
  readonly keys: Compiled["plan"]["keys"]
  readonly config: ParallelConfig.ParallelConfig
}

const asStruct = <F extends Schema.Struct.Fields>(name: string, schema: F | Schema.Struct<F>): Schema.Struct<F> => {
  const refuse = (value: string) => {
    throw new InvalidConfigError({
      field: "schema",
      value,
      allowed: "a Schema.Struct, or its fields",
      source: `StateGraph.make("${name}")`
    })
  }
  if (typeof schema === "function" && "fields" in schema && "identifier" in schema) return refuse("a Schema.Class")
  if (Schema.isSchema(schema)) {
    return "fields" in schema
      ? schema as unknown as Schema.Struct<F>
      : refuse("another schema")
  }
  if (typeof schema !== "object" || schema === null) return refuse(String(schema))
  return Schema.Struct(schema as F)
}

const isOptional = (field: Schema.Constraint): boolean => field.ast.context?.isOptional === true

class Builder implements Pipeable.Pipeable {
  readonly #data: BuilderData
  readonly #making: Making
  readonly name: string
  constructor(data: BuilderData, making: Making) {
    this.#data = data
    this.#making = making
    this.name = data.name
  }
  pipe() {
    return Pipeable.pipeArguments(this, arguments)
  }
  #with(change: Partial<BuilderData>): Builder {
    return new Builder({ ...this.#data, ...change }, this.#making)
  }
  #addNode(kind: "node" | "fanIn", name: string, run: NodeFunction | undefined): Builder {
    return this.#with({ nodes: [...this.#data.nodes, { name, kind, run }] })
  }
  addNode(name: string, run?: NodeFunction): Builder {
    return this.#addNode("node", name, run)
  }
  addFanInNode(name: string, run?: NodeFunction): Builder {
    return this.#addNode("fanIn", name, run)
  }
  addEdge(from: string, to: string): Builder {
    return this.#with({ edges: [...this.#data.edges, { from, to }] })
  }
  addConditionalEdges(from: string, decide: NodeFunction, targets: Readonly<Record<string, string>>): Builder {
    return this.#with({ conditionals: [...this.#data.conditionals, { from, decide, targets: { ...targets } }] })
  }
  addParallelEdge(from: string, to: string, fanIn: string, config: EdgeConfig = {}): Builder {
    const { name = to, ...parallel } = config
    const read = ParallelConfig.parse(parallel, `edge ${from} -> ${to}`)
    return this.#with({ parallels: [...this.#data.parallels, { from, to, fanIn, name, config: read }] })
  }
  setEntryPoint(to: string): Builder {
    return this.addEdge(START, to)
  }
  setFinishPoint(from: string): Builder {
    return this.addEdge(from, END)
  }
  compileResult(options: CompileOptions = {}): Result.Result<Graph, GraphValidationError> {
    const { config, keys, make } = this.#making
    return Result.map(compilePlan(this.#data, make, keys, config, options), (compiled) => new Graph(compiled))
  }
  compile(options?: CompileOptions): Graph {
    const compiled = this.compileResult(options)
    if (Result.isFailure(compiled)) throw compiled.failure
    return compiled.success
  }
}

class Graph implements Pipeable.Pipeable {
  readonly #compiled: Compiled
  readonly name: string
  constructor(compiled: Compiled) {
    this.#compiled = compiled
    this.name = compiled.plan.name
  }
  pipe() {
    return Pipeable.pipeArguments(this, arguments)
  }
  readonly invoke = (input: unknown, options?: RunOptions): Effect.Effect<State, unknown> =>
    execute(this.#compiled, input, options, undefined)

  readonly stream = (input: unknown, options?: RunOptions): Stream.Stream<unknown, unknown> =>
    Stream.callback<unknown, unknown>((queue) =>
      Effect.matchCauseEffect(
        execute(this.#compiled, input, options, (event) => {
          Queue.offerUnsafe(queue, event)
        }),
        {
          onFailure: (cause) => Queue.failCause(queue, cause),
          onSuccess: () => Queue.end(queue)
        }
      )
    )

  readonly resetCircuit = (branch?: string): Effect.Effect<void> =>
    Effect.contextWith((context) => {
      const { circuits } = this.#compiled
      const keys = branch === undefined
        ? new Set(circuits.values())
        : [circuits.get(branch)].filter((key) => key !== undefined)
      return Effect.forEach(keys, registryOf(this.#compiled, context).reset, { discard: true })
    })

  get circuitStates(): Effect.Effect<ReadonlyArray<CircuitBreakerRegistry.Snapshot>> {
    return Effect.contextWith((context) =>
      Effect.forEach(new Set(this.#compiled.circuits.values()), registryOf(this.#compiled, context).state)
    )
  }
}
