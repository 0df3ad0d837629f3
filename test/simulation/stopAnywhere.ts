/**
 * A random graph run once without a stop, and then saved, stopped and continued in every way: both must come to the same, and no
 * work that was saved may be done again.
 */
import { Cause, Exit, Result, Schema } from "effect"
import { type Checkpointer, RunState } from "effect-stategraph"
import type { Durability } from "../../src/internal/saver.ts"
import { Journal, lineOf, State } from "./determined.ts"
import {
  copyOf,
  faults,
  isBroken,
  isOver,
  isStopped,
  isSuspended,
  never,
  type Options,
  type Piece,
  piece,
  pieces,
  type Saved,
  type Stop
} from "./pieces.ts"
import { Random } from "./random.ts"
import { randomGraph } from "./randomGraph.ts"
import { Virtual } from "./virtual.ts"

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

export interface Outcome {
  readonly seed: number
  readonly problems: ReadonlyArray<string>
  readonly ended: string
  readonly features: ReadonlySet<string>
  readonly checkpoints: number
  readonly executions: number
  /** How often its run waited for somebody. */
  readonly suspensions: number
  /** How often its store broke. */
  readonly broken: number
}

class Simulation {
  readonly problems: Array<string> = []
  readonly reference: Piece
  readonly expected: Count
  checkpoints = 0
  suspensions = 0
  broken = 0
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
  if (first === undefined || first.taken > 0 || first.draft.status !== from.draft.status) return
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
  /** About so many nodes. Default: as many as the seed says. */
  readonly size?: number | undefined
}

interface Around {
  readonly features: ReadonlySet<string>
  readonly random: Random
  readonly seed: number
  readonly size: number | undefined
  readonly virtual: Virtual
}

const durabilities: ReadonlyArray<Durability> = ["step", "async", "exit"]

/** A run that is stopped a few times, and continued each time. */
const stops = (simulation: Simulation, { random, seed, size, virtual }: Around): void => {
  const durability = random.pick(durabilities)
  const slow = random.chance(0.5)
  const known: Array<Known> = []
  const told: Array<string> = []
  const { events } = simulation.reference
  const longest = Math.ceil((events.at(-1)!.at - events[0]!.at) * 1.2)
  let from: Checkpointer.Service | undefined
  // Only where every step waits for its save is no more than one of each line lost with it.
  let strict = true
  for (let left = 1 + random.below(3); told.length <= 100;) {
    const stop = left === 0 ? never : stopOf(random, durability, longest, events.length)
    told.push(JSON.stringify(stop))
    const where = `${durability}${slow ? ", slow" : ""}, stopped at ${told.join(", ")}`
    const answers = { answering: random, ...from === undefined ? {} : { from } }
    const last = piece({ virtual, seed, size, durability, stop, slow, ...answers })
    const saved = last.saved.at(-1)
    if (saved !== undefined) checkBody(simulation, where, saved)
    const broken = isBroken(last)
    if (broken && stop.fault === undefined) simulation.says(where, "its store works, and it says otherwise")
    if (broken) simulation.broken++
    const waits = isSuspended(last) || isStopped(last) && saved?.draft.status === "suspended"
    // What comes too late to be stopped has ended all the same.
    if (!waits && (!isStopped(last) && !broken || isOver(last))) {
      known.push({ journal: last.journal })
      if (!isStopped(last) && !broken) simulation.ended(where, last)
      return simulation.counted(where, known, strict)
    }
    const went = last.journal.entries.length
    if (broken && durability !== "step") strict = false
    if (broken) known.push({ journal: last.journal, taken: saved?.taken ?? 0, went })
    else known.push(waits ? { journal: last.journal } : { journal: last.journal, taken: last.stoppedAt, went })
    if (broken || !waits) left = Math.max(0, left - 1)
    // It may have been stopped before it had its thread.
    if (from !== undefined || last.saved.length > 0) from = last.store
  }
  simulation.says(told.join(", "), "it does not end")
}

const stopOf = (random: Random, durability: Durability, longest: number, events: number): Stop => {
  // Where steps wait for their saves, limits are reached while one hangs.
  const quick = faults.slice(0, 3)
  if (random.chance(0.3)) {
    return { save: 1 + random.below(8), fault: random.pick(durability === "step" ? quick : faults) }
  }
  return random.chance(0.5) ? { ms: random.below(longest + 1) } : { event: 1 + random.below(events) }
}

/** What a process leaves behind that is killed right after a save, or right before the next one, is continued. */
const kills = (
  simulation: Simulation,
  { features, random, seed, size, virtual }: Around,
  checkpoints: number
): void => {
  const durability = random.pick<Durability>(["step", "step", "async"])
  const slow = random.chance(0.5)
  const options: Options = { virtual, seed, size, durability, slow, answering: random }
  const name = `${durability}${slow ? ", slow" : ""}`
  const whole = pieces(options)
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
    // A run that has failed is tried again; its circuits have seen what it failed with.
    if (status === "completed" || status === "failed" && features.has("circuit")) continue
    const where = `${name}, killed at checkpoint ${at}`
    checkBody(simulation, where, saved)
    const left = all.slice(0, at + 1).map(({ saved }) => saved)
    const next = pieces({ ...options, from: copyOf(virtual, left) })
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
    const from = copyOf(virtual, [...left, ...next[0]!.saved.slice(0, j + 1)])
    const last = pieces({ ...options, from })
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
}

/** Everything about one seed. */
export const stopAnywhere = (seed: number, effort: Effort): Outcome => {
  const { size } = effort
  const { features } = randomGraph(seed, new Journal(), size)
  const around: Around = { features, random: new Random(seed * 7919), seed, size, virtual: new Virtual() }
  const reference = piece(around)
  const simulation = new Simulation(reference)
  if (reference.exit === undefined) simulation.says("without a stop", "it hangs")
  else {
    for (let i = 0; i < effort.stops; i++) stops(simulation, around)
    kills(simulation, around, effort.checkpoints)
  }
  return {
    seed,
    problems: simulation.problems,
    ended: reference.exit === undefined ? "hung" : Exit.isSuccess(reference.exit) ? "completed" : "failed",
    features,
    checkpoints: simulation.checkpoints,
    executions: simulation.expected.starts.size,
    suspensions: simulation.suspensions,
    broken: simulation.broken
  }
}
