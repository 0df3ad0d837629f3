/**
 * Every error the library can produce, Schema-backed and tagged.
 *
 * Three kinds, never mixed:
 *
 * - **Build errors** are thrown while a graph is made: {@link InvalidConfigError} and {@link GraphValidationError}.
 * - **Run errors** ({@link RunError}) are typed failures of `invoke` and `stream`; {@link CheckpointError} too, of a run that is
 *   saved.
 * - **Flow errors** ({@link FlowTimeoutError}, {@link CircuitOpenError}, {@link LimitExceededError}) live in a flow's result, or
 *   are what a node with a policy fails with.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { Any as AnyFlowResult } from "./ParallelFlowResult.ts"
import { Pending } from "./RunState.ts"

const within = (branch: string | undefined): string => branch === undefined ? "" : ` in flow "${branch}"`

/**
 * What is wrong with a graph, as a stable code.
 *
 * @category models
 * @since 0.1.0
 */
export const ProblemCode = Schema.Literals([
  "NoEntryPoint",
  "DuplicateNode",
  "UnknownNode",
  "TwoWaysOut",
  "UnreachableNode",
  "DeadEnd",
  "NotAFanIn",
  "UnusedFanIn",
  "FlowCannotReachFanIn",
  "FlowFeedsOwnFanIn",
  "EndBeforeFanIn",
  "DuplicateBranch",
  "CircuitConfigConflict",
  "FanInBeforeNode",
  "ReservedName",
  "EmptyTargets",
  "InvalidFallback",
  "InvalidConfig"
])

/**
 * What is wrong with a graph, as a stable code.
 *
 * @category models
 * @since 0.1.0
 */
export type ProblemCode = typeof ProblemCode.Type

/**
 * One problem of a graph: its code, the nodes it concerns, and one sentence.
 *
 * @category models
 * @since 0.1.0
 */
export const GraphProblem = Schema.Struct({
  code: ProblemCode,
  nodes: Schema.Array(Schema.String),
  message: Schema.String
})

/**
 * One problem of a graph: its code, the nodes it concerns, and one sentence.
 *
 * @category models
 * @since 0.1.0
 */
export type GraphProblem = typeof GraphProblem.Type

/**
 * The graph cannot be compiled. Carries **all** problems, not only the first.
 *
 * **When to use**
 *
 * Thrown by `compile`, returned as a `Result` by `compileResult`.
 *
 * @category build errors
 * @since 0.1.0
 */
export class GraphValidationError extends Schema.TaggedError<GraphValidationError>()("GraphValidationError", {
  graph: Schema.String,
  problems: Schema.Array(GraphProblem)
}) {
  override get message(): string {
    const list = this.problems.map((problem) => `  - ${problem.code}: ${problem.message}`).join("\n")
    return `graph "${this.graph}" has ${this.problems.length} problem${this.problems.length === 1 ? "" : "s"}:\n${list}`
  }
}

/**
 * A configuration value is out of range.
 *
 * **Details**
 *
 * `field` is the option's path (`"retry.maxRetries"`), `value` what was given, as text, `allowed` the allowed range as a
 * sentence fragment, and `source` where it was given (`"StateGraph.make"`, `"edge a -> b"`, `"STATEGRAPH_TIMEOUT"`, ...).
 * Thrown by `make`, listed by `compile`, failed by a layer or a run.
 *
 * @category build errors
 * @since 0.1.0
 */
export class InvalidConfigError extends Schema.TaggedError<InvalidConfigError>()("InvalidConfigError", {
  field: Schema.String,
  value: Schema.String,
  allowed: Schema.String,
  source: Schema.String
}) {
  override get message(): string {
    return `${this.source}: ${this.field} is ${this.value}, allowed is ${this.allowed}`
  }
}

/**
 * The input of a run does not fit the state schema. No node has run.
 *
 * @category run errors
 * @since 0.1.0
 */
export class InvalidInputError extends Schema.TaggedError<InvalidInputError>()("InvalidInputError", {
  graph: Schema.String,
  /** Where in the input, such as `hits[2].url`; empty for the input itself. */
  path: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `input of graph "${this.graph}" is invalid: ${this.issue}`
  }
}

