/**
 * Randomness by hashing: what is drawn for a text is the same whenever and in whatever order it is drawn.
 */

/**
 * Uniform in [0, 1).
 *
 * FNV-1a over the text's code units, then the finalizer of MurmurHash3, so that texts that differ little differ in all bits. Both
 * are in the public domain.
 */
export const draw = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296
}
