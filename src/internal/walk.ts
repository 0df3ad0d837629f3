/**
 * The interpreter of one line: node after node, from where the line stands to its end. The main line, a flow and a flow
 * inside a flow are all walked here.
 *
 * A line is a cell and not a fiber: only what a node itself asks for runs in one. `walk` goes on until it has to wait, for
 * a node's fiber or at a fan-in, and is called again when that has come.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { RoutingError, StepLimitError } from "../GraphError.ts"
import type { Pending } from "../RunState.ts"
import { cut, end, watchZombie } from "./attempt.ts"
import type { Continued, Line } from "./cells.ts"
import { check } from "./complete.ts"
import * as Emit from "./emit.ts"
import { pathOf } from "./emit.ts"
import { launch } from "./fanOut.ts"
import { guard } from "./guard.ts"
import { mergeFlows } from "./mergeFlows.ts"
import { call, contextOf, intercepted, isInterruption, merge, noteWritten } from "./node.ts"
import { firstDeclared } from "./paths.ts"
import { END, type NodeFunction, type PlanNode, type Position } from "./plan.ts"
import { idle } from "./settle.ts"
import { endSpan, nodeSpan, within } from "./span.ts"
import { branchOf, Join } from "./work.ts"

/** Steps without waiting after which a line lets others have their turn. */
const maxStepsInOneGo = 512

export const walk = (line: Line): void => {
  line.onStack = true
  try {
    if (line.continued !== undefined) begin(line.continued)
    steps(line)
  } catch (bug) {
    end(line, Exit.die(bug))
  }
  leave(line)
}

/** Once. */
const begin = (continued: Continued): void => {
  const { begin } = continued
  continued.begin = undefined
  begin?.()
}

/** Goes on with what user code has come to. */
const goOn = (line: Line, node: PlanNode, exit: Exit.Exit<unknown, unknown>, next: Next): void => {
  line.onStack = true
  try {
    if (next(line, node, exit)) steps(line)
  } catch (bug) {
    end(line, Exit.die(bug))
  }
  leave(line)
}

/** The end of a turn. A cut that came meanwhile, out of a listener or user code, is made now, where nothing is half-done. */
const leave = (line: Line): void => {
  line.onStack = false
  const { pendingCut } = line
  if (pendingCut !== undefined) cut(line, pendingCut)
  if (line.ended) idle(line)
}

const steps = (line: Line): void => {
  let steps = 0
  while (line.pendingCut === undefined && step(line)) {
    if (++steps === maxStepsInOneGo) return pause(line)
  }
}

const pause = (line: Line): void => {
  Effect.runForkWith(line.context)(Effect.yieldNow).addObserver(() => line.ended ? undefined : walk(line))
}

/** Makes one step; `false`: the line has ended, or waits and will be walked again. */
const step = (line: Line): boolean => {
  if (line.ended || line.dialog?.pending !== undefined || line.run.session.stopped) return false
  // A graph is stopped in a turn of its own.
  if (line.run.inside?.line.isStopping === true) return false
  if (line.call !== undefined) return execute(line, line.call.node)
  const at = line.position
  if (line.phase === "after" && at !== END) return depart(line, at)
  if (line.phase === "launched" && at !== END) return onward(line, at)
  if (at === END || at === line.flow?.edge.fanIn) return finish(line)
  if (at.kind === "start") return depart(line, at)
  const { callbacks, plan: { maxSteps } } = line.run
  if (callbacks?.raised !== undefined && line.flow === undefined) return fail(line, callbacks.raised)
  if (line.steps >= maxSteps) {
    return fail(
      line,
      new StepLimitError({ graph: line.run.plan.name, node: at.name, ...inBranch(line), limit: maxSteps })
    )
  }
  if (line.run.inside !== undefined) {
    for (const { run: { plan }, steps } of line.outer()) {
      if (steps < plan.maxSteps) continue
      const node = `${line.run.inside.nodes}${at.name}`
      return fail(line, new StepLimitError({ graph: plan.name, node, ...inBranch(line), limit: plan.maxSteps }))
    }
  }
  return at.kind === "node" ? !stopsBefore(line, at) && enter(line, at, undefined) : join(line, at)
}

