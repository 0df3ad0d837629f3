/**
 * The store of saved runs, as a service: what a run with a `thread` is saved by and continued from.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { CheckpointError, InvalidConfigError } from "./GraphError.ts"
import { claimed, encodable, fenced, keeping, named } from "./internal/checkpoints.ts"
import { OptionReader } from "./internal/option.ts"

/**
 * Where the run of a checkpoint stood.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = "running" | "suspended" | "failed" | "completed"

/**
 * One saved run, which a store does not look into.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoint {
  readonly thread: string
  /** Unique within the store. */
  readonly id: string
  /** 1, 2, 3 ... within the thread: strictly increasing, whoever saves. */
  readonly sequence: number
  readonly runId: string
  readonly graph: string
  readonly status: Status
  /** Epoch milliseconds. */
  readonly savedAt: number
  /** The checkpoint that this one's run was forked from, if any. */
  readonly parent?: string | undefined
  /** The encoded run: a JSON text. */
  readonly body: string
}

/**
 * A {@link Checkpoint} without its body.
 *
 * @category models
 * @since 0.1.0
 */
export type Info = Omit<Checkpoint, "body">

/**
 * What a run hands to `save`; the store adds thread, id, sequence and time.
 *
 * @category models
 * @since 0.1.0
 */
export type Draft = Pick<Checkpoint, "runId" | "graph" | "status" | "parent" | "body">

/**
 * The right to save a thread, until it is released, taken over, or its owner is gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claim {
  readonly thread: string
  /** Different for every claim. */
  readonly token: string
}

/**
 * What a store can do.
 *
 * **When to use**
 *
 * Implement it to keep checkpoints where none of the layers keeps them; the cases of `CheckpointerConformance`, in
 * `effect-stategraph/testing`, tell whether it does what a run relies on.
 *
 * **Details**
 *
 * - Every method fails with reason `"InvalidThread"` for an empty thread id; every other text is one, compared by its UTF-16 code
 *   units.
 * - A body is any text without NUL and lone surrogates (JSON escapes them); another one fails with `"NotEncodable"`.
 * - What fails in the store itself is reason `"Storage"`, with the `cause`.
 * - A call that was interrupted did all of its work or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /**
   * Takes a thread, whether or not anything was saved under it.
   *
   * **Details**
   *
   * Of several claims at once exactly one wins, the others fail with reason `"Claimed"`, and so does every later one until the
   * claim is released, its owner is gone, or its lease is over. `takeOver` takes the thread all the same: when it returns,
   * the former owner cannot save any more.
   */
  readonly claim: (
    thread: string,
    options?: { readonly takeOver?: boolean | undefined }
  ) => Effect.Effect<Claim, CheckpointError>
  /** Gives a thread back; does nothing when it is not, or not any more, its owner's. */
  readonly release: (claim: Claim) => Effect.Effect<void, CheckpointError>
  /**
   * Saves one checkpoint, all of it or nothing.
   *
   * **Details**
   *
   * When it returns, the checkpoint survives whatever the store promises to survive. Fails with reason `"Fenced"`, and saves
   * nothing, when the claim was lost.
   */
  readonly save: (claim: Claim, draft: Draft) => Effect.Effect<Info, CheckpointError>
  /**
   * The latest checkpoint of a thread, or the one with this id.
   *
   * **Details**
   *
   * Fails with reason `"Unreadable"` when it is damaged: an older one is never handed out in its place.
   */
  readonly load: (thread: string, checkpointId?: string) => Effect.Effect<Option.Option<Checkpoint>, CheckpointError>
  /** All checkpoints of a thread, oldest first; damaged ones are left out. */
  readonly list: (thread: string) => Effect.Effect<ReadonlyArray<Info>, CheckpointError>
  /** Removes a thread wholly; fails with reason `"Claimed"` while a run has it. */
  readonly delete: (thread: string) => Effect.Effect<void, CheckpointError>
  /** Removes all but the newest `keep` checkpoints of a thread, at least one, and returns how many. */
  readonly prune: (thread: string, options: { readonly keep: number }) => Effect.Effect<number, CheckpointError>
  /**
   * Keeps a claim for another `leaseMs`; fails with reason `"Fenced"` when it was lost.
   *
   * **Details**
   *
   * A store whose claims run out gives both, and a run renews its claim three times in `leaseMs`. `save` renews it too.
   */
  readonly renew?: ((claim: Claim) => Effect.Effect<void, CheckpointError>) | undefined
  /** How long a claim is kept for an owner of which nothing is heard, in milliseconds. */
  readonly leaseMs?: number | undefined
}

/**
 * The store that runs with a `thread` are saved by.
 *
 * **When to use**
 *
 * Provide {@link layerMemory} in tests and for runs that need not outlive the process, `CheckpointerFile.layer` (in
 * `effect-stategraph/node`) on one machine, `CheckpointerSql.layer` (in `effect-stategraph/sql`) for several.
 *
 * **Example** (What a run does with it)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* Checkpointer.Checkpointer
 *   const claim = yield* store.claim("order-7")
 *   yield* store.save(claim, { runId: "run-1", graph: "order", status: "running", body: `{"step":1}` })
 *   yield* store.save(claim, { runId: "run-1", graph: "order", status: "completed", body: `{"step":2}` })
 *   yield* store.release(claim)
 *   const latest = yield* store.load("order-7")
 *   return [(yield* store.list("order-7")).length, Option.getOrThrow(latest).body]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Checkpointer.layerMemory))) // => [2, `{"step":2}`]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Checkpointer extends Context.Service<Checkpointer, Service>()("effect-stategraph/Checkpointer") {
  static readonly layerMemory: Layer.Layer<Checkpointer> = Layer.sync(this, () => makeUnsafe())
}

/**
 * How checkpoints are kept in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  /** How many checkpoints of a thread are kept; older ones are removed after a save. Default: all. */
  readonly keep?: number | "all" | undefined
}

