/**
 * What of effect-stategraph needs Node.
 *
 * @since 0.1.0
 */

/**
 * Checkpoints as files.
 *
 * @since 0.1.0
 */
export * as CheckpointerFile from "./CheckpointerFile.ts"
