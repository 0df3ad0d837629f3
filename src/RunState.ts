/**
 * Where a run stands, as data: what a checkpoint holds, in JSON.
 *
 * The run is a tree: lines (the main line, one attempt of a flow, the main line of a graph that is a node) hold the joins of the
 * flows that they launched, joins hold flows, and a flow that runs holds its line. States, results and items are stored as
 * their schemas encode them. Times are durations of running time: what passes while a run is stopped does not count.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The version of what {@link RunState} describes; another one is not read.
 *
 * @category constants
 * @since 0.1.0
 */
export const format = 1

/**
 * Where a run waits for somebody: a point of `suspendBefore` or `suspendAfter`, or a question of a node.
 *
 * **Details**
 *
 * `branch` is absent on the main line. `name` is that of the question, or of the node at a point; `payload` is what the node gave with
 * its question, and `schema` describes its answer as JSON Schema (draft 2020-12).
 *
 * @category models
 * @since 0.1.0
 */
export const Pending = Schema.Struct({
  branch: Schema.optionalKey(Schema.String),
  node: Schema.String,
  when: Schema.Literals(["before", "after", "asked"]),
  name: Schema.String,
  payload: Schema.optionalKey(Schema.Json),
  schema: Schema.optionalKey(Schema.Json)
})

/**
 * Where a run waits for somebody.
 *
 * @category models
 * @since 0.1.0
 */
export type Pending = typeof Pending.Type

// Not the largest there is: a run counts on from there.
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThanOrEqualTo(2 ** 52))
const Ms = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
/** Values by name, as pairs: a name can be anything. */
const named = <S extends Schema.Constraint>(value: S) => Schema.Array(Schema.Tuple([Schema.String, value]))

const AttemptError = Schema.Struct({
  attempt: Schema.Int,
  error: Schema.String,
  errorType: Schema.String,
  timingMs: Schema.Finite
})

const attempted = {
  /** Attempts that have begun. */
  attempts: Count,
  /** Running time since the first attempt began; absent before. */
  elapsedMs: Schema.optionalKey(Ms),
  /** Epoch milliseconds of that moment. */
  startTime: Schema.optionalKey(Schema.Finite),
  errors: Schema.Array(AttemptError),
  errorsDropped: Count,
  circuitState: Schema.optionalKey(Schema.Literals(["CLOSED", "OPEN", "HALF_OPEN"])),
  /** What is left of the wait before the next attempt. */
  waitMs: Schema.optionalKey(Ms)
} as const

/** A node with a policy, in the middle of its attempts. */
const CallState = Schema.Struct({
  ...attempted,
  /** Running time of the attempt that is on; absent between attempts. */
  attemptMs: Schema.optionalKey(Ms)
})

/**
 * One line: where it is, and what it waits for.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineState {
  readonly state: Schema.Json
  /** A node, or where the line begins or ends. */
  readonly at: string
  /** That node is to be run, has been run and saved, or has launched its flows too. */
  readonly phase: "before" | "after" | "launched"
  readonly steps: number
  /** How often each node was run. */
  readonly visits: ReadonlyArray<readonly [string, number]>
  readonly joins: ReadonlyArray<JoinState>
  /** Running time of the attempt that this line is. */
  readonly elapsedMs: number
  /** The node that `at` stands in for. */
  readonly insteadOf?: string
  readonly usedFallback?: true
  /** Keys that it has set. */
  readonly written?: ReadonlyArray<string>
  readonly call?: typeof CallState.Type
  /** The graph that its node is. */
  readonly inner?: LineState
  /** The point before its node has been passed. */
  readonly passed?: true
  /** What it waits for. */
  readonly pending?: ReadonlyArray<Pending>
  /** Answers that its node has had, until it completes. */
  readonly answers?: ReadonlyArray<readonly [string, Schema.Json]>
}

/**
 * The flows of a line that are bound for one fan-in.
 *
 * @category models
 * @since 0.1.0
 */
export interface JoinState {
  readonly fanIn: string
  readonly launches: number
  /** Running time since the first launch. */
  readonly elapsedMs?: number
  /** Why the fan-in waits for no more flows. */
  readonly completed?: string
  readonly flows: ReadonlyArray<FlowState>
  readonly maps: ReadonlyArray<MapState>
}

/**
 * One flow: settled with a result, at work, or waiting.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlowState {
  /** The parallel edge. */
  readonly from: string
  readonly name: string
  readonly launch: string
  readonly rank: number
  readonly key?: string
  readonly item?: Schema.Json
  readonly index?: number
  /** What every attempt starts from. */
  readonly state: Schema.Json
  readonly result?: Schema.Json
  readonly written?: ReadonlyArray<string>
  /** Why it is not to go on. */
  readonly cancelled?: string
  readonly usedFallback?: true
  /** The attempt that is on. */
  readonly line?: LineState
  readonly attempts: number
  readonly elapsedMs?: number
  readonly startTime?: number
  readonly errors: ReadonlyArray<typeof AttemptError.Type>
  readonly errorsDropped: number
  readonly circuitState?: "CLOSED" | "OPEN" | "HALF_OPEN"
  readonly waitMs?: number
}

/**
 * A parallel map whose items have not all been launched.
 *
 * @category models
 * @since 0.1.0
 */
