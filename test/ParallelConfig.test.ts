import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import {
  Arbitrary,
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Result,
  Schedule,
  Schema
} from "effect"
import { CircuitBreaker, GraphError, ParallelConfig, RetryPolicy } from "effect-stategraph"

const make = ParallelConfig.make

const problemsOf = (input: unknown): ReadonlyArray<GraphError.InvalidConfigError> => {
  const parsed = ParallelConfig.parse(input as ParallelConfig.Input, "test")
  return Result.isFailure(parsed) ? parsed.failure : assert.fail("nothing was refused")
}

const messagesOf = (input: unknown): ReadonlyArray<string> => problemsOf(input).map((problem) => problem.message)

const policyOf = (config: ParallelConfig.ParallelConfig): RetryPolicy.RetryPolicy => {
  const { retry } = ParallelConfig.resolve(config)
  return retry?._tag === "Policy" ? retry.policy : assert.fail("no policy")
}

const circuitOf = (config: ParallelConfig.ParallelConfig) =>
  ParallelConfig.resolve(config).circuitBreaker ?? assert.fail("no circuit")

/** Runs inside of layers, the innermost first: each is provided by itself, as the parts of a program around it would. */
const within = <A, E, E2>(
  self: Effect.Effect<A, E>,
  ...layers: ReadonlyArray<Layer.Layer<never, E2>>
): Effect.Effect<A, E | E2> =>
  layers.reduce<Effect.Effect<A, E | E2>>((program, layer) => Effect.provide(program, layer), self)

const schedule = Schedule.exponential("1 second")

