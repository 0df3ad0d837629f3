/**
 * A random graph run once without a stop, and then saved, stopped and continued in every way: both must come to the same, and no
 * work that was saved may be done again.
 */
import { Cause, Effect, Exit, type Fiber, Logger, Option, Random as EffectRandom, Result, Schema } from "effect"
import {
  Bulkhead,
  Checkpointer,
  CircuitBreakerRegistry,
  GraphError,
  type GraphEvent,
  RunState
} from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute, resume } from "../../src/internal/run.ts"
import type { Durability } from "../../src/internal/saver.ts"
import { answer, input, Journal, lineOf, State } from "./determined.ts"
import { Random } from "./random.ts"
import { randomGraph } from "./randomGraph.ts"

/** A checkpoint, and how far the run was when it was made. */
interface Saved {
  readonly draft: Checkpointer.Draft
  /** Entries of the journal when it was taken, and when it had been written. */
  readonly taken: number
  readonly written: number
}

/** One piece of a run: from its start, or a checkpoint, to its end or a stop. */
interface Piece {
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly journal: Journal
  readonly saved: ReadonlyArray<Saved>
  readonly events: ReadonlyArray<GraphEvent.Any>
  readonly store: Checkpointer.Service
  /** Entries of the journal when it was told to stop. */
  readonly stoppedAt: number | undefined
}

interface Stop {
  readonly event?: number
  readonly ms?: number
}

const never: Stop = {}
const thread = "t"

/** Longer than any run takes. */
const hours = 1_000_000_000

/** Hands on to a store what is saved, noting it; it may take its time. */
const noting = (
  store: Checkpointer.Service,
  journal: Journal,
  saved: Array<Saved>,
  delay: () => number
): Checkpointer.Service => ({
  ...store,
  save: (claim, draft) => {
    const taken = journal.entries.length
    const ms = delay()
    return Effect.tap(
      ms === 0 ? store.save(claim, draft) : Effect.delay(store.save(claim, draft), ms),
      () => Effect.sync(() => saved.push({ draft, taken, written: journal.entries.length }))
    )
  }
})

interface Options {
  readonly seed: number
  /** Absent: it is not saved. */
  readonly durability?: Durability
  /** Absent: a run begins. */
  readonly from?: Checkpointer.Service
  readonly stop?: Stop
  readonly slow?: boolean
  /** Decides which questions are answered. */
  readonly answering?: Random
}

/** As in a new process: a graph, a registry of circuits and a journal of its own. */
const piece = ({ answering, durability, from, seed, slow = false, stop = never }: Options): Effect.Effect<Piece> =>
  Effect.gen(function*() {
    const journal = new Journal(durability !== undefined)
    const answers = from === undefined || answering === undefined ? {} : yield* answersTo(from, answering)
    const compiled = compiledOf(randomGraph(seed, journal).graph)
    const events: Array<GraphEvent.Any> = []
    const saved: Array<Saved> = []
    const random = new Random(seed)
    const store = from ?? Checkpointer.makeUnsafe()
    const running: { fiber?: Fiber.Fiber<unknown, unknown> } = {}
    let stoppedAt: number | undefined
    const interrupt = () => {
      stoppedAt ??= journal.entries.length
      running.fiber?.interruptUnsafe()
    }
    const emit = (event: GraphEvent.Any) => {
      events.push(event)
      if (events.length === stop.event) interrupt()
    }
    const options = durability === undefined ? { runId: "r" } : { runId: "r", thread, durability }
    running.fiber = yield* Effect.forkDetach(
      (from === undefined
        ? execute(compiled, input, options, emit)
        : resume(compiled, thread, { durability: durability ?? "step", answers }, emit)).pipe(
          Effect.provideService(
            CircuitBreakerRegistry.CircuitBreakerRegistry,
            CircuitBreakerRegistry.makeUnsafe()
          ),
          Effect.provideService(
            Checkpointer.Checkpointer,
            noting(store, journal, saved, () => slow ? random.below(8) : 0)
          ),
          Effect.provide(Bulkhead.layer),
          EffectRandom.withSeed(seed),
          Effect.provide(Logger.layer([]))
        )
    )
    // The clock waits for what it wakes, not for what begins by itself.
    yield* Effect.repeat(Effect.yieldNow, { times: 60 })
    if (stop.ms !== undefined) {
      yield* TestClock.adjust(stop.ms)
      if (running.fiber.pollUnsafe() === undefined) interrupt()
    }
    yield* TestClock.adjust(hours)
    const exit = running.fiber.pollUnsafe()
    if (exit === undefined) {
      running.fiber.interruptUnsafe()
      yield* TestClock.adjust(hours)
    }
    return { exit, journal, saved, events, store, stoppedAt }
  })

