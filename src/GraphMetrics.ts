/**
 * The metrics of all graphs, through Effect's `Metric`, so that any exporter shows them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { CircuitState } from "./CircuitBreaker.ts"

// Series with their labels are made by these, not by `Metric.withAttributes`, which maps the context in every update.

const flowsWith = (attributes?: Metric.Metric.Attributes) =>
  Metric.counter("stategraph_flows_total", { description: "Flows that ended", incremental: true, attributes })

const flowDurationWith = (attributes?: Metric.Metric.Attributes) =>
  Metric.histogram("stategraph_flow_duration_seconds", {
    description: "Duration of flows in seconds",
    boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    attributes
  })

const retriesWith = (attributes?: Metric.Metric.Attributes) =>
  Metric.counter("stategraph_retries_total", { description: "Scheduled retries", incremental: true, attributes })

const flowsInFlightWith = (attributes?: Metric.Metric.Attributes) =>
  Metric.gauge("stategraph_flows_in_flight", { description: "Flows that run now", attributes })

/**
 * Flows that ended, by graph, branch and outcome (`Success`, `Failure`, `Timeout`, `Rejected`, `Interrupted`). Branches
 * are named without item keys.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flows: Metric.Counter<number> = flowsWith()

/**
 * Seconds from the start of a flow's first attempt to the end of its last, by graph, branch and outcome. Flows that never
 * started are not in it.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flowDuration: Metric.Histogram<number> = flowDurationWith()

/**
 * Retries that were scheduled, by graph and branch.
 *
 * @category metrics
 * @since 0.1.0
 */
export const retries: Metric.Counter<number> = retriesWith()

/**
 * Flows that have started and not ended, by graph.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flowsInFlight: Metric.Gauge<number> = flowsInFlightWith()

/**
 * State of each circuit by key: 0 is CLOSED, 1 is HALF_OPEN, 2 is OPEN.
 *
 * @category metrics
 * @since 0.1.0
 */
export const circuitState = Metric.gauge("stategraph_circuit_state", {
  description: "State of a circuit: 0 CLOSED, 1 HALF_OPEN, 2 OPEN"
})

/**
 * Changes of circuits, by key and state they changed to.
 *
 * @category metrics
 * @since 0.1.0
 */
export const circuitTransitions = Metric.counter("stategraph_circuit_transitions_total", {
  description: "State changes of circuits",
  incremental: true
})

/**
 * Calls of hooks that failed, took too long, or had not ended when their run did, by graph and callback object.
 *
 * @category metrics
 * @since 0.1.0
 */
export const callbackFailures = Metric.counter("stategraph_callback_failures_total", {
  description: "Calls of hooks that failed, took too long, or had not ended when their run did",
  incremental: true
})

/**
 * Work that did not stop within its grace, by graph.
 *
 * @category metrics
 * @since 0.1.0
 */
export const abandonedFlows = Metric.counter("stategraph_abandoned_flows", {
  description: "Lines of execution that did not stop within their grace",
  incremental: true
})

/**
 * Where the metrics of a run go.
 *
 * @internal
 */
export interface Target {
  /** What of the run's context metrics read, and nothing else: they read it at every update. */
  readonly context: Context.Context<never>
  /** Absent when the context has attributes of its own: series have others than their own labels then. */
  readonly registry: typeof Metric.MetricRegistry.Service | undefined
}

/** @internal */
export const targetOf = (context: Context.Context<never>): Target => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = Context.get(context, Metric.CurrentMetricAttributes)
  return {
    context: Context.make(Metric.MetricRegistry, registry).pipe(
      Context.add(Metric.CurrentMetricAttributes, attributes)
    ) as Context.Context<never>,
    registry: Object.keys(attributes).length === 0 ? registry : undefined
  }
}

/** @internal */
export const callbackFailed = (
  context: Context.Context<never>,
  graph: string,
  callbacks: string,
  count: number
): void => Metric.withAttributes(callbackFailures, { graph, callbacks }).updateUnsafe(count, context)

