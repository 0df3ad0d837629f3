/**
 * The test kit of effect-stategraph.
 *
 * @since 0.1.0
 */

/**
 * What a store of checkpoints has to do, as cases to run on it.
 *
 * @since 0.1.0
 */
export * as CheckpointerConformance from "./CheckpointerConformance.ts"
