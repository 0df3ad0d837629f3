/**
 * One tester for runs that are saved: each test runs through `invoke` and `resume`, and through `stream` and `resumeStream`.
 */
import { it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Schema, Stream } from "effect"
import { Bulkhead, Checkpointer, type GraphError, type GraphEvent, type RunState, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { faults } from "./pairs.ts"

export const State = Schema.Struct({ n: Schema.Number, log: Schema.Array(Schema.String) })
export type State = typeof State.Type
export const input: State = { n: 0, log: [] }

export class Bad extends Schema.TaggedError<Bad>()("Bad", { message: Schema.String }) {}
export const bad = (message: string): Effect.Effect<never, Bad> => Effect.fail(new Bad({ message }))

/** A node that notes that it ran. */
export const step = (ran: Array<string>, name: string) => (state: State): Effect.Effect<State> =>
  Effect.sync(() => {
    ran.push(name)
    return { n: state.n + 1, log: [...state.log, name] }
  })

/** A node that takes its time before it notes that. */
export const slow = (ran: Array<string>, name: string, ms: number) => (state: State): Effect.Effect<State> =>
  Effect.delay(step(ran, name)(state), ms)

/** A node that asks for a number: `name?` is noted when it asks, `name` when it has its answer. */
export const asks = (ran: Array<string>, name: string, question = "ok") => (state: State) =>
  Effect.gen(function*() {
    ran.push(`${name}?`)
    const n = yield* StateGraph.suspend(question, Schema.Number)
    ran.push(name)
    return { n: state.n + n, log: [...state.log, `${name}=${n}`] }
  })

/** The logs of flows, one after the other, in one. */
export const joined = (
  _state: State,
  { parallelResults }: {
    readonly parallelResults: ReadonlyArray<{ readonly branch: string; readonly _tag: string; readonly state: State }>
  }
) => ({ log: parallelResults.map(({ _tag, branch, state }) => `${branch} ${_tag} ${state.log.join(",")}`) })

export interface Completed {
  readonly _tag: "Completed"
  readonly state: State
  /** Epoch ms of the virtual clock. */
  readonly at: number
}

export interface Suspended {
  readonly _tag: "Suspended"
  readonly pending: ReadonlyArray<RunState.Pending>
  readonly checkpointId: string | undefined
  readonly state: State
  readonly at: number
}

export interface Failed {
  readonly _tag: "Failed"
  readonly error: unknown
  readonly cause: Cause.Cause<unknown>
  readonly at: number
}

export type Outcome = Completed | Suspended | Failed

export interface Runnable {
  readonly invoke: (input: never, options?: never) => Effect.Effect<unknown, unknown, unknown>
  readonly stream: (input: never, options?: never) => Stream.Stream<unknown, unknown, unknown>
  readonly resume: (thread: string, options?: never) => Effect.Effect<unknown, unknown, unknown>
  readonly resumeStream: (thread: string, options?: never) => Stream.Stream<unknown, unknown, unknown>
}

type Saved<A> = Effect.Effect<A, never, Checkpointer.Checkpointer>

export type Resuming = StateGraph.ResumeOptions & { readonly [name: string]: unknown }

export interface Driver {
  readonly path: "invoke" | "stream"
  /** A new run on thread "t", unless the options say another; `limitMs` of virtual time pass, in which it must end. */
  readonly begin: (graph: Runnable, options?: object, input?: unknown, limitMs?: number) => Saved<Outcome>
  readonly resume: (graph: Runnable, options?: Resuming, thread?: string, limitMs?: number) => Saved<Outcome>
  /** The same, not waited for. */
  readonly start: (graph: Runnable, options?: object, input?: unknown) => Saved<Fiber.Fiber<Outcome>>
  readonly startResume: (graph: Runnable, options?: Resuming, thread?: string) => Saved<Fiber.Fiber<Outcome>>
  /** Of the last run; empty on `invoke`. */
  readonly events: ReadonlyArray<GraphEvent.Any>
}

/** On the path of streams, what waits is told by an event. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>, path: Driver["path"], at: number): Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Completed", state: exit.value as State, at }
  const error = Cause.squash(exit.cause) as GraphError.GraphSuspended
  const waits = (error as { readonly _tag?: string } | null)?._tag === "GraphSuspended" && Cause.hasFails(exit.cause)
  return waits && (path === "invoke" || "at" in error)
    ? {
      _tag: "Suspended",
      pending: error.pending,
      checkpointId: error.checkpointId,
      state: error.state as State,
      at
    }
    : { _tag: "Failed", error, cause: exit.cause, at }
}

/** Lets everything happen that needs no time. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 300 }).pipe(
  Effect.andThen(TestClock.adjust(0))
) as Effect.Effect<void>

/** Runs it while the virtual clock goes on; a run that does not end fails the test. */
export const within = <A, R>(self: Effect.Effect<A, never, R>, limitMs: number): Effect.Effect<A, never, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    yield* settle
    if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(limitMs)
    if (fiber.pollUnsafe() === undefined) {
      return yield* Effect.die(new Error(`it has not ended after ${limitMs} ms`))
    }
    return yield* Fiber.join(fiber)
  })

