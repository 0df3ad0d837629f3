/**
 * The rule of events: every start has exactly one end, and nothing happens outside of what it is part of.
 */
import type * as GraphEvent from "../../GraphEvent.ts"

interface Place {
  readonly branch?: string
  readonly attempt?: number
}

const place = (event: Place): string =>
  event.branch === undefined ? "the main line" : `attempt ${event.attempt} of ${event.branch}`

/** An attempt of a flow, or one of a single node with a policy of its own. */
const attemptOf = (event: GraphEvent.OnAttempt): string =>
  event.scope === "flow" ? place(event) : `own attempt ${event.attempt} of ${ownOf(event)}`

const ownOf = ({ branch, node }: Place & { readonly node: string }): string =>
  `node ${node} on ${branch === undefined ? "the main line" : `a line of ${branch}`}`

/** What is wrong with a run's events, in words; empty for a run that ended as it must. */
export const startsAndEnds = (events: ReadonlyArray<GraphEvent.Any>): Array<string> => {
  const found: Array<string> = []
  /** Started and not ended. Flows of one name can be started again, one after the other. */
  const open = new Set<string>()
  const start = (what: string) => {
    if (open.has(what)) found.push(`${what} starts twice`)
    open.add(what)
  }
  const end = (what: string, by: string) => {
    if (!open.delete(what)) found.push(`${what} ends with ${by}, but has not started`)
  }
  const within = (what: string, event: string) => {
    if (!open.has(what)) found.push(`${event} outside of ${what}`)
  }
  const closed = (branch: string) => {
    for (const what of open) {
      if (what.endsWith(` of ${branch}`) || what.includes(` of ${branch}/`)) {
        found.push(`flow ${branch} ends while ${what} is open`)
      }
    }
  }
  const fanIns = new Set<string>()
  /** Flows whose last attempt is over, or was refused: their fallback runs. */
  const fallbacks = new Set<string>()
  const endNode = (event: GraphEvent.OnNode & { readonly _tag: string }) => {
    end(`node ${event.node} on ${place(event)}`, event._tag)
    for (const what of open) if (what.endsWith(` of ${ownOf(event)}`)) found.push(`${what} is open after its node`)
  }
  for (const [i, event] of events.entries()) {
    const { _tag } = event
    if ((i === 0) !== (_tag === "GraphStarted")) found.push(`event ${i} is ${_tag}`)
    if (_tag !== "GraphStarted") within("the run", _tag)
    switch (_tag) {
      case "GraphStarted":
        start("the run")
        break
      case "GraphCompleted":
      case "GraphFailed":
      case "GraphSuspended":
        end("the run", _tag)
        if (open.size > 0) found.push(`the run ends while these are open: ${[...open].join("; ")}`)
        if (fanIns.size > 0) found.push(`the run ends while fan-ins are open: ${[...fanIns].join("; ")}`)
        break
      case "FlowStarted":
        start(`flow ${event.branch}`)
        break
      case "FlowCompleted":
        if (event.result.attempts > 0 || fallbacks.has(event.branch)) end(`flow ${event.branch}`, _tag)
        else if (open.has(`flow ${event.branch}`)) found.push(`flow ${event.branch} ends as if it had not started`)
        closed(event.branch)
        if (fallbacks.delete(event.branch) && !event.result.usedFallback) {
          found.push(`flow ${event.branch} runs a node outside of its attempts, and tells of no fallback`)
        }
        break
      case "FlowSuspended":
        end(`flow ${event.branch}`, _tag)
        closed(event.branch)
        fallbacks.delete(event.branch)
        break
      case "AttemptStarted": {
        if (event.scope === "flow") {
          within(`flow ${event.branch}`, _tag)
          if (fallbacks.has(event.branch)) found.push(`flow ${event.branch} is attempted after its fallback`)
        } else {
          const line = event.branch === undefined ? " on the main line" : ` of ${event.branch}`
          const running = [...open].some((what) => what.startsWith(`node ${event.node} on `) && what.endsWith(line))
          if (!running) found.push(`${_tag} outside of ${ownOf(event)}`)
        }
        start(attemptOf(event))
        break
      }
      case "FlowTimedOut":
        // In a wait between attempts, a total limit ends no attempt.
        if (event.timeoutKind === "total" && !open.has(attemptOf(event))) break
        end(attemptOf(event), _tag)
        break
      case "AttemptSucceeded":
      case "AttemptFailed":
      case "AttemptInterrupted":
        end(attemptOf(event), _tag)
        break
      case "FanInStarted":
        if (fanIns.has(`${event.node} on ${place(event)}`)) found.push(`fan-in ${event.node} starts twice`)
        fanIns.add(`${event.node} on ${place(event)}`)
        break
      case "NodeStarted":
        if (event.branch !== undefined && !open.has(place(event))) {
          within(`flow ${event.branch}`, _tag)
          fallbacks.add(event.branch)
        }
        start(`node ${event.node} on ${place(event)}`)
        break
      case "NodeProgress":
        within(`node ${event.node} on ${place(event)}`, _tag)
        break
      case "NodeCompleted":
        endNode(event)
        break
      case "FanInCompleted":
        if (!fanIns.delete(`${event.node} on ${place(event)}`)) found.push(`fan-in ${event.node} ends without a start`)
        break
      case "NodeFailed":
      case "NodeInterrupted":
        endNode(event)
        fanIns.delete(`${event.node} on ${place(event)}`)
        break
      default:
    }
  }
  const last = events.at(-1)?._tag
  if (last !== "GraphCompleted" && last !== "GraphFailed" && last !== "GraphSuspended") {
    found.push(`the last event is ${last}`)
  }
  return found
}
