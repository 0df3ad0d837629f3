/** Random runs: whatever happens in them, what must hold holds. A failing seed is printed, and alone runs again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { simulate } from "./simulate.ts"

/** `SIMULATION_SEEDS=100000 npx vitest run test/simulation` runs as many. */
const seeds = Number(process.env["SIMULATION_SEEDS"] ?? 500)

describe("random runs", () => {
  it.live(`of ${seeds} seeds keep every promise`, () =>
    Effect.gen(function*() {
      const ended = new Map<string, number>()
      for (let seed = 1; seed <= seeds; seed++) {
        const outcome = yield* simulate(seed)
        ended.set(outcome.ended, (ended.get(outcome.ended) ?? 0) + 1)
        assert.deepStrictEqual(outcome.problems, [], `seed ${seed}`)
      }
      // They are no trivial runs: every way to end comes about.
      for (const end of ["completed", "failed", "stopped"]) assert.isAbove(ended.get(end) ?? 0, 5, end)
    }), 400_000)

  it.live("are the same for the same seed", () =>
    Effect.gen(function*() {
      for (const seed of [3, 17, 42]) {
        const told = Effect.map(simulate(seed), ({ events }) =>
          events.map((event) => `${event._tag} ${event.at} ${"branch" in event ? event.branch : ""}`))
        assert.deepStrictEqual(yield* told, yield* told)
      }
    }))
})
