/**
 * Step 3: one node. `State -> Update -> State`, in its own fiber and scope.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type { Completion } from "../Completion.ts"
import { InvalidUpdateError } from "../GraphError.ts"
import { CurrentNode, type NodeContext } from "../NodeContext.ts"
import type { Any as AnyResult } from "../ParallelFlowResult.ts"
import type { Line } from "./cells.ts"
import { completionOf } from "./complete.ts"
import * as Emit from "./emit.ts"
import type { Interceptor } from "./interception.ts"
import type { NodeFunction, PlanNode, State } from "./plan.ts"
import { branchOf, type Flow, type Join, type Mapped } from "./work.ts"

/** The item of the innermost map around. */
export const mappedOf = (flow: Flow | undefined): Mapped | undefined => {
  for (let at = flow; at !== undefined; at = at.owner.flow) if (at.mapped !== undefined) return at.mapped
  return undefined
}

/** What a node or condition is told. A plain object, but for what is built when asked for. */
class Ctx implements NodeContext<unknown, unknown> {
  static lineOf(ctx: object): Line | undefined {
    return #line in ctx ? ctx.#line : undefined
  }
  readonly graph: string
  readonly node: string
  readonly runId: string
  readonly thread: string | undefined
  readonly branch: string | undefined
  readonly attempt: number
  readonly item: unknown
  readonly index: number | undefined
  readonly #line: Line
  readonly #node: PlanNode
  readonly #visit: number
  constructor(line: Line, node: PlanNode) {
    const { flow, run } = line
    this.graph = run.plan.name
    this.node = node.name
    this.runId = run.runId
    this.thread = run.thread
    const { inside } = run
    this.branch = flow === undefined ? inside?.branch : branchOf(flow)
    this.attempt = flow === undefined && line.call === undefined ? inside?.attempt ?? 1 : line.attempt
    const mapped = mappedOf(flow) ?? inside?.mapped
    this.item = mapped?.item
    this.index = mapped?.index
    this.#line = line
    this.#node = node
    this.#visit = (line.call?.owner ?? line).visitsOf(node)
  }
  get idempotencyKey(): string {
    return `${this.#line.run.inside?.idempotencyKey ?? this.runId}/${
      this.#line.flow?.round ?? ""
    }${this.node}#${this.#visit}`
  }
  get emit(): (value: unknown) => Effect.Effect<void> {
    return (value) => Effect.suspend(() => progress(this.#line, this.#node, value))
  }
}

class FanInCtx extends Ctx {
  readonly parallelResults: ReadonlyArray<AnyResult>
  readonly completion: Completion
  constructor(line: Line, node: PlanNode, join: Join, results: ReadonlyArray<AnyResult>) {
    super(line, node)
    this.parallelResults = results
    this.completion = completionOf(join, node.completion)
  }
}

/** The line that a node was told to be on. */
export const lineOf = (ctx: object): Line | undefined => Ctx.lineOf(ctx)

const progress = (line: Line, node: PlanNode, value: unknown): Effect.Effect<void> => {
  const { emit, plan } = line.run
  if (emit === undefined) return Effect.void
  if (plan.isProgress?.(value) === false) {
    return Effect.logWarning(`node "${node.name}" emitted a value that is no progress of graph "${plan.name}": dropped`)
  }
  Emit.nodeProgress(line, node, value)
  return Effect.void
}

export const contextOf = (line: Line, node: PlanNode, join?: Join, results?: ReadonlyArray<AnyResult>): Ctx =>
  join === undefined || results === undefined ? new Ctx(line, node) : new FanInCtx(line, node, join, results)

/** A node's function with something around it, on whatever line and in whatever attempt it runs. */
export const intercepted = (line: Line, node: PlanNode, run: NodeFunction, interceptor: Interceptor): NodeFunction =>
(
  state,
  ctx
) => {
  const told = ctx as Ctx
  const { idempotencyKey, runId } = told
  const key = idempotencyKey.slice(runId.length) + attemptsOf(line)
  return interceptor({ ctx: told, node: Emit.pathOf(line.run, node.name), key }, () => run(state, ctx))
}

/** Of everything around, from the outermost inwards. */
const attemptsOf = (line: Line): string => `${line.around === undefined ? "" : attemptsOf(line.around)}@${line.attempt}`

/** What user code has come to: an end, or a fiber that still runs. */
export type Returned = Exit.Exit<unknown, unknown> | Fiber.Fiber<unknown, unknown>

/**
 * Calls user code. What it returns at once needs no fiber; an Effect gets its own, with its own scope, so that what it
 * opens and forks ends with it.
 */
export const call = (
  line: Line,
  context: Context.Context<never>,
  ctx: Line["ctx"] & {},
  run: NodeFunction,
  state = line.state
): Returned => {
  let returned: unknown
  try {
    returned = run(state, ctx)
  } catch (defect) {
    return Exit.die(defect)
  }
  if (!Effect.isEffect(returned)) return Exit.succeed(returned)
  if (Exit.isExit(returned)) return returned
  // What `Effect.scoped` does, with one context instead of two: most of what a waiting flow costs is here.
  const scope = Scope.makeUnsafe()
  const annotated = Context.add(context, References.CurrentLogAnnotations, annotations(line, ctx.node))
  const services = Context.add(Context.add(annotated, CurrentNode, ctx), Scope.Scope, scope)
  const fiber = Effect.runForkWith(services)(
    Effect.onExit(returned as Effect.Effect<unknown, unknown>, (exit) => Scope.closeUnsafe(scope, exit) ?? Effect.void)
  )
  return fiber.pollUnsafe() ?? fiber
}

/** What logs inside of a node say beside their message. */
const annotations = ({ attempt: own, call, flow, run }: Line, node: string): Readonly<Record<string, unknown>> => {
  const { plan: { name: graph }, runId } = run
  // Without a spread: this is made for every node, and the caller's own annotations are rare.
  const { inside } = run
  const branch = flow === undefined ? inside?.branch : branchOf(flow)
  const attempt = flow === undefined && call === undefined ? inside?.attempt : own
  const where = attempt === undefined
    ? { graph, runId, node }
    : branch === undefined
    ? { graph, runId, node, attempt }
    : { graph, runId, branch, node, attempt }
  for (const _ in run.annotations) return { ...run.annotations, ...where }
  return where
}

/** Merges an update into the state, or says why it is none. */
export const merge = (line: Line, node: PlanNode, update: unknown): State | InvalidUpdateError => {
  if (update === undefined || update === null) {
    return update === undefined ? line.state : invalid(line, node, "null, allowed is an object or nothing")
  }
  if (typeof update !== "object") return invalid(line, node, `a ${typeof update}, allowed is an object or nothing`)
  const odd = oddity(update)
  if (odd !== undefined) return invalid(line, node, `${odd}, allowed is an object or nothing`)
  const { keys } = line.run.plan
  const unset: Array<string> = []
  for (const key of Object.keys(update)) {
    const known = keys.get(key)
    if (known === undefined) {
      return invalid(line, node, `the key "${key}" is not in the state, its keys are ${[...keys.keys()].join(", ")}`)
    }
    if (known.optional && (update as State)[key] === undefined) unset.push(key)
  }
  const next: Record<string, unknown> = { ...line.state, ...update }
  for (const key of unset) delete next[key]
  return next
}

/** Notes what a line sets, where its fan-in has no function and merges it. */
export const noteWritten = (line: Line, update: object): void => {
  if (line.flow === undefined || line.flow.edge.fanIn.run !== undefined) return
  const written = line.rarely.written ??= new Set()
  for (const key of Object.keys(update)) written.add(key)
}

/** Why an object is no update; nothing if it can be one. */
export const oddity = (update: object): string | undefined => {
  if (Array.isArray(update)) return "an array"
  if ("then" in update && typeof update.then === "function") return "a Promise (return an Effect: Effect.tryPromise)"
  if (Effect.isEffect(update)) return "an Effect inside an Effect (flatten it)"
  if (update instanceof Error) return "an Error (fail with it: Effect.fail)"
  if (Predicate.isDate(update) || Symbol.iterator in update) return "a Date, Map, Set or other collection"
  return undefined
}

const invalid = (line: Line, node: PlanNode, issue: string): InvalidUpdateError =>
  new InvalidUpdateError({
    graph: line.run.plan.name,
    node: node.name,
    ...(line.flow === undefined ? {} : { branch: line.flow.branch }),
    issue
  })

/** The first error of a cause is a defect of its own when the cause is an interruption only. */
export const isInterruption = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
