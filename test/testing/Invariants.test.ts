/** What is wrong with events is found, and named; with those of real runs nothing is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Schema } from "effect"
import {
  Bulkhead,
  Checkpointer,
  CircuitBreakerRegistry,
  type GraphEvent,
  ParallelFlowResult,
  StateGraph
} from "effect-stategraph"
import { Chaos, Invariants, Recorder, VirtualTime } from "effect-stategraph/testing"

type Events = ReadonlyArray<GraphEvent.Any>

const State = Schema.Struct({ n: Schema.Number })

const toEnd = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(VirtualTime.runToEnd(self), ({ exit }) => exit).pipe(Effect.provide(Logger.layer([])))

/** Flows of many kinds, one inside of another, and a graph that is a node. */
const inner = StateGraph.make("inner", State)
  .addNode("deep", () => {})
  .addFanInNode("meet")
  .addParallelEdge(StateGraph.START, "deep", "meet")
  .setFinishPoint("meet")
  .compile()

const graph = StateGraph.make("outer", State)
  .addNode("start")
  .addNode("flaky", (_state, { attempt }) => attempt < 3 ? Effect.fail("flaky") : Effect.void)
  .addNode("item", (_state, { index }) => Effect.sleep(10 + index!))
  .addNode("split", () => Effect.sleep(1))
  .addNode("left", () => Effect.sleep(2))
  .addNode("right", () => Effect.sleep(1))
  .addFanInNode("near")
  .addNode("own", () => Effect.fail("always"), { retry: { maxRetries: 1, baseDelay: 1 }, fallback: { n: 5 } })
  .addSubgraph("sub", inner, { input: (state) => state, output: () => ({}) })
  .addFanInNode("far", () => {})
  .setEntryPoint("start")
  .addParallelEdge("start", "flaky", "far", {
    retry: { maxRetries: 2, baseDelay: 30 },
    circuitBreaker: { failureThreshold: 2, resetTimeout: 20 }
  })
  .addParallelMap("start", "item", "far", { items: () => [1, 2, 3, 4], concurrency: 2 })
  .addParallelEdge("start", "split", "far", { concurrency: 9 })
  .addParallelEdge("split", "left", "near", { name: "l" })
  .addParallelEdge("split", "right", "near", { name: "r" })
  .addParallelEdge("start", "sub", "far", { name: "inside" })
  .addEdge("far", "own")
  .addConditionalEdges("own", ({ n }) => n < 5 ? "again" : "done", { again: "start", done: StateGraph.END })
  .compile()

const sound = Effect.map(toEnd(Recorder.record(graph, { n: 0 })), ({ events }) => events as unknown as Events)

const label = (event: GraphEvent.Any): string =>
  `${event._tag} ${"branch" in event && event.branch !== undefined ? event.branch : "node" in event ? event.node : ""}`
    .trim()

const indexOf = (events: Events, of: string, which = 0): number => {
  const found = events.flatMap((event, i) => label(event) === of ? [i] : [])[which]
  if (found === undefined) throw new Error(`no ${of}`)
  return found
}

/** The events without one, with another instead of it, or with others after it. */
const tampered = (events: Events, of: string, change: (event: GraphEvent.Any) => Events, which = 0): Events => {
  const at = indexOf(events, of, which)
  return [...events.slice(0, at), ...change(events[at]!), ...events.slice(at + 1)]
}
const changed = (fields: object) => (event: GraphEvent.Any): Events => [{ ...event, ...fields } as GraphEvent.Any]
const twice = (event: GraphEvent.Any): Events => [event, event]
const without = (): Events => []

/** The event at the first label moved to right before the second. */
const moved = (events: Events, of: string, before: string): Events => {
  const event = events[indexOf(events, of)]!
  return tampered(tampered(events, of, without), before, (other) => [event, other])
}

const check = (events: Events, options: Invariants.Options = { graph }) => Invariants.check(events, options)

