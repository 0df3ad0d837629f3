/**
 * What of effect-stategraph needs `effect/sql`.
 *
 * @since 0.1.0
 */

/**
 * Checkpoints in a database.
 *
 * @since 0.1.0
 */
export * as CheckpointerSql from "./CheckpointerSql.ts"
