/** AC8 on the real clock: real timers, real promises, real processes. Times are limits for what hangs, never a measurement. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Logger } from "effect"
import { added, busy, Fibers, turns } from "../../bench/soak/held.ts"
import type { ManyRuns } from "../../bench/soak/manyRuns.ts"
import { ofManyRuns } from "../../bench/soak/verdict.ts"
import { Random } from "../simulation/random.ts"
import { node } from "../support/child.ts"
import { type Body, fan } from "../support/fan.ts"
import { faulty } from "../support/faulty.ts"
import { scenarioLive } from "../support/scenario.ts"

const silent = Effect.provide(Logger.layer([]))

/** A body that hangs with something open, and how often that was opened and closed. */
const hanging = () => {
  const counts = { acquired: 0, released: 0 }
  const body: Body = () =>
    Effect.acquireUseRelease(
      Effect.sync(() => void counts.acquired++),
      () => Effect.never,
      () => Effect.andThen(Effect.yieldNow, Effect.sync(() => void counts.released++))
    )
  return { body, counts }
}

const hundred = Array.from({ length: 100 }, (_, n) => n)

describe("AC8 stress", () => {
  for (const [how, concurrency] of [["one after the other", 1], ["at once", 100]] as const) {
    scenarioLive(
      `TD.13-E2E-001 100 runs with a branch that hangs leave nothing behind, ${how}`,
      (run) =>
        Effect.gen(function*() {
          const { body, counts } = hanging()
          const g = fan({ hang: [body, { timeout: 10 }], ok: ({ n }) => ({ n: n + 1 }) }, {
            graph: { timeout: "1 hour", totalTimeout: "1 hour" }
          })
          const fibers = new Fibers()
          const before = busy()
          yield* fibers.track(Effect.forEach(hundred, (n) => run(g.graph, { n }), { concurrency, discard: true }))
          yield* turns
          assert.deepStrictEqual(counts, { acquired: 100, released: 100 })
          assert.isAtLeast(fibers.started, 200)
          assert.strictEqual(fibers.alive, 0)
          assert.deepStrictEqual(added(before.handles, busy().handles), [])
          assert.strictEqual(g.joins.length, 100)
          for (const results of g.joins) {
            assert.deepStrictEqual(results.map(({ _tag, branch }) => `${branch} ${_tag}`), [
              "hang Timeout",
              "ok Success"
            ])
          }
          assert.sameMembers(g.joins.map(([, ok]) => ok!.state.n), hundred.map((n) => n + 1))
        })
    )
  }

  it("TD.13-E2E-001 no pending timer keeps a process alive, in whichever way its flows were cut", async () => {
    const { code, stderr, stdout } = await node(["test/support/hundredHangs.ts"])
    assert.strictEqual(stderr, "")
    const [counted, last] = stdout.trim().split("\n")
    const { left, told } = JSON.parse(counted!) as { readonly left: unknown; readonly told: Record<string, number> }
    assert.deepStrictEqual(left, { fibers: 0, timers: 0, handles: [] })
    const { "interrupted acquired": acquired, "interrupted released": released, ...others } = told
    assert.isAbove(acquired!, 0)
    assert.strictEqual(released, acquired)
    assert.deepStrictEqual(others, {
      "limit acquired": 400,
      "limit released": 400,
      "limit ended": 400,
      "limit Timeout,Success": 200,
      "total acquired": 200,
      "total released": 200,
      "total ended": 200,
      "total Timeout,Success": 100,
      "waiting acquired": 200,
      "waiting released": 200,
      "waiting ended": 200,
      "waiting Timeout,Success": 100,
      "failFast acquired": 200,
      "failFast released": 200,
      "failFast stopped": 200,
      "interrupted stopped": 200
    })
    // It was not told to end, and not stopped: there was nothing it could have waited for.
    assert.strictEqual(last, "nothing left to do")
    assert.strictEqual(code, 0)
  })

  scenarioLive(
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
            circuitBreaker: { failureThreshold: 3, resetTimeout: "2 seconds" }
          }
        })
        yield* run(g.graph, { n: 1 })
        assert.deepInclude(g.result("hang"), { _tag: "Timeout", attempts: 3, retryCount: 2, circuitState: "OPEN" })
        assert.deepStrictEqual(g.result("hang").attemptErrors.map(({ errorType }) => errorType), [
          "TimeoutError",
          "TimeoutError",
          "TimeoutError"
        ])
        yield* run(g.graph, { n: 2 })
        const rejected = g.result("hang")
        assert.deepInclude(rejected, { _tag: "Rejected", attempts: 0, circuitState: "OPEN", timingMs: 0 })
        assert.strictEqual(executed, 3)
        healthy = true
        const retryAfter = rejected._tag === "Rejected" && rejected.failure._tag === "CircuitOpenError"
          ? rejected.failure.retryAfter
          : Duration.zero
        assert.isAbove(Duration.toMillis(retryAfter), 0)
        yield* Effect.sleep(retryAfter)
        yield* run(g.graph, { n: 3 })
        assert.strictEqual(executed, 4)
        assert.deepInclude(g.result("hang"), { _tag: "Success", attempts: 1, circuitState: "CLOSED" })
      }).pipe(silent)
  )

  scenarioLive(
    "TD.13-E2E-003 ten graphs of 50 branches at once: each join sees 50 results, none starves",
    (run) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 50 }, (_, i) => `b${i}`)
        const graphs = Array.from({ length: 10 }, (_, i) =>
          fan(
            Object.fromEntries(names.map((name, n) => [name, (() => Effect.delay(Effect.succeed({ n }), 20)) as Body])),
            { name: `g${i}`, graph: { timeout: "10 seconds" } }
          ))
        yield* Effect.forEach(graphs, ({ graph }) => run(graph, { n: -1 }), { concurrency: "unbounded" })
        for (const { joins } of graphs) {
          assert.strictEqual(joins.length, 1)
          assert.deepStrictEqual(
            joins[0]!.map(({ _tag, branch, state }) => [branch, _tag, state.n]),
            names.map((name, n) => [name, "Success", n])
          )
        }
      })
  )

  it("TD.13-E2E-004 1000 runs of ten branches leave less than 5 MB behind, however many they are", async () => {
    const { code, stderr, stdout } = await node(["--expose-gc", "test/support/thousandRuns.ts"], 110_000)
    assert.strictEqual(stderr, "")
    assert.strictEqual(code, 0)
    const measured = JSON.parse(stdout) as ManyRuns
    assert.deepInclude(measured, { runs: 1000, flows: 10, wrong: 0, open: 0 })
    const [before, , after] = measured.held
    assert.isBelow(after.heap - before.heap, 5_000_000)
    // Its growth per run among them: what grows with the runs grows in their second half too.
    const rows = ofManyRuns(measured)
    assert.isAbove(rows.length, 4)
    assert.deepStrictEqual(rows.filter(({ ok }) => !ok), [])
  }, 120_000)

  scenarioLive(
    "TD.13-E2E-006 300 runs with random faults, 50 at a time, end with sound records",
    (run) =>
      Effect.gen(function*() {
        const unhandled: Array<unknown> = []
        const listen = (error: unknown) => void unhandled.push(error)
        process.on("unhandledRejection", listen)
        const fibers = new Fibers()
        const seeds = Array.from({ length: 300 }, (_, i) => 10_000 + i)
        const seen = yield* Effect.forEach(
          seeds,
          (seed) =>
            Effect.map(faulty(new Random(seed), run, Effect.exit), ({ outcomes, problems }) => {
              assert.deepStrictEqual(problems, [], `seed ${seed}`)
              return outcomes.map((outcome) => outcome.split(" ")[1]!)
            }),
          { concurrency: 50 }
        ).pipe(fibers.track)
        // What is abandoned ends by itself, in some milliseconds.
        while (fibers.alive > 0) yield* Effect.sleep(1)
        yield* turns
        process.off("unhandledRejection", listen)
        assert.deepStrictEqual(unhandled, [])
        assert.includeMembers(seen.flat(), ["Success", "Failure", "Timeout", "Rejected"])
      }).pipe(silent)
  )
})
