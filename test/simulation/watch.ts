/** Who watches a simulated run beside its listener: callbacks, spans, metrics and the log. All must tell of it what events tell. */
import { Context, Effect, Exit, Logger, Metric, References, Tracer } from "effect"
import { FlowCallbacks, type GraphEvent } from "effect-stategraph"
import { hookNames, type Watcher } from "./spec.ts"
import type { Abandoned } from "./world.ts"

type Hook = (typeof hookNames)[number]

const hookOf: { readonly [tag: string]: Hook } = {
  FlowStarted: "onFlowStart",
  FlowCompleted: "onFlowComplete",
  AttemptFailed: "onFlowError",
  FlowTimedOut: "onFlowTimeout",
  RetryScheduled: "onFlowRetry",
  CircuitStateChanged: "onCircuitStateChange"
}

/** Callbacks that do what they must not. */
const watching = ({ does, hook, policy, timeout }: Watcher): FlowCallbacks.FlowCallbacks<never, never> => {
  const acts: { readonly [does in Watcher["does"]]: () => Effect.Effect<void, string> | void } = {
    throws: () => {
      throw new Error("hook")
    },
    fails: () => Effect.fail("hook"),
    hangs: () => Effect.never,
    slow: () => Effect.sleep(20),
    stuck: () => Effect.uninterruptible(Effect.sleep(600_000))
  }
  return FlowCallbacks.make({ [hook]: acts[does] }, { timeout, errorPolicy: policy, name: `${hook} ${does}` }) as never
}

export class Watch {
  readonly #calls: Array<GraphEvent.Any> = []
  readonly #spans: Array<Tracer.NativeSpan> = []
  readonly #metrics: typeof Metric.MetricRegistry.Service = new Map()
  #abandoned = 0
  readonly callbacks: ReadonlyArray<FlowCallbacks.FlowCallbacks<never, never>>
  readonly context: Context.Context<never>

  constructor(watchers: ReadonlyArray<Watcher>, abandoned: (what: Abandoned) => void) {
    const note = (event: GraphEvent.Any) => void this.#calls.push(event)
    const all = FlowCallbacks.make(Object.fromEntries(hookNames.map((hook) => [hook, note])), { name: "all" })
    this.callbacks = [...watchers.map(watching), all as never]
    const logger = Logger.make(({ fiber, message }) => {
      if (!String(message).startsWith("abandoned: ")) return
      this.#abandoned++
      abandoned(fiber.getRef(References.CurrentLogAnnotations) as unknown as Abandoned)
    })
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        this.#spans.push(span)
        return span
      }
    })
    this.context = Context.make(Tracer.Tracer, tracer).pipe(
      Context.add(Metric.MetricRegistry, this.#metrics),
      Context.add(Logger.CurrentLoggers, new Set([logger]))
    ) as Context.Context<never>
  }

  /** What they tell otherwise than the events of the run. */
  check(events: ReadonlyArray<GraphEvent.Any>): ReadonlyArray<string> {
    return [...this.#checkCalls(events), ...this.#checkMetrics(events)]
  }

  #checkCalls(events: ReadonlyArray<GraphEvent.Any>): ReadonlyArray<string> {
    const expected = events.filter(({ _tag }) => _tag in hookOf)
    const at = this.#calls.findIndex((call, i) => call !== expected[i])
    if (at >= 0) return [`call ${at} is of ${this.#calls[at]!._tag}, that event is ${expected[at]?._tag}`]
    // One that fails or is interrupted does not wait for those that are still to be called.
    const lost = expected.length - this.#calls.length
    return lost > 0 && events.at(-1)?._tag === "GraphCompleted" ? [`${lost} events were not called back`] : []
  }

  /** Those of graphs that were abandoned end with what is left of them. */
  checkSpans(events: ReadonlyArray<GraphEvent.Any>): ReadonlyArray<string> {
    const told = new Tally()
    const made = new Tally()
    for (const event of events) told.ofSpan(event)
    for (const span of this.#spans) {
      const { attributes, name, status } = span
      if (status._tag !== "Ended") {
        made.add(`${name} without an end`)
        continue
      }
      const ended = Exit.isSuccess(status.exit) ? "ok" : "error"
      if (name === "StateGraph.flow") made.add(`flow ${attributes.get("flow.outcome")} ${ended}`)
      else if (name !== "StateGraph.run") made.add(`${name.slice(11)} ${ended}`)
      for (const [what] of span.events) made.add(`span event ${what}`)
    }
    return told.difference(made, "spans")
  }

  #checkMetrics(events: ReadonlyArray<GraphEvent.Any>): ReadonlyArray<string> {
    const told = new Tally()
    const counted = new Tally()
    for (const event of events) told.ofMetric(event)
    told.add("stategraph_abandoned_flows", this.#abandoned)
    const snapshot = Effect.runSync(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, this.#metrics))
    for (const { attributes, id, state, type } of snapshot) {
      const { key, outcome, to } = { key: "", outcome: "", to: "", ...attributes as object }
      if (type === "Histogram") counted.add(`${id} ${outcome}`, state.count)
      if (type === "Gauge" && id === "stategraph_flows_in_flight") counted.add(id, Number(state.value))
      if (type === "Counter" && id !== "stategraph_callback_failures_total") {
        counted.add([id, key, outcome, to].filter((part) => part !== "").join(" "), Number(state.count))
      }
    }
    return told.difference(counted, "metrics")
  }
}

