/**
 * A circuit's configuration in the terms of Effect's `CircuitBreakerStore`, as far as it has such terms.
 */
import * as Duration from "effect/Duration"
import * as Effects from "effect/persistence/CircuitBreaker"
import type { Config } from "../CircuitBreaker.ts"
import { InvalidConfigError } from "../GraphError.ts"

/** The longest duration and the largest count that every store takes. */
const largest = 2 ** 50

/** What a store cannot do of it, all of it. */
export const unsupported = (config: Config, source: string): ReadonlyArray<InvalidConfigError> => {
  const problems: Array<InvalidConfigError> = []
  const only = (ok: boolean, field: string, value: number, allowed: string): void => {
    if (!ok) problems.push(new InvalidConfigError({ field, value: String(value), allowed, source }))
  }
  const rated = config.failureRateThreshold !== Infinity
  only(
    !rated || config.failureThreshold === Infinity,
    "failureThreshold",
    config.failureThreshold,
    "Infinity beside a failureRateThreshold: a shared circuit opens by one rule"
  )
  only(
    !rated || config.windowDurationMs === Infinity,
    "windowDuration",
    config.windowDurationMs,
    "Infinity: the window of a shared circuit is its last windowSize calls"
  )
  only(
    config.slowCallThresholdMs === Infinity,
    "slowCallThreshold",
    config.slowCallThresholdMs,
    "Infinity: a shared circuit knows no slow calls"
  )
  only(
    config.resetTimeoutMs <= largest,
    "resetTimeout",
    config.resetTimeoutMs,
    "a finite duration: a shared circuit always comes back"
  )
  only(
    config.halfOpenMaxCalls === 1,
    "halfOpenMaxCalls",
    config.halfOpenMaxCalls,
    "1: a shared circuit has one probe at a time"
  )
  only(
    config.successThreshold === 1,
    "successThreshold",
    config.successThreshold,
    "1: the first probe that succeeds closes a shared circuit"
  )
  return problems
}

/** When the store opens the circuit. */
export const tripPolicy = (config: Config): Effects.TripPolicy =>
  config.failureRateThreshold === Infinity
    ? Effects.consecutive(Math.min(config.failureThreshold, largest))
    : Effects.rate({
      threshold: config.failureRateThreshold,
      size: config.windowSize,
      minimumCalls: config.minimumCalls
    })

/** For how long, if this outcome opens it; the store counts how often it opened before. */
export const openFor = (config: Config, openings: number, retryAfterMs: number): Duration.Duration => {
  const grownMs = config.resetTimeoutMs * config.resetTimeoutMultiplier ** openings
  const longestMs = Math.min(Math.max(config.resetTimeoutMs, config.maxResetTimeoutMs), largest)
  return Duration.millis(Math.min(Math.max(grownMs, retryAfterMs), longestMs))
}