describe("real runs", () => {
  it.effect("have nothing wrong with them", () =>
    Effect.gen(function*() {
      const events = yield* sound
      assert.isAbove(events.length, 80)
      assert.deepStrictEqual(check(events), [])
      assert.deepStrictEqual(check(events, {}), [])
      assert.deepStrictEqual(check(JSON.parse(JSON.stringify(events))), [])
    }))

  it.effect("with faults have nothing wrong with them either", () =>
    Effect.gen(function*() {
      let events = 0
      for (let seed = 0; seed < 40; seed++) {
        const chaos = Chaos.layer({ seed, failure: 0.2, defect: 0.1, hang: 0.1, latency: { max: 30 } })
        const config = { timeout: 25, grace: 5 }
        const recording = yield* toEnd(Recorder.record(graph, { n: 0 }, { parallel: config })).pipe(
          Effect.provide(chaos),
          Effect.catchTag("NotEndedError", () => Effect.undefined)
        )
        if (recording === undefined) continue
        events += recording.events.length
        assert.deepStrictEqual(Invariants.check(recording.events, { graph, config }), [], `seed ${seed}`)
      }
      assert.isAbove(events, 1_000)
    }))

  it.effect("that are resumed begin in the middle", () =>
    Effect.gen(function*() {
      let isDown = true
      const saved = StateGraph.make("saved", State)
        .addNode("quick", () => {})
        .addNode("slow", () => isDown ? Effect.fail("down") : Effect.void)
        .addFanInNode("join")
        .addNode("last", () => isDown ? Effect.fail("down") : Effect.void)
        .addParallelEdge(StateGraph.START, "quick", "join")
        .addParallelEdge(StateGraph.START, "slow", "join", { retry: { maxRetries: 1, baseDelay: 10 }, failFast: true })
        .addEdge("join", "last")
        .setFinishPoint("last")
        .compile()
      const recorder = yield* Recorder.make(saved)
      yield* toEnd(Effect.exit(recorder.invoke({ n: 0 }, { thread: "t" })))
      isDown = false
      yield* toEnd(Effect.exit(recorder.resume("t")))
      const [first, second] = recorder.recordings.map(({ events }) => events as unknown as Events)
      assert.deepStrictEqual(check(first!, { graph: saved }), [])
      // The quick flow had ended before.
      assert.deepStrictEqual(check(second!, { graph: saved }), [
        "fan-in join joins 1 results of flow quick, which has ended 0 times"
      ])
      assert.deepStrictEqual(check(second!, { graph: saved, resumed: true }), [])
      assert.deepStrictEqual(check([...first!, ...second!], { graph: saved }), [])
    }).pipe(Effect.provide(Checkpointer.Checkpointer.layerMemory)))

  it.effect("of several at a time are told apart", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder.make(graph)
      const registry = CircuitBreakerRegistry.layerMemory
      yield* toEnd(
        Effect.all([recorder.invoke({ n: 0 }, { runId: "a" }), recorder.invoke({ n: 0 }, { runId: "b" })], {
          concurrency: 2
        })
      ).pipe(Effect.provide(registry))
      const [a, b] = recorder.recordings.map(({ events }) => events as unknown as Events)
      const events = [...a!, ...b!].sort((one, other) => one.at - other.at)
      const options = { graph, sharedCircuits: true }
      assert.deepStrictEqual(check(events, options), [])
      const broken = events.filter((event) => !(event.runId === "b" && event._tag === "GraphCompleted"))
      assert.deepStrictEqual(check(broken, options), ["run b: the last event is NodeCompleted"])
    }))
})

describe("starts and ends", () => {
  const cases: ReadonlyArray<readonly [string, (events: Events) => Events, string]> = [
    ["a run without an end", (events) => events.slice(0, -1), "the last event is NodeCompleted"],
    [
      "a node without an end",
      (events) => tampered(events, "NodeCompleted start", without),
      "node start on the main line"
    ],
    [
      "an attempt that starts twice",
      (events) => tampered(events, "AttemptStarted flaky", twice),
      "attempt 1 of flaky starts twice"
    ],
    [
      "a flow that ends twice",
      (events) => tampered(events, "FlowCompleted split", twice),
      "flow split ends with FlowCompleted, but has not started"
    ],
    [
      "an attempt outside of its flow",
      (events) => moved(events, "AttemptStarted flaky", "FlowStarted flaky"),
      "AttemptStarted outside of flow flaky"
    ],
    [
      "a fan-in that ends without a start",
      (events) => tampered(events, "FanInStarted far", without),
      "fan-in far ends without a start"
    ],
    ["no events", () => [], "there are no events"]
  ]
  for (const [name, tamper, expected] of cases) {
    it.effect(`${name} is found`, () =>
      Effect.gen(function*() {
        const found = check(tamper(yield* sound))
        assert.isTrue(found.some((what) => what.includes(expected)), found.join("\n"))
      }))
  }
})