class Tally {
  readonly #counts = new Map<string, number>()
  readonly #attempts = new Set<string>()
  readonly #flows = new Set<string>()

  add(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by)
  }

  ofSpan(event: GraphEvent.Any): void {
    const attempt = "scope" in event && "attempt" in event
      ? `${event.scope} ${event.branch} ${event.scope === "node" ? event.node : ""} ${event.attempt}`
      : ""
    if (event._tag === "AttemptStarted") this.#attempts.add(attempt)
    // In a wait between attempts it ends none.
    else if (event._tag === "FlowTimedOut" && this.#attempts.delete(attempt)) this.add("attempt error")
    else if (event._tag.startsWith("Attempt")) this.#attempts.delete(attempt)
    switch (event._tag) {
      case "NodeCompleted":
        return this.add("node ok")
      case "NodeFailed":
      case "NodeInterrupted":
        return this.add("node error")
      case "AttemptSucceeded":
        return this.add("attempt ok")
      case "AttemptFailed":
      case "AttemptInterrupted":
        return this.add("attempt error")
      case "FlowTimedOut":
        return this.add("span event timeout")
      case "RetryScheduled":
        return this.add("span event retry")
      case "CircuitStateChanged":
        return this.add("span event circuit")
      case "FlowRejected":
        return this.add("span event rejected")
      case "FlowCompleted":
        return this.add(`flow ${event.result._tag} ${event.result.success ? "ok" : "error"}`)
      default:
    }
  }

  ofMetric(event: GraphEvent.Any): void {
    switch (event._tag) {
      case "RetryScheduled":
        return this.add("stategraph_retries_total")
      case "CircuitStateChanged":
        return this.add(`stategraph_circuit_transitions_total ${event.key} ${event.to}`)
      case "FlowStarted":
        this.#flows.add(event.branch)
        return this.add("stategraph_flows_in_flight")
      case "FlowCompleted": {
        const { _tag } = event.result
        this.add(`stategraph_flows_total ${_tag}`)
        if (!this.#flows.delete(event.branch)) return
        this.add(`stategraph_flow_duration_seconds ${_tag}`)
        return this.add("stategraph_flows_in_flight", -1)
      }
      default:
    }
  }

  difference(other: Tally, of: string): ReadonlyArray<string> {
    return [...new Set([...this.#counts.keys(), ...other.#counts.keys()])].flatMap((what) => {
      const [told, made] = [this.#counts.get(what) ?? 0, other.#counts.get(what) ?? 0]
      return told === made ? [] : [`${of} tell of ${made} times "${what}", events of ${told}`]
    })
  }
}
