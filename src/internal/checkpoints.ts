/**
 * What every store of checkpoints refuses, in the same words.
 */
import * as Effect from "effect/Effect"
import { CheckpointError, type CheckpointReason } from "../GraphError.ts"

export const refuse = (
  thread: string,
  reason: CheckpointReason,
  issue: string,
  rest?: { readonly cause?: unknown; readonly checkpointId?: string; readonly graph?: string }
): Effect.Effect<never, CheckpointError> => Effect.fail(new CheckpointError({ thread, reason, issue, ...rest }))

/** Runs `self` for a thread that has a name. */
export const named = <A, E>(thread: string, self: Effect.Effect<A, E>): Effect.Effect<A, E | CheckpointError> =>
  thread === "" ? refuse(thread, "InvalidThread", "the id of the thread is empty") : self

/** Runs `self` for a number of checkpoints that can be kept. */
export const keeping = <A, E>(
  thread: string,
  keep: number,
  self: Effect.Effect<A, E>
): Effect.Effect<A, E | CheckpointError> =>
  Number.isInteger(keep) && keep >= 1
    ? self
    : refuse(thread, "InvalidOption", `keep is ${keep}, allowed is a whole number of at least 1`)

// What JSON writes is well formed and has no NUL; of other texts not every store gives back the same. (The method is newer than the
// language version of this project's types.)
const isPlain = (text: string): boolean =>
  (text as string & { readonly isWellFormed: () => boolean }).isWellFormed() && !text.includes("\0")

/** Runs `self` for a body that every store gives back as it was. */
export const encodable = <A, E>(
  thread: string,
  body: string,
  self: Effect.Effect<A, E>
): Effect.Effect<A, E | CheckpointError> =>
  isPlain(body)
    ? self
    : refuse(thread, "NotEncodable", "the body holds a NUL or half of a surrogate pair, which JSON escapes")

export const claimed = (thread: string): Effect.Effect<never, CheckpointError> =>
  refuse(thread, "Claimed", "another run has claimed the thread")

export const fenced = (thread: string): Effect.Effect<never, CheckpointError> =>
  refuse(thread, "Fenced", "another run has taken the thread over, or this one gave it back")
