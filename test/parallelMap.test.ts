/** One flow per item. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Metric, Schema, Stream } from "effect"
import {
  CircuitBreakerRegistry,
  type Completion,
  GraphError,
  GraphMetrics,
  type ParallelConfig,
  ParallelFlowResult,
  StateGraph
} from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../src/internal/builder.ts"
import { execute } from "../src/internal/run.ts"
import { boom, type Result } from "./support/fan.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf, scenario } from "./support/scenario.ts"

const State = Schema.Struct({
  urls: Schema.Array(Schema.String),
  body: Schema.optionalKey(Schema.String),
  pages: Schema.optionalKey(Schema.Array(Schema.String))
})
type State = typeof State.Type

type Body = (item: string, index: number, attempt: number) => Effect.Effect<Partial<State> | void, unknown>

interface Options {
  readonly items?: (state: State) => StateGraph.Items<string>
  readonly key?: (item: string, index: number) => string
  readonly config?: (item: string, index: number) => ParallelConfig.Input
  readonly parallel?: Omit<StateGraph.MapOptions<State, string, unknown>, "items" | "key" | "config">
  readonly completion?: Completion.Rule
}

/** plan => fetch for each url => join, with what the join saw. */
const mapping = (body: Body, { completion, config, items, key, parallel }: Options = {}) => {
  const joins: Array<ReadonlyArray<Result>> = []
  const graph = StateGraph.make("crawl", State)
    .addNode("plan")
    .addNode(
      "fetch",
      (_state, { attempt, index, item }) => body(item, index!, attempt) as Effect.Effect<Partial<State>>,
      { item: Schema.String }
    )
    .addFanInNode("join", (_state, { parallelResults }) => {
      joins.push(parallelResults as unknown as ReadonlyArray<Result>)
      return { pages: parallelResults.map(({ branch, success }) => `${branch} ${success}`) }
    }, { completion })
    .setEntryPoint("plan")
    .addParallelMap("plan", "fetch", "join", {
      items: (items ?? (({ urls }) => urls)) as (state: State) => ReadonlyArray<string>,
      key,
      config,
      ...parallel
    })
    .setFinishPoint("join")
    .compile()
  return { graph, joins, results: () => joins.at(-1) ?? [] }
}

const urls = (n: number) => Array.from({ length: n }, (_, i) => `u${i}`)

