/**
 * What happened in a run, for assertions that say what they expected and what happened instead.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Checkpointer } from "../Checkpointer.ts"
import type { CallbackError, CheckpointError, RunError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import { compiledOf } from "../internal/builder.ts"
import { execute, resume } from "../internal/run.ts"
import type * as ParallelFlowResult from "../ParallelFlowResult.ts"
import type * as StateGraph from "../StateGraph.ts"
import { Recorded as Recording_ } from "./internal/recording.ts"

export {
  /**
   * A run is not what a test expects: `issues` say what differs, `happened` is the run as text.
   *
   * @category errors
   * @since 0.1.0
   */
  ExpectationError
} from "./internal/expectation.ts"

/**
 * An event, or several, as a test names them: the tag, then to whom it happened.
 *
 * **Details**
 *
 * | event | words |
 * |---|---|
 * | of the run | `GraphStarted`, `GraphFailed` |
 * | of a flow | `FlowStarted web`, `FlowCompleted web Timeout` |
 * | of an attempt | `AttemptFailed web 2`; of a node's own attempts `AttemptFailed node ask 2 in web` |
 * | of a node, or a fan-in | `NodeStarted ask in web`, `FanInStarted join` |
 * | of a circuit | `CircuitStateChanged web CLOSED -> OPEN` |
 *
 * Words may be left out at the end: `AttemptFailed web` is any failed attempt of that flow, `NodeStarted ask` that node on any line.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = GraphEvent.Any["_tag"] | `${GraphEvent.Any["_tag"]} ${string}`

type Keys<A> = A extends unknown ? keyof A : never
type Value<A, K> = A extends unknown ? K extends keyof A ? A[K] : never : never
/** Errors of flows are no errors of the graph, so its type does not know them. */
type Result<S> = ParallelFlowResult.ParallelFlowResult<S, unknown>

/**
 * What a flow's result is expected to be: any of its fields.
 *
 * **Details**
 *
 * Of plain objects, the `state` for one, only the keys that are given are compared. A text may be given as a regular expression.
 *
 * @category models
 * @since 0.1.0
 */
export type Expected<S> =
  & {
    readonly [K in Exclude<Keys<Result<S>>, "state" | "get" | "has">]?:
      | Value<Result<S>, K>
      | (string extends Value<Result<S>, K> ? RegExp : never)
  }
  & { readonly state?: { readonly [K in keyof S]?: S[K] } }

/**
 * What happened to a flow, from its start to its end.
 *
 * **Details**
 *
 * `outcome` is the result's tag, or says that there is none: it waits for somebody, or has not ended. `delaysMs` are the waits
 * between its attempts. `events` are its own, without those of its nodes and of flows inside it.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlowRecord<out S> {
  readonly branch: string
  readonly outcome: Result<S>["_tag"] | "Suspended" | "Running"
  readonly attempts: number
  readonly delaysMs: ReadonlyArray<number>
  readonly result: Result<S> | undefined
  readonly events: ReadonlyArray<GraphEvent.GraphEvent<S, unknown>>
}

/**
 * How often a node ran, and how that ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeRecord<out S> {
  readonly started: number
  readonly completed: number
  readonly failed: number
  readonly interrupted: number
  /** Of each time that it completed. */
  readonly updates: ReadonlyArray<{ readonly [K in keyof S]?: S[K] | undefined }>
}

/**
 * A run, recorded so far.
 *
 * **Details**
 *
 * What begins with `expect` throws an {@link ExpectationError} or returns the recording, so that expectations can be chained; they
 * need no test framework. Branches and nodes are named as events name them. Of a flow that ran in several rounds `flow` and
 * `expectFlow` mean the last one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recording<in out S, out E, out P = unknown, out F = unknown> {
  readonly events: ReadonlyArray<GraphEvent.GraphEvent<S, E, P>>
  /** How it ended; `undefined` while it runs. */
  readonly exit: Exit.Exit<S, F> | undefined
  readonly outcome: "Completed" | "Failed" | "Interrupted" | "Suspended" | "Running"
  /** From its first event to its last. */
  readonly durationMs: number
  /** Every flow, in the order of their first events. */
  readonly branches: ReadonlyArray<string>
  /** What happened to a flow; throws an {@link ExpectationError} when there is none of that name. */
  readonly flow: (branch: string) => FlowRecord<S>
  /** Each round of it. */
  readonly flows: (branch: string) => ReadonlyArray<FlowRecord<S>>
  readonly node: (name: string) => NodeRecord<S>
  /** How often this happened. */
  readonly count: (step: Step) => number
  readonly expectOutcome: (outcome: Recording<S, E>["outcome"]) => this
  readonly expectFlow: (branch: string, expected: Expected<S>) => this
  /** These happen in this order; others may happen in between. */
  readonly expectOrder: (steps: ReadonlyArray<Step>) => this
  readonly expectCount: (step: Step, count: number) => this
  /** The run as text: a line per event, with its milliseconds since the first. */
  readonly print: string
}

