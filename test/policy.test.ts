/** A node with a policy of its own: the wrappers of a flow around one node, alike on every kind of line. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Schedule } from "effect"
import { Bulkhead, CircuitBreakerRegistry, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, type Boom, boom, sleeper, State } from "./support/fan.ts"
import { everywhere, lineWith, type Policy } from "./support/lines.ts"
import { endOf, type Runner, scenario, watch } from "./support/scenario.ts"

const quiet = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, [Logger.layer([]), Bulkhead.layer])

/** The typed error that a run failed with. */
const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it has not failed")

/** The same test with the node on every kind of line. */
const onEveryLine = (
  title: string,
  test: (
    start: (body: Body, policy: Policy) => Effect.Effect<State, unknown>,
    run: Runner,
    where: (typeof everywhere)[number]
  ) => Effect.Effect<unknown, unknown>
): void => {
  for (const where of everywhere) {
    scenario(
      `${where}: ${title}`,
      (run) => quiet(test((body, policy) => run(lineWith(where, body, policy), { n: 0 }), run, where))
    )
  }
}

describe("the retry of a node", () => {
  onEveryLine("tries again after its waits, up to its number of retries", (start) =>
    Effect.gen(function*() {
      for (
        const [maxRetries, ends, succeeds] of [[0, 0, false], [1, 10, false], [2, 30, true], [9, 30, true]] as const
      ) {
        const attempts: Array<number> = []
        const { at, exit } = yield* endOf(
          Effect.timed(start((_state, { attempt }) => {
            attempts.push(attempt)
            return attempt < 3 ? boom(`attempt ${attempt}`) : { v: "done" }
          }, { retry: { maxRetries, baseDelay: 10 } })).pipe(Effect.map(([, state]) => state)),
          100
        )
        assert.strictEqual(at % 100, ends)
        assert.deepStrictEqual(attempts, Array.from({ length: Math.min(maxRetries, 2) + 1 }, (_, i) => i + 1))
        if (succeeds) assert.deepStrictEqual(exit, Exit.succeed({ n: 0, v: "done" }))
        else assert.deepInclude(errorOf(exit), { _tag: "Boom", message: `attempt ${maxRetries + 1}` })
      }
    }))

  onEveryLine("takes defects for failures, and leaves the last one as it is", (start) =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      const healed = yield* endOf(start((_state, { attempt }) => attempt < 2 ? Effect.die(bug) : { v: 1 }, {
        retry: { maxRetries: 1, baseDelay: 5 }
      }))
      assert.deepStrictEqual(healed.exit, Exit.succeed({ n: 0, v: 1 }))
      const thrown = yield* endOf(start(() => {
        throw bug
      }, { retry: { maxRetries: 1, baseDelay: 5 } }))
      assert.strictEqual(errorOf(thrown.exit), bug)
      assert.isTrue(Exit.isFailure(thrown.exit) && Cause.hasDies(thrown.exit.cause))
    }))

  onEveryLine("asks retryOn, and follows a Schedule", (start) =>
    Effect.gen(function*() {
      let runs = 0
      const failing: Body = () => (runs++, boom("no"))
      yield* endOf(start(failing, { retry: { maxRetries: 5, baseDelay: 1, retryOn: ["TimeoutError"] } }))
      assert.strictEqual(runs, 1)
      const { at } = yield* endOf(start(failing, { retry: Schedule.upTo(Schedule.spaced(7), { times: 3 }) }))
      assert.strictEqual(at - 120_000, 21)
      assert.strictEqual(runs, 5)
    }))

  onEveryLine(
    "starts every attempt from the same state, with the same idempotency key",
    (start) =>
      Effect.gen(function*() {
        const seen: Array<readonly [State, string, string | undefined]> = []
        const { exit } = yield* endOf(start((state, ctx) => {
          const { branch, idempotencyKey } = ctx as unknown as StateGraph.NodeContext
          seen.push([state, idempotencyKey, branch])
          return seen.length < 3 ? boom("again") : { n: state.n + 1 }
        }, { retry: { maxRetries: 2, baseDelay: 1 } }))
        assert.deepStrictEqual(exit, Exit.succeed({ n: 1 }))
        assert.strictEqual(seen.length, 3)
        assert.deepStrictEqual(seen[1], seen[0])
        assert.deepStrictEqual(seen[2], seen[0])
      })
  )

  scenario("leaves the flow's other nodes alone: each of them runs once", (run) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const step = (name: string) => () => Effect.sync(() => void ran.push(name))
      const graph = StateGraph.make("five", State)
        .addNode("a", step("a"))
        .addNode("b", step("b"))
        .addNode("flaky", (_state, { attempt }) =>
          Effect.andThen(step(`flaky ${attempt}`)(), attempt < 3 ? boom("down") : Effect.succeed({ v: attempt })), {
          retry: { maxRetries: 4, baseDelay: 10 }
        })
        .addNode("d", step("d"))
        .addNode("e", step("e"))
        .addFanInNode("join", (_state, { parallelResults: [result] }) => {
          assert.deepInclude(result, { _tag: "Success", attempts: 1, retryCount: 0, timingMs: 30 })
          return { v: result!.state.v }
        })
        .addEdge("a", "b").addEdge("b", "flaky").addEdge("flaky", "d").addEdge("d", "e")
        .addParallelEdge(StateGraph.START, "a", "join")
        .setFinishPoint("join")
        .compile()
      const { at, exit } = yield* endOf(quiet(run(graph, { n: 0 })))
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, v: 3 }))
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(ran, ["a", "b", "flaky 1", "flaky 2", "flaky 3", "d", "e"])
    }))

  scenario("begins anew in every round of a loop, under another key", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const graph = StateGraph.make("loop", State)
        .addNode("work", ({ n }, { attempt, idempotencyKey }) => {
          seen.push(`${n} ${attempt} ${idempotencyKey}`)
          return attempt < 2 ? boom("again") : Effect.succeed({ n: n + 1 })
        }, { retry: { maxRetries: 1, baseDelay: 1 } })
        .setEntryPoint("work")
        .addConditionalEdges("work", ({ n }) => n < 2 ? "more" : "done", { more: "work", done: StateGraph.END })
        .compile()
      yield* endOf(quiet(run(graph, { n: 0 }, { runId: "r" })))
      assert.deepStrictEqual(seen, ["0 1 r/work#1", "0 2 r/work#1", "1 1 r/work#2", "1 2 r/work#2"])
    }))
})

