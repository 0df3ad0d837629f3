/**
 * What a run and the graphs inside it share: what saves it, and what finds out that it can only wait for somebody.
 *
 * A line that asks is parked. When nothing else of the run can go on, it is saved, stopped, and ends as suspended.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { CheckpointError, type GraphSuspended } from "../GraphError.ts"
import type { Pending, RunState } from "../RunState.ts"
import { captureLine } from "./capture.ts"
import { type Cut, type End, interrupted, type Line } from "./cells.ts"
import { Misfit } from "./codecs.ts"
import { type Kept, type Saver, storeLimitMs } from "./saver.ts"
import { monotonicMs, startTimer } from "./time.ts"
import { releasePlace } from "./withPlace.ts"
import type { Flow, Join } from "./work.ts"

/** What the session needs of the run around it. */
export interface Frame {
  readonly main: Line
  /** Begins it, once: it may wait for its first save. */
  readonly start: () => void
  readonly saver: Saver | undefined
  readonly thread: string | undefined
  readonly fingerprint: string
  readonly circuits: () => RunState["circuits"]
}

/** How a run ended that waits for somebody. */
export interface Suspended {
  /** The cut that stopped it. */
  readonly by: Cut
  readonly state: Line["state"]
  readonly checkpointId: string | undefined
  readonly pending: ReadonlyArray<Pending>
}

export class Session {
  /** How it is kept, if it is. */
  readonly kept: Kept | undefined
  /** Lines that wait for somebody; while there are none, nobody looks. */
  parked = 0
  suspended: Suspended | undefined
  /** What is saved at its end is fixed: no line makes another step. */
  stopped = false
  /** What a run fails with that waits. */
  error: GraphSuspended | undefined
  #frame: Frame | undefined
  #looking = false
  #saving = false
  #frozen: (() => string) | undefined
  #hurry: ((graceMs: number) => void) | undefined
  #hurried: number | undefined
  readonly #waits = new Map<Flow, ReadonlyArray<Pending>>()

  constructor(kept: Kept | undefined) {
    this.kept = kept
  }

  begin(frame: Frame): void {
    this.#frame = frame
  }

  get saver(): Saver | undefined {
    return this.#frame?.saver
  }

  /** The run cannot go on: what it is to be saved by, or answered with, is not good. */
  fail(error: CheckpointError): void {
    const { main, start } = this.#frame!
    if (this.saver !== undefined) this.saver.error ??= error
    main.run.cut(main, { _tag: "Failed", cause: Cause.fail(error), node: main.running?.name ?? "" })
    start()
  }

  /** Answers that a resume brings, by what they answer. */
  readonly #answers = new Map<Pending, unknown>()

  offer(answers: Iterable<readonly [Pending, unknown]>): void {
    for (const [pending, value] of answers) this.#answers.set(pending, value)
  }

