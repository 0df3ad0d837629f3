/**
 * What a graph and its config say about the flows and nodes that events tell of.
 */
import * as Result from "effect/Result"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import { circuitKey, nodeCircuitKey, type Plan, type PlanEdge, type PlanNode } from "../../internal/plan.ts"
import * as ParallelConfig from "../../ParallelConfig.ts"
import type { Any as AnyResult } from "../../ParallelFlowResult.ts"

/** Of the flows of one edge. What is not known limits nothing. */
export interface FlowFacts {
  /** The node that starts them, and their place among the edges that it starts for the same fan-in. */
  readonly launch: { readonly from: string; readonly order: number } | undefined
  readonly concurrency: number
  readonly circuit: Circuit | undefined
  readonly maxAttempts: (result: AnyResult) => number
}

export interface Circuit {
  /** Absent when it is not known. */
  readonly key: string | undefined
  readonly config: CircuitBreaker.Config
}

export interface Facts {
  readonly flow: (branch: string, fanIn: string) => FlowFacts | undefined
  readonly node: (path: string) => { readonly maxAttempts: number; readonly circuit: Circuit | undefined } | undefined
}

const attemptsOf = ({ retry }: ParallelConfig.Resolved): number => {
  if (retry === undefined) return 1
  return retry._tag === "Policy" ? retry.policy.maxRetries + 1 : Infinity
}

/** All flows of a run have this config, as far as is known. */
export const ofConfig = (config: ParallelConfig.Resolved): Facts => {
  const { circuitBreaker } = config
  const facts: FlowFacts = {
    launch: undefined,
    concurrency: Infinity,
    circuit: circuitBreaker,
    maxAttempts: () => attemptsOf(config)
  }
  return { flow: () => facts, node: () => undefined }
}

/** `given`: the config of the run. */
export const ofGraph = (plan: Plan, given: ParallelConfig.ParallelConfig): Facts => {
  const known = new Map<PlanEdge, Omit<FlowFacts, "circuit">>()
  return {
    flow: (branch, fanIn) => {
      const inner = graphAt(plan, fanIn)
      const edge = inner && edgeOf(inner.plan, branch, inner.name)
      if (inner === undefined || edge === undefined) return undefined
      const below = ParallelConfig.merge(inner.plan.config, inner.plan === plan ? given : ParallelConfig.empty)
      // Elsewhere the branch has the names of the graphs around in it.
      const family = inner.plan === plan ? branch.replace(/\[[^\]]*\]/g, "") : undefined
      return { ...factsOf(known, inner.plan, edge, below), circuit: circuitOf(inner.plan, edge, below, family) }
    },
    node: (path) => {
      const inner = graphAt(plan, path)
      const config = inner?.plan.nodes.get(inner.name)?.policy?.config
      if (inner === undefined || config === undefined) return undefined
      const { circuitBreaker } = config
      const circuit = circuitBreaker &&
        { key: nodeCircuitKey(inner.plan.name, inner.name, circuitBreaker.key), config: circuitBreaker.config }
      return { maxAttempts: attemptsOf(config), circuit }
    }
  }
}

/** The graph that a path leads into, and the name in it. */
const graphAt = (plan: Plan, path: string): { readonly plan: Plan; readonly name: string } | undefined => {
  const names = path.split("/")
  const name = names.pop()!
  let at: Plan | undefined = plan
  for (const node of names) at = at?.nodes.get(node)?.subgraph?.compiled.plan
  return at && { plan: at, name }
}

const launchersOf = (plan: Plan): ReadonlyArray<PlanNode> => [plan.start, ...plan.nodes.values()]

/** The edge whose flow this is: names of one fan-in differ. */
const edgeOf = (plan: Plan, branch: string, fanIn: string): PlanEdge | undefined => {
  const fits = launchersOf(plan).flatMap(({ launches }) =>
    launches.filter((edge) => {
      if (edge.fanIn.name !== fanIn) return false
      if (edge.map === undefined) return branch === edge.name || branch.endsWith(`/${edge.name}`)
      return branch.endsWith("]") && `/${branch}`.includes(`/${edge.name}[`)
    })
  )
  // A key of an item can look like anything.
  return fits.length === 1 ? fits[0] : undefined
}

/** Without its circuit: that depends on the flows around. */
const factsOf = (
  known: Map<PlanEdge, Omit<FlowFacts, "circuit">>,
  plan: Plan,
  edge: PlanEdge,
  below: ParallelConfig.ParallelConfig
): Omit<FlowFacts, "circuit"> => {
  const facts = known.get(edge)
  if (facts !== undefined) return facts
  const resolved = (of: PlanEdge) => ParallelConfig.resolve(ParallelConfig.merge(below, of.config))
  const config = resolved(edge)
  const launches = launchersOf(plan).find(({ launches }) => launches.includes(edge))!.launches
    .filter(({ fanIn }) => fanIn === edge.fanIn)
  const made: Omit<FlowFacts, "circuit"> = {
    launch: { from: edge.from, order: launches.indexOf(edge) },
    concurrency: Math.min(...launches.map((of) => resolved(of).concurrency)),
    maxAttempts: ({ index, item }) => {
      if (edge.map?.config === undefined || index === undefined) return attemptsOf(config)
      const own = ParallelConfig.parse(edge.map.config(item, index), "item")
      return Result.isFailure(own)
        ? Infinity
        : attemptsOf(ParallelConfig.resolve(ParallelConfig.merge(below, edge.config, own.success)))
    }
  }
  known.set(edge, made)
  return made
}

const circuitOf = (
  plan: Plan,
  edge: PlanEdge,
  below: ParallelConfig.ParallelConfig,
  family: string | undefined
): Circuit | undefined => {
  const { circuitBreaker } = ParallelConfig.resolve(ParallelConfig.merge(below, edge.config))
  // Items that choose their own.
  if (circuitBreaker === undefined || edge.map?.circuitKey !== undefined || edge.map?.config !== undefined) {
    return undefined
  }
  const { config, key } = circuitBreaker
  return { key: family === undefined ? key : circuitKey(plan.name, family, key), config }
}