describe("the timeout of a node", () => {
  onEveryLine(
    "stops each attempt at its limit, and no attempt that ends exactly then",
    (start, _run, where) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const late = yield* endOf(start(() => sleeper(51, log, "work"), { timeout: 50 }), 100)
        assert.strictEqual(late.at, 50)
        assert.deepStrictEqual(log, ["work interrupted"])
        const error = errorOf(late.exit)
        assert.instanceOf(error, GraphError.FlowTimeoutError)
        assert.deepInclude(error, { node: "work", timeoutMs: 50, timeoutKind: "attempt" })
        const branch = {
          "in a flow": "work",
          "in a flow of a flow": "outer/work",
          "for an item": "work[only]",
          "around a graph in a flow": "work"
        } as const
        assert.strictEqual((error as GraphError.FlowTimeoutError).branch, branch[where as keyof typeof branch])
        const inTime = yield* endOf(start(() => Effect.sleep(50), { timeout: 50 }), 100)
        assert.deepStrictEqual(inTime.exit, Exit.succeed({ n: 0 }))
        assert.strictEqual(inTime.at, 150)
      })
  )

  onEveryLine("holds for each attempt of its retries anew", (start) =>
    Effect.gen(function*() {
      const { at, exit } = yield* endOf(start(() => Effect.never, {
        timeout: "20 millis",
        retry: { maxRetries: 2, baseDelay: 5, exponentialBackoff: false }
      }))
      assert.strictEqual(at, 70)
      assert.deepInclude(errorOf(exit), { _tag: "FlowTimeoutError", timeoutMs: 20 })
    }))

  onEveryLine(
    "waits for finalizers as long as its grace, then goes on without the attempt",
    (start) =>
      Effect.gen(function*() {
        const stubborn = (ms: number): Body => () => Effect.onInterrupt(Effect.never, () => Effect.sleep(ms))
        const soon = yield* endOf(
          start(stubborn(30), { timeout: 10, grace: 40, retry: { maxRetries: 1, baseDelay: 1 } }),
          500
        )
        // Two attempts, each with its finalizer, and the wait between.
        assert.strictEqual(soon.at, 81)
        const never = yield* endOf(
          start(stubborn(400), { timeout: 10, grace: 40, retry: { maxRetries: 1, baseDelay: 1 } }),
          500
        )
        // Nothing is retried beside what did not stop.
        assert.strictEqual(never.at, 550)
        assert.deepInclude(errorOf(never.exit), { _tag: "FlowTimeoutError" })
        const waits = yield* endOf(start(stubborn(400), { timeout: 10, grace: "wait" }), 500)
        assert.strictEqual(waits.at, 1410)
        const none = yield* endOf(start(stubborn(400), { timeout: 10, grace: 0 }), 500)
        assert.strictEqual(none.at, 1510)
      })
  )

  scenario("without a grace of its own has the run's", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State, { parallel: { grace: 70 } })
        .addNode("work", () => Effect.onInterrupt(Effect.never, () => Effect.sleep(400)), { timeout: 10 })
        .setEntryPoint("work").setFinishPoint("work").compile()
      assert.strictEqual((yield* endOf(quiet(run(graph, { n: 0 })), 500)).at, 80)
      assert.strictEqual((yield* endOf(quiet(run(graph, { n: 0 }, { parallel: { grace: 20 } })), 500)).at, 530)
    }))
})

