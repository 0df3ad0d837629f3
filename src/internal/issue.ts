/**
 * What a schema found wrong, as a path and a sentence.
 */
import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** The first problem; `path` is as in JavaScript: `user.tags[2]`. */
export const firstIssue = (issue: SchemaIssue.Issue): { readonly path: string; readonly message: string } => {
  const first = format(issue).issues[0]
  const keys = (first?.path ?? []).map((segment) => typeof segment === "object" ? segment.key : segment)
  const path = keys.reduce<string>(
    (path, key) => typeof key === "number" ? `${path}[${key}]` : path === "" ? String(key) : `${path}.${String(key)}`,
    ""
  )
  return { path, message: first?.message ?? String(issue) }
}
