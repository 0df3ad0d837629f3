/** What a circuit is, said another way: it remembers each call and each outcome, and knows no generations and no counters. */
import type { CircuitState, Config, Mode, Outcome } from "../../src/CircuitBreaker.ts"

/** An admitted call; `life` is what the circuit was living through, a new one with each change and each step by hand. */
export type Call = { readonly life: number; readonly at: number }
type Ended = { readonly part: number; readonly failed: boolean; readonly slow: boolean }

const fresh = {
  tag: "CLOSED" as CircuitState,
  hand: "normal" as Exclude<Mode, "isolated">,
  holds: 0,
  life: 0,
  openedAt: 0,
  openFor: 0,
  /** The last open time without what was asked for; 0 after CLOSED. */
  grown: 0,
  good: 0,
  slots: [] as ReadonlyArray<Call>,
  /** When the failures in a row happened. */
  streak: [] as ReadonlyArray<number>,
  ended: [] as ReadonlyArray<Ended>
}

export const circuitModel = (config: Config) => {
  const m = { ...fresh }
  const enter = (tag: CircuitState, more: Partial<typeof fresh>) =>
    Object.assign(m, { tag, life: m.life + 1, slots: [], good: 0, ended: [], ...more })
  const live = (from: number, length: number, now: number) =>
    length === Infinity || (from <= now && now < from + length)
  const holding = (now: number) => m.slots.filter(({ at }) => live(at, config.probeTimeoutMs, now))
  const counted = (now: number) =>
    config.windowDurationMs === Infinity
      ? m.ended.slice(-config.windowSize)
      : m.ended.filter(({ part }) => live(part, config.windowDurationMs, now))
  /** The call, or for how long it is told to wait. */
  const ask = (now: number): Call | number => {
    if (m.tag === "OPEN" && live(m.openedAt, m.openFor, now)) return m.openedAt + m.openFor - now
    if (m.tag === "OPEN") enter("HALF_OPEN", {})
    const call = { life: m.life, at: now }
    if (m.tag === "CLOSED") return call
    const slots = holding(now)
    if (slots.length === config.halfOpenMaxCalls) return slots[0]!.at + config.probeTimeoutMs - now
    m.slots = [...slots, call]
    return call
  }
  /** Whether it counted. */
  const end = (call: Call, outcome: Outcome, now: number, durationMs: number, askedMs: number): boolean => {
    const slow = durationMs > config.slowCallThresholdMs
    const probes = holding(now).includes(call)
    const failed = outcome === "failure" || (slow && outcome === "success" && probes)
    const counts = m.tag === "CLOSED" && call.life === m.life && m.hand === "normal" && outcome !== "ignored"
    if (!counts && !probes) return false
    m.slots = m.slots.filter((other) => other !== call)
    if (probes && !failed && (outcome === "ignored" || ++m.good < config.successThreshold)) return true
    m.streak = failed ? [...m.streak, now] : []
    const before = counted(now)
    const last = before.at(-1)?.part ?? NaN
    m.ended = [...before, { part: now - last < config.windowDurationMs / 10 ? last : now, failed, slow }]
    if (probes && !failed) enter("CLOSED", { grown: 0 })
    else if (probes || isBad(counted(now))) open(now, askedMs)
    return true
  }
  const isBad = (calls: ReadonlyArray<Ended>): boolean => {
    const share = (what: "failed" | "slow") => calls.filter((one) => one[what]).length / calls.length || -1
    const rate = share("failed") >= config.failureRateThreshold || share("slow") >= config.slowCallRateThreshold
    return m.streak.length >= config.failureThreshold || (rate && calls.length >= config.minimumCalls)
  }
  const open = (now: number, askedMs: number) => {
    const longest = Math.max(config.resetTimeoutMs, config.maxResetTimeoutMs)
    const grown = Math.min(Math.max(config.resetTimeoutMs, m.grown * config.resetTimeoutMultiplier), longest)
    enter("OPEN", { openedAt: now, grown, openFor: Math.min(Math.max(grown, askedMs), longest) })
  }
  const steer = (now: number, hand = m.hand, holds = m.holds) => {
    const since = { openedAt: m.tag === "OPEN" ? m.openedAt : now, openFor: Infinity, grown: 0, streak: [] }
    enter(holds > 0 || hand === "forced" ? "OPEN" : "CLOSED", { hand, holds, ...since })
  }
  return Object.assign(m, { config, holding, counted, ask, end, steer })
}