describe("the circuit of a node", () => {
  onEveryLine(
    "opens after its failures, rejects without running the node, and lets a probe through",
    (start) =>
      Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        let runs = 0
        let up = false
        const go = start(() => (runs++, up ? {} : boom("down")), {
          circuitBreaker: { failureThreshold: 2, resetTimeout: 1000 },
          retry: { maxRetries: 5, baseDelay: 10 }
        })
        // The second attempt opens it, the third is refused after its wait.
        const first = yield* endOf(go, 100)
        assert.strictEqual(first.at, 30)
        assert.strictEqual(runs, 2)
        const error = errorOf(first.exit)
        assert.instanceOf(error, GraphError.CircuitOpenError)
        assert.deepInclude(error, { key: "g#work", circuitState: "OPEN" })
        const second = yield* endOf(go, 100)
        assert.strictEqual(second.at, 100)
        assert.deepInclude(errorOf(second.exit), { _tag: "CircuitOpenError" })
        assert.strictEqual(runs, 2)
        assert.strictEqual((yield* registry.state("g#work")).failureCount, 2)
        up = true
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual((yield* endOf(go, 100)).exit, Exit.succeed({ n: 0 }))
        assert.strictEqual(runs, 3)
        assert.strictEqual((yield* registry.state("g#work")).state, "CLOSED")
      }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()))
  )

  scenario(
    "is one for all lines that the node is on, and another one for another graph",
    (run) =>
      Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        const graph = (name: string) =>
          StateGraph.make(name, State)
            .addNode("work", () => boom("down"), { circuitBreaker: { failureThreshold: 3 } })
            .addFanInNode("join")
            .addParallelEdge(StateGraph.START, "work", "join", { name: "one" })
            .addParallelEdge(StateGraph.START, "work", "join", { name: "two" })
            .setFinishPoint("join").compile()
        yield* run(graph("a"), { n: 0 })
        yield* run(graph("b"), { n: 0 })
        assert.deepStrictEqual((yield* registry.states).map(({ failureCount, key }) => [key, failureCount]), [
          ["a#work", 2],
          ["b#work", 2]
        ])
      }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()))
  )

  scenario("with a key is shared with the flows that give the same", (run) =>
    Effect.gen(function*() {
      const circuitBreaker = { key: "db", failureThreshold: 2 }
      const graph = StateGraph.make("g", State)
        .addNode("bad", () => boom("down"))
        .addNode("work", () => ({ v: 1 }), { circuitBreaker })
        .addFanInNode("join", () => {})
        .addParallelEdge(StateGraph.START, "bad", "join", { circuitBreaker, retry: { maxRetries: 1, baseDelay: 1 } })
        .addEdge("join", "work").setFinishPoint("work").compile()
      const { exit } = yield* endOf(quiet(run(graph, { n: 0 })))
      assert.deepInclude(errorOf(exit), { _tag: "CircuitOpenError", key: "db" })
    }))

  scenario("is one of the graph's, to be looked at and reset by the node's name", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode("work", () => boom("down"), { circuitBreaker: { failureThreshold: 1 } })
        .addNode("other", () => boom("down"), { circuitBreaker: { failureThreshold: 1, key: "mine" } })
        .addFanInNode("join", () => {})
        .addParallelEdge(StateGraph.START, "work", "join", { name: "flow", circuitBreaker: {} })
        .addParallelEdge(StateGraph.START, "other", "join")
        .setFinishPoint("join").compile()
      const states = Effect.map(graph.circuitStates, (all) => all.map(({ key, state }) => `${key} ${state}`).sort())
      assert.deepStrictEqual(yield* states, ["g#work CLOSED", "g/flow CLOSED", "mine CLOSED"])
      yield* run(graph, { n: 0 })
      assert.deepStrictEqual(yield* states, ["g#work OPEN", "g/flow CLOSED", "mine OPEN"])
      yield* graph.resetCircuit("work")
      assert.deepStrictEqual(yield* states, ["g#work CLOSED", "g/flow CLOSED", "mine OPEN"])
      yield* graph.resetCircuit()
      assert.deepStrictEqual(yield* states, ["g#work CLOSED", "g/flow CLOSED", "mine CLOSED"])
    }))
})

