import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Scheduler, Stream } from "effect"
import { CircuitBreaker, CircuitBreakerRegistry, GraphError, type ParallelConfig, StateGraph } from "effect-stategraph"
import { SharedCircuits } from "effect-stategraph/persistence"
import { TestClock } from "effect/testing"
import { circuitState, once, pending, type Registry } from "./support/circuits.ts"
import { boom, fan, State } from "./support/fan.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"
import { registry, withStore } from "./support/sharedStore.ts"

const down = Effect.fail("down")

describe("what a store cannot do", () => {
  const all: CircuitBreaker.Input = {
    failureThreshold: 3,
    failureRateThreshold: 0.5,
    windowDuration: "1 minute",
    slowCallThreshold: "1 second",
    resetTimeout: Infinity,
    halfOpenMaxCalls: 2,
    successThreshold: 3
  }

  it("is told at once, with what it can do", () => {
    assert.deepStrictEqual(SharedCircuits.unsupported(all, "here").map(({ message }) => message), [
      "here: failureThreshold is 3, allowed is Infinity beside a failureRateThreshold: a shared circuit opens by one rule",
      "here: windowDuration is 60000, allowed is Infinity: the window of a shared circuit is its last windowSize calls",
      "here: slowCallThreshold is 1000, allowed is Infinity: a shared circuit knows no slow calls",
      "here: resetTimeout is Infinity, allowed is a finite duration: a shared circuit always comes back",
      "here: halfOpenMaxCalls is 2, allowed is 1: a shared circuit has one probe at a time",
      "here: successThreshold is 3, allowed is 1: the first probe that succeeds closes a shared circuit"
    ])
  })

  it.each<CircuitBreaker.Input>([
    {},
    { failureThreshold: Infinity },
    { failureThreshold: 2, minimumCalls: 3, windowSize: 4, windowDuration: "1 second" },
    { failureThreshold: Infinity, failureRateThreshold: 0, windowSize: 4, minimumCalls: 2 },
    { isFailure: () => true, retryAfter: () => 5, probeTimeout: Infinity },
    { resetTimeoutMultiplier: 2, maxResetTimeout: Infinity }
  ])("is not %s", (input) => assert.deepStrictEqual(SharedCircuits.unsupported(input), []))

  it.effect("execute throws it, acquire dies with it, and the store is not asked", () =>
    withStore(Effect.gen(function*() {
      const shared = yield* registry()
      assert.throws(
        () => shared.execute("k", { halfOpenMaxCalls: 2 }),
        /^circuit "k": halfOpenMaxCalls is 2, allowed is 1:/
      )
      assert.throws(
        () => shared.execute("k", { failureThreshold: 0 }),
        /^CircuitBreakerRegistry.execute: failureThreshold/
      )
      const exit = yield* Effect.exit(shared.acquire("k", CircuitBreaker.make(all)))
      assert(Exit.isFailure(exit))
      const problem = Cause.squash(exit.cause)
      assert(problem instanceof GraphError.InvalidConfigError)
      assert.deepInclude(problem, { field: "failureThreshold", source: `circuit "k"` })
      assert.deepStrictEqual(yield* shared.states, [])
    })))

  it.effect("control by hand and resets die with it", () =>
    withStore(Effect.gen(function*() {
      const shared = yield* registry()
      const acts = {
        reset: shared.reset("k"),
        resetAll: shared.resetAll,
        forceOpen: shared.forceOpen("k"),
        disable: shared.disable("k"),
        isolate: Effect.scoped(shared.isolate("k"))
      }
      for (const [field, act] of Object.entries(acts)) {
        const exit = yield* Effect.exit(act as Effect.Effect<unknown>)
        assert(Exit.isFailure(exit))
        const problem = Cause.squash(exit.cause)
        assert(problem instanceof GraphError.InvalidConfigError)
        assert.deepInclude(problem, { field, source: "SharedCircuits" })
      }
    })))

  it.effect.each<[SharedCircuits.Options, string]>([
    [{ timeout: 0 }, "timeout"],
    [{ timeout: Infinity }, "timeout"],
    [{ timeout: "soon" as never }, "timeout"],
    [{ prefix: "x" } as never, "prefix"]
  ])("options out of range fail the layer: %s", ([options, field]) =>
    withStore(Effect.gen(function*() {
      const error = yield* Effect.flip(registry(options))
      assert.deepInclude(error, { _tag: "InvalidConfigError", field, source: "SharedCircuits" })
    })))

  const ran: Array<string> = []
  const twoProbes: ParallelConfig.Input = { circuitBreaker: { halfOpenMaxCalls: 2 } }
  const body = () => void ran.push("b")

  for (
    const [name, g, field, source] of [
      ["an edge", fan({ b: [body, twoProbes] }), "halfOpenMaxCalls", `flow "b" of graph "g"`],
      [
        "a graph's edges together",
        fan({ b: [body, { circuitBreaker: { failureRateThreshold: 0.5 } }] }, { graph: { circuitBreaker: {} } }),
        "failureThreshold",
        `flow "b" of graph "g"`
      ]
    ] as const
  ) {
    scenario(
      `a run with ${name} that asks for it fails before any node runs`,
      (run) =>
        withStore(Effect.gen(function*() {
          const shared = yield* registry()
          const error = yield* run(g.graph, { n: 1 }).pipe(
            Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, shared),
            Effect.flip
          )
          assert(error instanceof GraphError.InvalidConfigError)
          assert.deepInclude(error, { field: `circuitBreaker.${field}`, source })
          assert.deepStrictEqual(ran, [])
        }))
    )
  }

  scenario(
    "a run fails as well for what its options, a node's policy or an item of a map ask for",
    (run) =>
      withStore(Effect.gen(function*() {
        const shared = yield* registry()
        const errorOf = <S, I, E>(graph: StateGraph.CompiledGraph<S, I, E, never>, input: I, options = {}) =>
          run(graph, input, options).pipe(
            Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, shared),
            Effect.flip,
            Effect.map((error: unknown) => error instanceof GraphError.InvalidConfigError ? error.source : error)
          )
        assert.strictEqual(
          yield* errorOf(fan({ b: body }).graph, { n: 1 }, { parallel: twoProbes }),
          `flow "b" of graph "g"`
        )
        const guarded = StateGraph.make("g", State)
          .addNode("n", () => ({}), twoProbes as never)
          .setEntryPoint("n")
          .setFinishPoint("n")
          .compile()
        assert.strictEqual(yield* errorOf(guarded, { n: 1 }), `node "n" of graph "g"`)
        const map = StateGraph.make("g", State)
          .addNode("start")
          .addNode("b", () => void ran.push("b"))
          .addFanInNode("join")
          .addParallelMap("start", "b", "join", {
            items: () => [1, 2],
            config: (item) => item === 2 ? twoProbes : {},
            concurrency: 1
          })
          .setEntryPoint("start")
          .setFinishPoint("join")
          .compile()
        assert.strictEqual(yield* errorOf(map, { n: 1 }), `item of the map start -> b`)
        ran.length = 0
        yield* run(fan({ b: body }).graph, { n: 1 })
        assert.deepStrictEqual(ran.splice(0), ["b"])
      }))
  )
})