describe("a parallel map", () => {
  scenario(
    "starts one flow per item, which knows its item and its index, and keeps their order",
    (run) =>
      Effect.gen(function*() {
        const map = mapping((item, index) =>
          Effect.delay(Effect.succeed({ body: `${index}:${item}` }), 50 - index * 10)
        )
        const { at, exit } = yield* endOf(run(map.graph, { urls: urls(4) }))
        assert.strictEqual(at, 50)
        assert.deepStrictEqual((yield* exit).pages, [
          "fetch[0] true",
          "fetch[1] true",
          "fetch[2] true",
          "fetch[3] true"
        ])
        assert.deepStrictEqual(
          map.results().map(({ index, item, state }) => ({ index, item, body: (state as unknown as State).body })),
          [
            { index: 0, item: "u0", body: "0:u0" },
            { index: 1, item: "u1", body: "1:u1" },
            { index: 2, item: "u2", body: "2:u2" },
            { index: 3, item: "u3", body: "3:u3" }
          ]
        )
      })
  )

  scenario("of nothing runs its fan-in with no results", (run) =>
    Effect.gen(function*() {
      const map = mapping(() => Effect.void)
      assert.deepStrictEqual((yield* run(map.graph, { urls: [] })).pages, [])
      assert.deepStrictEqual(map.joins, [[]])
    }))

  const sources: ReadonlyArray<readonly [what: string, items: (state: State) => StateGraph.Items<string>]> = [
    ["a generator", function*({ urls }) {
      yield* urls
    }],
    ["a Set", ({ urls }) => new Set(urls)],
    ["an Effect", ({ urls }) => Effect.delay(Effect.succeed(urls), 5)],
    ["a Stream", ({ urls }) => Stream.fromIterable(urls)],
    ["a Stream that takes its time", ({ urls }) => Stream.fromIterable(urls).pipe(Stream.tap(() => Effect.sleep(5)))]
  ]
  for (const [what, items] of sources) {
    for (const concurrency of [1, 2, "unbounded"] as const) {
      scenario(`takes its items from ${what}, ${concurrency} at a time`, (run) =>
        Effect.gen(function*() {
          const map = mapping((item) => Effect.delay(Effect.succeed({ body: item }), 10), {
            items,
            parallel: { concurrency }
          })
          const { exit } = yield* endOf(run(map.graph, { urls: urls(5) }))
          assert.isTrue(Exit.isSuccess(exit))
          assert.deepStrictEqual(map.results().map(({ item }) => item), urls(5))
          assert.isTrue(map.results().every(({ success }) => success))
        }))
    }
  }

  scenario("looks at no more items than can start", (run) =>
    Effect.gen(function*() {
      let taken = 0
      let running = 0
      let most = 0
      const items = function*() {
        for (let i = 0; i < 100; i++) {
          taken++
          yield `u${i}`
        }
      }
      const map = mapping((_item, index) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++running)
            // Those that run, and one that waits for its place.
            assert.isAtMost(taken, index + 4)
          }),
          () => Effect.sleep(10),
          () => Effect.sync(() => void running--)
        ), { items, parallel: { concurrency: 3 } })
      const { at } = yield* endOf(run(map.graph, { urls: [] }))
      assert.strictEqual(at, 340)
      assert.strictEqual(most, 3)
      assert.strictEqual(map.results().filter(({ success }) => success).length, 100)
    }))

  scenario("of 20,000 items needs few flows at a time", (run) =>
    Effect.gen(function*() {
      const map = mapping((item) => Effect.as(Effect.yieldNow, { body: item }), { parallel: { concurrency: 10 } })
      yield* run(map.graph, { urls: urls(20_000) })
      assert.strictEqual(map.results().length, 20_000)
      assert.isTrue(map.results().every(({ index, success }, i) => success && index === i))
    }))

  scenario(
    "names flows by key, and refuses a list with two items of one key before any starts",
    (run) =>
      Effect.gen(function*() {
        let started = 0
        const body: Body = () => Effect.sync(() => void started++)
        const map = mapping(body, { key: (url) => `${url}!` })
        assert.deepStrictEqual((yield* run(map.graph, { urls: ["a", "b"] })).pages, [
          "fetch[a!] true",
          "fetch[b!] true"
        ])
        started = 0
        const error = yield* Effect.flip(run(map.graph, { urls: ["a", "b", "a", "c", "b"] }))
        assert.instanceOf(error, GraphError.DuplicateKeyError)
        assert.deepInclude(error, { graph: "crawl", node: "plan", name: "fetch", keys: ["a!", "b!"] })
        assert.match((error as Error).message, /several items with the key "a!", "b!": keys must differ/)
        assert.strictEqual(started, 0)
      })
  )

  scenario(
    "refuses a stream's second item of one key when it comes, and stops the rest",
    (run) =>
      Effect.gen(function*() {
        let interrupted = 0
        const map = mapping(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++)), {
          items: () => Stream.fromIterable(["a", "b", "a"]).pipe(Stream.tap(() => Effect.sleep(10))),
          key: (url) => url
        })
        const { at, exit } = yield* endOf(run(map.graph, { urls: [] }))
        assert.strictEqual(at, 30)
        assert.instanceOf(yield* Effect.flip(exit), GraphError.DuplicateKeyError)
        assert.strictEqual(interrupted, 2)
      })
  )

  const failures: ReadonlyArray<
    readonly [
      what: string,
      items: (state: State) => StateGraph.Items<string>,
      check: (cause: Cause.Cause<unknown>) => void
    ]
  > = [
    [
      "an Effect that fails",
      () => boom("no list"),
      (cause) => assert.strictEqual((Cause.squash(cause) as Error).message, "no list")
    ],
    [
      "a Stream that fails after two",
      () => Stream.concat(Stream.fromIterable(["a", "b"]), Stream.fail("cut off")),
      (cause) => assert.strictEqual(Cause.squash(cause), "cut off")
    ],
    ["a function that throws", () => {
      throw new RangeError("a bug")
    }, (cause) => assert.isTrue(Cause.hasDies(cause))],
    ["a generator that throws", function*() {
      yield "a"
      throw new RangeError("a bug")
    }, (cause) => assert.isTrue(Cause.hasDies(cause))],
    [
      "no list",
      () => 5 as never,
      (cause) => assert.match(String(Cause.squash(cause)), /no list, no iterable and no Stream/)
    ]
  ]
  for (const [what, items, check] of failures) {
    scenario(`from ${what} fails the run with that, and stops its flows`, (run) =>
      Effect.gen(function*() {
        let open = 0
        const map = mapping(() =>
          Effect.acquireUseRelease(
            Effect.sync(() => void open++),
            () => Effect.never,
            () => Effect.sync(() => void open--)
          ), { items })
        const { exit } = yield* endOf(run(map.graph, { urls: [] }))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          check(exit.cause)
        }
        assert.strictEqual(open, 0)
        assert.deepStrictEqual(map.joins, [])
      }))
  }

  scenario("inside of a flow fails that flow with what its items fail with", (run) =>
    Effect.gen(function*() {
      let seen: Result | undefined
      const graph = StateGraph.make("nested", State)
        .addNode("outer")
        .addNode("fetch", () => Effect.void, { item: Schema.String })
        .addFanInNode("inner")
        .addFanInNode("join", (_state, { parallelResults: [result] }) => {
          seen = result as unknown as Result
        })
        .addParallelEdge(StateGraph.START, "outer", "join", { retry: { maxRetries: 1, baseDelay: 0 } })
        .addParallelMap("outer", "fetch", "inner", { items: () => Effect.fail("no list" as const) })
        .setFinishPoint("join")
        .compile()
      yield* endOf(Effect.provide(run(graph, { urls: [] }), Logger.layer([])))
      assert.deepInclude(seen, { _tag: "Failure", error: "no list", failedNode: "outer", attempts: 2 })
    }))

  scenario(
    "gives nested flows the item around them, and names them by the whole path",
    (run) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const graph = StateGraph.make("nested", State)
          .addNode("each")
          .addNode("a", (_state, { branch, index, item }) => void seen.push(`${branch} ${String(item)} ${index}`))
          .addNode("b", (_state, { branch, item }) => void seen.push(`${branch} ${String(item)}`), {
            item: Schema.Number
          })
          .addFanInNode("inner")
          .addFanInNode("join")
          .addParallelMap(StateGraph.START, "each", "join", { items: ({ urls }) => urls, key: (url) => String(url) })
          .addParallelEdge("each", "a", "inner")
          .addParallelMap("each", "b", "inner", { items: () => [7] })
          .setFinishPoint("join")
          .compile()
        yield* run(graph, { urls: ["x", "y"] })
        assert.deepStrictEqual(seen, ["each[x]/a x 0", "each[x]/b[0] 7", "each[y]/a y 1", "each[y]/b[0] 7"])
      })
  )

  scenario(
    "beside plain edges starts those at once, and its results come in the order of the edges",
    (run) =>
      Effect.gen(function*() {
        const started: Array<string> = []
        let branches: ReadonlyArray<string> = []
        const graph = StateGraph.make("mixed", State)
          .addNode("plan")
          .addNode("first", () => void started.push("first"))
          .addNode("fetch", () => void started.push("fetch"), { item: Schema.String })
          .addNode("last", () => void started.push("last"))
          .addFanInNode("join", (_state, { parallelResults }) => {
            branches = parallelResults.map(({ branch }) => branch)
          })
          .setEntryPoint("plan")
          .addParallelEdge("plan", "first", "join")
          .addParallelMap("plan", "fetch", "join", { items: () => Effect.delay(Effect.succeed(["a", "b"]), 10) })
          .addParallelEdge("plan", "last", "join")
          .setFinishPoint("join")
          .compile()
        yield* endOf(run(graph, { urls: [] }))
        assert.deepStrictEqual(started, ["first", "last", "fetch", "fetch"])
        assert.deepStrictEqual(branches, ["first", "fetch[0]", "fetch[1]", "last"])
      })
  )
})

