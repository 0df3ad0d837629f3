/**
 * What became of one flow: exactly one of `Success`, `Failure`, `Timeout`, `Rejected`, `Interrupted`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { CircuitState } from "./CircuitBreaker.ts"
import type { CircuitOpenError, FlowTimeoutError, LimitExceededError, LineError } from "./GraphError.ts"
import { record } from "./internal/resultCodec.ts"

/**
 * One failed attempt of a flow.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttemptError {
  /** 1-based. */
  readonly attempt: number
  readonly error: string
  readonly errorType: string
  readonly timingMs: number
}

/**
 * The fields that every result has.
 *
 * **Details**
 *
 * `startTime` and `endTime` are epoch milliseconds and span the start of the first attempt to the end of the last, waits
 * included, queueing excluded; `timingMs` (the same as `durationMs`) is their difference, measured on the monotonic clock.
 * A flow that never started has 0 `attempts` and `startTime = endTime`, the time of that decision.
 *
 * @category models
 * @since 0.1.0
 */
export interface Base<S> {
  /** The names from the outermost flow inwards, joined by `/`. */
  readonly branch: string
  /** See the variant: the flow's state when it ended. */
  readonly state: S
  readonly startTime: number
  readonly endTime: number
  readonly timingMs: number
  readonly durationMs: number
  readonly attempts: number
  readonly retryCount: number
  /** The last `maxStoredErrors` failed attempts, oldest first. */
  readonly attemptErrors: ReadonlyArray<AttemptError>
  /** How many failed attempts are not in `attemptErrors`. */
  readonly attemptErrorsDropped: number
  /** Whether a `fallback`, of the edge or of a node, took the place of what had failed. */
  readonly usedFallback: boolean
  /** State of the flow's circuit after its last outcome was recorded; absent without a circuit. */
  readonly circuitState?: CircuitState
  /** The item of a mapped flow. */
  readonly item?: unknown
  /** 0-based index of the item of a mapped flow. */
  readonly index?: number
  /** Reads a state key first, then a field of the result. */
  get<K extends keyof S>(key: K): S[K]
  get<K extends keyof S, D>(key: K, orElse: D): Exclude<S[K], undefined> | D
  get(key: string, orElse?: unknown): unknown
  /** Whether the state, or else the result, has this key. */
  has(key: string): boolean
}

/**
 * The flow ended well; `state` is its final state.
 *
 * @category models
 * @since 0.1.0
 */
export interface Success<S> extends Base<S> {
  readonly _tag: "Success"
  readonly success: true
  readonly timeout: false
  readonly abandoned: false
}

/**
 * The flow failed or died; `state` is its state after the last completed node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure<S, E> extends Base<S> {
  readonly _tag: "Failure"
  readonly success: false
  readonly timeout: false
  readonly abandoned: false
  /** The error's own message. */
  readonly error: string
  readonly errorType: string
  readonly cause: Cause.Cause<E | LineError>
  /** The typed error; absent when the flow died of a defect. */
  readonly failure?: E | LineError
  readonly failedNode?: string
  readonly traceback?: string
}

/**
 * The flow did not end within its `timeout` or `totalTimeout`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Timeout<S> extends Base<S> {
  readonly _tag: "Timeout"
  readonly success: false
  readonly timeout: true
  readonly timeoutMs: number
  readonly timeoutKind: "attempt" | "total"
  /** The work did not stop within `grace` of its interruption; its outcome is dropped. */
  readonly abandoned: boolean
  readonly error: string
  readonly errorType: "TimeoutError"
  readonly cause: Cause.Cause<FlowTimeoutError>
  readonly failure: FlowTimeoutError
  readonly failedNode?: string
  readonly traceback?: string
}

/**
 * A circuit, or a limit, refused the flow; `state` is its launch state.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rejected<S> extends Base<S> {
  readonly _tag: "Rejected"
  readonly success: false
  readonly timeout: false
  readonly abandoned: false
  readonly error: string
  readonly errorType: "CircuitOpenError" | "LimitExceededError"
  readonly cause: Cause.Cause<CircuitOpenError | LimitExceededError>
  readonly failure: CircuitOpenError | LimitExceededError
  readonly traceback?: string
}

/**
 * The flow was interrupted: by a sibling's fail-fast, by the flow around it, or by the caller.
 *
 * @category models
 * @since 0.1.0
 */