/**
 * A node returned something that is not an update of the state.
 *
 * @category run errors
 * @since 0.1.0
 */
export class InvalidUpdateError extends Schema.TaggedError<InvalidUpdateError>()("InvalidUpdateError", {
  graph: Schema.String,
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  issue: Schema.String
}) {
  override get message(): string {
    return `node "${this.node}" of graph "${this.graph}"${within(this.branch)} returned no update: ${this.issue}`
  }
}

/**
 * A line of execution cannot go on: a condition answered with a key that has no target, or a line reached an end while
 * flows it has to join are open.
 *
 * @category run errors
 * @since 0.1.0
 */
export class RoutingError extends Schema.TaggedError<RoutingError>()("RoutingError", {
  graph: Schema.String,
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  issue: Schema.String
}) {
  override get message(): string {
    return `no way on from node "${this.node}" of graph "${this.graph}"${within(this.branch)}: ${this.issue}`
  }
}

/**
 * One line of execution (the main line or one flow attempt) was about to run more nodes than `maxSteps` allows.
 *
 * @category run errors
 * @since 0.1.0
 */
export class StepLimitError extends Schema.TaggedError<StepLimitError>()("StepLimitError", {
  graph: Schema.String,
  /** The node that was refused. */
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  limit: Schema.Int
}) {
  override get message(): string {
    return `graph "${this.graph}"${
      within(this.branch)
    } reached its limit of ${this.limit} steps before node "${this.node}"` +
      ` (compile option maxSteps)`
  }
}

const FlowResult = Schema.Unknown as unknown as Schema.Codec<AnyFlowResult>

/**
 * A flow whose edge says `failFast` did not succeed, so the line that joins it failed at once.
 *
 * **Details**
 *
 * `result` is the failed flow's result, `settled` holds the results of its siblings that had settled by then.
 *
 * @category run errors
 * @since 0.1.0
 */
export class FailFastError extends Schema.TaggedError<FailFastError>()("FailFastError", {
  graph: Schema.String,
  fanIn: Schema.String,
  branch: Schema.String,
  result: FlowResult,
  settled: Schema.Array(FlowResult)
}) {
  override get message(): string {
    const error = "error" in this.result ? `: ${this.result.error}` : ""
    return `flow "${this.branch}" of graph "${this.graph}" failed fast before fan-in "${this.fanIn}"${error}`
  }
}

/**
 * Two flows set one key of the state, which has no reducer, and the fan-in that joins them has no `run` to say what to do.
 *
 * @category run errors
 * @since 0.1.0
 */
export class MergeConflictError extends Schema.TaggedError<MergeConflictError>()("MergeConflictError", {
  graph: Schema.String,
  /** The fan-in. */
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  key: Schema.String,
  /** The flows that set the key, in order. */
  branches: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const flows = this.branches.map((branch) => `"${branch}"`).join(", ")
    return `fan-in "${this.node}" of graph "${this.graph}"${within(this.branch)} cannot merge the key "${this.key}", ` +
      `which the flows ${flows} set: give the key a reducer (StateGraph.make) or the fan-in a function`
  }
}

/**
 * Items of a parallel map have the same key, so their flows would have the same name. No flow of a list was started; a stream's
 * flows before the second use of the key were, and are interrupted.
 *
 * @category run errors
 * @since 0.1.0
 */
export class DuplicateKeyError extends Schema.TaggedError<DuplicateKeyError>()("DuplicateKeyError", {
  graph: Schema.String,
  /** The node that starts the map. */
  node: Schema.String,
  branch: Schema.optionalKey(Schema.String),
  /** The name of the map's flows, without keys. */
  name: Schema.String,
  keys: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const keys = this.keys.map((key) => JSON.stringify(key)).join(", ")
    return `the map "${this.name}" from node "${this.node}" of graph "${this.graph}"${
      within(this.branch)
    } has several items ` +
      `with the key ${keys}: keys must differ`
  }
}

