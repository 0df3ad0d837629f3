/**
 * What a running snippet calls for each of its claims, and what its runner asks afterwards.
 */
import * as Equal from "effect/Equal"
import { deepStrictEqual } from "node:assert"

const made = new Map<string, Set<number>>()

const equal = (actual: unknown, expected: unknown): void => {
  try {
    deepStrictEqual(actual, expected)
  } catch (error) {
    // Data types of Effect may differ in what they cache.
    if (!(Equal.isEqual(actual) && Equal.isEqual(expected) && Equal.equals(actual, expected))) throw error
  }
}

/** The `$claim` of one snippet: gives the value back if it is the expected one. */
export const claimsOf = (id: string) => {
  const done = new Set<number>()
  made.set(id, done)
  return <A>(index: number, actual: A, expected: unknown): A => {
    done.add(index)
    equal(actual, expected)
    return actual
  }
}

/** Which of its first `count` claims the snippet has not come to. */
export const missingClaims = (id: string, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => index).filter((index) => made.get(id)?.has(index) !== true)
