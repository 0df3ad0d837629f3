/** Mechanisms two at a time: what one does to the other. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Stream } from "effect"
import { CircuitBreakerRegistry, type StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, boom, fan } from "./support/fan.ts"
import { endOf, scenario, watch } from "./support/scenario.ts"

const withRegistry = <A, E, R>(test: (registry: CircuitBreakerRegistry.Service) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const registry = CircuitBreakerRegistry.makeUnsafe()
    return test(registry).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    )
  })

const now = Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))

/** Opens a circuit from outside of any graph. */
const trip = (registry: CircuitBreakerRegistry.Service, key: string, config: StateGraph.EdgeConfig["circuitBreaker"]) =>
  Effect.ignore(registry.execute(key, config as never)(Effect.fail("tripped")))

describe("total timeout and grace", () => {
  scenario(
    "an attempt whose end is waited for beyond the total limit is the last one",
    (run) =>
      withRegistry(() =>
        Effect.gen(function*() {
          let attempts = 0
          const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep(30))
          const g = fan({
            work: [() => Effect.suspend(() => (attempts++, slow)), {
              timeout: 10,
              totalTimeout: 20,
              retry: { maxRetries: 3, baseDelay: 0 }
            }]
          })
          const { at } = yield* endOf(run(g.graph, { n: 0 }))
          assert.strictEqual(at, 40)
          assert.deepInclude(g.result("work"), { _tag: "Timeout", timeoutKind: "total", attempts: 1 })
          assert.strictEqual(attempts, 1)
        })
      )
  )
})

describe("retry and circuit", () => {
  scenario(
    "a circuit that opens during a wait rejects the next attempt, and what was tried is kept",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const g = fan({
            work: [() => boom("down"), {
              retry: { maxRetries: 5, baseDelay: 100 },
              circuitBreaker: { failureThreshold: 2, resetTimeout: "1 minute" }
            }]
          })
          const { at } = yield* endOf(run(g.graph, { n: 7 }))
          // Attempts at 0 and 100; the second opens the circuit; the third is refused after its wait of 200.
          assert.strictEqual(at, 300)
          const result = g.result("work")
          assert.deepInclude(result, {
            _tag: "Rejected",
            errorType: "CircuitOpenError",
            circuitState: "OPEN",
            attempts: 2,
            retryCount: 1,
            state: { n: 7 },
            timingMs: 100
          })
          assert.deepStrictEqual(result.attemptErrors.map(({ error }) => error), ["down", "down"])
          assert.strictEqual((yield* registry.state("g/work")).failureCount, 2)
        })
      )
  )

  scenario("a rejection is not retried", (run) =>
    withRegistry((registry) =>
      Effect.gen(function*() {
        const circuitBreaker = { key: "k", failureThreshold: 1 }
        yield* trip(registry, "k", circuitBreaker)
        const g = fan({ work: [() => Effect.void, { circuitBreaker, retry: { maxRetries: 5, baseDelay: 100 } }] })
        assert.strictEqual((yield* endOf(run(g.graph, { n: 1 }))).at, 0)
        assert.deepInclude(g.result("work"), { _tag: "Rejected", attempts: 0 })
      })
    ))
})

describe("timeout and circuit", () => {
  scenario(
    "a timeout, and a total timeout that cuts an attempt, count as failures",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const g = fan({
            each: [() => Effect.never, { timeout: 10, circuitBreaker: { failureThreshold: 9 } }],
            total: [() => Effect.never, { totalTimeout: 10, circuitBreaker: { failureThreshold: 9 } }]
          })
          yield* endOf(run(g.graph, { n: 1 }))
          assert.strictEqual((yield* registry.state("g/each")).failureCount, 1)
          assert.strictEqual((yield* registry.state("g/total")).failureCount, 1)
        })
      )
  )

  scenario(
    "the record is taken at the cut, not after slow finalizers",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const g = fan({
            work: [() => Effect.onInterrupt(Effect.never, () => Effect.sleep(400)), {
              timeout: 100,
              circuitBreaker: { failureThreshold: 1 }
            }]
          })
          const watched = yield* watch(run(g.graph, { n: 1 }))
          assert.isFalse(yield* watched.endedAt(100))
          assert.strictEqual((yield* registry.state("g/work")).state, "OPEN")
          assert.isFalse(yield* watched.endedAt(499))
          assert.isTrue(yield* watched.endedAt(500))
        })
      )
  )
})

