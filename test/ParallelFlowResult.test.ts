import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger, Schema } from "effect"
import { CircuitBreakerRegistry, ParallelFlowResult, StateGraph } from "effect-stategraph"
import { Boom, boom, fan, type Result } from "./support/fan.ts"
import { endOf } from "./support/scenario.ts"

const State = Schema.Struct({ n: Schema.Number, v: Schema.optionalKey(Schema.Unknown) })

/** One result of each kind. */
const results = Effect.gen(function*() {
  const registry = CircuitBreakerRegistry.makeUnsafe()
  yield* Effect.ignore(registry.execute("open", { failureThreshold: 1 })(Effect.fail("down")))
  let inner: ReadonlyArray<Result> = []
  const g = fan({
    good: [() => Effect.delay(Effect.succeed({ v: [1, { deep: true }] }), 5), { circuitBreaker: {} }],
    bad: [(_, { attempt }) => boom(`failure ${attempt}`), {
      retry: { maxRetries: 2, baseDelay: 1, maxStoredErrors: 2 },
      includeTraceback: true
    }],
    defect: () => Effect.die(new RangeError("a bug")),
    late: [() => Effect.never, { timeout: 10 }],
    total: [() => Effect.never, { totalTimeout: 10 }],
    stuck: [() => Effect.uninterruptible(Effect.sleep(50)), { timeout: 1, grace: 1 }],
    rejected: [() => Effect.void, { circuitBreaker: { key: "open", failureThreshold: 1 } }],
    stopped: () => Effect.interrupt
  }, {
    join: (all) => {
      inner = all
    }
  })
  yield* endOf(
    g.graph.invoke({ n: 1 }).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    )
  )
  return inner
})

describe("results", () => {
  it.effect("of every kind come about", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* results).map(({ _tag, branch }) => `${branch} ${_tag}`), [
        "good Success",
        "bad Failure",
        "defect Failure",
        "late Timeout",
        "total Timeout",
        "stuck Timeout",
        "rejected Rejected",
        "stopped Interrupted"
      ])
    }))

  it.effect("keep the rules that hold for all of them", () =>
    Effect.gen(function*() {
      for (const result of yield* results) {
        const { _tag, attempts, durationMs, endTime, retryCount, startTime, success, timeout, timingMs } = result
        const at = result.branch
        assert.strictEqual(success, _tag === "Success", at)
        assert.strictEqual(timeout, _tag === "Timeout", at)
        assert.strictEqual(success, !("error" in result), at)
        assert.strictEqual(endTime - startTime, timingMs, at)
        assert.strictEqual(durationMs, timingMs, at)
        assert.strictEqual(retryCount, Math.max(0, attempts - 1), at)
        assert.isTrue(Number.isInteger(timingMs) && timingMs >= 0, at)
        assert.isTrue(ParallelFlowResult.isParallelFlowResult(result), at)
      }
    }))

  it.effect("are sorted into successes and others, in order", () =>
    Effect.gen(function*() {
      const all = yield* results
      const [successes, others] = ParallelFlowResult.partition(all)
      assert.deepStrictEqual(successes.map(({ branch }) => branch), ["good"])
      assert.strictEqual(others.length, 7)
      assert.deepStrictEqual(successes, ParallelFlowResult.successes(all))
      assert.deepStrictEqual(others, ParallelFlowResult.failures(all))
      assert.isFalse(ParallelFlowResult.isParallelFlowResult({ ...all[0]! }))
    }))
})

describe("as JSON", () => {
  const codec = ParallelFlowResult.schema(State, { error: Boom })

  it.effect("every kind of result goes there and comes back the same", () =>
    Effect.gen(function*() {
      for (const result of yield* results) {
        const encoded = yield* Schema.encodeEffect(codec)(result as never)
        const text = JSON.stringify(encoded)
        const back = (yield* Schema.decodeUnknownEffect(codec)(JSON.parse(text))) as Result
        assert.strictEqual(back._tag, result._tag)
        assert.isTrue(ParallelFlowResult.isParallelFlowResult(back))
        const plain = (value: object) =>
          Object.fromEntries(Object.entries(value).filter(([key]) => key !== "cause" && key !== "failure"))
        assert.deepStrictEqual(plain(back), plain(result), result.branch)
        assert.strictEqual(back.get("v"), back.state.v)
        assert.strictEqual(JSON.stringify(yield* Schema.encodeEffect(codec)(back as never)), text)
      }
    }))

  it.effect("a typed failure is its class again with the error's schema, and a record of it without", () =>
    Effect.gen(function*() {
      const bad = (yield* results)[1]!
      const typed =
        (yield* Schema.decodeUnknownEffect(codec)(yield* Schema.encodeEffect(codec)(bad as never))) as Result
      assert.instanceOf(typed._tag === "Failure" && typed.failure, Boom)
      assert.instanceOf(typed._tag === "Failure" && Cause.squash(typed.cause), Boom)

      const untyped = ParallelFlowResult.schema(State)
      const back =
        (yield* Schema.decodeUnknownEffect(untyped)(yield* Schema.encodeEffect(untyped)(bad as never))) as Result
      assert.notInstanceOf(back._tag === "Failure" && back.failure, Boom)
      assert.deepInclude(back._tag === "Failure" ? back.failure : {}, { _tag: "Boom", message: "failure 3" })
    }))

  it.effect("no stack trace leaves, unless the flow's config asked for one", () =>
    Effect.gen(function*() {
      for (const result of yield* results) {
        const text = JSON.stringify(yield* Schema.encodeEffect(codec)(result as never))
        const asked = result.branch === "bad"
        assert.strictEqual(/\bat .*\.ts:\d+/.test(text), asked, `${result.branch}: ${text}`)
      }
    }))

  it.effect("what does not encode is an error that names the path", () =>
    Effect.gen(function*() {
      const g = fan({ a: () => ({ v: () => "a function" }) })
      yield* g.graph.invoke({ n: 1 })
      const strict = ParallelFlowResult.schema(
        Schema.Struct({ n: Schema.Number, v: Schema.optionalKey(Schema.Json) })
      )
      const error = yield* Effect.flip(Schema.encodeEffect(strict)(g.result("a") as never))
      assert.include(String(error), "state")
      assert.include(String(error), "v")
    }))
})

describe("get and has", () => {
  it.effect("read the state first, then the result's own fields", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", Schema.Struct({ branch: Schema.String, x: Schema.optionalKey(Schema.Number) }))
        .addNode("a", () => ({ x: 1 }))
        .addFanInNode("join", (_state, { parallelResults: [result] }) => {
          assert.strictEqual(result!.get("branch"), "of the state")
          assert.strictEqual(result!.branch, "a")
          assert.strictEqual(result!.get("x"), 1)
          assert.strictEqual(result!.get("attempts"), 1)
          assert.isTrue(result!.has("x") && result!.has("attempts"))
          assert.isFalse(result!.has("toString"))
          assert.isFalse(result!.has("constructor"))
          assert.isFalse(result!.has("get"))
        })
        .addParallelEdge(StateGraph.START, "a", "join")
        .setFinishPoint("join")
        .compile()
      assert.deepStrictEqual(yield* graph.invoke({ branch: "of the state" }), { branch: "of the state" })
    }))
})
