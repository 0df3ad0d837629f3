/**
 * What a run says of itself, four times over: events, callbacks, spans and metrics. Three are derived from the first.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Metric, Option, References, Schema, Tracer } from "effect"
import { CircuitBreakerRegistry, FlowCallbacks, type GraphEvent, StateGraph } from "effect-stategraph"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../scripts/root.ts"
import { endOf, eventsOf } from "./support/scenario.ts"
import { recordingTracer } from "./support/tracer.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { attempt: Schema.Number }) {}

const State = Schema.Struct({ n: Schema.Number })

/** One flow of every kind, one of them with flows of its own. */
const everything = () =>
  StateGraph.make("all", State)
    .addNode("first", ({ n }) => Effect.succeed({ n: n + 1 }))
    .addNode("pass")
    .addNode("good", () => Effect.delay(Effect.succeed({ n: 1 }), 20))
    .addNode("flaky", (_state, { attempt }) => attempt < 3 ? Effect.fail(new Boom({ attempt })) : Effect.succeed({}))
    .addNode("broken", () => Effect.die(new Error("defect")))
    .addNode("hanging", () => Effect.never)
    .addNode("stuck", () => Effect.uninterruptible(Effect.sleep(400)))
    .addNode("slow", () => Effect.sleep(100))
    .addNode("rejected", () => Effect.void)
    .addNode("full", () => Effect.void)
    .addNode("outer")
    .addNode("inner", (_state, { attempt }) => Effect.fail(new Boom({ attempt })))
    .addNode("sibling", () => Effect.sleep(50))
    .addFanInNode("innerJoin")
    .addFanInNode("join", () => ({ n: 0 }))
    .addEdge("pass", "good")
    .setEntryPoint("first")
    .addParallelEdge("first", "pass", "join", { name: "two", limit: { key: "one at a time", permits: 1 } })
    .addParallelEdge("first", "full", "join", { limit: { key: "one at a time", permits: 1, queue: 0 } })
    .addParallelEdge("first", "flaky", "join", { retry: { maxRetries: 2, baseDelay: 10 } })
    .addParallelEdge("first", "broken", "join", { circuitBreaker: { failureThreshold: 1, key: "broken" } })
    .addParallelEdge("first", "hanging", "join", { timeout: 30, retry: { maxRetries: 1, baseDelay: 5 } })
    .addParallelEdge("first", "stuck", "join", { timeout: 40, grace: 10 })
    .addParallelEdge("first", "slow", "join", {
      timeout: 10,
      totalTimeout: 35,
      retry: { maxRetries: 9, baseDelay: 20 }
    })
    .addParallelEdge("first", "rejected", "join", { circuitBreaker: { key: "open", failureThreshold: 1 } })
    .addParallelEdge("first", "outer", "join", { retry: { maxRetries: 1, baseDelay: 10 } })
    .addParallelEdge("outer", "inner", "innerJoin", { failFast: true })
    .addParallelEdge("outer", "sibling", "innerJoin")
    .setFinishPoint("join")

type Event = GraphEvent.GraphEvent<typeof State.Type, Boom>

/** One run of it with everybody watching. */
const observed = Effect.gen(function*() {
  const calls: Array<string> = []
  const note = (hook: string) => (event: GraphEvent.Any) => void calls.push(`${hook} ${event._tag} ${keyOf(event)}`)
  const callbacks = FlowCallbacks.make({
    onFlowStart: note("onFlowStart"),
    onFlowComplete: note("onFlowComplete"),
    onFlowError: note("onFlowError"),
    onFlowTimeout: note("onFlowTimeout"),
    onFlowRetry: note("onFlowRetry"),
    onCircuitStateChange: note("onCircuitStateChange")
  })
  const { spans, tracer } = recordingTracer()
  const metrics: typeof Metric.MetricRegistry.Service = new Map()
  const registry = CircuitBreakerRegistry.makeUnsafe()
  yield* Effect.ignore(registry.execute("open", { failureThreshold: 1 })(Effect.fail("down")))
  const { exit } = yield* endOf(
    eventsOf(everything().compile({ callbacks }), { n: 0 }, { runId: "r1" }).pipe(
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, metrics),
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    )
  )
  const { events } = yield* exit
  const snapshot = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, metrics)
  return { events, calls, spans, snapshot }
})