describe("results", () => {
  const result = (fields: object): ParallelFlowResult.Any => ({
    ...ParallelFlowResult.fromFields({
      branch: "web",
      state: {},
      startTime: 5,
      timingMs: 2,
      attempts: 1,
      attemptErrors: [],
      attemptErrorsDropped: 0,
      usedFallback: false
    }, { _tag: "Success", success: true, timeout: false, abandoned: false }),
    ...fields
  } as unknown as ParallelFlowResult.Any)
  const cases: ReadonlyArray<readonly [object, ReadonlyArray<string>]> = [
    [{}, []],
    [{ success: false }, ["success is false", "it has no error"]],
    [{ error: "x" }, ["it has an error"]],
    [{ timeout: true }, ["timeout is true"]],
    [{ endTime: 4 }, ["it takes 2 ms from 5 to 4"]],
    [{ timingMs: 3 }, ["it takes 3 ms from 5 to 7"]],
    [{ retryCount: 1 }, ["1 retries in 1 attempts"]],
    [{ attempts: 0 }, ["success without an attempt"]],
    [{ attempts: 0, usedFallback: true }, []],
    [{ attemptErrorsDropped: 2 }, ["2 errors of 1 attempts"]]
  ]
  for (const [fields, expected] of cases) {
    it(`with ${JSON.stringify(fields)} are ${expected.length === 0 ? "sound" : "not sound"}`, () => {
      assert.deepStrictEqual(
        Invariants.checkResult(result(fields)),
        expected.map((what) => `the result of flow web (Success): ${what}`)
      )
    })
  }

  it.effect("of flows are looked at", () =>
    Effect.gen(function*() {
      const found = check(tampered(yield* sound, "FlowCompleted split", (event) =>
        event._tag === "FlowCompleted"
          ? [{ ...event, result: Object.assign(Object.create(event.result), { success: false }) }]
          : []))
      assert.deepStrictEqual(found, [
        "the result of flow split (Success): success is false",
        "the result of flow split (Success): it has no error"
      ])
    }))
})

describe("joins", () => {
  const results =
    (change: (results: ReadonlyArray<ParallelFlowResult.Any>) => ReadonlyArray<ParallelFlowResult.Any>) =>
    (event: GraphEvent.Any): Events =>
      event._tag === "FanInStarted" ? [{ ...event, results: change(event.results) }] : []

  it.effect("that lose a result, or have one twice, are found", () =>
    Effect.gen(function*() {
      const events = yield* sound
      const lost = tampered(events, "FanInStarted far", results((all) => all.slice(1)))
      assert.deepStrictEqual(check(lost, {}), ["fan-in far joins 0 of 1 results of flow flaky"])
      const doubled = tampered(events, "FanInStarted far", results((all) => [...all, all[0]!]))
      assert.deepStrictEqual(check(doubled), ["fan-in far joins 2 results of flow flaky, which has ended 1 times"])
      const nested = tampered(events, "FanInStarted split", results(([one]) => [one!]))
      assert.deepStrictEqual(check(nested), ["fan-in near joins 0 of 1 results of flow split/r"])
      const inside = tampered(events, "FanInStarted inside", results(() => []))
      assert.deepStrictEqual(check(inside), ["fan-in sub/meet joins 0 of 1 results of flow deep"])
    }))

  it.effect("in another order than declared are found, with a graph", () =>
    Effect.gen(function*() {
      const swapped = tampered(yield* sound, "FanInStarted far", results(([a, b, c, ...rest]) => [b!, a!, c!, ...rest]))
      assert.deepStrictEqual(check(swapped), [
        "fan-in far joins flow flaky after flow item[0], it was declared before it"
      ])
      assert.deepStrictEqual(check(swapped, {}), [])
      const items = tampered(yield* sound, "FanInStarted far", results(([a, b, c, ...rest]) => [a!, c!, b!, ...rest]))
      assert.deepStrictEqual(check(items), [
        "fan-in far joins flow item[0] after flow item[1], it was declared before it"
      ])
    }))
})

