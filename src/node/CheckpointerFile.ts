/**
 * Checkpoints as files: for all processes of one machine.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { resolve } from "node:path"
import { Checkpointer, type Claim, type Service } from "../Checkpointer.ts"
import { CheckpointError, type InvalidConfigError } from "../GraphError.ts"
import { claimed, encodable, fenced, keeping, named } from "../internal/checkpoints.ts"
import { OptionReader } from "../internal/option.ts"
import * as FileCheckpoints from "./internal/fileCheckpoints.ts"
import * as FileStore from "./internal/fileStore.ts"

/**
 * How checkpoints are kept as files.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many checkpoints of a thread are kept; older ones are removed after a save. Default: all. */
  readonly keep?: number | "all" | undefined
  /** How large the file of one checkpoint may be, in bytes. Default: 256 MiB. */
  readonly maxBytes?: number | undefined
  /**
   * How long a claim is kept for an owner of which nothing is heard, where it cannot be told whether its process still runs.
   * Default: `"30 seconds"`.
   */
  readonly lease?: Duration.Input | undefined
}

const parse = (
  directory: string,
  options: Options
): Effect.Effect<Parameters<typeof FileStore.open>[0], InvalidConfigError> => {
  const reader = new OptionReader("CheckpointerFile.layer")
  reader.known("", options, ["keep", "maxBytes", "lease"])
  const keep = options.keep === "all" ? Infinity : reader.integer("keep", options.keep, 1, `"all"`) ?? Infinity
  const maxBytes = reader.integer("maxBytes", options.maxBytes, 1) ?? 256 * 1024 * 1024
  const leaseMs = reader.duration("lease", options.lease, { zero: false, finite: true }) ?? 30_000
  if (directory === "") reader.reject("directory", directory, "a path")
  const [problem] = reader.problems
  return problem === undefined
    ? Effect.succeed({ directory: resolve(directory), keep, maxBytes, leaseMs })
    : Effect.fail(problem)
}

/** Work on the disk. When it is interrupted it ends at the next place where nothing is left behind, and that is waited for. */
const work = <A>(
  thread: string,
  issue: string,
  run: (signal: AbortSignal) => Promise<A>
): Effect.Effect<A, CheckpointError> =>
  Effect.callback<A, CheckpointError>((resume, signal) => {
    const ended = run(signal).then(
      (value) => resume(Effect.succeed(value)),
      (cause: unknown) =>
        resume(Effect.fail(
          cause instanceof CheckpointError ? cause : new CheckpointError({ thread, reason: "Storage", issue, cause })
        ))
    )
    return Effect.promise(() => ended)
  })

interface Held extends FileStore.Held {
  /** One save at a time. */
  readonly lock: Semaphore.Semaphore
}