describe("the flows of a map", () => {
  scenario("have limits and retries each, and may have their own configuration", (run) =>
    Effect.gen(function*() {
      const map = mapping((item, _index, attempt) =>
        item === "hangs" ? Effect.never : item === "flaky" && attempt === 1 ? boom("once") : Effect.void, {
        config: (item) =>
          item === "hangs" ? { timeout: 20 } : {},
        parallel: { timeout: 100, retry: { maxRetries: 1, baseDelay: 5 } }
      })
      const { at } = yield* endOf(Effect.provide(run(map.graph, { urls: ["ok", "hangs", "flaky"] }), Logger.layer([])))
      assert.strictEqual(at, 45)
      assert.deepStrictEqual(
        map.results().map(({ _tag, attempts }) =>
          `${_tag} ${attempts}`
        ),
        [
          "Success 1",
          "Timeout 2",
          "Success 2"
        ]
      )
    }))

  scenario("fail the run when an item's own configuration is out of range", (run) =>
    Effect.gen(function*() {
      const map = mapping(() => Effect.void, { config: (_item, index) => ({ timeout: 1 - index }) })
      const error = yield* Effect.flip(run(map.graph, { urls: urls(3) }))
      assert.instanceOf(error, GraphError.InvalidConfigError)
      assert.deepInclude(error, { field: "timeout", value: "0", source: "item of the map plan -> fetch" })
    }))

  scenario("share one circuit, or choose theirs by key", (run) =>
    Effect.gen(function*() {
      for (const own of [false, true]) {
        const registry = CircuitBreakerRegistry.makeUnsafe()
        const map = mapping((item) => item.startsWith("bad") ? boom("down") : Effect.void, {
          parallel: {
            concurrency: 1,
            circuitBreaker: own ? { failureThreshold: 1, key: (item) => `host ${item}` } : { failureThreshold: 1 }
          }
        })
        yield* Effect.provideService(
          run(map.graph, { urls: ["bad", "good"] }),
          CircuitBreakerRegistry.CircuitBreakerRegistry,
          registry
        )
        assert.deepStrictEqual(map.results().map(({ _tag }) => _tag), ["Failure", own ? "Success" : "Rejected"])
        assert.deepStrictEqual((yield* registry.states).map(({ key, state }) => `${key} ${state}`), [
          own ? "host bad OPEN" : "crawl/fetch OPEN"
        ])
        if (!own) continue
        yield* Effect.provideService(
          map.graph.resetCircuit("fetch"),
          CircuitBreakerRegistry.CircuitBreakerRegistry,
          registry
        )
        assert.deepStrictEqual(yield* registry.states, [])
      }
    }))

  it.effect("are counted without their keys", () =>
    Effect.gen(function*() {
      const registry: typeof Metric.MetricRegistry.Service = new Map()
      const map = mapping(() => Effect.void)
      yield* Effect.provideService(map.graph.invoke({ urls: urls(30) }), Metric.MetricRegistry, registry)
      const flows = Metric.withAttributes(GraphMetrics.flows, { graph: "crawl", branch: "fetch", outcome: "Success" })
      const { count } = yield* Effect.provideService(Metric.value(flows), Metric.MetricRegistry, registry)
      assert.strictEqual(count, 30)
      assert.strictEqual(registry.size, 3)
    }))

  it.effect("end one by one, each with its event", () =>
    Effect.gen(function*() {
      const map = mapping((_item, index) => Effect.sleep(10 * (3 - index)), { parallel: { concurrency: 2 } })
      const { exit } = yield* endOf(eventsOf(map.graph, { urls: urls(3) }))
      const { events } = yield* exit
      assert.deepStrictEqual(faults(events), [])
      assert.deepStrictEqual(
        events.flatMap((event) =>
          event._tag === "FlowCompleted" ? [`${event.branch} at ${event.at - events[0]!.at}`] : []
        ),
        ["fetch[1] at 20", "fetch[0] at 30", "fetch[2] at 30"]
      )
    }))

  it.effect("go to JSON and back with their items", () =>
    Effect.gen(function*() {
      const map = mapping(() => Effect.void)
      yield* map.graph.invoke({ urls: ["a"] })
      const codec = ParallelFlowResult.schema(State, { item: Schema.String })
      const back = yield* Schema.decodeUnknownEffect(codec)(
        JSON.parse(JSON.stringify(yield* Schema.encodeEffect(codec)(map.results()[0] as never)))
      )
      assert.deepInclude(back, { branch: "fetch[0]", item: "a", index: 0 })
    }))
})

