/** While one flow waits for somebody, everything else of the run goes on, and the run ends when nothing else can. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { Bulkhead, CircuitBreakerRegistry, type ParallelConfig, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import {
  asks,
  bad,
  completed,
  failed,
  joined,
  questions,
  settle,
  slow,
  State,
  step,
  suspended,
  threaded
} from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

/** Flows `x` and `y` that ask, and a node that takes its time. */
const fan = (ran: Array<string>, config: { readonly [branch: string]: StateGraph.EdgeConfig }, ms = 1000) =>
  make()
    .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y")).addNode("z", slow(ran, "z", ms)).addNode(
      "z2",
      slow(ran, "z2", ms)
    )
    .addFanInNode("join", joined)
    .addParallelEdge(StateGraph.START, "x", "join", config["x"])
    .addParallelEdge(StateGraph.START, "y", "join", config["y"])
    .addParallelEdge(StateGraph.START, "z", "join", config["z"])
    .addEdge("z", "z2")
    .setFinishPoint("join").compile()

const all = (config: StateGraph.EdgeConfig) => ({ x: config, y: config, z: config })

describe("while a flow waits for somebody", () => {
  threaded("its siblings finish first, and their results are kept", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = fan(ran, {})
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual(questions(first), ["x/ok", "y/ok"])
      assert.strictEqual(first.at, 2000)
      const second = yield* drive.resume(graph, { answers: { "x/ok": 1 } })
      assert.deepStrictEqual(questions(second), ["y/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { "y/ok": 2 } })).log, [
        "x Success x=1",
        "y Success y=2",
        "z Success z,z2"
      ])
      assert.deepStrictEqual(ran, ["x?", "y?", "z", "z2", "x?", "x", "y?", "y"])
    }))

  threaded("a sibling is retried", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("x", asks(ran, "x"))
        .addNode("z", (_, { attempt }) =>
          Effect.suspend(() => {
            ran.push(`z${attempt}`)
            return attempt < 3 ? bad("once more") : Effect.succeed({ log: ["z"] })
          }))
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join")
        .addParallelEdge(StateGraph.START, "z", "join", { retry: { maxRetries: 2, baseDelay: 1000 } })
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["x/ok"], 3000])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, [
        "x Success x=1",
        "z Success z"
      ])
      assert.deepStrictEqual(ran, ["x?", "z1", "z2", "z3", "x?", "x"])
    }))

  for (const concurrency of [1, 2]) {
    threaded(`it gives its place back (concurrency ${concurrency})`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = fan(ran, all({ concurrency }))
        const first = yield* drive.begin(graph)
        assert.deepStrictEqual([questions(first), first.at], [["x/ok", "y/ok"], 2000])
        const second = yield* drive.resume(graph, { answers: { "y/ok": 1 } })
        assert.deepStrictEqual(questions(second), ["x/ok"])
        completed(yield* drive.resume(graph, { answers: { "x/ok": 1 } }))
        assert.deepStrictEqual(ran, ["x?", "y?", "z", "z2", "y?", "y", "x?", "x"])
      }))
  }

  threaded("it gives the permit of a shared limit back, also to other runs", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = fan(ran, all({ limit: { key: "one", permits: 1 } }))
      const bulkheads = yield* Bulkhead.CurrentBulkheads
      const fiber = yield* drive.start(graph)
      yield* settle
      assert.deepStrictEqual(ran, ["x?", "y?"])
      const other = Effect.as(Effect.delay(Effect.void, 10), "other").pipe(
        Bulkhead.withLimit({ key: "one", permits: 1 })
      )
      const waiting = yield* Effect.forkChild(other, { startImmediately: true })
      yield* TestClock.adjust(5000)
      assert.strictEqual(yield* Fiber.join(waiting), "other")
      const first = yield* Fiber.join(fiber)
      assert.deepStrictEqual([questions(first), first.at], [["x/ok", "y/ok"], 2000])
      assert.deepStrictEqual(bulkheads.states, [])
      completed(yield* drive.resume(graph, { answers: { "x/ok": 1, "y/ok": 1 } }))
    }))

  threaded("a guarded node gives its permit back, alone and as a graph", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const limit = { key: "one", permits: 1 }
      const inner = make("inner").addNode("ask", asks(ran, "ask")).setEntryPoint("ask").setFinishPoint("ask").compile()
      const graph = make()
        .addNode("x", asks(ran, "x"), { limit })
        .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state, limit })
        .addNode("z", slow(ran, "z", 1000), { limit })
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join")
        .addParallelEdge(StateGraph.START, "sub", "join")
        .addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["x/ok", "sub/ok"], 1000])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { "x/ok": 1, "sub/ok": 2 } })).log, [
        "x Success x=1",
        "sub Success ask=2",
        "z Success z"
      ])
      assert.deepStrictEqual((yield* Bulkhead.CurrentBulkheads).states, [])
    }))

  threaded("a flow whose own flows all wait gives its place and its permit back", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("outer").addNode("ask", asks(ran, "ask")).addNode("z", slow(ran, "z", 1000))
        .addFanInNode("inner", joined).addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "outer", "join", { concurrency: 1, limit: { key: "one", permits: 1 } })
        .addParallelEdge("outer", "ask", "inner")
        .addParallelEdge(StateGraph.START, "z", "join", { limit: { key: "one", permits: 1 } })
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["outer/ask/ok"], 1000])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, [
        "outer Success outer/ask Success ask=1",
        "z Success z"
      ])
    }))

  const timed: Record<string, StateGraph.EdgeConfig> = {
    "the timeout": { timeout: 100 },
    "the total timeout": { totalTimeout: 100 },
    "the timeout, with a retry,": { timeout: 100, retry: { maxRetries: 5 } }
  }
  for (const [name, config] of Object.entries(timed)) {
    threaded(`${name} of its flow does not run, nor while the run is stopped`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x0", slow(ran, "x0", 60)).addNode("x", asks(ran, "x")).addNode("x1", slow(ran, "x1", 40))
          .addNode("z", slow(ran, "z", 3_600_000))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x0", "join", config)
          .addEdge("x0", "x").addEdge("x", "x1")
          .addParallelEdge(StateGraph.START, "z", "join")
          .setFinishPoint("join").compile()
        const first = yield* drive.begin(graph, {}, undefined, 4_000_000)
        assert.deepStrictEqual([questions(first), first.at], [["x0/ok"], 3_600_000])
        yield* TestClock.adjust("10 days")
        const now = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
        // 60 of the 100 ms are over, and 40 are just enough.
        const last = yield* drive.resume(graph, { answers: { ok: 1 } })
        assert.deepStrictEqual(completed(last).log, ["x0 Success x0,x=1,x1", "z Success z"])
        assert.strictEqual(last.at, now + 40)
      }))

    threaded(`${name} of its flow goes on after the answer`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x0", slow(ran, "x0", 60)).addNode("x", asks(ran, "x")).addNode("x1", slow(ran, "x1", 41))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x0", "join", { ...config, retry: false })
          .addEdge("x0", "x").addEdge("x", "x1")
          .setFinishPoint("join").compile()
        const first = yield* drive.begin(graph)
        assert.deepStrictEqual([questions(first), first.at], [["x0/ok"], 60])
        const now = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
        const last = yield* drive.resume(graph, { answers: { ok: 1 } })
        assert.deepStrictEqual(completed(last).log, ["x0 Timeout x0,x=1"])
        assert.strictEqual(last.at, now + 40)
      }))
  }

  threaded("the timeouts of everything around it do not run either", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const inner = make("inner")
        .addNode("ask", asks(ran, "ask")).addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "ask", "join", { timeout: 100 })
        .setFinishPoint("join").compile()
      const graph = make()
        .addNode("outer").addNode("z", slow(ran, "z", 5000))
        .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state, timeout: 100 })
        .addNode("x", asks(ran, "x"), { timeout: 100 })
        .addFanInNode("deep", joined).addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "outer", "join", { timeout: 100, totalTimeout: 100 })
        .addParallelEdge("outer", "sub", "deep", { timeout: 100 })
        .addParallelEdge("outer", "x", "deep", { timeout: 100 })
        .addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["outer/sub/sub/ask/ok", "outer/x/ok"], 5000])
      const second = yield* drive.resume(graph, { answers: { "outer/x/ok": 1 } })
      assert.deepStrictEqual(questions(second), ["outer/sub/sub/ask/ok"])
      completed(yield* drive.resume(graph, { answers: { ok: 1 } }))
    }))

  threaded(
    "the timeout of a graph as a node does not run on the main line, beside flows that do",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const inner = make("inner").addNode("ask", asks(ran, "ask")).setEntryPoint("ask").setFinishPoint("ask")
          .compile()
        const graph = make()
          .addNode("a", step(ran, "a")).addNode("z", slow(ran, "z", 5000))
          .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state, timeout: 100 })
          .addFanInNode("join", joined)
          .setEntryPoint("a").addEdge("a", "sub").addEdge("sub", "join")
          .addParallelEdge("a", "z", "join")
          .setFinishPoint("join").compile()
        const first = yield* drive.begin(graph)
        assert.deepStrictEqual([questions(first), first.at], [["ok"], 5000])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, ["z Success a,z"])
      })
  )

  threaded("a completion rule that is met cuts it", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y")).addNode("z", slow(ran, "z", 1000))
        .addFanInNode("join", joined, { completion: { minSuccessful: 1 } })
        .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "y", "join", {
          retry: { maxRetries: 2 }
        })
        .addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile()
      const last = yield* drive.begin(graph)
      assert.deepStrictEqual(completed(last).log, ["x Interrupted ", "y Interrupted ", "z Success z"])
      assert.strictEqual(last.at, 1000)
    }))

  threaded("a rule is met by an answer, and by the time that it waits for", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = (completion: { readonly minSuccessful: number } | { readonly within: number }) =>
        make()
          .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y")).addNode("z", slow(ran, "z", 1000))
          .addFanInNode("join", joined, { completion })
          .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "y", "join")
          .addParallelEdge(StateGraph.START, "z", "join")
          .setFinishPoint("join").compile()
      const two = graph({ minSuccessful: 2 })
      assert.deepStrictEqual(questions(yield* drive.begin(two)), ["x/ok", "y/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(two, { answers: { "y/ok": 1 } })).log, [
        "x Interrupted ",
        "y Success y=1",
        "z Success z"
      ])
      const now = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
      const cut = yield* drive.begin(graph({ within: 500 }), { thread: "u" })
      assert.deepStrictEqual(completed(cut).log, ["x Interrupted ", "y Interrupted ", "z Interrupted "])
      assert.strictEqual(cut.at, now + 500)
      // Nothing but waiting is left before its time is up: that time does not run while the run is stopped.
      const later = graph({ within: 1500 })
      const first = yield* drive.begin(later, { thread: "v" })
      assert.deepStrictEqual(questions(first), ["x/ok", "y/ok"])
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(questions(yield* drive.resume(later, { answers: { "x/ok": 1 } }, "v")), ["y/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(later, { answers: { ok: 2 } }, "v")).log, [
        "x Success x=1",
        "y Success y=2",
        "z Success z"
      ])
    }))

  threaded(
    "a sibling that fails fast fails the run, and its question is open after a resume",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        let broken = true
        const graph = make()
          .addNode("x", asks(ran, "x"))
          .addNode(
            "z",
            () => Effect.delay(Effect.suspend(() => broken ? bad("no") : Effect.succeed({ log: ["z"] })), 1000)
          )
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join")
          .addParallelEdge(StateGraph.START, "z", "join", { failFast: true })
          .setFinishPoint("join").compile()
        const first = yield* drive.begin(graph)
        assert.strictEqual((failed(first) as { readonly _tag: string })._tag, "FailFastError")
        assert.strictEqual(first.at, 1000)
        broken = false
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["x/ok"])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, [
          "x Success x=1",
          "z Success z"
        ])
      })
  )

  threaded(
    "the main line that asks waits while flows still run, and is asked again with them settled",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("a", step(ran, "a")).addNode("b", asks(ran, "b")).addNode("z", slow(ran, "z", 1000))
          .addFanInNode("join", joined)
          .setEntryPoint("a").addEdge("a", "b").addEdge("b", "join")
          .addParallelEdge("a", "z", "join").setFinishPoint("join").compile()
        const first = yield* drive.begin(graph)
        assert.deepStrictEqual([questions(first), first.at], [["ok"], 1000])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, ["z Success a,z"])
        assert.deepStrictEqual(ran, ["a", "b?", "z", "b?", "b"])
      })
  )

  threaded("the items of a map go on being taken", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("each", (state, { item }) =>
          item % 2 === 0 ? asks(ran, `${item}`)(state) : slow(ran, `${item}`, 10)(state), {
          item: Schema.Number
        })
        .addFanInNode("join", joined)
        .addParallelMap(StateGraph.START, "each", "join", { items: () => [0, 1, 2, 3, 4, 5], concurrency: 1 })
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["each[0]/ok", "each[2]/ok", "each[4]/ok"], 30])
      assert.deepStrictEqual(ran, ["0?", "1", "2?", "3", "4?", "5"])
      const answers = { "each[0]/ok": 1, "each[2]/ok": 1, "each[4]/ok": 1 }
      assert.strictEqual(completed(yield* drive.resume(graph, { answers })).log.length, 6)
    }))
})