/**
 * A hook failed whose callback object says `errorPolicy: "raise"`.
 *
 * @category run errors
 * @since 0.1.0
 */
export class CallbackError extends Schema.TaggedError<CallbackError>()("CallbackError", {
  graph: Schema.String,
  /** The callback object's name. */
  callbacks: Schema.String,
  hook: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `hook ${this.hook} of "${this.callbacks}" failed during a run of graph "${this.graph}"`
  }
}

/**
 * Why a checkpoint could not be saved, read or continued, as a stable code.
 *
 * **Details**
 *
 * - `"UnknownThread"`: nothing was saved under this thread, or no checkpoint of it has this id
 * - `"Finished"`, `"Unfinished"`: the thread's run has ended, or has not ended, and that was asked for
 * - `"Claimed"`: another run has the thread; `"Fenced"`: another run took it over
 * - `"WrongGraph"`, `"Incompatible"`: saved by a graph of another name, or by one with nodes, branches or a format this one lacks
 * - `"Unreadable"`: what is stored is damaged; `"NotEncodable"`: what is to be stored is no JSON
 * - `"Answer"`: an answer that fits no open question, or several
 * - `"Storage"`: the store itself failed; `"TooLarge"`: it does not take that much
 * - `"InvalidThread"`, `"InvalidOption"`: a thread id or an option that no store takes
 *
 * @category models
 * @since 0.1.0
 */
export const CheckpointReason = Schema.Literals([
  "UnknownThread",
  "Finished",
  "Unfinished",
  "Claimed",
  "Fenced",
  "WrongGraph",
  "Incompatible",
  "Unreadable",
  "NotEncodable",
  "Answer",
  "Storage",
  "TooLarge",
  "InvalidThread",
  "InvalidOption"
])

/**
 * Why a checkpoint could not be saved, read or continued, as a stable code.
 *
 * @category models
 * @since 0.1.0
 */
export type CheckpointReason = typeof CheckpointReason.Type

const whatToDo: Readonly<Record<CheckpointReason, string>> = {
  UnknownThread: "list shows what there is, invoke begins a run",
  Finished: "invoke begins a new run",
  Unfinished: "resume continues it",
  Claimed: "wait until that run has ended, or take the thread over (takeOver: true)",
  Fenced: "this run has ended, the other one goes on",
  WrongGraph: "resume it with the graph that saved it",
  Incompatible: "bring back what it names, or delete the thread",
  Unreadable: "list shows the checkpoints that can be resumed instead",
  NotEncodable: "give it a schema that encodes it as JSON",
  Answer: "answer by the names in pending",
  Storage: "what was saved before is still there, resume continues it",
  TooLarge: "save less, or allow more",
  InvalidThread: "use another thread id",
  InvalidOption: "use a value in the allowed range"
}

// Thread ids may be of any length.
const quoted = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text)

/**
 * A run could not be saved, or a saved run not be read or continued.
 *
 * **Details**
 *
 * `reason` is a stable code, `issue` one sentence, `cause` what the store itself failed with. `thread` is empty when a store failed
 * before it was asked about a thread.
 *
 * @category run errors
 * @since 0.1.0
 */
export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  thread: Schema.String,
  checkpointId: Schema.optionalKey(Schema.String),
  graph: Schema.optionalKey(Schema.String),
  reason: CheckpointReason,
  issue: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const where = [
      ...(this.checkpointId === undefined ? [] : [`checkpoint ${quoted(this.checkpointId)}`]),
      `thread ${quoted(this.thread)}`,
      ...(this.graph === undefined ? [] : [`graph ${quoted(this.graph)}`])
    ].join(" of ")
    return `${where}: ${this.issue}; ${whatToDo[this.reason]}`
  }
}

/**
 * The run waits for somebody and has ended until it is resumed.
 *
 * **When to use**
 *
 * Catch it, show `pending` to whoever is to answer, and resume `thread` with the answers, in this process or another.
 *
 * **Details**
 *
 * `pending` holds everything that the run waits for, `state` is that of its main line. Without a `thread` the run was not saved and
 * cannot be resumed: `thread` and `checkpointId` are absent.
 *
 * @category run errors
 * @since 0.1.0
 */