describe("two registries on one store", () => {
  it.effect("share one circuit: opened in one, rejected in both, probed by one, closed for both", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      const options: CircuitBreaker.Input = { failureThreshold: 2, resetTimeout: 1000 }
      yield* Effect.exit(one.execute("k", options)(down))
      assert.strictEqual(yield* circuitState(two), "CLOSED")
      yield* Effect.exit(two.execute("k", options)(down))
      assert.deepStrictEqual([yield* circuitState(one), yield* circuitState(two)], ["OPEN", "OPEN"])
      yield* TestClock.adjust(400)
      assert.deepStrictEqual(
        yield* Effect.flip(one.execute("k", options)(Effect.void)),
        new GraphError.CircuitOpenError({ key: "k", circuitState: "OPEN", retryAfter: Duration.millis(600) })
      )
      yield* TestClock.adjust(599)
      assert.strictEqual((yield* Effect.flip(two.execute("k", options)(Effect.void)))._tag, "CircuitOpenError")
      yield* TestClock.adjust(1)
      const probe = yield* pending(one, options)
      assert.deepStrictEqual(yield* two.state("k"), {
        key: "k",
        state: "HALF_OPEN",
        failureCount: 0,
        probes: 1,
        retryAfter: Duration.millis(1000)
      })
      assert.deepStrictEqual(
        yield* Effect.flip(two.execute("k", options)(Effect.void)),
        new GraphError.CircuitOpenError({ key: "k", circuitState: "HALF_OPEN", retryAfter: Duration.millis(1000) })
      )
      yield* probe.succeed
      assert.deepStrictEqual([yield* circuitState(one), yield* circuitState(two)], ["CLOSED", "CLOSED"])
      assert.strictEqual(yield* two.execute("k", options)(Effect.succeed(1)), 1)
      assert.deepStrictEqual(yield* two.states, [])
    })))

  it.effect("each publishes the transitions that it made", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      const changes: Array<string> = []
      for (const [name, shared] of [["one", one], ["two", two]] as const) {
        yield* shared.changes.pipe(
          Stream.runForEach(({ at, from, key, to }) =>
            Effect.sync(() => changes.push(`${name} ${at} ${key} ${from}->${to}`))
          ),
          Effect.forkChild({ startImmediately: true })
        )
      }
      yield* Effect.yieldNow
      yield* Effect.exit(one.execute("k", once)(down))
      yield* TestClock.adjust(1000)
      yield* Effect.exit(two.execute("k", once)(down))
      yield* TestClock.adjust(1000)
      yield* one.execute("k", once)(Effect.void)
      assert.deepStrictEqual(changes, [
        "one 0 k CLOSED->OPEN",
        "two 1000 k OPEN->HALF_OPEN",
        "two 1000 k HALF_OPEN->OPEN",
        "one 2000 k OPEN->HALF_OPEN",
        "one 2000 k HALF_OPEN->CLOSED"
      ])
    })))

  it.effect("count one failure rate", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      const rate: CircuitBreaker.Input = { failureThreshold: Infinity, failureRateThreshold: 0.5, windowSize: 4 }
      for (const shared of [one, two]) yield* shared.execute("k", rate)(Effect.void)
      yield* Effect.exit(one.execute("k", rate)(down))
      assert.strictEqual(yield* circuitState(one), "CLOSED")
      yield* Effect.exit(two.execute("k", rate)(down))
      assert.strictEqual(yield* circuitState(one), "OPEN")
    })))

  it.effect("states shows what is in use or not CLOSED, as far as this one knows it", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      yield* Effect.exit(one.execute("open", once)(down))
      const inFlight = yield* pending(two)
      assert.deepStrictEqual(yield* one.states, [
        { key: "open", state: "OPEN", failureCount: 0, probes: 0, retryAfter: Duration.seconds(1) }
      ])
      assert.deepStrictEqual((yield* two.states).map(({ key }) => key), ["k"])
      yield* inFlight.succeed
      assert.deepStrictEqual(yield* two.states, [])
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(yield* one.states, [{ key: "open", state: "OPEN", failureCount: 0, probes: 0 }])
      yield* two.execute("open", once)(Effect.void)
      assert.deepStrictEqual(yield* one.states, [])
    })))
})

