import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { CheckpointerSql } from "effect-stategraph/sql"
import { conforms } from "../support/conformance.ts"
import * as Pglite from "../support/pglite.ts"
import * as Sqlite from "../support/sqlite.ts"

describe("a store in SQLite conforms", () => {
  conforms(Layer.provide(CheckpointerSql.layer, Sqlite.layer({ filename: ":memory:" })))
})

describe("a store in PGlite conforms", () => {
  conforms(Layer.provide(CheckpointerSql.layer, Pglite.layer))
})
