/**
 * The options of a graph, of its nodes and edges, and of its runs. All of them are exported by `StateGraph` too.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import type * as Bulkhead from "./Bulkhead.ts"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type { Rule } from "./Completion.ts"
import type * as FlowCallbacks from "./FlowCallbacks.ts"
import type { CircuitOpenError, FlowTimeoutError, LimitExceededError } from "./GraphError.ts"
import type { NodeContext } from "./NodeContext.ts"
import type * as ParallelConfig from "./ParallelConfig.ts"

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
 * What a flow does instead, when its last attempt has failed or it was rejected.
 *
 * **Details**
 *
 * A node may take as long as an attempt, or else as the whole flow, counted anew. It takes a place like any attempt, and asks
 * neither the circuit nor the limit. A flow that its fallback saves is a `Success`, for `failFast` and completion rules too. What
 * is interrupted has no fallback.
 *
 * @category models
 * @since 0.1.0
 */
export interface EdgeFallback<Name extends string, Update> {
  /**
   * An update of its launch state, or the name of a node that runs once from that state, with what follows it up to the fan-in.
   * The result says `usedFallback`, and keeps the errors of the attempts.
   */
  readonly fallback?: Name | Update | undefined
}

/**
 * The wrappers of a flow around one node, on whatever line it is: one flaky node of five is retried alone.
 *
 * **Details**
 *
 * Each is off by default, and nothing of a `ParallelConfig` reaches it; without a `grace` of its own a node has the run's. A
 * number is milliseconds. What they fail with, `FlowTimeoutError`, `CircuitOpenError` or `LimitExceededError`, the node fails
 * with. Attempts emit the attempt events, with `scope: "node"`. The circuit of a node is `graph#node` unless it has a `key`.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodePolicy<
  Item extends Schema.Top = Schema.Unknown,
  Timeout extends Duration.Input | undefined = Duration.Input | undefined,
  Circuit extends CircuitBreaker.Input | false | undefined = CircuitBreaker.Input | false | undefined,
  Limit extends Bulkhead.Input | false | undefined = Bulkhead.Input | false | undefined,
  Fallback = unknown
> {
  /** Of the items of the maps whose flows it is in: the type of `ctx.item`. */
  readonly item?: Item | undefined
  /** Limit of each attempt. */
  readonly timeout?: Timeout
  readonly retry?: ParallelConfig.Input["retry"]
  readonly circuitBreaker?: Circuit
  /** The longest wait for what was interrupted. */
  readonly grace?: ParallelConfig.Input["grace"]
  readonly limit?: Limit
  /**
   * What is done instead when its last attempt has failed or it was rejected: an update, or the name of a node that runs in its
   * place. The line then goes on as from this node.
   */
  readonly fallback?: Fallback
}

/**
 * What a node's own policy can fail it with.
 *
 * @category type-level
 * @since 0.1.0
 */
export type PolicyErrors<Timeout, Circuit, Limit> =
  | ([Timeout] extends [undefined] ? never : FlowTimeoutError)
  | ([Circuit] extends [false | undefined] ? never : CircuitOpenError)
  | ([Limit] extends [false | undefined] ? never : LimitExceededError)

/**
 * The items of a map: a list or another iterable, an Effect of one, or a Stream.
 *
 * @category models
 * @since 0.1.0
 */
export type Items<Item> =
  | Iterable<Item>
  | Effect.Effect<Iterable<Item>, unknown, unknown>
  | Stream.Stream<Item, unknown, unknown>

/**
 * The errors of a map's items.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ItemsError<Ret> = Ret extends Stream.Stream<infer _A, infer E, infer _R> ? E : ErrorOf<Ret>

/**
 * The services that a map's items need.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ItemsServices<Ret> = Ret extends Stream.Stream<infer _A, infer _E, infer R> ? R : ServicesOf<Ret>

/**
 * Options of a parallel map: those of an edge, the items, and what depends on them.
 *
 * @category models
 * @since 0.1.0
 */
