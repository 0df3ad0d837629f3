/**
 * Step 1: builder data in, a compiled plan out, or all problems at once.
 */
import * as Result from "effect/Result"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import * as FlowCallbacks from "../FlowCallbacks.ts"
import { type CallbackError, type GraphProblem, GraphValidationError, type InvalidConfigError } from "../GraphError.ts"
import * as GraphMetrics from "../GraphMetrics.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import type { SameCircuit } from "./circuits.ts"
import type { Compiled } from "./compiled.ts"
import { OptionReader } from "./option.ts"
import { type BuilderData, link, type ParallelData, type Plan, type PlanEdge } from "./plan.ts"
import { validate } from "./validate.ts"

export interface CompileInput {
  readonly parallel?: ParallelConfig.Input | undefined
  readonly maxSteps?: number | "unbounded" | undefined
  readonly callbacks?: FlowCallbacks.Given<unknown, CallbackError> | undefined
  readonly suspendBefore?: ReadonlyArray<string> | undefined
  readonly suspendAfter?: ReadonlyArray<string> | undefined
}

/** What stays the same while a graph is built. */
export interface Making {
  readonly make: Compiled["make"]
  readonly codecs: Compiled["codecs"]
  readonly keys: Plan["keys"]
  readonly config: ParallelConfig.ParallelConfig
  readonly isProgress: Plan["isProgress"]
  readonly reducers: Plan["reducers"]
}

const defaultMaxSteps = 1000

export const compile = (
  data: BuilderData,
  { codecs, config: base, isProgress, keys, make, reducers }: Making,
  options: CompileInput
): Result.Result<Compiled, GraphValidationError> => {
  const invalid: Array<GraphProblem> = []
  const orReport = (
    parsed: Result.Result<ParallelConfig.ParallelConfig, ReadonlyArray<InvalidConfigError>>,
    nodes: ReadonlyArray<string>
  ): ParallelConfig.ParallelConfig => {
    if (Result.isSuccess(parsed)) return parsed.success
    for (const error of parsed.failure) invalid.push({ code: "InvalidConfig", nodes, message: error.message })
    return ParallelConfig.empty
  }

  const reader = new OptionReader("compile")
  reader.known("", options, ["parallel", "maxSteps", "callbacks", "suspendBefore", "suspendAfter"])
  const maxSteps = options.maxSteps === "unbounded" ? Infinity : reader.integer("maxSteps", options.maxSteps, 1)
  const callbacks = FlowCallbacks.fromGiven(options.callbacks, reader)
  const stops = {
    before: namesIn(data, options.suspendBefore, "suspendBefore", reader),
    after: namesIn(data, options.suspendAfter, "suspendAfter", reader)
  }
  for (const error of reader.problems) invalid.push({ code: "InvalidConfig", nodes: [], message: error.message })
  const config = ParallelConfig.merge(
    base,
    options.parallel === undefined
      ? ParallelConfig.empty
      : orReport(ParallelConfig.parse(options.parallel, "compile"), [])
  )
  const resolved = ParallelConfig.resolve(config)
  const configOf = (edge: ParallelData): Pick<PlanEdge, "config" | "resolved"> => {
    const own = orReport(edge.config, [edge.from, edge.to])
    // Edges that say nothing share what the graph says: of very many, that is what a run reads all the time.
    if (Object.keys(own).length === 0) return { config: own, resolved }
    return { config: own, resolved: ParallelConfig.resolve(ParallelConfig.merge(config, own)) }
  }
  for (const { name, options } of data.nodes) {
    if (Result.isSuccess(options)) continue
    for (const error of options.failure) {
      invalid.push({ code: "InvalidConfig", nodes: [name], message: error.message })
    }
  }
  // Configs of edges that cannot be linked are read all the same, for their problems.
  const read = new Map(data.parallels.map((edge) => [edge, configOf(edge)]))
  const linked = link(data, stops, (edge) => read.get(edge)!)
  const { circuits, problems } = validate(data, linked, sameCircuit)
  if (problems.length + invalid.length > 0) {
    return Result.fail(new GraphValidationError({ graph: data.name, problems: [...problems, ...invalid] }))
  }
  return Result.succeed({
    plan: {
      name: data.name,
      ...linked,
      keys,
      maxSteps: maxSteps ?? defaultMaxSteps,
      isProgress,
      reducers,
      config,
      resolved
    },
    make,
    codecs,
    callbacks,
    registry: CircuitBreakerRegistry.makeUnsafe(),
    circuits,
    metrics: new GraphMetrics.OfGraph(data.name)
  })
}

const namesIn = (data: BuilderData, given: unknown, field: string, reader: OptionReader): ReadonlySet<string> => {
  if (given === undefined) return new Set()
  if (!Array.isArray(given)) {
    reader.reject(field, given, "a list of node names")
    return new Set()
  }
  const known = new Set(data.nodes.map(({ name }) => name))
  for (const name of given) {
    if (!known.has(name)) reader.reject(field, name, `names of nodes: ${[...known].join(", ")}`)
  }
  return new Set(given)
}

const sameCircuit: SameCircuit = (a, b) => CircuitBreaker.sameConfig(a.config, b.config)
