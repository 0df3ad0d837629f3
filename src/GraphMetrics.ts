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

/** @internal */
export const callbackFailed = (
  context: Context.Context<never>,
  graph: string,
  callbacks: string,
  count: number
): void => Metric.withAttributes(callbackFailures, { graph, callbacks }).updateUnsafe(count, context)

/** @internal */
export const abandoned = (context: Context.Context<never>, graph: string): void =>
  Metric.withAttributes(abandonedFlows, { graph }).updateUnsafe(1, context)

const levels: { readonly [S in CircuitState]: number } = { CLOSED: 0, HALF_OPEN: 1, OPEN: 2 }

/** @internal */
export const circuitChanged = (context: Context.Context<never>, key: string, to: CircuitState): void => {
  Metric.withAttributes(circuitState, { key }).updateUnsafe(levels[to], context)
  Metric.withAttributes(circuitTransitions, { key, to }).updateUnsafe(1, context)
}

/**
 * What of a context metrics read, and nothing else: they read it at every update.
 *
 * @internal
 */
export const contextOf = (context: Context.Context<never>): Context.Context<never> =>
  Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
    Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
  ) as Context.Context<never>

/**
 * The metrics of one graph, whose series are made once: updating them costs little.
 *
 * @internal
 */
export class OfGraph {
  readonly #graph: string
  readonly #inFlight: Metric.Gauge<number>
  readonly #branches = new Map<string, OfBranch>()

  constructor(graph: string) {
    this.#graph = graph
    this.#inFlight = flowsInFlightWith({ graph })
  }

  started(context: Context.Context<never>): void {
    this.#inFlight.modifyUnsafe(1, context)
  }

  /** A flow that waits for somebody: it starts again when its run is resumed. */
  suspended(context: Context.Context<never>): void {
    this.#inFlight.modifyUnsafe(-1, context)
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
  readonly total: Metric.Counter<number>
  readonly duration: Metric.Histogram<number>
}

/** @internal */
export class OfBranch {
  readonly #inFlight: Metric.Gauge<number>
  readonly #labels: { readonly graph: string; readonly branch: string }
  #retries: Metric.Counter<number> | undefined
  /** Of the outcome that came last, which mostly comes again; and of all. */
  #last: Ended | undefined
  readonly #ends: Array<Ended> = []

  constructor(inFlight: Metric.Gauge<number>, labels: { readonly graph: string; readonly branch: string }) {
    this.#inFlight = inFlight
    this.#labels = labels
  }

  retried(context: Context.Context<never>): void {
    this.#retries ??= retriesWith(this.#labels)
    this.#retries.updateUnsafe(1, context)
  }

  /** `seconds` is absent for a flow that never started. */
  ended(context: Context.Context<never>, outcome: string, seconds: number | undefined): void {
    const end = this.#last?.outcome === outcome ? this.#last : this.#ended(outcome)
    end.total.updateUnsafe(1, context)
    if (seconds === undefined) return
    end.duration.updateUnsafe(seconds, context)
    this.#inFlight.modifyUnsafe(-1, context)
  }

  #ended(outcome: string): Ended {
    let end = this.#ends.find((end) => end.outcome === outcome)
    if (end === undefined) {
      const labels = { ...this.#labels, outcome }
      end = { outcome, total: flowsWith(labels), duration: flowDurationWith(labels) }
      this.#ends.push(end)
    }
    return this.#last = end
  }
}