const keyOf = (event: GraphEvent.Any): string =>
  [
    "branch" in event ? event.branch : undefined,
    "attempt" in event ? event.attempt : undefined,
    event._tag === "CircuitStateChanged" ? `${event.from}>${event.to}` : undefined
  ].filter((part) => part !== undefined).join(" ")

const hooks = {
  FlowStarted: "onFlowStart",
  FlowCompleted: "onFlowComplete",
  AttemptFailed: "onFlowError",
  FlowTimedOut: "onFlowTimeout",
  RetryScheduled: "onFlowRetry",
  CircuitStateChanged: "onCircuitStateChange"
} as const

/** The calls of hooks that these events mean. */
const callsOf = (events: ReadonlyArray<Event>): Array<string> =>
  events.flatMap((event) =>
    event._tag in hooks ? [`${hooks[event._tag as keyof typeof hooks]} ${event._tag} ${keyOf(event)}`] : []
  )

// Spans as one line each: where they are, how they ended, what happened meanwhile.

const inFlow = (branch: string, attempts: ReadonlyMap<string, number>): string => {
  let path = "run"
  const names = branch.split("/")
  names.forEach((_, i) => {
    const flow = names.slice(0, i + 1).join("/")
    path += ` > flow ${flow}`
    if (i < names.length - 1) path += ` > attempt ${attempts.get(flow)}`
  })
  return path
}

/** The spans that these events mean. */
const spansOf = (events: ReadonlyArray<Event>): Array<string> => {
  const lines: Array<string> = []
  const attempts = new Map<string, number>()
  const open = new Map<string, string>()
  const happened = new Map<string, Array<string>>()
  const during = (branch: string, what: string) => happened.set(branch, [...happened.get(branch) ?? [], what])
  const nodeKey = (event: GraphEvent.OnNode) => `${event.branch ?? ""} ${event.attempt ?? ""} ${event.node}`
  for (const event of events) {
    // No node of the run has a policy of its own.
    if ("scope" in event && event.scope === "node") continue
    switch (event._tag) {
      case "GraphCompleted":
        lines.push("run: ok")
        break
      case "NodeStarted": {
        const at = event.branch === undefined ? "run" : `${inFlow(event.branch, attempts)} > attempt ${event.attempt}`
        open.set(nodeKey(event), `${at} > node ${event.node}`)
        break
      }
      case "NodeCompleted":
      case "NodeFailed":
      case "NodeInterrupted":
        lines.push(`${open.get(nodeKey(event))}: ${event._tag === "NodeCompleted" ? "ok" : "error"}`)
        break
      case "AttemptStarted":
        attempts.set(event.branch, event.attempt)
        open.set(`${event.branch} ${event.attempt}`, `${inFlow(event.branch, attempts)} > attempt ${event.attempt}`)
        break
      case "AttemptSucceeded":
      case "AttemptFailed":
      case "AttemptInterrupted":
      case "FlowTimedOut": {
        if (event._tag === "FlowTimedOut") {
          during(event.branch, `timeout ${event.attempt} ${event.timeoutMs} ${event.timeoutKind}`)
        }
        const at = open.get(`${event.branch} ${event.attempt}`)
        if (at !== undefined) lines.push(`${at}: ${event._tag === "AttemptSucceeded" ? "ok" : "error"}`)
        open.delete(`${event.branch} ${event.attempt}`)
        break
      }
      case "RetryScheduled":
        during(event.branch, `retry ${event.attempt} ${event.delayMs} ${event.error}`)
        break
      case "CircuitStateChanged":
        during(event.branch, `circuit ${event.key} ${event.from} ${event.to}`)
        break
      case "FlowRejected":
        during(
          event.branch,
          event.limit === undefined
            ? `rejected ${event.circuit?.key} ${event.circuit?.state}`
            : `rejected ${event.limit.key}`
        )
        break
      case "FlowCompleted": {
        const { circuitState, retryCount, success, _tag } = event.result
        const what = [`${_tag} ${retryCount} ${circuitState}`, ...happened.get(event.branch) ?? []]
        happened.delete(event.branch)
        lines.push(`${inFlow(event.branch, attempts)}: ${success ? "ok" : "error"} [${what.join(", ")}]`)
        break
      }
      default:
    }
  }
  return lines.sort()
}

