/**
 * effect-stategraph: a state graph whose parallel flows cannot hang, leak or lie.
 *
 * Reading order: {@link StateGraph} builds and runs; {@link ParallelConfig}, {@link RetryPolicy} and
 * {@link CircuitBreaker} say how reliable a flow is; {@link ParallelFlowResult} is what became of it; {@link GraphEvent}
 * tells what happens meanwhile, {@link FlowCallbacks}, {@link GraphMetrics}, {@link Diagram} and {@link Timeline} show it;
 * {@link Checkpointer} keeps runs that outlive their process; {@link GraphError} lists what can go wrong.
 *
 * @since 0.1.0
 */

/**
 * Builds and runs graphs.
 *
 * @since 0.1.0
 */
export * as StateGraph from "./StateGraph.ts"

/**
 * How reliable a flow is: limits, retries, circuit, concurrency.
 *
 * @since 0.1.0
 */
export * as ParallelConfig from "./ParallelConfig.ts"

/**
 * When, and after which wait, a failed attempt is repeated.
 *
 * @since 0.1.0
 */
export * as RetryPolicy from "./RetryPolicy.ts"

/**
 * Where a run stands, as data: what a checkpoint holds.
 *
 * @since 0.1.0
 */
export * as RunState from "./RunState.ts"

/**
 * Limits on how much of the same work runs at a time, shared by key.
 *
 * @since 0.1.0
 */
export * as Bulkhead from "./Bulkhead.ts"

/**
 * The circuit breaker as a pure state machine.
 *
 * @since 0.1.0
 */
export * as CircuitBreaker from "./CircuitBreaker.ts"

/**
 * The service that holds circuits by key.
 *
 * @since 0.1.0
 */
export * as CircuitBreakerRegistry from "./CircuitBreakerRegistry.ts"

/**
 * The service that keeps saved runs.
 *
 * @since 0.1.0
 */
export * as Checkpointer from "./Checkpointer.ts"

/**
 * When a fan-in has enough.
 *
 * @since 0.1.0
 */
export * as Completion from "./Completion.ts"

/**
 * What became of a flow.
 *
 * @since 0.1.0
 */
export * as ParallelFlowResult from "./ParallelFlowResult.ts"

/**
 * What happens in a run.
 *
 * @since 0.1.0
 */
export * as GraphEvent from "./GraphEvent.ts"

/**
 * Hooks that watch the flows of a run.
 *
 * @since 0.1.0
 */
export * as FlowCallbacks from "./FlowCallbacks.ts"

/**
 * The metrics of all graphs.
 *
 * @since 0.1.0
 */
export * as GraphMetrics from "./GraphMetrics.ts"

/**
 * A graph as a picture, for Mermaid and Graphviz.
 *
 * @since 0.1.0
 */
export * as Diagram from "./Diagram.ts"

/**
 * Runs as a picture: one HTML page.
 *
 * @since 0.1.0
 */
export * as Timeline from "./Timeline.ts"

/**
 * Everything that can go wrong.
 *
 * @since 0.1.0
 */
export * as GraphError from "./GraphError.ts"
