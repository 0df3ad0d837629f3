/**
 * Step 2 and 9: a run. One function behind `invoke` and `stream`: the same run, with or without a listener.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Result from "effect/Result"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import * as FlowCallbacks from "../FlowCallbacks.ts"
import {
  type CallbackError,
  type CheckpointError,
  GraphSuspended,
  type InvalidConfigError,
  InvalidInputError,
  type InvalidUpdateError
} from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import type * as GraphMetrics from "../GraphMetrics.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import type * as RunState from "../RunState.ts"
import { cut, cutJoin, drain, supervise } from "./attempt.ts"
import { Callbacks } from "./callbacks.ts"
import { type End, type Inside, interrupted, Line, type Run } from "./cells.ts"
import type { Codecs } from "./codecs.ts"
import * as Emit from "./emit.ts"
import { CurrentInterceptor } from "./interception.ts"
import { firstIssue } from "./issue.ts"
import { mappedOf } from "./node.ts"
import { OptionReader } from "./option.ts"
import { keysOf, noteCircuit, type Plan, type PlanEdge, type State } from "./plan.ts"
import { restoreLine } from "./restore.ts"
import { type Durability, type Kept, Saver } from "./saver.ts"
import { Session } from "./session.ts"
import { endSpan, runSpan, within } from "./span.ts"
import { ofItems, unsupported } from "./supported.ts"
import { beginning, fingerprintOf, type Found, found, holding, match, type Patch, patched } from "./thread.ts"
import { monotonicMs } from "./time.ts"
import { walk } from "./walk.ts"
import { branchOf } from "./work.ts"

/** A compiled graph as the engine sees it. */
export interface Compiled {
  readonly plan: Plan
  /** The state schema's constructor. */
  readonly make: (input: unknown) => Effect.Effect<State, SchemaIssue.Issue>
  readonly codecs: Codecs
  readonly callbacks: ReadonlyArray<FlowCallbacks.FlowCallbacks<unknown, CallbackError>>
  /** Used when the context holds no registry. */
  readonly registry: CircuitBreakerRegistry.Service
  /** Which circuit each branch uses, as far as known: from the plan, and from the runs so far. */
  readonly circuits: Map<string, Set<string>>
  readonly metrics: GraphMetrics.OfGraph
}

export interface RunOptions {
  readonly thread?: string | undefined
  readonly durability?: Durability | undefined
  readonly runId?: string | undefined
  readonly parallel?: ParallelConfig.Input | undefined
  readonly callbacks?: FlowCallbacks.Given<unknown, CallbackError> | undefined
}

/** Of a resume. */
export interface ResumeOptions extends Omit<RunOptions, "thread" | "runId"> {
  readonly answers?: Readonly<Record<string, unknown>> | undefined
  readonly update?: Patch | undefined
  readonly checkpointId?: string | undefined
  readonly takeOver?: boolean | undefined
}

type Emitter = ((event: GraphEvent.Any) => void) | undefined

export const execute = (
  compiled: Compiled,
  input: unknown,
  options: RunOptions | undefined,
  emit: Emitter
): Effect.Effect<State, unknown> =>
  Effect.flatMap(prepare(compiled, input, options), ([state, runId, configs]) => {
    const start = (kept?: Kept): Effect.Effect<State, unknown> =>
      Effect.withFiber((fiber) => begin(makeRun(compiled, fiber, runId, configs, emit, { kept }), { state }))
    const { thread } = options ?? {}
    if (thread === undefined) return start()
    return holding(compiled.plan.name, thread, false, configs.config.graceMs, (held) =>
      Effect.andThen(
        beginning(compiled.plan.name, held),
        start({ held, durability: options?.durability ?? "step", parent: undefined })
      ))
  })

