/** What is told of a node with a policy: events, spans, logs and metrics; and that all of it ends, wherever it is stopped. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Metric, Option, References, Tracer } from "effect"
import { Bulkhead, FlowCallbacks, type GraphEvent, StateGraph } from "effect-stategraph"
import { type Body, boom, State } from "./support/fan.ts"
import { check, interrupted as interruptedIn, resource } from "./support/interrupting.ts"
import { everywhere, lineWith } from "./support/lines.ts"
import { faults } from "./support/pairs.ts"
import { endOf, eventsOf } from "./support/scenario.ts"

const quiet = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, [Logger.layer([]), Bulkhead.layer])

const tell = (event: GraphEvent.Any): string =>
  [
    event._tag,
    "scope" in event ? event.scope : undefined,
    "branch" in event ? event.branch : undefined,
    "node" in event ? event.node : undefined,
    "attempt" in event ? event.attempt : undefined
  ].filter((part) => part !== undefined).join(" ")

const told = <E>(graph: StateGraph.CompiledGraph<State, State, E, never>) =>
  Effect.gen(function*() {
    const { exit } = yield* endOf(quiet(eventsOf(graph, { n: 0 })))
    const { events } = yield* exit
    return events as ReadonlyArray<GraphEvent.Any>
  })

describe("the events of a node with a policy", () => {
  it.effect("are those of attempts, with the node as their scope, between the node's start and its end", () =>
    Effect.gen(function*() {
      const graph = StateGraph.make("g", State)
        .addNode(
          "work",
          (_state, { attempt }) =>
            attempt === 1 ? boom("once") : attempt === 2 ? Effect.never : Effect.succeed({ v: 1 }),
          {
            retry: { maxRetries: 2, baseDelay: 5 },
            timeout: 20,
            circuitBreaker: { failureThreshold: 2, resetTimeout: 10 }
          }
        )
        .setEntryPoint("work").setFinishPoint("work").compile()
      const events = yield* told(graph)
      assert.deepStrictEqual(events.map(tell), [
        "GraphStarted",
        "NodeStarted work",
        "AttemptStarted node work 1",
        "AttemptFailed node work 1",
        "RetryScheduled node work 1",
        "AttemptStarted node work 2",
        "FlowTimedOut node work 2",
        "CircuitStateChanged node work",
        "RetryScheduled node work 2",
        "CircuitStateChanged node work",
        "AttemptStarted node work 3",
        "AttemptSucceeded node work 3",
        "CircuitStateChanged node work",
        "NodeCompleted work",
        "GraphCompleted"
      ])
      assert.deepStrictEqual(faults(events), [])
      const start = events[0]!.at
      assert.deepStrictEqual(events.map(({ at }) => at - start), [0, 0, 0, 0, 0, 5, 25, 25, 25, 35, 35, 35, 35, 35, 35])
    }))

  for (const where of everywhere) {
    it.effect(`${where}: every start has one end, whether it succeeds, fails, times out or is rejected`, () =>
      Effect.gen(function*() {
        const bodies: ReadonlyArray<Body> = [
          () => ({}),
          (_state, { attempt }) => Effect.andThen(Effect.sleep(3), attempt < 3 ? boom("down") : Effect.void),
          () => Effect.never,
          () => Effect.die("bug"),
          () => Effect.interrupt,
          () => 5 as never,
          () => Effect.onInterrupt(Effect.never, () => Effect.sleep(500))
        ]
        for (const body of bodies) {
          for (const maxRetries of [0, 1, 2]) {
            const events = yield* told(lineWith(where, body, {
              retry: { maxRetries, baseDelay: 5 },
              timeout: 20,
              grace: 30,
              circuitBreaker: { failureThreshold: 3 }
            }))
            assert.deepStrictEqual(faults(events), [])
            const node = events.filter((event) => "scope" in event && event.scope === "node")
            assert.isNotEmpty(node)
            for (const event of node) assert.strictEqual((event as GraphEvent.OnNode).node.split("/").at(-1), "work")
          }
        }
      }))
  }
})

/** A run of a graph, and what everybody but the events hears of it. */
const observed = <E>(graph: StateGraph.CompiledGraph<State, State, E, never>) =>
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const logs: Array<Readonly<Record<string, unknown>>> = []
    const calls: Array<string> = []
    const hook = (name: string) => (event: GraphEvent.Any) => void calls.push(`${name} ${tell(event)}`)
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const logger = Logger.make(({ fiber, message }) =>
      void logs.push({ message: String(message), ...fiber.getRef(References.CurrentLogAnnotations) })
    )
    const callbacks = FlowCallbacks.make({
      onFlowError: hook("error"),
      onFlowTimeout: hook("timeout"),
      onFlowRetry: hook("retry"),
      onFlowStart: hook("start"),
      onFlowComplete: hook("complete")
    })
    const metrics: typeof Metric.MetricRegistry.Service = new Map()
    const { exit } = yield* endOf(
      graph.invoke({ n: 0 }, { runId: "r", callbacks }).pipe(
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provideService(Metric.MetricRegistry, metrics),
        Effect.provide([Logger.layer([logger]), Bulkhead.layer])
      )
    )
    const snapshot = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, metrics)
    return { spans, logs, calls, exit, snapshot }
  })

