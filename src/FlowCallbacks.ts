/**
 * Hooks that watch the flows of a run. They cannot disturb it: a hook that fails, hangs or dies touches no flow and no
 * other callback object.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CallbackError } from "./GraphError.ts"
import type * as GraphEvent from "./GraphEvent.ts"
import { OptionReader } from "./internal/option.ts"

type AnyState = Readonly<Record<string, unknown>>

/**
 * What a hook returns: nothing, or an Effect that is run for at most the callback object's `timeout`.
 *
 * @category models
 * @since 0.1.0
 */
export type Returned = void | Effect.Effect<unknown, unknown, unknown>

/**
 * A hook that failed: which one, at which event, and why. A call that took longer than its limit fails with Effect's
 * `TimeoutError`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed {
  readonly hook: Exclude<keyof Hooks, "onCallbackError">
  readonly event: GraphEvent.Any
  readonly cause: Cause.Cause<unknown>
}

/**
 * The hooks of a callback object, all optional. Each takes one event.
 *
 * **Details**
 *
 * Those of attempts and circuits hear of nodes with a policy of their own too: their events have the `scope` `"node"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hooks {
  readonly onFlowStart?: (event: GraphEvent.FlowStarted<AnyState>) => Returned
  readonly onFlowComplete?: (event: GraphEvent.FlowCompleted<AnyState, unknown>) => Returned
  /** One failed attempt; a timed-out one is told to `onFlowTimeout`. */
  readonly onFlowError?: (event: GraphEvent.AttemptFailed<AnyState>) => Returned
  readonly onFlowTimeout?: (event: GraphEvent.FlowTimedOut<AnyState>) => Returned
  readonly onFlowRetry?: (event: GraphEvent.RetryScheduled<AnyState>) => Returned
  readonly onCircuitStateChange?: (event: GraphEvent.CircuitStateChanged) => Returned
  /** A hook of any callback object of the run failed. Its own errors are only logged. */
  readonly onCallbackError?: (failed: Failed) => Returned
}

/**
 * What happens when a hook fails: it is logged; or its callback object is removed for the rest of the run; or the run
 * fails with `CallbackError` at its next step.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorPolicy = "log" | "remove" | "raise"

/**
 * Options of {@link make}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Shown in logs. Default: `"callbacks"`. */
  readonly name?: string | undefined
  /** Limit of one call. Default: 5 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** Default: `"log"`. */
  readonly errorPolicy?: ErrorPolicy | undefined
}

/**
 * The default limit of one call, in milliseconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultTimeoutMs = 5000

const TypeId = "~effect-stategraph/FlowCallbacks"

/**
 * A callback object: hooks, their limit, and what happens when one fails. `R` is what its hooks need, `E` the error that
 * it can fail a run with.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlowCallbacks<out R = never, out E = never> {
  readonly [TypeId]: { readonly R: () => R; readonly E: () => E }
  readonly name: string
  readonly hooks: Hooks
  readonly timeoutMs: number
  readonly errorPolicy: ErrorPolicy
}

/**
 * Callbacks as options take them: one object, or several.
 *
 * @category models
 * @since 0.1.0
 */
export type Given<R = never, E = never> = FlowCallbacks<R, E> | ReadonlyArray<FlowCallbacks<R, E>>

type One<G> = G extends ReadonlyArray<infer C> ? C : G