interface Thread {
  token: string | undefined
  sequence: number
  readonly checkpoints: Array<Checkpoint>
}

/**
 * Makes a store that keeps its checkpoints in memory, outside of Effect; throws `InvalidConfigError` for options out of range.
 *
 * **Example** (A store for one test)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 *
 * const store = Checkpointer.makeUnsafe()
 *
 * await Effect.runPromise(store.list("order-7")) // => []
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUnsafe = (options: MemoryOptions = {}): Service => {
  const reader = new OptionReader("Checkpointer.makeUnsafe")
  reader.known("", options, ["keep"])
  const most = options.keep === "all" ? Infinity : reader.integer("keep", options.keep, 1, `"all"`) ?? Infinity
  if (reader.problems[0] !== undefined) throw reader.problems[0]
  const threads = new Map<string, Thread>()
  let made = 0
  const fresh = (): string => String(++made)
  // A thread that nobody has claimed, and nothing was saved under, is forgotten.
  const forget = (name: string, thread: Thread): void => {
    if (thread.sequence === 0) threads.delete(name)
  }
  const owned = <A, E>(claim: Claim, use: (thread: Thread) => Effect.Effect<A, E>) =>
    named(
      claim.thread,
      Effect.suspend((): Effect.Effect<A, E | CheckpointError> => {
        const thread = threads.get(claim.thread)
        return thread?.token === claim.token ? use(thread) : fenced(claim.thread)
      })
    )
  const saved = (name: string): ReadonlyArray<Checkpoint> => threads.get(name)?.checkpoints ?? []
  return {
    claim: (name, options) =>
      named(
        name,
        Effect.suspend(() => {
          const thread = threads.get(name) ?? { token: undefined, sequence: 0, checkpoints: [] }
          if (thread.token !== undefined && options?.takeOver !== true) return claimed(name)
          const token = thread.token = fresh()
          threads.set(name, thread)
          return Effect.succeed({ thread: name, token })
        })
      ),
    release: ({ thread: name, token }) =>
      named(
        name,
        Effect.sync(() => {
          const thread = threads.get(name)
          if (thread?.token !== token) return
          thread.token = undefined
          forget(name, thread)
        })
      ),
    save: (claim, { body, graph, parent, runId, status }) =>
      encodable(
        claim.thread,
        body,
        Clock.clockWith((clock) =>
          owned(claim, (thread) => {
            const info: Info = {
              thread: claim.thread,
              id: fresh(),
              sequence: ++thread.sequence,
              runId,
              graph,
              status,
              savedAt: clock.currentTimeMillisUnsafe(),
              ...(parent === undefined ? {} : { parent })
            }
            thread.checkpoints.push({ ...info, body })
            if (thread.checkpoints.length > most) thread.checkpoints.shift()
            return Effect.succeed(info)
          })
        )
      ),
    load: (name, checkpointId) =>
      named(
        name,
        Effect.sync(() => {
          const all = saved(name)
          const found = checkpointId === undefined ? all.at(-1) : all.find(({ id }) => id === checkpointId)
          return found === undefined ? Option.none() : Option.some({ ...found })
        })
      ),
    list: (name) => named(name, Effect.sync(() => saved(name).map(({ body: _, ...info }) => info))),
    delete: (name) =>
      named(
        name,
        Effect.suspend(() => {
          if (threads.get(name)?.token !== undefined) return claimed(name)
          threads.delete(name)
          return Effect.void
        })
      ),
    prune: (name, { keep }) =>
      named(
        name,
        keeping(
          name,
          keep,
          Effect.sync(() => {
            const { checkpoints } = threads.get(name) ?? { checkpoints: [] }
            return checkpoints.splice(0, Math.max(0, checkpoints.length - keep)).length
          })
        )
      )
  }
}

/**
 * Makes a store that keeps its checkpoints in memory.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Service> = Effect.sync(makeUnsafe)

/**
 * Provides a store that keeps its checkpoints in memory, and loses them with the process.
 *
 * **Gotchas**
 *
 * A claim is given up by `release` or by `takeOver`. All checkpoints are kept until they are pruned or deleted: use
 * {@link layerMemoryWith} in a process that lives long.
 *
 * **Example** (A thread has one owner at a time)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* Checkpointer.Checkpointer
 *   const first = yield* store.claim("order-7")
 *   const second = yield* Effect.flip(store.claim("order-7"))
 *   yield* store.claim("order-7", { takeOver: true })
 *   const late = yield* Effect.flip(
 *     store.save(first, { runId: "run-1", graph: "order", status: "running", body: "{}" })
 *   )
 *   return [second.reason, late.reason]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Checkpointer.layerMemory))) // => ["Claimed", "Fenced"]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Checkpointer> = Checkpointer.layerMemory

/**
 * Provides a store like {@link layerMemory}, with options; those out of range fail with `InvalidConfigError`.
 *
 * **Example** (The latest checkpoint of each thread)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* Checkpointer.Checkpointer
 *   const claim = yield* store.claim("order-7")
 *   for (const step of [1, 2, 3]) {
 *     yield* store.save(claim, { runId: "run-1", graph: "order", status: "running", body: `{"step":${step}}` })
 *   }
 *   return (yield* store.list("order-7")).map(({ sequence }) => sequence)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Checkpointer.layerMemoryWith({ keep: 1 })))) // => [3]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemoryWith = (options: MemoryOptions): Layer.Layer<Checkpointer, InvalidConfigError> =>
  Layer.effect(
    Checkpointer,
    Effect.try({ try: () => makeUnsafe(options), catch: (problem) => problem as InvalidConfigError })
  )
