/**
 * Spans without stack capture: an engine's own frames would say nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import type { Run } from "./cells.ts"

/** A started span under the one in `context`; absent when tracing is off. */
export const startSpan = (
  run: Pick<Run, "tracing" | "plan">,
  context: Context.Context<never>,
  name: string,
  attributes: Record<string, unknown>
): Tracer.Span | undefined =>
  run.tracing
    ? Effect.runSyncWith(context)(
      Effect.makeSpan(name, { attributes: { "graph.name": run.plan.name, ...attributes } })
    )
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
