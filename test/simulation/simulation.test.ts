/** Random runs: whatever happens in them, what must hold holds. A failing seed is printed, and alone runs again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { simulate } from "./simulate.ts"

/** `npm run simulate -- --seeds 100000` runs as many; `--first 17 --seeds 1` that one. */
const [first = 1, last = first] = (process.env["SIMULATION_SEEDS"] ?? "1-500").split("-").map(Number)

describe("random runs", () => {
  it.live(`of seeds ${first} to ${last} keep every promise`, () =>
    Effect.gen(function*() {
      const ended = new Map<string, number>()
      for (let seed = first; seed <= last; seed++) {
        const outcome = yield* simulate(seed)
        ended.set(outcome.ended, (ended.get(outcome.ended) ?? 0) + 1)
        assert.deepStrictEqual(outcome.problems, [], `replay it with: npm run simulate -- --first ${seed} --seeds 1`)
      }
      if (last - first < 499) return
      // They are no trivial runs: every way to end comes about.
      for (const end of ["completed", "failed", "stopped"]) assert.isAbove(ended.get(end) ?? 0, 5, end)
    }), 100_000_000)

  it.live("are the same for the same seed", () =>
    Effect.gen(function*() {
      for (const seed of [3, 17, 42]) {
        const told = Effect.map(simulate(seed), ({ events }) =>
          events.map((event) => `${event._tag} ${event.at} ${"branch" in event ? event.branch : ""}`))
        assert.deepStrictEqual(yield* told, yield* told)
      }
    }))
})