describe("the circuit of a flow that waits for somebody", () => {
  const probing = (ran: Array<string>, circuitBreaker: ParallelConfig.Input["circuitBreaker"]) =>
    make()
      .addNode("x", (state) => ran.includes("open") ? asks(ran, "x")(state) : bad("down"))
      .addNode("z", slow(ran, "z", 50))
      .addFanInNode("join", joined)
      .addParallelEdge(StateGraph.START, "x", "join", { circuitBreaker })
      .addParallelEdge(StateGraph.START, "z", "join")
      .setFinishPoint("join").compile()

  threaded("has its probe's slot back", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = probing(ran, { key: "k", failureThreshold: 1, resetTimeout: 1000, probeTimeout: "1 hour" })
      completed(yield* drive.begin(graph, { thread: "other" }))
      ran.push("open")
      yield* TestClock.adjust(1000)
      const fiber = yield* drive.start(graph)
      yield* settle
      const registry = yield* Effect.serviceOption(CircuitBreakerRegistry.CircuitBreakerRegistry)
      assert.strictEqual(registry._tag, "None")
      const [circuit] = yield* graph.circuitStates
      assert.deepStrictEqual([circuit?.state, circuit?.probes, circuit?.failureCount], ["HALF_OPEN", 0, 1])
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(questions(yield* Fiber.join(fiber)), ["x/ok"])
      const [after] = yield* graph.circuitStates
      assert.deepStrictEqual([after?.state, after?.probes], ["HALF_OPEN", 0])
      // With the answer it is a probe again, and closes the circuit.
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, [
        "x Success x=1",
        "z Success z"
      ])
      assert.strictEqual((yield* graph.circuitStates)[0]?.state, "CLOSED")
    }))

  threaded("that opens meanwhile does not take its question away", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const circuitBreaker = { key: "shared", failureThreshold: 1, resetTimeout: "10 days" } as const
      const graph = make()
        .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y")).addNode("z", () => Effect.delay(bad("down"), 50))
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join", { circuitBreaker })
        .addParallelEdge(StateGraph.START, "y", "join", { circuitBreaker })
        .addParallelEdge(StateGraph.START, "z", "join", { circuitBreaker })
        .setFinishPoint("join").compile()
      const first = yield* drive.begin(graph)
      assert.deepStrictEqual([questions(first), first.at], [["x/ok", "y/ok"], 50])
      assert.strictEqual((yield* graph.circuitStates)[0]?.state, "OPEN")
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { "y/ok": 1 } })), ["x/ok"])
      // Both had been admitted before it opened.
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, [
        "x Success x=2",
        "y Success y=1",
        "z Failure "
      ])
      assert.strictEqual((yield* graph.circuitStates)[0]?.state, "OPEN")
    }))

  threaded("a limit that is full does not take its question away", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const limit = { key: "two", permits: 2, queue: 0 } as const
      const graph = make()
        .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y"))
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join", { limit }).addParallelEdge(StateGraph.START, "y", "join", {
          limit
        })
        .setFinishPoint("join").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["x/ok", "y/ok"])
      const others = Effect.all([1, 2].map(() => Effect.sleep(30).pipe(Bulkhead.withLimit(limit))), { concurrency: 2 })
      const busy = yield* Effect.forkChild(others, { startImmediately: true })
      const now = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
      const fiber = yield* drive.startResume(graph, { answers: { "y/ok": 1 } })
      yield* settle
      yield* TestClock.adjust(100)
      const second = yield* Fiber.join(fiber)
      assert.deepStrictEqual([questions(second), second.at], [["x/ok"], now + 30])
      yield* Fiber.join(busy)
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, [
        "x Success x=2",
        "y Success y=1"
      ])
    }))
})

