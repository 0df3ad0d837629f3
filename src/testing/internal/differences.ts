/**
 * How a value differs from what is expected of it, in words.
 */
import * as Equal from "effect/Equal"
import * as Formatter from "effect/Formatter"

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * One line for each difference. Of plain objects only the keys that are expected are looked at; lists are compared item by
 * item; a regular expression is looked for in a text.
 */
export const differences = (what: string, actual: unknown, expected: unknown): ReadonlyArray<string> => {
  if (expected instanceof RegExp && typeof actual === "string") {
    return expected.test(actual) ? [] : [`${what} is ${shown(actual)}, which ${String(expected)} does not match`]
  }
  if (isPlain(expected) && typeof actual === "object" && actual !== null) {
    return Object.entries(expected).flatMap(([key, value]) =>
      differences(`${what}.${key}`, (actual as Record<string, unknown>)[key], value)
    )
  }
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    return expected.flatMap((value, i) => differences(`${what}[${i}]`, actual[i], value))
  }
  return Equal.equals(actual, expected) ? [] : [`${what} is ${shown(actual)}, expected is ${shown(expected)}`]
}

const shown = (value: unknown): string => {
  const text = value instanceof Error ? String(value) : Formatter.format(value)
  return text.length > 300 ? `${text.slice(0, 300)}...` : text
}
