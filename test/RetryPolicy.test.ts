import { assert, describe, expect, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Data, Duration, Effect, Exit, Fiber, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { FlowTimeoutError, InvalidConfigError } from "../src/GraphError.ts"
import { OptionReader } from "../src/internal/option.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"

const problemOf = (input: unknown): InvalidConfigError => {
  try {
    RetryPolicy.make(input as RetryPolicy.Input)
  } catch (error) {
    assert(error instanceof InvalidConfigError)
    return error
  }
  return assert.fail("nothing was thrown")
}

const millisOf = (policy: RetryPolicy.RetryPolicy, n: number): number => Duration.toMillis(RetryPolicy.delay(policy, n))

const spreadOf = (policy: RetryPolicy.RetryPolicy, n: number, random: number): number =>
  Duration.toMillis(RetryPolicy.jittered(policy, n, random))

describe("options", () => {
  it("are read, alone and together", () => {
    const retryOn = () => true
    const all = {
      maxRetries: [3, { maxRetries: 3 }],
      baseDelay: ["2 seconds", { baseDelayMs: 2_000 }],
      maxDelay: [Duration.minutes(1), { maxDelayMs: 60_000 }],
      exponentialBackoff: [false, { exponentialBackoff: false }],
      backoffMultiplier: [1.5, { backoffMultiplier: 1.5 }],
      jitter: [0.25, { jitter: 0.25 }],
      retryOn: [retryOn, { retryOn }],
      maxStoredErrors: [0, { maxStoredErrors: 0 }]
    } as const
    for (const [field, [value, expected]] of Object.entries(all)) {
      assert.deepStrictEqual(RetryPolicy.make({ [field]: value }), { ...RetryPolicy.defaults, ...expected })
    }
    assert.deepStrictEqual(
      RetryPolicy.make(Object.fromEntries(Object.entries(all).map(([field, [value]]) => [field, value]))),
      Object.assign({}, ...Object.values(all).map(([, expected]) => expected))
    )
  })

  it("hold the limits themselves: no retries, no wait, no maximum, no growth, full jitter, no stored errors", () => {
    const limits = { maxRetries: 0, baseDelay: 0, maxDelay: Infinity, backoffMultiplier: 1, maxStoredErrors: 0 }
    const policy = RetryPolicy.make({ ...limits, jitter: 1, retryOn: [] })
    assert.deepStrictEqual([policy.baseDelayMs, policy.maxDelayMs, policy.backoffMultiplier], [0, Infinity, 1])
    assert.deepStrictEqual([policy.maxRetries, policy.jitter, policy.maxStoredErrors], [0, 1, 0])
    assert.deepStrictEqual(policy.retryOn, [])
    assert.strictEqual(RetryPolicy.make({ jitter: 0 }).jitter, 0)
    assert.strictEqual(RetryPolicy.make({ maxDelay: "Infinity" }).maxDelayMs, Infinity)
  })

  it("that are undefined are not given", () => {
    const reader = new OptionReader("test")
    const nothing = Object.fromEntries(
      Object.keys(RetryPolicy.defaults).map((key) => [key.replace("Ms", ""), undefined])
    )
    assert.deepStrictEqual(RetryPolicy.read(reader, "", nothing), {})
    assert.deepStrictEqual(RetryPolicy.read(reader, "", { maxRetries: 2 }), { maxRetries: 2 })
    assert.deepStrictEqual(reader.problems, [])
  })

  const counts = [-1, 1.5, NaN, Infinity, "3", null, true, 2 ** 53]
  const durations = [-1, NaN, -Infinity, "5s", "5", "", "-5 seconds", -5n, null, true, {}, { second: 1 }, {
    seconds: NaN
  }]
  const refused = {
    maxRetries: counts,
    maxStoredErrors: counts,
    baseDelay: [...durations, Infinity, "Infinity", Duration.infinity, [1], [NaN, 0], Duration.seconds(-1)],
    maxDelay: [...durations, 0, 0n, "0 millis", Duration.zero],
    exponentialBackoff: [0, 1, "true", null, NaN],
    backoffMultiplier: [0.99, 0, -2, NaN, Infinity, "2", null],
    jitter: [-0.01, 1.01, NaN, Infinity, "0.5", null, true],
    retryOn: ["HttpError", [""], [Error], [undefined], null, true, 3, {}, /a/]
  }
  for (const [field, values] of Object.entries(refused)) {
    it(`out of range: ${field}`, () => {
      for (const value of values) {
        const problem = problemOf({ [field]: value })
        assert.strictEqual(problem.field, field)
        assert.strictEqual(problem.source, "RetryPolicy.make")
      }
    })
  }

  it("out of range are told with the value and the allowed range", () => {
    const messageOf = (input: unknown) => problemOf(input).message
    assert.strictEqual(
      messageOf({ maxRetries: -1 }),
      "RetryPolicy.make: maxRetries is -1, allowed is an integer of at least 0"
    )
    assert.strictEqual(
      messageOf({ baseDelay: Infinity }),
      "RetryPolicy.make: baseDelay is Infinity, allowed is a finite duration of 0 or more"
    )
    assert.strictEqual(messageOf({ maxDelay: 0 }), "RetryPolicy.make: maxDelay is 0, allowed is a positive duration")
    assert.strictEqual(
      messageOf({ backoffMultiplier: 0.5 }),
      "RetryPolicy.make: backoffMultiplier is 0.5, allowed is a finite number of at least 1"
    )
    assert.strictEqual(
      messageOf({ jitter: 2 }),
      "RetryPolicy.make: jitter is 2, allowed is a number from 0 to 1"
    )
    assert.strictEqual(
      messageOf({ retryOn: "A" }),
      `RetryPolicy.make: retryOn is "A", allowed is a function, or a list of _tags and error class names`
    )
    assert.include(messageOf({ maxRetrys: 3 }), "maxRetrys is 3, allowed is one of maxRetries, baseDelay, ")
    assert.include(messageOf([]), "input is an array of 0, allowed is an object")
    assert.include(messageOf("3"), `input is "3", allowed is an object`)
    assert.throws(() => RetryPolicy.make({ jitter: 2 }, "edge a -> b"), "edge a -> b: jitter is 2")
  })

  it("are all read: every problem is found, under the prefix", () => {
    const reader = new OptionReader("test")
    RetryPolicy.read(reader, "retry.", { maxRetries: -1, jitter: 2, baseDelay: NaN })
    assert.deepStrictEqual(reader.problems.map(({ field }) => field), [
      "retry.maxRetries",
      "retry.baseDelay",
      "retry.jitter"
    ])
    RetryPolicy.read(reader, "retry.", null as never)
    assert.strictEqual(reader.problems.at(-1)?.field, "retry")
  })

  it("are copied", () => {
    const retryOn = ["A"]
    const input = { maxRetries: 1, retryOn, baseDelay: { seconds: 1 } }
    const policy = RetryPolicy.make(input)
    input.maxRetries = 9
    input.baseDelay.seconds = 9
    retryOn.push("B")
    assert.strictEqual(policy.maxRetries, 1)
    assert.strictEqual(policy.baseDelayMs, 1_000)
    assert.deepStrictEqual(policy.retryOn, ["A"])
  })

  it("a base above the maximum is capped", () => {
    assert.strictEqual(millisOf(RetryPolicy.make({ baseDelay: "2 minutes" }), 1), 60_000)
  })
})

describe("delay", () => {
  it("without exponential backoff is always the base", () => {
    const policy = RetryPolicy.make({ baseDelay: 10, exponentialBackoff: false, backoffMultiplier: 3 })
    assert.deepStrictEqual([1, 2, 50].map((n) => millisOf(policy, n)), [10, 10, 10])
  })

  it("grows by the multiplier", () => {
    assert.deepStrictEqual([1, 2, 3].map((n) => millisOf(RetryPolicy.make({ backoffMultiplier: 1.5 }), n)), [
      1_000,
      1_500,
      2_250
    ])
  })

  it("leaves room for the jitter below the maximum", () => {
    assert.strictEqual(millisOf(RetryPolicy.make({ jitter: 0.5 }), 100), 40_000)
  })

  it("without a maximum ends at the largest safe number of milliseconds", () => {
    const policy = RetryPolicy.make({ maxDelay: Infinity })
    assert.strictEqual(millisOf(policy, 11), 1_024_000)
    assert.strictEqual(millisOf(policy, 5_000), Number.MAX_SAFE_INTEGER)
    const jittery = RetryPolicy.make({ maxDelay: Infinity, jitter: 1 })
    assert.strictEqual(spreadOf(jittery, 5_000, 1), Number.MAX_SAFE_INTEGER)
  })

  it("is finite for every n, also for no base, no growth and the largest growth", () => {
    for (const baseDelay of [0, 1, 1_000, Number.MAX_VALUE]) {
      for (const backoffMultiplier of [1, 1.001, 2, Number.MAX_VALUE]) {
        for (const maxDelay of [1, "1 minute", Infinity] as const) {
          const policy = RetryPolicy.make({ baseDelay, backoffMultiplier, maxDelay })
          for (const n of [NaN, -5, 0, 1, 2, 2.5, 1_025, 5_000, 2 ** 53, Number.MAX_VALUE, Infinity]) {
            const ms = millisOf(policy, n)
            assert.isTrue(Number.isFinite(ms) && ms >= 0, `${baseDelay} ${backoffMultiplier} ${maxDelay} ${n}: ${ms}`)
            if (baseDelay === 0) assert.strictEqual(ms, 0)
            else assert.isAbove(ms, 0)
          }
        }
      }
    }
    assert.strictEqual(millisOf(RetryPolicy.make({ backoffMultiplier: 1 }), Infinity), 1_000)
  })

  it("of an n below 1 is that of 1", () => {
    assert.deepStrictEqual([0, -1, NaN].map((n) => millisOf(RetryPolicy.make(), n)), [1_000, 1_000, 1_000])
  })
})

const Policies = {
  baseDelay: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5_000 }))),
  maxDelay: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60_000 }))),
  jitter: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))),
  multiplier: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 500 }))),
  n: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))),
  random: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })))
}

