/** When a fan-in has enough. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { CircuitBreakerRegistry, Completion, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../src/internal/builder.ts"
import { execute } from "../src/internal/run.ts"
import { type Body, boom, fan, sleeper, State } from "./support/fan.ts"
import { loose } from "./support/looseBuilder.ts"
import { faults } from "./support/pairs.ts"
import { endOf, scenario } from "./support/scenario.ts"

const ok = (ms: number): Body => () => Effect.sleep(ms)
const bad = (ms: number): Body => () => Effect.andThen(Effect.sleep(ms), boom("down"))
const hang: Body = () => Effect.never

/** Runs `G(...)` under a rule: when it ended, what its fan-in was told, and how each flow ended. */
const under = (
  run: Parameters<Parameters<typeof scenario>[1]>[0],
  completion: Completion.Rule,
  branches: ReadonlyArray<Body>
) =>
  Effect.gen(function*() {
    const g = fan(Object.fromEntries(branches.map((body, i) => [`b${i}`, body])), { completion })
    const start = yield* Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
    const { at, exit } = yield* endOf(run(g.graph, { n: 0 }))
    assert.isTrue(Exit.isSuccess(exit))
    assert.strictEqual(g.joins.length, 1)
    return { at: at - start, tags: g.results.map(({ _tag }) => _tag), completion: g.completions[0]!, g }
  })

const counts = (successful: number, failed: number, interrupted: number) => ({
  total: successful + failed + interrupted,
  successful,
  failed,
  interrupted
})

describe(`"all"`, () => {
  scenario("waits for every flow, and is what a fan-in does by default", (run) =>
    Effect.gen(function*() {
      for (const options of [{}, { completion: "all" as const }]) {
        const g = fan({ a: ok(10), b: bad(30) }, options)
        yield* endOf(run(g.graph, { n: 0 }))
        assert.deepStrictEqual(g.completions, [{ reason: "all", satisfied: true, ...counts(1, 1, 0) }])
      }
    }))
})

describe("minSuccessful", () => {
  scenario("ends with the nth success and interrupts the rest at once", (run) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { at, completion, g, tags } = yield* under(run, { minSuccessful: 2 }, [
        ok(30),
        () => sleeper(100, log, "slow"),
        bad(5),
        ok(10)
      ])
      assert.strictEqual(at, 30)
      assert.deepStrictEqual(tags, ["Success", "Interrupted", "Failure", "Success"])
      assert.deepStrictEqual(completion, { reason: "minSuccessful", satisfied: true, ...counts(2, 1, 1) })
      assert.deepStrictEqual(log, ["slow interrupted"])
      const stopped = g.result("b1")
      assert.include(stopped._tag === "Interrupted" ? stopped.error : "", `has the 2 successful flows it needs`)
    }))

  scenario("of 1 takes the first answer, and of all every one", (run) =>
    Effect.gen(function*() {
      const first = yield* under(run, { minSuccessful: 1 }, [hang, ok(20), ok(10)])
      assert.deepStrictEqual(first.tags, ["Interrupted", "Interrupted", "Success"])
      const all = yield* under(run, { minSuccessful: 3 }, [ok(1), ok(2), ok(3)])
      assert.deepStrictEqual(all.completion, { reason: "minSuccessful", satisfied: true, ...counts(3, 0, 0) })
    }))

  scenario("keeps whatever has settled in the same tick", (run) =>
    Effect.gen(function*() {
      const { at, completion, tags } = yield* under(run, { minSuccessful: 1 }, [ok(10), ok(10), ok(10)])
      assert.strictEqual(at, 10)
      assert.strictEqual(tags[0], "Success")
      assert.strictEqual(completion.successful + completion.interrupted, 3)
    }))

  scenario("ends early when it cannot be met any more", (run) =>
    Effect.gen(function*() {
      const { at, completion, tags } = yield* under(run, { minSuccessful: 2 }, [bad(5), bad(10), hang])
      assert.strictEqual(at, 10)
      assert.deepStrictEqual(tags, ["Failure", "Failure", "Interrupted"])
      assert.deepStrictEqual(completion, { reason: "unreachable", satisfied: false, ...counts(0, 2, 1) })
    }))

  scenario(
    "of more flows than there are ends at once, without running any that waits",
    (run) =>
      Effect.gen(function*() {
        const { at, completion } = yield* under(run, { minSuccessful: 3 }, [hang, hang])
        assert.strictEqual(at, 0)
        assert.deepStrictEqual(completion, { reason: "unreachable", satisfied: false, ...counts(0, 0, 2) })
      })
  )

  scenario("is decided alike for flows that end at once", (run) =>
    Effect.gen(function*() {
      const none: Body = () => ({})
      const met = yield* under(run, { minSuccessful: 1 }, [none, none, hang])
      assert.deepStrictEqual(met.completion, { reason: "minSuccessful", satisfied: true, ...counts(1, 0, 2) })
      const unmet = yield* under(run, { minSuccessful: 2 }, [none, () => boom("at once")])
      assert.deepStrictEqual(unmet.completion, { reason: "unreachable", satisfied: false, ...counts(1, 1, 0) })
    }))
})