describe("a run that is interrupted", () => {
  /** Graphs in graphs are stopped turn by turn. */
  const settled = Effect.repeat(Effect.yieldNow, { times: 20 })

  const counting = (body: Effect.Effect<void, Boom>, log: Array<string>): Body => (_state, { attempt }) =>
    Effect.andThen(Effect.sync(() => void log.push(`attempt ${attempt}`)), body)

  onEveryLine(
    "during an attempt of a node stops it, waits for its finalizers and counts nothing",
    (start) =>
      Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        const log: Array<string> = []
        const body = Effect.onInterrupt(
          Effect.never,
          () => Effect.delay(Effect.sync(() => void log.push("closed")), 30)
        )
        const watched = yield* watch(start(counting(body, log), {
          retry: { maxRetries: 5, baseDelay: 10 },
          circuitBreaker: { failureThreshold: 1 }
        }))
        assert.isFalse(yield* watched.endedAt(20))
        watched.fiber.interruptUnsafe()
        yield* settled
        assert.isFalse(yield* watched.endedAt(49))
        assert.isTrue(yield* watched.endedAt(50))
        assert.isTrue(Exit.hasInterrupts(yield* watched.exit))
        assert.deepStrictEqual(log, ["attempt 1", "closed"])
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(log, ["attempt 1", "closed"])
        assert.deepInclude(yield* registry.state("g#work"), { state: "CLOSED", failureCount: 0, probes: 0 })
      }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()))
  )

  onEveryLine("during the wait before a retry ends at once", (start) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const watched = yield* watch(start(counting(boom("down"), log), { retry: { maxRetries: 5, baseDelay: 1000 } }))
      assert.isFalse(yield* watched.endedAt(20))
      yield* Fiber.interrupt(watched.fiber)
      assert.isTrue(Exit.hasInterrupts(yield* watched.exit))
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(log, ["attempt 1"])
    }))

  onEveryLine(
    "while a node waits for its limit ends at once, and takes no permit with it",
    (start) =>
      Effect.gen(function*() {
        const bulkheads = yield* Bulkhead.CurrentBulkheads
        const limit = { key: "k", permits: 1 }
        const log: Array<string> = []
        const holder = yield* Effect.forkChild(Bulkhead.withLimit(limit)(Effect.never), { startImmediately: true })
        const watched = yield* watch(start(counting(Effect.void, log), { limit }))
        assert.isFalse(yield* watched.endedAt(20))
        assert.deepStrictEqual(bulkheads.states, [{ ...limit, inUse: 1, waiting: 1 }])
        yield* Fiber.interrupt(watched.fiber)
        assert.isTrue(Exit.hasInterrupts(yield* watched.exit))
        assert.deepStrictEqual(bulkheads.states, [{ ...limit, inUse: 1, waiting: 0 }])
        yield* Fiber.interrupt(holder)
        assert.deepStrictEqual(log, [])
        assert.deepStrictEqual(bulkheads.states, [])
      })
  )
})

describe("the limit of a node", () => {
  onEveryLine("is asked before each attempt, and free during the wait between", (start) =>
    Effect.gen(function*() {
      const bulkheads = yield* Bulkhead.CurrentBulkheads
      const limit = { key: "k", permits: 1, queue: 0 }
      const seen: Array<number> = []
      const watched = yield* watch(start((_state, { attempt }) => {
        seen.push(bulkheads.states[0]?.inUse ?? 0)
        return attempt < 2 ? boom("down") : {}
      }, { limit, retry: { maxRetries: 1, baseDelay: 100 } }))
      assert.isFalse(yield* watched.endedAt(50))
      assert.deepStrictEqual(bulkheads.states, [])
      assert.isTrue(yield* watched.endedAt(100))
      assert.deepStrictEqual(seen, [1, 1])
      assert.deepStrictEqual(bulkheads.states, [])
    }))

  onEveryLine(
    "that is full fails the node with a LimitExceededError, which is not retried",
    (start) =>
      Effect.gen(function*() {
        const limit = { key: "k", permits: 1, queue: 0 }
        let runs = 0
        const refused = yield* endOf(
          Bulkhead.withLimit({ ...limit, permits: 1 })(Effect.sleep(10)).pipe(
            Effect.forkChild({ startImmediately: true }),
            Effect.andThen(start(() => (runs++, {}), { limit, retry: { maxRetries: 3, baseDelay: 1 } }))
          ),
          100
        )
        const error = errorOf(refused.exit)
        assert.strictEqual(refused.at, 0)
        assert.instanceOf(error, GraphError.LimitExceededError)
        assert.deepInclude(error, limit)
        assert.strictEqual(runs, 0)
      })
  )
})