describe("options", () => {
  const alone: ReadonlyArray<readonly [ParallelConfig.Input, ParallelConfig.ParallelConfig]> = [
    [{ timeout: 5 }, { timeoutMs: 5 }],
    [{ timeout: Infinity }, { timeoutMs: Infinity }],
    [{ timeout: "2 seconds" }, { timeoutMs: 2_000 }],
    [{ timeout: { seconds: 1, milliseconds: 5 } }, { timeoutMs: 1_005 }],
    [{ timeout: [1, 500_000] }, { timeoutMs: 1_000.5 }],
    [{ timeout: 5_000_000n }, { timeoutMs: 5 }],
    [{ totalTimeout: Duration.minutes(1) }, { totalTimeoutMs: 60_000 }],
    [{ totalTimeout: "Infinity" }, { totalTimeoutMs: Infinity }],
    [{ grace: 0 }, { graceMs: 0 }],
    [{ grace: "wait" }, { graceMs: Infinity }],
    [{ grace: "50 millis" }, { graceMs: 50 }],
    [{ failFast: true }, { failFast: true }],
    [{ retry: false }, { retry: false }],
    [{ retry: { maxRetries: 2 } }, { retry: { fresh: false, given: { maxRetries: 2 } } }],
    [{ retry: schedule }, { retry: schedule }],
    [{ circuitBreaker: false }, { circuitBreaker: false }],
    [{ circuitBreaker: { key: "k" } }, { circuitBreaker: { fresh: false, given: { key: "k" } } }],
    [{ concurrency: 1 }, { concurrency: 1 }],
    [{ concurrency: "unbounded" }, { concurrency: Infinity }],
    [{ includeTraceback: true }, { includeTraceback: true }]
  ]

  it("TD.13-UNIT-040: none is needed, and each alone is accepted", () => {
    assert.deepStrictEqual(make(), {})
    assert.deepStrictEqual(make({}), {})
    for (const [input, config] of alone) assert.deepStrictEqual(make(input), config)
  })

  it("that are undefined are not given", () => {
    const names = Object.keys(ParallelConfig.defaults).map((key) => key.replace("Ms", ""))
    assert.deepStrictEqual(make(Object.fromEntries(names.map((name) => [name, undefined]))), {})
    assert.deepStrictEqual(make({ retry: { jitter: undefined }, circuitBreaker: { key: undefined } }), {
      retry: { fresh: false, given: {} },
      circuitBreaker: { fresh: false, given: {} }
    })
  })

  const durations = [-1, NaN, -Infinity, "5s", "1500", "", null, true, [], {}, { second: 5 }, -5n, Duration.seconds(-1)]
  const refused: Readonly<Record<string, ReadonlyArray<unknown>>> = {
    timeout: [...durations, 0, "0 millis", "wait"],
    totalTimeout: [...durations, 0, "0 millis", "wait"],
    grace: [...durations, "Wait", "forever"],
    failFast: [0, 1, "true", null, NaN, {}],
    includeTraceback: [0, 1, "true", null, NaN, {}],
    concurrency: [0, -1, 1.5, NaN, Infinity, "4", "Unbounded", null, true, {}],
    retry: [true, 3, "3", null, [], () => schedule],
    circuitBreaker: [true, 5, "k", null, [], () => true]
  }
  for (const [field, values] of Object.entries(refused)) {
    it(`out of range: ${field}`, () => {
      for (const value of values) {
        assert.deepStrictEqual(problemsOf({ [field]: value }).map((problem) => problem.field), [field])
      }
    })
  }

  it("out of range are told with the value, the allowed range and the source", () => {
    assert.deepStrictEqual(messagesOf({ timeout: 0 }), ["test: timeout is 0, allowed is a positive duration"])
    assert.deepStrictEqual(messagesOf({ grace: -1 }), [
      `test: grace is -1, allowed is a duration of 0 or more, or "wait"`
    ])
    assert.deepStrictEqual(messagesOf({ concurrency: 0 }), [
      `test: concurrency is 0, allowed is an integer of at least 1, or "unbounded"`
    ])
    assert.deepStrictEqual(messagesOf({ failFast: "yes" }), [`test: failFast is "yes", allowed is true or false`])
    assert.deepStrictEqual(messagesOf({ retry: 3 }), [
      "test: retry is 3, allowed is retry options, a Schedule or false"
    ])
    assert.deepStrictEqual(messagesOf({ circuitBreaker: true }), [
      "test: circuitBreaker is true, allowed is circuit options or false"
    ])
    assert.deepStrictEqual(messagesOf(null), ["test: input is null, allowed is an object"])
    assert.deepStrictEqual(messagesOf([]), ["test: input is an array of 0, allowed is an object"])
    assert.deepStrictEqual(messagesOf("2 seconds"), [`test: input is "2 seconds", allowed is an object`])
    assert.include(
      messagesOf({ timeOut: 5 })[0],
      "test: timeOut is 5, allowed is one of timeout, totalTimeout, grace, "
    )
    assert.include(messagesOf({ timeoutMs: 5 })[0], "timeoutMs is 5")
  })

  it("are checked in retry and circuitBreaker too; all problems are found, make throws the first", () => {
    const input = {
      timeout: 0,
      grace: NaN,
      retry: { maxRetries: -1, backof: 2 },
      circuitBreaker: { failureThreshold: 0, resetTimeout: 0 },
      concurrency: 0.5
    }
    assert.deepStrictEqual(problemsOf(input).map((problem) => problem.field), [
      "timeout",
      "grace",
      "retry.maxRetries",
      "retry.backof",
      "circuitBreaker.failureThreshold",
      "circuitBreaker.resetTimeout",
      "concurrency"
    ])
    try {
      make(input)
      assert.fail("nothing was thrown")
    } catch (error) {
      assert(error instanceof GraphError.InvalidConfigError)
      assert.deepStrictEqual([error.field, error.source], ["timeout", "ParallelConfig.make"])
    }
    assert.throws(() => make({ timeout: 0 }, "edge a -> b"), "edge a -> b: timeout is 0")
  })

  it("are copied: changing them afterwards changes nothing", () => {
    const input = {
      timeout: { seconds: 1 },
      failFast: true,
      retry: { maxRetries: 2, retryOn: ["A"] },
      circuitBreaker: { key: "k", failureThreshold: 2 }
    }
    const config = make(input)
    const before = structuredClone(config)
    input.timeout.seconds = 9
    input.failFast = false
    input.retry.maxRetries = 9
    input.retry.retryOn.push("B")
    input.circuitBreaker.key = "other"
    input.circuitBreaker.failureThreshold = 9
    assert.deepStrictEqual(config, before)
  })

  it("do not type-check with a schedule that cannot take every failure, or that needs or fails with something", () => {
    interface Needed {
      readonly a: 1
    }
    expectTypeOf(Schedule.exponential("1 second")).toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf(Schedule.recurs(3)).toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf(RetryPolicy.schedule(RetryPolicy.make())).toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf<Schedule.Schedule<number, Error>>().not.toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf<Schedule.Schedule<number, unknown, Error>>().not.toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf<Schedule.Schedule<number, unknown, never, Needed>>().not.toExtend<ParallelConfig.Input["retry"]>()
    expectTypeOf<true>().not.toExtend<ParallelConfig.Input["retry"]>()
  })
})