/**
 * A run that has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ended<in out S, out E, out P = unknown, out F = unknown> extends Recording<S, E, P, F> {
  readonly exit: Exit.Exit<S, F>
}

/**
 * Runs a graph and records it.
 *
 * **When to use**
 *
 * When the test needs a recording while the run goes on, or of one that it interrupts. For a run that just ends {@link record} is shorter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recorder<in out S, in In, out E, out R, out P, out I> {
  /** The graph's own `invoke`, recorded. */
  readonly invoke: StateGraph.CompiledGraph<S, In, E, R, P, I>["invoke"]
  /** The graph's own `resume`, recorded. */
  readonly resume: StateGraph.CompiledGraph<S, In, E, R, P, I>["resume"]
  /** Of the run that began last. */
  readonly recording: Recording<S, E, P>
  /** Of all runs, in the order of their beginning. */
  readonly recordings: ReadonlyArray<Recording<S, E, P>>
}

type Options = StateGraph.RunOptions<unknown, CallbackError> & StateGraph.ThreadOptions

/**
 * A recorder of a graph's runs.
 *
 * **Details**
 *
 * Recording does not change a run, and sees all of its events, also those of a run that fails or is interrupted.
 *
 * **Example** (A run that is interrupted)
 *
 * ```ts
 * import { Effect, Fiber, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 * import { Recorder } from "effect-stategraph/testing"
 *
 * const graph = StateGraph.make("wait", Schema.Struct({}))
 *   .addNode("wait", () => Effect.never)
 *   .addFanInNode("join")
 *   .addParallelEdge(StateGraph.START, "wait", "join")
 *   .setFinishPoint("join")
 *   .compile()
 *
 * const program = Effect.gen(function*() {
 *   const recorder = yield* Recorder.make(graph)
 *   const run = yield* Effect.forkChild(recorder.invoke({}), { startImmediately: true })
 *   recorder.recording.outcome // => "Running"
 *   yield* Fiber.interrupt(run)
 *   return recorder.recording.expectOutcome("Interrupted").expectFlow("wait", { _tag: "Interrupted", attempts: 1 }).outcome
 * })
 *
 * await Effect.runPromise(program) // => "Interrupted"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <S, In, E, R, P, I>(
  graph: StateGraph.CompiledGraph<S, In, E, R, P, I>
): Effect.Effect<Recorder<S, In, E, R, P, I>> =>
  Effect.sync(() => {
    const compiled = compiledOf(graph)
    const recordings: Array<Recording_> = []
    const recorded = (run: (recording: Recording_) => Effect.Effect<Readonly<Record<string, unknown>>, unknown>) =>
      Effect.suspend(() => {
        const recording = new Recording_(graph.name)
        recordings.push(recording)
        return Effect.onExit(run(recording), (exit) =>
          Effect.sync(() => {
            recording.exit = exit
          }))
      })
    const recorder = {
      invoke: (input: unknown, options?: Options) =>
        recorded(({ events }) => execute(compiled, input, options, (event) => void events.push(event))),
      resume: (thread: string, options: StateGraph.ResumeOptions<unknown, unknown, CallbackError> = {}) =>
        recorded(({ events }) => resume(compiled, thread, options as never, (event) => void events.push(event))),
      get recording() {
        return recordings.at(-1) ?? new Recording_(graph.name)
      },
      recordings
    }
    return recorder as unknown as Recorder<S, In, E, R, P, I>
  })

/**
 * Runs a graph to its end and records it.
 *
 * **Details**
 *
 * It never fails: how the run ended is the recording's `exit`, whatever that is.
 *
 * **Example** (What happened to a flow)
 *
 * ```ts
 * import { Effect, Logger, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 * import { Recorder, VirtualTime } from "effect-stategraph/testing"
 *
 * const graph = StateGraph.make("search", Schema.Struct({}))
 *   .addNode("web", () => Effect.sleep("1 minute"))
 *   .addFanInNode("join")
 *   .addParallelEdge(StateGraph.START, "web", "join", { timeout: 100, retry: { maxRetries: 1, baseDelay: 5 } })
 *   .setFinishPoint("join")
 *   .compile()
 *
 * const run = VirtualTime.runToEnd(Recorder.record(graph, {})).pipe(Effect.provide(Logger.layer([])))
 * const recording = await Effect.runPromise(Effect.flatMap(run, ({ exit }) => exit))
 *
 * recording.flow("web").attempts // => 2
 * recording.flow("web").delaysMs // => [5]
 * recording
 *   .expectFlow("web", { _tag: "Timeout", attempts: 2, timeoutKind: "attempt" })
 *   .expectOrder(["FlowTimedOut web 1", "AttemptStarted web 2", "FlowCompleted web", "FanInStarted join"])
 *   .expectCount("FlowRejected", 0)
 *
 * console.log(recording.print)
 * ```
 *
 * ```txt printed
 * run of "search", completed after 205 ms
 *   0 ms  GraphStarted
 *   0 ms  FlowStarted web
 *   0 ms  AttemptStarted web 1
 *   0 ms  NodeStarted web in web
 * 100 ms  NodeInterrupted web in web
 * 100 ms  FlowTimedOut web 1: its limit is 100 ms
 * 100 ms  RetryScheduled web 1: again in 5 ms
 * 105 ms  AttemptStarted web 2
 * 105 ms  NodeStarted web in web
 * 205 ms  NodeInterrupted web in web
 * 205 ms  FlowTimedOut web 2: its limit is 100 ms
 * 205 ms  FlowCompleted web Timeout: TimeoutError: flow "web" timed out after 100 ms
 * 205 ms  FanInStarted join: joins web Timeout
 * 205 ms  NodeStarted join
 * 205 ms  NodeCompleted join
 * 205 ms  FanInCompleted join
 * 205 ms  GraphCompleted
 * ```
 *
 * @category recording
 * @since 0.1.0
 */
