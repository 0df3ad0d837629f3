/**
 * Step 2 and 9: a run. One function behind `invoke` and `stream`: the same run, with or without a listener.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import * as FlowCallbacks from "../FlowCallbacks.ts"
import { type CallbackError, type InvalidConfigError, InvalidInputError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import { cut, cutJoin, drain, supervise } from "./attempt.ts"
import { Callbacks } from "./callbacks.ts"
import { type End, type Inside, interrupted, Line, type Run } from "./cells.ts"
import * as Emit from "./emit.ts"
import { mappedOf } from "./node.ts"
import { OptionReader } from "./option.ts"
import { noteCircuit, type Plan, type PlanEdge, type State } from "./plan.ts"
import { endSpan, runSpan, within } from "./span.ts"
import { walk } from "./walk.ts"
import { branchOf } from "./work.ts"

/** A compiled graph as the engine sees it. */
export interface Compiled {
  readonly plan: Plan
  /** The state schema's constructor. */
  readonly make: (input: unknown) => Effect.Effect<State, SchemaIssue.Issue>
  readonly callbacks: ReadonlyArray<FlowCallbacks.FlowCallbacks<unknown, CallbackError>>
  /** Used when the context holds no registry. */
  readonly registry: CircuitBreakerRegistry.Service
  /** Which circuit each branch uses, as far as known: from the plan, and from the runs so far. */
  readonly circuits: Map<string, Set<string>>
  readonly metrics: GraphMetrics.OfGraph
}

export interface RunOptions {
  readonly runId?: string | undefined
  readonly parallel?: ParallelConfig.Input | undefined
  readonly callbacks?: FlowCallbacks.Given<unknown, CallbackError> | undefined
}

type Emitter = ((event: GraphEvent.Any) => void) | undefined

export const execute = (
  compiled: Compiled,
  input: unknown,
  options: RunOptions | undefined,
  emit: Emitter
): Effect.Effect<State, unknown> =>
  Effect.flatMap(
    prepare(compiled, input, options),
    ([state, runId, configs]) =>
      Effect.withFiber((fiber) => begin(makeRun(compiled, fiber, runId, configs, emit), state))
  )

/** Everything that can be refused, before any node runs. */
const prepare = (
  compiled: Compiled,
  input: unknown,
  options: RunOptions | undefined
): Effect.Effect<readonly [State, string, Configs], InvalidInputError | InvalidConfigError> =>
  Effect.flatMap(
    configsOf(compiled.plan, options),
    (configs) =>
      Effect.flatMap(checked(compiled, input), (state) =>
        options?.runId === undefined
          ? Effect.map(newRunId, (runId) => [state, runId, configs] as const)
          : Effect.succeed([state, options.runId, configs] as const))
  )

const checked = ({ make, plan }: Compiled, input: unknown): Effect.Effect<State, InvalidInputError> =>
  Effect.mapError(Effect.suspend(() => make(input)), (issue) => {
    const first = SchemaIssue.makeFormatterStandardSchemaV1()(issue).issues[0]
    const keys = (first?.path ?? []).map((segment) => typeof segment === "object" ? segment.key : segment)
    const path = keys.reduce<string>(
      (path, key) => typeof key === "number" ? `${path}[${key}]` : path === "" ? String(key) : `${path}.${String(key)}`,
      ""
    )
    const where = path === "" ? "" : ` at ${path}`
    return new InvalidInputError({ graph: plan.name, path, issue: `${first?.message ?? String(issue)}${where}` })
  })

const newRunId = Effect.map(Effect.all([Random.nextInt, Random.nextInt]), ([a, b]) => hex(a) + hex(b))
const hex = (n: number): string => Math.abs(n).toString(16).padStart(14, "0").slice(-12)

/** The configs of one run: the plan's own, unless a layer or the run's options say more. */
interface Configs {
  readonly watching: ReadonlyArray<FlowCallbacks.FlowCallbacks<unknown, CallbackError>>
  readonly config: ParallelConfig.Resolved
  readonly configOf: (edge: PlanEdge) => ParallelConfig.Resolved
  readonly configOfItem: Run["configOfItem"]
}

