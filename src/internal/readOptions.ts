/**
 * What the builder is told of nodes and edges beside names and functions: read at once, with all problems.
 */
import * as Result from "effect/Result"
import type { InvalidConfigError } from "../GraphError.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import { oddity } from "./node.ts"
import type { OptionReader } from "./option.ts"
import type { FallbackData, NodeOptions, Plan } from "./plan.ts"

type Problems = ReadonlyArray<InvalidConfigError>

/** What was read, or all problems of it and of the reader. */
export const orProblems = <A>(reader: OptionReader, read: Result.Result<A, Problems>): Result.Result<A, Problems> => {
  const problems = [...reader.problems, ...Result.isFailure(read) ? read.failure : []]
  return problems.length > 0 ? Result.fail(problems) : read
}

/** Options as an object: what is none has none. */
export const asOptions = <A extends object>(reader: OptionReader, given: A): Partial<A> => {
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return given
  reader.reject("options", given, "an object")
  return {}
}

const policyFields = ["timeout", "retry", "circuitBreaker", "grace", "limit"]

/** The wrappers of one node; absent when it has none. */
export const readPolicy = (
  reader: OptionReader,
  given: object,
  keys: Plan["keys"],
  also: ReadonlyArray<string>
): NodeOptions => {
  reader.known("", given, [...policyFields, "fallback", ...also])
  const input = Object.fromEntries(
    Object.entries(given).filter(([field, value]) => value !== undefined && policyFields.includes(field))
  )
  const parsed = ParallelConfig.parse(input, reader.source)
  if (Result.isFailure(parsed)) reader.problems.push(...parsed.failure)
  const fallback = readFallback(reader, (given as { readonly fallback?: unknown }).fallback, keys)
  const isGuarded = fallback !== undefined || Object.keys(input).length > 0
  return { policy: isGuarded ? Result.getOrElse(parsed, () => ParallelConfig.empty) : undefined, fallback }
}

export const readFallback = (reader: OptionReader, given: unknown, keys: Plan["keys"]): FallbackData | undefined => {
  if (given === undefined || typeof given === "string") return given
  if (typeof given !== "object" || given === null || oddity(given) !== undefined) {
    return reader.reject("fallback", given, "the name of a node, or an update of the state")
  }
  for (const key of Object.keys(given)) {
    if (!keys.has(key)) reader.reject(`fallback.${key}`, key, `a key of the state: ${[...keys.keys()].join(", ")}`)
  }
  return { ...given }
}