/** Whether it stops at a point of `suspendBefore`, once each time that the line comes there. */
const stopsBefore = (line: Line, { name, stops }: PlanNode): boolean => {
  if (!stops.before || line.dialog?.passed === true) return false
  park(line, [pointOf(line, name, "before")])
  return true
}

const join = (line: Line, at: PlanNode): boolean => {
  const join = line.open.find((join) => join.fanIn === at)
  if (join === undefined) return !stopsBefore(line, at) && enter(line, at, new Join(at))
  const { session } = line.run
  join.closed = true
  check(line, join)
  if (join.pending > 0) {
    join.waiter = () => walk(line)
    if (session.parked > 0) session.look()
    return false
  }
  // What is not saved yet could come out otherwise after a crash, when the fan-in has seen it already.
  if (session.saver?.isBehind && session.saver.wait(() => line.ended ? undefined : walk(line))) return false
  if (stopsBefore(line, at)) return false
  join.cancelTimer?.()
  line.open = line.open.filter((other) => other !== join)
  return enter(line, at, join)
}

const enter = (line: Line, node: PlanNode, join: Join | undefined): boolean => {
  line.visit(node)
  line.phase = "entered"
  line.joining = join
  const results = join?.results()
  if (results !== undefined) Emit.fanInStarted(line, node, results)
  Emit.nodeStarted(line, node)
  line.running = node
  line.runningSpan = nodeSpan(line, node)
  const run = functionOf(line, node)
  if (run === undefined) {
    return join === undefined ? complete(line, node, undefined) : arrive(line, node, mergeFlows(line, node, join))
  }
  const ctx = line.ctx = contextOf(line, node, join, results)
  return runs(line, within(line.context, line.runningSpan), ctx, run, node, arrive)
}

/** What a node does: its own function, a graph, or attempts of either. */
const functionOf = (line: Line, node: PlanNode): NodeFunction | undefined =>
  node.policy !== undefined ? guard(line, node, node.policy) : plainOf(line, node)

const plainOf = (line: Line, node: PlanNode): NodeFunction | undefined => {
  const run = node.subgraph === undefined ? node.run : line.run.subgraph(line, node)
  const { interceptor } = line.run
  return run === undefined || interceptor === undefined ? run : intercepted(line, node, run, interceptor)
}

/** One attempt of a guarded node: its line does this and nothing else, and ends with the update. */
const execute = (line: Line, node: PlanNode): boolean => {
  const run = plainOf(line, node)
  const ctx = line.ctx = contextOf(line, node)
  return run === undefined ? succeed(line, undefined) : runs(line, line.context, ctx, run, node, executed)
}

const executed: Next = (line, node, exit) => {
  if (stopped(line)) return false
  if (Exit.isFailure(exit)) return failCause(line, exit.cause)
  const state = merge(line, node, exit.value)
  return state instanceof Error ? fail(line, state) : succeed(line, exit.value as Line["state"])
}

type Next = (line: Line, node: PlanNode, exit: Exit.Exit<unknown, unknown>) => boolean

/** Calls user code, and goes on when it has returned: now, or when its fiber ends. */
const runs = (
  line: Line,
  context: Line["context"],
  ctx: Line["ctx"] & {},
  run: NodeFunction,
  node: PlanNode,
  next: Next
): boolean => {
  line.asker = ctx
  const returned = call(line, context, ctx, run)
  if (Exit.isExit(returned)) {
    line.asker = undefined
    return next(line, node, returned)
  }
  line.fiber = returned
  returned.addObserver((exit) => {
    if (line.fiber !== returned) return
    line.fiber = line.asker = undefined
    goOn(line, node, exit, next)
  })
  return false
}

