/**
 * Circuits in a checkpoint: what they were, with times as ages, since clocks differ between processes.
 */
import type { Clock } from "effect/Clock"
import * as Ref from "effect/Ref"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as RunState from "../RunState.ts"
import { type Entry, find, type Store } from "./circuitStore.ts"
import { monotonicMs } from "./time.ts"

export const save = (store: Store, keys: Iterable<string>, clock: Clock): ReadonlyArray<RunState.CircuitSnapshot> => {
  const nowMs = monotonicMs(clock)
  return [...keys].flatMap((key) => {
    const entry = find(store, key)
    return entry === undefined || CircuitBreaker.isBlank(Ref.getUnsafe(entry.state)) ? [] : [saved(entry, nowMs)]
  })
}

const saved = ({ key, state: ref }: Entry, nowMs: number): RunState.CircuitSnapshot => {
  const state = Ref.getUnsafe(ref)
  const ago = (ms: number): number => Math.max(0, nowMs - ms)
  const mode = state.control?.mode
  return {
    key,
    // Its probes do not survive: whoever asks next is the first one again.
    state: state._tag === "CLOSED" ? "CLOSED" : "OPEN",
    failureCount: state.failureCount,
    ...state.lastFailureAtMs === undefined ? {} : { lastFailureMsAgo: ago(state.lastFailureAtMs) },
    ...mode === undefined || mode === "normal" ? {} : { mode },
    ...state._tag === "CLOSED" ? windowOf(state.window, ago) : {
      openedMsAgo: ago(state.openedAtMs),
      ...state.openMs === undefined ? {} : { openMs: state.openMs },
      ...state.reopenings === undefined ? {} : { reopenings: state.reopenings }
    }
  }
}

type Age = (ms: number) => number

const windowOf = (window: CircuitBreaker.Window | undefined, ago: Age): Pick<RunState.CircuitSnapshot, "window"> => {
  if (window === undefined) return {}
  if (window._tag === "Count") return { window }
  return {
    window: { _tag: "Time", parts: window.parts.map(({ startMs, ...tally }) => ({ msAgo: ago(startMs), ...tally })) }
  }
}

/** Makes those circuits known that are not: a registry knows better than a checkpoint. */
export const restore = (store: Store, circuits: ReadonlyArray<RunState.CircuitSnapshot>, clock: Clock): void => {
  const nowMs = monotonicMs(clock)
  for (const circuit of circuits) {
    if (find(store, circuit.key) !== undefined) continue
    if (store.idle?.key === circuit.key) store.idle = undefined
    store.entries.set(circuit.key, {
      key: circuit.key,
      state: Ref.makeUnsafe(restored(circuit, nowMs)),
      config: undefined,
      holders: 0,
      conflict: "none"
    })
  }
}

const restored = (circuit: RunState.CircuitSnapshot, nowMs: number): CircuitBreaker.State => {
  const { failureCount, lastFailureMsAgo, mode, openMs, openedMsAgo = 0, reopenings, window } = circuit
  const common = {
    generation: 0,
    failureCount,
    ...lastFailureMsAgo === undefined ? {} : { lastFailureAtMs: nowMs - lastFailureMsAgo },
    ...mode === undefined ? {} : { control: { mode, isolations: 0 } }
  }
  if (circuit.state === "OPEN") {
    return {
      _tag: "OPEN",
      ...common,
      openedAtMs: nowMs - openedMsAgo,
      ...openMs === undefined ? {} : { openMs },
      ...reopenings === undefined ? {} : { reopenings }
    }
  }
  if (window === undefined) return { _tag: "CLOSED", ...common }
  if (window._tag === "Count") return { _tag: "CLOSED", ...common, window }
  const parts = window.parts.map(({ msAgo, ...tally }) => ({ startMs: nowMs - msAgo, ...tally }))
  return { _tag: "CLOSED", ...common, window: { _tag: "Time", parts } }
}
