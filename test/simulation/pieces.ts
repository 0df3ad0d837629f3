/** One piece of a run: from its start, or a checkpoint, to its end or a stop, as in a process of its own. */
import { Cause, Effect, Exit, Logger, Option, Random as EffectRandom, Schema } from "effect"
import {
  Bulkhead,
  Checkpointer,
  CircuitBreakerRegistry,
  GraphError,
  type GraphEvent,
  RunState
} from "effect-stategraph"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute, resume } from "../../src/internal/run.ts"
import type { Durability } from "../../src/internal/saver.ts"
import { storageError } from "../support/fakeStore.ts"
import { answer, input, Journal } from "./determined.ts"
import { Random } from "./random.ts"
import { randomGraph } from "./randomGraph.ts"
import type { Virtual } from "./virtual.ts"

/** A checkpoint, and how far the run was when it was made. */
export interface Saved {
  readonly draft: Checkpointer.Draft
  /** Entries of the journal when it was taken, and when it had been written. */
  readonly taken: number
  readonly written: number
}

export interface Piece {
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly journal: Journal
  readonly saved: ReadonlyArray<Saved>
  readonly events: ReadonlyArray<GraphEvent.Any>
  readonly store: Checkpointer.Service
  /** Entries of the journal when it was told to stop. */
  readonly stoppedAt: number | undefined
}

/** What a save does that does not do what it should. It loses what is saved, unless it is `mute`. */
export const faults = ["fails", "dies", "throws", "hangs", "mute", "late"] as const
export type Fault = (typeof faults)[number]

/** Where it is stopped, if it comes so far: at an event, an instant, or because a save breaks. */
export interface Stop {
  readonly event?: number
  readonly ms?: number
  readonly save?: number
  readonly fault?: Fault
}

export const never: Stop = {}
const thread = "t"

/** Longer than any run takes. */
const hours = 1_000_000_000

const broken = <A>(fault: Fault, self: Effect.Effect<A, GraphError.CheckpointError>) => {
  switch (fault) {
    case "fails":
      return Effect.fail(storageError(thread))
    case "dies":
      return Effect.die(new Error("the store died"))
    case "throws":
      throw new Error("the store threw")
    case "hangs":
      return Effect.never
    case "mute":
      return Effect.andThen(self, Effect.never)
    case "late":
      return Effect.delay(self, 31_000)
  }
}

/** Hands on to a store what is saved, noting it; it may take its time, and break. */
const noting = (
  store: Checkpointer.Service,
  journal: Journal,
  saved: Array<Saved>,
  delay: () => number,
  { fault, save }: Stop
): Checkpointer.Service => {
  let saves = 0
  return {
    ...store,
    save: (claim, draft) => {
      const taken = journal.entries.length
      const ms = delay()
      const noted = Effect.tap(
        ms === 0 ? store.save(claim, draft) : Effect.delay(store.save(claim, draft), ms),
        () => Effect.sync(() => saved.push({ draft, taken, written: journal.entries.length }))
      )
      return ++saves === save && fault !== undefined ? broken(fault, noted) : noted
    }
  }
}

export interface Options {
  readonly virtual: Virtual
  readonly seed: number
  readonly size?: number | undefined
  /** Absent: it is not saved. */
  readonly durability?: Durability
  /** Absent: a run begins. */
  readonly from?: Checkpointer.Service
  readonly stop?: Stop
  readonly slow?: boolean
  /** Decides which questions are answered. */
  readonly answering?: Random
}

/** With a graph, a registry of circuits and a journal of its own. */
export const piece = (options: Options): Piece => {
  const { answering, durability, from, seed, size, slow = false, stop = never, virtual } = options
  const journal = new Journal(durability !== undefined)
  const answers = from === undefined || answering === undefined ? {} : answersTo(virtual, from, answering)
  const compiled = compiledOf(randomGraph(seed, journal, size).graph)
  const events: Array<GraphEvent.Any> = []
  const saved: Array<Saved> = []
  const random = new Random(seed)
  const store = from ?? Checkpointer.makeUnsafe()
  let stoppedAt: number | undefined
  const interrupt = () => {
    stoppedAt ??= journal.entries.length
    fiber.interruptUnsafe()
  }
  const emit = (event: GraphEvent.Any) => {
    events.push(event)
    if (events.length === stop.event) interrupt()
  }
  const kept = durability === undefined ? { runId: "r" } : { runId: "r", thread, durability }
  const self = from === undefined
    ? execute(compiled, input, kept, emit)
    : resume(compiled, thread, { durability: durability ?? "step", answers, takeOver: true }, emit)
  const fiber = virtual.fork(
    Effect.andThen(Effect.yieldNow, self).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()),
      Effect.provideService(
        Checkpointer.Checkpointer,
        noting(store, journal, saved, () => slow ? random.below(8) : 0, stop)
      ),
      Effect.provide(Bulkhead.layer),
      EffectRandom.withSeed(seed),
      Effect.provide(Logger.layer([]))
    )
  )
  const ended = () => fiber.pollUnsafe() !== undefined
  if (stop.ms !== undefined) {
    virtual.run(ended, stop.ms)
    if (!ended()) interrupt()
  }
  virtual.run(ended, hours)
  const exit = fiber.pollUnsafe()
  if (exit === undefined) {
    fiber.interruptUnsafe()
    virtual.run(ended, hours)
  }
  // What was abandoned ends too, before anything else begins.
  virtual.run(() => false, 3_600_000)
  return { exit, journal, saved, events, store, stoppedAt }
}

/** Answers to some of the questions that a run waits with, at least to one. */
const answersTo = (
  virtual: Virtual,
  store: Checkpointer.Service,
  random: Random
): Readonly<Record<string, unknown>> => {
  const checkpoint = Option.getOrThrow(virtual.get(store.load(thread)))
  if (checkpoint.status !== "suspended") return {}
  const open = RunState.pending(Schema.decodeSync(RunState.fromBody)(checkpoint.body))
    .filter(({ when }) => when === "asked")
    .map(({ branch, name }) => branch === undefined ? name : `${branch}/${name}`)
  const all = random.chance(0.5)
  const some = open.filter((_, i) => all || i === 0 || random.chance(0.3))
  return Object.fromEntries(some.map((name) => [name, { answer }]))
}

/** A store as it was after some saves, in another process. */
export const copyOf = (virtual: Virtual, saved: ReadonlyArray<Saved>): Checkpointer.Service => {
  const store = Checkpointer.makeUnsafe()
  const claim = virtual.get(store.claim(thread))
  for (const { draft } of saved) virtual.get(store.save(claim, draft))
  virtual.get(store.release(claim))
  return store
}

/** One after the other until the run does not wait for an answer any more. */
export const pieces = (options: Options): ReadonlyArray<Piece> => {
  const all = [piece(options)]
  for (let last = all[0]!; isSuspended(last) && all.length < 100; all.push(last)) {
    last = piece({ ...options, from: last.store })
  }
  return all
}

const errorOf = ({ exit }: Piece): unknown =>
  exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

export const isSuspended = (piece: Piece): boolean => errorOf(piece) instanceof GraphError.GraphSuspended

export const isStopped = ({ exit }: Piece): boolean =>
  exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

/** Because its store broke. */
export const isBroken = (piece: Piece): boolean => errorOf(piece) instanceof GraphError.CheckpointError

export const isOver = ({ saved }: Piece): boolean => {
  const status = saved.at(-1)?.draft.status
  return status === "completed" || status === "failed"
}