export interface Interrupted<S> extends Base<S> {
  readonly _tag: "Interrupted"
  readonly success: false
  readonly timeout: false
  readonly abandoned: boolean
  readonly error: string
  readonly errorType: "InterruptedError"
  readonly cause: Cause.Cause<never>
  readonly failedNode?: string
  readonly traceback?: string
}

/**
 * What became of one flow.
 *
 * @category models
 * @since 0.1.0
 */
export type ParallelFlowResult<S, E = never> = Success<S> | Failure<S, E> | Timeout<S> | Rejected<S> | Interrupted<S>

/**
 * Every result but a success.
 *
 * @category models
 * @since 0.1.0
 */
export type NotSuccess<S, E = never> = Exclude<ParallelFlowResult<S, E>, Success<S>>

/**
 * A result of any state and error.
 *
 * @category models
 * @since 0.1.0
 */
export type Any = ParallelFlowResult<Readonly<Record<string, unknown>>, unknown>

const TypeId = "~effect-stategraph/ParallelFlowResult"

const Proto = {
  [TypeId]: TypeId,
  get(this: Any, key: string, orElse?: unknown): unknown {
    if (Object.hasOwn(this.state, key)) return this.state[key]
    if (Object.hasOwn(this, key)) return (this as unknown as Record<string, unknown>)[key]
    return orElse
  },
  has(this: Any, key: string): boolean {
    return Object.hasOwn(this.state, key) || Object.hasOwn(this, key)
  }
}

/**
 * The fields that do not depend on how the flow ended.
 *
 * @internal
 */
export interface Common {
  readonly branch: string
  readonly state: Readonly<Record<string, unknown>>
  readonly startTime: number
  readonly timingMs: number
  readonly attempts: number
  readonly attemptErrors: ReadonlyArray<AttemptError>
  readonly attemptErrorsDropped: number
  readonly usedFallback: boolean
  readonly circuitState?: CircuitState | undefined
  readonly mapped?: { readonly item: unknown; readonly index: number } | undefined
}

/** The fields that do. */
type Own<R> = R extends unknown ? Omit<R, keyof Base<unknown>> & { readonly item?: unknown; readonly index?: number }
  : never

class FlowResult {
  readonly _tag: string
  readonly branch: string
  readonly success: boolean
  readonly state: Common["state"]
  readonly startTime: number
  readonly endTime: number
  readonly timingMs: number
  readonly durationMs: number
  readonly attempts: number
  readonly retryCount: number
  readonly attemptErrors: ReadonlyArray<AttemptError>
  readonly attemptErrorsDropped: number
  readonly usedFallback: boolean
  readonly timeout: boolean
  readonly abandoned: boolean
  declare readonly circuitState: CircuitState
  constructor(common: Common, own: Own<Any>) {
    this._tag = own._tag
    this.branch = common.branch
    this.success = own.success
    this.state = common.state
    this.startTime = common.startTime
    this.endTime = common.startTime + common.timingMs
    this.timingMs = common.timingMs
    this.durationMs = common.timingMs
    this.attempts = common.attempts
    this.retryCount = common.attempts > 0 ? common.attempts - 1 : 0
    this.attemptErrors = common.attemptErrors
    this.attemptErrorsDropped = common.attemptErrorsDropped
    this.usedFallback = common.usedFallback
    this.timeout = own.timeout
    this.abandoned = own.abandoned
    if (common.circuitState !== undefined) this.circuitState = common.circuitState
    if (own._tag !== "Success" || "item" in own) Object.assign(this, own)
    if (common.mapped !== undefined) Object.assign(this, { item: common.mapped.item, index: common.mapped.index })
  }
}
Object.assign(FlowResult.prototype, Proto)

/** @internal */
export const fromFields = (common: Common, own: Own<Any>): Any => new FlowResult(common, own) as unknown as Any

/**
 * Whether a value is a result made by this library.
 *
 * @category guards
 * @since 0.1.0
 */
export const isParallelFlowResult = (u: unknown): u is Any => typeof u === "object" && u !== null && TypeId in u

/**
 * The successful results, in order.
 *
 * @category filtering
 * @since 0.1.0
 */
export const successes = <S, E>(results: ReadonlyArray<ParallelFlowResult<S, E>>): Array<Success<S>> =>
  results.filter((result) => result.success)

/**
 * All results that are not successes, in order: failed, timed out, rejected and interrupted ones.
 *
 * @category filtering
 * @since 0.1.0
 */