export interface MapOptions<S, Item, Ret, P = unknown> extends Omit<EdgeConfig, "circuitBreaker"> {
  readonly items: (state: S, ctx: NodeContext<unknown, P>) => Ret
  /** Names the flow of an item, and must differ between items. Default: its index. */
  readonly key?: ((item: Types.NoInfer<Item>, index: number) => string) | undefined
  /** Merged over the map's own config, for one item. */
  readonly config?: ((item: Types.NoInfer<Item>, index: number) => ParallelConfig.Input) | undefined
  /** With a `key` that is a function each item chooses its circuit. */
  readonly circuitBreaker?:
    | (Omit<CircuitBreaker.Input, "key"> & {
      readonly key?: string | ((item: Types.NoInfer<Item>, index: number) => string) | undefined
    })
    | false
    | undefined
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
  /** Of the nodes' typed errors, so that stored failures come back as their class. */
  readonly error?: Schema.Top | undefined
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
 * The progress values of a graph made with the schema `Progress`, or without one.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ProgressOf<Progress> = Progress extends Schema.Top ? Progress["Type"] : unknown

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
 * More options of `compile`: where every line stops until the run is resumed, once each time that it comes there.
 *
 * @category models
 * @since 0.1.0
 */
export interface SuspendOptions<out Name extends string = string> {
  /** Nodes before which it stops. */
  readonly suspendBefore?: ReadonlyArray<Name> | undefined
  /** Nodes after which it stops. */
  readonly suspendAfter?: ReadonlyArray<Name> | undefined
}

/**
 * When a run is saved: after every step and waiting for it, at the same points without waiting, or only when it waits for
 * somebody, fails or ends.
 *
 * @category models
 * @since 0.1.0
 */
export type Durability = "step" | "async" | "exit"

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
 * More options of one run: where it is saved.
 *
 * @category models
 * @since 0.1.0
 */
export interface ThreadOptions {
  /** Saves the run under this id, by the `Checkpointer` in its context. */
  readonly thread?: string | undefined
  /** Default: `"step"`. */
  readonly durability?: Durability | undefined
  /**
   * Takes the thread from a run that has it: that one fails with its next save. For one that died before its first save; a
   * run that was saved and has not ended is refused all the same (`"Unfinished"`): it is resumed.
   */
  readonly takeOver?: boolean | undefined
}

/**
 * Options of a resume. Callbacks may need services `R` and raise `E`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumeOptions<S = unknown, out R = never, out E = never> {
  /**
   * By the names of their questions: `name`, or `branch/name` for one in a flow. A value of the question's schema, or its JSON.
   * Questions without an answer stay open. Points of `suspendBefore` and `suspendAfter` are passed, if the run had said that it
   * waits there: one that was killed before stops at them again.
   */
  readonly answers?: { readonly [name: string]: unknown } | undefined
  /** Changes the state of the main line first, or that of a flow that has not settled. */
  readonly update?: Patch<S> | { readonly branch: string; readonly patch: Patch<S> } | undefined
  /** Forks from this checkpoint of the thread, as a run of its own: an id of its own, and idempotency keys of its own. */
  readonly checkpointId?: string | undefined
  /** Takes the thread from a run that has it; that run fails with its next save. */
  readonly takeOver?: boolean | undefined
  /** Default: `"step"`. */
  readonly durability?: Durability | undefined
  /** Merged over the graph's config, below that of its edges. */
  readonly parallel?: ParallelConfig.Input | undefined
  /** Watch this run, beside those of `compile` and of layers. */
  readonly callbacks?: FlowCallbacks.Given<R, E> | undefined
}

/**
 * Keys of a state with other values; `undefined` unsets an optional one.
 *
 * @category models
 * @since 0.1.0
 */
export type Patch<S> = { readonly [K in keyof S]?: S[K] | undefined }

/**
 * `A` when options `O` have a thread.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Durable<O, A> = "thread" extends keyof O ? A : never

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
