/** Bad input of every kind: a typed error that says what and where, and no node has run. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Schema } from "effect"
import { GraphError, ParallelConfig, StateGraph } from "effect-stategraph"
import { type Loose, loose } from "./support/looseBuilder.ts"
import { scenario } from "./support/scenario.ts"

const { START } = StateGraph

/** A graph of one flow that counts what runs. */
const counting = (edge: unknown = {}) => {
  const ran: Array<string> = []
  const builder = loose()
    .addNode("a", () => void ran.push("a"))
    .addFanInNode("join", () => void ran.push("join"))
    .addParallelEdge(START, "a", "join", edge)
    .setFinishPoint("join")
  return { builder, ran }
}

const bad: ReadonlyArray<readonly [field: string, config: object, value: string, allowed: RegExp]> = [
  ["timeout", { timeout: -1 }, "-1", /positive/],
  ["timeout", { timeout: 0 }, "0", /positive/],
  ["timeout", { timeout: Number.NaN }, "NaN", /positive/],
  ["timeout", { timeout: "soon" }, `"soon"`, /duration/],
  ["timeout", { timeout: -Infinity }, "-Infinity", /positive/],
  ["totalTimeout", { totalTimeout: "-5 seconds" }, `"-5 seconds"`, /positive/],
  ["grace", { grace: -1 }, "-1", /0|wait/],
  ["failFast", { failFast: "yes" }, `"yes"`, /true|boolean/],
  ["concurrency", { concurrency: 0 }, "0", /integer of at least 1/],
  ["concurrency", { concurrency: 1.5 }, "1.5", /integer of at least 1/],
  ["includeTraceback", { includeTraceback: 1 }, "1", /true|boolean/],
  ["retry.maxRetries", { retry: { maxRetries: 0.5 } }, "0.5", /integer of at least 0/],
  ["retry.maxRetries", { retry: { maxRetries: -1 } }, "-1", /integer of at least 0/],
  ["retry.baseDelay", { retry: { baseDelay: Number.NaN } }, "NaN", /0/],
  ["retry.maxDelay", { retry: { maxDelay: 0 } }, "0", /positive/],
  ["retry.jitter", { retry: { jitter: 1.1 } }, "1.1", /0.*1/],
  ["retry.backoffMultiplier", { retry: { backoffMultiplier: 0 } }, "0", /.+/],
  ["retry.maxStoredErrors", { retry: { maxStoredErrors: -1 } }, "-1", /integer of at least 0/],
  ["circuitBreaker.failureThreshold", { circuitBreaker: { failureThreshold: 0 } }, "0", /integer of at least 1/],
  ["circuitBreaker.resetTimeout", { circuitBreaker: { resetTimeout: 0 } }, "0", /positive/],
  ["circuitBreaker.halfOpenMaxCalls", { circuitBreaker: { halfOpenMaxCalls: 0 } }, "0", /integer of at least 1/],
  ["circuitBreaker.successThreshold", { circuitBreaker: { successThreshold: 2.5 } }, "2.5", /integer of at least 1/],
  ["limit", { limit: 3 }, "3", /a limit or false/],
  ["limit", { limit: true }, "true", /a limit or false/],
  ["limit.key", { limit: { key: "", permits: 1 } }, `""`, /not empty/],
  ["limit.key", { limit: { permits: 1 } }, "undefined", /not empty/],
  ["limit.permits", { limit: { key: "k" } }, "undefined", /integer of at least 1/],
  ["limit.permits", { limit: { key: "k", permits: 0 } }, "0", /integer of at least 1/],
  ["limit.permits", { limit: { key: "k", permits: 1.5 } }, "1.5", /integer of at least 1/],
  ["limit.permits", { limit: { key: "k", permits: Infinity } }, "Infinity", /integer of at least 1/],
  ["limit.queue", { limit: { key: "k", permits: 1, queue: -1 } }, "-1", /integer of at least 0, or "unbounded"/],
  ["limit.queue", { limit: { key: "k", permits: 1, queue: "none" } }, `"none"`, /integer of at least 0/],
  ["limit.size", { limit: { key: "k", permits: 1, size: 2 } }, "2", /one of key, permits, queue/],
  ["timeOut", { timeOut: 5 }, "5", /timeout/]
]

