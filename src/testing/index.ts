/**
 * The test kit of effect-stategraph.
 *
 * @since 0.1.0
 */

/**
 * Faults in the nodes of any graph, from a seed, without touching the graph.
 *
 * @since 0.1.0
 */
export * as Chaos from "./Chaos.ts"

/**
 * What a store of checkpoints has to do, as cases to run on it.
 *
 * @since 0.1.0
 */
export * as CheckpointerConformance from "./CheckpointerConformance.ts"

/**
 * What holds for every run, whatever its graph does and whatever goes wrong in it.
 *
 * @since 0.1.0
 */
export * as Invariants from "./Invariants.ts"

/**
 * What happened in a run, for assertions that say what they expected and what happened instead.
 *
 * @since 0.1.0
 */
export * as Recorder from "./Recorder.ts"

/**
 * Nodes that do what the test says, call by call.
 *
 * @since 0.1.0
 */
export * as Script from "./Script.ts"

/**
 * Running to the end on the virtual clock: hours in no time, to the millisecond.
 *
 * @since 0.1.0
 */
export * as VirtualTime from "./VirtualTime.ts"