/** The same run, from where it was saved. */
export const resume = (
  compiled: Compiled,
  thread: string,
  options: ResumeOptions,
  emit: Emitter
): Effect.Effect<State, unknown> =>
  Effect.flatMap(
    configsOf(compiled.plan, options, resumeOptions, thread),
    (configs) =>
      holding(compiled.plan.name, thread, options.takeOver === true, configs.config.graceMs, (held) =>
        Effect.flatMap(found(compiled, held, options.checkpointId), (found) =>
          Effect.flatMap(
            Effect.all([
              changed(compiled, thread, found, options),
              found.isFork ? newRunId : Effect.succeed(found.saved.runId)
            ]),
            ([{ answers, saved }, runId]) =>
              Effect.withFiber<State, unknown>((fiber) => {
                const kept: Kept = {
                  held,
                  durability: options.durability ?? "step",
                  parent: found.parent
                }
                const carried = saved.circuits.map(({ key }) =>
                  key
                )
                const run = makeRun(compiled, fiber, runId, configs, emit, { kept, carried })
                run.session.offer(answers)
                restoreCircuits(compiled, saved.circuits, run.context, run.clock)
                const state = compiled.codecs.decodeState(saved.main.state, "main.state")
                return begin(run, { state, saved: saved.main, isSaved: !found.isFork && saved === found.saved })
              })
          )))
  )

/** With what the caller changes: answers and an update, all of it good or none of it made. */
const changed = (
  compiled: Compiled,
  thread: string,
  { saved }: Found,
  { answers = {}, update }: ResumeOptions
): Effect.Effect<
  { readonly saved: RunState.RunState; readonly answers: ReadonlyArray<readonly [RunState.Pending, unknown]> },
  CheckpointError | InvalidUpdateError
> =>
  Effect.fromResult(
    Result.flatMap(update === undefined ? Result.succeed(saved) : patched(compiled, saved, update), (saved) =>
      Result.map(match(compiled.plan.name, thread, saved, answers), (answers) => ({ saved, answers })))
  )

const durabilities: ReadonlyArray<unknown> = ["step", "async", "exit"]
const runOptions = ["thread", "durability", "runId", "parallel", "callbacks"]
const resumeOptions = ["durability", "parallel", "callbacks", "answers", "update", "checkpointId", "takeOver"]

/** Everything that can be refused, before any node runs. */
const prepare = (
  compiled: Compiled,
  input: unknown,
  options: RunOptions | undefined
): Effect.Effect<readonly [State, string, Configs], InvalidInputError | InvalidConfigError> =>
  Effect.flatMap(
    supportedConfigs(compiled, options),
    (configs) =>
      Effect.flatMap(checked(compiled, input), (state) =>
        options?.runId === undefined
          ? Effect.map(newRunId, (runId) => [state, runId, configs] as const)
          : Effect.succeed([state, options.runId, configs] as const))
  )