const labels: Record<string, (span: Tracer.NativeSpan) => string> = {
  "StateGraph.run": () => "run",
  "StateGraph.flow": (span) => `flow ${span.attributes.get("flow.branch")}`,
  "StateGraph.attempt": (span) => `attempt ${span.attributes.get("flow.attempt")}`,
  "StateGraph.node": (span) => `node ${span.attributes.get("node.name")}`
}

const spanLines = (spans: ReadonlyArray<Tracer.NativeSpan>): Array<string> => {
  const pathOf = (span: Tracer.NativeSpan): string => {
    const parent = Option.getOrUndefined(span.parent) as Tracer.NativeSpan | undefined
    const label = labels[span.name]!(span)
    return parent === undefined ? label : `${pathOf(parent)} > ${label}`
  }
  return spans.map((span) => {
    const ended = span.status._tag === "Ended" ? Exit.isSuccess(span.status.exit) ? "ok" : "error" : "open"
    if (span.name !== "StateGraph.flow") return `${pathOf(span)}: ${ended}`
    const get = (name: string) => span.attributes.get(name)
    const what = span.events.map(([name, , attributes]) => [name, ...Object.values(attributes ?? {})].join(" "))
    const own = `${get("flow.outcome")} ${get("flow.retry_count")} ${get("circuit.state")}`
    return `${pathOf(span)}: ${ended} [${[own, ...what].join(", ")}]`
  }).sort()
}

/** The metrics that these events mean, as `name{labels} value`. */
const metricsOf = (events: ReadonlyArray<Event>): Array<string> => {
  const values = new Map<string, number>()
  const add = (name: string, by: number) => values.set(name, (values.get(name) ?? 0) + by)
  for (const event of events) {
    switch (event._tag) {
      case "FlowStarted":
        add(`stategraph_flows_in_flight{graph=all}`, 1)
        break
      case "RetryScheduled":
        add(`stategraph_retries_total{branch=${event.branch},graph=all}`, 1)
        break
      case "CircuitStateChanged":
        add(`stategraph_circuit_transitions_total{key=${event.key},to=${event.to}}`, 1)
        values.set(`stategraph_circuit_state{key=${event.key}}`, ["CLOSED", "HALF_OPEN", "OPEN"].indexOf(event.to))
        break
      case "FlowCompleted": {
        const { result } = event
        const series = `{branch=${event.branch},graph=all,outcome=${result._tag}}`
        add(`stategraph_flows_total${series}`, 1)
        if (result.abandoned) add("stategraph_abandoned_flows{graph=all}", 1)
        if (result.attempts === 0) break
        add(`stategraph_flow_duration_seconds${series} count`, 1)
        add(`stategraph_flow_duration_seconds${series} sum`, result.timingMs / 1000)
        add(`stategraph_flows_in_flight{graph=all}`, -1)
        break
      }
      default:
    }
  }
  return [...values].map(([name, value]) => `${name} ${value}`).sort()
}

