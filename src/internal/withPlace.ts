/**
 * `concurrency`: a flow holds a place of its fan-out for as long as an attempt runs, and none while it waits for a retry.
 */
import * as Effect from "effect/Effect"
import type { Flow, Outcome } from "./cells.ts"
import type { Places } from "./places.ts"
import { park } from "./withDeadline.ts"

export const withPlace = (self: Effect.Effect<Outcome>, flow: Flow, places: Places): Effect.Effect<Outcome> => {
  const held = Effect.ensuring(self, Effect.sync(() => places.release()))
  return Effect.flatMap(
    park(flow, (go) => places.take(go)),
    (how): Effect.Effect<Outcome> => how === "go" ? held : Effect.succeed({ _tag: how })
  )
}