export const record = <S, In, E, R, P, I, const O extends Options = {}>(
  graph: StateGraph.CompiledGraph<S, In, E, R, P, I>,
  input: In,
  options?: O
): Effect.Effect<
  Ended<S, E, P, E | I | RunError | StateGraph.CallbackErrors<O> | StateGraph.Durable<O, CheckpointError>>,
  never,
  R | StateGraph.CallbackServices<O> | StateGraph.Durable<O, Checkpointer>
> => ended(make(graph), (recorder) => recorder.invoke(input, options))

/**
 * Resumes a thread, and records that.
 *
 * @category recording
 * @since 0.1.0
 */
export const recordResume = <
  S,
  In,
  E,
  R,
  P,
  I,
  const O extends StateGraph.ResumeOptions<S, unknown, CallbackError> = {}
>(
  graph: StateGraph.CompiledGraph<S, In, E, R, P, I>,
  thread: string,
  options?: O
): Effect.Effect<
  Ended<S, E, P, E | I | RunError | CheckpointError | StateGraph.CallbackErrors<O>>,
  never,
  R | StateGraph.CallbackServices<O> | Checkpointer
> => ended(make(graph), (recorder) => recorder.resume(thread, options))

const ended = <A extends { readonly recording: unknown }, R>(
  making: Effect.Effect<A>,
  run: (recorder: A) => Effect.Effect<unknown, unknown, R>
): Effect.Effect<never, never, R> =>
  Effect.flatMap(making, (recorder) => Effect.map(Effect.exit(run(recorder)), () => recorder.recording as never))

/**
 * Events that have been collected otherwise, of one run, as a recording.
 *
 * @category recording
 * @since 0.1.0
 */
export const fromEvents = <S, E, P, F = unknown>(
  events: Iterable<GraphEvent.GraphEvent<S, E, P>>,
  exit?: Exit.Exit<S, F>
): Recording<S, E, P, F> => {
  const all = [...events] as unknown as ReadonlyArray<GraphEvent.Any>
  const recording = new Recording_(all[0]?.graph ?? "")
  recording.events.push(...all)
  recording.exit = exit as Recording_["exit"]
  return recording as unknown as Recording<S, E, P, F>
}
