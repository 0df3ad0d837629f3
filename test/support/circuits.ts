/** Circuits of a registry, as its tests drive them. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "../../src/CircuitBreakerRegistry.ts"

export type Registry = CircuitBreakerRegistry.Service

export const once: CircuitBreaker.Input = { failureThreshold: 1, resetTimeout: 1000 }
export const config = CircuitBreaker.make(once)
export const boom = Effect.fail("boom")

/** One operation per turn: a yield costs two, so 3 is the least with which a fiber gets on. */
export const stepwise = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

/** Opens circuit `k` and waits until it takes probes. */
export const openAndWait = (registry: Registry, input: CircuitBreaker.Input = once) =>
  boom.pipe(registry.execute("k", input), Effect.flip, Effect.andThen(TestClock.adjust("1 second")))

export const circuitState = (registry: Registry, key = "k") => Effect.map(registry.state(key), ({ state }) => state)

/** A call that waits until it is told how to end. */
export const pending = Effect.fnUntraced(function*(registry: Registry, input: CircuitBreaker.Input = once) {
  const end = yield* Deferred.make<string, string>()
  const fiber = yield* Deferred.await(end).pipe(
    registry.execute("k", input),
    Effect.exit,
    Effect.forkChild({ startImmediately: true })
  )
  return {
    interrupt: Fiber.interrupt(fiber),
    succeed: Effect.andThen(Deferred.succeed(end, "late"), Fiber.join(fiber)),
    fail: Effect.andThen(Deferred.fail(end, "late"), Fiber.join(fiber))
  }
})

export const collectWarnings = (output: Array<ReadonlyArray<unknown>>) =>
  Effect.provide(Logger.layer([
    Logger.make(({ logLevel, message }) => {
      assert.strictEqual(logLevel, "Warn")
      output.push(message as ReadonlyArray<unknown>)
    })
  ]))

/** Collects changes from now on; `stop` gives them. */
export const collectChanges = Effect.fnUntraced(function*(registry: Registry) {
  const changes: Array<CircuitBreakerRegistry.Change> = []
  const fiber = yield* registry.changes.pipe(
    Stream.runForEach((change) => Effect.sync(() => changes.push(change))),
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.yieldNow
  return { changes, stop: Fiber.interrupt(fiber) }
})

export const arrow = ({ from, to }: CircuitBreaker.Transition) => `${from}->${to}`