describe("merge", () => {
  const merge = ParallelConfig.merge

  it("of nothing says nothing", () => {
    assert.deepStrictEqual(merge(), {})
    assert.deepStrictEqual(merge(ParallelConfig.empty, {}, ParallelConfig.empty), {})
    assert.isFrozen(ParallelConfig.empty)
  })

  it("takes each field from the last that gives it", () => {
    const low = make({
      timeout: 1,
      totalTimeout: 2,
      grace: 3,
      failFast: true,
      retry: { maxRetries: 1 },
      circuitBreaker: { key: "a" },
      concurrency: 4,
      includeTraceback: true
    })
    const others: ReadonlyArray<ParallelConfig.Input> = [
      { timeout: 10 },
      { totalTimeout: 20 },
      { grace: "wait" },
      { failFast: false },
      { retry: false },
      { circuitBreaker: false },
      { concurrency: "unbounded" },
      { includeTraceback: false }
    ]
    for (const input of others) {
      const high = make(input)
      assert.deepStrictEqual(merge(low, high), { ...low, ...high })
      assert.deepStrictEqual(ParallelConfig.resolve(merge(high, low)), ParallelConfig.resolve(low))
      assert.deepStrictEqual(merge(low, high, ParallelConfig.empty), { ...low, ...high })
    }
  })

  it("leaves its arguments as they were", () => {
    const [low, high] = [make({ timeout: 1, retry: { maxRetries: 1 } }), make({ retry: { jitter: 1 } })]
    const before = structuredClone([low, high])
    merge(low, high)
    assert.deepStrictEqual([low, high], before)
  })

  it("merges retry options one by one", () => {
    const policy = policyOf(merge(
      make({ retry: { maxRetries: 1, baseDelay: 10, retryOn: ["A"] } }),
      make({ retry: { maxRetries: 5, jitter: 0.5 } }),
      make({ retry: { retryOn: ["B"] } })
    ))
    assert.deepStrictEqual(policy, {
      ...RetryPolicy.defaults,
      maxRetries: 5,
      baseDelayMs: 10,
      jitter: 0.5,
      retryOn: ["B"]
    })
  })

  it("merges circuit options one by one, the key too", () => {
    const circuit = circuitOf(merge(
      make({ circuitBreaker: { key: "shared", failureThreshold: 2, resetTimeout: 500 } }),
      make({ circuitBreaker: { failureThreshold: 7 } })
    ))
    assert.deepStrictEqual(circuit, {
      key: "shared",
      config: CircuitBreaker.make({ failureThreshold: 7, resetTimeout: 500 })
    })
  })

  it("retry: false replaces, and options after it start from the defaults", () => {
    const low = make({ retry: { maxRetries: 3, baseDelay: 7 } })
    const off = make({ retry: false })
    assert.strictEqual(ParallelConfig.resolve(merge(low, off)).retry, undefined)
    assert.deepStrictEqual(
      policyOf(merge(low, off, make({ retry: { maxRetries: 1 } }))),
      RetryPolicy.make({ maxRetries: 1 })
    )
    assert.deepStrictEqual(
      policyOf(merge(low, off, make({ retry: { maxRetries: 1 } }), make({ retry: { jitter: 1 } }))),
      RetryPolicy.make({ maxRetries: 1, jitter: 1 })
    )
  })

  it("circuitBreaker: false replaces, and options after it start from the defaults", () => {
    const low = make({ circuitBreaker: { key: "a", failureThreshold: 2 } })
    const off = make({ circuitBreaker: false })
    assert.strictEqual(ParallelConfig.resolve(merge(low, off)).circuitBreaker, undefined)
    assert.deepStrictEqual(circuitOf(merge(low, off, make({ circuitBreaker: { resetTimeout: 5 } }))), {
      key: undefined,
      config: CircuitBreaker.make({ resetTimeout: 5 })
    })
  })

  it("a Schedule replaces, and options after it start from the defaults", () => {
    const low = make({ retry: { maxRetries: 3, baseDelay: 7 } })
    const scheduled = merge(low, make({ retry: schedule }))
    assert.deepStrictEqual(ParallelConfig.resolve(scheduled).retry, { _tag: "Schedule", schedule })
    assert.deepStrictEqual(
      policyOf(merge(scheduled, make({ retry: { maxRetries: 1 } }))),
      RetryPolicy.make({ maxRetries: 1 })
    )
    const other = Schedule.recurs(3)
    assert.deepStrictEqual(ParallelConfig.resolve(merge(scheduled, make({ retry: other }))).retry, {
      _tag: "Schedule",
      schedule: other
    })
  })

  it("remembers a false below, whatever is merged first", () => {
    const layer = make({ retry: { baseDelay: 5 }, circuitBreaker: { key: "layer" } })
    const graph = merge(
      make({ retry: false, circuitBreaker: false }),
      make({ retry: { maxRetries: 2 }, circuitBreaker: { failureThreshold: 2 } })
    )
    assert.deepStrictEqual(policyOf(merge(layer, graph)), RetryPolicy.make({ maxRetries: 2 }))
    assert.strictEqual(circuitOf(merge(layer, graph)).key, undefined)
  })

  const one = Arbitrary.schema(Schema.Literals(["none", "off", "schedule", "a", "b", "ab"]))
  const given = {
    none: {},
    off: { retry: false, circuitBreaker: false, failFast: false },
    schedule: { retry: schedule, timeout: 3 },
    a: { retry: { maxRetries: 1 }, circuitBreaker: { key: "a" }, timeout: 1 },
    b: { retry: { jitter: 1 }, circuitBreaker: { failureThreshold: 2 }, grace: 2 },
    ab: { retry: { maxRetries: 2, jitter: 0.5 }, circuitBreaker: { key: "ab", failureThreshold: 3 } }
  } satisfies Record<string, ParallelConfig.Input>
  it.prop("is associative", [one, one, one, one], (names) => {
    const [a, b, c, d] = names.map((name) => make(given[name])) as [
      ParallelConfig.ParallelConfig,
      ParallelConfig.ParallelConfig,
      ParallelConfig.ParallelConfig,
      ParallelConfig.ParallelConfig
    ]
    const together = ParallelConfig.resolve(merge(a, b, c, d))
    assert.deepStrictEqual(ParallelConfig.resolve(merge(a, merge(b, merge(c, d)))), together)
    assert.deepStrictEqual(ParallelConfig.resolve(merge(merge(a, b), merge(c, d))), together)
    assert.deepStrictEqual(ParallelConfig.resolve(merge(a, merge(b, c), d)), together)
    assert.deepStrictEqual(ParallelConfig.resolve(merge(a, merge(merge(b, c), d))), together)
  }, { arbitrary: { runs: 500, seed: 7 } })
})

