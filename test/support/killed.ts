/** Runs that are stopped, and what they leave behind. */
import { Effect, Fiber, Layer, Option } from "effect"
import { Checkpointer, CircuitBreakerRegistry } from "effect-stategraph"
import { TestClock } from "effect/testing"

export const thread = "t"

/** Runs with a store, as in a process of its own: circuits are those of nobody else. */
export const within =
  (store: Checkpointer.Service) => <A, E>(self: Effect.Effect<A, E, Checkpointer.Checkpointer>): Effect.Effect<A, E> =>
    Effect.provide(
      self,
      Layer.fresh(Layer.merge(Layer.succeed(Checkpointer.Checkpointer, store), CircuitBreakerRegistry.layerMemory))
    )

/** The checkpoints of a store, the first `count` of them, in another one. */
export const copyOf = (store: Checkpointer.Service, count = Infinity): Effect.Effect<Checkpointer.Service> =>
  Effect.gen(function*() {
    const copy = Checkpointer.makeUnsafe()
    const claim = yield* copy.claim(thread)
    for (const { id } of (yield* store.list(thread)).slice(0, count)) {
      yield* copy.save(claim, Option.getOrThrow(yield* store.load(thread, id)))
    }
    yield* copy.release(claim)
    return copy
  }).pipe(Effect.orDie)

/** How many checkpoints there are. */
export const countOf = (store: Checkpointer.Service): Effect.Effect<number> =>
  Effect.orDie(Effect.map(store.list(thread), ({ length }) => length))

/** The last of them, as data. */
export const lastOf = (store: Checkpointer.Service): Effect.Effect<unknown> =>
  Effect.orDie(Effect.map(store.load(thread), (found) => JSON.parse(Option.getOrThrow(found).body)))

/** Runs for so long; what a process leaves behind that is killed then. */
export const killed = <A, E>(
  self: Effect.Effect<A, E, Checkpointer.Checkpointer>,
  ms: number,
  store = Checkpointer.makeUnsafe()
): Effect.Effect<Checkpointer.Service> => stopped(self, ms, store, copyOf(store))

/** Runs for so long, and is interrupted then; the store keeps all. */
export const interrupted = <A, E>(
  self: Effect.Effect<A, E, Checkpointer.Checkpointer>,
  ms: number,
  store = Checkpointer.makeUnsafe()
): Effect.Effect<Checkpointer.Service> => stopped(self, ms, store, Effect.succeed(store))

const stopped = <A, E>(
  self: Effect.Effect<A, E, Checkpointer.Checkpointer>,
  ms: number,
  store: Checkpointer.Service,
  left: Effect.Effect<Checkpointer.Service>
): Effect.Effect<Checkpointer.Service> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(within(store)(self), { startImmediately: true })
    yield* settled
    yield* TestClock.adjust(ms)
    const result = yield* left
    const stop = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
    yield* TestClock.adjust(5_000)
    yield* Fiber.join(stop)
    return result
  })

/** Runs to its end, however long that takes. */
export const ended = <A, E>(
  self: Effect.Effect<A, E, Checkpointer.Checkpointer>,
  store = Checkpointer.makeUnsafe()
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(within(store)(self), { startImmediately: true })
    yield* settled
    yield* TestClock.adjust("10 hours")
    return yield* Fiber.join(fiber)
  })

/** The clock waits for what it wakes, not for what begins by itself. */
export const settled = Effect.repeat(Effect.yieldNow, { times: 40 })