/**
 * The services that given callbacks need.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Services<G> = [One<G>] extends [never] ? never : One<G> extends FlowCallbacks<infer R, infer _E> ? R : never

/**
 * The error that given callbacks can fail a run with: `CallbackError` if one says `errorPolicy: "raise"`.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Raised<G> = [One<G>] extends [never] ? never : One<G> extends FlowCallbacks<infer _R, infer E> ? E : never

type RequiredBy<Ret> = Ret extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

type ServicesOf<H> = {
  readonly [K in keyof H]: H[K] extends (...args: never) => infer Ret ? RequiredBy<Ret> : never
}[keyof H]

const names: ReadonlyArray<keyof Hooks> = [
  "onFlowStart",
  "onFlowComplete",
  "onFlowError",
  "onFlowTimeout",
  "onFlowRetry",
  "onCircuitStateChange",
  "onCallbackError"
]

/**
 * Makes a callback object.
 *
 * **When to use**
 *
 * Give it to `compile`, to one run, or to everything below a layer with {@link layer}.
 *
 * **Details**
 *
 * A callback object sees the events of a run in order, one call at a time, and never delays a flow. Each call is limited
 * to `timeout` (default 5 seconds) and then interrupted. A throw, failure, defect or timeout is logged as a warning with
 * the object's name and handed to the `onCallbackError` of every callback object of the run. A run that ends well waits
 * for outstanding calls, in total no longer than the limit of one; a run that fails or is interrupted, no longer than
 * `grace`.
 *
 * Throws `InvalidConfigError` for unknown hooks and options out of range.
 *
 * **Example** (Collecting outcomes)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { FlowCallbacks, StateGraph } from "effect-stategraph"
 *
 * const seen: Array<string> = []
 * const callbacks = FlowCallbacks.make({
 *   onFlowStart: ({ branch }) => { seen.push(`start ${branch}`) },
 *   onFlowComplete: ({ branch, result }) => Effect.sync(() => { seen.push(`${result._tag} ${branch}`) })
 * })
 *
 * const graph = StateGraph.make("g", Schema.Struct({ n: Schema.Number }))
 *   .addNode("ask", () => Effect.fail("no"))
 *   .addFanInNode("join")
 *   .addParallelEdge(StateGraph.START, "ask", "join")
 *   .setFinishPoint("join")
 *   .compile({ callbacks })
 *
 * await Effect.runPromise(graph.invoke({ n: 1 }))
 * seen // => ["start ask", "Failure ask"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const H extends Hooks, const O extends Options = {}>(
  hooks: H,
  options?: O
): FlowCallbacks<ServicesOf<H>, O["errorPolicy"] extends "raise" ? CallbackError : never> => {
  const reader = new OptionReader("FlowCallbacks.make")
  reader.known("", hooks, names)
  reader.known("options.", options ?? {}, ["name", "timeout", "errorPolicy"])
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined && typeof hook !== "function") reader.reject(name, hook, "a function")
  }
  const timeoutMs = reader.duration("timeout", options?.timeout, { zero: false }) ?? defaultTimeoutMs
  const { errorPolicy = "log", name = "callbacks" }: Options = options ?? {}
  if (!["log", "remove", "raise"].includes(errorPolicy)) {
    reader.reject("errorPolicy", errorPolicy, "log, remove or raise")
  }
  if (reader.problems[0] !== undefined) throw reader.problems[0]
  const made: FlowCallbacks = {
    [TypeId]: { R: () => undefined as never, E: () => undefined as never },
    name,
    hooks: { ...hooks },
    timeoutMs,
    errorPolicy
  }
  return made
}

/**
 * Whether a value is a callback object.
 *
 * @category guards
 * @since 0.1.0
 */
export const isFlowCallbacks = (u: unknown): u is FlowCallbacks => typeof u === "object" && u !== null && TypeId in u

/**
 * Reads callbacks as options take them.
 *
 * @internal
 */
export const fromGiven = (
  given: Given<unknown, CallbackError> | undefined,
  reader: OptionReader
): ReadonlyArray<FlowCallbacks<unknown, CallbackError>> => {
  const list: unknown = given === undefined ? [] : isFlowCallbacks(given) ? [given] : given
  if (Array.isArray(list) && list.every(isFlowCallbacks)) return [...list]
  reader.reject("callbacks", given, "what FlowCallbacks.make returns, or an array of it")
  return []
}

/**
 * A callback object with the services its hooks run in; none: those of the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provided {
  readonly callbacks: FlowCallbacks<unknown, CallbackError>
  readonly services: Context.Context<never> | undefined
}

/**
 * The callbacks that {@link layer} has provided.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentCallbacks: Context.Reference<ReadonlyArray<Provided>> = Context.Reference<ReadonlyArray<Provided>>(
  "effect-stategraph/CurrentCallbacks",
  { defaultValue: () => [] }
)

/**
 * Provides callbacks to every run below; their hooks run in the services of the layer.
 *
 * **Details**
 *
 * With `mergeWithExisting` they join those provided further out, else they replace them. Callbacks of `compile` and of a
 * run are called as well in any case.
 *
 * **Gotchas**
 *
 * A callback object that raises cannot be provided by a layer: no run below would know the error in its type.
 *
 * **Example** (Watching everything below)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { FlowCallbacks, StateGraph } from "effect-stategraph"
 *
 * const seen: Array<string> = []
 * const Watching = FlowCallbacks.layer(
 *   FlowCallbacks.make({ onFlowComplete: ({ branch }) => { seen.push(branch) } })
 * )
 *
 * const graph = StateGraph.make("g", Schema.Struct({ n: Schema.Number }))
 *   .addNode("ask")
 *   .addFanInNode("join")
 *   .addParallelEdge(StateGraph.START, "ask", "join")
 *   .setFinishPoint("join")
 *   .compile()
 *
 * await Effect.runPromise(graph.invoke({ n: 1 }).pipe(Effect.provide(Watching)))
 * seen // => ["ask"]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <const G extends FlowCallbacks<unknown> | ReadonlyArray<FlowCallbacks<unknown>>>(
  given: G,
  options?: { readonly mergeWithExisting?: boolean | undefined }
): Layer.Layer<never, never, Services<G>> => {
  const reader = new OptionReader("FlowCallbacks.layer")
  const added = fromGiven(given, reader)
  if (reader.problems[0] !== undefined) throw reader.problems[0]
  // Memoised, one layer value used at two depths would be built once, from the outer one.
  return Layer.fresh(Layer.effect(
    CurrentCallbacks,
    Effect.withFiber((fiber) => {
      const services = fiber.context
      const existing = options?.mergeWithExisting === true ? fiber.getRef(CurrentCallbacks) : []
      return Effect.succeed([...existing, ...added.map((callbacks) => ({ callbacks, services }))])
    })
  ))
}
