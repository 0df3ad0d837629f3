/**
 * What lives longer than a process, or is shared between several: `effect-stategraph/persistence`.
 *
 * It stands on `effect/persistence`, which Effect calls experimental.
 *
 * @since 0.1.0
 */

/**
 * Circuits that processes share.
 *
 * @since 0.1.0
 */
export * as SharedCircuits from "./SharedCircuits.ts"