describe("resolve", () => {
  it("gives the defaults of the contract", () => {
    assert.deepStrictEqual(ParallelConfig.resolve(ParallelConfig.empty), {
      timeoutMs: Infinity,
      totalTimeoutMs: Infinity,
      graceMs: 1_000,
      failFast: false,
      retry: undefined,
      circuitBreaker: undefined,
      concurrency: Infinity,
      limit: undefined,
      includeTraceback: false
    })
  })

  it("keeps what was given and completes the rest", () => {
    const config = make({ timeout: 50, grace: 0, concurrency: 2, retry: { maxRetries: 1 }, circuitBreaker: {} })
    assert.deepStrictEqual(ParallelConfig.resolve(config), {
      ...ParallelConfig.defaults,
      timeoutMs: 50,
      graceMs: 0,
      concurrency: 2,
      retry: { _tag: "Policy", policy: RetryPolicy.make({ maxRetries: 1 }) },
      circuitBreaker: { key: undefined, config: CircuitBreaker.make() }
    })
  })

  it("without retries there is no retry", () => {
    assert.strictEqual(ParallelConfig.resolve(make({ retry: { maxRetries: 0, baseDelay: 5 } })).retry, undefined)
    assert.strictEqual(ParallelConfig.resolve(make({ retry: { baseDelay: 5 } })).retry, undefined)
  })
})

const kinds = [
  ["layer", ParallelConfig.layer, ParallelConfig.CurrentConfig, ParallelConfig.CurrentOverride],
  ["layerOverride", ParallelConfig.layerOverride, ParallelConfig.CurrentOverride, ParallelConfig.CurrentConfig]
] as const

