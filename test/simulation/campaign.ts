/** Many seeds, one after the other. */
import { Journal } from "./determined.ts"
import { randomGraph } from "./randomGraph.ts"
import { printed, shrink } from "./shrink.ts"
import { type Outcome, simulate } from "./simulate.ts"
import { featuresOf } from "./spec.ts"
import { stopAnywhere } from "./stopAnywhere.ts"

export interface Task {
  /** Random runs, or random runs that are stopped anywhere and continued. */
  readonly kind: "runs" | "stops"
  readonly first: number
  readonly last: number
  /** The sources that are simulated, if they are not those of the project. */
  readonly sources?: string
  /** It ends with so many seeds that fail. Default: 3. */
  readonly failures?: number
  /** How often a failing run is made smaller. Default: 3000. */
  readonly tries?: number
  /** Of stopped runs: about so many nodes. */
  readonly size?: number
}

export interface Failure {
  readonly kind: Task["kind"]
  readonly seed: number
  readonly problems: ReadonlyArray<string>
  /** The smallest run that breaks the same promise, to be read. */
  readonly small?: string
  /** Of stopped runs: how to run it. */
  readonly smallest?: { readonly seed: number; readonly size: number }
  readonly size?: number
}

export interface Report {
  readonly seeds: number
  readonly failures: ReadonlyArray<Failure>
  /** How often what came about. */
  readonly counts: Readonly<Record<string, number>>
}

/** Of every tenth seed: a run is the same every time. */
const again = (outcome: Outcome): ReadonlyArray<string> => {
  const { log, spec: { seed } } = outcome
  if (seed % 10 !== 0) return []
  const other = simulate(seed).log
  const at = log.findIndex((line, i) => line !== other[i])
  if (at < 0 && log.length === other.length) return []
  return [`it is another run the second time: "${other[at]}" instead of "${log[at]}"`]
}

const run = (seed: number, tries: number, note: (what: string) => void): Failure | undefined => {
  const outcome = simulate(seed)
  note(outcome.ended.join(", then "))
  for (const feature of featuresOf(outcome.spec)) note(feature)
  const problems = [...outcome.problems, ...again(outcome)]
  if (problems.length === 0) return undefined
  const found = { kind: "runs", seed, problems } as const
  return outcome.problems.length === 0 || tries === 0
    ? found
    : { ...found, small: printed(shrink(outcome.spec, undefined, tries).spec) }
}

const stop = (seed: number, { size, tries = 3_000 }: Task, note: (what: string) => void): Failure | undefined => {
  const { broken, ended, features, problems, suspensions } = stopAnywhere(seed, { checkpoints: 1, stops: 1, size })
  note(ended)
  for (const feature of features) note(feature)
  if (broken > 0) note("broken store")
  if (suspensions > 0) note("suspended")
  if (problems.length === 0) return undefined
  const sized = size === undefined ? {} : { size }
  const found = { kind: "stops", seed, problems, ...sized } as const
  const smallest = tries === 0 || size !== undefined ? undefined : smallestStop(seed, problems, tries / 3)
  if (smallest === undefined) return found
  const { graph } = randomGraph(smallest.seed, new Journal(), smallest.size)
  return { ...found, smallest, small: (graph as { readonly toMermaid: () => string }).toMermaid() }
}

/** The smallest graph, of this seed or one of the first ones, whose runs break one of the promises too. */
const smallestStop = (seed: number, problems: ReadonlyArray<string>, tries: number): Failure["smallest"] => {
  const kinds = new Set(problems.map(stopKindOf))
  const seeds = [seed, ...Array.from({ length: 100 }, (_, i) => i + 1)]
  for (let size = 1, tried = 0; size < 30; size++) {
    for (const other of seeds) {
      if (++tried > tries) return undefined
      const found = stopAnywhere(other, { checkpoints: 1, stops: 1, size }).problems
      if (found.some((problem) => kinds.has(stopKindOf(problem)))) return { seed: other, size }
    }
  }
  return undefined
}

/** What is wrong, without where and with what. */
const stopKindOf = (problem: string): string =>
  /was executed|is executed|too often|were repeated|ends with|sees|saved again|reads back|runs twice|hangs|not end/
    .exec(problem)?.[0] ?? problem

export const campaign = (task: Task): Report => {
  const { failures: most = 3, first, kind, last, tries = 3_000 } = task
  const failures: Array<Failure> = []
  const counts: Record<string, number> = {}
  const note = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1
  }
  let seed = first
  for (; seed <= last && failures.length < most; seed++) {
    const failure = kind === "runs" ? run(seed, tries, note) : stop(seed, task, note)
    if (failure !== undefined) failures.push(failure)
  }
  return { seeds: seed - first, failures, counts }
}
