/**
 * What a store of checkpoints has to do, as cases to run on it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Checkpointer } from "../Checkpointer.ts"
import { claimCases } from "./internal/claimCases.ts"
import * as Conformance from "./internal/conformance.ts"
import { saveCases } from "./internal/saveCases.ts"
import { threadCases } from "./internal/threadCases.ts"

/**
 * A store does not do what a run relies on: which case, and what it did.
 *
 * **Details**
 *
 * `cause` is the store's own error, when it failed where it may not.
 *
 * @category errors
 * @since 0.1.0
 */
export const ConformanceError = Conformance.ConformanceError

/**
 * A store does not do what a run relies on.
 *
 * @category errors
 * @since 0.1.0
 */
export type ConformanceError = Conformance.ConformanceError

/**
 * One thing that a store has to do.
 *
 * **Details**
 *
 * `run` fails with a {@link ConformanceError} when the store in its context does not do it. It uses threads of its own, whose ids begin
 * with `"conformance: "` (and the hostile ones), and leaves them empty, so it may run on a store that is in use; and
 * any number of times, but not twice at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Case {
  readonly name: string
  readonly run: Effect.Effect<void, ConformanceError, Checkpointer>
}

/**
 * All cases.
 *
 * **When to use**
 *
 * Make a test of each, in whichever test framework, for a store of your own.
 *
 * **Details**
 *
 * They take no notice of the clock, so they run with a `TestClock` too.
 *
 * **Example** (Tests of a store)
 *
 * ```ts no-run
 * import { it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 * import { CheckpointerConformance } from "effect-stategraph/testing"
 *
 * for (const { name, run } of CheckpointerConformance.cases) {
 *   it.effect(name, () => Effect.provide(run, Checkpointer.layerMemory))
 * }
 * ```
 *
 * @category cases
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [...claimCases, ...saveCases, ...threadCases]

/**
 * Runs all cases, one after the other, up to the first that fails.
 *
 * **Example** (A store that conforms)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Checkpointer } from "effect-stategraph"
 * import { CheckpointerConformance } from "effect-stategraph/testing"
 *
 * await Effect.runPromise(CheckpointerConformance.run.pipe(Effect.provide(Checkpointer.layerMemory))) // => undefined
 * ```
 *
 * @category cases
 * @since 0.1.0
 */
export const run: Effect.Effect<void, ConformanceError, Checkpointer> = Effect.forEach(cases, ({ run }) => run, {
  discard: true
})
