/**
 * A run while it runs: one small mutable cell per open line, flow and join. Their snapshot is the state of the run as
 * data; nothing about where a run stands is kept anywhere else.
 */
import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"
import type { CircuitState } from "../CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type { Completion } from "../Completion.ts"
import type * as GraphError from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import type { NodeContext } from "../NodeContext.ts"
import type * as ParallelConfig from "../ParallelConfig.ts"
import type * as ParallelFlowResult from "../ParallelFlowResult.ts"
import type { Callbacks } from "./callbacks.ts"
import type { Places } from "./places.ts"
import type { NodeFunction, Plan, PlanEdge, PlanNode, Position, State } from "./plan.ts"

/** One `invoke` or `stream`: what all its lines share. */
export interface Run {
  readonly plan: Plan
  readonly runId: string
  readonly thread: string | undefined
  readonly clock: Clock.Clock
  readonly tracing: boolean
  readonly registry: CircuitBreakerRegistry.Service
  /** Absent when nobody listens: then no event is even built. */
  readonly emit: ((event: GraphEvent.Any) => void) | undefined
  readonly callbacks: Callbacks | undefined
  readonly metrics: GraphMetrics.OfGraph
  /** The run's services, for metrics and logs. */
  readonly context: Context.Context<never>
  /** What logs of the caller say beside their message. */
  readonly annotations: Readonly<Record<string, unknown>>
  readonly config: ParallelConfig.Resolved
  readonly configOf: (edge: PlanEdge) => ParallelConfig.Resolved
  readonly configOfItem: (
    edge: PlanEdge,
    own: ParallelConfig.Input
  ) => Result.Result<ParallelConfig.Resolved, ReadonlyArray<GraphError.InvalidConfigError>>
  /** Notes the circuit that a branch of this graph uses. */
  readonly useCircuit: (branch: string, key: string) => void
  /** Absent for a run of its own; else the node that this run is. */
  readonly inside: Inside | undefined
  /** What runs a graph as a node. */
  readonly subgraph: (line: Line, node: PlanNode) => NodeFunction
  /** The interpreter of a line, passed in because lines launch flows and flows are lines. */
  readonly walk: (line: Line) => void
  /** Stops a line before its end. */
  readonly cut: (line: Line, why: Cut) => void
  /** Stops those flows of a join that have not settled. */
  readonly cutFlows: (join: Join, by: string) => void
}

/** Where a run that is a node of another one is. */
export interface Inside {
  /** The line that waits for it. */
  readonly line: Line
  readonly branch: string | undefined
  readonly fanIn: string | undefined
  readonly attempt: number | undefined
  readonly mapped: Mapped | undefined
  /** Before its branches and its nodes, as events name them; both end in `/`. */
  readonly branches: string
  readonly nodes: string
  /** Of the node that it is. */
  readonly idempotencyKey: string
}

/** Why a line was stopped before it ended by itself. */
export type Cut =
  | Limit
  | { readonly _tag: "FailFast"; readonly error: GraphError.FailFastError }
  /** What the line needs beside its nodes, the items of a map, failed. */
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown>; readonly node: string }
  | Interrupted

export interface Interrupted {
  readonly _tag: "Interrupted"
  readonly by: string
}

/** The cut that comes after `ms`. */
export interface Limit {
  readonly _tag: "Limit"
  readonly kind: "attempt" | "total"
  /** As configured; `ms` is what is left of it. */
  readonly limitMs: number
  readonly ms: number
}

/** How one execution of a line ended: by itself, or cut. */
export type End = { readonly _tag: "Exit"; readonly exit: Exit.Exit<State, unknown> } | Cut

const noJoins: ReadonlyArray<Join> = []
const noErrors: ReadonlyArray<ParallelFlowResult.AttemptError> = []

/** A line of execution: the main line, or one attempt of a flow. */
export class Line {
  readonly run: Run
  /** The flow that this line is an attempt of. */
  readonly flow: Flow | undefined
  readonly attempt: number
  /** What its nodes run in: services, and the span around them. */
  readonly context: Context.Context<never>
  readonly span: Tracer.Span | undefined

