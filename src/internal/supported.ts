/**
 * Whether the registry of a run can do what the configured circuits ask for.
 */
import * as Result from "effect/Result"
import type { Config } from "../CircuitBreaker.ts"
import type { Service } from "../CircuitBreakerRegistry.ts"
import { InvalidConfigError } from "../GraphError.ts"
import type { Resolved } from "../ParallelConfig.ts"
import type { Run } from "./cells.ts"
import type { Plan } from "./plan.ts"

type Configs = Pick<Run, "configOf" | "configOfItem">

/** The first problem of any circuit of the plan. */
export const unsupported = (registry: Service, plan: Plan, { configOf }: Configs): InvalidConfigError | undefined => {
  if (registry.unsupported === undefined) return undefined
  const all: Array<readonly [what: string, config: Resolved]> = []
  for (const node of [plan.start, ...plan.nodes.values()]) {
    if (node.policy !== undefined) all.push([`node "${node.name}"`, node.policy.config])
    for (const edge of node.launches) all.push([`flow "${edge.name}"`, configOf(edge)])
  }
  for (const [what, config] of all) {
    const [problem] = problemsOf(registry, config, `${what} of graph "${plan.name}"`)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** The same for what an item of a map says. */
export const ofItems = (registry: Service, { configOfItem }: Configs): Run["configOfItem"] =>
  registry.unsupported === undefined ?
    configOfItem :
    (edge, own) =>
      Result.flatMap(configOfItem(edge, own), (resolved) => {
        const problems = problemsOf(registry, resolved, `item of the map ${edge.from} -> ${edge.to.name}`)
        return problems.length === 0 ? Result.succeed(resolved) : Result.fail(problems)
      })

const problemsOf = (
  { unsupported }: Service,
  { circuitBreaker }: Resolved,
  source: string
): ReadonlyArray<InvalidConfigError> => {
  const config: Config | undefined = circuitBreaker?.config
  if (config === undefined || unsupported === undefined) return []
  return unsupported(config, source).map(({ allowed, field, value }) =>
    new InvalidConfigError({ field: `circuitBreaker.${field}`, value, allowed, source })
  )
}