describe("a map under a completion rule", () => {
  scenario("takes no more items once it has enough", (run) =>
    Effect.gen(function*() {
      let taken = 0
      let closed = false
      const items = function*() {
        try {
          for (;;) {
            taken++
            yield `u${taken}`
          }
        } finally {
          closed = true
        }
      }
      const map = mapping(() => Effect.sleep(10), {
        items,
        parallel: { concurrency: 2 },
        completion: { minSuccessful: 5 }
      })
      const { at } = yield* endOf(run(map.graph, { urls: [] }))
      assert.strictEqual(at, 30)
      assert.isAtMost(taken, 8)
      assert.isTrue(closed)
      assert.strictEqual(map.results().filter(({ success }) => success).length, 5)
    }))

  scenario("is not unreachable while items can still come", (run) =>
    Effect.gen(function*() {
      const map = mapping((_item, index) => index < 3 ? boom("down") : Effect.void, {
        items: () => Stream.fromIterable(urls(5)).pipe(Stream.tap(() => Effect.sleep(10))),
        completion: { minSuccessful: 2 }
      })
      yield* endOf(run(map.graph, { urls: [] }))
      assert.deepStrictEqual(map.results().map(({ success }) => success), [false, false, false, true, true])
    }))
})

describe("a map that is interrupted", () => {
  it.effect("at any instant ends every flow once, closes its stream and runs nothing more", () =>
    Effect.gen(function*() {
      for (const kind of ["list", "stream"] as const) {
        for (let ms = 0; ms <= 60; ms += 3) {
          let open = 0
          let closed = true
          const body: Body = () =>
            Effect.acquireUseRelease(
              Effect.sync(() => void open++),
              () => Effect.sleep(15),
              () => Effect.sync(() => void open--)
            )
          const stream = Stream.fromIterable(urls(9)).pipe(
            Stream.tap(() => Effect.sleep(4)),
            Stream.onStart(Effect.sync(() => void (closed = false))),
            Stream.ensuring(Effect.sync(() => void (closed = true)))
          )
          const map = mapping(body, {
            items: kind === "list" ? () => urls(9) : () => stream,
            parallel: { concurrency: 2 }
          })
          const events: Array<Parameters<typeof faults>[0][number]> = []
          const fiber = yield* Effect.forkDetach(
            execute(compiledOf(map.graph), { urls: [] }, undefined, (event) => void events.push(event))
          )
          yield* TestClock.adjust(ms)
          yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
          yield* TestClock.adjust(5000)
          const at = `${kind} after ${ms} ms`
          assert.isDefined(fiber.pollUnsafe(), at)
          assert.deepStrictEqual(faults(events), [], at)
          assert.strictEqual(open, 0, at)
          assert.isTrue(closed, at)
        }
      }
    }))
})

describe("the options of a map", () => {
  it("are checked when the graph is compiled", () => {
    const says = (options: unknown): string => {
      try {
        const nodes = StateGraph.make("g", State).addNode("a").addFanInNode("join")
        const mapped = (nodes as unknown as { addParallelMap(...args: ReadonlyArray<unknown>): typeof nodes })
          .addParallelMap(StateGraph.START, "a", "join", options)
        mapped.setFinishPoint("join").compile()
      } catch (error) {
        assert.instanceOf(error, GraphError.GraphValidationError)
        return (error as Error).message
      }
      return "nothing"
    }
    assert.match(says({}), /map __start__ -> a: items is undefined, allowed is a function/)
    assert.match(says({ items: [] }), /items is an array of 0, allowed is a function/)
    assert.match(says({ items: () => [], key: "id" }), /key is "id", allowed is a function/)
    assert.match(says({ items: () => [], concurrency: 0 }), /concurrency is 0/)
    assert.match(says({ items: () => [], circuitBreaker: { failureThreshold: 0 } }), /failureThreshold is 0/)
    assert.strictEqual(says({ items: () => [], circuitBreaker: { key: () => "k" } }), "nothing")
  })
})