describe("tolerate", () => {
  scenario("waits for all while no more than n fail", (run) =>
    Effect.gen(function*() {
      const { at, completion } = yield* under(run, { tolerate: 1 }, [bad(5), ok(10), ok(50)])
      assert.strictEqual(at, 50)
      assert.deepStrictEqual(completion, { reason: "all", satisfied: true, ...counts(2, 1, 0) })
    }))

  scenario("ends with the failure that is one too many", (run) =>
    Effect.gen(function*() {
      const { at, completion, tags } = yield* under(run, { tolerate: 1 }, [bad(5), bad(20), hang])
      assert.strictEqual(at, 20)
      assert.deepStrictEqual(tags, ["Failure", "Failure", "Interrupted"])
      assert.deepStrictEqual(completion, { reason: "tolerate", satisfied: false, ...counts(0, 2, 1) })
      const none = yield* under(run, { tolerate: 0 }, [bad(5), hang])
      assert.strictEqual(none.at, 5)
      const any = yield* under(run, { tolerate: 2 }, [bad(5), bad(6)])
      assert.deepStrictEqual(any.completion, { reason: "all", satisfied: true, ...counts(0, 2, 0) })
    }))
})

describe("tolerateRatio", () => {
  scenario("ends when more than its part of the flows failed", (run) =>
    Effect.gen(function*() {
      const half = yield* under(run, { tolerateRatio: 0.5 }, [bad(5), bad(10), ok(20), ok(30)])
      assert.deepStrictEqual(half.completion, { reason: "all", satisfied: true, ...counts(2, 2, 0) })
      const more = yield* under(run, { tolerateRatio: 0.5 }, [bad(5), bad(10), bad(20), hang])
      assert.strictEqual(more.at, 20)
      assert.deepStrictEqual(more.completion, { reason: "tolerateRatio", satisfied: false, ...counts(0, 3, 1) })
      const none = yield* under(run, { tolerateRatio: 0 }, [bad(5), hang])
      assert.strictEqual(none.at, 5)
      const all = yield* under(run, { tolerateRatio: 1 }, [bad(5), bad(6)])
      assert.strictEqual(all.completion.reason, "all")
    }))
})

describe("within", () => {
  scenario("goes with what is there in time; ending exactly then is in time", (run) =>
    Effect.gen(function*() {
      const { at, completion, g, tags } = yield* under(run, { within: "50 millis" }, [ok(10), ok(50), ok(51), hang])
      assert.strictEqual(at, 50)
      assert.deepStrictEqual(tags, ["Success", "Success", "Interrupted", "Interrupted"])
      assert.deepStrictEqual(completion, { reason: "within", satisfied: true, ...counts(2, 0, 2) })
      const late = g.result("b3")
      assert.include(late._tag === "Interrupted" ? late.error : "", "waits 50 ms, which have passed")
    }))

  scenario("does not wait when all are there before", (run) =>
    Effect.gen(function*() {
      const { at, completion } = yield* under(run, { within: 1000 }, [ok(10), bad(20)])
      assert.strictEqual(at, 20)
      assert.deepStrictEqual(completion, { reason: "all", satisfied: true, ...counts(1, 1, 0) })
    }))

  scenario("with minSuccessful ends with whichever comes first", (run) =>
    Effect.gen(function*() {
      const enough = yield* under(run, { within: 100, minSuccessful: 1 }, [ok(10), hang])
      assert.deepStrictEqual([enough.at, enough.completion.reason], [10, "minSuccessful"])
      const late = yield* under(run, { within: 100, minSuccessful: 2 }, [ok(10), hang])
      assert.strictEqual(late.at, 100)
      assert.deepStrictEqual(late.completion, { reason: "within", satisfied: false, ...counts(1, 0, 1) })
    }))
})

