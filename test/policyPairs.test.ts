/** The policy of a node, and the flow around it: what one does to the other. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Logger } from "effect"
import { Bulkhead, CircuitBreakerRegistry, GraphError, StateGraph } from "effect-stategraph"
import { type Body, boom, type Result, sleeper, State } from "./support/fan.ts"
import type { Policy } from "./support/lines.ts"
import { loose } from "./support/looseBuilder.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"

const quiet = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, [Logger.layer([]), Bulkhead.layer])

/** A flow of three nodes, the second with a policy; a sibling that can be anything; and their results. */
const flow = (work: Body, policy: Policy, edge: StateGraph.EdgeConfig = {}, sibling: Body = () => ({})) => {
  const ran: Array<string> = []
  const joins: Array<ReadonlyArray<Result>> = []
  const body = (name: string, body: Body) => (state: State, ctx: StateGraph.NodeContext) =>
    Effect.suspend(() => {
      ran.push(name)
      const returned = body(state, ctx)
      return (Effect.isEffect(returned) ? returned : Effect.succeed(returned)) as Effect.Effect<Partial<State>, unknown>
    })
  const graph = StateGraph.make("g", State)
    .addNode("before", body("before", ({ n }) => ({ n: n + 1 })))
    .addNode("work", body("work", work), policy)
    .addNode("after", body("after", () => ({})))
    .addNode("sibling", body("sibling", sibling))
    .addFanInNode("join", (_state, { parallelResults }) => void joins.push(parallelResults))
    .addEdge("before", "work").addEdge("work", "after")
    .addParallelEdge(StateGraph.START, "before", "join", { name: "flow", ...edge })
    .addParallelEdge(StateGraph.START, "sibling", "join", { failFast: true })
    .setFinishPoint("join")
    .compile()
  return {
    graph,
    ran,
    get result(): Result {
      return joins.at(-1)![0]!
    }
  }
}

describe("a node with a policy that fails", () => {
  scenario("fails its flow with its last error, once", (run) =>
    Effect.gen(function*() {
      const g = flow((_state, { attempt }) => boom(`attempt ${attempt}`), { retry: { maxRetries: 2, baseDelay: 5 } })
      const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.strictEqual(at, 15)
      assert.deepInclude(g.result, {
        _tag: "Failure",
        error: "attempt 3",
        failedNode: "work",
        attempts: 1,
        timingMs: 15,
        state: { n: 1 }
      })
      assert.deepStrictEqual(g.result.attemptErrors.map(({ error }) => error), ["attempt 3"])
    }))

  scenario("by its timeout makes a Failure of its flow, which tells the node", (run) =>
    Effect.gen(function*() {
      const g = flow(() => Effect.never, { timeout: 20 })
      yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.deepInclude(g.result, {
        _tag: "Failure",
        errorType: "TimeoutError",
        error: `node "work" in flow "flow" timed out after 20 ms`,
        timeout: false,
        failedNode: "work"
      })
      assert.instanceOf(g.result._tag === "Failure" ? g.result.failure : undefined, GraphError.FlowTimeoutError)
    }))

  scenario(
    "and leaves something behind that does not stop is the end of its flow's retries too",
    (run) =>
      Effect.gen(function*() {
        const g = flow(() => Effect.uninterruptible(Effect.sleep(5000)), {
          timeout: 10,
          grace: 10,
          retry: { maxRetries: 3, baseDelay: 1 }
        }, { retry: { maxRetries: 3, baseDelay: 1 } })
        const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
        assert.strictEqual(at, 20)
        assert.deepStrictEqual(g.ran, ["before", "work", "sibling"])
        assert.deepInclude(g.result, { _tag: "Failure", attempts: 1 })
      })
  )
})

describe("a node without a function", () => {
  scenario("has its policy all the same: it takes its permit, and changes nothing", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const graph = loose().addNode("pass", undefined, {
        limit,
        timeout: 5,
        retry: { maxRetries: 1 },
        fallback: { n: 9 }
      })
        .setEntryPoint("pass").setFinishPoint("pass").compile() as unknown as StateGraph.CompiledGraph<
          { readonly n: number },
          { readonly n: number },
          never,
          never
        >
      const { at, exit } = yield* quiet(Effect.andThen(
        Effect.forkChild(Bulkhead.withLimit(limit)(Effect.sleep(20)), { startImmediately: true }),
        endOf(run(graph, { n: 1 }))
      ))
      assert.strictEqual(at, 20)
      assert.deepStrictEqual(exit, Exit.succeed({ n: 1 }))
    }))
})

