/**
 * Spans without stack capture: an engine's own frames would say nothing.
 *
 * They are what `Effect.makeSpan` makes, which asks a fiber for its settings every time: a run asks once.
 */
import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { Line, Run } from "./cells.ts"
import type { PlanNode } from "./plan.ts"
import type { Flow, Work } from "./work.ts"

/** Starts a span below that of a context. */
export type StartSpan = (context: Context.Context<never>, name: string) => Tracer.Span

/** How a run starts spans: by the settings of its context, which hold for everything in it. Absent when tracing is off. */
export const spansOf = (context: Context.Context<never>, clock: Run["clock"], graph: string): StartSpan | undefined => {
  if (!Context.get(context, References.TracerEnabled)) return undefined
  const tracer = Context.get(context, Tracer.Tracer)
  const isTimed = Context.get(context, References.TracerTimingEnabled)
  const annotations = Object.entries(Context.get(context, References.TracerSpanAnnotations))
  const links = Context.get(context, References.TracerSpanLinks)
  const isLoud = LogLevel.isGreaterThan(
    Context.get(context, Tracer.MinimumTraceLevel),
    Context.get(context, Tracer.CurrentTraceLevel)
  )
  return (context, name) => {
    const parent = propagated(Context.getOrUndefined(context, Tracer.ParentSpan))
    const span = tracer.span({
      name,
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: links.slice(),
      startTime: isTimed ? clock.currentTimeNanosUnsafe() : 0n,
      kind: "internal",
      root: false,
      sampled: parent?.sampled !== false && !isLoud
    })
    for (const [key, value] of annotations) span.attribute(key, value)
    span.attribute("graph.name", graph)
    return span
  }
}

/** The nearest span that lets spans below it be seen. */
const propagated = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined => {
  if (span === undefined || !Context.get(span.annotations, Tracer.DisablePropagation)) return span
  return span._tag === "Span" ? propagated(Option.getOrUndefined(span.parent)) : undefined
}

// Started spans are absent when tracing is off.

export const runSpan = ({ context, runId, spans }: Run): Tracer.Span | undefined => {
  const span = spans?.(context, "StateGraph.run")
  span?.attribute("graph.run_id", runId)
  return span
}

export const flowSpan = ({ branch, edge, owner, run }: Flow): Tracer.Span | undefined => {
  const span = run.spans?.(owner.context, "StateGraph.flow")
  span?.attribute("flow.branch", branch)
  span?.attribute("flow.fan_in", edge.fanIn.name)
  return span
}

export const attemptSpan = (work: Work): Tracer.Span | undefined => {
  const { attempts, branch, context, run } = work
  const span = run.spans?.(context, "StateGraph.attempt")
  if (span === undefined) return undefined
  if (branch !== undefined) span.attribute("flow.branch", branch)
  if (work.scope === "node") span.attribute("node.name", work.node.name)
  span.attribute("flow.attempt", attempts)
  return span
}

export const nodeSpan = ({ attempt, context, flow, run }: Line, node: PlanNode): Tracer.Span | undefined => {
  const span = run.spans?.(context, "StateGraph.node")
  if (span === undefined) return undefined
  span.attribute("node.name", node.name)
  if (flow === undefined) return span
  span.attribute("flow.branch", flow.branch)
  span.attribute("flow.attempt", attempt)
  return span
}

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