describe("interruption and circuit", () => {
  scenario(
    "a sibling that is cut for failFast counts as nothing",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const g = fan({
            bad: [() => Effect.andThen(Effect.sleep(10), boom("down")), { failFast: true }],
            sibling: [() => Effect.never, { circuitBreaker: { failureThreshold: 1 } }]
          })
          const { at, exit } = yield* endOf(run(g.graph, { n: 1 }))
          assert.strictEqual(at, 10)
          assert.isTrue(Exit.isFailure(exit))
          assert.deepInclude(yield* registry.state("g/sibling"), { state: "CLOSED", failureCount: 0 })
        })
      )
  )

  for (
    const [how, body] of [
      ["interrupted", () => Effect.never],
      ["dead", () => Effect.die("probe died")]
    ] as const
  ) {
    scenario(
      `a half-open probe that is ${how} frees its slot`,
      (run) =>
        withRegistry((registry) =>
          Effect.gen(function*() {
            const circuitBreaker = { key: "k", failureThreshold: 1, resetTimeout: "1 second" } as const
            yield* trip(registry, "k", circuitBreaker)
            yield* TestClock.adjust(1000)
            const g = fan({ work: [body, { circuitBreaker }] })
            const fiber = yield* Effect.forkChild(run(g.graph, { n: 1 }), { startImmediately: true })
            yield* TestClock.adjust(1)
            if (how === "interrupted") assert.strictEqual((yield* registry.state("k")).probes, 1)
            yield* Fiber.interrupt(fiber)
            const after = yield* registry.state("k")
            assert.strictEqual(after.probes, 0)
            assert.strictEqual(after.state, how === "interrupted" ? "HALF_OPEN" : "OPEN")
            yield* TestClock.adjust(1000)
            const healthy = fan({ work: [() => Effect.void, { circuitBreaker }] })
            yield* run(healthy.graph, { n: 1 })
            assert.deepInclude(healthy.result("work"), { _tag: "Success", circuitState: "CLOSED" })
          })
        )
    )
  }

  scenario(
    "a half-open probe that hangs loses its slot after probeTimeout, and its late success closes nothing",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const circuitBreaker = { key: "k", failureThreshold: 1, resetTimeout: 1000, probeTimeout: 500 } as const
          yield* trip(registry, "k", circuitBreaker)
          yield* TestClock.adjust(1000)
          const gate = yield* Deferred.make<void>()
          const hanging = fan({ work: [() => Deferred.await(gate), { circuitBreaker }] })
          const first = yield* watch(run(hanging.graph, { n: 1 }))
          assert.isFalse(yield* first.endedAt(499))
          const refused = fan({ work: [() => Effect.void, { circuitBreaker }] })
          yield* run(refused.graph, { n: 1 })
          assert.strictEqual(refused.result("work")._tag, "Rejected")
          assert.isFalse(yield* first.endedAt(500))
          const bad = fan({ work: [() => boom("still down"), { circuitBreaker }] })
          yield* run(bad.graph, { n: 1 })
          assert.deepInclude(bad.result("work"), { _tag: "Failure", circuitState: "OPEN" })
          yield* Deferred.succeed(gate, undefined)
          yield* first.exit
          assert.strictEqual(hanging.result("work")._tag, "Success")
          assert.strictEqual((yield* registry.state("k")).state, "OPEN")
        })
      )
  )

  scenario(
    "a late success never closes a circuit that others opened",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const circuitBreaker = { key: "k", failureThreshold: 1, resetTimeout: "1 minute" } as const
          const g = fan({
            slow: [() => Effect.sleep(100), { circuitBreaker }],
            bad: [() => Effect.andThen(Effect.sleep(10), boom("down")), { circuitBreaker }]
          })
          yield* endOf(run(g.graph, { n: 1 }), 200)
          assert.deepStrictEqual(g.results.map(({ _tag, circuitState }) => `${_tag} ${circuitState}`), [
            "Success OPEN",
            "Failure OPEN"
          ])
          assert.strictEqual((yield* registry.state("k")).state, "OPEN")
        })
      )
  )
})

describe("retry and abandoned work", () => {
  scenario("nothing is retried beside its own zombie", (run) =>
    Effect.gen(function*() {
      let starts = 0
      const g = fan({
        stuck: [() => Effect.suspend(() => (starts++, Effect.uninterruptible(Effect.sleep(5000)))), {
          timeout: 10,
          grace: 20,
          retry: { maxRetries: 5, baseDelay: 1 }
        }]
      })
      const { at } = yield* endOf(Effect.provide(run(g.graph, { n: 1 }), Logger.layer([])))
      assert.strictEqual(at, 30)
      assert.strictEqual(starts, 1)
      assert.deepInclude(g.result("stuck"), { _tag: "Timeout", abandoned: true, attempts: 1 })
    }))
})