export interface MapState {
  readonly from: string
  readonly name: string
  readonly launch: string
  readonly rank: number
  /** What its flows start from. */
  readonly state: Schema.Json
  /** How many items have been launched. */
  readonly index: number
  /** The others, when they came as a list; otherwise `items` is asked again. */
  readonly items?: ReadonlyArray<Schema.Json>
}

const Keys = Schema.Array(Schema.String)

const LineState: Schema.Codec<LineState> = Schema.suspend((): Schema.Codec<LineState> =>
  Schema.Struct({
    state: Schema.Json,
    at: Schema.String,
    phase: Schema.Literals(["before", "after", "launched"]),
    steps: Count,
    visits: named(Count),
    joins: Schema.Array(JoinState),
    elapsedMs: Ms,
    insteadOf: Schema.optionalKey(Schema.String),
    usedFallback: Schema.optionalKey(Schema.Literal(true)),
    written: Schema.optionalKey(Keys),
    call: Schema.optionalKey(CallState),
    inner: Schema.optionalKey(LineState),
    passed: Schema.optionalKey(Schema.Literal(true)),
    pending: Schema.optionalKey(Schema.Array(Pending)),
    answers: Schema.optionalKey(named(Schema.Json))
  })
)

const MapState = Schema.Struct({
  from: Schema.String,
  name: Schema.String,
  launch: Schema.String,
  rank: Schema.Finite,
  state: Schema.Json,
  index: Count,
  items: Schema.optionalKey(Schema.Array(Schema.Json))
})

const FlowState: Schema.Codec<FlowState> = Schema.Struct({
  from: Schema.String,
  name: Schema.String,
  launch: Schema.String,
  rank: Schema.Finite,
  key: Schema.optionalKey(Schema.String),
  item: Schema.optionalKey(Schema.Json),
  index: Schema.optionalKey(Count),
  state: Schema.Json,
  result: Schema.optionalKey(Schema.Json),
  written: Schema.optionalKey(Keys),
  cancelled: Schema.optionalKey(Schema.String),
  usedFallback: Schema.optionalKey(Schema.Literal(true)),
  line: Schema.optionalKey(LineState),
  ...attempted
})

const JoinState: Schema.Codec<JoinState> = Schema.Struct({
  fanIn: Schema.String,
  launches: Count,
  elapsedMs: Schema.optionalKey(Ms),
  completed: Schema.optionalKey(Schema.String),
  flows: Schema.Array(FlowState),
  maps: Schema.Array(MapState)
})

const tally = { calls: Count, failures: Count, slow: Count } as const

/**
 * A circuit as it was when the run was saved. Restored for keys that the registry does not know.
 *
 * @category models
 * @since 0.1.0
 */
export const CircuitSnapshot = Schema.Struct({
  key: Schema.String,
  state: Schema.Literals(["CLOSED", "OPEN"]),
  failureCount: Count,
  lastFailureMsAgo: Schema.optionalKey(Ms),
  openedMsAgo: Schema.optionalKey(Ms),
  openMs: Schema.optionalKey(Ms),
  reopenings: Schema.optionalKey(Count),
  mode: Schema.optionalKey(Schema.Literals(["forced", "disabled"])),
  window: Schema.optionalKey(Schema.Union([
    Schema.Struct({ _tag: Schema.Literal("Count"), ...tally, ring: Schema.String }),
    Schema.Struct({
      _tag: Schema.Literal("Time"),
      parts: Schema.Array(Schema.Struct({ msAgo: Ms, ...tally }))
    })
  ]))
})

/**
 * A circuit as it was when the run was saved.
 *
 * @category models
 * @since 0.1.0
 */
export type CircuitSnapshot = typeof CircuitSnapshot.Type

/**
 * The schema of a saved run.
 *
 * **When to use**
 *
 * To look into a checkpoint's `body`: `Schema.decodeUnknownSync(RunState.fromBody)(checkpoint.body)`.
 *
 * **Details**
 *
 * `fingerprint` is of the graph's shape: when it differs, a run is continued with a warning as long as every node, branch and
 * fan-in in it still exists.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunState = Schema.Struct({
  format: Schema.Literal(format),
  graph: Schema.String,
  fingerprint: Schema.String,
  runId: Schema.String,
  main: LineState,
  circuits: Schema.Array(CircuitSnapshot)
})

/**
 * A saved run.
 *
 * @category models
 * @since 0.1.0
 */
export type RunState = typeof RunState.Type

/**
 * The schema of a checkpoint's body: a {@link RunState} as a JSON text.
 *
 * @category schemas
 * @since 0.1.0
 */
export const fromBody = Schema.fromJsonString(RunState)

/**
 * Everything that a saved run waits for, the main line first.
 *
 * **Example** (A run that waits for nobody)
 *
 * ```ts
 * import { RunState } from "effect-stategraph"
 *
 * const main = { state: {}, at: "ship", phase: "before", steps: 2, visits: [], joins: [], elapsedMs: 0 } as const
 * const run = { format: 1, graph: "order", fingerprint: "", runId: "r1", main, circuits: [] } as const
 *
 * RunState.pending(run) // => []
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const pending = (run: RunState): ReadonlyArray<Pending> => ofLine(run.main)

const ofLine = ({ inner, joins, pending = [] }: LineState): ReadonlyArray<Pending> => [
  ...pending,
  ...inner === undefined ? [] : ofLine(inner),
  ...joins.flatMap(({ flows }) => flows.flatMap(({ line }) => line === undefined ? [] : ofLine(line)))
]
