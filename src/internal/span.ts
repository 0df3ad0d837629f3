/**
 * Spans without stack capture: an engine's own frames would say nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import type { Line, Run } from "./cells.ts"
import type { PlanNode } from "./plan.ts"
import type { Flow, Work } from "./work.ts"

type Attributes = Readonly<Record<string, unknown>>

const startSpan = (run: Run, context: Context.Context<never>, name: string, attributes: Attributes): Tracer.Span =>
  Effect.runSyncWith(context)(Effect.makeSpan(name, { attributes: { "graph.name": run.plan.name, ...attributes } }))

// Started spans are absent when tracing is off.

export const runSpan = (run: Run): Tracer.Span | undefined =>
  run.tracing ? startSpan(run, run.context, "StateGraph.run", { "graph.run_id": run.runId }) : undefined

export const flowSpan = ({ branch, edge, owner, run }: Flow): Tracer.Span | undefined =>
  run.tracing
    ? startSpan(run, owner.context, "StateGraph.flow", { "flow.branch": branch, "flow.fan_in": edge.fanIn.name })
    : undefined

export const attemptSpan = (work: Work): Tracer.Span | undefined => {
  const { attempts, branch, context, run } = work
  if (!run.tracing) return undefined
  return startSpan(run, context, "StateGraph.attempt", {
    ...(branch === undefined ? {} : { "flow.branch": branch }),
    ...(work.scope === "node" ? { "node.name": work.node.name } : {}),
    "flow.attempt": attempts
  })
}

export const nodeSpan = ({ attempt, context, flow, run }: Line, node: PlanNode): Tracer.Span | undefined =>
  run.tracing
    ? startSpan(run, context, "StateGraph.node", {
      "node.name": node.name,
      ...(flow === undefined ? {} : { "flow.branch": flow.branch, "flow.attempt": attempt })
    })
    : undefined

export const within = (context: Context.Context<never>, span: Tracer.Span | undefined): Context.Context<never> =>
  span === undefined ? context : Context.add(context, Tracer.ParentSpan, span)

export const endSpan = (
  run: Pick<Run, "clock">,
  span: Tracer.Span | undefined,
  exit: Exit.Exit<unknown, unknown>
): void => {
  if (span !== undefined && span.status._tag !== "Ended") span.end(run.clock.currentTimeNanosUnsafe(), exit)
}

export const spanEvent = (
  run: Pick<Run, "clock">,
  span: Tracer.Span | undefined,
  name: string,
  attributes: Record<string, unknown>
): void => span?.event(name, run.clock.currentTimeNanosUnsafe(), attributes)