const metricLines = (snapshot: ReadonlyArray<Metric.Metric.Snapshot>): Array<string> =>
  snapshot.flatMap((metric) => {
    const attributes = Object.entries(metric.attributes ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
    const series = `${metric.id}{${attributes.map(([key, value]) => `${key}=${value}`).join(",")}}`
    switch (metric.type) {
      case "Counter":
        return [`${series} ${metric.state.count}`]
      case "Gauge":
        return [`${series} ${metric.state.value}`]
      case "Histogram":
        return [`${series} count ${metric.state.count}`, `${series} sum ${metric.state.sum}`]
      default:
        return [`${series} of unexpected type ${metric.type}`]
    }
  }).sort()

describe("one run, seen four times", () => {
  it.effect("has flows of every outcome, an abandoned and a nested one", () =>
    Effect.gen(function*() {
      const { events } = yield* observed
      const ends = events.flatMap((event) => event._tag === "FlowCompleted" ? [event.result] : [])
      assert.sameMembers([...new Set(ends.map(({ _tag }) => _tag))], [
        "Success",
        "Failure",
        "Timeout",
        "Rejected",
        "Interrupted"
      ])
      assert.deepStrictEqual(ends.filter(({ abandoned }) => abandoned).map(({ branch }) => branch), ["stuck"])
      assert.include(ends.map(({ branch }) => branch), "outer/inner")
    }))

  it.effect("calls back exactly as the events say", () =>
    Effect.gen(function*() {
      const { calls, events } = yield* observed
      assert.isAbove(calls.length, 20)
      assert.deepStrictEqual(calls, callsOf(events))
    }))

  it.effect("makes exactly the spans that the events mean", () =>
    Effect.gen(function*() {
      const { events, spans } = yield* observed
      assert.isAbove(spans.length, 30)
      assert.deepStrictEqual(spanLines(spans), spansOf(events))
    }))

  it.effect("counts exactly what the events mean", () =>
    Effect.gen(function*() {
      const { events, snapshot } = yield* observed
      assert.deepStrictEqual(metricLines(snapshot), metricsOf(events))
    }))
})

describe("the names in docs/telemetry.md", () => {
  const text = readFileSync(join(root, "docs/telemetry.md"), "utf8")
  /** The first cells of the table below a heading row that begins with this word. */
  const column = (heading: string): Array<string> => {
    const rows = text.slice(text.indexOf(`| ${heading} |`)).split("\n")
    const end = rows.findIndex((row) => !row.startsWith("|"))
    return rows.slice(2, end).map((row) => row.split("|")[1]!.trim().replaceAll("`", ""))
  }
  const cells = (heading: string, index: number): Array<string> => {
    const rows = text.slice(text.indexOf(`| ${heading} |`)).split("\n")
    const end = rows.findIndex((row) => !row.startsWith("|"))
    return rows.slice(2, end).flatMap((row) =>
      [...row.split("|")[index]!.matchAll(/`([\w.]+)`/g)].map(([, name]) => name!)
    )
  }
  const sorted = (names: Iterable<string>) => [...new Set(names)].sort()

  it.effect("are all the spans and attributes there are", () =>
    Effect.gen(function*() {
      const { spans } = yield* observed
      assert.deepStrictEqual(sorted(spans.map(({ name }) => name)), sorted(column("span")))
      assert.deepStrictEqual(
        sorted(spans.flatMap(({ attributes }) => [...attributes.keys()])),
        sorted(column("attribute"))
      )
    }))

  it.effect("are all the span events there are", () =>
    Effect.gen(function*() {
      const events = (yield* observed).spans.flatMap((span) => span.events)
      assert.deepStrictEqual(sorted(events.map(([name]) => name)), sorted(column("span event")))
      const kinds = ["attempt", "total"]
      assert.deepStrictEqual(
        sorted(events.flatMap(([, , attributes]) => Object.keys(attributes ?? {}))),
        sorted(cells("span event", 2).filter((name) => !kinds.includes(name)))
      )
    }))

  it.effect("are all the metrics and labels there are", () =>
    Effect.gen(function*() {
      const metrics: typeof Metric.MetricRegistry.Service = new Map()
      const failing = FlowCallbacks.make({
        onFlowStart: () => {
          throw new Error("hook broke")
        }
      })
      yield* Effect.provide(everything().compile({ callbacks: failing }).invoke({ n: 0 }), Logger.layer([])).pipe(
        Effect.provideService(Metric.MetricRegistry, metrics),
        endOf
      )
      const snapshot = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, metrics)
      const documented = column("metric")
      assert.deepStrictEqual(sorted(snapshot.map(({ id }) => id)), sorted(documented))
      for (const [i, name] of documented.entries()) {
        const row = text.split("\n").find((line) => line.startsWith(`| \`${name}\``))!.split("|")
        const [kind, own] = [row[2]!.trim(), row[3]!]
        for (const metric of snapshot.filter(({ id }) => id === name)) {
          assert.strictEqual(metric.type.toLowerCase(), kind, `row ${i}`)
          assert.deepStrictEqual(
            sorted(Object.keys(metric.attributes ?? {})),
            sorted([...own.matchAll(/`(\w+)`/g)].map(([, label]) => label!))
          )
        }
      }
    }))
})

