/** Graphs of unusual shape, all by the same code. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Schema, Scope } from "effect"
import { GraphError, StateGraph } from "effect-stategraph"
import { boom, fan } from "./support/fan.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"

const State = Schema.Struct({
  n: Schema.Number,
  log: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})
type State = typeof State.Type

const note = (name: string) => ({ log, n }: State) => ({ n: n + 1, log: [...log, name] })
const joinLogs = (
  name: string
) =>
({ log }: State, { parallelResults }: { readonly parallelResults: ReadonlyArray<{ readonly state: State }> }) => ({
  log: [...log, `${name}(${parallelResults.map(({ state }) => state.log.slice(log.length).join(">")).join(" ")})`]
})

describe("fan-outs in fan-outs", () => {
  scenario("nest three deep", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("nested", State)
        .addNode("a", note("a"))
        .addNode("b", note("b"))
        .addNode("c1", (state, { branch }) => Effect.succeed(note(`c1@${branch}`)(state)))
        .addNode("c2", (state, { branch }) => Effect.delay(Effect.succeed(note(`c2@${branch}`)(state)), 10))
        .addNode("b2", note("b2"))
        .addFanInNode("j3", joinLogs("j3"))
        .addFanInNode("j2", joinLogs("j2"))
        .addFanInNode("j1", joinLogs("j1"))
        .addParallelEdge(StateGraph.START, "a", "j1")
        .addParallelEdge("a", "b", "j2")
        .addParallelEdge("a", "b2", "j2")
        .addParallelEdge("b", "c1", "j3")
        .addParallelEdge("b", "c2", "j3")
        .setFinishPoint("j1")
        .compile()
      const { exit } = yield* endOf(run(graph, { n: 0 }))
      assert.deepStrictEqual((yield* exit).log, ["j1(a>j2(b>j3(c1@a/b/c1 c2@a/b/c2) b2))"])
    }))

  scenario("start from a fan-in", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("again", State)
        .addNode("a", note("a"))
        .addNode("b", note("b"))
        .addNode("c", note("c"))
        .addFanInNode("first", joinLogs("first"))
        .addFanInNode("second", joinLogs("second"))
        .addParallelEdge(StateGraph.START, "a", "first")
        .addParallelEdge("first", "b", "second")
        .addParallelEdge("first", "c", "second")
        .setFinishPoint("second")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["first(a)", "second(b c)"])
    }))

  scenario("fail as one flow when they fail fast, and that flow is retried", (run) =>
    Effect.gen(function*() {
      let tries = 0
      const graph = StateGraph.make("nested", State)
        .addNode("outer", note("outer"))
        .addNode("inner", () => Effect.suspend(() => ++tries === 1 ? boom("once") : Effect.succeed({ n: 5 })))
        .addFanInNode("j2", joinLogs("j2"))
        .addFanInNode("j1", (_state, { parallelResults: [result] }) => ({
          log: [`${result!._tag} after ${result!.attempts}`, ...result!.state.log]
        }))
        .addParallelEdge(StateGraph.START, "outer", "j1", { retry: { maxRetries: 1, baseDelay: 0 } })
        .addParallelEdge("outer", "inner", "j2", { failFast: true })
        .setFinishPoint("j1")
        .compile()
      const { exit } = yield* endOf(run(graph, { n: 0 }))
      assert.deepStrictEqual((yield* exit).log, ["Success after 2", "outer", "j2()"])
    }))
})

describe("fan-ins", () => {
  scenario(
    "of one node are joined one after the other, in the order of their declaration",
    (run) =>
      Effect.gen(function*() {
        const graph = StateGraph.make("two", State)
          .addNode("a", note("a"))
          .addNode("slow", () => Effect.sleep(100))
          .addNode("fast", () => Effect.sleep(1))
          .addFanInNode("first", joinLogs("first"))
          .addFanInNode("second", joinLogs("second"))
          .setEntryPoint("a")
          .addParallelEdge("a", "fast", "second")
          .addParallelEdge("a", "slow", "first")
          .setFinishPoint("second")
          .compile()
        const { at, exit } = yield* endOf(run(graph, { n: 0 }))
        assert.strictEqual(at, 100)
        assert.deepStrictEqual((yield* exit).log, ["a", "first()", "second()"])
      })
  )

  scenario("reached with nothing pending run with an empty list", (run) =>
    Effect.gen(function*() {
      const skipping = StateGraph.make("empty", State)
        .addNode("a")
        .addNode("b")
        .addNode("flow", note("flow"))
        .addFanInNode("join", ({ log }, { parallelResults }) => ({ log: [...log, `joined ${parallelResults.length}`] }))
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n > 5 ? "skip" : "go", { skip: "join", go: "b" })
        .addParallelEdge("b", "flow", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual((yield* run(skipping, { n: 9 })).log, ["joined 0"])
      assert.deepStrictEqual((yield* run(skipping, { n: 1 })).log, ["joined 1"])
    }))

  scenario("join a flow that reaches the end, as a success", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("ends", State)
        .addNode("a", note("a"))
        .addNode("b", note("b"))
        .addFanInNode("join", joinLogs("join"))
        .addParallelEdge(StateGraph.START, "a", "join")
        .addConditionalEdges("a", ({ n }) => n > 5 ? "end" : "on", { end: StateGraph.END, on: "b" })
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 9 })).log, ["join(a)"])
      assert.deepStrictEqual((yield* run(graph, { n: 1 })).log, ["join(a>b)"])
    }))

  scenario("get results by launch, then declaration, whatever ended first", (run) =>
    Effect.gen(function*() {
      const delays = [30, 10, 20, 0, 25]
      const g = fan(Object.fromEntries(delays.map((ms, i) => [`b${i}`, () => Effect.sleep(ms)])))
      yield* endOf(run(g.graph, { n: 0 }))
      assert.deepStrictEqual(g.results.map(({ branch }) => branch), ["b0", "b1", "b2", "b3", "b4"])
    }))
})

describe("flows", () => {
  scenario(
    "do not wait for each other: a fast one is in its second node while a slow one is in its first",
    (run) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const graph = StateGraph.make("free", State)
          .addNode("slow", (state) => Effect.as(Deferred.await(gate), note("slow")(state)))
          .addNode("fast1", note("fast1"))
          .addNode("fast2", (state) => Effect.as(Deferred.succeed(gate, undefined), note("fast2")(state)))
          .addFanInNode("join", joinLogs("join"))
          .addParallelEdge(StateGraph.START, "slow", "join")
          .addParallelEdge(StateGraph.START, "fast1", "join")
          .addEdge("fast1", "fast2")
          .setFinishPoint("join")
          .compile()
        assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["join(slow fast1>fast2)"])
      })
  )

  scenario("of five nodes can loop and decide", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("long", State)
        .addNode("one", note("1"))
        .addNode("two", note("2"))
        .addNode("three", note("3"))
        .addNode("four", note("4"))
        .addNode("five", note("5"))
        .addFanInNode("join", joinLogs("join"))
        .addParallelEdge(StateGraph.START, "one", "join")
        .addEdge("one", "two")
        .addEdge("two", "three")
        .addConditionalEdges("three", ({ n }) => n < 6 ? "again" : "on", { again: "two", on: "four" })
        .addEdge("four", "five")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["join(1>2>3>2>3>2>3>4>5)"])
    }))

  scenario("run in 11 rounds of a loop without growth", (run) =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const keys = new Set<string>()
      const graph = StateGraph.make("rounds", State)
        .addNode("start")
        .addNode("a", (_state, { idempotencyKey }) => void keys.add(idempotencyKey))
        .addNode("b")
        .addNode("c", note("c"))
        .addFanInNode("join", ({ n }, { parallelResults }) => {
          seen.push(parallelResults.length)
          return { n: n + 1 }
        })
        .setEntryPoint("start")
        .addParallelEdge("start", "a", "join")
        .addParallelEdge("start", "b", "join")
        .addParallelEdge("start", "c", "join")
        .addConditionalEdges("join", ({ n }) => n < 11 ? "again" : "done", { again: "start", done: StateGraph.END })
        .compile()
      assert.deepStrictEqual(yield* run(graph, { n: 0 }), { n: 11, log: [] })
      assert.deepStrictEqual(seen, Array.from({ length: 11 }, () => 3))
      assert.strictEqual(keys.size, 11)
    }))

  scenario("number 10,000 in one fan-out", (run) =>
    Effect.gen(function*() {
      const g = fan(
        Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [
          `b${i}`,
          () => i % 100 === 0 ? boom("down") : Effect.as(Effect.yieldNow, { v: i })
        ]))
      )
      yield* run(g.graph, { n: 0 })
      assert.strictEqual(g.results.length, 10_000)
      assert.strictEqual(g.results.filter(({ success }) => !success).length, 100)
      g.results.forEach((result, i) => {
        assert.strictEqual(result.branch, `b${i}`)
        if (result.success) assert.strictEqual(result.state.v, i)
      })
    }))
})

describe("a state", () => {
  scenario("that looks like an error is only data", (run) =>
    Effect.gen(function*() {
      const g = fan({ a: () => ({ v: { type: "error", _tag: "Failure", error: "not one" } }) })
      yield* run(g.graph, { n: 0 })
      assert.strictEqual(g.result("a")._tag, "Success")
      assert.deepStrictEqual(g.result("a").get("v"), { type: "error", _tag: "Failure", error: "not one" })
    }))

  scenario("is never changed by the library, and flows share it", (run) =>
    Effect.gen(function*() {
      const shared = Object.freeze({ deep: Object.freeze({ value: 1 }) })
      const seen: Array<unknown> = []
      const g = fan({ a: ({ v }) => void seen.push(v), b: ({ v }) => void seen.push(v) })
      const out = yield* run(g.graph, { n: 0, v: shared })
      assert.strictEqual(out.v, shared)
      assert.isTrue(seen.every((v) => v === shared))
      assert.strictEqual(seen.length, 2)
    }))

  scenario("loses an optional key that an update sets to undefined", (run) =>
    Effect.gen(function*() {
      const g = fan({ a: () => ({ v: undefined }) }, { join: () => ({ v: undefined }) })
      assert.deepStrictEqual(yield* run(g.graph, { n: 0, v: 1 }), { n: 0 })
      assert.isFalse("v" in g.result("a").state)
    }))
})

describe("a configuration", () => {
  scenario("that is changed after compile changes nothing", (run) =>
    Effect.gen(function*() {
      const retry = { maxRetries: 1, baseDelay: 10 }
      const config = { timeout: 20, retry }
      const g = fan({ a: [() => Effect.never, config] }, { graph: config, compile: config })
      config.timeout = 5000
      retry.maxRetries = 9
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 50)
      assert.deepInclude(g.result("a"), { _tag: "Timeout", attempts: 2, timeoutMs: 20 })
    }))

  it("of a builder is a value: adding to it leaves the old one as it was", () => {
    const one = StateGraph.make("values", State).addNode("a", note("a")).setEntryPoint("a")
    const two = one.addNode("b", note("b")).addEdge("a", "b").setFinishPoint("b")
    const ends = one.setFinishPoint("a")
    assert.deepStrictEqual(ends.compile().diagram.nodes.map(({ name }) => name), ["a"])
    assert.deepStrictEqual(two.compile().diagram.nodes.map(({ name }) => name), ["a", "b"])
  })
})

describe("a line", () => {
  scenario("of more steps than allowed fails with its limit", (run) =>
    Effect.gen(function*() {
      const loop = (maxSteps: number | "unbounded") =>
        StateGraph.make("loop", State)
          .addNode("a", ({ n }) => ({ n: n + 1 }))
          .setEntryPoint("a")
          .addConditionalEdges("a", ({ n }) => n < 2000 ? "again" : "done", { again: "a", done: StateGraph.END })
          .compile({ maxSteps })
      const error = yield* Effect.flip(run(loop(10), { n: 0 }))
      assert.instanceOf(error, GraphError.StepLimitError)
      assert.deepInclude(error, { graph: "loop", node: "a", limit: 10 })
      assert.strictEqual((yield* run(loop(2000), { n: 0 })).n, 2000)
      assert.strictEqual((yield* run(loop("unbounded"), { n: 0 })).n, 2000)
    }))

  scenario("of a flow has its own steps, and exceeding them fails that flow", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("loop", State)
        .addNode("a", ({ n }) => ({ n: n + 1 }))
        .addFanInNode("join", (_state, { parallelResults: [result] }) => ({
          log: [result!._tag === "Failure" ? result!.errorType : result!._tag]
        }))
        .addParallelEdge(StateGraph.START, "a", "join")
        .addConditionalEdges("a", ({ n }) => n < 20 ? "again" : "done", { again: "a", done: "join" })
        .setFinishPoint("join")
        .compile({ maxSteps: 10 })
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["StepLimitError"])
      assert.deepStrictEqual((yield* run(graph, { n: 15 })).log, ["Success"])
    }))

  scenario("goes where its condition says, which is asked once", (run) =>
    Effect.gen(function*() {
      let asked = 0
      type Decide = (state: State) => Effect.Effect<"x", string>
      const graph = (decide: (state: State) => unknown) =>
        StateGraph.make("decides", State)
          .addNode("a", note("a"))
          .setEntryPoint("a")
          .addConditionalEdges(
            "a",
            ((state) => {
              asked++
              return decide(state)
            }) as Decide,
            { x: StateGraph.END }
          )
          .compile()
      const end = (decide: (state: State) => unknown) => Effect.exit(run(graph(decide), { n: 0 }))
      assert.isTrue(Exit.isSuccess(yield* end(() => "x")))
      assert.strictEqual(asked, 1)
      const unmapped = yield* Effect.flip(run(graph(() => "y"), { n: 0 }))
      assert.instanceOf(unmapped, GraphError.RoutingError)
      assert.include((unmapped as GraphError.RoutingError).message, `"y"`)
      assert.include((unmapped as GraphError.RoutingError).message, "x")
      assert.strictEqual(yield* Effect.flip(run(graph(() => Effect.fail("own error")), { n: 0 })), "own error")
      const thrown = yield* end(() => {
        throw new RangeError("bug")
      })
      assert.isTrue(Exit.isFailure(thrown) && thrown.cause.reasons.some((reason) => reason._tag === "Die"))
      assert.strictEqual(asked, 4)
    }))

  scenario("fails with the error of its failing node, unwrapped", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("fails", State)
        .addNode("a", () => boom("own"))
        .setEntryPoint("a")
        .setFinishPoint("a")
        .compile()
      const error = yield* Effect.flip(run(graph, { n: 0 }))
      assert.deepInclude(error, { _tag: "Boom", message: "own" })
    }))
})

describe("a node", () => {
  scenario(
    "has a scope of its own, closed when it ends, and takes its children with it",
    (run) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const graph = StateGraph.make("scoped", State)
          .addNode("a", () =>
            Effect.gen(function*() {
              yield* Effect.addFinalizer(() => Effect.sync(() => void log.push("closed")))
              yield* Effect.forkChild(
                Effect.onInterrupt(Effect.never, () => Effect.sync(() => void log.push("child"))),
                {
                  startImmediately: true
                }
              )
              const scope = yield* Scope.Scope
              log.push(scope.state._tag)
            }))
          .addNode("b", () => void log.push("b"))
          .setEntryPoint("a")
          .addEdge("a", "b")
          .setFinishPoint("b")
          .compile()
        yield* run(graph, { n: 0 })
        assert.deepStrictEqual(log.slice(0, 1), ["Open"])
        assert.sameMembers(log.slice(1, 3), ["closed", "child"])
        assert.deepStrictEqual(log.slice(3), ["b"])
      })
  )

  scenario("tells helpers deep in the stack where they are", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const helper = Effect.gen(function*() {
        const node = yield* StateGraph.CurrentNode
        seen.push(`${node?.graph} ${node?.node} ${node?.branch} ${node?.attempt} ${node?.runId}`)
      })
      const graph = StateGraph.make("deep", State)
        .addNode("a", () => helper)
        .addNode("b", (_state, { attempt }) => Effect.andThen(helper, attempt === 1 ? boom("once") : Effect.void))
        .addFanInNode("join")
        .setEntryPoint("a")
        .addParallelEdge("a", "b", "join", { retry: { maxRetries: 1, baseDelay: 0 } })
        .setFinishPoint("join")
        .compile()
      yield* endOf(run(graph, { n: 0 }, { runId: "r" }))
      assert.deepStrictEqual(seen, ["deep a undefined 1 r", "deep b b 1 r", "deep b b 2 r"])
    }))

  scenario(
    "has one idempotency key for all attempts of a visit, and another in the next round",
    (run) =>
      Effect.gen(function*() {
        const keys: Array<string> = []
        const graph = StateGraph.make("keys", State)
          .addNode("main", ({ n }, { idempotencyKey }) => {
            keys.push(idempotencyKey)
            return { n: n + 1 }
          })
          .addNode("flow", (_state, { attempt, idempotencyKey }) => {
            keys.push(idempotencyKey)
            return attempt === 1 ? boom("once") : Effect.void
          })
          .addFanInNode("join")
          .setEntryPoint("main")
          .addParallelEdge("main", "flow", "join", { retry: { maxRetries: 1, baseDelay: 0 } })
          .addConditionalEdges("join", ({ n }) => n < 2 ? "again" : "done", { again: "main", done: StateGraph.END })
          .compile()
        yield* endOf(run(graph, { n: 0 }, { runId: "r" }))
        const [main1, flow1, flow1again, main2, flow2, flow2again] = keys
        assert.strictEqual(keys.length, 6)
        assert.strictEqual(flow1, flow1again)
        assert.strictEqual(flow2, flow2again)
        assert.strictEqual(new Set([main1, main2, flow1, flow2]).size, 4)
        const first = [...keys]
        keys.length = 0
        yield* endOf(run(graph, { n: 0 }, { runId: "r" }))
        assert.deepStrictEqual(keys, first)
      })
  )
})

describe("a stream", () => {
  it.effect("and invoke are the same run, whoever listens", () =>
    Effect.gen(function*() {
      const g = fan({ a: () => Effect.sleep(10), b: () => boom("down") })
      const { exit } = yield* endOf(eventsOf(g.graph, { n: 0 }))
      const { events } = yield* exit
      const last = events.at(-1)!
      assert.deepStrictEqual(last._tag === "GraphCompleted" && last.state, { n: 0 })
      const streamed = g.results
      yield* endOf(g.graph.invoke({ n: 0 }))
      assert.deepStrictEqual(
        g.results.map(({ _tag, branch, timingMs }) => ({ _tag, branch, timingMs })),
        streamed.map(({ _tag, branch, timingMs }) => ({ _tag, branch, timingMs }))
      )
    }))
})