export const failures = <S, E>(results: ReadonlyArray<ParallelFlowResult<S, E>>): Array<NotSuccess<S, E>> =>
  results.filter((result): result is NotSuccess<S, E> => !result.success)

/**
 * Splits results into `[successes, others]`, each in order.
 *
 * @category filtering
 * @since 0.1.0
 */
export const partition = <S, E>(
  results: ReadonlyArray<ParallelFlowResult<S, E>>
): [successes: Array<Success<S>>, others: Array<NotSuccess<S, E>>] => [successes(results), failures(results)]

/**
 * A codec of results to JSON, so that they can be stored, sent and logged.
 *
 * **Details**
 *
 * `state` is the schema of the graph's state. With `error`, the schema of the nodes' errors, a decoded failure has its
 * class again; without, it keeps `_tag`, name, message and JSON fields. `item` is the schema of a map's items (default:
 * JSON). What does not encode is a `SchemaError`.
 *
 * An encoded result holds no stack trace, unless the flow's config said `includeTraceback`.
 *
 * **Example** (There and back)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { ParallelFlowResult, StateGraph } from "effect-stategraph"
 *
 * const State = Schema.Struct({ n: Schema.Number })
 * const codec = ParallelFlowResult.schema(State)
 * const seen: Array<unknown> = []
 *
 * const graph = StateGraph.make("g", State)
 *   .addNode("boom", () => Effect.fail(new RangeError("too big")))
 *   .addFanInNode("join", (_state, { parallelResults }) => {
 *     seen.push(...parallelResults.map((result) => JSON.stringify(Schema.encodeSync(codec)(result))))
 *   })
 *   .addParallelEdge(StateGraph.START, "boom", "join")
 *   .setFinishPoint("join")
 *   .compile()
 *
 * await Effect.runPromise(graph.invoke({ n: 1 }))
 * const [result] = seen.map((json) => Schema.decodeUnknownSync(codec)(JSON.parse(String(json))))
 * result?.get("error") // => "too big"
 * result?.get("errorType") // => "RangeError"
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const schema = <
  State extends Schema.Constraint,
  Failed extends Schema.Constraint = Schema.Unknown,
  Item extends Schema.Constraint = typeof Schema.Json
>(
  state: State,
  options?: { readonly error?: Failed | undefined; readonly item?: Item | undefined }
): ResultCodec<State, Failed, Item> => {
  const codec: Schema.Codec<Any, unknown, unknown, unknown> = Schema.toCodecJson(
    record(state as never, options?.error as never, (options?.item ?? Schema.Json) as never, () => codec)
  ).pipe(
    Schema.decodeTo(
      Schema.declare(isParallelFlowResult),
      SchemaTransformation.transform({
        decode: (json: unknown): Any => read(json as Own<Any> & Common),
        encode: (result: Any): unknown => ({ ...result })
      })
    )
  )
  return codec as unknown as ResultCodec<State, Failed, Item>
}

/**
 * The codec that {@link schema} makes.
 *
 * @category schemas
 * @since 0.1.0
 */
export interface ResultCodec<
  State extends Schema.Constraint,
  Failed extends Schema.Constraint,
  Item extends Schema.Constraint
> extends
  Schema.Codec<
    ParallelFlowResult<State["Type"], Failed["Type"]>,
    unknown,
    State["DecodingServices"] | Failed["DecodingServices"] | Item["DecodingServices"],
    State["EncodingServices"] | Failed["EncodingServices"] | Item["EncodingServices"]
  >
{}

/** What was read back: causes that follow from other fields are not stored. */
const read = (stored: Own<Any> & Common): Any => {
  const { attemptErrors, attemptErrorsDropped, attempts, branch, ...rest } = stored
  const { circuitState, startTime, state, timingMs, usedFallback, ...own } = rest
  const when = { startTime, timingMs }
  const common = { attemptErrors, attemptErrorsDropped, attempts, branch, circuitState, state, usedFallback, ...when }
  return fromFields(common, withCause(own as Own<Any>))
}

const withCause = (own: Own<Any>): Own<Any> => {
  switch (own._tag) {
    case "Success":
      return own
    case "Failure": {
      const typed = Cause.findErrorOption(own.cause)
      return typed._tag === "Some" ? { ...own, failure: typed.value } : own
    }
    case "Timeout":
      return { ...own, cause: Cause.fail(own.failure) }
    case "Rejected":
      return { ...own, cause: Cause.fail(own.failure) }
    case "Interrupted":
      return { ...own, cause: Cause.interrupt() }
  }
}