const checked = ({ make, plan }: Compiled, input: unknown): Effect.Effect<State, InvalidInputError> =>
  Effect.mapError(Effect.suspend(() => make(input)), (issue) => {
    const { message, path } = firstIssue(issue)
    return new InvalidInputError({ graph: plan.name, path, issue: path === "" ? message : `${message} at ${path}` })
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

/** Circuits that are shared between processes cannot do all that circuits in memory can. */
const supportedConfigs = (
  compiled: Compiled,
  options: RunOptions | undefined,
  known?: ReadonlyArray<string>
): ReturnType<typeof configsOf> =>
  Effect.flatMap(
    configsOf(compiled.plan, options, known),
    (configs) =>
      Effect.contextWith((context: Context.Context<never>) => {
        const registry = registryOf(compiled, context)
        if (registry.unsupported === undefined) return Effect.succeed(configs)
        const problem = unsupported(registry, compiled.plan, configs)
        return problem === undefined
          ? Effect.succeed({ ...configs, configOfItem: ofItems(registry, configs) })
          : Effect.fail(problem)
      })
  )

const configsOf = (
  plan: Plan,
  options: RunOptions | undefined,
  known: ReadonlyArray<string> = runOptions,
  thread: unknown = options?.thread
): Effect.Effect<Configs, InvalidConfigError> =>
  Effect.withFiber((fiber) => {
    const reader = new OptionReader(`run of graph "${plan.name}"`)
    const watching = FlowCallbacks.fromGiven(options?.callbacks, reader)
    if (thread !== undefined && typeof thread !== "string") reader.reject("thread", thread, "a string")
    if (options !== undefined) checkOptions(reader, options, known)
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

const checkOptions = (reader: OptionReader, options: RunOptions, known: ReadonlyArray<string>): void => {
  reader.known("", options, known)
  const { durability, runId } = options as { readonly [K in keyof RunOptions]: unknown }
  const { answers, checkpointId, takeOver } = options as { readonly [K in keyof ResumeOptions]: unknown }
  if (runId !== undefined && typeof runId !== "string") reader.reject("runId", runId, "a string")
  if (durability !== undefined && !durabilities.includes(durability)) {
    reader.reject("durability", durability, `"step", "async" or "exit"`)
  }
  if (checkpointId !== undefined && typeof checkpointId !== "string") {
    reader.reject("checkpointId", checkpointId, "a string")
  }
  if (answers !== undefined && (typeof answers !== "object" || answers === null || Array.isArray(answers))) {
    reader.reject("answers", answers, "an object of answers by the names of their questions")
  }
  reader.boolean("takeOver", takeOver)
}

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

const circuitsOf = (
  compiled: Compiled,
  context: Context.Context<never>,
  clock: Clock.Clock,
  carried: ReadonlyArray<string> = []
): ReadonlyArray<RunState.CircuitSnapshot> => {
  const keys = new Map<CircuitBreakerRegistry.Service, ReadonlySet<string>>([[
    registryOf(compiled, context),
    new Set(carried)
  ]])
  for (const graph of graphsOf(compiled)) {
    const registry = registryOf(graph, context)
    keys.set(registry, new Set([...keys.get(registry) ?? [], ...keysOf(graph.circuits)]))
  }
  return [...keys].flatMap(([registry, keys]) => registry.save?.(keys, clock) ?? [])
}

/** Each registry takes those that graphs of it use; of other keys nobody asks. */
const restoreCircuits = (
  compiled: Compiled,
  circuits: ReadonlyArray<RunState.CircuitSnapshot>,
  context: Context.Context<never>,
  clock: Clock.Clock
): void => {
  if (circuits.length === 0) return
  const registry = registryOf(compiled, context)
  const inner = graphsIn(compiled)
  const others = new Set(
    inner.filter((graph) => registryOf(graph, context) !== registry).flatMap(({ circuits }) => [...keysOf(circuits)])
  )
  const mine = circuits.filter(({ key }) => !others.has(key))
  registry.restore?.(mine, clock)
  // Saved again, also when no flow has come to them yet that says which branch they are of.
  const known = new Set(graphsOf(compiled).flatMap((graph) => [...keysOf(graph.circuits)]))
  for (const { key } of mine) if (!known.has(key)) noteCircuit(compiled.circuits, "", key)
  for (const graph of inner) {
    const own = keysOf(graph.circuits)
    restoreCircuits(graph, circuits.filter(({ key }) => own.has(key)), context, clock)
  }
}

/** A graph, and those inside it. */
const graphsOf = (compiled: Compiled): ReadonlyArray<Compiled> => [compiled, ...graphsIn(compiled).flatMap(graphsOf)]

const graphsIn = ({ plan }: Compiled): ReadonlyArray<Compiled> =>
  [...plan.nodes.values()].flatMap(({ subgraph }) => subgraph === undefined ? [] : [subgraph.compiled])

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
    attempt: flow === undefined && line.call === undefined ? outer?.attempt : line.attempt,
    mapped: mappedOf(flow) ?? outer?.mapped,
    branches: `${branch === undefined ? outer?.branches ?? "" : `${branch}/`}${node.name}/`,
    nodes: `${outer?.nodes ?? ""}${node.name}/`,
    idempotencyKey: line.ctx?.idempotencyKey ?? run.runId
  }
  const listener = run.emit && ((event: GraphEvent.Any): void => {
    if (!line.muted) run.emit?.(event)
  })
  // It goes on where it was when the run around it was saved.
  const owner = line.call?.owner ?? line
  const saved = owner.resumedInner
  owner.resumedInner = undefined
  const prepared = Effect.suspend(() =>
    saved === undefined
      ? Effect.map(prepare(compiled, input(state), { runId: run.runId }), ([state, _, configs]) =>
        [state, configs] as const)
      : Effect.map(
        supportedConfigs(compiled, undefined),
        (configs) =>
          [compiled.codecs.decodeState(saved.state, "inner.state"), configs] as const
      )
  )
  const result = Effect.flatMap(
    prepared,
    ([state, configs]) =>
      Effect.withFiber<State, unknown>((fiber) =>
        begin(makeRun(compiled, fiber, run.runId, configs, listener, { inside }), { state, saved })
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
  { carried, inside, kept }: {
    readonly inside?: Inside
    readonly kept?: Kept | undefined
    /** Circuits that came with a saved run, whether or not anything of it uses them again. */
    readonly carried?: ReadonlyArray<string>
  }
): Run => {
  const { plan } = compiled
  const clock = fiber.getRef(Clock.Clock)
  const { context } = fiber
  // Callbacks of layers hear of a graph that is a node through the run that it is a node of.
  const layered = inside === undefined ? Context.get(context, FlowCallbacks.CurrentCallbacks) : []
  const callbacks = watchers(layered, [...compiled.callbacks, ...watching], { graph: plan.name, runId, clock, context })
  const session = inside === undefined ? new Session(kept) : inside.line.run.session
  return {
    plan,
    runId,
    thread: inside === undefined ? kept?.held.thread : inside.line.run.thread,
    session,
    codecs: compiled.codecs,
    restore: restoreLine,
    clock,
    tracing: fiber.cache.tracerEnabled,
    registry: registryOf(compiled, context),
    emit: both(callbacks?.offer, listener),
    callbacks,
    ...configs,
    metrics: compiled.metrics,
    context,
    annotations: fiber.getRef(References.CurrentLogAnnotations),
    circuits: () => circuitsOf(compiled, context, clock, carried),
    useCircuit: (branch, key) => noteCircuit(compiled.circuits, branch, key),
    inside,
    interceptor: fiber.getRef(CurrentInterceptor),
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

/** Where a run begins: with its input, or where it was saved. */
interface Place {
  readonly state: State
  readonly saved?: RunState.LineState | undefined
  /** What was saved is what it begins with. */
  readonly isSaved?: boolean
}

/** Runs the main line to its end. Interrupting it interrupts every flow, and waits for them as long as `grace` allows. */
const begin = (run: Run, { isSaved = false, saved, state }: Place): Effect.Effect<State, unknown> =>
  Effect.callback((resume) => {
    const span = runSpan(run)
    const main = new Line(run, undefined, 1, within(run.context, span), span, state, run.plan.start)
    main.startedAt = monotonicMs(run.clock) - (saved?.elapsedMs ?? 0)
    const { session } = run
    const caller = run.inside?.line
    if (caller !== undefined) caller.inner = { line: main }
    let stopped: End | undefined
    let finished: Exit.Exit<State, unknown> | undefined
    let onFinished: (exit: Exit.Exit<State, unknown>) => void = (exit) => resume(exit)
    const finish = (exit: Exit.Exit<State, unknown>): void => {
      if (finished !== undefined) return
      finished = exit
      endRun(run, span, exit)
      onFinished(exit)
    }
    const ended = (end: End): void => {
      if (caller !== undefined) return finish(exitOf(stopped ?? end, run))
      const exit = exitOf(stopped ?? end, run)
      session.close(exit, run.config.graceMs, (error) => finish(error === undefined ? exit : Exit.fail(error)))
    }
    let begun = false
    const start = (): void => {
      if (begun) return
      begun = true
      supervise(main, undefined, (_line, end) =>
        drain(main, run.config.graceMs, () =>
          lastCalls(run, end, () => {
            if (caller !== undefined) caller.inner = undefined
            ended(end)
          })))
    }
    if (caller === undefined) keep(run, main, start)
    Emit.graphStarted(run, state)
    if (saved !== undefined) restoreLine(main, saved)
    // Where it begins is saved before anything of it runs; what stops it meanwhile waits for its first turn.
    main.onStack = caller === undefined && !isSaved && session.saver?.boundary(start) === true
    if (!main.onStack) start()
    const stop = Effect.callback<void>((done) => {
      if (finished !== undefined) {
        return done(Effect.void)
      }
      onFinished = () => done(Effect.void)
      stopped = interrupted("the run was interrupted")
      cut(main, stopped)
      start()
      run.callbacks?.hurry(run.config.graceMs)
      session.hurry(run.config.graceMs)
    })
    // In a turn of its own: a listener or a node can be what interrupts, in the middle of the engine's work.
    return Effect.andThen(Effect.yieldNow, stop)
  })

const endRun = (run: Run, span: Line["span"], exit: Exit.Exit<State, unknown>): void => {
  if (Exit.isSuccess(exit)) {
    endSpan(run, span, exit)
    return Emit.graphCompleted(run, exit.value)
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  const { inside, session } = run
  // A node can fail with the suspension of another run: that is a failure.
  const suspended = error instanceof GraphSuspended && error === session.error ? error : undefined
  endSpan(run, span, suspended === undefined ? exit : Exit.void)
  if (suspended === undefined || inside !== undefined) Emit.graphFailed(run, exit.cause)
  else Emit.graphSuspended(run, suspended)
}

/** Tells the session of the run that it is the session of. */
const keep = (run: Run, main: Line, start: () => void): void => {
  const { session } = run
  const { kept } = session
  const fingerprint = kept === undefined ? "" : fingerprintOf(run.plan)
  const saver = kept && new Saver({
    ...kept,
    graph: run.plan.name,
    runId: run.runId,
    clock: run.clock,
    context: run.context,
    body: () => JSON.stringify(session.capture()),
    saved: (id) => Emit.checkpointSaved(run, id),
    failed: (error) => session.fail(error)
  })
  session.begin({
    main,
    start,
    saver,
    thread: run.thread,
    fingerprint,
    circuits: run.circuits
  })
}

/** Waits for callbacks that have not been told all: after success as long as one call may take, else for `grace`. */
const lastCalls = ({ callbacks, config }: Run, end: End, done: () => void): void => {
  if (callbacks === undefined) return done()
  callbacks.drain(end._tag === "Exit" && Exit.isSuccess(end.exit) ? callbacks.limitMs : config.graceMs, done)
}

const exitOf = (end: End, run: Run): Exit.Exit<State, unknown> => {
  const { callbacks, inside, session, thread } = run
  const { suspended } = session
  switch (end._tag) {
    case "Exit":
      return Exit.isSuccess(end.exit) && callbacks?.raised !== undefined ? Exit.fail(callbacks.raised) : end.exit
    case "FailFast":
      return Exit.fail(end.error)
    case "Failed":
      return Exit.failCause(end.cause)
    case "Interrupted":
      if (inside === undefined && suspended?.by === end) {
        if (callbacks?.raised !== undefined) return Exit.fail(callbacks.raised)
        const { checkpointId, pending, state } = suspended
        session.error = new GraphSuspended({
          graph: run.plan.name,
          ...thread === undefined ? {} : { thread },
          ...checkpointId === undefined ? {} : { checkpointId },
          pending,
          state
        })
        return Exit.fail(session.error)
      }
      return Exit.failCause(Cause.interrupt())
    case "Limit":
      return Exit.failCause(Cause.interrupt())
  }
}
