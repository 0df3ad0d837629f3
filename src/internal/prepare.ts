/**
 * Everything that can be refused before any node of a run runs: its options, its configuration, its input.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as FlowCallbacks from "../FlowCallbacks.ts"
import { type CallbackError, type InvalidConfigError, InvalidInputError } from "../GraphError.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import type { Run } from "./cells.ts"
import { type Compiled, registryOf } from "./compiled.ts"
import { firstIssue } from "./issue.ts"
import { OptionReader } from "./option.ts"
import type { Plan, PlanEdge, State } from "./plan.ts"
import type { Durability } from "./saver.ts"
import { ofItems, unsupported } from "./supported.ts"
import type { Patch } from "./thread.ts"

export interface RunOptions {
  readonly thread?: string | undefined
  readonly durability?: Durability | undefined
  readonly takeOver?: boolean | undefined
  readonly runId?: string | undefined
  readonly parallel?: ParallelConfig.Input | undefined
  readonly callbacks?: FlowCallbacks.Given<unknown, CallbackError> | undefined
}

/** Of a resume. */
export interface ResumeOptions extends Omit<RunOptions, "thread" | "runId"> {
  readonly answers?: Readonly<Record<string, unknown>> | undefined
  readonly update?: Patch | undefined
  readonly checkpointId?: string | undefined
}

const durabilities: ReadonlyArray<unknown> = ["step", "async", "exit"]
const runOptions = ["thread", "durability", "takeOver", "runId", "parallel", "callbacks"]
export const resumeOptions = ["durability", "parallel", "callbacks", "answers", "update", "checkpointId", "takeOver"]

/** Everything that can be refused, before any node runs. */
export const prepare = (
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

export const newRunId = Effect.map(Effect.all([Random.nextInt, Random.nextInt]), ([a, b]) => hex(a) + hex(b))
const hex = (n: number): string => Math.abs(n).toString(16).padStart(14, "0").slice(-12)

/** The configs of one run: the plan's own, unless a layer or the run's options say more. */
export interface Configs {
  readonly watching: ReadonlyArray<FlowCallbacks.FlowCallbacks<unknown, CallbackError>>
  readonly config: ParallelConfig.Resolved
  readonly configOf: (edge: PlanEdge) => ParallelConfig.Resolved
  readonly configOfItem: Run["configOfItem"]
}

/** Circuits that are shared between processes cannot do all that circuits in memory can. */
export const supportedConfigs = (
  compiled: Compiled,
  options: RunOptions | undefined,
  known?: ReadonlyArray<string>,
  thread?: unknown
): ReturnType<typeof configsOf> =>
  Effect.flatMap(
    configsOf(compiled.plan, options, known, thread),
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
    const config = ParallelConfig.resolve(ParallelConfig.merge(below, override))
    return Effect.succeed({
      watching,
      config,
      configOf: (edge) => {
        if (Object.keys(edge.config).length === 0) return config
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
  const { durability, runId, takeOver } = options as { readonly [K in keyof RunOptions]: unknown }
  const { answers, checkpointId } = options as { readonly [K in keyof ResumeOptions]: unknown }
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