const thrown = (make: () => unknown): unknown => {
  try {
    make()
  } catch (error) {
    return error
  }
  throw new Error("nothing was thrown")
}

const check = (
  error: unknown,
  [field, , value, allowed]: (typeof bad)[number],
  source: RegExp
): void => {
  assert.instanceOf(error, GraphError.InvalidConfigError, field)
  const config = error as GraphError.InvalidConfigError
  assert.strictEqual(config.field, field)
  assert.strictEqual(config.value, value)
  assert.match(config.allowed, allowed)
  assert.match(config.source, source)
  assert.include(config.message, field)
  assert.include(config.message, value)
}

describe("an option out of range", () => {
  for (const one of bad) {
    const [field, config, value] = one
    it.effect(`${field} = ${value} is refused wherever it is given`, () =>
      Effect.gen(function*() {
        check(thrown(() => loose("g", { parallel: config })), one, /StateGraph\.make\("g"\)/)
        check(thrown(() => ParallelConfig.make(config as never)), one, /.+/)

        const compile = thrown(() => counting().builder.compile({ parallel: config }))
        assert.instanceOf(compile, GraphError.GraphValidationError)
        assert.include((compile as Error).message, `compile: ${field} is ${value}`)
        const edge = thrown(() => counting(config).builder.compile())
        assert.instanceOf(edge, GraphError.GraphValidationError)
        assert.include((edge as Error).message, `edge __start__ -> a: ${field} is ${value}`)

        const { builder, ran } = counting()
        const graph = builder.compile()
        check(yield* Effect.flip(graph.invoke({ n: 1 }, { parallel: config })), one, /run of graph "g"/)
        for (const layer of [ParallelConfig.layer, ParallelConfig.layerOverride]) {
          const failed = yield* Effect.flip(Effect.provide(graph.invoke({ n: 1 }), layer(config as never)))
          check(failed, one, /ParallelConfig\.layer/)
        }
        assert.deepStrictEqual(ran, [])
      }))
  }

  it.effect("is refused from the environment too, by the name of its variable", () =>
    Effect.gen(function*() {
      const variables = [
        ["STATEGRAPH_TIMEOUT", "-1"],
        ["STATEGRAPH_TIMEOUT", "soon"],
        ["STATEGRAPH_CONCURRENCY", "0"],
        ["STATEGRAPH_RETRY_MAX_RETRIES", "2.5"],
        ["STATEGRAPH_CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0"]
      ] as const
      for (const [name, value] of variables) {
        const { builder, ran } = counting()
        const provider = ConfigProvider.layer(ConfigProvider.fromEnv({ env: { [name]: value } }))
        const layer = Layer.provide(ParallelConfig.layerConfig, provider)
        const error = yield* Effect.flip(Effect.provide(builder.compile().invoke({ n: 1 }), layer))
        assert.include(String(error), name)
        assert.deepStrictEqual(ran, [])
      }
    }))

  it.effect("of a run that is unknown is refused by name", () =>
    Effect.gen(function*() {
      const { builder, ran } = counting()
      const error = yield* Effect.flip(builder.compile().invoke({ n: 1 }, { threat: "x" }))
      assert.instanceOf(error, GraphError.InvalidConfigError)
      assert.strictEqual((error as GraphError.InvalidConfigError).field, "threat")
      assert.deepStrictEqual(ran, [])
    }))

  it("Infinity means none for durations, and nothing for counts", () => {
    assert.doesNotThrow(() =>
      ParallelConfig.make({ timeout: Infinity, totalTimeout: "Infinity" as never, grace: Infinity })
    )
    for (const config of [{ concurrency: Infinity }, { retry: { maxRetries: Infinity } }]) {
      assert.instanceOf(thrown(() => ParallelConfig.make(config)), GraphError.InvalidConfigError)
    }
  })
})

const odd: ReadonlyArray<readonly [what: string, value: unknown, shown: string]> = [
  ["null", null, "null"],
  ["a text", "text", `"text"`],
  ["a number", 5, "5"],
  ["a list", [1], "an array of 1"],
  ["a function", () => {}, "a function"]
]