for (const [name, layer, current, other] of kinds) {
  describe(name, () => {
    const read = Effect.map(Effect.all([current, other]), ([config, untouched]) => {
      assert.strictEqual(untouched, ParallelConfig.empty)
      return config
    })

    it.effect("sets the config in context, and nothing without it", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* read, ParallelConfig.empty)
        assert.deepStrictEqual(yield* read.pipe(Effect.provide(layer({ timeout: 5 }))), { timeoutMs: 5 })
      }))

    it.effect("inside another merges over it, field by field", () =>
      Effect.gen(function*() {
        const outer = layer({ timeout: 5, failFast: true, retry: { maxRetries: 1, baseDelay: 9 } })
        const inner = layer({ timeout: 6, retry: { maxRetries: 2 } })
        const expected = {
          timeoutMs: 6,
          failFast: true,
          retry: { fresh: false, given: { maxRetries: 2, baseDelayMs: 9 } }
        }
        assert.deepStrictEqual(yield* within(read, inner, outer), expected)
        assert.deepStrictEqual(yield* read.pipe(Effect.provide(Layer.provide(inner, outer))), expected)
        assert.deepStrictEqual(yield* read.pipe(Effect.provide(Layer.provideMerge(inner, outer))), expected)
      }))

    it.effect("inside another ends where it ends", () =>
      Effect.gen(function*() {
        const inside = read.pipe(Effect.provide(layer({ grace: 1 })))
        const both = Effect.all([inside, read]).pipe(Effect.provide(layer({ timeout: 5 })))
        assert.deepStrictEqual(yield* both, [{ timeoutMs: 5, graceMs: 1 }, { timeoutMs: 5 }])
      }))

    it.effect("is built anew in every place: one value at two depths and in two surroundings", () =>
      Effect.gen(function*() {
        const again = layer({ timeout: 1 })
        const nested = within(read, again, layer({ timeout: 2, grace: 3 }), again)
        assert.deepStrictEqual(yield* nested, { timeoutMs: 1, graceMs: 3 })
        const beside = Effect.all([1, 2].map((grace) => within(read, again, layer({ grace }))), { concurrency: 2 })
        assert.deepStrictEqual(yield* beside, [
          { timeoutMs: 1, graceMs: 1 },
          { timeoutMs: 1, graceMs: 2 }
        ])
      }))

    it.effect("of a bad option fails when it is built, with the first problem", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(read.pipe(Effect.provide(layer({ timeout: 0, grace: -1 }))))
        assert(error instanceof GraphError.InvalidConfigError)
        assert.strictEqual(error.message, `ParallelConfig.${name}: timeout is 0, allowed is a positive duration`)
      }))

    it.effect("copies its options when it is made", () =>
      Effect.gen(function*() {
        const input = { timeout: 5, retry: { maxRetries: 1 } }
        const made = layer(input)
        input.timeout = 0
        input.retry.maxRetries = 9
        assert.deepStrictEqual(yield* read.pipe(Effect.provide(made)), {
          timeoutMs: 5,
          retry: { fresh: false, given: { maxRetries: 1 } }
        })
      }))
  })
}

it.effect("layer and layerOverride stand side by side", () =>
  Effect.gen(function*() {
    const both = Effect.all([ParallelConfig.CurrentConfig, ParallelConfig.CurrentOverride])
    const layers = Layer.mergeAll(ParallelConfig.layer({ timeout: 1 }), ParallelConfig.layerOverride({ timeout: 2 }))
    assert.deepStrictEqual(yield* both.pipe(Effect.provide(layers)), [{ timeoutMs: 1 }, { timeoutMs: 2 }])
  }))