  offers(pending: ReadonlyArray<Pending>): Map<string, unknown> {
    return new Map(
      pending.flatMap((one) => this.#answers.has(one) ? [[one.name, this.#answers.get(one)] as const] : [])
    )
  }

  /** A line is parked. */
  parks(): void {
    this.parked++
    this.look()
  }

  /** Finds out, in a turn of its own, whether anything of the run can go on. */
  look(): void {
    if (this.#looking || this.#frame === undefined) return
    this.#looking = true
    const { main } = this.#frame
    Effect.runForkWith(main.run.context)(Effect.yieldNow).addObserver(() => {
      this.#looking = false
      if (!this.#saving && !main.ended && isBlocked(main, monotonicMs(main.run.clock))) this.#suspend()
    })
  }

  #suspend(): void {
    const { main, saver } = this.#frame!
    this.#saving = true
    const pending = pendingOf(main)
    const stop = (checkpointId: string | undefined) => {
      if (main.ended) return
      for (const flow of openFlows(main)) this.#waits.set(flow, pendingOf(flow.line))
      const by = interrupted("the run waits for somebody")
      this.suspended = { by, state: main.state, checkpointId, pending }
      main.run.cut(main, by)
    }
    if (saver === undefined) return stop(undefined)
    saver.last("suspended", this.#body(), storeLimitMs, (exit) => {
      if (Exit.isSuccess(exit)) return stop(exit.value.id)
      const error = Cause.squash(exit.cause) as CheckpointError
      this.fail(error)
    })
  }

  /** What a flow waits for that is stopped because its run waits. */
  waitOf(flow: Flow): ReadonlyArray<Pending> | undefined {
    return this.suspended === undefined ? undefined : this.#waits.get(flow)
  }

  /** Before a line fails or is stopped: what is saved of it from then on is where it stands now. */
  stopping(line: Line, how: End | Cut): void {
    const frame = this.#frame
    if (frame?.saver === undefined || this.#frozen !== undefined) return
    if (how._tag === "Exit" && Exit.isSuccess(how.exit)) return
    if (line !== frame.main) {
      keepStopped(line, how)
      return keepFailed(line, how)
    }
    frame.saver.close()
    this.stopped = true
    this.#frozen = this.#body()
  }

  /** Where the run stands now, to be written later. */
  #body(): () => string {
    try {
      const state = this.capture()
      return () => JSON.stringify(state)
    } catch (error) {
      return () => {
        throw error
      }
    }
  }

  capture(): RunState {
    const { circuits, fingerprint, main, thread = "" } = this.#frame!
    const graph = main.run.plan.name
    try {
      return {
        format: 1,
        graph,
        fingerprint,
        runId: main.run.runId,
        main: captureLine(main, monotonicMs(main.run.clock), "main line"),
        circuits: circuits()
      }
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      throw new CheckpointError({ thread, graph, reason: "NotEncodable", issue: error.message })
    }
  }

  /** Its end is not waited for longer than this. */
  hurry(graceMs: number): void {
    if (graceMs === Infinity) return
    this.#hurried = graceMs
    this.#hurry?.(graceMs)
  }

  /** Saves how the run ended, and gives the thread back. `done` is told of an error that the run must not hide. */
  close(exit: Exit.Exit<unknown, unknown>, graceMs: number, done: (error: CheckpointError | undefined) => void): void {
    const saver = this.saver
    if (saver === undefined) return done(undefined)
    const succeeded = Exit.isSuccess(exit)
    const stopped = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    const limitMs = stopped && this.suspended === undefined ? graceMs : storeLimitMs
    let called = false
    let cancelTimer: (() => void) | undefined
    const end = (error?: CheckpointError) => {
      cancelTimer?.()
      if (!called) done(error)
      called = true
    }
    const release = (error?: CheckpointError) => saver.release(limitMs, () => end(error))
    // Whoever interrupts it now does not wait for a slow store.
    this.#hurry = (graceMs) => {
      if (called) return
      const { clock, context } = this.#frame!.main.run
      cancelTimer?.()
      cancelTimer = startTimer(context, clock, graceMs, end)
    }
    if (this.#hurried !== undefined) this.#hurry(this.#hurried)
    if (this.suspended !== undefined || saver.error !== undefined) return release()
    const body = succeeded ? this.#body() : this.#frozen ?? this.#body()
    const status = succeeded ? "completed" : stopped ? "running" : "failed"
    saver.last(status, body, limitMs, (exit) => {
      if (Exit.isSuccess(exit)) return release()
      const error = Cause.squash(exit.cause) as CheckpointError
      if (!succeeded) saver.log(Effect.logWarning("the end of a run could not be saved", error))
      release(succeeded ? error : undefined)
    })
  }
}

/** Its flows are stopped with it: when that is saved before it has come to anything, all of them go on together. */
const keepStopped = (line: Line, how: End | Cut): void => {
  if (how._tag === "Interrupted" || line.rare?.kept !== undefined || line.open.length === 0) return
  try {
    line.rarely.kept = captureLine(line, monotonicMs(line.run.clock), "a line")
  } catch {
    // What does not encode fails the next save.
  }
}

/** A graph that fails as a node of the main line fails the run, which then goes on inside of it. */
const keepFailed = (line: Line, how: End | Cut): void => {
  const around = line.run.inside?.line
  if (how._tag === "Interrupted" || line.flow !== undefined || line.call !== undefined) return
  if (around === undefined || around.flow !== undefined || around.call !== undefined) return
  // Told twice when it is cut in the middle of its turn.
  if (around.continued?.inner !== undefined) return
  if (line.phase === "entered") { for (const outer of line.outer()) outer.steps-- }
  try {
    const inner = captureLine(line, monotonicMs(line.run.clock), "main line")
    around.continued = { call: undefined, begin: undefined, ...around.continued, inner }
  } catch {
    // What does not encode fails the save at the end.
  }
}

/** Stops the clocks of a line: what it waits for takes as long as it takes, and keeps nothing that others wait for. */
const stand = (line: Line, now: number): void => {
  if (line.dialog?.stoppedAt !== undefined) return
  line.said.stoppedAt = now
  line.cancelTimer?.()
  const work = line.call ?? line.flow
  if (work?.line !== line) return
  if (work.scope === "flow") releasePlace(work)
  work.releasePermit()
  work.circuit?.release?.()
}

/** Whether a line, and everything on it, waits for somebody. Whatever does stands still from now on. */
const isBlocked = (line: Line, now: number): boolean => {
  if (line.ended || line.pendingCut !== undefined) return false
  const inner = line.inner?.line
  const innerIsBlocked = inner !== undefined && isBlocked(inner, now)
  let all = true
  for (const join of line.open) {
    if (join.producers.size > 0 || join.unsaved > 0) all = false
    for (const flow of join.open()) if (!isFlowBlocked(flow, now)) all = false
  }
  if (!all) return false
  if (line.dialog?.pending === undefined && !innerIsBlocked && line.open.every(({ waiter }) => waiter === undefined)) {
    return false
  }
  stand(line, now)
  for (const join of line.open) standJoin(join, now)
  return true
}

const isFlowBlocked = ({ line, nextAt }: Flow, now: number): boolean =>
  line !== undefined && nextAt === undefined && isBlocked(line, now)

const standJoin = (join: Join, now: number): void => {
  join.stoppedAt ??= now
  join.cancelTimer?.()
}

/** Flows of a line and below that have not settled, inner ones first. */
const openFlows = function*(line: Line | undefined): Generator<Flow, void> {
  if (line === undefined) return
  yield* openFlows(line.inner?.line)
  for (const join of line.open) {
    for (const flow of join.open()) {
      yield* openFlows(flow.line)
      yield flow
    }
  }
}

/** What is waited for on a line and below, in order. A guarded node waits for what its attempt does: told once. */
const pendingOf = (line: Line | undefined): ReadonlyArray<Pending> => {
  if (line === undefined) return []
  return [
    ...line.dialog?.pending ?? pendingOf(line.inner?.line),
    ...line.open.flatMap((join) => [...join.open()].flatMap(({ line }) => pendingOf(line)))
  ]
}
