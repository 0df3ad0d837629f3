/**
 * Events by run, and by the work that they are of.
 */
import type * as GraphEvent from "../../GraphEvent.ts"

export interface RunEvents {
  readonly runId: string
  readonly events: ReadonlyArray<GraphEvent.Any>
  /** It went on with what had been saved: not everything of it began here. */
  readonly resumed: boolean
}

const ends: ReadonlyArray<GraphEvent.Any["_tag"]> = ["GraphCompleted", "GraphFailed", "GraphSuspended"]

/** Each run, in the order of their first events. An id that starts again is a run that was resumed. */
export const runsOf = (events: ReadonlyArray<GraphEvent.Any>, resumed: boolean): ReadonlyArray<RunEvents> => {
  const runs: Array<RunEvents> = []
  const last = new Map<string, { readonly events: Array<GraphEvent.Any>; ended: boolean }>()
  for (const event of events) {
    const { _tag, runId } = event
    let run = last.get(runId)
    if (run === undefined || run.ended && _tag === "GraphStarted") {
      const isAgain = run !== undefined
      run = { events: [], ended: false }
      runs.push({ runId, events: run.events, resumed: resumed || isAgain })
      last.set(runId, run)
    }
    run.events.push(event)
    if (ends.includes(_tag)) run.ended = true
  }
  return runs
}

const lineOf = (branch: string | undefined): string => branch === undefined ? "" : ` in flow ${branch}`

/** What attempts belong to, in words. */
export const workOf = (event: GraphEvent.OfWork): string =>
  event.scope === "flow" ? `flow ${event.branch}` : `node ${event.node}${lineOf(event.branch)}`

/** Whether it is the end of an attempt; a total limit in a wait ends none. */
export const endsAttempt = (event: GraphEvent.Any): event is Extract<GraphEvent.Any, GraphEvent.OnAttempt> =>
  event._tag === "AttemptSucceeded" || event._tag === "AttemptFailed" || event._tag === "AttemptInterrupted" ||
  event._tag === "FlowTimedOut"

/** Which flow is within which. */
export class Flows {
  readonly #fanIns = new Map<string, string>()

  note({ branch, fanIn }: GraphEvent.OnFlow): void {
    this.#fanIns.set(branch, fanIn)
  }

  /**
   * The flow around a flow: the one of the longest name that its own begins with. Between the two stand the nodes that are
   * graphs, which are also what the names of its fan-in begins with.
   */
  around({ branch, fanIn }: GraphEvent.OnFlow): string | undefined {
    for (let at = branch.lastIndexOf("/"); at > 0; at = branch.lastIndexOf("/", at - 1)) {
      const outer = branch.slice(0, at)
      const around = this.#fanIns.get(outer)
      if (around === undefined) continue
      const graph = graphOf(around)
      if (fanIn.startsWith(graph) && branch.startsWith(graphOf(fanIn).slice(graph.length), at + 1)) return outer
    }
    return undefined
  }
}

/** The nodes that are graphs on the way to a node, each with a `/` after it. */
const graphOf = (path: string): string => path.slice(0, path.lastIndexOf("/") + 1)
