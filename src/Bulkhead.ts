/**
 * A limit on how much of the same work runs at a time, shared by key: by flows, nodes and graphs, and by any other effect.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type InvalidConfigError, LimitExceededError } from "./GraphError.ts"
import { Bulkheads, CurrentPermits } from "./internal/bulkheads.ts"
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

export {
  /**
   * All bulkheads, by key. One exists for as long as somebody has or awaits a permit of it.
   *
   * @category models
   * @since 0.1.0
   */
  Bulkheads
} from "./internal/bulkheads.ts"

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
 * Limits of one key can be within each other: what asks from within takes a free permit, or in turn with its siblings the one
 * around it. So flows of flows that inherit one limit never wait for themselves.
 *
 * **Gotchas**
 *
 * Ask for several keys in the same order everywhere: two that ask for each other's keep each other waiting for ever.
 *
 * **Example** (No room to wait)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "effect-stategraph"
 *
 * const printing = Effect.sleep("10 millis").pipe(Bulkhead.withLimit({ key: "printer", permits: 1, queue: 0 }))
 * const both = Effect.all([printing, Effect.flip(printing)], { concurrency: "unbounded" })
 * const [, error] = await Effect.runPromise(both)
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
      Effect.contextWith((context: Context.Context<R>): Effect.Effect<A, E | LimitExceededError, R> => {
        const asked = Context.get(context, CurrentBulkheads).ask(limit, Context.get(context, CurrentPermits))
        if (asked._tag === "Full") {
          return Effect.fail(new LimitExceededError({ key: limit.key, permits: asked.permits, queue: asked.queue }))
        }
        const granted = Effect.callback<void>((resume) => asked.take(() => resume(Effect.void)))
        const warned = asked.conflict === undefined
          ? granted
          : Effect.andThen(Effect.logWarning(asked.conflict), granted)
        const held = Effect.provideService(self, CurrentPermits, asked.held)
        return Effect.ensuring(Effect.andThen(restore(warned), restore(held)), Effect.sync(asked.release))
      })
    )
}