  state: State
  position: Position
  steps = 0
  /** The node in execution, if any. */
  running: PlanNode | undefined = undefined
  /** The main line of the graph that its node is. */
  inner: Line | undefined = undefined
  /** What it was told. */
  ctx: NodeContext<unknown, unknown> | undefined = undefined
  runningSpan: Tracer.Span | undefined = undefined
  /** Launched and not yet joined. */
  open: ReadonlyArray<Join> = noJoins
  /** Keys that its nodes set, where the fan-in that joins it merges them. */
  written: Set<string> | undefined = undefined
  /** Counts visits from the second step on: most flows have one step only. */
  visits: Map<PlanNode, number> | undefined = undefined
  first: PlanNode | undefined = undefined
  /** The node that failed, or was in execution when the line was cut. */
  failedNode: string | undefined = undefined

  /** The node, or condition, that runs in a fiber now. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** The interpreter is at work on this line right now; whatever stops the line meanwhile waits in `pendingCut`. */
  onStack = false
  pendingCut: Cut | undefined = undefined
  /** The line has ended, by itself or cut; what it does from now on is only its remains. */
  ended = false
  how: End | undefined = undefined
  onEnd: ((line: Line, end: End) => void) | undefined = undefined
  cancelTimer: (() => void) | undefined = undefined
  limit: Limit | undefined = undefined
  /** Monotonic ms. */
  startedAt = 0
  /** Told once when an ended line has no work left. */
  onIdle: (() => void) | undefined = undefined
  /** Abandoned: whatever it still does is not reported any more. */
  muted = false
  /** Abandoned work on this line and below that has not ended yet. */
  zombies = 0

  constructor(
    run: Run,
    flow: Flow | undefined,
    attempt: number,
    context: Context.Context<never>,
    span: Tracer.Span | undefined,
    state: State,
    position: Position
  ) {
    this.run = run
    this.flow = flow
    this.attempt = attempt
    this.context = context
    this.span = span
    this.state = state
    this.position = position
  }

  get branch(): string | undefined {
    return this.flow?.branch
  }

  visit(node: PlanNode): void {
    this.steps++
    if (this.run.inside !== undefined) { for (const outer of this.outer()) outer.steps++ }
    if (this.first === undefined) this.first = node
    else {
      this.visits ??= new Map([[this.first, 1]])
      this.visits.set(node, (this.visits.get(node) ?? 0) + 1)
    }
  }

  /** The lines that this one's steps count on too: those that run its graph as a node. */
  *outer(): Generator<Line, void> {
    if (this.flow !== undefined) return
    for (let at = this.run.inside; at !== undefined; at = at.line.flow === undefined ? at.line.run.inside : undefined) {
      yield at.line
    }
  }

  /** Visits of a node on this line so far. */
  visitsOf(node: PlanNode): number {
    return this.visits === undefined ? this.first === node ? 1 : 0 : this.visits.get(node) ?? 0
  }
}

/** Which item of a map a flow is for. */
export interface Mapped {
  readonly key: string
  readonly item: unknown
  readonly index: number
  readonly circuitKey: string | undefined
}

/** What one parallel edge started, for one item if it is a map. */
export class Flow {
  /** The line that launched it and joins it. */
  readonly owner: Line
  readonly edge: PlanEdge
  readonly config: ParallelConfig.Resolved
  readonly branch: string
  /** The branch without item keys: all flows of a map are of one family. */
  readonly family: string
  readonly mapped: Mapped | undefined
  /** Its place among the results: of several launches of one join, and of the edges of one launch. */
  readonly rank: number
  /** Identifies the launch within the run: the launches around it, its node and that node's visit. */
  readonly launch: string
  readonly state: State
  readonly join: Join
  readonly places: Places | undefined
  span: Tracer.Span | undefined = undefined
  context: Context.Context<never>

