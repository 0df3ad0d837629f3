/**
 * Telemetry as it leaves the process: OTLP over HTTP to a collector, Prometheus text scraped over HTTP.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, Option, Schema, Tracer } from "effect"
import { StateGraph } from "effect-stategraph"
import { FetchHttpClient, Headers, HttpClient, HttpRouter, HttpServer, HttpTraceContext } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const graph = (name: string) =>
  StateGraph.make(name, Schema.Struct({ n: Schema.Number }))
    .addNode("prepare", ({ n }) => ({ n: n + 1 }))
    .addNode("good", () => Effect.logInfo("working"))
    .addNode("flaky", (_state, { attempt }) => attempt === 1 ? Effect.fail(new Down()) : Effect.void)
    .addNode("hanging", () => Effect.never)
    .addFanInNode("join")
    .setEntryPoint("prepare")
    .addParallelEdge("prepare", "good", "join")
    .addParallelEdge("prepare", "flaky", "join", { retry: { maxRetries: 1, baseDelay: 1 }, circuitBreaker: {} })
    .addParallelEdge("prepare", "hanging", "join", { timeout: 20 })
    .setFinishPoint("join")
    .compile()

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: ReadonlyArray<Attribute> }>
  readonly status: { readonly code: number }
}

interface LogRecord {
  readonly body: { readonly stringValue?: string }
  readonly attributes: ReadonlyArray<Attribute>
}

/** What a collector needs to know of an export request. */
interface Received {
  readonly resourceSpans?: ReadonlyArray<
    { readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }> }
  >
  readonly resourceLogs?: ReadonlyArray<
    { readonly scopeLogs: ReadonlyArray<{ readonly logRecords: ReadonlyArray<LogRecord> }> }
  >
  readonly resourceMetrics?: ReadonlyArray<
    { readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<{ readonly name: string }> }> }
  >
}

/** A collector that keeps what it gets. */
const collector = Effect.acquireRelease(
  Effect.callback<{ readonly server: Server; readonly url: string; readonly received: Array<[string, Received]> }>(
    (resume) => {
      const received: Array<[string, Received]> = []
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk: Buffer) => {
          body += chunk.toString()
        })
        request.on("end", () => {
          received.push([request.url ?? "", JSON.parse(body) as Received])
          response.end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
        resume(Effect.succeed({ server, url, received }))
      })
    }
  ),
  ({ server }) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
)

const attribute = (attributes: ReadonlyArray<Attribute>, key: string): unknown => {
  const value = attributes.find((attribute) => attribute.key === key)?.value
  return value && Object.values(value)[0]
}

const labels: Record<string, (span: Span) => string> = {
  "StateGraph.run": () => "run",
  "StateGraph.flow": ({ attributes }) => `flow ${String(attribute(attributes, "flow.branch"))}`,
  "StateGraph.attempt": ({ attributes }) => `attempt ${String(attribute(attributes, "flow.attempt"))}`,
  "StateGraph.node": ({ attributes }) => `node ${String(attribute(attributes, "node.name"))}`
}

