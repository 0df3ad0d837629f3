/**
 * Step 9: the main line of a run, from its first turn to its end.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { GraphSuspended } from "../GraphError.ts"
import type * as RunState from "../RunState.ts"
import { cut, drain, supervise } from "./attempt.ts"
import { type End, interrupted, Line, type Run } from "./cells.ts"
import * as Emit from "./emit.ts"
import type { State } from "./plan.ts"
import { restoreLine } from "./restore.ts"
import { Saver } from "./saver.ts"
import { endSpan, runSpan, within } from "./span.ts"
import { fingerprintOf } from "./thread.ts"
import { monotonicMs } from "./time.ts"

/** Where a run begins: with its input, or where it was saved. */
export interface Place {
  readonly state: State
  readonly saved?: RunState.LineState | undefined
  /** What was saved is what it begins with. */
  readonly isSaved?: boolean
}

/** Runs the main line to its end. Interrupting it interrupts every flow, and waits for them as long as `grace` allows. */
export const begin = (run: Run, { isSaved = false, saved, state }: Place): Effect.Effect<State, unknown> =>
  Effect.callback((resume) => {
    const span = runSpan(run)
    const main = new Line(run, undefined, 1, within(run.context, span), span, state, run.plan.start)
    main.startedAt = monotonicMs(run.clock) - (saved?.elapsedMs ?? 0)
    const { session } = run
    const caller = run.inside?.line
    if (caller !== undefined) caller.inner = { line: main }
    let stopped: End | undefined
    let finished: Exit.Exit<State, unknown> | undefined
    let onFinished: (exit: Exit.Exit<State, unknown>) => void = (exit) => resume(exit)
    const finish = (exit: Exit.Exit<State, unknown>): void => {
      if (finished !== undefined) return
      finished = exit
      endRun(run, span, exit)
      onFinished(exit)
    }
    const ended = (end: End): void => {
      if (caller !== undefined) return finish(exitOf(stopped ?? end, run))
      const exit = exitOf(stopped ?? end, run)
      session.close(exit, run.config.graceMs, (error) => finish(error === undefined ? exit : Exit.fail(error)))
    }
    let begun = false
    const start = (): void => {
      if (begun) return
      begun = true
      supervise(main, Infinity, (_line, end) =>
        drain(main, run.config.graceMs, () =>
          lastCalls(run, end, () => {
            if (caller !== undefined) caller.inner = undefined
            ended(end)
          })))
    }
    if (caller === undefined) keep(run, main, start)
    Emit.graphStarted(run, state)
    if (saved !== undefined) restoreLine(main, saved)
    // Where it begins is saved before anything of it runs; what stops it meanwhile waits for its first turn.
    main.onStack = caller === undefined && !isSaved && session.saver?.boundary(start) === true
    if (!main.onStack) start()
    const stop = Effect.callback<void>((done) => {
      if (finished !== undefined) {
        return done(Effect.void)
      }
      onFinished = () => done(Effect.void)
      stopped = interrupted("the run was interrupted")
      cut(main, stopped)
      start()
      run.callbacks?.hurry(run.config.graceMs)
      // The store is of the run, and not of a graph inside of it.
      if (caller === undefined) session.hurry(run.config.graceMs)
    })
    // In a turn of its own: a listener or a node can be what interrupts, in the middle of the engine's work.
    return Effect.andThen(Effect.yieldNow, stop)
  })

const endRun = (run: Run, span: Line["span"], exit: Exit.Exit<State, unknown>): void => {
  if (Exit.isSuccess(exit)) {
    endSpan(run, span, exit)
    return Emit.graphCompleted(run, exit.value)
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  const { inside, session } = run
  // A node can fail with the suspension of another run: that is a failure.
  const suspended = error instanceof GraphSuspended && error === session.error ? error : undefined
  endSpan(run, span, suspended === undefined ? exit : Exit.void)
  if (suspended === undefined || inside !== undefined) Emit.graphFailed(run, exit.cause)
  else Emit.graphSuspended(run, suspended)
}

/** Tells the session of the run that it is the session of. */
const keep = (run: Run, main: Line, start: () => void): void => {
  const { session } = run
  const { kept } = session
  const fingerprint = kept === undefined ? "" : fingerprintOf(run.plan)
  const saver = kept && new Saver({
    ...kept,
    graph: run.plan.name,
    runId: run.runId,
    clock: run.clock,
    context: run.context,
    body: () => JSON.stringify(session.capture()),
    saved: (id) => Emit.checkpointSaved(run, id),
    failed: (error) => session.fail(error)
  })
  session.begin({
    main,
    start,
    saver,
    thread: run.thread,
    fingerprint,
    circuits: run.circuits
  })
}

/** Waits for callbacks that have not been told all: after success as long as one call may take, else for `grace`. */
const lastCalls = ({ callbacks, config }: Run, end: End, done: () => void): void => {
  if (callbacks === undefined) return done()
  callbacks.drain(end._tag === "Exit" && Exit.isSuccess(end.exit) ? callbacks.limitMs : config.graceMs, done)
}

const exitOf = (end: End, run: Run): Exit.Exit<State, unknown> => {
  const { callbacks, inside, session, thread } = run
  const { suspended } = session
  switch (end._tag) {
    case "Exit":
      return Exit.isSuccess(end.exit) && callbacks?.raised !== undefined ? Exit.fail(callbacks.raised) : end.exit
    case "FailFast":
      return Exit.fail(end.error)
    case "Failed":
      return Exit.failCause(end.cause)
    case "Interrupted":
      if (inside === undefined && suspended?.by === end) {
        if (callbacks?.raised !== undefined) return Exit.fail(callbacks.raised)
        const { checkpointId, pending, state } = suspended
        session.error = new GraphSuspended({
          graph: run.plan.name,
          ...thread === undefined ? {} : { thread },
          ...checkpointId === undefined ? {} : { checkpointId },
          pending,
          state
        })
        return Exit.fail(session.error)
      }
      return Exit.failCause(Cause.interrupt())
    case "Limit":
      return Exit.failCause(Cause.interrupt())
  }
}