describe("a circuit of a flow that is not run again", () => {
  threaded("is kept from checkpoint to checkpoint", (drive) =>
    Effect.gen(function*() {
      // Each time another process: a registry of its own, that knows no circuits.
      const graphOf = (ran: Array<string>) =>
        make()
          .addNode("each", (state, { item }) => item === "down" ? bad("down") : asks(ran, item)(state), {
            item: Schema.String
          })
          .addFanInNode("join", joined)
          .addParallelMap(StateGraph.START, "each", "join", {
            items: () => ["down", "p", "q"],
            key: (item) => item,
            circuitBreaker: { key: (item) => `of ${item}`, failureThreshold: 1, resetTimeout: "10 days" }
          })
          .setFinishPoint("join").compile()
      const isolated = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.provide(self, Layer.fresh(CircuitBreakerRegistry.layerMemory))
      yield* isolated(drive.begin(graphOf([])))
      yield* isolated(drive.resume(graphOf([]), { answers: { "each[p]/ok": 1 } }))
      yield* isolated(Effect.gen(function*() {
        const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
        completed(yield* drive.resume(graphOf([]), { answers: { ok: 1 } }))
        assert.strictEqual((yield* registry.state("of down")).state, "OPEN")
      }))
    }))
})

describe("a question and other fibers of its node", () => {
  threaded("timeouts inside of the node, and races, are stopped with it", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("x", (state) => Effect.raceFirst(Effect.timeout(asks(ran, "x")(state), 10), Effect.never))
        .addNode("z", slow(ran, "z", 1000))
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "z", "join")
        .setFinishPoint("join").compile()
      assert.deepStrictEqual(suspended(yield* drive.begin(graph)).at, 1000)
      completed(yield* drive.resume(graph, { answers: { ok: 1 } }))
      assert.deepStrictEqual(ran, ["x?", "z", "x?", "x"])
    }))
})
