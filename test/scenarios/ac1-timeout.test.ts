/** AC1: a flow that takes too long is really interrupted, and the rest goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Metric } from "effect"
import { GraphError, GraphMetrics, ParallelConfig } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, fan, sleeper } from "../support/fan.ts"
import { endOf, eventsOf, scenario, scenarioLive, watch } from "../support/scenario.ts"

const sleep = (ms: number): Body => () => Effect.sleep(ms)
const hang: Body = () => Effect.never
const ok = (n: number): Body => () => Effect.succeed({ n })

describe("AC1 timeout", () => {
  scenario(
    "TD.13-UNIT-001 a branch is interrupted at its limit, not before, and its finalizer has run",
    (run) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        let seenByJoin: ReadonlyArray<string> = []
        const g = fan({ slow: () => sleeper(10_000, log, "slow") }, {
          graph: { timeout: 100 },
          join: () => {
            seenByJoin = [...log]
          }
        })
        const watched = yield* watch(run(g.graph, { n: 1 }))
        assert.isFalse(yield* watched.endedAt(99))
        assert.deepStrictEqual(log, [])
        assert.isTrue(yield* watched.endedAt(100))
        assert.strictEqual(g.result("slow")._tag, "Timeout")
        assert.deepStrictEqual(seenByJoin, ["slow interrupted"])

        const inTime = fan({ quick: sleep(99) }, { graph: { timeout: 100 } })
        const { at } = yield* endOf(run(inTime.graph, { n: 1 }))
        assert.strictEqual(at - 100, 99)
        assert.strictEqual(inTime.result("quick")._tag, "Success")
      })
  )

  scenario("TD.13-UNIT-001 ending exactly at the limit is in time", (run) =>
    Effect.gen(function*() {
      const g = fan({ exact: sleep(100) }, { graph: { timeout: 100 } })
      assert.strictEqual((yield* endOf(run(g.graph, { n: 1 }))).at, 100)
      assert.strictEqual(g.result("exact")._tag, "Success")
    }))

  scenario("TD.13-UNIT-002 there is no timeout by default", (run) =>
    Effect.gen(function*() {
      assert.notProperty(ParallelConfig.empty, "timeout")
      const day = 24 * 3_600_000
      const g = fan({ patient: sleep(day) })
      const { at, exit } = yield* endOf(run(g.graph, { n: 1 }), day + 1)
      assert.strictEqual(at, day)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(g.result("patient")._tag, "Success")
    }))

  for (const order of [["a", "b"], ["b", "a"]]) {
    scenario(
      `TD.13-UNIT-003 an edge's limit beats the graph's, declared ${order.join(", ")}`,
      (run) =>
        Effect.gen(function*() {
          const branches = { a: [sleep(200), { timeout: 500 }] as const, b: sleep(200) }
          const g = fan(Object.fromEntries(order.map((name) => [name, branches[name as "a" | "b"]])), {
            graph: { timeout: 50 }
          })
          yield* endOf(run(g.graph, { n: 1 }))
          assert.deepStrictEqual(g.results.map(({ branch }) => branch), order)
          assert.strictEqual(g.result("a")._tag, "Success")
          assert.strictEqual(g.result("b")._tag, "Timeout")
        })
    )
  }

  scenario("TD.13-UNIT-004 a timed-out result says so in every field", (run) =>
    Effect.gen(function*() {
      const g = fan({ slow: hang }, { graph: { timeout: 100 } })
      yield* endOf(run(g.graph, { n: 7 }))
      const result = g.result("slow")
      assert.deepInclude(result, {
        _tag: "Timeout",
        success: false,
        timeout: true,
        timeoutMs: 100,
        timeoutKind: "attempt",
        abandoned: false,
        errorType: "TimeoutError",
        failedNode: "slow",
        timingMs: 100,
        durationMs: 100,
        attempts: 1,
        retryCount: 0,
        state: { n: 7 }
      })
      assert.strictEqual(result.endTime - result.startTime, 100)
      assert.match((result as { readonly error: string }).error, /timed out.*100 ms/)
    }))

  scenario("TD.13-UNIT-005 without failFast the fan-in gets partial results", (run) =>
    Effect.gen(function*() {
      assert.isFalse(ParallelConfig.resolve(ParallelConfig.empty).failFast)
      const g = fan({ ok1: ok(1), slow: hang, ok2: ok(2) }, { graph: { timeout: 50 } })
      const { exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(g.joins.length, 1)
      assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), ["Success", "Timeout", "Success"])
    }))

  scenario("TD.13-UNIT-006 with failFast a timeout ends the run at once", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const g = fan(
        { hang: [hang, { timeout: 50 }], slow: () => sleeper(5000, log, "slow") },
        { graph: { failFast: true } }
      )
      const { at, exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 50)
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(exit)
      assert.instanceOf(error, GraphError.FailFastError)
      assert.deepInclude(error, { graph: "g", fanIn: "join", branch: "hang" })
      assert.include((error as GraphError.FailFastError).message, `"hang"`)
      assert.deepStrictEqual(log, ["slow interrupted"])
      assert.strictEqual(g.joins.length, 0)
    }))

  scenario("TD.13-INT-001 a run finishes at the limit with everybody's result", (run) =>
    Effect.gen(function*() {
      const g = fan({ slow: sleep(1000), fast: ok(42) }, { graph: { timeout: 50 } })
      const { at, exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 50)
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0 }))
      assert.strictEqual(g.joins.length, 1)
      assert.deepStrictEqual(g.results.map(({ branch }) => branch), ["slow", "fast"])
      assert.deepStrictEqual(g.result("fast").state, { n: 42 })
      assert.isTrue(g.result("slow").timeout)
    }))

  it.effect("TD.13-INT-002 a stream has one timeout event at the limit, then join and end", () =>
    Effect.gen(function*() {
      const g = fan({ slow: sleep(1000), fast: ok(42) }, { graph: { timeout: 50 } })
      const { exit } = yield* endOf(eventsOf(g.graph, { n: 0 }))
      const { events } = yield* exit
      const timeouts = events.filter((event) => event._tag === "FlowTimedOut")
      assert.strictEqual(timeouts.length, 1)
      assert.deepInclude(timeouts[0], { branch: "slow", timeoutMs: 50, timeoutKind: "attempt" })
      assert.strictEqual(timeouts[0]!.at - events[0]!.at, 50)
      const ofFast = events.filter((event) => "branch" in event && event.branch === "fast")
      assert.deepStrictEqual(ofFast.map(({ _tag }) => _tag), [
        "FlowStarted",
        "AttemptStarted",
        "NodeStarted",
        "NodeCompleted",
        "AttemptSucceeded",
        "FlowCompleted"
      ])
      assert.deepStrictEqual(events.slice(events.indexOf(timeouts[0]!)).map(({ _tag }) => _tag), [
        "FlowTimedOut",
        "FlowCompleted",
        "FanInStarted",
        "NodeStarted",
        "NodeCompleted",
        "FanInCompleted",
        "GraphCompleted"
      ])
    }))

  scenario(
    "TD.13-INT-003 two in time and one not: three results, two successes, their states intact",
    (run) =>
      Effect.gen(function*() {
        const value = (ms: number, v: string): Body => () => Effect.delay(Effect.succeed({ v }), ms)
        const g = fan({ a: value(10, "a"), b: value(10, "b"), c: value(10_000, "c") }, { graph: { timeout: 100 } })
        const { at } = yield* endOf(run(g.graph, { n: 0 }))
        assert.strictEqual(at, 100)
        assert.strictEqual(g.results.length, 3)
        assert.strictEqual(g.results.filter(({ success }) => success).length, 2)
        assert.deepStrictEqual(g.results.map(({ state }) => state), [{ n: 0, v: "a" }, { n: 0, v: "b" }, { n: 0 }])
        assert.isTrue(g.result("c").timeout)
      })
  )

  scenario("TD.13-INT-004 the fan-in can branch on a timeout and say what is missing", (run) =>
    Effect.gen(function*() {
      const g = fan({ a: ok(1), c: hang }, {
        graph: { timeout: 20 },
        join: (results) => ({
          joined: results.flatMap((result) =>
            result._tag === "Timeout" ? [`missing ${result.branch}: ${result.errorType} after ${result.timingMs}`] : []
          )
        })
      })
      const { exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, joined: ["missing c: TimeoutError after 20"] }))
    }))
})

describe("interruption at a limit", () => {
  scenario("fires the AbortSignal of a promise", (run) =>
    Effect.gen(function*() {
      let aborted = 0
      const g = fan({
        promise: () =>
          Effect.promise((signal) =>
            new Promise<void>(() => {
              signal.addEventListener("abort", () => aborted++)
            })
          )
      }, { graph: { timeout: 50 } })
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 50)
      assert.strictEqual(aborted, 1)
      assert.strictEqual(g.result("promise")._tag, "Timeout")
    }))

  scenario("of a promise that rejects afterwards causes no unhandled rejection", (run) =>
    Effect.gen(function*() {
      const unhandled: Array<unknown> = []
      const listen = (error: unknown) => void unhandled.push(error)
      process.on("unhandledRejection", listen)
      let reject: (error: Error) => void = () => undefined
      const g = fan({
        promise: () =>
          Effect.tryPromise(() =>
            new Promise<void>((_, no) => {
              reject = no
            })
          )
      }, { graph: { timeout: 50 } })
      yield* endOf(run(g.graph, { n: 0 }))
      reject(new Error("too late"))
      // A rejection is reported after the microtasks of its turn.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      process.off("unhandledRejection", listen)
      assert.deepStrictEqual(unhandled, [])
      assert.strictEqual(g.result("promise")._tag, "Timeout")
    }))

  scenario(
    "of work that refuses to stop goes on after grace, and drops what comes of it",
    (run) =>
      Effect.gen(function*() {
        const logged: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${String(message)}`))
        let finished = false
        const g = fan({
          stuck: () =>
            Effect.uninterruptible(Effect.sleep(10_000)).pipe(Effect.map(() => {
              finished = true
              return { n: 99 }
            }))
        }, { graph: { timeout: 50, grace: 100 } })
        const registry: typeof Metric.MetricRegistry.Service = new Map()
        const watched = yield* watch(
          run(g.graph, { n: 0 }).pipe(
            Effect.provide(Logger.layer([logger])),
            Effect.provideService(Metric.MetricRegistry, registry)
          )
        )
        assert.isFalse(yield* watched.endedAt(149))
        assert.isTrue(yield* watched.endedAt(150))
        assert.deepStrictEqual(yield* watched.exit, Exit.succeed({ n: 0 }))
        // The time is that of the cut, not that of the wait for it.
        assert.deepInclude(g.result("stuck"), { _tag: "Timeout", abandoned: true, timingMs: 50, state: { n: 0 } })
        assert.deepStrictEqual(logged, ["Warn abandoned: work did not stop within its grace after it was interrupted"])
        assert.isFalse(finished)
        assert.isTrue(yield* watched.endedAt(10_000))
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(logged.slice(1), ["Info abandoned work ended, its outcome is dropped"])
        assert.deepInclude(g.result("stuck"), { _tag: "Timeout", abandoned: true, state: { n: 0 } })
        const abandoned = Metric.withAttributes(GraphMetrics.abandonedFlows, { graph: "g" })
        const { count } = yield* Effect.provideService(Metric.value(abandoned), Metric.MetricRegistry, registry)
        assert.strictEqual(count, 1)
      })
  )

  scenario(`with grace "wait" waits for finalizers however long they take`, (run) =>
    Effect.gen(function*() {
      const g = fan({ stuck: () => Effect.uninterruptible(Effect.sleep(10_000)) }, {
        graph: { timeout: 50, grace: "wait" }
      })
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 10_000)
      assert.deepInclude(g.result("stuck"), { _tag: "Timeout", abandoned: false, timingMs: 50 })
    }))

  scenarioLive(
    "comes too late for a synchronous loop, which is a timeout all the same",
    (run) =>
      Effect.gen(function*() {
        const g = fan({
          loop: () =>
            Effect.sync(() => {
              const until = performance.now() + 40
              while (performance.now() < until);
              return { n: 99 }
            })
        }, { graph: { timeout: 10 } })
        yield* run(g.graph, { n: 0 })
        const result = g.result("loop")
        assert.deepInclude(result, { _tag: "Timeout", timeoutMs: 10, attempts: 1 })
        assert.isAtLeast(result.timingMs, 39)
      })
  )
})