/**
 * Makes a store that keeps its checkpoints as files, and gives its claims back when the scope is closed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  directory: string,
  options: Options = {}
): Effect.Effect<Service, CheckpointError | InvalidConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* parse(directory, options)
    const store = yield* work("", `the folder ${settings.directory} cannot be used`, () => FileStore.open(settings))
    const claims = new Map<string, Held>()
    yield* Effect.addFinalizer(() =>
      Effect.forEach(claims.values(), (held) => Effect.ignore(letGo(held)), { discard: true })
    )

    const letGo = (held: Held): Effect.Effect<void, CheckpointError> =>
      work(held.thread, "the claim could not be given back", () => FileStore.release(store, held)).pipe(
        // As long as this process lives nobody else can have it.
        Effect.retry({ times: 3 }),
        Effect.tap(() => Effect.sync(() => claims.delete(held.token)))
      )

    /** A claim counts for the thread it was given for, and for the layer that gave it. */
    const find = ({ thread, token }: Claim): Held | undefined => {
      const held = claims.get(token)
      return held?.thread === thread ? held : undefined
    }

    const owned = <A>(claim: Claim, use: (held: Held) => Effect.Effect<A | undefined, CheckpointError>) =>
      named(
        claim.thread,
        Effect.suspend(() => {
          const held = find(claim)
          if (held === undefined) return fenced(claim.thread)
          return Effect.flatMap(held.lock.withPermits(1)(use(held)), (value) => {
            if (value !== undefined) return Effect.succeed(value)
            claims.delete(claim.token)
            return fenced(claim.thread)
          })
        })
      )

    return Checkpointer.of({
      leaseMs: store.leaseMs,
      claim: (thread, options) =>
        named(
          thread,
          Effect.suspend(() => {
            let held: Held | undefined
            return work(thread, "the thread could not be claimed", async (signal) => {
              const won = await FileStore.claim(store, thread, options?.takeOver === true, signal)
              if (won === undefined) return undefined
              held = { ...won, lock: Semaphore.makeUnsafe(1) }
              claims.set(held.token, held)
              return { thread, token: held.token }
            }).pipe(
              Effect.flatMap((claim) => claim === undefined ? claimed(thread) : Effect.succeed(claim)),
              Effect.onInterrupt(() => held === undefined ? Effect.void : Effect.ignore(letGo(held)))
            )
          })
        ),
      renew: (claim) =>
        Effect.asVoid(owned(claim, (held) =>
          work(claim.thread, "the claim could not be renewed", async () =>
            await FileStore.prolong(store, held) ? true : undefined))),
      release: (claim) =>
        named(
          claim.thread,
          Effect.suspend(() => {
            const held = find(claim)
            return held === undefined ? Effect.void : letGo(held)
          })
        ),
      save: (claim, draft) =>
        encodable(
          claim.thread,
          draft.body,
          owned(claim, (held) =>
            Clock.clockWith((clock) =>
              work(claim.thread, "the checkpoint could not be saved", (signal) =>
                FileCheckpoints.save(store, held, draft, clock.currentTimeMillisUnsafe(), signal))
            ))
        ),
      load: (thread, checkpointId) =>
        named(
          thread,
          Effect.map(
            work(thread, "the checkpoint could not be read", () =>
              FileCheckpoints.load(store, thread, checkpointId)),
            Option.fromUndefinedOr
          )
        ),
      list: (thread) =>
        named(
          thread,
          Effect.flatMap(
            work(thread, "the checkpoints could not be read", () => FileCheckpoints.list(store, thread)),
            ({ damaged, infos }) =>
              Effect.as(
                Effect.forEach(damaged, ([name, issue]) =>
                  Effect.logWarning(`a checkpoint is left out of the list, it is unreadable: ${issue}`).pipe(
                    Effect.annotateLogs({ thread, file: name })
                  )),
                infos
              )
          )
        ),
      delete: (thread) =>
        named(
          thread,
          Effect.flatMap(
            work(thread, "the thread could not be deleted", (signal) => FileStore.drop(store, thread, signal)),
            (dropped) => dropped ? Effect.void : claimed(thread)
          )
        ),
      prune: (thread, { keep }) =>
        named(
          thread,
          keeping(
            thread,
            keep,
            work(thread, "the thread could not be pruned", () => FileCheckpoints.prune(store, thread, keep))
          )
        )
    })
  })

/**
 * Provides a store that keeps its checkpoints as files in a folder of its own, which is made when it is not there.
 *
 * **When to use**
 *
 * For runs on one machine, in one process or several. Processes on several machines need a database: `CheckpointerSql.layer`.
 *
 * **Details**
 *
 * - A save is written beside, synced, renamed and the folder synced: it is there whole or not at all. What was acknowledged survives
 *   the end of the process at any instant, and a power cut as far as the disk keeps what it says it has synced.
 * - A file that was cut off, edited or replaced fails `load` with reason `"Unreadable"`, and is left out of `list` with a warning.
 * - The claim of a process that is gone is free at once. Where that cannot be told (a process of another host or container, or in
 *   a worker thread), it is free after `lease`.
 * - Options out of range fail with `InvalidConfigError`, a folder that cannot be made with a `CheckpointError` without a thread.
 * - Its claims end with the layer.
 *
 * **Gotchas**
 *
 * The folder must not be shared over a network file system that has no atomic rename. Files and folders get the permissions of the
 * process' umask; checkpoints hold the state of your runs.
 *
 * **Example** (A run that outlives its process)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 * import { CheckpointerFile } from "effect-stategraph/node"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 *
 * const directory = mkdtempSync(`${tmpdir()}/checkpoints-`)
 *
 * const before = Effect.gen(function*() {
 *   const store = yield* Checkpointer.Checkpointer
 *   const claim = yield* store.claim("order-7")
 *   yield* store.save(claim, { runId: "run-1", graph: "order", status: "suspended", body: `{"step":2}` })
 * })
 * await Effect.runPromise(before.pipe(Effect.provide(CheckpointerFile.layer(directory))))
 *
 * const after = Effect.gen(function*() {
 *   const store = yield* Checkpointer.Checkpointer
 *   return Option.getOrThrow(yield* store.load("order-7")).body
 * })
 * await Effect.runPromise(after.pipe(Effect.provide(CheckpointerFile.layer(directory)))) // => `{"step":2}`
 *
 * rmSync(directory, { recursive: true })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  directory: string,
  options?: Options
): Layer.Layer<Checkpointer, CheckpointError | InvalidConfigError> =>
  Layer.effect(Checkpointer, make(directory, options))
