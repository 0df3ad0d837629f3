/**
 * What an error says of itself, as the plain fields of results and events.
 */
import * as Cause from "effect/Cause"
import { FlowTimeoutError } from "../GraphError.ts"

const stable = "UnknownError"

/** The `_tag` of a tagged error, else its class name, else `"UnknownError"`. */
export const errorType = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return stable
  if (error instanceof FlowTimeoutError) return "TimeoutError"
  const tag = "_tag" in error ? error._tag : undefined
  if (typeof tag === "string" && tag !== "") return tag
  const name: unknown = error.constructor?.name
  if (typeof name === "string" && name !== "" && name !== "Object" && name !== "Array") return name
  return error instanceof Error && typeof error.name === "string" && error.name !== "" ? error.name : stable
}

/** The original message; for a value without one, the value as text. */
export const errorMessage = (error: unknown): string => {
  if (typeof error === "string") return error
  try {
    if (typeof error === "object" && error !== null) {
      const message = "message" in error ? error.message : undefined
      if (typeof message === "string" && message !== "") return message
      if (error instanceof Error) return errorType(error)
      return JSON.stringify(error) ?? String(error)
    }
    return String(error)
  } catch {
    return errorType(error)
  }
}

/** The first typed failure, else the first defect, else the interruption. */
export const primaryError = (cause: Cause.Cause<unknown>): unknown => Cause.squash(cause)

/** The stack traces of a cause, with what caused each error. */
export const traceback = (cause: Cause.Cause<unknown>): string => {
  const seen = new Set<unknown>()
  const of = (error: unknown): string => {
    if (seen.has(error)) return "[circular]"
    seen.add(error)
    if (!(error instanceof Error)) return errorMessage(error)
    const own = error.stack ?? `${errorType(error)}: ${error.message}`
    return error.cause === undefined ? own : `${own}\n[cause]: ${of(error.cause)}`
  }
  return cause.reasons
    .map((reason) =>
      reason._tag === "Fail" ? of(reason.error) : reason._tag === "Die" ? of(reason.defect) : "interrupted"
    )
    .join("\n")
}
