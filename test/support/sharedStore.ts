/** Effect's store of circuits, with faults. */
import { Context, Effect, Layer, Logger, type Scope } from "effect"
import { CircuitBreakerRegistry, type GraphError } from "effect-stategraph"
import { SharedCircuits } from "effect-stategraph/persistence"
import { CircuitBreaker } from "effect/persistence"

export type Store = CircuitBreaker.CircuitBreakerStore["Service"]

/** A registry of its own, as another process would have one, on the store of the context. */
export const registry = (
  options?: SharedCircuits.Options
): Effect.Effect<
  CircuitBreakerRegistry.Service,
  GraphError.InvalidConfigError,
  CircuitBreaker.CircuitBreakerStore | Scope.Scope
> =>
  Effect.map(
    Layer.build(Layer.fresh(SharedCircuits.layer(options))),
    Context.get(CircuitBreakerRegistry.CircuitBreakerRegistry)
  )

/** Effect's memory store for the test. */
export const withStore = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(Effect.scoped, Effect.provide(Layer.merge(CircuitBreaker.layerStoreMemory(), Logger.layer([]))))

/** A store whose operations can be replaced while it is in use; how often each was asked. */
export const faulty = Effect.gen(function*() {
  const healthy = yield* CircuitBreaker.CircuitBreakerStore
  const asked = { admit: 0, record: 0, state: 0 }
  const outcomes: Array<string> = []
  const store: { -readonly [K in keyof Store]: Store[K] } = { ...healthy }
  const service: Store = {
    admit: (key) =>
      Effect.suspend(() => {
        asked.admit++
        return store.admit(key)
      }),
    record: (options) =>
      Effect.suspend(() => {
        asked.record++
        outcomes.push(options.outcome)
        return store.record(options)
      }),
    state: (key) =>
      Effect.suspend(() => {
        asked.state++
        return store.state(key)
      })
  }
  return {
    healthy,
    store,
    asked,
    outcomes,
    provide: Effect.provideService(CircuitBreaker.CircuitBreakerStore, service)
  }
})

export const storeError = Effect.fail(
  new CircuitBreaker.CircuitBreakerError({
    reason: new CircuitBreaker.CircuitBreakerStoreError({ message: "no connection" })
  })
)

export const warningsOf = (warnings: Array<string>) =>
  Effect.provide(Logger.layer([
    Logger.make(({ logLevel, message }) => {
      warnings.push(`${logLevel} ${String((message as ReadonlyArray<unknown>)[0])}`)
    })
  ]))