/** Answers to some of the questions that a run waits with, at least to one. */
const answersTo = (store: Checkpointer.Service, random: Random): Effect.Effect<Readonly<Record<string, unknown>>> =>
  Effect.gen(function*() {
    const checkpoint = Option.getOrThrow(yield* store.load(thread))
    if (checkpoint.status !== "suspended") return {}
    const open = RunState.pending(Schema.decodeSync(RunState.fromBody)(checkpoint.body))
      .filter(({ when }) => when === "asked")
      .map(({ branch, name }) => branch === undefined ? name : `${branch}/${name}`)
    const all = random.chance(0.5)
    const some = open.filter((_, i) => all || i === 0 || random.chance(0.3))
    return Object.fromEntries(some.map((name) => [name, { answer }]))
  }).pipe(Effect.orDie)

/** A store as it was after some saves, in another process. */
const copyOf = (saved: ReadonlyArray<Saved>): Effect.Effect<Checkpointer.Service> =>
  Effect.gen(function*() {
    const store = Checkpointer.makeUnsafe()
    const claim = yield* store.claim(thread)
    for (const { draft } of saved) yield* store.save(claim, draft)
    yield* store.release(claim)
    return store
  }).pipe(Effect.orDie)

/** How often each node was executed, over pieces of which each is only known to have got so far. */
class Count {
  readonly starts = new Map<string, number>()
  readonly #open = new Map<string, number>()
  readonly #failing = new Set<string>()
  add({ entries }: Journal, until = entries.length): this {
    for (const { failed, key, what } of entries.slice(0, until)) {
      if (failed) this.#failing.add(key)
      if (what === "start") this.starts.set(key, (this.starts.get(key) ?? 0) + 1)
      this.#open.set(key, (this.#open.get(key) ?? 0) + (what === "start" ? 1 : -1))
    }
    return this
  }
  of(key: string): number {
    return this.starts.get(key) ?? 0
  }
  /** Whether it does not succeed: what fails is no step that is saved. */
  fails(key: string): boolean {
    return this.#failing.has(key)
  }
  /** Executions that had begun and not ended. */
  openOf(key: string): number {
    return this.#open.get(key) ?? 0
  }
}

const encodeState = Schema.encodeUnknownSync(Schema.toCodecJson(State))

