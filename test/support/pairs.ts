/**
 * What must hold for the events of every run.
 */
import type { GraphEvent } from "effect-stategraph"
import { Invariants } from "effect-stategraph/testing"

/** Of a run that may have been resumed, with circuits that others may use. */
const anyRun: Invariants.Options = { resumed: true, sharedCircuits: true }

/** What is wrong with a run's events, in words; empty for a run that ended as it must. */
export const faults = (events: ReadonlyArray<GraphEvent.Any>, options = anyRun): Array<string> => [
  ...Invariants.check(events, options)
]