describe("a node with a policy", () => {
  const graph = (inFlow: boolean) => {
    const nodes = StateGraph.make("g", State)
      .addNode(
        "work",
        (_state, { attempt }) =>
          Effect.withSpan(attempt === 1 ? boom("once") : attempt === 2 ? Effect.never : Effect.log("here"), "own"),
        {
          retry: { maxRetries: 2, baseDelay: 5 },
          timeout: 20
        }
      )
    return inFlow
      ? nodes.addFanInNode("join", () => {}).addParallelEdge(StateGraph.START, "work", "join").setFinishPoint("join")
        .compile()
      : nodes.setEntryPoint("work").setFinishPoint("work").compile()
  }

  for (const inFlow of [false, true]) {
    it.effect(`has a span with one for each attempt in it, ${inFlow ? "in a flow" : "on the main line"}`, () =>
      Effect.gen(function*() {
        const { spans } = yield* observed(graph(inFlow))
        const path = (span: Tracer.AnySpan): string => {
          const parent = span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined
          const name = span._tag === "Span" ? span.name.replace("StateGraph.", "") : ""
          return parent === undefined ? name : `${path(parent)} > ${name}`
        }
        const around = inFlow ? "run > flow > attempt > node" : "run > node"
        const own = spans.filter((span) => path(span).startsWith(`${around} > attempt`))
        assert.deepStrictEqual(
          own.map((span) => `${path(span)} ${span.attributes.get("flow.attempt")} ${outcome(span)}`),
          [
            `${around} > attempt 1 failed`,
            `${around} > attempt > own undefined failed`,
            `${around} > attempt 2 failed`,
            `${around} > attempt > own undefined interrupted`,
            `${around} > attempt 3 ok`,
            `${around} > attempt > own undefined ok`
          ]
        )
        assert.strictEqual(own[0]!.attributes.get("node.name"), "work")
        assert.strictEqual(own[0]!.attributes.get("flow.branch"), inFlow ? "work" : undefined)
        const node = spans.find((span) => path(span) === around && span.attributes.get("node.name") === "work")!
        assert.strictEqual(outcome(node), "ok")
        assert.deepStrictEqual(node.events.map(([name, , attributes]) => [name, attributes]), [
          ["retry", { "flow.attempt": 1, "retry.delay_ms": 5, "error.message": "once" }],
          ["timeout", { "flow.attempt": 2, "timeout.ms": 20, "timeout.kind": "attempt" }],
          ["retry", { "flow.attempt": 2, "retry.delay_ms": 10, "error.message": message(inFlow) }]
        ])
      }))

    it.effect(`logs its retries, counts them and tells callbacks, ${inFlow ? "in a flow" : "on the main line"}`, () =>
      Effect.gen(function*() {
        const { calls, logs, snapshot } = yield* observed(graph(inFlow))
        const at = inFlow ? { graph: "g", runId: "r", branch: "work", node: "work" } : {
          graph: "g",
          runId: "r",
          node: "work"
        }
        const name = inFlow ? `node "work" in flow "work"` : `node "work"`
        assert.deepStrictEqual(logs, [
          {
            message: `retry of ${name} after attempt 1 in 5 ms: once`,
            ...at,
            attempt: 1,
            delayMs: 5,
            error: "once"
          },
          {
            message: `retry of ${name} after attempt 2 in 10 ms: ${message(inFlow)}`,
            ...at,
            attempt: 2,
            delayMs: 10,
            error: message(inFlow)
          },
          { message: "here", ...at, attempt: 3 }
        ])
        const branch = inFlow ? " work" : ""
        assert.deepStrictEqual(calls.filter((call) => call.includes(" node")), [
          `error AttemptFailed node${branch} work 1`,
          `retry RetryScheduled node${branch} work 1`,
          `timeout FlowTimedOut node${branch} work 2`,
          `retry RetryScheduled node${branch} work 2`
        ])
        assert.deepStrictEqual(
          calls.filter((call) => !call.includes(" node")),
          inFlow ? ["start FlowStarted work", "complete FlowCompleted work"] : []
        )
        const retries = snapshot.filter(({ id }) => id === "stategraph_retries_total")
        assert.deepStrictEqual(
          retries.map(({ attributes, state }) => [attributes, (state as { count: unknown }).count]),
          [
            [{ graph: "g", branch: inFlow ? "work" : "" }, 2]
          ]
        )
      }))
  }
})

