/**
 * What lines wait for, as cells: what is executed in attempts (a flow, or a node with a policy of its own), and the joins of
 * flows.
 */
import type * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import type { CircuitState } from "../CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import type { Completion } from "../Completion.ts"
import type * as GraphError from "../GraphError.ts"
import type * as ParallelConfig from "../ParallelConfig.ts"
import type * as ParallelFlowResult from "../ParallelFlowResult.ts"
import type * as RunState from "../RunState.ts"
import type { End, Interrupted, Line, Run } from "./cells.ts"
import type { Places } from "./places.ts"
import type { PlanEdge, PlanNode, State } from "./plan.ts"

const noErrors: ReadonlyArray<ParallelFlowResult.AttemptError> = []

/** What work with a circuit has of it. */
export interface OfCircuit {
  state: CircuitState | undefined
  /** Told with the next attempt, which it let through. */
  transition: CircuitBreakerRegistry.Transition | undefined
  /** Gives back the permission, once: its attempt is not counted. */
  release: (() => void) | undefined
}

/** What flows and guarded nodes have in common: all that the wrappers need. */
abstract class Attempted {
  /** The line that waits for it. */
  readonly owner: Line
  readonly config: ParallelConfig.Resolved
  /** What every attempt starts from. */
  state: State
  span: Tracer.Span | undefined = undefined
  context: Context.Context<never>

  attempts = 0
  started = false
  /** Something else is done instead, after the last attempt. */
  usedFallback = false
  /** Epoch ms, and monotonic ms, of the start. */
  startTime = 0
  startedAt = 0
  /** Monotonic ms of the last attempt's end, or of the decision that ended it. */
  endedAt: number | undefined = undefined
  errors: ReadonlyArray<ParallelFlowResult.AttemptError> = noErrors
  errorsDropped = 0
  circuit: OfCircuit | undefined = undefined
  /** The attempt in execution, or the last one; absent when a flow has settled. */
  line: Line | undefined = undefined

  /** Cut before or between attempts: there must not be any (further) attempt. */
  cancelled: Interrupted | undefined = undefined
  /** While it waits for its next attempt, or for what is done instead: monotonic ms from when on that may begin. */
  nextAt: number | undefined = undefined
  /** Where a saved run was in it, until that is continued. */
  resumed: Resumed | undefined = undefined

  /** Takes the end of an attempt, where wrappers wait for it. */
  resume: ((end: End) => void) | undefined = undefined
  /** Wakes it where it waits. */
  wake: (() => void) | undefined = undefined
  /** Gives the permit back that it holds. */
  permit: (() => void) | undefined = undefined

  constructor(owner: Line, config: ParallelConfig.Resolved) {
    this.owner = owner
    this.config = config
    this.state = owner.state
    this.context = owner.context
  }

  get run(): Run {
    return this.owner.run
  }

  releasePermit(): void {
    const { permit } = this
    this.permit = undefined
    permit?.()
  }

  /** Whether its next attempt is one that had begun before its run was saved. */
  get continues(): boolean {
    return this.resumed?.line !== undefined || this.resumed?.attemptMs !== undefined
  }
}

/** What is continued: an attempt, its line or its running time so far, or the wait before one. */
export interface Resumed {
  readonly line?: RunState.LineState | undefined
  /** Nobody answers what it waits for: it can only wait on. */
  readonly waitsOn?: boolean | undefined
  readonly attemptMs?: number | undefined
  readonly waitMs?: number | undefined
}

/** What is executed in attempts. */
export type Work = Flow | NodeCall

/** One execution of a node that has a policy of its own. */
export class NodeCall extends Attempted {
  readonly node: PlanNode

  constructor(owner: Line, node: PlanNode, config: ParallelConfig.Resolved) {
    super(owner, config)
    this.node = node
  }

  get scope(): "node" {
    return "node"
  }

  get branch(): string | undefined {
    return this.owner.flow?.branch
  }

  get family(): string | undefined {
    return this.owner.flow?.family
  }
}

/** Which item of a map a flow is for. */
export interface Mapped {
  readonly key: string
  readonly item: unknown
  readonly index: number
  readonly circuitKey: string | undefined
  /** Where it is among the flows of its map. */
  readonly of: MapLaunch
}

/** What one parallel edge started, for one item if it is a map. */
export class Flow extends Attempted {
  readonly edge: PlanEdge
  readonly branch: string
  /** The branch without item keys: all flows of a map are of one family. */
  readonly family: string
  readonly mapped: Mapped | undefined
  /** Its place among the results: of several launches of one join, and of the edges of one launch. */
  readonly rank: number
  /** Identifies the launch within the run: the launches around it, its node and that node's visit. */
  readonly launch: string
  readonly join: Join
  readonly places: Places | undefined
  holdsPlace = false
  /** It has failed, and with it, at once, the line that joins it. */
  failedFast = false
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
    super(owner, config)
    this.edge = edge
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
    } else this.branch = `${beforeKey(owner, edge)}${mapped.key}]`
  }

  get scope(): "flow" {
    return "flow"
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
  /** What it has not launched. */
  readonly capture: () => RunState.MapState
  /** Makes it leave its join now; what still runs is given back. */
  readonly abandon: () => Fiber.Fiber<unknown, unknown> | undefined
}