describe("what nodes log", () => {
  it.effect("says where, beside what the caller annotated", () =>
    Effect.gen(function*() {
      const lines: Array<Record<string, unknown>> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push({ message: String(message), ...fiber.getRef(References.CurrentLogAnnotations) })
      })
      const graph = StateGraph.make("logs", State)
        .addNode("main", () => Effect.log("main"))
        .addNode("branch", (_state, { attempt }) =>
          Effect.andThen(Effect.log("branch"), attempt === 1 ? Effect.fail(new Boom({ attempt })) : Effect.void))
        .addFanInNode("join", () =>
          Effect.log("join"))
        .setEntryPoint("main")
        .addParallelEdge("main", "branch", "join", { retry: { maxRetries: 1, baseDelay: 10 } })
        .setFinishPoint("join")
        .compile()
      yield* graph.invoke({ n: 0 }, { runId: "r1" }).pipe(
        Effect.annotateLogs("request", "q1"),
        Effect.provide(Layer.mergeAll(Logger.layer([logger]))),
        endOf
      )
      const run = { request: "q1", graph: "logs", runId: "r1" }
      assert.deepStrictEqual(
        lines.filter(({ message }) =>
          !String(message).startsWith("retry")
        ),
        [
          { message: "main", ...run, node: "main" },
          { message: "branch", ...run, branch: "branch", node: "branch", attempt: 1 },
          { message: "branch", ...run, branch: "branch", node: "branch", attempt: 2 },
          { message: "join", ...run, node: "join" }
        ]
      )
      const retried = lines.filter(({ message }) => String(message).startsWith("retry"))
      assert.strictEqual(retried.length, 1)
      assert.deepInclude(retried[0], { ...run, branch: "branch", attempt: 1, delayMs: 10 })
    }))
})

describe("a run under a caller's span", () => {
  it.effect("continues the caller's trace", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const caller = Tracer.externalSpan({
        traceId: "0af7651916cd43dd8448eb211c80319c",
        spanId: "b7ad6b7169203331",
        sampled: true
      })
      const graph = everything().compile()
      yield* graph.invoke({ n: 0 }).pipe(
        Effect.provideService(Tracer.ParentSpan, caller),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provide(Logger.layer([])),
        endOf
      )
      assert.isAbove(spans.length, 30)
      assert.deepStrictEqual([...new Set(spans.map(({ traceId }) => traceId))], [caller.traceId])
      const [run] = spans.filter(({ name }) => name === "StateGraph.run")
      assert.deepStrictEqual(Option.map(run!.parent, ({ spanId }) => spanId), Option.some(caller.spanId))
    }))

  it.effect("makes no span when tracing is off, and ends the same", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const quiet = everything().compile().invoke({ n: 0 }).pipe(
        Effect.withTracerEnabled(false),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provide(Logger.layer([]))
      )
      const { exit } = yield* endOf(quiet)
      assert.deepStrictEqual(exit, Exit.succeed({ n: 0 }))
      assert.deepStrictEqual(spans, [])
    }))

  it.effect("gives a failed run error status, with its cause", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const graph = StateGraph.make("fails", State)
        .addNode("bad", () => Effect.fail(new Boom({ attempt: 1 })))
        .setEntryPoint("bad")
        .setFinishPoint("bad")
        .compile()
      yield* Effect.exit(Effect.provideService(graph.invoke({ n: 0 }), Tracer.Tracer, tracer))
      for (const { name, status } of spans) {
        assert.isTrue(
          status._tag === "Ended" && Exit.isFailure(status.exit) &&
            Cause.squash(status.exit.cause) instanceof Boom,
          name
        )
      }
      assert.deepStrictEqual(spans.map(({ name }) => name), ["StateGraph.run", "StateGraph.node"])
    }))
})