/** Whether a node was stopped because it asks somebody: then its line waits. */
const asks = (line: Line): boolean => {
  const { dialog } = line
  if (dialog?.asking === undefined) return false
  const { asking } = dialog
  dialog.asking = undefined
  if (!asking.stops || line.ended) return false
  const questions = [...asking.questions.values()]
  park(line, questions)
  if (line.call !== undefined) park(line.call.owner, questions)
  return true
}

/** Parks a line whose node asks and does not stop: that is abandoned. */
export const leaveBehind = (line: Line, fiber: Line["fiber"] & {}): void => {
  watchZombie(line, fiber)
  line.fiber = line.asker = undefined
  stopped(line)
}

/** Ends what runs, if it was stopped because it asks. */
const stopped = (line: Line): boolean => {
  const { running, runningSpan } = line
  if (!asks(line)) return false
  if (running === undefined) return true
  line.running = undefined
  endSpan(line.run, runningSpan, Exit.interrupt())
  Emit.nodeInterrupted(line, running)
  return true
}

const park = (line: Line, pending: ReadonlyArray<Pending>): false => {
  line.said.pending = pending
  line.run.session.parks()
  return false
}

const pointOf = (line: Line, name: string, when: "before" | "after"): Pending => ({
  ...branchField(line),
  node: pathOf(line.run, name),
  when,
  name
})

const arrive: Next = (line, node, exit) => {
  if (stopped(line)) return false
  if (Exit.isSuccess(exit) && !line.ended) return complete(line, node, exit.value)
  const { fallback } = node
  const replaced = fallback !== undefined && !line.ended && Exit.isFailure(exit) && !isInterruption(exit)
  if (replaced) line.rarely.usedFallback = true
  if (replaced && fallback._tag === "Value") return complete(line, node, fallback.update, true)
  notCompleted(line, node, Exit.isSuccess(exit) ? Exit.interrupt() : exit)
  if (replaced && fallback._tag === "Node") return standIn(line, node, fallback.node)
  return Exit.isFailure(exit) && failCause(line, exit.cause)
}

/** Another node runs in a node's place, and the line then goes on as from that. */
const standIn = (line: Line, node: PlanNode, other: PlanNode): true => {
  line.rarely.failedNode = undefined
  line.rarely.insteadOf ??= node
  return move(line, other)
}

const notCompleted = (line: Line, node: PlanNode, exit: Exit.Exit<unknown, unknown>): void => {
  if (line.muted) return
  line.running = undefined
  line.rarely.failedNode ??= node.name
  endSpan(line.run, line.runningSpan, exit)
  if (isInterruption(exit)) Emit.nodeInterrupted(line, node)
  else if (Exit.isFailure(exit)) Emit.nodeFailed(line, node, exit.cause)
}

const complete = (line: Line, node: PlanNode, update: unknown, usedFallback = false): boolean => {
  const state = update === undefined ? line.state : merge(line, node, update)
  if (state instanceof Error) {
    notCompleted(line, node, Exit.fail(state))
    return fail(line, state)
  }
  line.state = state
  line.phase = "after"
  line.joining = undefined
  forget(line)
  if (update !== undefined) noteWritten(line, update as object)
  line.running = undefined
  endSpan(line.run, line.runningSpan, Exit.void)
  Emit.nodeCompleted(line, node, update === undefined ? {} : update as object, usedFallback)
  if (node.kind === "fanIn") Emit.fanInCompleted(line, node)
  const from = line.rare?.insteadOf ?? node
  if (line.rare !== undefined) line.rare.insteadOf = undefined
  line.position = from
  // Ended by a listener of one of these events.
  if (line.ended) return false
  if (from.stops.after) {
    line.run.session.saver?.boundary(() => {})
    return park(line, [pointOf(line, from.name, "after")])
  }
  return saved(line, from) && depart(line, from)
}