/**
 * One launch of a map: its flows in the order of their items. Of one that has settled nothing is kept but its result, from
 * which the rest follows: a hundred thousand of them wait for their join.
 */
export class MapLaunch {
  readonly edge: PlanEdge
  /** Of all its flows, as in a flow. */
  readonly launch: string
  readonly rank: number
  readonly state: State
  readonly entries: Array<Flow | ParallelFlowResult.Any> = []
  readonly #before: string

  constructor(owner: Line, edge: PlanEdge, launch: string, rank: number, state: State) {
    this.edge = edge
    this.launch = launch
    this.rank = rank
    this.state = state
    this.#before = beforeKey(owner, edge)
  }

  keyOf({ branch }: Flow | ParallelFlowResult.Any): string {
    return branch.slice(this.#before.length, -1)
  }

  /** Lets go of a flow that has settled, unless something is to be known of it that its result does not say. */
  release(flow: Flow, { index }: Mapped): void {
    const { cancelled, failedFast, result, written } = flow
    if (result === undefined || cancelled !== undefined || failedFast || written !== undefined) return
    // They are in the order of their items, unless a checkpoint was changed by hand.
    if (this.entries[index] === flow) this.entries[index] = result
  }
}

/** The branch of a map's flow, up to its key. */
const beforeKey = ({ flow }: Line, { name }: PlanEdge): string =>
  `${flow === undefined ? "" : `${flow.branch}/`}${name}[`

/** The flows of one line that are bound for one fan-in. */
export class Join {
  readonly fanIn: PlanNode
  /** Those of edges that are no maps. */
  readonly flows: Array<Flow> = []
  readonly maps: Array<MapLaunch> = []
  /** So many there are, of edges and of maps. */
  total = 0
  /** Maps whose items have not all been launched. */
  readonly producers = new Set<Producer>()
  /** Flows that have not settled, and producers. */
  pending = 0
  settled = 0
  /** Flows that have settled, which the line hears of when that is saved. */
  unsaved = 0
  /** Launches so far that it joins. */
  launches = 0
  /** The line has arrived: no more flows are launched. */
  closed = false
  /** The line, when it waits here. */
  waiter: (() => void) | undefined = undefined
  /** Why no more flows are waited for, if its rule says so. */
  completed: Completion["reason"] | undefined = undefined
  successful = 0
  /** Stopped before they ended, for whatever reason. */
  interrupted = 0
  /** Monotonic ms of the first launch. */
  startedAt = 0
  /** Monotonic ms: when everything on its line waited for somebody. */
  stoppedAt: number | undefined = undefined
  cancelTimer: (() => void) | undefined = undefined
  constructor(fanIn: PlanNode) {
    this.fanIn = fanIn
  }

  add(flow: Flow): void {
    this.total++
    if (flow.mapped === undefined) this.flows.push(flow)
    else flow.mapped.of.entries.push(flow)
  }

  /** The launch of a map, made when it is first asked for. */
  launchOf(owner: Line, edge: PlanEdge, launch: string, rank: number, state: () => State): MapLaunch {
    const known = this.maps.find((map) => map.edge === edge && map.launch === launch)
    if (known !== undefined) return known
    const made = new MapLaunch(owner, edge, launch, rank, state())
    this.maps.push(made)
    return made
  }

  /** Notes a result: its flow is not waited for any more. */
  count(result: ParallelFlowResult.Any, isCancelled: boolean): void {
    this.settled++
    if (result.success) this.successful++
    if (isCancelled && result._tag === "Interrupted") this.interrupted++
  }

  /** Flows that have not settled. */
  *open(): Generator<Flow, void> {
    for (const flow of this.flows) if (flow.result === undefined) yield flow
    for (const { entries } of this.maps) {
      for (const entry of entries) if (entry instanceof Flow && entry.result === undefined) yield entry
    }
  }

  /** In the order of their launches, then as declared, then of their items. */
  inOrder(): ReadonlyArray<Flow | ParallelFlowResult.Any> {
    if (this.maps.length === 0) return this.flows
    const [map] = this.maps
    if (map !== undefined && this.maps.length === 1 && this.flows.length === 0) return map.entries
    return [...this.flows.map((flow) => ({ rank: flow.rank, entries: [flow] })), ...this.maps]
      .sort((a, b) => a.rank - b.rank)
      .flatMap(({ entries }): ReadonlyArray<Flow | ParallelFlowResult.Any> => entries)
  }

  /** Of those that have settled, in order. */
  results(): Array<ParallelFlowResult.Any> {
    const results: Array<ParallelFlowResult.Any> = []
    for (const entry of this.inOrder()) {
      const result = entry instanceof Flow ? entry.result : entry
      if (result !== undefined) results.push(result)
    }
    return results
  }
}

/** What came of one try to execute it. */
export type Outcome =
  | { readonly _tag: "Executed"; readonly end: End; readonly abandoned: boolean }
  | { readonly _tag: "Rejected"; readonly error: GraphError.CircuitOpenError | GraphError.LimitExceededError }
  /** The total limit passed while it waited for its next attempt. */
  | { readonly _tag: "OutOfTime" }
  /** Cut while it waited. */
  | { readonly _tag: "Cancelled" }