  attempts = 0
  /** Epoch ms, and monotonic ms, of the first attempt's start. */
  startTime = 0
  startedAt = 0
  /** Monotonic ms of the last attempt's end, or of the decision that ended the flow. */
  endedAt = 0
  errors: ReadonlyArray<ParallelFlowResult.AttemptError> = noErrors
  errorsDropped = 0
  circuitState: CircuitState | undefined = undefined
  transition: CircuitBreakerRegistry.Transition | undefined = undefined
  /** The attempt in execution, or the last one; absent when the flow has settled. */
  line: Line | undefined = undefined

  holdsPlace = false
  /** Cut before or between attempts: the flow must not run any (further) attempt. */
  cancelled: Interrupted | undefined = undefined
  /** Takes the end of an attempt, where wrappers wait for it. */
  resume: ((end: End) => void) | undefined = undefined
  /** Wakes the flow where it waits. */
  wake: (() => void) | undefined = undefined
  result: ParallelFlowResult.Any | undefined = undefined
  /** Keys that its last attempt set, where the fan-in merges them. */
  written: ReadonlySet<string> | undefined = undefined

  constructor(
    owner: Line,
    edge: PlanEdge,
    config: ParallelConfig.Resolved,
    join: Join,
    places: Places | undefined,
    launch: string,
    rank: number,
    mapped: Mapped | undefined
  ) {
    this.owner = owner
    this.edge = edge
    this.config = config
    this.join = join
    this.places = places
    this.launch = launch
    this.rank = rank
    this.mapped = mapped
    const within = owner.flow
    const family = within === undefined ? edge.name : `${within.family}/${edge.name}`
    this.family = family
    if (mapped === undefined) {
      this.branch = within === undefined || within.branch === within.family ? family : `${within.branch}/${edge.name}`
    } else this.branch = `${within === undefined ? "" : `${within.branch}/`}${edge.name}[${mapped.key}]`
    this.state = owner.state
    this.context = owner.context
  }

  get run(): Run {
    return this.owner.run
  }

  /** Identifies this flow within the run, other than `branch` also across the rounds of a loop. */
  get round(): string {
    return `${this.launch}>${this.edge.name}${this.mapped === undefined ? "" : `[${this.mapped.key}]`}/`
  }
}

/** A flow's branch as everybody outside of its own graph names it. */
export const branchOf = ({ branch, run: { inside } }: Flow): string =>
  inside === undefined ? branch : `${inside.branches}${branch}`

/** What launches the flows of a map, one by one. */
export interface Producer {
  /** Stops it; it leaves its join when nothing of it runs. */
  readonly stop: () => void
  /** Makes it leave its join now; what still runs is given back. */
  readonly abandon: () => Fiber.Fiber<unknown, unknown> | undefined
}

/** The flows of one line that are bound for one fan-in. */
export class Join {
  readonly fanIn: PlanNode
  readonly flows: Array<Flow> = []
  /** Maps whose items have not all been launched. */
  readonly producers = new Set<Producer>()
  /** Flows that have not settled, and producers. */
  pending = 0
  settled = 0
  /** Launches so far that it joins. */
  launches = 0
  /** The line has arrived: no more flows are launched. */
  closed = false
  /** The line, when it waits here. */
  waiter: (() => void) | undefined = undefined
  /** Why no more flows are waited for, if its rule says so. */
  completed: Completion["reason"] | undefined = undefined
  successful = 0
  cancelTimer: (() => void) | undefined = undefined
  constructor(fanIn: PlanNode) {
    this.fanIn = fanIn
  }
}

/** What came of one try to execute a flow's chain. */
export type Outcome =
  | { readonly _tag: "Executed"; readonly end: End; readonly abandoned: boolean }
  | { readonly _tag: "Rejected"; readonly error: GraphError.CircuitOpenError }
  /** The total limit passed while the flow waited for its next attempt. */
  | { readonly _tag: "OutOfTime" }
  /** Cut while the flow waited. */
  | { readonly _tag: "Cancelled" }

export const interrupted = (by: string): Interrupted => ({ _tag: "Interrupted", by })
