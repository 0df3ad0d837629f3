/** What a line of a graph may do: where it joins, what its conditions and steps may be, what its nodes are told. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Schema } from "effect"
import { GraphError, StateGraph } from "effect-stategraph"
import { boom, fan } from "./support/fan.ts"
import { endOf, scenario } from "./support/scenario.ts"

const State = Schema.Struct({
  n: Schema.Number,
  log: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})
type State = typeof State.Type

const note = (name: string) => ({ log, n }: State) => ({ n: n + 1, log: [...log, name] })
const quiet = Effect.provide(Logger.layer([]))

describe("fan-ins", () => {
  scenario(
    "of one node get each their own flows, the first declared first though it is slower",
    (run) =>
      Effect.gen(function*() {
        const slowly = (name: string, ms: number) => (state: State) =>
          Effect.delay(Effect.succeed(note(name)(state)), ms)
        const graph = StateGraph.make("two", State)
          .addNode("a")
          .addNode("x", slowly("x", 1))
          .addNode("y", slowly("y", 100))
          .addNode("z", slowly("z", 2))
          .addFanInNode("first", ({ log }, { parallelResults }) => ({
            log: [...log, `first: ${parallelResults.map(({ branch }) => branch).join()}`]
          }))
          .addFanInNode("second", ({ log }, { parallelResults }) => ({
            log: [...log, `second: ${parallelResults.map(({ branch }) => branch).join()}`]
          }))
          .setEntryPoint("a")
          .addParallelEdge("a", "x", "second")
          .addParallelEdge("a", "y", "first")
          .addParallelEdge("a", "z", "second")
          .setFinishPoint("second")
          .compile()
        const { at, exit } = yield* endOf(run(graph, { n: 0 }))
        assert.strictEqual(at, 100)
        assert.deepStrictEqual((yield* exit).log, ["first: y", "second: x,z"])
      })
  )

  scenario(
    "get the results of an earlier launch first, though its edge is declared later and it ends last",
    (run) =>
      Effect.gen(function*() {
        const branches: Array<ReadonlyArray<string>> = []
        const graph = StateGraph.make("launches", State)
          .addNode("one")
          .addNode("two")
          .addNode("early", () => Effect.sleep(100))
          .addNode("late1", () => Effect.sleep(20))
          .addNode("late2", () => Effect.sleep(10))
          .addFanInNode("join", (_state, { parallelResults }) => {
            branches.push(parallelResults.map(({ branch }) => branch))
          })
          .setEntryPoint("one")
          .addParallelEdge("two", "late1", "join")
          .addParallelEdge("two", "late2", "join")
          .addParallelEdge("one", "early", "join")
          .addEdge("one", "two")
          .addEdge("two", "join")
          .setFinishPoint("join")
          .compile()
        yield* endOf(run(graph, { n: 0 }))
        assert.deepStrictEqual(branches, [["early", "late1", "late2"]])
      })
  )

  scenario("have their results to themselves", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const look = (where: string) => (state: object, ctx: object) => {
        seen.push(`${where} ${"parallelResults" in ctx} ${"parallelResults" in state}`)
      }
      const graph = StateGraph.make("travel", State)
        .addNode("a", look("a"))
        .addNode("b", look("b"))
        .addNode("after", look("after"))
        .addFanInNode("join", look("join"))
        .addFanInNode("again", look("again"))
        .addParallelEdge(StateGraph.START, "a", "join")
        .addParallelEdge("join", "b", "again")
        .addEdge("join", "again")
        .addEdge("again", "after")
        .setFinishPoint("after")
        .compile()
      const out = yield* run(graph, { n: 0 })
      assert.deepStrictEqual(Object.keys(out).sort(), ["log", "n"])
      assert.deepStrictEqual(seen, [
        "a false false",
        "join true false",
        "b false false",
        "again true false",
        "after false false"
      ])
    }))
})

describe("flows", () => {
  scenario("whose condition goes wrong fail alone", (run) =>
    Effect.gen(function*() {
      let asked = 0
      const graph = StateGraph.make("routes", State)
        .addNode("unmapped", note("u"))
        .addNode("fails", note("f"))
        .addNode("throws", note("t"))
        .addNode("fine", note("ok"))
        .addFanInNode("join", (_state, { parallelResults }) => ({
          log: parallelResults.map((result) =>
            `${result.branch} ${
              result._tag === "Failure" ? `${result.errorType} at ${result.failedNode}` : result._tag
            } ${result.state.log.join()}`
          )
        }))
        .addParallelEdge(StateGraph.START, "unmapped", "join")
        .addParallelEdge(StateGraph.START, "fails", "join")
        .addParallelEdge(StateGraph.START, "throws", "join")
        .addParallelEdge(StateGraph.START, "fine", "join")
        .addConditionalEdges("unmapped", () => {
          asked++
          return "nowhere" as "x"
        }, { x: "join" })
        .addConditionalEdges("fails", () => {
          asked++
          return Effect.as(boom("own"), "x" as const)
        }, { x: "join" })
        .addConditionalEdges("throws", (): "x" => {
          asked++
          throw new RangeError("bug")
        }, { x: "join" })
        .addConditionalEdges("fine", () => {
          asked++
          return "x" as const
        }, { x: "join" })
        .setFinishPoint("join")
        .compile()
      const out = yield* run(graph, { n: 0 })
      assert.deepStrictEqual(out.log, [
        "unmapped RoutingError at unmapped u",
        "fails Boom at fails f",
        "throws RangeError at throws t",
        "fine Success ok"
      ])
      assert.strictEqual(asked, 4)
    }))

  scenario("are joined by a main line that went on beside them and has no way to go", (run) =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const graph = StateGraph.make("stranded", State)
        .addNode("a")
        .addNode("flow", (state) => Effect.as(Deferred.await(gate), note("flow")(state)))
        .addNode("beside", (state) => Effect.as(Deferred.succeed(gate, undefined), note("beside")(state)))
        .addFanInNode("join", ({ log }, { parallelResults }) => ({
          log: [...log, ...parallelResults.flatMap(({ state }) => state.log)]
        }))
        .setEntryPoint("a")
        .addParallelEdge("a", "flow", "join")
        .addEdge("a", "beside")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["beside", "flow"])
    }))
})

describe("a configuration", () => {
  scenario("of an edge and of a condition is read when it is given", (run) =>
    Effect.gen(function*() {
      const targets: Record<string, "b" | "c"> = { x: "b", z: "c" }
      const edge = { timeout: 20, name: "own" }
      const graph = StateGraph.make("mutated", State)
        .addNode("a")
        .addNode("b", note("b"))
        .addNode("c", note("c"))
        .addNode("flow", () => Effect.never)
        .addFanInNode("join", ({ log }, { parallelResults: [result] }) => ({
          log: [...log, `${result!.branch} ${result!._tag} ${result!.timingMs}`]
        }))
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n === 0 ? "x" : "y", targets)
        .addEdge("c", "b")
        .addParallelEdge("b", "flow", "join", edge)
        .setFinishPoint("join")
      targets["x"] = "c"
      targets["y"] = "c"
      edge.timeout = 5000
      edge.name = "other"
      const compiled = graph.compile()
      const { exit } = yield* endOf(run(compiled, { n: 0 }))
      assert.deepStrictEqual((yield* exit).log, ["b", "own Timeout 20"])
      assert.instanceOf(yield* Effect.flip(run(compiled, { n: 1 })), GraphError.RoutingError)
    }))

  scenario("of two builders made of one shares nothing", (run) =>
    Effect.gen(function*() {
      const base = StateGraph.make("base", State).addNode("a", note("a")).setEntryPoint("a")
      const left = base.addNode("b", note("left")).addEdge("a", "b").setFinishPoint("b")
      const right = base.addNode("b", note("right")).addEdge("a", "b").setFinishPoint("b")
      const end = base.setFinishPoint("a").compile()
      assert.deepStrictEqual((yield* run(left.compile(), { n: 0 })).log, ["a", "left"])
      assert.deepStrictEqual((yield* run(right.compile(), { n: 0 })).log, ["a", "right"])
      assert.deepStrictEqual((yield* run(end, { n: 0 })).log, ["a"])
    }))
})

describe("a line", () => {
  scenario("has no way on to what a condition's targets merely inherit", (run) =>
    Effect.gen(function*() {
      for (const answer of ["toString", "constructor", "__proto__", "", "hasOwnProperty"]) {
        const graph = StateGraph.make("inherited", State)
          .addNode("a")
          .setEntryPoint("a")
          .addConditionalEdges("a", () => answer as "x", { x: StateGraph.END })
          .compile()
        const error = yield* Effect.flip(run(graph, { n: 0 }))
        assert.instanceOf(error, GraphError.RoutingError, answer)
      }
    }))

  scenario("can begin with a condition, and flows beside it", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("start", State)
        .addNode("flow", note("flow"))
        .addNode("low", note("low"))
        .addNode("high", note("high"))
        .addFanInNode("join", ({ log }, { parallelResults }) => ({
          log: [...log, ...parallelResults.flatMap(({ state }) => state.log)]
        }))
        .addParallelEdge(StateGraph.START, "flow", "join")
        .addConditionalEdges(StateGraph.START, ({ n }) => n > 5 ? "high" : "low", { high: "high", low: "low" })
        .addEdge("low", "join")
        .addEdge("high", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual((yield* run(graph, { n: 0 })).log, ["low", "flow"])
      assert.deepStrictEqual((yield* run(graph, { n: 9 })).log, ["high", "flow"])
    }))

  scenario(
    "counts its own steps, each attempt of a flow anew, pass-through nodes and fan-ins included",
    (run) =>
      Effect.gen(function*() {
        const main = (maxSteps: number) =>
          StateGraph.make("counted", State)
            .addNode("a")
            .addNode("b")
            .addNode("flow")
            .addFanInNode("join")
            .setEntryPoint("a")
            .addEdge("a", "b")
            .addParallelEdge("a", "flow", "join")
            .addEdge("b", "join")
            .setFinishPoint("join")
            .compile({ maxSteps })
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(run(main(3), { n: 0 }))))
        assert.deepInclude(yield* Effect.flip(run(main(2), { n: 0 })), {
          _tag: "StepLimitError",
          node: "join",
          limit: 2
        })

        const late = StateGraph.make("late", State)
          .addNode("a")
          .addNode("b")
          .addNode("one", note("1"))
          .addNode("two", note("2"))
          .addNode("three", note("3"))
          .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ log: [result!._tag] }))
          .setEntryPoint("a")
          .addEdge("a", "b")
          .addParallelEdge("b", "one", "join")
          .addEdge("one", "two")
          .addEdge("two", "three")
          .setFinishPoint("join")
          .compile({ maxSteps: 3 })
        assert.deepStrictEqual((yield* run(late, { n: 0 })).log, ["Success"])

        const tags: Array<string> = []
        const retried = StateGraph.make("retried", State)
          .addNode("one", note("1"))
          .addNode("two", (state, { attempt }) => attempt < 3 ? boom("again") : Effect.succeed(note("2")(state)))
          .addFanInNode("join", (_state, { parallelResults: [result] }) => {
            tags.push(`${result!._tag} after ${result!.attempts}`)
          })
          .addParallelEdge(StateGraph.START, "one", "join", { retry: { maxRetries: 2, baseDelay: 0 } })
          .addEdge("one", "two")
          .setFinishPoint("join")
          .compile({ maxSteps: 2 })
        yield* endOf(quiet(run(retried, { n: 0 })))
        assert.deepStrictEqual(tags, ["Success after 3"])
      })
  )

  scenario("that loops for ever without waiting can be interrupted", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("endless", State)
        .addNode("a")
        .addNode("b")
        .setEntryPoint("a")
        .addEdge("a", "b")
        .addConditionalEdges("b", ({ n }) => n > 0 ? "end" : "again", { end: StateGraph.END, again: "a" })
        .compile({ maxSteps: "unbounded" })
      const fiber = yield* Effect.forkChild(run(graph, { n: 0 }), { startImmediately: true })
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit))
    }))
})

describe("a node", () => {
  scenario(
    "closes its scope also when it fails, when it is cut, and before the next attempt",
    (run) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const opens = (name: string, then: Effect.Effect<void, unknown>) =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer((exit) => Effect.sync(() => void log.push(`${name} closed ${exit._tag}`)))
            log.push(`${name} open`)
            yield* then
          }).pipe((self) => self as Effect.Effect<void, unknown>)
        const failing = fan({
          f: [(_state, { attempt }) => opens(`f${attempt}`, boom("down")), { retry: { maxRetries: 1, baseDelay: 10 } }]
        })
        yield* endOf(quiet(run(failing.graph, { n: 0 })))
        assert.deepStrictEqual(log.splice(0), ["f1 open", "f1 closed Failure", "f2 open", "f2 closed Failure"])
        const cut = fan({
          t: [() => opens("t", Effect.never), { timeout: 10 }],
          next: () => Effect.void
        }, { join: () => void log.push("join") })
        yield* endOf(run(cut.graph, { n: 0 }))
        assert.deepStrictEqual(log, ["t open", "t closed Failure", "join"])
      })
  )

  scenario("has other idempotency keys in each branch and round of nested loops", (run) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const graph = StateGraph.make("keys", State)
        .addNode("outer")
        .addNode("again", ({ n }) => ({ n: n + 1 }))
        .addNode("leaf", (_state, { attempt, idempotencyKey }) => {
          keys.push(idempotencyKey)
          return attempt === 1 ? boom("once") : Effect.void
        })
        .addNode("back")
        .addFanInNode("inner")
        .addFanInNode("join")
        .addParallelEdge(StateGraph.START, "outer", "join", { name: "p" })
        .addParallelEdge(StateGraph.START, "outer", "join", { name: "q" })
        .addEdge("outer", "again")
        .addParallelEdge("again", "leaf", "inner", { retry: { maxRetries: 1, baseDelay: 0 } })
        .addConditionalEdges("inner", ({ n }) => n < 3 ? "more" : "on", { more: "again", on: "back" })
        .setFinishPoint("join")
        .compile()
      yield* endOf(quiet(run(graph, { n: 0 }, { runId: "r" })))
      assert.strictEqual(keys.length, 12)
      assert.strictEqual(new Set(keys).size, 6)
    }))

  scenario("is the CurrentNode of its forked children, and of nothing outside", (run) =>
    Effect.gen(function*() {
      const names: Array<string | undefined> = []
      const look = Effect.map(StateGraph.CurrentNode, (node) => void names.push(node?.node))
      const graph = StateGraph.make("children", State)
        .addNode("a", () => Effect.andThen(Effect.forkChild(look), Fiber.join))
        .setEntryPoint("a")
        .setFinishPoint("a")
        .compile()
      yield* look
      yield* run(graph, { n: 0 })
      yield* look
      assert.deepStrictEqual(names, [undefined, "a", undefined])
    }))
})