describe("a flow that a rule stops", () => {
  scenario("has its finalizers awaited, counts for no circuit and fails nothing fast", (run) =>
    Effect.gen(function*() {
      const registry = CircuitBreakerRegistry.makeUnsafe()
      const g = fan({
        quick: ok(10),
        slow: [() => Effect.onInterrupt(Effect.never, () => Effect.sleep(25)), {
          failFast: true,
          circuitBreaker: { failureThreshold: 1 },
          retry: { maxRetries: 5 }
        }]
      }, { completion: { minSuccessful: 1 } })
      const { at, exit } = yield* endOf(
        Effect.provideService(run(g.graph, { n: 0 }), CircuitBreakerRegistry.CircuitBreakerRegistry, registry)
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 35)
      assert.deepInclude(g.result("slow"), { _tag: "Interrupted", attempts: 1, timingMs: 10 })
      assert.strictEqual((yield* registry.state("g/slow")).failureCount, 0)
    }))

  scenario("that fails by itself first still fails the line fast", (run) =>
    Effect.gen(function*() {
      const g = fan({ bad: [bad(5), { failFast: true }], ok: ok(10) }, { completion: { minSuccessful: 1 } })
      const { at, exit } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 5)
      assert.instanceOf(yield* Effect.flip(exit), GraphError.FailFastError)
    }))

  scenario("while it waits for its place or its retry never starts again", (run) =>
    Effect.gen(function*() {
      let starts = 0
      const counting = (body: Effect.Effect<void, unknown>): Body => () => Effect.suspend(() => (starts++, body))
      const g = fan({
        retrying: [counting(boom("down")), { retry: { maxRetries: 5, baseDelay: 1000 } }],
        first: counting(Effect.sleep(20)),
        queued: counting(Effect.void)
      }, { graph: { concurrency: 1 }, completion: { minSuccessful: 1 } })
      const { at } = yield* endOf(run(g.graph, { n: 0 }))
      assert.strictEqual(at, 20)
      assert.strictEqual(starts, 2)
      assert.deepStrictEqual(g.results.map(({ _tag, attempts }) => `${_tag} ${attempts}`), [
        "Interrupted 1",
        "Success 1",
        "Interrupted 0"
      ])
    }))
})