/** Whether the line goes on at once; if not, when the completion of its node has been saved. */
const saved = (line: Line, { launches, way }: PlanNode): boolean => {
  const { saver } = line.run.session
  if (saver === undefined || line.ended) return true
  const isLast = launches.length === 0 && line.open.length === 0 &&
    (way._tag === "None" || way._tag === "Edge" && (way.to === END || way.to === line.flow?.edge.fanIn))
  // The end of a line is a boundary of its own, that others wait for.
  return isLast || !saver.boundary(() => line.ended ? undefined : walk(line))
}

/** Launches what starts after a node, and moves on. */
const depart = (line: Line, node: PlanNode): boolean => {
  if (line.ended) return false
  line.phase = "launched"
  if (node.launches.length > 0) launch(line, node)
  return line.pendingCut === undefined && onward(line, node)
}

const onward = (line: Line, node: PlanNode): boolean => {
  const { way } = node
  switch (way._tag) {
    case "Edge":
      return move(line, way.to)
    case "None":
      return move(line, firstDeclared(line.open.map((join) => join.fanIn)) ?? END)
    case "Condition": {
      const ctx = line.ctx?.node === node.name ? line.ctx : contextOf(line, node)
      return runs(line, line.context, ctx, way.decide, node, decided)
    }
  }
}

const decided: Next = (line, node, exit) => {
  if (stopped(line)) return false
  if (line.ended || node.way._tag !== "Condition") return false
  const { targets } = node.way
  if (Exit.isSuccess(exit)) {
    const to = typeof exit.value === "string" ? targets.get(exit.value) : undefined
    if (to !== undefined) return move(line, to)
  }
  line.rarely.failedNode ??= node.name
  return Exit.isSuccess(exit)
    ? fail(line, unmapped(line, node, exit.value, [...targets.keys()]))
    : failCause(line, exit.cause)
}

const move = (line: Line, to: Position): true => {
  line.position = to
  line.phase = "before"
  if (line.dialog !== undefined) line.dialog.passed = false
  forget(line)
  // Of a node that is another one now than when the run was saved.
  line.continued = undefined
  return true
}

/** Answers are to one execution of one node. */
const forget = ({ dialog }: Line): void => {
  if (dialog !== undefined) dialog.answers = dialog.offered = dialog.asked = undefined
}

const succeed = (line: Line, value: Line["state"] | undefined): false => {
  end(line, Exit.succeed(value as Line["state"]))
  return false
}

const fail = (line: Line, error: unknown): false => {
  end(line, Exit.fail(error))
  return false
}

const failCause = (line: Line, cause: Cause.Cause<unknown>): false => {
  end(line, Exit.failCause(cause))
  return false
}

/** A line must not end past flows that it has to join. */
const finish = (line: Line): false => {
  if (line.open.length === 0) {
    end(line, Exit.succeed(line.state))
    return false
  }
  const waiting = line.open.map((join) =>
    `fan-in "${join.fanIn.name}" for ${[...join.flows, ...join.maps].map(({ edge }) => `"${edge.name}"`).join(", ")}`
  )
  const at = line.position === END ? END : line.position.name
  const issue = `it is an end, but flows are open: ${waiting.join("; ")}`
  return fail(line, new RoutingError({ graph: line.run.plan.name, node: at, ...inBranch(line), issue }))
}

const unmapped = (line: Line, node: PlanNode, answer: unknown, targets: ReadonlyArray<string>): RoutingError => {
  const issue = `the condition answered ${shown(answer)}, its targets are ${targets.join(", ")}`
  return new RoutingError({ graph: line.run.plan.name, node: node.name, ...inBranch(line), issue })
}

const shown = (answer: unknown): string => {
  if (typeof answer === "string") return JSON.stringify(answer)
  if (answer === undefined || answer === null) return String(answer)
  return typeof answer === "object" ? "an object" : `${String(answer)} (a ${typeof answer})`
}

const branchField = ({ flow, run: { inside } }: Line): { readonly branch?: string } => {
  const branch = flow === undefined ? inside?.branch : branchOf(flow)
  return branch === undefined ? {} : { branch }
}

const inBranch = (line: Line): { readonly branch?: string } =>
  line.flow === undefined ? {} : { branch: line.flow.branch }
