/**
 * `concurrency`: a flow holds a place of its fan-out from its attempt to its result, and none while it waits for a retry.
 */
import * as Effect from "effect/Effect"
import type { Places } from "./places.ts"
import { park } from "./withDeadline.ts"
import type { Flow, Outcome } from "./work.ts"

export const withPlace = (self: Effect.Effect<Outcome>, flow: Flow, places: Places): Effect.Effect<Outcome> => {
  const parked = Effect.flatMap(
    park(flow, (go) =>
      places.take(() => {
        flow.holdsPlace = true
        go()
      })),
    (how): Effect.Effect<Outcome> => how === "go" ? self : Effect.succeed({ _tag: how })
  )
  // The flow of an item is started with its place.
  return Effect.suspend(() => flow.holdsPlace ? self : parked)
}

/** Only after its result is known: what that result stops must not start in between. */
export const releasePlace = (flow: Flow): void => {
  if (!flow.holdsPlace) return
  flow.holdsPlace = false
  flow.places?.release()
}
