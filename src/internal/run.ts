/**
 * Step 2: a run. One function behind `invoke` and `stream`, and one behind `resume` and `resumeStream`: the same run, with or
 * without a listener, from its input or from where it was saved.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as FlowCallbacks from "../FlowCallbacks.ts"
import type { CheckpointError, InvalidUpdateError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import * as GraphMetrics from "../GraphMetrics.ts"
import type * as RunState from "../RunState.ts"
import { cut, cutJoin } from "./attempt.ts"
import { begin } from "./begin.ts"
import { Callbacks } from "./callbacks.ts"
import type { Inside, Run } from "./cells.ts"
import { circuitsOf, type Compiled, registryOf, restoreCircuits } from "./compiled.ts"
import { CurrentInterceptor } from "./interception.ts"
import { mappedOf } from "./node.ts"
import { noteCircuit, type State } from "./plan.ts"
import {
  type Configs,
  newRunId,
  prepare,
  type ResumeOptions,
  resumeOptions,
  type RunOptions,
  supportedConfigs
} from "./prepare.ts"
import { restoreLine } from "./restore.ts"
import type { Kept } from "./saver.ts"
import { Session } from "./session.ts"
import { spansOf } from "./span.ts"
import { beginning, type Found, found, holding, match, patched } from "./thread.ts"
import { walk } from "./walk.ts"
import { branchOf } from "./work.ts"

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
    return holding(compiled.plan.name, thread, options?.takeOver === true, configs.config.graceMs, (held) =>
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
    supportedConfigs(compiled, options, resumeOptions, thread),
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
  const unlessMuted = (tell: Emitter): Emitter =>
    tell && ((event) => {
      if (!line.muted) tell(event)
    })
  const hooked = unlessMuted(run.emit)
  const listener = unlessMuted(run.listen)
  // It goes on where it was when the run around it was saved.
  const owner = line.call?.owner ?? line
  const saved = owner.continued?.inner
  if (owner.continued !== undefined) owner.continued.inner = undefined
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
        begin(makeRun(compiled, fiber, run.runId, configs, listener, { inside, hooked }), { state, saved })
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
  { carried, hooked = listener, inside, kept }: {
    readonly inside?: Inside
    /** Who hears what hooks are for, if others than the listener do. */
    readonly hooked?: Emitter
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
    spans: spansOf(context, clock, plan.name),
    registry: registryOf(compiled, context),
    emit: both(callbacks?.offer, hooked),
    listen: listener,
    callbacks,
    ...configs,
    metrics: compiled.metrics,
    metricTarget: GraphMetrics.targetOf(context),
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