const message = (inFlow: boolean) => `node "work"${inFlow ? ` in flow "work"` : ""} timed out after 20 ms`

const outcome = ({ status }: Tracer.NativeSpan): string =>
  status._tag !== "Ended" ? "open" : Exit.isSuccess(status.exit) ? "ok" : Exit.hasInterrupts(status.exit)
    ? "interrupted"
    : "failed"

/** Policies, fallbacks and limits on every kind of line. */
const guarded = () => {
  const limit = { key: "shared", permits: 2 }
  const retry = { maxRetries: 2, baseDelay: 3 }
  const flaky = (ms: number) => (_state: State, { attempt }: { readonly attempt: number }) =>
    Effect.andThen(Effect.andThen(resource, Effect.sleep(ms)), attempt < 3 ? boom("down") : Effect.void)
  const inner = StateGraph.make("inner", State)
    .addNode("deep", () => Effect.andThen(resource, Effect.sleep(9)), { timeout: 7, retry })
    .addNode("instead", () => Effect.sleep(2))
    .addFanInNode("innerJoin", () => Effect.sleep(1), {})
    .addParallelEdge(StateGraph.START, "deep", "innerJoin", { fallback: "instead", limit })
    .setFinishPoint("innerJoin").compile()
  return StateGraph.make("guarded", State)
    .addNode("first", flaky(2), { retry, circuitBreaker: { failureThreshold: 9 } })
    .addNode("rescue", () => Effect.andThen(resource, Effect.sleep(4)))
    .addNode("broken", () => Effect.andThen(Effect.sleep(3), boom("broken")), { fallback: "rescue", retry })
    .addNode("stuck", () => Effect.uninterruptible(Effect.sleep(60)), { timeout: 5, grace: 4, fallback: { v: 1 } })
    .addNode("limited", () => Effect.andThen(resource, Effect.sleep(6)), { limit })
    .addNode("hanging", () => Effect.andThen(resource, Effect.never), { timeout: 8, retry, limit })
    .addSubgraph("sub", inner, {
      input: (state) => state,
      output: (state) => state,
      timeout: 30,
      retry: { maxRetries: 1, baseDelay: 3 },
      limit: { key: "sub", permits: 1 }
    })
    .addNode("beside", flaky(4), { retry, limit })
    .addFanInNode("join", ({ n }) => Effect.as(Effect.sleep(2), { n: n + 1 }))
    .setEntryPoint("first")
    .addEdge("first", "beside")
    .addEdge("broken", "limited")
    .addParallelEdge("first", "broken", "join", { retry: { maxRetries: 1, baseDelay: 2 } })
    .addParallelEdge("first", "stuck", "join", { name: "stuck" })
    .addParallelEdge("first", "limited", "join", { limit: { key: "flows", permits: 1 } })
    .addParallelEdge("first", "hanging", "join", {
      limit: { key: "flows", permits: 1 },
      fallback: "rescue",
      totalTimeout: 20,
      circuitBreaker: { failureThreshold: 9 }
    })
    .addParallelEdge("first", "sub", "join", { name: "sub" })
    .addParallelEdge("first", "sub", "join", { name: "again", fallback: { v: 2 }, timeout: 15 })
    .addConditionalEdges("join", ({ n }) => n < 2 ? "more" : "enough", { more: "first", enough: StateGraph.END })
    .compile({ parallel: { grace: 10, concurrency: 5 } })
}

describe("a run with policies, fallbacks and limits", () => {
  const interrupted = interruptedIn(guarded())

  it.effect("ends everything it started exactly once, interrupted inside of any event", () =>
    Effect.gen(function*() {
      const whole = yield* interrupted({ event: Infinity })
      check(whole, "undisturbed")
      assert.isTrue(Exit.isSuccess(whole.exit!))
      const { length } = whole.events
      assert.isAbove(length, 200)
      for (let event = 1; event < length; event++) {
        const result = yield* interrupted({ event })
        check(result, `interrupted by event ${event} (${result.events[event - 1]!._tag})`, result.events[event - 1]!.at)
        assert.isTrue(Exit.isFailure(result.exit!), `interrupted by event ${event}`)
      }
    }), 60_000)

  it.effect("ends everything it started exactly once, interrupted at any instant", () =>
    Effect.gen(function*() {
      const { events } = yield* interrupted({ event: Infinity })
      const lastMs = events.at(-1)!.at - events[0]!.at
      assert.isAbove(lastMs, 60)
      for (let ms = 0; ms < lastMs; ms++) {
        const result = yield* interrupted({ ms })
        check(result, `interrupted after ${ms} ms`)
        assert.isTrue(Exit.isFailure(result.exit!), `interrupted after ${ms} ms`)
        // Its grace is 10 ms: nothing is waited for beyond that.
        assert.isAtMost(result.events.at(-1)!.at - result.before, 10, `interrupted after ${ms} ms`)
      }
    }), 60_000)
})