describe("attempts", () => {
  it.effect("that are not numbered one after the other are found", () =>
    Effect.gen(function*() {
      const events = yield* sound
      const second = (event: GraphEvent.Any) => [{ ...event, attempt: 7 } as GraphEvent.Any]
      const found = check(tampered(events, "AttemptStarted flaky", second, 1), {})
      assert.include(found, "attempt 7 of flow flaky follows attempt 1")
      const first = check(tampered(events, "AttemptStarted flaky", changed({ attempt: 2 })), {})
      assert.include(first, "attempt 2 of flow flaky follows none")
      const own = check(tampered(events, "AttemptStarted own", changed({ attempt: 2 })), {})
      assert.include(own, "attempt 2 of node own follows none")
    }))

  it.effect("that overlap are found", () =>
    Effect.gen(function*() {
      const events = yield* sound
      const failed = indexOf(events, "AttemptFailed flaky")
      const again = indexOf(events, "AttemptStarted flaky", 1)
      const late = [
        ...events.slice(0, failed),
        ...events.slice(failed + 1, again + 1),
        events[failed]!,
        ...events.slice(again + 1)
      ]
      assert.include(check(late, {}), "attempt 2 of flow flaky begins while attempt 1 is on")
    }))

  it.effect("beyond the policy are found: of the edge, of the node, of the run's config", () =>
    Effect.gen(function*() {
      const events = yield* sound
      const strict = StateGraph.make("outer", State)
        .addNode("flaky", () => {})
        .addNode("own", () => {}, { timeout: "1 hour" })
        .addFanInNode("far")
        .addParallelEdge(StateGraph.START, "flaky", "far", { retry: { maxRetries: 1 } })
        .addEdge("far", "own")
        .setFinishPoint("own")
        .compile()
      assert.deepStrictEqual(check(events, { graph: strict }), [
        "flow flaky is attempted 3 times, allowed is 2",
        "node own is attempted 2 times, allowed is 1"
      ])
      assert.deepStrictEqual(check(events, { config: { retry: { maxRetries: 2 } } }), [])
      assert.deepStrictEqual(check(events, { config: {} }), ["flow flaky is attempted 3 times, allowed is 1"])
      assert.throws(() => check(events, { config: { retry: { maxRetries: -1 } } }), "retry.maxRetries is -1")
    }))

  it.effect("of items are allowed as many as their config says", () =>
    Effect.gen(function*() {
      const items = (retries: (index: number) => number) =>
        StateGraph.make("items", State)
          .addNode("ask", () => Effect.fail("no"))
          .addFanInNode("join", () => {})
          .addParallelMap(StateGraph.START, "ask", "join", {
            items: () => [0, 1, 2],
            config: (_item, index) => ({ retry: { maxRetries: retries(index), baseDelay: 1 } })
          })
          .setFinishPoint("join")
          .compile()
      const { events } = yield* toEnd(Recorder.record(items((index) => index), { n: 0 }))
      assert.deepStrictEqual(Invariants.check(events, { graph: items((index) => index) }), [])
      assert.deepStrictEqual(Invariants.check(events, { graph: items(() => 1) }), [
        "flow ask[2] is attempted 3 times, allowed is 2"
      ])
    }))
})