describe("the retry of the flow", () => {
  scenario("begins the node's attempts again, from the first", (run) =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const keys = new Set<string>()
      const g = flow(
        (_state, ctx) => {
          seen.push(ctx.attempt)
          keys.add((ctx as StateGraph.NodeContext).idempotencyKey)
          return seen.length < 5 ? boom("down") : {}
        },
        { retry: { maxRetries: 1, baseDelay: 5 } },
        { retry: { maxRetries: 3, baseDelay: 100 } }
      )
      const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.strictEqual(at, 5 + 100 + 5 + 200)
      assert.deepStrictEqual(seen, [1, 2, 1, 2, 1])
      assert.strictEqual(keys.size, 1)
      assert.deepInclude(g.result, { _tag: "Success", attempts: 3 })
      assert.deepStrictEqual(g.ran.filter((name) => name === "before").length, 3)
      assert.deepStrictEqual(g.ran.filter((name) => name === "after").length, 1)
    }))

  scenario("follows when the node's own circuit refuses, and when its limit is full", (run) =>
    Effect.gen(function*() {
      const circuit = flow((_state) => boom("down"), { circuitBreaker: { failureThreshold: 1, resetTimeout: 15 } }, {
        retry: { maxRetries: 2, baseDelay: 10, exponentialBackoff: false }
      })
      yield* endOf(quiet(run(circuit.graph, { n: 0 })))
      // Fails at 0, is refused at 10, is the failing probe at 20.
      assert.deepStrictEqual(circuit.result.attemptErrors.map(({ errorType }) => errorType), [
        "Boom",
        "CircuitOpenError",
        "Boom"
      ])
      const limit = { key: "k", permits: 1, queue: 0 }
      const full = flow(() => ({}), { limit }, { retry: { maxRetries: 1, baseDelay: 10 } })
      yield* quiet(Effect.andThen(
        Effect.forkChild(Bulkhead.withLimit(limit)(Effect.sleep(5)), { startImmediately: true }),
        endOf(run(full.graph, { n: 0 }))
      ))
      assert.deepInclude(full.result, { _tag: "Success", attempts: 2 })
      assert.deepStrictEqual(full.result.attemptErrors.map(({ errorType }) => errorType), ["LimitExceededError"])
    }))
})

describe("the limits of the flow", () => {
  scenario("cut a node in its attempt, and its timeout is the flow's", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const g = flow(() => sleeper(500, log, "work"), { timeout: 400, retry: { maxRetries: 5, baseDelay: 1 } }, {
        timeout: 30
      })
      const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(log, ["work interrupted"])
      assert.deepInclude(g.result, { _tag: "Timeout", timeoutMs: 30, timeoutKind: "attempt", failedNode: "work" })
    }))

  scenario("cut a node in its wait between attempts", (run) =>
    Effect.gen(function*() {
      const g = flow(() => boom("down"), { retry: { maxRetries: 5, baseDelay: 100 } }, { timeout: 30 })
      const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(g.ran, ["before", "work", "sibling"])
      assert.deepInclude(g.result, { _tag: "Timeout", timeoutKind: "attempt", failedNode: "work" })
    }))

  scenario("in total hold over all attempts of both", (run) =>
    Effect.gen(function*() {
      const retry = { maxRetries: 9, baseDelay: 10, exponentialBackoff: false }
      const g = flow(() => boom("down"), { retry: { ...retry, maxRetries: 1 } }, { retry, totalTimeout: 35 })
      const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
      // Flow attempts at 0 and 20; the second one's node fails at 20 and 30, and the third would begin at 40.
      assert.strictEqual(at, 35)
      assert.deepInclude(g.result, { _tag: "Timeout", timeoutKind: "total", timeoutMs: 35, attempts: 2 })
    }))

  scenario(
    "at the same instant as the node's let one of them win, and the flow end once",
    (run) =>
      Effect.gen(function*() {
        const g = flow(() => Effect.never, { timeout: 30 }, { timeout: 30 })
        const { at } = yield* endOf(quiet(run(g.graph, { n: 0 })))
        assert.strictEqual(at, 30)
        assert.strictEqual(g.result.get("errorType"), "TimeoutError")
        const { events } = yield* Effect.flatMap(endOf(quiet(eventsOf(g.graph, { n: 0 }))), ({ exit }) => exit)
        const ends = events.filter(({ _tag }) => ["FlowTimedOut", "AttemptFailed", "AttemptInterrupted"].includes(_tag))
        assert.strictEqual(ends.length, 2)
      })
  )

  scenario("leave a node as long as the flow's grace, and no longer", (run) =>
    Effect.gen(function*() {
      const stubborn: Body = () => Effect.onInterrupt(Effect.never, () => Effect.sleep(400))
      const short = flow(stubborn, { grace: 300, retry: { maxRetries: 1 } }, { timeout: 10, grace: 50 })
      assert.strictEqual((yield* endOf(quiet(run(short.graph, { n: 0 })), 1000)).at, 60)
      assert.deepInclude(short.result, { _tag: "Timeout", abandoned: true })
      const own = flow(stubborn, { grace: 20, retry: { maxRetries: 1 } }, { timeout: 10, grace: 50 })
      assert.strictEqual((yield* endOf(quiet(run(own.graph, { n: 0 })), 1000)).at, 1030)
      assert.deepInclude(own.result, { _tag: "Timeout", abandoned: true })
      const long = flow(stubborn, { retry: { maxRetries: 1 } }, { timeout: 10, grace: 500 })
      assert.strictEqual((yield* endOf(quiet(run(long.graph, { n: 0 }, { parallel: { grace: 900 } })), 1000)).at, 2410)
      assert.deepInclude(long.result, { _tag: "Timeout", abandoned: false })
      const none = flow(stubborn, { retry: { maxRetries: 1 } }, { timeout: 10, grace: 0 })
      assert.strictEqual((yield* endOf(quiet(run(none.graph, { n: 0 })), 1000)).at, 3010)
      assert.deepInclude(none.result, { _tag: "Timeout", abandoned: true })
    }))
})

