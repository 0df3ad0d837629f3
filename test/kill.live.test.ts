/** 200 kills a store, with the 10 of `kill.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { kill } from "./support/kills.ts"

describe("a run that is killed 190 times comes to the same end, and does nothing again that was saved", () => {
  for (const kind of ["file", "sqlite"] as const) {
    it.concurrent(`with checkpoints in ${kind === "file" ? "files" : "a database"}`, async () => {
      const seed = Date.now()
      console.log(`kills of a run in ${kind}: seed ${seed}`)
      assert.isAtLeast(await kill(kind, 190, seed), 1)
    }, 1_200_000)
  }
})
