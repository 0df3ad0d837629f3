/**
 * The outcomes that the rates of a circuit are taken of: of the last calls, one by one, or of the last stretch of time, in
 * tenths of it. Plain data of bounded size, however many calls there are.
 */
import type { Config, Tally, Window } from "../CircuitBreaker.ts"
import { isOver } from "./time.ts"

const none: Tally = { calls: 0, failures: 0, slow: 0 }

const sum = (a: Tally, b: Tally): Tally => ({
  calls: a.calls + b.calls,
  failures: a.failures + b.failures,
  slow: a.slow + b.slow
})

/** The window with one more call in it, and without what has left it. */
export const add = (
  window: Window | undefined,
  call: { readonly failed: boolean; readonly slow: boolean },
  nowMs: number,
  config: Config
): Window => {
  const one: Tally = { calls: 1, failures: call.failed ? 1 : 0, slow: call.slow ? 1 : 0 }
  if (config.windowDurationMs !== Infinity) {
    return { _tag: "Time", parts: addPart(partsOf(window), one, nowMs, config.windowDurationMs) }
  }
  return addCall(window?._tag === "Count" ? window : { ...none, ring: "" }, one, config.windowSize)
}

// One digit per call, the oldest first: 1 for a failure, 2 for a slow one, 3 for both.
const addCall = (window: Tally & { readonly ring: string }, one: Tally, size: number): Window => {
  let { calls, failures, slow } = sum(window, one)
  let from = 0
  for (; calls > size; calls--, from++) {
    const code = window.ring.charCodeAt(from)
    failures -= code & 1
    slow -= (code & 2) >> 1
  }
  return { _tag: "Count", calls, failures, slow, ring: window.ring.slice(from) + (one.failures + 2 * one.slow) }
}

type Parts = Extract<Window, { readonly _tag: "Time" }>["parts"]

const partsOf = (window: Window | undefined): Parts => window?._tag === "Time" ? window.parts : []

// A part begins with its first call, takes what comes within a tenth of the window, and leaves as a whole.
const addPart = (parts: Parts, one: Tally, nowMs: number, durationMs: number): Parts => {
  const live = parts.filter((part) => !isOver(part.startMs, durationMs, nowMs))
  const last = live.at(-1)
  return last !== undefined && nowMs - last.startMs < durationMs / 10
    ? [...live.slice(0, -1), { startMs: last.startMs, ...sum(last, one) }]
    : [...live, { startMs: nowMs, ...one }]
}

/** What counts now. */
export const tally = (window: Window | undefined, nowMs: number, config: Config): Tally => {
  if (window === undefined) return none
  if (window._tag === "Count") return window
  return window.parts.filter((part) => !isOver(part.startMs, config.windowDurationMs, nowMs)).reduce(sum, none)
}
