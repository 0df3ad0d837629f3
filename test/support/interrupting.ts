/**
 * A run that is interrupted somewhere, and what must hold then.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, type Fiber, Layer, Logger } from "effect"
import { Bulkhead, CircuitBreakerRegistry, type GraphEvent } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute } from "../../src/internal/run.ts"
import { faults } from "./pairs.ts"

/** What was opened in nodes and not closed. */
let held = 0

/** What a node opens; closing it takes 3 ms. */
export const resource = Effect.acquireRelease(
  Effect.sync(() => void held++),
  () => Effect.delay(Effect.sync(() => void held--), 3)
)

/** One run, interrupted by what the listener says or at an instant; its events, all of them. */
export const interrupted = (graph: object) => (when: { readonly event: number } | { readonly ms: number }) =>
  Effect.gen(function*() {
    const events: Array<GraphEvent.Any> = []
    const registry = CircuitBreakerRegistry.makeUnsafe()
    const bulkheads = yield* Bulkhead.CurrentBulkheads
    held = 0
    let fiber: Fiber.Fiber<unknown, unknown> | undefined
    let early = false
    const stop = () => {
      if (fiber === undefined) early = true
      else fiber.interruptUnsafe()
    }
    const run = execute(compiledOf(graph), { n: 0 }, { runId: "r" }, (event) => {
      events.push(event)
      if ("event" in when && events.length === when.event) stop()
    })
    yield* TestClock.adjust(0)
    fiber = yield* Effect.forkDetach(run.pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    ))
    yield* Effect.yieldNow
    if (early) fiber.interruptUnsafe()
    if ("ms" in when) {
      yield* TestClock.adjust(when.ms)
      fiber.interruptUnsafe()
    }
    const before = yield* Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
    yield* TestClock.adjust(500)
    const exit = fiber.pollUnsafe()
    const probes = (yield* registry.states).reduce((sum, { probes }) => sum + probes, 0)
    return { before, events, exit, probes, permits: bulkheads.states }
  }).pipe(Effect.provide([Layer.fresh(TestClock.layer()), Bulkhead.layer]))

/** What must hold however it was interrupted: everything has ended, once, and is closed. */
export const check = (
  { events, exit, permits, probes }: Effect.Success<ReturnType<ReturnType<typeof interrupted>>>,
  at: string,
  stoppedAt?: number
) => {
  assert.deepStrictEqual(faults(events), [], at)
  assert.isDefined(exit, `${at}: the run has ended`)
  assert.strictEqual(held, 0, `${at}: what nodes opened is closed`)
  assert.strictEqual(probes, 0, `${at}: no probe is left`)
  assert.deepStrictEqual(permits, [], `${at}: no permit is left`)
  const last = events.at(-1)!
  if (Exit.isSuccess(exit!)) return assert.strictEqual(last._tag, "GraphCompleted", at)
  assert.isTrue(Cause.hasInterruptsOnly(exit!.cause), at)
  // What the turn that was interrupted could still finish is finished.
  if (last._tag === "GraphCompleted") return assert.strictEqual(last.at, stoppedAt, at)
  assert.strictEqual(last._tag === "GraphFailed" ? last.errorType : last._tag, "InterruptedError", at)
}