const show = (exit: Exit.Exit<unknown, unknown> | undefined): string => {
  if (exit === undefined) return "hung"
  if (Exit.isSuccess(exit)) return JSON.stringify(encodeState(exit.value))
  const error = Cause.squash(exit.cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : JSON.stringify(error)
}

const isSuspended = ({ exit }: Piece): boolean =>
  exit !== undefined && Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof GraphError.GraphSuspended

const isStopped = ({ exit }: Piece): boolean =>
  exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

export interface Outcome {
  readonly seed: number
  readonly problems: ReadonlyArray<string>
  readonly ended: string
  readonly features: ReadonlySet<string>
  readonly checkpoints: number
  readonly executions: number
  /** How often its run waited for somebody. */
  readonly suspensions: number
}

class Simulation {
  readonly problems: Array<string> = []
  readonly reference: Piece
  readonly expected: Count
  checkpoints = 0
  suspensions = 0
  constructor(reference: Piece) {
    this.reference = reference
    this.expected = new Count().add(reference.journal)
  }

  says(where: string, what: string): void {
    this.problems.push(`${where}: ${what}`)
  }

  /** The last piece of a run has come to the same as the reference. */
  ended(where: string, { exit, journal }: Piece): void {
    const [was, is] = [this.reference.exit, exit].map(show)
    if (was !== is) this.says(where, `ends with ${is} instead of ${was}`)
    for (const problem of journal.problems) this.says(where, problem)
    for (const [key, seen] of journal.joined) {
      const found = difference(JSON.parse(this.reference.journal.joined.get(key) ?? "null"), JSON.parse(seen))
      if (found !== undefined) this.says(where, `${key} sees ${found}`)
    }
  }

  /**
   * Each node was executed as often as in the reference, but for those that a stop had cut off: at most one on each line for each
   * stop. What comes after a stop knows of what happened until `taken`; what happened until `went` is done all the same.
   */
  counted(where: string, pieces: ReadonlyArray<Known>, strict = true): void {
    const total = new Count()
    const allowed = new Map<string, number>()
    for (const { journal, taken = journal.entries.length, went = taken } of pieces) {
      total.add(journal, went)
      const known = new Count().add(journal, taken)
      for (const [key, count] of new Count().add(journal, went).starts) {
        const lost = known.openOf(key) + count - known.of(key)
        if (lost > 0) allowed.set(key, (allowed.get(key) ?? 0) + lost)
      }
    }
    const extras = new Map<string, number>()
    for (const key of new Set([...total.starts.keys(), ...this.expected.starts.keys()])) {
      const extra = total.of(key) - this.expected.of(key)
      if (extra < 0) this.says(where, `${key} was executed ${total.of(key)} times instead of ${this.expected.of(key)}`)
      if (extra <= 0) continue
      if (extra > (allowed.get(key) ?? 0)) {
        this.says(where, `${key} was executed ${extra} times too often, ${allowed.get(key) ?? 0} had been cut off`)
      }
      if (!this.expected.fails(key)) extras.set(lineOf(key), (extras.get(lineOf(key)) ?? 0) + extra)
    }
    const stops = pieces.filter(({ taken }) => taken !== undefined).length
    for (const [line, extra] of extras) {
      if (strict && extra > stops) {
        this.says(where, `${extra} executions on line ${line} were repeated by ${stops} stops`)
      }
    }
  }
}

interface Known {
  readonly journal: Journal
  readonly taken?: number | undefined
  readonly went?: number | undefined
}

/** What is saved reads back as what it is. */
const checkBody = (simulation: Simulation, where: string, { draft: { body } }: Saved): void => {
  const read = Schema.decodeUnknownResult(RunState.fromBody)(body)
  if (Result.isFailure(read)) return simulation.says(where, `cannot be read: ${String(read.failure)}`)
  const again = Schema.encodeUnknownResult(RunState.fromBody)(read.success)
  if (Result.isFailure(again)) return simulation.says(where, `cannot be written: ${String(again.failure)}`)
  const found = difference(JSON.parse(body), JSON.parse(again.success))
  if (found !== undefined) simulation.says(where, `reads back with ${found}`)
}

/** Clocks count nanoseconds. */
const rounded = (key: string, value: unknown): unknown =>
  typeof value === "number" && /Ms(Ago)?$/.test(key) ? Math.round(value * 100) / 100 : value

/** Where two JSON values differ first. */
const difference = (was: unknown, is: unknown, path = ""): string | undefined => {
  if (typeof was !== "object" || typeof is !== "object" || was === null || is === null) {
    return was === is ? undefined : `${JSON.stringify(is)} instead of ${JSON.stringify(was)} at ${path}`
  }
  for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
    const found = difference(was[key as never], is[key as never], `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

/** How far a saved run and everything in it has come: it has gone on when this differs. */
const progress = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return ""
  const { at, phase, result, steps } = value as { readonly [key: string]: unknown }
  return `${String(at)} ${String(phase)} ${String(steps)} ${result !== undefined}(${
    ["main", "joins", "flows", "line", "inner"].map((key) =>
      progressIn((value as { readonly [key: string]: unknown })[key])
    ).join()
  })`
}

const progressIn = (value: unknown): string => Array.isArray(value) ? value.map(progress).join(";") : progress(value)

/** What is restored and saved again before it has gone on is what had been saved. */
const checkAgain = (simulation: Simulation, where: string, from: Saved, { saved: [first] }: Piece): void => {
  if (first === undefined || first.taken > 0) return
  const [was, is] = [from, first].map(({ draft }) => JSON.parse(draft.body, rounded) as unknown)
  if (progress(was) !== progress(is)) return
  const found = difference(was, is)
  if (found !== undefined) simulation.says(where, `is saved again with ${found}`)
}

export interface Effort {
  /** Checkpoints of each run that are resumed. */
  readonly checkpoints: number
  /** Runs that are stopped and continued until they end. */
  readonly stops: number
}

const isOver = ({ saved }: Piece): boolean => {
  const status = saved.at(-1)?.draft.status
  return status === "completed" || status === "failed"
}

const durabilities: ReadonlyArray<Durability> = ["step", "async", "exit"]

/** One after the other until the run does not wait for an answer any more. */
const pieces = (options: Options): Effect.Effect<ReadonlyArray<Piece>> =>
  Effect.gen(function*() {
    const all = [yield* piece(options)]
    for (let last = all[0]!; isSuspended(last) && all.length < 100; all.push(last)) {
      yield* TestClock.adjust("1 hour")
      last = yield* piece({ ...options, from: last.store })
    }
    return all
  })

/** A run that is interrupted a few times, and continued each time. */
const interruptions = (simulation: Simulation, seed: number, random: Random): Effect.Effect<void> =>
  Effect.gen(function*() {
    const durability = random.pick(durabilities)
    const slow = random.chance(0.5)
    const known: Array<Known> = []
    const told: Array<string> = []
    const { events } = simulation.reference
    const longest = Math.ceil((events.at(-1)!.at - events[0]!.at) * 1.2)
    let from: Checkpointer.Service | undefined
    for (let left = 1 + random.below(3);;) {
      const stop = left === 0
        ? never
        : random.chance(0.5)
        ? { ms: random.below(longest + 1) }
        : { event: 1 + random.below(events.length) }
      told.push(JSON.stringify(stop))
      const where = `${durability}${slow ? ", slow" : ""}, stopped at ${told.join(", ")}`
      const last: Piece = yield* piece({
        seed,
        durability,
        stop,
        slow,
        answering: random,
        ...from === undefined ? {} : { from }
      })
      const saved = last.saved.at(-1)
      if (saved !== undefined) checkBody(simulation, where, saved)
      const waits = isSuspended(last) || isStopped(last) && saved?.draft.status === "suspended"
      // What comes too late to be stopped has ended all the same.
      if (!waits && (!isStopped(last) || isOver(last))) {
        known.push({ journal: last.journal })
        if (!isStopped(last)) simulation.ended(where, last)
        return simulation.counted(where, known)
      }
      if (waits) known.push({ journal: last.journal })
      else {
        known.push({ journal: last.journal, taken: last.stoppedAt, went: last.journal.entries.length })
        left--
      }
      // It may have been stopped before it had its thread.
      if (from !== undefined || last.saved.length > 0) from = last.store
      yield* TestClock.adjust("1 hour")
      if (told.length > 100) return simulation.says(where, "it does not end")
    }
  })

/** What a process leaves behind that is killed right after a save, or right before the next one, is continued. */
const kills = (simulation: Simulation, seed: number, random: Random, checkpoints: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const durability = random.pick<Durability>(["step", "step", "async"])
    const slow = random.chance(0.5)
    const options: Options = { seed, durability, slow, answering: random }
    const name = `${durability}${slow ? ", slow" : ""}`
    const whole = yield* pieces(options)
    simulation.ended(name, whole.at(-1)!)
    simulation.counted(name, whole)
    const all = whole.flatMap((piece, k) => piece.saved.map((saved, i) => ({ k, i, piece, saved })))
    simulation.checkpoints = all.length
    simulation.suspensions = whole.length - 1
    const chosen = new Set(all.keys())
    while (chosen.size > checkpoints) chosen.delete(random.pick([...chosen]))
    for (const at of chosen) {
      const { i, k, piece: first, saved } = all[at]!
      const { status } = saved.draft
      if (status === "completed") continue
      const where = `${name}, killed at checkpoint ${at}`
      checkBody(simulation, where, saved)
      const left = all.slice(0, at + 1).map(({ saved }) => saved)
      const next = yield* pieces({ ...options, from: yield* copyOf(left) })
      simulation.ended(where, next.at(-1)!)
      // What failed is tried again.
      if (status === "failed") continue
      const before: ReadonlyArray<Known> = whole.slice(0, k)
      // A step waits until where it goes on from is saved.
      const isSame = durability === "step" && status === "running"
      if (isSame) checkAgain(simulation, where, saved, next[0]!)
      simulation.counted(where, [...before, { journal: first.journal, taken: saved.taken }, ...next])
      const went = first.saved[i + 1]?.written ?? first.journal.entries.length
      const late = [...before, { journal: first.journal, taken: saved.taken, went }, ...next]
      simulation.counted(`${where}, late`, late, durability === "step")
      if (!random.chance(0.4)) continue
      const j = random.below(next[0]!.saved.length)
      const again = next[0]!.saved[j]
      if (again === undefined || again.draft.status !== "running") continue
      const from = yield* copyOf([...left, ...next[0]!.saved.slice(0, j + 1)])
      const last = yield* pieces({ ...options, from })
      const twice = `${where}, and at checkpoint ${j} after that`
      simulation.ended(twice, last.at(-1)!)
      if (durability === "step") checkAgain(simulation, twice, again, last[0]!)
      simulation.counted(twice, [
        ...before,
        { journal: first.journal, taken: saved.taken },
        { journal: next[0]!.journal, taken: again.taken },
        ...last
      ])
    }
  })

/** Everything about one seed. */
export const stopAnywhere = (seed: number, effort: Effort): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const random = new Random(seed * 7919)
    const { features } = randomGraph(seed, new Journal())
    const reference = yield* piece({ seed })
    const simulation = new Simulation(reference)
    if (reference.exit === undefined) simulation.says("without a stop", "it hangs")
    else {
      for (let i = 0; i < effort.stops; i++) yield* interruptions(simulation, seed, random)
      yield* kills(simulation, seed, random, effort.checkpoints)
    }
    return {
      seed,
      problems: simulation.problems,
      ended: reference.exit === undefined ? "hung" : Exit.isSuccess(reference.exit) ? "completed" : "failed",
      features,
      checkpoints: simulation.checkpoints,
      executions: simulation.expected.starts.size,
      suspensions: simulation.suspensions
    }
  }).pipe(Effect.provide(TestClock.layer()))
