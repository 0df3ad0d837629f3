/** AC8: many runs, many flows, long outages; the real clock's part is in `ac8-stress.live.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Metric, Random as EffectRandom } from "effect"
import { CircuitBreakerRegistry, type ParallelConfig } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { Fibers } from "../../bench/soak/held.ts"
import { makeOutage, type Period } from "../../bench/soak/outage.ts"
import { Random } from "../simulation/random.ts"
import { type Body, boom, fan } from "../support/fan.ts"
import { faulty } from "../support/faulty.ts"
import { endOf, eventsOf, runner, scenario } from "../support/scenario.ts"

const silent = Effect.provide(Logger.layer([]))

describe("AC8 stress", () => {
  scenario(
    "TD.13-E2E-002 three timeouts open the circuit, a probe after its window closes it",
    (run) =>
      Effect.gen(function*() {
        let executed = 0
        let healthy = false
        const body: Body = () =>
          Effect.suspend(() => {
            executed++
            return healthy ? Effect.succeed({ v: "back" }) : Effect.never
          })
        const g = fan({ hang: body }, {
          graph: {
            timeout: 50,
            retry: { maxRetries: 2, baseDelay: 5 },
            circuitBreaker: { failureThreshold: 3, resetTimeout: "30 seconds" }
          }
        })
        const state = Effect.map(g.graph.circuitStates, ([circuit]) => circuit?.state)

        const first = yield* endOf(run(g.graph, { n: 1 }), 200)
        // 50, a wait of 5, 50, a wait of 10, 50.
        assert.strictEqual(first.at, 165)
        assert.deepInclude(g.result("hang"), { _tag: "Timeout", attempts: 3, retryCount: 2, circuitState: "OPEN" })
        assert.deepStrictEqual(g.result("hang").attemptErrors.map(({ errorType, timingMs }) => [errorType, timingMs]), [
          ["TimeoutError", 50],
          ["TimeoutError", 50],
          ["TimeoutError", 50]
        ])
        assert.strictEqual(yield* state, "OPEN")

        const second = yield* endOf(run(g.graph, { n: 2 }), 1000)
        assert.strictEqual(second.at, 200)
        assert.strictEqual(executed, 3)
        assert.deepInclude(g.result("hang"), { _tag: "Rejected", attempts: 0, circuitState: "OPEN", timingMs: 0 })

        // Opened at 165, so its window is over at 30 165.
        yield* TestClock.setTime(30_164)
        yield* run(g.graph, { n: 3 })
        assert.strictEqual(executed, 3)
        healthy = true
        yield* TestClock.setTime(30_165)
        yield* run(g.graph, { n: 4 })
        assert.strictEqual(executed, 4)
        assert.deepInclude(g.result("hang"), { _tag: "Success", attempts: 1, circuitState: "CLOSED" })
        assert.deepStrictEqual(g.result("hang").state, { n: 4, v: "back" })
      }).pipe(silent)
  )

  scenario(
    "TD.13-E2E-003 ten graphs of 50 branches at once take as long as one branch",
    (run) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 50 }, (_, i) => `b${i}`)
        const graphs = Array.from({ length: 10 }, (_, i) =>
          fan(
            Object.fromEntries(names.map((name, n) => [
              name,
              (() => Effect.delay(Effect.succeed({ n }), 20)) as Body
            ])),
            { name: `g${i}`, graph: { timeout: 21 } }
          ))
        const { at, exit } = yield* endOf(
          Effect.forEach(graphs, ({ graph }) => run(graph, { n: -1 }), { concurrency: "unbounded" })
        )
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(at, 20)
        for (const { joins } of graphs) {
          assert.strictEqual(joins.length, 1)
          assert.deepStrictEqual(joins[0]!.map(({ branch }) => branch), names)
          assert.deepStrictEqual(
            joins[0]!.map(({ _tag, state }) => [_tag, state.n]),
            names.map((_, n) => ["Success", n])
          )
        }
      })
  )

  it.effect(
    "TD.13-E2E-005 an hour of outages: the circuit cycles every minute, and nothing is asked while OPEN",
    () =>
      Effect.gen(function*() {
        const { period, registry } = makeOutage({ periodMs: 60_000, everyMs: 2000 })
        const fibers = new Fibers()
        const periods: Array<Period & { readonly fibers: number; readonly circuits: number }> = []
        const hour = yield* Effect.forkChild(Effect.gen(function*() {
          for (let i = 0; i < 60; i++) {
            const ended = yield* fibers.track(period(i))
            periods.push({ ...ended, fibers: fibers.alive, circuits: (yield* registry.states).length })
          }
        }))
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(hour)

        assert.strictEqual(periods.length, 60)
        for (const [i, ended] of periods.entries()) {
          const { changes, ...counts } = ended
          assert.deepStrictEqual(counts, {
            runs: 30,
            // Two flows ask in each of 17 runs, a probe in the run that closes the circuit, and those in vain.
            asked: 2 * 17 + 1 + 7,
            // Both flows and their retries, of which the first opens the circuit, then a probe at 26, 32 and 38 s.
            askedInVain: 7,
            askedWhileOpen: 0,
            wrong: 0,
            open: 0,
            fibers: 0,
            circuits: 0
          }, `minute ${i}`)
          assert.deepStrictEqual(changes.map(({ at, to }) => [at - i * 60_000, to]), [
            [20_011, "OPEN"],
            [26_000, "HALF_OPEN"],
            [26_005, "OPEN"],
            [32_000, "HALF_OPEN"],
            [32_005, "OPEN"],
            [38_000, "HALF_OPEN"],
            [38_005, "OPEN"],
            [44_000, "HALF_OPEN"],
            [44_005, "CLOSED"]
          ], `minute ${i}`)
        }
      }),
    120_000
  )

  it.effect(
    "TD.13-E2E-006 1000 runs with random faults end with sound records, the same on both paths",
    () =>
      Effect.gen(function*() {
        const unhandled: Array<unknown> = []
        const listen = (error: unknown) => void unhandled.push(error)
        process.on("unhandledRejection", listen)
        const seen = new Map<string, number>()
        for (let seed = 1; seed <= 1000; seed++) {
          const by = (path: "invoke" | "stream") =>
            faulty(new Random(seed), runner(path), (self) => Effect.map(endOf(self), ({ exit }) => exit)).pipe(
              EffectRandom.withSeed(seed)
            )
          const invoked = yield* by("invoke")
          assert.deepStrictEqual(invoked.problems, [], `seed ${seed}`)
          for (const outcome of invoked.outcomes) {
            const tag = outcome.split(" ")[1]!
            seen.set(tag, (seen.get(tag) ?? 0) + 1)
          }
          assert.deepStrictEqual(yield* by("stream"), invoked, `seed ${seed}`)
        }
        // A rejection is reported after the microtasks of its turn.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        process.off("unhandledRejection", listen)
        assert.deepStrictEqual(unhandled, [])
        // Every way to end comes about.
        for (const tag of ["Success", "Failure", "Timeout", "Rejected"]) assert.isAbove(seen.get(tag) ?? 0, 50, tag)
      }).pipe(silent),
    120_000
  )
})

describe("TD.13-E2E-007 what is configured and idle", () => {
  const idle: ParallelConfig.Input = {
    timeout: "1 minute",
    totalTimeout: "1 hour",
    grace: "1 hour",
    failFast: true,
    retry: { maxRetries: 2 },
    circuitBreaker: { failureThreshold: 2 },
    concurrency: 50,
    includeTraceback: true
  }

  for (const flows of [10, 50]) {
    const make = (graph: ParallelConfig.Input) =>
      fan(
        Object.fromEntries(Array.from({ length: flows }, (_, i) => [
          `b${i}`,
          (() => Effect.delay(Effect.succeed({ n: i }), i % 3 * 10)) as Body
        ])),
        { graph }
      )

    it.effect(`TD.13-E2E-007 changes no event and no result of ${flows} branches but for the circuit's state`, () =>
      Effect.gen(function*() {
        const told = (graph: ParallelConfig.Input) =>
          Effect.gen(function*() {
            const { at, exit } = yield* endOf(eventsOf(make(graph).graph, { n: -1 }, { runId: "run" }), 100)
            const { events, exit: ended } = yield* exit
            assert.isTrue(Exit.isSuccess(ended))
            const plain = (value: unknown): unknown =>
              JSON.parse(JSON.stringify(value, (key, value) =>
                key === "circuitState" || key === "at" || key === "startTime" || key === "endTime" ? undefined : value))
            return {
              took: at,
              events: plain(events),
              ats: events.map((event) =>
                event.at - events[0]!.at
              )
            }
          })
        const bare = yield* told({})
        const first = yield* told(idle)
        // The clock went on by 100 ms.
        assert.deepStrictEqual({ ...first, took: first.took - 100 }, bare)
        assert.isAbove(bare.ats.length, 5 * flows)
      }))

    scenario(
      `TD.13-E2E-007 adds at most two fibers to each of ${flows} branches, and keeps nothing`,
      (run) =>
        Effect.gen(function*() {
          const registry = CircuitBreakerRegistry.makeUnsafe()
          const metrics: typeof Metric.MetricRegistry.Service = new Map()
          const fibersOf = (graph: ParallelConfig.Input) =>
            Effect.gen(function*() {
              const fibers = new Fibers()
              yield* endOf(fibers.track(run(make(graph).graph, { n: -1 })), 100)
              assert.strictEqual(fibers.alive, 0)
              return fibers.started
            }).pipe(
              Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
              Effect.provideService(Metric.MetricRegistry, metrics)
            )
          const bare = yield* fibersOf({})
          const series = metrics.size
          // The flow's own, for retry and circuit, and that of its timer.
          assert.isAtMost((yield* fibersOf(idle)) - bare, 2 * flows)
          assert.deepStrictEqual(yield* registry.states, [])
          assert.strictEqual(metrics.size, series)
        })
    )
  }

  it.effect("TD.13-E2E-007 is not idle with a branch that fails: what is compared above can differ", () =>
    Effect.gen(function*() {
      const { exit } = yield* endOf(eventsOf(fan({ a: () => boom("down") }, { graph: idle }).graph, { n: 0 }))
      const tags = (yield* exit).events.map(({ _tag }) => _tag)
      assert.include(tags, "RetryScheduled")
      assert.include(tags, "CircuitStateChanged")
    }).pipe(silent))
})
