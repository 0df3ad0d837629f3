/** Runs that are killed, in processes of their own; many more of them in `kill.live.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { kill } from "./support/kills.ts"

describe("a run that is killed 10 times comes to the same end, and does nothing again that was saved", () => {
  for (const kind of ["file", "sqlite"] as const) {
    it(`with checkpoints in ${kind === "file" ? "files" : "a database"}`, async () => {
      assert.isAtLeast(await kill(kind, 10, 1), 1)
    }, 120_000)
  }
})