describe("OTLP over HTTP", () => {
  it.live("a collector receives the tree of spans of a run, under the caller's trace", () =>
    Effect.gen(function*() {
      const { received, url } = yield* collector
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      // As a server does with the `traceparent` header of the request it answers.
      const caller = HttpTraceContext.w3c(Headers.fromInput({ traceparent: `00-${traceId}-b7ad6b7169203331-01` }))
      const otlp = Otlp.layerJson({ baseUrl: url, resource: { serviceName: "search" }, loggerMergeWithExisting: false })
      yield* graph("exported").invoke({ n: 0 }, { runId: "r1" }).pipe(
        Effect.provideService(Tracer.ParentSpan, Option.getOrThrow(caller)),
        Effect.provide(Layer.provide(otlp, FetchHttpClient.layer)),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      const spans = received.flatMap(([, { resourceSpans }]) =>
        (resourceSpans ?? []).flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      ).filter(({ name }) => name in labels)
      assert.deepStrictEqual([...new Set(spans.map((span) => span.traceId))], [traceId])

      const byId = new Map(spans.map((span) => [span.spanId, span]))
      const pathOf = (span: Span): string => {
        const label = labels[span.name]!(span)
        const parent = byId.get(span.parentSpanId ?? "")
        return parent === undefined ? label : `${pathOf(parent)} > ${label}`
      }
      const run = spans.find(({ name }) => name === "StateGraph.run")!
      assert.strictEqual(run.parentSpanId, "b7ad6b7169203331")
      // Status 1 is OK, 2 is an error, 0 is neither: interrupted.
      assert.sameMembers(spans.map((span) => `${pathOf(span)} [${span.status.code}]`), [
        "run [1]",
        "run > node prepare [1]",
        "run > flow good [1]",
        "run > flow good > attempt 1 [1]",
        "run > flow good > attempt 1 > node good [1]",
        "run > flow flaky [1]",
        "run > flow flaky > attempt 1 [2]",
        "run > flow flaky > attempt 1 > node flaky [2]",
        "run > flow flaky > attempt 2 [1]",
        "run > flow flaky > attempt 2 > node flaky [1]",
        "run > flow hanging [2]",
        "run > flow hanging > attempt 1 [2]",
        "run > flow hanging > attempt 1 > node hanging [0]",
        "run > node join [1]"
      ])
      for (const span of spans) {
        const parent = byId.get(span.parentSpanId ?? "")
        assert.isTrue(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano), pathOf(span))
        if (parent === undefined) continue
        assert.isTrue(BigInt(parent.startTimeUnixNano) <= BigInt(span.startTimeUnixNano), pathOf(span))
        assert.isTrue(BigInt(span.endTimeUnixNano) <= BigInt(parent.endTimeUnixNano), pathOf(span))
      }
      const flaky = spans.find((span) => pathOf(span) === "run > flow flaky")!
      assert.deepStrictEqual(flaky.events.map(({ name }) => name).filter((name) => name === "retry"), ["retry"])
      assert.strictEqual(attribute(flaky.attributes, "circuit.key"), "exported/flaky")

      const logs = received.flatMap(([, { resourceLogs }]) =>
        (resourceLogs ?? []).flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))
      )
      const working = logs.filter(({ body }) => body.stringValue === "working")
      assert.strictEqual(working.length, 1)
      assert.strictEqual(attribute(working[0]!.attributes, "branch"), "good")
      assert.strictEqual(attribute(working[0]!.attributes, "runId"), "r1")

      const metrics = received.flatMap(([, { resourceMetrics }]) =>
        (resourceMetrics ?? []).flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      )
      assert.includeMembers(metrics.map(({ name }) => name), [
        "stategraph_flows_total",
        "stategraph_flow_duration_seconds",
        "stategraph_retries_total"
      ])
    }))
})

/** Samples of the text exposition format: `name{labels}` to value. */
const parsed = (text: string): Map<string, number> => {
  const samples = new Map<string, number>()
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.isNotNull(match, `not a sample: ${line}`)
    const own = [...(match![2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => `${key}=${value}`).sort()
    samples.set(`${match![1]}{${own.join(",")}}`, Number(match![3]))
  }
  return samples
}

describe("Prometheus", () => {
  it.live("scrapes over HTTP what the runs of a graph counted", () =>
    Effect.gen(function*() {
      const scraped = graph("scraped")
      yield* scraped.invoke({ n: 0 })
      yield* scraped.invoke({ n: 0 })
      const client = yield* HttpClient.HttpClient
      const samples = parsed(yield* Effect.flatMap(client.get("/metrics"), (response) => response.text))
      const flow = (branch: string, outcome: string) => `branch=${branch},graph=scraped,outcome=${outcome}`
      assert.strictEqual(samples.get(`stategraph_flows_total{${flow("good", "Success")}}`), 2)
      assert.strictEqual(samples.get(`stategraph_flows_total{${flow("flaky", "Success")}}`), 2)
      assert.strictEqual(samples.get(`stategraph_flows_total{${flow("hanging", "Timeout")}}`), 2)
      assert.strictEqual(samples.get("stategraph_retries_total{branch=flaky,graph=scraped}"), 2)
      assert.strictEqual(samples.get("stategraph_flows_in_flight{graph=scraped}"), 0)
      const duration = "stategraph_flow_duration_seconds"
      assert.strictEqual(samples.get(`${duration}_count{${flow("hanging", "Timeout")}}`), 2)
      assert.isAtLeast(samples.get(`${duration}_sum{${flow("hanging", "Timeout")}}`)!, 0.04)
      const bucket = (le: string) =>
        samples.get(`${duration}_bucket{branch=hanging,graph=scraped,le=${le},outcome=Timeout}`)
      assert.strictEqual(bucket("0.01"), 0)
      assert.strictEqual(bucket("+Inf"), 2)
    }).pipe(
      Effect.provide(
        PrometheusMetrics.layerHttp({ path: "/metrics" }).pipe(
          HttpRouter.serve,
          Layer.provideMerge(HttpServer.layerTestClient),
          Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
          Layer.provide(FetchHttpClient.layer),
          Layer.provideMerge(Logger.layer([]))
        )
      ),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))
})
