/**
 * The events of one run, as the answers to what a test asks about it.
 */
import type * as Exit from "effect/Exit"
import type * as GraphEvent from "../../GraphEvent.ts"
import type { Expected, FlowRecord, NodeRecord, Recording } from "../Recorder.ts"
import { differences } from "./differences.ts"
import { labelOf, matches, timeline } from "./eventText.ts"
import { ExpectationError } from "./expectation.ts"

type AnyState = Readonly<Record<string, unknown>>

const outcomes: Partial<Record<GraphEvent.Any["_tag"], Recording<AnyState, unknown>["outcome"]>> = {
  GraphCompleted: "Completed",
  GraphSuspended: "Suspended"
}

export class Recorded implements Recording<AnyState, unknown> {
  readonly events: Array<GraphEvent.Any> = []
  exit: Exit.Exit<AnyState, unknown> | undefined = undefined
  readonly #graph: string
  constructor(graph: string) {
    this.#graph = graph
  }

  get outcome(): Recording<AnyState, unknown>["outcome"] {
    const last = this.events.at(-1)
    if (last?._tag === "GraphFailed") return last.errorType === "InterruptedError" ? "Interrupted" : "Failed"
    // Input that is refused makes no event.
    return (last && outcomes[last._tag]) ?? (this.exit === undefined ? "Running" : "Failed")
  }

  get durationMs(): number {
    return (this.events.at(-1)?.at ?? 0) - (this.events[0]?.at ?? 0)
  }

  get branches(): ReadonlyArray<string> {
    return [...new Set(this.events.flatMap((event) => isOfFlow(event) ? [event.branch] : []))]
  }

  flows(branch: string): ReadonlyArray<FlowRecord<AnyState>> {
    const rounds: Array<Array<GraphEvent.Any>> = []
    let open: Array<GraphEvent.Any> | undefined
    for (const event of this.events) {
      if (!isOfFlow(event) || event.branch !== branch) continue
      if (open === undefined) rounds.push(open = [])
      open.push(event)
      if (event._tag === "FlowCompleted" || event._tag === "FlowSuspended") open = undefined
    }
    return rounds.map((events) => flowOf(branch, events))
  }

  flow(branch: string): FlowRecord<AnyState> {
    const last = this.flows(branch).at(-1)
    if (last !== undefined) return last
    const { branches } = this
    throw this.#error([
      `there is no flow ${branch}${branches.length === 0 ? "" : `: the flows are ${branches.join(", ")}`}`
    ])
  }

  node(name: string): NodeRecord<AnyState> {
    const of = (tag: GraphEvent.Any["_tag"]): ReadonlyArray<GraphEvent.Any> =>
      this.events.filter((event) => event._tag === tag && "node" in event && event.node === name)
    return {
      started: of("NodeStarted").length,
      completed: of("NodeCompleted").length,
      failed: of("NodeFailed").length,
      interrupted: of("NodeInterrupted").length,
      updates: of("NodeCompleted").flatMap((event) => event._tag === "NodeCompleted" ? [event.update] : [])
    }
  }

  count(step: string): number {
    return this.events.filter((event) => matches(labelOf(event), step)).length
  }

  expectOutcome(expected: Recording<AnyState, unknown>["outcome"]): this {
    return this.#check(differences("the outcome", this.outcome, expected))
  }

  expectFlow(branch: string, expected: Expected<AnyState>): this {
    const { outcome, result } = this.flow(branch)
    if (result === undefined) return this.#check([`flow ${branch} has no result: it is ${outcome.toLowerCase()}`])
    return this.#check(differences(`flow ${branch}`, result, { ...expected }))
  }

  expectCount(step: string, expected: number): this {
    return this.#check(differences(`the number of ${step}`, this.count(step), expected))
  }

  expectOrder(steps: ReadonlyArray<string>): this {
    const labels = this.events.map(labelOf)
    let at = 0
    for (const [i, step] of steps.entries()) {
      const found = labels.findIndex((label, index) => index >= at && matches(label, step))
      if (found < 0) {
        const before = steps[i - 1]
        const never = !labels.some((label) => matches(label, step))
        const where = never ? "does not happen" : `does not happen after ${before}`
        return this.#check([`${step} ${where}; expected is this order: ${steps.join(", ")}`])
      }
      at = found + 1
    }
    return this
  }

  get print(): string {
    const outcome = this.outcome.toLowerCase()
    const took = this.events.length === 0 ? "" : ` after ${this.durationMs} ms`
    return [`run of "${this.#graph}", ${outcome}${took}`, ...timeline(this.events)].join("\n")
  }

  #check(issues: ReadonlyArray<string>): this {
    if (issues.length > 0) throw this.#error(issues)
    return this
  }

  #error(issues: ReadonlyArray<string>): ExpectationError {
    return new ExpectationError({ issues, happened: this.print })
  }
}

type OfFlow = Extract<GraphEvent.Any, { readonly branch: string }>

/** Of a flow itself, and not of a node on it. */
const isOfFlow = (event: GraphEvent.Any): event is OfFlow => {
  switch (event._tag) {
    case "FlowStarted":
    case "FlowCompleted":
    case "FlowSuspended":
      return true
    default:
      return "scope" in event && event.scope === "flow"
  }
}

const flowOf = (branch: string, events: ReadonlyArray<GraphEvent.Any>): FlowRecord<AnyState> => {
  const last = events.at(-1)
  const result = last?._tag === "FlowCompleted" ? last.result : undefined
  const attempts = events.flatMap((event) => event._tag === "AttemptStarted" ? [event.attempt] : [])
  return {
    branch,
    outcome: result?._tag ?? (last?._tag === "FlowSuspended" ? "Suspended" : "Running"),
    attempts: result?.attempts ?? attempts.at(-1) ?? 0,
    delaysMs: events.flatMap((event) => event._tag === "RetryScheduled" ? [event.delayMs] : []),
    result,
    events
  }
}