describe("concurrency and the rest", () => {
  scenario("a flow takes its place first, then its permission", (run) =>
    withRegistry(() =>
      Effect.gen(function*() {
        const order: Array<string> = []
        const circuitBreaker = { key: "k", failureThreshold: 1 }
        const note = (name: string, body: Effect.Effect<void, unknown>): Body => () =>
          Effect.andThen(Effect.sync(() => void order.push(name)), body)
        const g = fan({
          first: [note("first", Effect.andThen(Effect.sleep(50), boom("down"))), { circuitBreaker }],
          second: [note("second", Effect.void), { circuitBreaker }]
        }, { graph: { concurrency: 1 } })
        yield* endOf(run(g.graph, { n: 1 }))
        // Asked at its launch, the second would have been let through.
        assert.deepStrictEqual(order, ["first"])
        assert.strictEqual(g.result("second")._tag, "Rejected")
        assert.strictEqual(g.result("second").startTime, 50)
      })
    ))

  scenario("a total limit does not count the time in the queue", (run) =>
    Effect.gen(function*() {
      const g = fan({ first: () => Effect.sleep(80), second: () => Effect.sleep(80) }, {
        graph: { concurrency: 1, totalTimeout: 100 }
      })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 1 }))).at, 160)
      assert.deepStrictEqual(g.results.map(({ _tag, timingMs }) => `${_tag} ${timingMs}`), ["Success 80", "Success 80"])
    }))

  scenario("never more flows run at a time than allowed, and all of them run", (run) =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const body: Body = () =>
        Effect.acquireUseRelease(
          Effect.sync(() => void (most = Math.max(most, ++running))),
          () => Effect.sleep(10),
          () => Effect.sync(() => void running--)
        )
      const g = fan(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`b${i}`, body])), {
        graph: { concurrency: 3 }
      })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 1 }))).at, 70)
      assert.strictEqual(most, 3)
      assert.strictEqual(g.results.filter(({ success }) => success).length, 20)
    }))

  scenario("a flow that is cut in the queue never starts", (run) =>
    Effect.gen(function*() {
      let started = false
      const g = fan({
        bad: [() => Effect.andThen(Effect.sleep(10), boom("down")), { failFast: true }],
        queued: () => Effect.sync(() => void (started = true))
      }, { graph: { concurrency: 1 } })
      const { exit } = yield* endOf(run(g.graph, { n: 1 }))
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse(started)
    }))
})

describe("circuits shared by graphs", () => {
  scenario(
    "one key is one circuit, and another configuration of it is ignored with a warning",
    (run) =>
      Effect.gen(function*() {
        const warnings: Array<string> = []
        const logger = Logger.make(({ message }) => void warnings.push(String(message)))
        const first = fan({ a: [() => boom("down"), { circuitBreaker: { key: "db", failureThreshold: 2 } }] }, {
          name: "one"
        })
        const second = fan({ b: [() => boom("down"), { circuitBreaker: { key: "db", failureThreshold: 9 } }] }, {
          name: "two"
        })
        yield* Effect.gen(function*() {
          yield* run(first.graph, { n: 1 })
          yield* run(second.graph, { n: 1 })
          yield* run(first.graph, { n: 1 })
        }).pipe(
          Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()),
          Effect.provide(Logger.layer([logger]))
        )
        assert.strictEqual(second.result("b").circuitState, "OPEN")
        assert.strictEqual(first.result("a")._tag, "Rejected")
        assert.deepStrictEqual(warnings, [`circuit "db" has another configuration already, this one is ignored`])
      })
  )

  scenario("the changes of circuits are a stream", (run) =>
    withRegistry((registry) =>
      Effect.gen(function*() {
        const seen = yield* Effect.forkChild(
          registry.changes.pipe(Stream.take(1), Stream.runCollect),
          { startImmediately: true }
        )
        const g = fan({ a: [() => boom("down"), { circuitBreaker: { failureThreshold: 1 } }] })
        yield* run(g.graph, { n: 1 })
        const [change] = yield* Fiber.join(seen)
        assert.deepInclude(change, { key: "g/a", from: "CLOSED", to: "OPEN" })
        assert.strictEqual(change!.at, yield* now)
      })
    ))
})