describe("jitter", () => {
  it.prop("stays within d (1 - j) and d (1 + j), and never above the maximum", Policies, (drawn) => {
    const { baseDelay, maxDelay, n } = drawn
    const [jitter, random] = [drawn.jitter / 1_000, drawn.random / 1_000]
    const policy = RetryPolicy.make({ baseDelay, maxDelay, jitter, backoffMultiplier: drawn.multiplier / 100 })
    const [d, wait] = [millisOf(policy, n), spreadOf(policy, n, random)]
    const nano = 2e-6
    assert.isAtMost(wait, maxDelay)
    assert.isAtLeast(wait, d * (1 - jitter) - nano)
    assert.isAtMost(wait, d * (1 + jitter) + nano)
    if (jitter === 0) assert.strictEqual(wait, d)
  }, { arbitrary: { runs: 1_000, seed: 13 } })

  it("is even over its range, and as wide as ever at the maximum", () => {
    const policy = RetryPolicy.make({ baseDelay: 100, maxDelay: 300, jitter: 0.5 })
    const ends = (n: number) => [0, 0.25, 0.5, 0.75, 1].map((random) => spreadOf(policy, n, random))
    assert.deepStrictEqual(ends(1), [50, 75, 100, 125, 150])
    assert.deepStrictEqual(ends(2), [100, 150, 200, 250, 300])
    assert.deepStrictEqual(ends(60), [100, 150, 200, 250, 300])
  })

  it("does not pass a large maximum by rounding", () => {
    for (let percent = 1; percent <= 100; percent++) {
      const policy = RetryPolicy.make({ maxDelay: 2 ** 46 - 1, jitter: percent / 100 })
      assert.isAtMost(spreadOf(policy, 5_000, 1), policy.maxDelayMs)
    }
  })

  it("of 1 reaches from nothing to twice the middle", () => {
    const policy = RetryPolicy.make({ baseDelay: 100, jitter: 1 })
    assert.deepStrictEqual([spreadOf(policy, 1, 0), spreadOf(policy, 1, 1)], [0, 200])
  })
})