/** What `compile` says of one graph. */
const refusal = (build: (ran: () => void) => Loose): string => {
  let ran = false
  const error = thrown(() => build(() => void (ran = true)).compile())
  assert.instanceOf(error, GraphError.GraphValidationError)
  assert.isFalse(ran)
  const { message, problems } = error as GraphError.GraphValidationError
  assert.isTrue(problems.every(({ code }) => code === "InvalidConfig"), message)
  return message
}

const oneNode = (policy: unknown) => (ran: () => void) =>
  loose().addNode("a", ran, policy).setEntryPoint("a").setFinishPoint("a")

const oneFlow = (edge: unknown) => (ran: () => void) =>
  loose().addNode("a", ran).addFanInNode("join", ran).addParallelEdge(START, "a", "join", edge).setFinishPoint("join")

describe("an option of a node", () => {
  for (const [field, config, value, allowed] of bad) {
    if (!/^(timeout|grace|retry|circuitBreaker|limit)/.test(field)) continue
    it(`${field} = ${value} is refused, and tells of its node`, () => {
      const message = refusal(oneNode(config))
      assert.include(message, `node a: ${field} is ${value}`)
      assert.match(message, allowed)
    })
  }

  it("that only a flow has is refused by name", () => {
    for (const config of [{ totalTimeout: 5 }, { failFast: true }, { concurrency: 1 }, { includeTraceback: true }]) {
      const [field] = Object.keys(config)
      assert.include(refusal(oneNode(config)), `node a: ${field} is ${Object.values(config)[0]}, allowed is one of`)
    }
  })

  it("that is a fallback is the name of a node or an update of the state, nothing else", () => {
    const values: ReadonlyArray<readonly [unknown, RegExp]> = [
      ...odd.filter(([what]) => what !== "a text").map(([, value, shown]) =>
        [value, new RegExp(`fallback is ${shown}, allowed is the name of a node, or an update`)] as const
      ),
      ...[new Date(0), new Map(), Promise.resolve({ n: 1 }), new Error("no"), Effect.succeed({ n: 1 })].map((value) =>
        [value, /fallback is an object, allowed is the name of a node, or an update/] as const
      ),
      [{ m: 1 }, /fallback\.m is "m", allowed is a key of the state: n/]
    ]
    for (const [fallback, says] of values) {
      assert.match(refusal(oneNode({ fallback })), says)
      assert.match(refusal(oneFlow({ fallback })), says)
      const map = refusal((ran) =>
        (loose().addNode("a", ran).addFanInNode("join", ran) as unknown as {
          addParallelMap(from: string, to: string, fanIn: string, options: unknown): Loose
        }).addParallelMap(START, "a", "join", { items: () => [], fallback }).setFinishPoint("join")
      )
      assert.match(map, says)
    }
  })

  it("is told with all others", () => {
    const message = refusal(oneFlow({ fallback: 5, timeout: -1, limit: { key: "" } }))
    assert.match(message, /4 problems/)
    for (const field of ["fallback", "timeout", "limit.key", "limit.permits"]) {
      assert.include(message, `edge __start__ -> a: ${field} is`)
    }
    assert.match(refusal(oneNode({ fallback: 5, timeout: -1, item: "text" })), /3 problems/)
  })
})

describe("options that are no object", () => {
  for (const [what, value, shown] of odd) {
    it(`but ${what} are refused, of nodes, fan-ins, edges and maps`, () => {
      const says = `options is ${shown}, allowed is an object`
      assert.include(refusal(oneNode(value)), `node a: ${says}`)
      assert.include(refusal(oneFlow(value)), `edge __start__ -> a: ${says}`)
      const nodes = (ran: () => void) =>
        loose().addNode("a", ran) as unknown as Record<string, (...a: unknown[]) => Loose>
      const fanIn = refusal((ran) =>
        nodes(ran)["addFanInNode"]!("join", ran, value).addParallelEdge(START, "a", "join").setFinishPoint("join")
      )
      assert.include(fanIn, `fan-in join: ${says}`)
      const joined = (ran: () => void) =>
        loose().addNode("a", ran).addFanInNode("join", ran) as unknown as ReturnType<typeof nodes>
      const map = refusal((ran) => joined(ran)["addParallelMap"]!(START, "a", "join", value).setFinishPoint("join"))
      assert.include(map, `map __start__ -> a: ${says}`)
      const graph = loose("inner").addNode("x").setEntryPoint("x").setFinishPoint("x").compile()
      const sub = refusal(() =>
        (loose() as unknown as ReturnType<typeof nodes>)["addSubgraph"]!("sub", graph, value)
          .setEntryPoint("sub").setFinishPoint("sub")
      )
      assert.include(sub, `subgraph sub: ${says}`)
    })
  }
})