describe("a rule", () => {
  scenario("inside of a flow stops that flow's flows only", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("nested", State)
        .addNode("outer")
        .addNode("x", ok(10))
        .addNode("y", () => Effect.never)
        .addNode("other", ok(40))
        .addFanInNode("inner", (_state, { completion }) => ({ v: completion.reason }), {
          completion: { minSuccessful: 1 }
        })
        .addFanInNode("join", (_state, { completion, parallelResults }) => ({
          v: [completion.reason, ...parallelResults.map(({ _tag, state }) => `${_tag} ${String(state.v)}`)]
        }))
        .addParallelEdge(StateGraph.START, "outer", "join")
        .addParallelEdge(StateGraph.START, "other", "join")
        .addParallelEdge("outer", "x", "inner")
        .addParallelEdge("outer", "y", "inner")
        .setFinishPoint("join")
        .compile()
      const { at, exit } = yield* endOf(run(graph, { n: 0 }))
      assert.strictEqual(at, 40)
      assert.deepStrictEqual((yield* exit).v, ["all", "Success minSuccessful", "Success undefined"])
    }))

  scenario("starts anew in each round of a loop", (run) =>
    Effect.gen(function*() {
      const reasons: Array<string> = []
      const graph = StateGraph.make("rounds", State)
        .addNode("start")
        .addNode("a", ok(10))
        .addNode("b", () => Effect.never)
        .addFanInNode("join", ({ n }, { completion }) => {
          reasons.push(`${completion.reason} ${completion.total}`)
          return { n: n + 1 }
        }, { completion: { within: 30, minSuccessful: 2 } })
        .setEntryPoint("start")
        .addParallelEdge("start", "a", "join")
        .addParallelEdge("start", "b", "join")
        .addConditionalEdges("join", ({ n }) => n < 3 ? "again" : "done", { again: "start", done: StateGraph.END })
        .compile()
      const { at } = yield* endOf(run(graph, { n: 0 }))
      assert.strictEqual(at, 90)
      assert.deepStrictEqual(reasons, ["within 2", "within 2", "within 2"])
    }))

  scenario(
    "that is met while the main line is elsewhere stops what is launched for it later",
    (run) =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const graph = StateGraph.make("later", State)
          .addNode("first")
          .addNode("a", () => ({}))
          .addNode("second", ok(10))
          .addNode("b", () => void started.push("b"))
          .addFanInNode("join", (_state, { completion }) => ({ v: completion }), { completion: { minSuccessful: 1 } })
          .setEntryPoint("first")
          .addParallelEdge("first", "a", "join")
          .addEdge("first", "second")
          .addParallelEdge("second", "b", "join")
          .addEdge("second", "join")
          .setFinishPoint("join")
          .compile()
        const { exit } = yield* endOf(run(graph, { n: 0 }))
        assert.deepStrictEqual((yield* exit).v, { reason: "minSuccessful", satisfied: true, ...counts(1, 0, 1) })
        assert.deepStrictEqual(started, [])
      })
  )

  scenario("merges what the successful flows set, without a function", (run) =>
    Effect.gen(function*() {
      const graph = StateGraph.make("merges", State)
        .addNode("a", () => Effect.delay(Effect.succeed({ v: "a" }), 10))
        .addNode("b", () => Effect.delay(Effect.succeed({ v: "b" }), 20))
        .addFanInNode("join", undefined, { completion: { minSuccessful: 1 } })
        .addParallelEdge(StateGraph.START, "a", "join")
        .addParallelEdge(StateGraph.START, "b", "join")
        .setFinishPoint("join")
        .compile()
      const { exit } = yield* endOf(run(graph, { n: 0 }))
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0, v: "a" }))
    }))

  it.effect("ends every flow exactly once, when the run is interrupted at any instant of it too", () =>
    Effect.gen(function*() {
      const finalizing: Body = () => Effect.onInterrupt(Effect.never, () => Effect.sleep(7))
      const rules: ReadonlyArray<Completion.Rule> = [{ minSuccessful: 2 }, { tolerate: 0 }, { within: 12 }]
      for (const completion of rules) {
        for (let ms = 0; ms <= 25; ms++) {
          const g = fan({ a: ok(3), b: ok(9), c: bad(15), d: finalizing }, { completion })
          const events: Array<Parameters<typeof faults>[0][number]> = []
          const fiber = yield* Effect.forkDetach(
            execute(compiledOf(g.graph), { n: 0 }, undefined, (event) => void events.push(event))
          )
          yield* TestClock.adjust(ms)
          yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
          yield* TestClock.adjust(100)
          assert.isDefined(fiber.pollUnsafe())
          assert.deepStrictEqual(faults(events), [], `${JSON.stringify(completion)} after ${ms} ms`)
        }
      }
    }))

  it("out of range is listed by compile", () => {
    const says = (completion: unknown): string => {
      try {
        const graph = loose().addNode("a") as unknown as {
          addFanInNode(name: string, run: undefined, options: unknown): ReturnType<typeof loose>
        }
        graph.addFanInNode("join", undefined, { completion }).addParallelEdge(StateGraph.START, "a", "join")
          .setFinishPoint("join").compile()
      } catch (error) {
        assert.instanceOf(error, GraphError.GraphValidationError)
        return (error as Error).message
      }
      return "nothing"
    }
    assert.match(
      says({ minSuccessful: 0 }),
      /fan-in join: completion\.minSuccessful is 0, allowed is an integer of at least 1/
    )
    assert.match(says({ tolerate: -1 }), /completion\.tolerate is -1, allowed is an integer of at least 0/)
    assert.match(says({ tolerateRatio: 1.5 }), /completion\.tolerateRatio is 1.5, allowed is a number from 0 to 1/)
    assert.match(says({ within: 0 }), /completion\.within is 0, allowed is a positive duration/)
    assert.match(says({ within: 5, tolerate: 1 }), /completion is an object, allowed is .* one of them/)
    assert.match(says({}), /completion is an object/)
    assert.match(says("some"), /completion is "some", allowed is "all", or an object/)
    assert.match(says({ minSuccesful: 1 }), /completion\.minSuccesful is 1, allowed is one of minSuccessful/)
    assert.strictEqual(says({ minSuccessful: 1, within: "1 second" }), "nothing")
  })

  it("is pure: what it decides depends on its counts alone", () => {
    const rule = (fields: Partial<Completion.Resolved>): Completion.Resolved => ({
      minSuccessful: undefined,
      tolerate: undefined,
      tolerateRatio: undefined,
      withinMs: Infinity,
      ...fields
    })
    const at = (successful: number, failed: number, closed = true) => ({ total: 4, successful, failed, closed })
    assert.isUndefined(Completion.decide(rule({ minSuccessful: 2 }), at(1, 2)))
    assert.strictEqual(Completion.decide(rule({ minSuccessful: 2 }), at(1, 3)), "unreachable")
    assert.isUndefined(Completion.decide(rule({ minSuccessful: 2 }), at(1, 3, false)))
    assert.isUndefined(Completion.decide(rule({ tolerateRatio: 0.25 }), at(0, 1)))
    assert.strictEqual(Completion.decide(rule({ tolerateRatio: 0.25 }), at(0, 2)), "tolerateRatio")
    assert.isUndefined(Completion.decide(rule({ withinMs: 5 }), at(0, 4)))
  })
})