describe("environment", () => {
  const from = (env: Record<string, string>) => ConfigProvider.fromEnv({ env })
  const read = (env: Record<string, string>) => ParallelConfig.config.parse(from(env))
  const readLayer = (env: Record<string, string>) =>
    within(ParallelConfig.CurrentConfig, ParallelConfig.layerConfig, ConfigProvider.layer(from(env)))

  const variables: ReadonlyArray<readonly [name: string, text: string, input: ParallelConfig.Input]> = [
    ["TIMEOUT", "2 seconds", { timeout: "2 seconds" }],
    ["TOTAL_TIMEOUT", "1500", { totalTimeout: 1_500 }],
    ["GRACE", "wait", { grace: "wait" }],
    ["FAIL_FAST", "true", { failFast: true }],
    ["CONCURRENCY", "8", { concurrency: 8 }],
    ["INCLUDE_TRACEBACK", "yes", { includeTraceback: true }],
    ["RETRY", "false", { retry: false }],
    ["RETRY_MAX_RETRIES", "3", { retry: { maxRetries: 3 } }],
    ["RETRY_BASE_DELAY", "200 millis", { retry: { baseDelay: "200 millis" } }],
    ["RETRY_MAX_DELAY", "Infinity", { retry: { maxDelay: "Infinity" } }],
    ["RETRY_EXPONENTIAL_BACKOFF", "off", { retry: { exponentialBackoff: false } }],
    ["RETRY_BACKOFF_MULTIPLIER", "1.5", { retry: { backoffMultiplier: 1.5 } }],
    ["RETRY_JITTER", "0.25", { retry: { jitter: 0.25 } }],
    ["RETRY_RETRY_ON", "HttpError, TimeoutError", { retry: { retryOn: ["HttpError", "TimeoutError"] } }],
    ["RETRY_MAX_STORED_ERRORS", "0", { retry: { maxStoredErrors: 0 } }],
    ["LIMIT", "false", { limit: false }],
    ["CIRCUIT_BREAKER", "false", { circuitBreaker: false }],
    ["CIRCUIT_BREAKER_KEY", "42", { circuitBreaker: { key: "42" } }],
    ["CIRCUIT_BREAKER_FAILURE_THRESHOLD", "5", { circuitBreaker: { failureThreshold: 5 } }],
    ["CIRCUIT_BREAKER_FAILURE_RATE_THRESHOLD", "0.5", { circuitBreaker: { failureRateThreshold: 0.5 } }],
    ["CIRCUIT_BREAKER_SLOW_CALL_THRESHOLD", "2 seconds", { circuitBreaker: { slowCallThreshold: "2 seconds" } }],
    ["CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD", "0.25", { circuitBreaker: { slowCallRateThreshold: 0.25 } }],
    ["CIRCUIT_BREAKER_WINDOW_SIZE", "20", { circuitBreaker: { windowSize: 20 } }],
    ["CIRCUIT_BREAKER_WINDOW_DURATION", "1 minute", { circuitBreaker: { windowDuration: "1 minute" } }],
    ["CIRCUIT_BREAKER_MINIMUM_CALLS", "10", { circuitBreaker: { minimumCalls: 10 } }],
    ["CIRCUIT_BREAKER_RESET_TIMEOUT", "30 seconds", { circuitBreaker: { resetTimeout: "30 seconds" } }],
    ["CIRCUIT_BREAKER_RESET_TIMEOUT_MULTIPLIER", "1.5", { circuitBreaker: { resetTimeoutMultiplier: 1.5 } }],
    ["CIRCUIT_BREAKER_MAX_RESET_TIMEOUT", "5 minutes", { circuitBreaker: { maxResetTimeout: "5 minutes" } }],
    ["CIRCUIT_BREAKER_HALF_OPEN_MAX_CALLS", "2", { circuitBreaker: { halfOpenMaxCalls: 2 } }],
    ["CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "3", { circuitBreaker: { successThreshold: 3 } }],
    ["CIRCUIT_BREAKER_PROBE_TIMEOUT", "100", { circuitBreaker: { probeTimeout: 100 } }]
  ]

  for (const [name, text, input] of variables) {
    it.effect(`STATEGRAPH_${name} is read`, () =>
      Effect.gen(function*() {
        const env = { [`STATEGRAPH_${name}`]: text }
        assert.deepStrictEqual(yield* read(env), input)
        assert.deepStrictEqual(yield* readLayer(env), make(input))
      }))
  }

  it("has a variable for every option but isFailure and retryAfter", () => {
    const keys = (value: object) => Object.keys(value).map((key) => key.replace(/Ms$/, ""))
    const names = [
      ...keys(ParallelConfig.defaults),
      ...keys(RetryPolicy.defaults).map((key) => `retry.${key}`),
      ...["key", ...keys(CircuitBreaker.defaults)].map((key) => `circuitBreaker.${key}`)
    ].filter((key) => key !== "circuitBreaker.isFailure" && key !== "circuitBreaker.retryAfter")
    const paths = variables.flatMap(([, , input]) =>
      Object.entries(input).map(([field, value]) =>
        typeof value === "object" ? `${field}.${Object.keys(value)[0]}` : field
      )
    )
    assert.deepStrictEqual([...paths].sort(), [...names].sort())
  })

  it.effect("all variables together", () =>
    Effect.gen(function*() {
      const given = variables.filter(([name]) => !["RETRY", "LIMIT", "CIRCUIT_BREAKER"].includes(name))
      const env = Object.fromEntries(given.map(([name, text]) => [`STATEGRAPH_${name}`, text]))
      const input = yield* read(env)
      assert.deepStrictEqual(Object.keys(input).length, 8)
      assert.deepStrictEqual(
        make(input),
        ParallelConfig.merge(...given.map(([, , input]) => make(input)))
      )
    }))

  it.effect("a limit is read as a whole", () =>
    Effect.gen(function*() {
      const whole = { STATEGRAPH_LIMIT_KEY: "db", STATEGRAPH_LIMIT_PERMITS: "4", STATEGRAPH_LIMIT_QUEUE: "0" }
      assert.deepStrictEqual(yield* read(whole), { limit: { key: "db", permits: 4, queue: 0 } })
      assert.deepStrictEqual(yield* read({ ...whole, STATEGRAPH_LIMIT: "false" }), { limit: false })
      const half = yield* Effect.flip(read({ STATEGRAPH_LIMIT_PERMITS: "4" }))
      assert.match(String(half), /STATEGRAPH_LIMIT_KEY.*allowed is a string that is not empty/)
    }))

  it.effect("nothing set, or set to nothing, gives nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), {})
      assert.deepStrictEqual(yield* read({ STATEGRAPH_TIMEOUT: "", STATEGRAPH_UNKNOWN: "x", TIMEOUT: "5" }), {})
      assert.deepStrictEqual(yield* readLayer({}), {})
      assert.deepStrictEqual(yield* ParallelConfig.config, {})
    }))

  it.effect("flags have Effect's words, durations and counts their words, spaces do not matter", () =>
    Effect.gen(function*() {
      for (const text of ["true", "yes", "on", "y", "1"]) {
        assert.deepStrictEqual(yield* read({ STATEGRAPH_FAIL_FAST: text }), { failFast: true })
        assert.strictEqual(yield* Config.Boolean("A").parse(from({ A: text })), true)
      }
      for (const text of ["false", "no", "off", "n", "0"]) {
        assert.deepStrictEqual(yield* read({ STATEGRAPH_FAIL_FAST: text }), { failFast: false })
        assert.strictEqual(yield* Config.Boolean("A").parse(from({ A: text })), false)
      }
      assert.deepStrictEqual(yield* read({ STATEGRAPH_CONCURRENCY: "unbounded" }), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* read({ STATEGRAPH_TIMEOUT: " 1.5 " }), { timeout: 1.5 })
      assert.deepStrictEqual(yield* read({ STATEGRAPH_TIMEOUT: " 2 seconds " }), { timeout: "2 seconds" })
      assert.deepStrictEqual(yield* read({ STATEGRAPH_GRACE: "0" }), { grace: 0 })
    }))

  it.effect("Infinity switches a rule of the circuit off", () =>
    Effect.gen(function*() {
      const env = {
        STATEGRAPH_CIRCUIT_BREAKER_FAILURE_THRESHOLD: "Infinity",
        STATEGRAPH_CIRCUIT_BREAKER_FAILURE_RATE_THRESHOLD: "Infinity",
        STATEGRAPH_CIRCUIT_BREAKER_SLOW_CALL_THRESHOLD: "Infinity"
      }
      assert.deepStrictEqual(circuitOf(yield* readLayer(env)).config, {
        ...CircuitBreaker.defaults,
        failureThreshold: Infinity
      })
    }))

  it.effect("false switches off whatever else is set", () =>
    Effect.gen(function*() {
      const env = {
        STATEGRAPH_RETRY: "false",
        STATEGRAPH_RETRY_MAX_RETRIES: "3",
        STATEGRAPH_CIRCUIT_BREAKER: "false",
        STATEGRAPH_CIRCUIT_BREAKER_KEY: "k"
      }
      assert.deepStrictEqual(yield* read(env), { retry: false, circuitBreaker: false })
    }))

  const duration = `a positive duration; write durations as "2 seconds" or as milliseconds`
  const zero = `a duration of 0 or more, or "wait"; write durations as "2 seconds" or as milliseconds`
  const bad: ReadonlyArray<readonly [name: string, text: string, field: string, value: string, allowed: string]> = [
    ["TIMEOUT", "2s", "timeout", `"2s"`, duration],
    ["TIMEOUT", "0", "timeout", "0", duration],
    ["TIMEOUT", "-5 seconds", "timeout", `"-5 seconds"`, duration],
    ["TIMEOUT", " ", "timeout", `""`, duration],
    ["TIMEOUT", "0x10", "timeout", `"0x10"`, duration],
    ["TIMEOUT", "NaN", "timeout", `"NaN"`, duration],
    ["TOTAL_TIMEOUT", "soon", "totalTimeout", `"soon"`, duration],
    ["GRACE", "-1", "grace", "-1", zero],
    ["FAIL_FAST", "maybe", "failFast", `"maybe"`, "true or false"],
    ["INCLUDE_TRACEBACK", "TRUE", "includeTraceback", `"TRUE"`, "true or false"],
    ["CONCURRENCY", "1.5", "concurrency", "1.5", `an integer of at least 1, or "unbounded"`],
    ["RETRY_MAX_RETRIES", "many", "retry.maxRetries", `"many"`, "an integer of at least 0"],
    ["RETRY_JITTER", "2", "retry.jitter", "2", "a number from 0 to 1"],
    [
      "RETRY_RETRY_ON",
      "A,,B",
      "retry.retryOn",
      "an array of 3",
      "a function, or a list of _tags and error class names; write names with commas between"
    ],
    [
      "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
      "0",
      "circuitBreaker.failureThreshold",
      "0",
      "an integer of at least 1, or Infinity"
    ],
    [
      "CIRCUIT_BREAKER_FAILURE_RATE_THRESHOLD",
      "50%",
      "circuitBreaker.failureRateThreshold",
      `"50%"`,
      "a number from 0 to 1, or Infinity"
    ],
    ["RETRY", "true", "retry", `"true"`, "false; the variables that begin with its name set options"],
    ["CIRCUIT_BREAKER", "off", "circuitBreaker", `"off"`, "false; the variables that begin with its name set options"]
  ]
  for (const [name, text, field, value, allowed] of bad) {
    it.effect(`STATEGRAPH_${name}=${JSON.stringify(text)} is refused by its name, with what is allowed`, () =>
      Effect.gen(function*() {
        const source = `STATEGRAPH_${name}`
        const error = yield* Effect.flip(readLayer({ [source]: text }))
        assert(error instanceof GraphError.InvalidConfigError)
        assert.deepStrictEqual([error.source, error.field, error.value, error.allowed], [source, field, value, allowed])
        const configError = yield* Effect.flip(read({ [source]: text }))
        assert.instanceOf(configError, Config.ConfigError)
        assert.include(configError.message, error.message)
      }))
  }

  it.effect("every bad variable is named, also those of what is switched off", () =>
    Effect.gen(function*() {
      const env = {
        STATEGRAPH_TIMEOUT: "2s",
        STATEGRAPH_RETRY: "false",
        STATEGRAPH_RETRY_MAX_RETRIES: "x",
        STATEGRAPH_CIRCUIT_BREAKER: "no"
      }
      const { message } = yield* Effect.flip(read(env))
      for (const name of ["TIMEOUT", "RETRY_MAX_RETRIES", "CIRCUIT_BREAKER"]) {
        assert.include(message, `STATEGRAPH_${name}: `)
      }
      assert.notInclude(message, "STATEGRAPH_RETRY: ")
    }))

  it.effect("other providers work too: nested objects, and any source below a prefix", () =>
    Effect.gen(function*() {
      const nested = ConfigProvider.fromUnknown({
        STATEGRAPH: { TIMEOUT: 500, FAIL_FAST: true, RETRY: { MAX_RETRIES: 3, RETRY_ON: ["A", "B"] } }
      })
      const input = { timeout: 500, failFast: true, retry: { maxRetries: 3, retryOn: ["A", "B"] } }
      assert.deepStrictEqual(yield* ParallelConfig.config.parse(nested), input)
      assert.deepStrictEqual(yield* ParallelConfig.config.parse(ConfigProvider.constantCase(nested)), input)
      const prefixed = ParallelConfig.config.pipe(Config.nested("APP"))
      assert.deepStrictEqual(yield* prefixed.parse(from({ APP_STATEGRAPH_TIMEOUT: "5" })), { timeout: 5 })
    }))

  it.effect("a provider that cannot be read fails as a ConfigError", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "no file" })))
      const exit = yield* Effect.exit(
        within(ParallelConfig.CurrentConfig, ParallelConfig.layerConfig, ConfigProvider.layer(broken))
      )
      const error = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : assert.fail("it was read")
      assert(error._tag === "Some" && error.value instanceof Config.ConfigError)
      assert.include(error.value.message, "no file")
    }))

  it.effect("layerConfig merges over an outer layer, below an inner one, and reads each place's own provider", () =>
    Effect.gen(function*() {
      const place = (env: Record<string, string>) =>
        within(
          ParallelConfig.CurrentConfig,
          ParallelConfig.layer({ grace: 3 }),
          ParallelConfig.layerConfig,
          ConfigProvider.layer(from(env)),
          ParallelConfig.layer({ timeout: 1, grace: 1, failFast: true })
        )
      const both = Effect.all([place({ STATEGRAPH_TIMEOUT: "2" }), place({ STATEGRAPH_GRACE: "9" })])
      assert.deepStrictEqual(yield* both.pipe(Effect.provide(ParallelConfig.layerConfig)), [
        { timeoutMs: 2, graceMs: 3, failFast: true },
        { timeoutMs: 1, graceMs: 3, failFast: true }
      ])
    }))

  it.effect("can be an override", () =>
    Effect.gen(function*() {
      const override = Layer.unwrap(Effect.map(ParallelConfig.config, ParallelConfig.layerOverride))
      const layer = override.pipe(Layer.provide(ConfigProvider.layer(from({ STATEGRAPH_RETRY: "false" }))))
      assert.deepStrictEqual(yield* ParallelConfig.CurrentOverride.pipe(Effect.provide(layer)), { retry: false })
    }))
})

it("the references have names of their own", () => {
  const context = Context.make(ParallelConfig.CurrentConfig, make({ timeout: 1 }))
  assert.strictEqual(Context.get(context, ParallelConfig.CurrentOverride), ParallelConfig.empty)
})