export class GraphSuspended extends Schema.TaggedError<GraphSuspended>()("GraphSuspended", {
  graph: Schema.String,
  thread: Schema.optionalKey(Schema.String),
  checkpointId: Schema.optionalKey(Schema.String),
  pending: Schema.Array(Pending),
  state: Schema.Unknown
}) {
  override get message(): string {
    const asked = this.pending.map(({ branch, name, when }) =>
      `${when === "asked" ? "the answer to" : when} "${branch === undefined ? "" : `${branch}/`}${name}"`
    )
    return `graph "${this.graph}" waits for ${asked.join(", ")}; ` + (this.thread === undefined
      ? "it was run without a thread, so it cannot be resumed"
      : `resume thread ${quoted(this.thread)} goes on`)
  }
}

/**
 * A flow, or a node with a limit of its own, did not end in time. In results `errorType` is `"TimeoutError"`.
 *
 * **Details**
 *
 * `timeoutKind` is `"attempt"` for `timeout` (one attempt) and `"total"` for `totalTimeout` (the whole flow).
 *
 * @category flow errors
 * @since 0.1.0
 */
export class FlowTimeoutError extends Schema.TaggedError<FlowTimeoutError>()("FlowTimeoutError", {
  /** The flow; absent for a node on the main line. */
  branch: Schema.optionalKey(Schema.String),
  /** The node, when it was the limit of a single node. */
  node: Schema.optionalKey(Schema.String),
  timeoutMs: Schema.Finite,
  timeoutKind: Schema.Literals(["attempt", "total"])
}) {
  override get message(): string {
    const what = this.node === undefined ? `flow "${this.branch}"` : `node "${this.node}"${within(this.branch)}`
    return `${what} timed out after ${this.timeoutMs} ms` +
      (this.timeoutKind === "total" ? " in total" : "")
  }
}

/**
 * A circuit breaker refused the call; nothing was executed.
 *
 * **Details**
 *
 * `key` names the circuit, `circuitState` is the state it was in (`"OPEN"`, or `"HALF_OPEN"` with all probe slots taken),
 * `retryAfter` says when asking again makes sense.
 *
 * @category flow errors
 * @since 0.1.0
 */
export class CircuitOpenError extends Schema.TaggedError<CircuitOpenError>()("CircuitOpenError", {
  key: Schema.String,
  circuitState: Schema.Literals(["CLOSED", "OPEN", "HALF_OPEN"]),
  retryAfter: Schema.Duration
}) {
  override get message(): string {
    return `circuit "${this.key}" is ${this.circuitState}, ` +
      (Duration.isFinite(this.retryAfter)
        ? `retry after ${Duration.format(this.retryAfter)}`
        : "and stays so until somebody closes it")
  }
}

/**
 * A bulkhead had no free permit and no room to wait; nothing was executed. No circuit counts it.
 *
 * @category flow errors
 * @since 0.1.0
 */
export class LimitExceededError extends Schema.TaggedError<LimitExceededError>()("LimitExceededError", {
  key: Schema.String,
  permits: Schema.Int,
  /** How many may wait. */
  queue: Schema.Finite
}) {
  override get message(): string {
    return `limit "${this.key}" has all ${this.permits} permits in use, and ${this.queue} waiting are all it lets wait`
  }
}

/**
 * What a node with a policy of its own can fail with beside its own errors.
 *
 * @category models
 * @since 0.1.0
 */
export type PolicyError = FlowTimeoutError | CircuitOpenError | LimitExceededError

/**
 * What the engine itself can fail a line with.
 *
 * @category models
 * @since 0.1.0
 */
export type LineError =
  | InvalidUpdateError
  | RoutingError
  | StepLimitError
  | FailFastError
  | MergeConflictError
  | DuplicateKeyError

/**
 * What `invoke` and `stream` can fail with beside the errors of the graph's own nodes.
 *
 * @category models
 * @since 0.1.0
 */
export type RunError = InvalidInputError | InvalidConfigError | LineError