describe("schedule", () => {
  class Boom extends Data.TaggedError("Boom") {}

  /** The instants at which an effect that always fails is executed. */
  const executions = (schedule: Schedule.Schedule<unknown>) =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const failing = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        at.push(now)
        return Effect.fail(new Boom())
      })
      const fiber = yield* Effect.forkChild(Effect.retry(failing, schedule), { startImmediately: true })
      yield* TestClock.adjust("1 day")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      return at
    })

  const waitsOf = (at: ReadonlyArray<number>): ReadonlyArray<number> => at.slice(1).map((time, i) => time - at[i]!)

  it.effect("waits as delay says, and ends after maxRetries", () =>
    Effect.gen(function*() {
      const inputs: ReadonlyArray<RetryPolicy.Input> = [
        { maxRetries: 4 },
        { maxRetries: 9, baseDelay: 10, maxDelay: 1_000, backoffMultiplier: 3 },
        { maxRetries: 3, baseDelay: 70, exponentialBackoff: false },
        { maxRetries: 3, baseDelay: 0 },
        { maxRetries: 1, maxDelay: 20 },
        { maxRetries: 0 }
      ]
      for (const input of inputs) {
        const policy = RetryPolicy.make(input)
        const waits = waitsOf(yield* executions(RetryPolicy.schedule(policy)))
        assert.deepStrictEqual(waits, Array.from({ length: policy.maxRetries }, (_, i) => millisOf(policy, i + 1)))
      }
    }))

  const stepsOf = (policy: RetryPolicy.RetryPolicy, count: number) =>
    Effect.flatMap(
      Schedule.toStep(RetryPolicy.schedule(policy)),
      (step) => Effect.forEach(Array.from({ length: count }), () => step(0, undefined))
    )

  it.effect("with jitter waits as jittered says, by Effect's Random", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ maxRetries: 20, jitter: 0.3, maxDelay: "10 seconds" })
      const drawn = yield* Effect.forEach(Array.from({ length: 20 }), () => Random.next).pipe(Random.withSeed("seed"))
      const steps = yield* stepsOf(policy, 20).pipe(Random.withSeed("seed"))
      const expected = drawn.map((random, i) => spreadOf(policy, i + 1, random))
      assert.deepStrictEqual(steps.map(([, delay]) => Duration.toMillis(delay)), expected)
      assert.isAbove(new Set(expected.slice(8)).size, 10)
    }))

  it.effect("without jitter draws no random number", () => {
    const refused = (): never => assert.fail("a random number was drawn")
    return Effect.gen(function*() {
      const steps = yield* stepsOf(RetryPolicy.make({ maxRetries: 2, baseDelay: 10 }), 2)
      assert.deepStrictEqual(steps.map(([output]) => Duration.toMillis(output)), [10, 20])
      const jittery = yield* Effect.exit(stepsOf(RetryPolicy.make({ maxRetries: 2, jitter: 0.1 }), 1))
      assert.isTrue(Exit.isFailure(jittery))
    }).pipe(Effect.provideService(Random.Random, { nextIntUnsafe: refused, nextDoubleUnsafe: refused }))
  })

  it.effect("gives the wait as its output, starts anew each time, and is endless nowhere", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ maxRetries: 2, baseDelay: 10, maxDelay: 15 })
      for (const _ of [1, 2]) {
        const steps = yield* stepsOf(policy, 2)
        assert.deepStrictEqual(steps.map(([output]) => Duration.toMillis(output)), [10, 15])
      }
      const ended = yield* Effect.exit(stepsOf(policy, 3))
      assert.isTrue(Exit.isFailure(ended) && ended.cause.reasons.every((reason) => !Cause.isDieReason(reason)))
    }))
})