describe("circuits", () => {
  it.effect("that are OPEN and let an attempt through are found", () =>
    Effect.gen(function*() {
      const events = yield* sound
      // Its third attempt is the probe.
      const silent = tampered(events, "CircuitStateChanged flaky", without, 1)
      const found = [
        "attempt 3 of flow flaky begins while its circuit outer/flaky is OPEN",
        "circuit outer/flaky goes from HALF_OPEN to CLOSED, but is OPEN"
      ]
      assert.deepStrictEqual(check(silent, {}), found)
      assert.deepStrictEqual(check(silent, { sharedCircuits: true }), [])
    }))

  it.effect("that are shared by key are known from the graph", () =>
    Effect.gen(function*() {
      const shared = StateGraph.make("shared", State)
        .addNode("a", () => Effect.fail("down"))
        .addNode("b", () => {})
        .addNode("c", () => {}, { circuitBreaker: { key: "db", failureThreshold: 1 } })
        .addFanInNode("join", () => {})
        .addParallelEdge(StateGraph.START, "a", "join", { circuitBreaker: { key: "db", failureThreshold: 1 } })
        .addParallelEdge(StateGraph.START, "b", "join", { circuitBreaker: { key: "db", failureThreshold: 1 } })
        .addEdge("join", "c")
        .setFinishPoint("c")
        .compile()
      const { events } = yield* toEnd(Recorder.record(shared, { n: 0 }))
      const real = events as unknown as Events
      assert.deepStrictEqual(check(real, { graph: shared }), [])
      assert.deepStrictEqual(real.filter(({ _tag }) => _tag === "FlowRejected").length, 2)
      const forged = tampered(real, "FlowRejected b", (event) => {
        const of = {
          ...event,
          circuit: undefined,
          scope: "flow" as const,
          attempt: 1,
          timingMs: 0,
          branch: "b",
          fanIn: "join"
        }
        return [
          { ...of, _tag: "FlowStarted", state: {} },
          { ...of, _tag: "AttemptStarted" },
          { ...of, _tag: "AttemptInterrupted" }
        ] as unknown as Events
      })
      assert.include(check(forged, { graph: shared }), "attempt 1 of flow b begins while its circuit db is OPEN")
      assert.notInclude(check(forged, {}).join(), "OPEN")
    }))

  it.effect("that are HALF_OPEN let no more than their probes through", () =>
    Effect.gen(function*() {
      const probing = (halfOpenMaxCalls: number) =>
        StateGraph.make("probing", State)
          .addNode("ask", (_state, { attempt }) => attempt === 1 ? Effect.fail("no") : Effect.sleep(10))
          .addFanInNode("join", () => {})
          .addParallelMap(StateGraph.START, "ask", "join", {
            items: () => [0, 1, 2],
            retry: { maxRetries: 1, baseDelay: 20 },
            circuitBreaker: { failureThreshold: 3, resetTimeout: 20, halfOpenMaxCalls }
          })
          .setFinishPoint("join")
          .compile()
      const { events } = yield* toEnd(Recorder.record(probing(3), { n: 0 }))
      assert.deepStrictEqual(Invariants.check(events, { graph: probing(3) }), [])
      assert.deepStrictEqual(Invariants.check(events, { graph: probing(2) }), [
        "attempt 2 of flow ask[2] is probe 3 of circuit probing/ask, allowed is 2"
      ])
      // A run that goes on while they are on: they were let through before it was saved.
      const all = events as unknown as Events
      const from = all.findIndex((event) => event._tag === "CircuitStateChanged" && event.to === "HALF_OPEN")
      const begun = all.filter(({ _tag }) => _tag === "GraphStarted" || _tag === "FlowStarted")
      const resumed = [...begun, ...all.slice(from)]
      assert.deepStrictEqual(check(resumed, { graph: probing(2), resumed: true }), [])
    }))
})

describe("places", () => {
  const three = (concurrency: number) =>
    StateGraph.make("three", State)
      .addNode("ask", () => Effect.sleep(10))
      .addNode("other", () => Effect.sleep(10))
      .addFanInNode("join")
      .addParallelMap(StateGraph.START, "ask", "join", { items: () => [0, 1, 2, 3], concurrency })
      .addParallelEdge(StateGraph.START, "other", "join")
      .setFinishPoint("join")
      .compile()

  it.effect("that are more than allowed are found, with a graph", () =>
    Effect.gen(function*() {
      const { events } = yield* toEnd(Recorder.record(three(3), { n: 0 }))
      assert.deepStrictEqual(Invariants.check(events, { graph: three(3) }), [])
      const found = Invariants.check(events, { graph: three(2) })
      assert.include(found, "3 flows are attempted at a time for fan-in join, allowed are 2")
      assert.deepStrictEqual(Invariants.check(events), [])
    }))
})

describe("limits and interruption", () => {
  it.effect("leave nothing wrong", () =>
    Effect.gen(function*() {
      const limited = StateGraph.make("limited", State)
        .addNode("ask", () => Effect.sleep(10))
        .addNode("stuck", () => Effect.uninterruptible(Effect.sleep(100)))
        .addFanInNode("join", () => {}, { completion: { minSuccessful: 1 } })
        .addParallelMap(StateGraph.START, "ask", "join", {
          items: () => [0, 1, 2],
          limit: { key: "db", permits: 1, queue: 0 }
        })
        .addParallelEdge(StateGraph.START, "stuck", "join", { grace: 5 })
        .setFinishPoint("join")
        .compile()
      const recording = yield* toEnd(Recorder.record(limited, { n: 0 }))
      recording.expectCount("FlowRejected", 2).expectFlow("stuck", { _tag: "Interrupted", abandoned: true })
      assert.deepStrictEqual(Invariants.check(recording.events, { graph: limited }), [])
    }).pipe(Effect.provide(Bulkhead.layer)))
})