describe("guards", () => {
  it.effect("open times grow with the openings, and the error can prolong them", () =>
    withStore(Effect.gen(function*() {
      const shared = yield* registry()
      const options: CircuitBreaker.Input = {
        ...once,
        resetTimeoutMultiplier: 2,
        maxResetTimeout: 5000,
        retryAfter: (error) => typeof error === "number" ? error : undefined
      }
      const openFor = (error: unknown) =>
        Effect.gen(function*() {
          yield* Effect.exit(shared.execute("k", options)(Effect.fail(error)))
          const { retryAfter = Duration.zero } = yield* shared.state("k")
          yield* TestClock.adjust(retryAfter)
          return Duration.toMillis(retryAfter)
        })
      const times: Array<number> = []
      for (const error of ["down", "down", "down", "down", 1, 4500, 9000]) times.push(yield* openFor(error))
      assert.deepStrictEqual(times, [1000, 2000, 4000, 5000, 5000, 5000, 5000])
      yield* Effect.exit(shared.execute("asked", options)(Effect.fail(3000)))
      assert.deepInclude(yield* shared.state("asked"), { retryAfter: Duration.millis(3000) })
    })))

  it.effect("isFailure decides, defects count, interruption does not", () =>
    withStore(Effect.gen(function*() {
      const shared = yield* registry()
      const run = shared.execute("k", { ...once, failureThreshold: 2, isFailure: (error) => error !== "harmless" })
      yield* Effect.exit(run(down))
      for (const harmless of [Effect.fail("harmless"), Effect.interrupt]) yield* Effect.exit(run(harmless))
      assert.strictEqual(yield* circuitState(shared), "CLOSED")
      yield* Effect.exit(run(Effect.die("dead")))
      assert.strictEqual(yield* circuitState(shared), "OPEN")
    })))

  it.effect("a late outcome changes nothing, however it ends", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      const late = [yield* pending(one), yield* pending(one), yield* pending(one)] as const
      yield* Effect.exit(two.execute("k", once)(down))
      yield* late[0].succeed
      assert.strictEqual(yield* circuitState(one), "OPEN")
      yield* TestClock.adjust(1000)
      const probe = yield* pending(two)
      yield* late[1].fail
      yield* late[2].interrupt
      assert.deepInclude(yield* one.state("k"), { state: "HALF_OPEN", probes: 1 })
      yield* probe.succeed
      assert.strictEqual(yield* circuitState(one), "CLOSED")
    })))

  it.effect("a probe that hangs loses its slot at probeTimeout, and its outcome then changes nothing", () =>
    withStore(Effect.gen(function*() {
      const [one, two] = [yield* registry(), yield* registry()]
      const options = { ...once, probeTimeout: 300 }
      yield* Effect.exit(one.execute("k", options)(down))
      yield* TestClock.adjust(1000)
      const hung = yield* pending(one, options)
      yield* TestClock.adjust(299)
      assert.deepInclude(yield* Effect.flip(two.execute("k", options)(Effect.void)), { circuitState: "HALF_OPEN" })
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* two.state("k"), { state: "HALF_OPEN", probes: 0 })
      yield* hung.fail
      assert.deepInclude(yield* two.state("k"), { state: "HALF_OPEN", probes: 0 })
      yield* two.execute("k", options)(Effect.void)
      assert.strictEqual(yield* circuitState(one), "CLOSED")
    })))

  it.effect("a permit records once, and says what it changed", () =>
    withStore(Effect.gen(function*() {
      const shared = yield* registry()
      const config = CircuitBreaker.make(once)
      const permit = yield* shared.acquire("k", config)
      assert.deepInclude(permit, { probe: false, config })
      const opened = { circuitState: "OPEN", transition: { key: "k", from: "CLOSED", to: "OPEN" } } as const
      assert.deepStrictEqual(yield* permit.record("failure", Duration.seconds(3)), opened)
      assert.deepStrictEqual(yield* permit.record("success"), { circuitState: "OPEN" })
      assert.deepInclude(yield* shared.state("k"), { state: "OPEN", retryAfter: Duration.seconds(3) })
      yield* TestClock.adjust(3000)
      const probe = yield* shared.acquire("k", config)
      assert.deepInclude(probe, { probe: true, transition: { key: "k", from: "OPEN", to: "HALF_OPEN" } })
      assert.deepStrictEqual(yield* probe.record("ignored"), { circuitState: "HALF_OPEN" })
    })))

  it.effect("interrupted at any step, a call leaves neither a slot nor an entry", () =>
    withStore(Effect.gen(function*() {
      const reached = new Set<string>()
      for (let steps = 0; steps < 80; steps++) {
        const shared = yield* registry()
        const key = `k${steps}`
        yield* Effect.exit(shared.execute(key, once)(down))
        yield* TestClock.adjust(1000)
        const fiber = yield* Effect.never.pipe(
          shared.execute(key, once),
          Effect.provideService(Scheduler.MaxOpsBeforeYield, 3),
          Effect.forkChild
        )
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        const { probes, state } = yield* shared.state(key)
        reached.add(`${state} ${probes}`)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual((yield* shared.state(key)).probes, 0)
        yield* shared.execute(key, once)(Effect.void)
        assert.deepStrictEqual(yield* shared.states, [])
      }
      assert.includeMembers([...reached], ["OPEN 0", "HALF_OPEN 1"])
    })))
})