/** @internal */
export const abandoned = ({ context }: Target, graph: string): void =>
  Metric.withAttributes(abandonedFlows, { graph }).updateUnsafe(1, context)

const levels: { readonly [S in CircuitState]: number } = { CLOSED: 0, HALF_OPEN: 1, OPEN: 2 }

/** @internal */
export const circuitChanged = ({ context }: Target, key: string, to: CircuitState): void => {
  Metric.withAttributes(circuitState, { key }).updateUnsafe(levels[to], context)
  Metric.withAttributes(circuitTransitions, { key, to }).updateUnsafe(1, context)
}

/**
 * The key of a series in Effect's registry.
 *
 * @internal
 */
export const keyOf = ({ attributes = {}, description, id, type }: Metric.Metric<number, unknown>): string =>
  JSON.stringify([type, id, description, Object.entries(attributes).sort(([a], [b]) => a < b ? -1 : 1)])

/**
 * A series that every flow updates. `Metric` reads three references and finds the series by its key each time; this finds it
 * by a key that it has made once. A series that is not there, because it is new or was removed, is left to `Metric`.
 */
class Series {
  readonly #metric: Metric.Metric<number, unknown>
  readonly #key: string

  constructor(metric: Metric.Metric<number, unknown>) {
    this.#metric = metric
    this.#key = keyOf(metric)
  }

  update({ context, registry }: Target, value: number): void {
    const known = registry?.get(this.#key)
    if (known === undefined) this.#metric.updateUnsafe(value, context)
    else known.hooks.update(value, context)
  }

  modify({ context, registry }: Target, value: number): void {
    const known = registry?.get(this.#key)
    if (known === undefined) this.#metric.modifyUnsafe(value, context)
    else known.hooks.modify(value, context)
  }
}

/**
 * The metrics of one graph, whose series are made once: updating them costs little.
 *
 * @internal
 */
export class OfGraph {
  readonly #graph: string
  readonly #inFlight: Series
  readonly #branches = new Map<string, OfBranch>()

  constructor(graph: string) {
    this.#graph = graph
    this.#inFlight = new Series(flowsInFlightWith({ graph }))
  }

  started(target: Target): void {
    this.#inFlight.modify(target, 1)
  }

  /** A flow that waits for somebody: it starts again when its run is resumed. */
  suspended(target: Target): void {
    this.#inFlight.modify(target, -1)
  }

  branch(branch: string): OfBranch {
    let known = this.#branches.get(branch)
    if (known === undefined) {
      known = new OfBranch(this.#inFlight, { graph: this.#graph, branch })
      this.#branches.set(branch, known)
    }
    return known
  }
}

interface Ended {
  readonly outcome: string
  readonly total: Series
  readonly duration: Series
}

/** @internal */
export class OfBranch {
  readonly #inFlight: Series
  readonly #labels: { readonly graph: string; readonly branch: string }
  #retries: Series | undefined
  /** Of the outcome that came last, which mostly comes again; and of all. */
  #last: Ended | undefined
  readonly #ends: Array<Ended> = []

  constructor(inFlight: Series, labels: { readonly graph: string; readonly branch: string }) {
    this.#inFlight = inFlight
    this.#labels = labels
  }

  retried(target: Target): void {
    this.#retries ??= new Series(retriesWith(this.#labels))
    this.#retries.update(target, 1)
  }

  /** `seconds` is absent for a flow that never started. */
  ended(target: Target, outcome: string, seconds: number | undefined): void {
    const end = this.#last?.outcome === outcome ? this.#last : this.#ended(outcome)
    end.total.update(target, 1)
    if (seconds === undefined) return
    end.duration.update(target, seconds)
    this.#inFlight.modify(target, -1)
  }

  #ended(outcome: string): Ended {
    let end = this.#ends.find((end) => end.outcome === outcome)
    if (end === undefined) {
      const labels = { ...this.#labels, outcome }
      end = { outcome, total: new Series(flowsWith(labels)), duration: new Series(flowDurationWith(labels)) }
      this.#ends.push(end)
    }
    return this.#last = end
  }
}
