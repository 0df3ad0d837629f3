import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CheckpointerFile } from "effect-stategraph/node"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { conforms } from "../support/conformance.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "stategraph-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("a store of files conforms", () => {
  conforms(Layer.unwrap(Effect.map(folder, (path) => CheckpointerFile.layer(path))))
})