const clocked = (path: Driver["path"], self: Effect.Effect<unknown, unknown, unknown>): Saved<Outcome> =>
  Effect.flatMap(
    Effect.exit(self as Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>),
    (exit) => Effect.clockWith((clock) => Effect.sync(() => outcomeOf(exit, path, clock.currentTimeMillisUnsafe())))
  )

class Driving implements Driver {
  readonly path: Driver["path"]
  events: Array<GraphEvent.Any> = []
  constructor(path: Driver["path"]) {
    this.path = path
  }

  /** The last event of a stream says how the run ended; what else it was made of must be in pairs. */
  #collected(stream: Stream.Stream<unknown, unknown, unknown>): Effect.Effect<unknown, unknown, unknown> {
    const events: Array<GraphEvent.Any> = this.events = []
    return Effect.flatMap(
      Effect.exit(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event as GraphEvent.Any)))),
      (exit): Effect.Effect<unknown, unknown> => {
        const found = events.length === 0 ? [] : faults(events)
        if (found.length > 0) return Effect.die(new Error(found.join("\n")))
        const last = events.at(-1)
        if (Exit.isFailure(exit)) return exit
        if (last?._tag === "GraphCompleted") return Effect.succeed(last.state)
        return last?._tag === "GraphSuspended"
          ? Effect.fail(last)
          : Effect.die(new Error(`the stream ended with ${last?._tag}`))
      }
    )
  }

  #begin(graph: Runnable, options: object, given: unknown): Saved<Outcome> {
    const all = { thread: "t", ...options } as never
    return clocked(
      this.path,
      Effect.suspend(() =>
        this.path === "invoke" ? graph.invoke(given as never, all) : this.#collected(graph.stream(given as never, all))
      )
    )
  }

  #resume(graph: Runnable, options: object | undefined, thread: string): Saved<Outcome> {
    const all = options as never
    return clocked(
      this.path,
      Effect.suspend(() =>
        this.path === "invoke" ? graph.resume(thread, all) : this.#collected(graph.resumeStream(thread, all))
      )
    )
  }

  readonly begin: Driver["begin"] = (graph, options = {}, given = input, limitMs = 3_600_000) =>
    within(this.#begin(graph, options, given), limitMs)
  readonly resume: Driver["resume"] = (graph, options, thread = "t", limitMs = 3_600_000) =>
    within(this.#resume(graph, options, thread), limitMs)
  readonly start: Driver["start"] = (graph, options = {}, given = input) =>
    Effect.forkChild(this.#begin(graph, options, given), { startImmediately: true })
  readonly startResume: Driver["startResume"] = (graph, options, thread = "t") =>
    Effect.forkChild(this.#resume(graph, options, thread), { startImmediately: true })
}

const quiet = Logger.layer([])

/** A test on the virtual clock with a store in memory, once per path. */
export const threaded = (
  title: string,
  test: (drive: Driver) => Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>
): void => {
  for (const path of ["invoke", "stream"] as const) {
    it.effect(`${title} [${path}]`, () =>
      // The clock's first sleep must not be in a finalizer: it would be interrupted.
      Effect.andThen(TestClock.adjust(0), test(new Driving(path))).pipe(
        Effect.provide([Checkpointer.Checkpointer.layerMemory, Bulkhead.layer, quiet])
      ))
  }
}

const told = (outcome: Outcome): string =>
  outcome._tag === "Failed" ? `Failed: ${Cause.pretty(outcome.cause)}` : JSON.stringify(outcome)

export const completed = (outcome: Outcome): State => {
  if (outcome._tag !== "Completed") throw new Error(`not completed: ${told(outcome)}`)
  return outcome.state
}

export const suspended = (outcome: Outcome): Suspended => {
  if (outcome._tag !== "Suspended") throw new Error(`not suspended: ${told(outcome)}`)
  return outcome
}

/** The questions that a suspended run waits for, as answers name them, and its points. */
export const questions = (outcome: Outcome): ReadonlyArray<string> =>
  suspended(outcome).pending.map(({ branch, name, when }) =>
    `${when === "asked" ? "" : `${when} `}${branch === undefined ? "" : `${branch}/`}${name}`
  )

/** The error of a run that failed. */
export const failed = (outcome: Outcome): unknown => {
  if (outcome._tag !== "Failed") throw new Error(`not failed: ${told(outcome)}`)
  return outcome.error
}

/** The reason of the `CheckpointError` that a run failed with. */
export const reasonOf = (outcome: Outcome): string => {
  const error = failed(outcome) as Partial<GraphError.CheckpointError>
  if (error._tag !== "CheckpointError") throw new Error(`no CheckpointError: ${told(outcome)}`)
  return error.reason!
}

/** The statuses of what was saved under a thread. */
export const statuses = (thread = "t") =>
  Effect.gen(function*() {
    const store = yield* Checkpointer.Checkpointer
    return (yield* store.list(thread)).map(({ status }) => status)
  })

/** Whether nobody has the thread. */
export const isFree = (thread = "t") =>
  Effect.gen(function*() {
    const store = yield* Checkpointer.Checkpointer
    const exit = yield* Effect.exit(store.claim(thread))
    if (Exit.isSuccess(exit)) yield* store.release(exit.value)
    return Exit.isSuccess(exit)
  })
