/** What a random graph is put together from. */
import type { Random } from "./random.ts"

/** A builder without types: names are made up as the graph grows. */
export interface Builder {
  addNode(name: string, run?: unknown, policy?: unknown): Builder
  addFanInNode(name: string, run?: unknown, options?: unknown): Builder
  addSubgraph(name: string, graph: unknown, options: unknown): Builder
  addEdge(from: string, to: string): Builder
  addConditionalEdges(from: string, decide: unknown, targets: Readonly<Record<string, string>>): Builder
  addParallelEdge(from: string, to: string, fanIn: string, config?: unknown): Builder
  addParallelMap(from: string, to: string, fanIn: string, options: unknown): Builder
  compile(options?: object): object
}

/** Where a part of a graph is. */
export interface Place {
  /** Fan-outs may be nested so deep. */
  readonly depth: number
  /** Nodes may need so many attempts: one where a failure would end the run, or cut flows in the middle. */
  readonly patience: number
  /** Nodes may also fail for good. */
  readonly mayFail: boolean
  /** Nodes run for several items at once: nothing that they share may depend on their order. */
  readonly mapped: boolean
}

/** A part of a line: what it begins and ends with. The last node has no way out yet. */
export interface Part {
  readonly first: string
  readonly last: string
  /** The attempt in which all of it succeeds. */
  readonly needs: number
  /** It takes no longer, in virtual milliseconds. */
  readonly longest: number
}

/** A flow of a fan-out. */
export interface Branch {
  readonly add: (builder: Builder, from: string, fanIn: string, limited: boolean) => Builder
  readonly count: number
  /** For sure; if not, it may all the same, unless it never does. */
  readonly succeeds: boolean
  readonly never?: boolean
  readonly longest: number
  /** Its fan-out has only so many places: what never ends must not take them. */
  readonly limited?: boolean
}

export interface Start {
  readonly from: string
  readonly branch: Branch
}

/** What the graphs of a seed share. */
export interface Names {
  next: number
  /** So many nodes may still be made. */
  left: number
  /** So many of them may ask somebody, or be points where a line waits. */
  asks: number
  /** Whether there are such at all: then nothing else lasts for ever. */
  readonly waits: boolean
}

/** A rule that is met by the same flows whatever happens, and how many flows there are that never end by themselves. */
export const ruleOf = (
  random: Random,
  branches: ReadonlyArray<Branch>,
  longest: number,
  features: Set<string>,
  waits: boolean
): { readonly rule?: unknown; readonly endless: number } => {
  if (random.chance(0.6)) return { endless: 0 }
  const count = branches.reduce((sum, branch) => sum + branch.count, 0)
  const successful = branches.reduce((sum, branch) => sum + (branch.succeeds ? branch.count : 0), 0)
  const failed = count - successful
  const endless = waits || branches.some(({ limited }) => limited) ? 0 : 1 + random.below(2)
  features.add("completion rule")
  switch (random.below(4)) {
    case 0:
      // Longer than anything takes, and no longer than a run is waited for.
      return { rule: { within: Math.min(4 * longest + 1_000, 100_000_000) }, endless }
    case 1:
      return successful === 0 || failed > 0 ? { endless: 0 } : { rule: { minSuccessful: successful }, endless }
    case 2:
      return endless > 0 && branches.every((branch) => branch.never)
        ? { rule: { tolerate: count - 1 }, endless }
        : { rule: { tolerate: failed }, endless: 0 }
    default:
      return { rule: { tolerateRatio: 1 }, endless: 0 }
  }
}