describe("retries", () => {
  class HttpError extends Data.TaggedError("Http")<{ readonly status: number }> {}
  class NotFound extends HttpError {}
  class Plain extends Error {}
  class Child extends Plain {}
  class Stored extends Schema.TaggedError<Stored>()("StoredTag", { id: Schema.Int }) {}

  const retries = (retryOn: RetryPolicy.RetryOn | undefined, error: unknown) =>
    RetryPolicy.retries(RetryPolicy.make({ retryOn }), error)

  it("everything without retryOn", () => {
    for (const error of [new Error(), new HttpError({ status: 1 }), "text", undefined, null, 0, {}]) {
      assert.isTrue(retries(undefined, error))
    }
  })

  it("what a predicate says, which gets the error itself", () => {
    const isServerError = (error: unknown) => error instanceof HttpError && error.status >= 500
    assert.isTrue(retries(isServerError, new HttpError({ status: 503 })))
    assert.isFalse(retries(isServerError, new HttpError({ status: 404 })))
    assert.isFalse(retries(isServerError, "text"))
  })

  it("nothing when a predicate throws", () => {
    assert.isFalse(retries((error) => (error as { readonly a: { readonly b: boolean } }).a.b, new Error("no a")))
  })

  it("by _tag, class name or the name of a class above", () => {
    const notFound = new NotFound({ status: 404 })
    for (const name of ["Http", "HttpError", "NotFound", "Error"]) assert.isTrue(retries([name], notFound), name)
    for (const name of ["Plain", "Child", "Error"]) assert.isTrue(retries([name], new Child()), name)
    for (const name of ["StoredTag", "Stored"]) assert.isTrue(retries([name], new Stored({ id: 1 })), name)
    assert.isTrue(retries(["Tag"], { _tag: "Tag" }))
    assert.isTrue(retries(["TypeError"], new TypeError()))
    assert.isTrue(retries(["X", "Plain"], new Plain()))
  })

  it("not a class below, another, or one that only looks like it", () => {
    assert.isFalse(retries(["Child"], new Plain()))
    assert.isFalse(retries(["NotFound"], new HttpError({ status: 404 })))
    assert.isFalse(retries(["plain", "Plai", "PlainError", ""].filter(Boolean), new Plain()))
    assert.isFalse(retries(["boom"], new Error("boom")))
    assert.isFalse(retries(["Plain"], { name: "Plain", message: "Plain", constructor: Plain }))
    assert.isFalse(retries(["Object"], new Plain()))
    assert.isFalse(retries(["Object"], {}))
    assert.isFalse(retries([], new Plain()))
  })

  it("by _tag whatever stands above, and never by what stands above all", () => {
    const bare = Object.assign(Object.create(null) as object, { _tag: "Tag" })
    const odd = Object.assign(Object.create({ constructor: undefined }) as object, { _tag: "Tag" })
    for (const error of [bare, odd]) {
      assert.isTrue(retries(["Tag"], error))
      assert.isFalse(retries(["Other", "Object"], error))
    }
    assert.isFalse(retries(["Object"], Object.create({ status: 404 })))
  })

  it("by the name an Error carries", () => {
    assert.isTrue(retries(["AbortError"], new DOMException("stopped", "AbortError")))
    assert.isTrue(retries(["TimeoutError"], Object.assign(new Error(), { name: "TimeoutError" })))
  })

  it("nothing by name that is no object", () => {
    for (const error of ["Error", undefined, null, 1, Symbol("Error"), Object.create(null), Error, () => 1]) {
      assert.isFalse(retries(["Error", "String", "Number", "Symbol", "Object", "Function"], error))
    }
    assert.isFalse(retries(["undefined"], { _tag: undefined }))
  })

  it("the library's timeout under both of its names", () => {
    const timeout = new FlowTimeoutError({ branch: "a", timeoutMs: 10, timeoutKind: "attempt" })
    assert.isTrue(retries(["TimeoutError"], timeout))
    assert.isTrue(retries(["FlowTimeoutError"], timeout))
    assert.isFalse(retries(["CircuitOpenError"], timeout))
    expect(retries(["TimeoutError"], new Cause.TimeoutError("effect's own"))).toBe(true)
  })
})