const configsOf = (plan: Plan, options: RunOptions | undefined): Effect.Effect<Configs, InvalidConfigError> =>
  Effect.withFiber((fiber) => {
    const reader = new OptionReader(`run of graph "${plan.name}"`)
    const watching = FlowCallbacks.fromGiven(options?.callbacks, reader)
    if (options !== undefined) reader.known("", options, ["runId", "parallel", "callbacks"])
    if (reader.problems[0] !== undefined) return Effect.fail(reader.problems[0])
    const given = options?.parallel
    const layer = fiber.getRef(ParallelConfig.CurrentConfig)
    const override = fiber.getRef(ParallelConfig.CurrentOverride)
    if (given === undefined && layer === ParallelConfig.empty && override === ParallelConfig.empty) {
      return Effect.succeed({
        watching,
        config: plan.resolved,
        configOf: (edge) => edge.resolved,
        configOfItem: itemConfigs(plan.config, ParallelConfig.empty)
      })
    }
    const parsed = given === undefined
      ? Result.succeed(ParallelConfig.empty)
      : ParallelConfig.parse(given, reader.source)
    if (Result.isFailure(parsed)) return Effect.fail(parsed.failure[0]!)
    const below = ParallelConfig.merge(layer, plan.config, parsed.success)
    const cache = new Map<PlanEdge, ParallelConfig.Resolved>()
    return Effect.succeed({
      watching,
      config: ParallelConfig.resolve(ParallelConfig.merge(below, override)),
      configOf: (edge) => {
        let resolved = cache.get(edge)
        if (resolved === undefined) {
          resolved = ParallelConfig.resolve(ParallelConfig.merge(below, edge.config, override))
          cache.set(edge, resolved)
        }
        return resolved
      },
      configOfItem: itemConfigs(below, override)
    })
  })

/** What an item says of its flow counts more than what its edge says. */
const itemConfigs = (
  below: ParallelConfig.ParallelConfig,
  override: ParallelConfig.ParallelConfig
): Run["configOfItem"] =>
(edge, own) =>
  Result.map(
    ParallelConfig.parse(own, `item of the map ${edge.from} -> ${edge.to.name}`),
    (parsed) => ParallelConfig.resolve(ParallelConfig.merge(ParallelConfig.merge(below, edge.config, parsed), override))
  )

export const registryOf = (compiled: Compiled, context: Context.Context<never>): CircuitBreakerRegistry.Service =>
  Context.getOrUndefined(context, CircuitBreakerRegistry.CircuitBreakerRegistry) ?? compiled.registry

/** A graph as a node: a run of its own, whose events are the caller's, under the caller's path. */
const subgraph: Run["subgraph"] = (line, node) => (state) => {
  const { compiled, input, output } = node.subgraph!
  const { flow, run } = line
  const outer = run.inside
  const branch = flow === undefined ? outer?.branch : branchOf(flow)
  const inside: Inside = {
    line,
    branch,
    fanIn: flow === undefined ? outer?.fanIn : `${outer?.nodes ?? ""}${flow.edge.fanIn.name}`,
    attempt: flow === undefined ? outer?.attempt : line.attempt,
    mapped: mappedOf(flow) ?? outer?.mapped,
    branches: `${branch === undefined ? outer?.branches ?? "" : `${branch}/`}${node.name}/`,
    nodes: `${outer?.nodes ?? ""}${node.name}/`,
    idempotencyKey: line.ctx?.idempotencyKey ?? run.runId
  }
  const listener = run.emit && ((event: GraphEvent.Any): void => {
    if (!line.muted) run.emit?.(event)
  })
  const result = Effect.flatMap(
    Effect.suspend(() => prepare(compiled, input(state), { runId: run.runId })),
    ([initial, runId, configs]) =>
      Effect.withFiber<State, unknown>((fiber) =>
        begin(makeRun(compiled, fiber, runId, configs, listener, inside), initial)
      )
  )
  return Effect.map(result, (result) => output(result, state))
}

