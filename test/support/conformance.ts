/**
 * The conformance suite as tests of one store.
 */
import { it } from "@effect/vitest"
import type { Layer } from "effect"
import type { Checkpointer } from "effect-stategraph"
import { CheckpointerConformance } from "effect-stategraph/testing"

/** All cases run on one store, as in use. */
export const conforms = <E>(layer: Layer.Layer<Checkpointer.Checkpointer, E>): void => {
  it.layer(layer, { timeout: 30_000 })((it) => {
    for (const { name, run } of CheckpointerConformance.cases) it.effect(name, () => run, 30_000)
  })
}