describe("the circuit of the flow", () => {
  scenario("counts what the node fails with once, after the node's retries", (run) =>
    Effect.gen(function*() {
      const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
      const g = flow(() => boom("down"), {
        retry: { maxRetries: 3, baseDelay: 1 },
        circuitBreaker: { failureThreshold: 9 }
      }, { circuitBreaker: { failureThreshold: 9 } })
      yield* endOf(quiet(run(g.graph, { n: 0 })))
      assert.strictEqual((yield* registry.state("g/flow")).failureCount, 1)
      assert.strictEqual((yield* registry.state("g#work")).failureCount, 4)
    }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe())))

  scenario("does not count a node whose limit was full", (run) =>
    Effect.gen(function*() {
      const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
      const limit = { key: "k", permits: 1, queue: 0 }
      const circuitBreaker = { failureThreshold: 1 }
      const g = flow(() => ({}), { limit, circuitBreaker }, { circuitBreaker })
      yield* quiet(Effect.andThen(
        Effect.forkChild(Bulkhead.withLimit(limit)(Effect.sleep(5)), { startImmediately: true }),
        endOf(run(g.graph, { n: 0 }))
      ))
      assert.deepInclude(g.result, { _tag: "Failure", errorType: "LimitExceededError", circuitState: "CLOSED" })
      assert.deepInclude(yield* registry.state("g/flow"), { state: "CLOSED", failureCount: 0 })
      assert.deepInclude(yield* registry.state("g#work"), { state: "CLOSED", failureCount: 0 })
    }).pipe(Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe())))
})

describe("a sibling that fails fast", () => {
  for (
    const [when, work, policy] of [
      ["in its attempt", () => Effect.never, { circuitBreaker: { failureThreshold: 1 } }],
      ["in its wait", () => boom("down"), { retry: { maxRetries: 5, baseDelay: 100 } }]
    ] as ReadonlyArray<readonly [string, Body, Policy]>
  ) {
    scenario(`stops a node ${when}, which no circuit counts`, (run) =>
      Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        const g = flow(work, policy, {}, () => Effect.andThen(Effect.sleep(20), boom("sibling")))
        const { at, exit } = yield* endOf(quiet(run(g.graph, { n: 0 })))
        assert.strictEqual(at, 20)
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.deepInclude(error, { _tag: "FailFastError", branch: "sibling" })
        assert.deepStrictEqual(g.ran, ["before", "work", "sibling"])
        assert.strictEqual((yield* registry.state("g#work")).state, "CLOSED")
      }).pipe(
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe())
      ))
  }
})

describe("what waits for a permit", () => {
  scenario("does not begin with the one that is given back as both are stopped", (run) =>
    Effect.gen(function*() {
      const limit = { key: "k", permits: 1 }
      const ran: Array<string> = []
      const body = (name: string, self: Effect.Effect<unknown, Error>) => () =>
        Effect.andThen(Effect.sync(() => ran.push(name)), Effect.as(self, {}))
      const graph = StateGraph.make("g", State)
        .addNode("holds", body("holds", Effect.never), { limit })
        .addNode("waits", body("waits", Effect.void), { limit })
        .addNode("outer")
        .addNode("inner", body("inner", Effect.void))
        .addNode("fails", body("fails", Effect.delay(boom("down"), 5)))
        .addFanInNode("innerJoin")
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "holds", "join")
        .addParallelEdge(StateGraph.START, "waits", "join", { grace: 0 })
        .addParallelEdge(StateGraph.START, "outer", "join")
        .addParallelEdge("outer", "inner", "innerJoin", { limit })
        .addParallelEdge(StateGraph.START, "fails", "join", { failFast: true })
        .setFinishPoint("join")
        .compile({ parallel: { grace: 0 } })
      const { at, exit } = yield* endOf(quiet(run(graph, { n: 0 })))
      assert.strictEqual(at, 5)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(ran, ["holds", "fails"])
    }))
})