const makeRun = (
  compiled: Compiled,
  fiber: Fiber.Fiber<unknown, unknown>,
  runId: string,
  { watching, ...configs }: Configs,
  listener: Emitter,
  inside?: Inside
): Run => {
  const { plan } = compiled
  const clock = fiber.getRef(Clock.Clock)
  const { context } = fiber
  // Callbacks of layers hear of a graph that is a node through the run that it is a node of.
  const layered = inside === undefined ? Context.get(context, FlowCallbacks.CurrentCallbacks) : []
  const callbacks = watchers(layered, [...compiled.callbacks, ...watching], { graph: plan.name, runId, clock, context })
  return {
    plan,
    runId,
    thread: undefined,
    clock,
    tracing: fiber.cache.tracerEnabled,
    registry: registryOf(compiled, context),
    emit: both(callbacks?.offer, listener),
    callbacks,
    ...configs,
    metrics: compiled.metrics,
    context,
    annotations: fiber.getRef(References.CurrentLogAnnotations),
    useCircuit: (branch, key) => noteCircuit(compiled.circuits, branch, key),
    inside,
    subgraph,
    walk,
    cut,
    cutFlows: cutJoin
  }
}

/** Those of layers, of `compile` and of the run, in this order; absent when there are none. */
const watchers = (
  layered: ReadonlyArray<FlowCallbacks.Provided>,
  watching: Configs["watching"],
  around: ConstructorParameters<typeof Callbacks>[0]
): Callbacks | undefined => {
  const own = watching.map((callbacks) => ({ callbacks, services: undefined }))
  return layered.length + own.length === 0 ? undefined : new Callbacks(around, [...layered, ...own])
}

const both = (first: Emitter, second: Emitter): Emitter =>
  first === undefined ? second : second === undefined ? first : (event) => {
    first(event)
    second(event)
  }

/** Runs the main line to its end. Interrupting it interrupts every flow, and waits for them as long as `grace` allows. */
const begin = (run: Run, state: State): Effect.Effect<State, unknown> =>
  Effect.callback((resume) => {
    const span = runSpan(run)
    const main = new Line(run, undefined, 1, within(run.context, span), span, state, run.plan.start)
    const caller = run.inside?.line
    if (caller !== undefined) caller.inner = { line: main }
    let stopped: End | undefined
    let finished: Exit.Exit<State, unknown> | undefined
    let onFinished: (exit: Exit.Exit<State, unknown>) => void = (exit) => resume(exit)
    const finish = (end: End): void => {
      if (caller !== undefined) caller.inner = undefined
      finished = exitOf(stopped ?? end)
      if (Exit.isSuccess(finished) && run.callbacks?.raised !== undefined) finished = Exit.fail(run.callbacks.raised)
      endSpan(run, span, finished)
      if (Exit.isSuccess(finished)) Emit.graphCompleted(run, finished.value)
      else Emit.graphFailed(run, finished.cause)
      onFinished(finished)
    }
    Emit.graphStarted(run, state)
    supervise(main, undefined, (_line, end) =>
      drain(main, run.config.graceMs, () =>
        lastCalls(run, end, () => finish(end))))
    const stop = Effect.callback<void>((done) => {
      if (finished !== undefined) {
        return done(Effect.void)
      }
      onFinished = () =>
        done(Effect.void)
      stopped = interrupted("the run was interrupted")
      cut(main, stopped)
      run.callbacks?.hurry(run.config.graceMs)
    })
    // In a turn of its own: a listener or a node can be what interrupts, in the middle of the engine's work.
    return Effect.andThen(Effect.yieldNow, stop)
  })

/** Waits for callbacks that have not been told all: after success as long as one call may take, else for `grace`. */
const lastCalls = ({ callbacks, config }: Run, end: End, done: () => void): void => {
  if (callbacks === undefined) return done()
  callbacks.drain(Exit.isSuccess(exitOf(end)) ? callbacks.limitMs : config.graceMs, done)
}

const exitOf = (end: End): Exit.Exit<State, unknown> => {
  switch (end._tag) {
    case "Exit":
      return end.exit
    case "FailFast":
      return Exit.fail(end.error)
    case "Failed":
      return Exit.failCause(end.cause)
    case "Interrupted":
    case "Limit":
      return Exit.failCause(Cause.interrupt())
  }
}
