/** What scenarios observe with. Limits are tens of milliseconds, margins generous: no verdict hangs on a slow machine. */
import { deepStrictEqual } from "node:assert/strict"
import type { Feature, Outcome, Peer } from "./peer.ts"

export interface Scenario {
  readonly name: string
  readonly needs: ReadonlyArray<Feature>
  /** Throws what went wrong. */
  readonly run: (peer: Peer) => Promise<void>
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export const check = (holds: boolean, otherwise: string): void => {
  if (!holds) throw new Error(otherwise)
}

export const equal = (actual: unknown, expected: unknown, what: string): void => {
  try {
    deepStrictEqual(actual, expected)
  } catch {
    throw new Error(`${what}: ${show(actual)}, not ${show(expected)}`)
  }
}

export const show = (value: unknown): string =>
  JSON.stringify(value, (_, it) => it instanceof Error ? `${it.name}: ${it.message}` : it) ?? String(value)

export const is = (outcome: Outcome, expected: Outcome["is"]): void =>
  check(outcome.is === expected, `it ended as ${show(outcome)}, not as ${expected}`)

/** Milliseconds until it ends, and what it ends with; an error after `atMostMs`. */
export const timed = async <A>(
  promise: Promise<A>,
  atMostMs: number,
  what = "the call"
): Promise<readonly [A, number]> => {
  const start = performance.now()
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} had not ended after ${atMostMs} ms`)), atMostMs)
  })
  try {
    return [await Promise.race([promise, late]), performance.now() - start]
  } finally {
    clearTimeout(timer)
  }
}

/** Timers that keep the process alive. */
export const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length
