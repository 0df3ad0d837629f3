/**
 * A run while it runs: one small mutable cell per open line, and (in `work.ts`) per flow and join. Their snapshot is the
 * state of the run as data; nothing about where a run stands is kept anywhere else.
 */
import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type * as GraphError from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import type { NodeContext } from "../NodeContext.ts"
import type * as ParallelConfig from "../ParallelConfig.ts"
import type * as RunState from "../RunState.ts"
import type { Callbacks } from "./callbacks.ts"
import type { Codecs } from "./codecs.ts"
import type { Interceptor } from "./interception.ts"
import type { NodeFunction, Plan, PlanEdge, PlanNode, Position, State } from "./plan.ts"
import type { Session } from "./session.ts"
import type { StartSpan } from "./span.ts"
import type { Flow, Join, Mapped, NodeCall } from "./work.ts"

/** One `invoke` or `stream`: what all its lines share. */
export interface Run {
  readonly plan: Plan
  readonly runId: string
  readonly thread: string | undefined
  readonly clock: Clock.Clock
  /** Absent when tracing is off. */
  readonly spans: StartSpan | undefined
  readonly registry: CircuitBreakerRegistry.Service
  /** Tells hooks and listeners. Absent when there are none: then no event is even built. */
  readonly emit: ((event: GraphEvent.Any) => void) | undefined
  /** Tells listeners alone, of what no hook is for. */
  readonly listen: ((event: GraphEvent.Any) => void) | undefined
  readonly callbacks: Callbacks | undefined
  readonly metrics: GraphMetrics.OfGraph
  /** What metrics read of `context`. */
  readonly metricTarget: GraphMetrics.Target
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
  /** Those of this graph and the graphs inside it, as data. */
  readonly circuits: () => ReadonlyArray<RunState.CircuitSnapshot>
  /** Notes the circuit that a branch of this graph uses. */
  readonly useCircuit: (branch: string, key: string) => void
  /** Absent for a run of its own; else the node that this run is. */
  readonly inside: Inside | undefined
  /** Its saving, and its waiting for somebody: one for a run and the graphs inside it. */
  readonly session: Session
  readonly codecs: Codecs
  /** Puts a line where it stood when it was saved. */
  readonly restore: (line: Line, saved: RunState.LineState) => void
  /** Around the functions of nodes; absent but in tests. */
  readonly interceptor: Interceptor | undefined
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

/** Its time was up. */
export interface Limit {
  readonly _tag: "Limit"
  readonly kind: "attempt" | "total"
  /** As configured. */
  readonly limitMs: number
}

/** How one execution of a line ended: by itself, or cut. */
export type End = { readonly _tag: "Exit"; readonly exit: Exit.Exit<State, unknown> } | Cut

/** Questions without an answer. */
export interface Asking {
  readonly questions: Map<string, RunState.Pending>
  /** The node is stopped for them: whatever it comes to now is none of its outcomes. */
  stops: boolean
}

/** What a line says to somebody outside of its run, and what it is told. */
export class Dialog {
  /** What its node asks, until it has stopped. */
  asking: Asking | undefined = undefined
  /** What it waits for, parked. */
  pending: ReadonlyArray<RunState.Pending> | undefined = undefined
  /** Whether it has been resumed from the point before its node, for as long as it is there. */
  passed = false
  /** Its node's questions when it was saved, if there are answers now. */
  asked: ReadonlyArray<RunState.Pending> | undefined = undefined
  /** Answers to its node: those that it took, as JSON, and those that a resume brings. */
  answers: Map<string, RunState.LineState["state"]> | undefined = undefined
  offered: Map<string, unknown> | undefined = undefined
  /** Monotonic ms: when the line, or all that it waits for, was parked. */
  stoppedAt: number | undefined = undefined
}

/** What few lines ever have: very many may wait at the same time. */
export class Rare {
  /** Keys that its nodes set, where the fan-in that joins it merges them. */
  written: Set<string> | undefined = undefined
  /** The node in whose place another one runs: the way on is its own. */
  insteadOf: PlanNode | undefined = undefined
  usedFallback = false
  /** The node that failed, or was in execution when the line was cut. */
  failedNode: string | undefined = undefined
  /** Where it stood when it failed or was stopped, if it is kept. */
  kept: RunState.LineState | undefined = undefined
  /** Told once when an ended line has no work left. */
  onIdle: (() => void) | undefined = undefined
}

/** What of a saved line is to be continued yet. */
export interface Continued {
  /** The attempts of its node, and the graph that its node is. */
  call: RunState.LineState["call"]
  inner: RunState.LineState | undefined
  /** Starts what was open when the line was saved. */
  begin: (() => void) | undefined
}

const noJoins: ReadonlyArray<Join> = []

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
  /** Whether the node at `position` is to be run, runs, was completed, or has launched its flows too. */
  phase: "before" | "entered" | "after" | "launched" = "before"
  steps = 0
  /** The node in execution, if any. */
  running: PlanNode | undefined = undefined
  /** What its node is, when it is more than a function: a graph with its main line, or attempts of a guarded node. */
  inner: { readonly line: Line | undefined } | undefined = undefined
  /** The guarded node that this line is one attempt of, instead of the flow around it. */
  call: NodeCall | undefined = undefined
  /** What it was told. */
  ctx: NodeContext<unknown, unknown> | undefined = undefined
  runningSpan: Tracer.Span | undefined = undefined
  /** Launched and not yet joined. */
  open: ReadonlyArray<Join> = noJoins
  /** What its fan-in joins while that runs. */
  joining: Join | undefined = undefined
  /** Whom the user code that runs now may ask for; absent while none does. */
  asker: NodeContext<unknown, unknown> | undefined = undefined
  /** Absent for as long as nothing is said: most lines never say anything. */
  dialog: Dialog | undefined = undefined
  /** Of a saved run. */
  continued: Continued | undefined = undefined
  rare: Rare | undefined = undefined
  /** Counts visits from the second step on: most flows have one step only. */
  visits: Map<PlanNode, number> | undefined = undefined
  first: PlanNode | undefined = undefined

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
  /** Milliseconds that it may take; absent without a limit. */
  limitMs: number | undefined = undefined
  /** Monotonic ms. */
  startedAt = 0
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

  get said(): Dialog {
    return this.dialog ??= new Dialog()
  }

  get rarely(): Rare {
    return this.rare ??= new Rare()
  }

  /** The line that waits for this one. */
  get around(): Line | undefined {
    return this.call?.owner ?? this.flow?.owner ?? this.run.inside?.line
  }

  /** It, or something around it, is being stopped, so that it will be too. */
  get isStopping(): boolean {
    const { ended, flow, pendingCut } = this
    return ended || pendingCut !== undefined || flow?.cancelled !== undefined || this.around?.isStopping === true
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
      yield at.line.call?.owner ?? at.line
    }
  }

  /** Visits of a node on this line so far. */
  visitsOf(node: PlanNode): number {
    return this.visits === undefined ? this.first === node ? 1 : 0 : this.visits.get(node) ?? 0
  }
}

export const interrupted = (by: string): Interrupted => ({ _tag: "Interrupted", by })