describe("graphs", () => {
  scenario(
    "of two processes share what they learn, with the usual events and results",
    (run) =>
      withStore(Effect.gen(function*() {
        const [one, two] = [yield* registry(), yield* registry()]
        let healthy = false
        const make = () => {
          const g = fan({
            b: [() => healthy ? Effect.succeed({ v: "served" }) : boom("down"), {
              circuitBreaker: { key: "backend", failureThreshold: 2, resetTimeout: 1000 },
              retry: { maxRetries: 1, baseDelay: 0 }
            }]
          })
          return g
        }
        const [a, b] = [make(), make()]
        const as = (shared: Registry) => Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, shared)
        const first = yield* (yield* endOf(as(one)(eventsOf(a.graph, { n: 1 })), 100)).exit
        assert.deepStrictEqual(
          first.events.flatMap((event) => event._tag === "CircuitStateChanged" ? [`${event.from}->${event.to}`] : []),
          ["CLOSED->OPEN"]
        )
        assert.deepInclude(a.result("b"), { _tag: "Failure", attempts: 2, circuitState: "OPEN" })
        yield* endOf(as(two)(run(b.graph, { n: 1 })), 100)
        assert.deepInclude(b.result("b"), { _tag: "Rejected", attempts: 0, circuitState: "OPEN" })
        healthy = true
        yield* TestClock.adjust(1000)
        yield* endOf(as(two)(run(b.graph, { n: 1 })), 100)
        assert.deepInclude(b.result("b"), { _tag: "Success", attempts: 1, circuitState: "CLOSED" })
        assert.deepStrictEqual(yield* as(one)(a.graph.circuitStates), [
          { key: "backend", state: "CLOSED", failureCount: 0, probes: 0 }
        ])
      }))
  )
})