describe("an input", () => {
  const State = Schema.Struct({
    query: Schema.String,
    pages: Schema.Array(Schema.Struct({ url: Schema.String })).pipe(
      Schema.withConstructorDefault(Effect.succeed([]))
    ),
    limits: Schema.optionalKey(Schema.Struct({ depth: Schema.Int }))
  })

  const searching = () => {
    const ran: Array<string> = []
    const graph = StateGraph.make("search", State)
      .addNode("a", () => void ran.push("a"))
      .setEntryPoint("a")
      .setFinishPoint("a")
      .compile()
    return { graph, ran }
  }

  const inputs: ReadonlyArray<readonly [input: unknown, path: string]> = [
    [{ query: 5 }, "query"],
    [{}, "query"],
    [{ query: "x", pages: [{ url: "u" }, { url: 7 }] }, "pages[1].url"],
    [{ query: "x", pages: "none" }, "pages"],
    [{ query: "x", limits: { depth: 1.5 } }, "limits.depth"],
    [null, ""],
    ["text", ""],
    [undefined, ""]
  ]
  for (const [input, path] of inputs) {
    scenario(
      `${JSON.stringify(input)} is refused at ${path === "" ? "its root" : path}, and no node runs`,
      (run) =>
        Effect.gen(function*() {
          const { graph, ran } = searching()
          const error = yield* Effect.flip(run(graph, input as never))
          assert.instanceOf(error, GraphError.InvalidInputError)
          assert.deepInclude(error, { graph: "search", path })
          assert.include(String((error as Error).message), path)
          assert.include((error as Error).message, "search")
          assert.deepStrictEqual(ran, [])
        })
    )
  }

  scenario("that leaves out what has a default gets it", (run) =>
    Effect.gen(function*() {
      const { graph } = searching()
      assert.deepStrictEqual(yield* run(graph, { query: "x" }), { query: "x", pages: [] })
    }))
})

describe("an update", () => {
  const updates: ReadonlyArray<readonly [what: string, update: unknown, says: RegExp]> = [
    ["a Promise", Promise.resolve({ n: 1 }), /Promise.*Effect\.tryPromise/],
    ["an array", [1], /array/],
    ["a number", 5, /number/],
    ["a text", "text", /string/],
    ["null", null, /null/],
    ["a Date", new Date(0), /Date/],
    ["a Map", new Map(), /Map/],
    ["an Error", new Error("returned"), /fail with it/],
    ["an unknown key", { m: 1 }, /"m" is not in the state, its keys are n/]
  ]
  for (const [what, update, says] of updates) {
    scenario(`of ${what} is refused on the main line, and fails its flow in one`, (run) =>
      Effect.gen(function*() {
        for (const returned of [update, Effect.succeed(update)]) {
          const graph = StateGraph.make("g", Schema.Struct({ n: Schema.Number }))
            .addNode("a", (() => returned) as never)
            .setEntryPoint("a")
            .setFinishPoint("a")
            .compile()
          const error = yield* Effect.flip(run(graph, { n: 1 }) as Effect.Effect<unknown, unknown>)
          assert.instanceOf(error, GraphError.InvalidUpdateError)
          assert.deepInclude(error, { graph: "g", node: "a" })
          assert.match((error as Error).message, says)
        }
        let failure: unknown
        const flow = StateGraph.make("g", Schema.Struct({ n: Schema.Number }))
          .addNode("a", (() => update) as never)
          .addFanInNode("join", (_state, { parallelResults: [result] }) => {
            failure = result!._tag === "Failure" ? result!.failure : undefined
          })
          .addParallelEdge(START, "a", "join")
          .setFinishPoint("join")
          .compile()
        yield* run(flow, { n: 1 }) as Effect.Effect<unknown, unknown>
        assert.instanceOf(failure, GraphError.InvalidUpdateError)
        assert.deepInclude(failure, { node: "a", branch: "a" })
      }))
  }
})
