/**
 * A limit on how much of the same work runs at a time, shared by key: by flows, nodes and graphs, and by any other effect.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type InvalidConfigError, LimitExceededError } from "./GraphError.ts"
import { OptionReader } from "./internal/option.ts"

/**
 * A limit, as a user writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** Limits with the same key are one limit. Not empty. */
  readonly key: string
  /** How many may run at a time; an integer of at least 1. */
  readonly permits: number
  /** How many may wait beyond these; an integer of at least 0. Default: any number. */
  readonly queue?: number | "unbounded" | undefined
}

/**
 * A limit with full values; an unbounded `queue` is `Infinity`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit {
  readonly key: string
  readonly permits: number
  readonly queue: number
}

/** Checks an input; problems go to `reader`, under `prefix` plus the field's name. @internal */
export const read = (reader: OptionReader, prefix: string, input: Input): Limit => {
  reader.known(prefix, input, ["key", "permits", "queue"])
  const { key, permits, queue } = input as { readonly [K in keyof Input]: unknown }
  if (typeof key !== "string" || key === "") reader.reject(`${prefix}key`, key, "a string that is not empty")
  if (permits === undefined) reader.reject(`${prefix}permits`, permits, "an integer of at least 1")
  return {
    key: String(key),
    permits: reader.integer(`${prefix}permits`, permits, 1) ?? 1,
    queue: queue === "unbounded"
      ? Infinity
      : reader.integer(`${prefix}queue`, queue, 0, `"unbounded"`) ?? Infinity
  }
}

/**
 * One bulkhead, as seen at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly key: string
  readonly permits: number
  readonly inUse: number
  readonly waiting: number
}

/**
 * The answer to an ask: refused, or a permit that is there now or comes in turn.
 *
 * @internal
 */
export type Asked =
  | { readonly _tag: "Full"; readonly permits: number; readonly queue: number }
  | {
    readonly _tag: "Waits"
    /** Calls back once, now or later, with the permit. */
    readonly take: (granted: () => void) => void
    /** Gives the permit back, or gives up waiting; once. */
    readonly release: () => void
    readonly conflict: string | undefined
  }

interface Waiter {
  granted: boolean
  go: (() => void) | undefined
}

interface Entry {
  readonly permits: number
  inUse: number
  readonly queue: Array<Waiter>
}

/**
 * All bulkheads, by key. One exists for as long as somebody has or awaits a permit of it.
 *
 * @category models
 * @since 0.1.0
 */
export class Bulkheads {
  readonly #entries = new Map<string, Entry>()
  readonly #ready: Array<Waiter> = []
  #granting = false

  /** Looks at every bulkhead that is in use. */
  get states(): ReadonlyArray<Snapshot> {
    return Array.from(
      this.#entries,
      ([key, { inUse, permits, queue }]) => ({ key, permits, inUse, waiting: queue.length })
    )
  }

  /** Asks for a permit, behind everybody who waits already. @internal */
  ask({ key, permits, queue }: Limit): Asked {
    const entry = this.#entries.get(key) ?? { permits, inUse: 0, queue: [] }
    this.#entries.set(key, entry)
    const waiter: Waiter = { granted: entry.inUse < entry.permits, go: undefined }
    if (waiter.granted) entry.inUse++
    else if (entry.queue.length >= queue) return { _tag: "Full", permits: entry.permits, queue }
    else entry.queue.push(waiter)
    let released = false
    return {
      _tag: "Waits",
      take: (go) => {
        if (waiter.granted) go()
        else waiter.go = go
      },
      release: () => {
        if (released) return
        released = true
        this.#release(key, entry, waiter)
      },
      conflict: entry.permits === permits
        ? undefined
        : `bulkhead "${key}" has ${entry.permits} permits already, ${permits} are ignored while it is in use`
    }
  }

  #release(key: string, entry: Entry, waiter: Waiter): void {
    if (!waiter.granted) {
      const index = entry.queue.indexOf(waiter)
      if (index >= 0) entry.queue.splice(index, 1)
      return
    }
    const next = entry.queue.shift()
    if (next !== undefined) {
      // The permit goes from hand to hand: nobody who asks meanwhile can be faster.
      next.granted = true
      this.#ready.push(next)
      return this.#grant()
    }
    if (--entry.inUse === 0) this.#entries.delete(key)
  }

  /** A loop, not a recursion: what ends at once releases its permit while it is being granted. */
  #grant(): void {
    if (this.#granting) return
    this.#granting = true
    for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) next.go?.()
    this.#granting = false
  }
}

/**
 * The bulkheads of everything that runs; {@link layer} sets others.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentBulkheads: Context.Reference<Bulkheads> = Context.Reference<Bulkheads>(
  "effect-stategraph/Bulkhead/CurrentBulkheads",
  { defaultValue: () => new Bulkheads() }
)

/**
 * Bulkheads of their own for everything that runs with it.
 *
 * **When to use**
 *
 * Use a fresh one in each test, and to keep the parts of a service apart.
 *
 * **Example** (Looking at them)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "effect-stategraph"
 *
 * const looking = Effect.map(Bulkhead.CurrentBulkheads, (bulkheads) => bulkheads.states)
 * const program = looking.pipe(Bulkhead.withLimit({ key: "db", permits: 4 }), Effect.provide(Bulkhead.layer))
 *
 * await Effect.runPromise(program) // => [{ key: "db", permits: 4, inUse: 1, waiting: 0 }]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.fresh(Layer.sync(CurrentBulkheads, () => new Bulkheads()))

/**
 * Runs an effect with a permit of the bulkhead that all work with the same key shares.
 *
 * **When to use**
 *
 * Flows take the `limit` option. Use this for what else asks the same service.
 *
 * **Details**
 *
 * Permits are given in the order of asking; who waits can be interrupted and loses nothing. Without a free permit, and with
 * `queue` others waiting, it fails with `LimitExceededError` at once. A bulkhead that nobody uses is forgotten. While it is in
 * use its number of permits does not change: another number is ignored with a warning. Options out of range throw an
 * `InvalidConfigError`.
 *
 * **Example** (No room to wait)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "effect-stategraph"
 *
 * const one = Bulkhead.withLimit({ key: "printer", permits: 1, queue: 0 })
 * const inside = Effect.flip(one(Effect.succeed("never")))
 * const error = await Effect.runPromise(one(inside).pipe(Effect.catchTag("LimitExceededError", Effect.succeed)))
 *
 * error._tag // => "LimitExceededError"
 * ```
 *
 * @category combining
 * @since 0.1.0
 */
export const withLimit = (input: Input) => {
  const reader = new OptionReader("Bulkhead.withLimit")
  const limit = typeof input === "object" && input !== null ? read(reader, "", input) : undefined
  if (limit === undefined) reader.reject("input", input, "an object")
  const problem: InvalidConfigError | undefined = reader.problems[0]
  if (problem !== undefined || limit === undefined) throw problem
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | LimitExceededError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(CurrentBulkheads, (bulkheads): Effect.Effect<A, E | LimitExceededError, R> => {
        const asked = bulkheads.ask(limit)
        if (asked._tag === "Full") {
          return Effect.fail(new LimitExceededError({ key: limit.key, permits: asked.permits, queue: asked.queue }))
        }
        const granted = Effect.callback<void>((resume) => asked.take(() => resume(Effect.void)))
        const warned = asked.conflict === undefined
          ? granted
          : Effect.andThen(Effect.logWarning(asked.conflict), granted)
        return Effect.ensuring(Effect.andThen(restore(warned), restore(self)), Effect.sync(asked.release))
      })
    )
}
