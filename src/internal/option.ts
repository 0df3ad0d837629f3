/**
 * Reads one option of a config object: checks it, converts it to the unit the engine works in, and collects what is
 * wrong instead of stopping at the first problem.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { InvalidConfigError } from "../GraphError.ts"

/** Where options come from, and the problems found so far. */
export class OptionReader {
  readonly problems: Array<InvalidConfigError> = []
  readonly source: string
  constructor(source: string) {
    this.source = source
  }

  reject(field: string, value: unknown, allowed: string): undefined {
    this.problems.push(new InvalidConfigError({ field, value: show(value), allowed, source: this.source }))
    return undefined
  }

  /** Milliseconds; `Infinity` means none. `word`: what is allowed instead of a duration, where the caller takes it. */
  duration(
    field: string,
    value: unknown,
    options: { readonly zero: boolean; readonly finite?: boolean; readonly word?: string }
  ): number | undefined {
    if (value === undefined) return undefined
    const range = `a ${options.finite ? "finite " : ""}${options.zero ? "duration of 0 or more" : "positive duration"}`
    const allowed = options.word === undefined ? range : `${range}, or ${options.word}`
    if (isMalformed(value)) return this.reject(field, value, allowed)
    const decoded = Duration.fromInput(value as Duration.Input)
    if (Option.isNone(decoded)) return this.reject(field, value, allowed)
    const millis = Duration.toMillis(decoded.value)
    const outside = millis < 0 || (millis === 0 && !options.zero) || (millis === Infinity && options.finite)
    if (outside) return this.reject(field, value, allowed)
    return millis
  }

  integer(field: string, value: unknown, minimum: number, word?: string): number | undefined {
    if (value === undefined) return undefined
    return typeof value === "number" && Number.isSafeInteger(value) && value >= minimum
      ? value
      : this.reject(field, value, `an integer of at least ${minimum}${word === undefined ? "" : `, or ${word}`}`)
  }

  ratio(field: string, value: unknown, word?: string): number | undefined {
    if (value === undefined) return undefined
    return typeof value === "number" && value >= 0 && value <= 1
      ? value
      : this.reject(field, value, `a number from 0 to 1${word === undefined ? "" : `, or ${word}`}`)
  }

  boolean(field: string, value: unknown): boolean | undefined {
    if (value === undefined) return undefined
    return typeof value === "boolean" ? value : this.reject(field, value, "true or false")
  }

  /** Reports keys that are not options, so that a typo is not silently ignored. */
  known(prefix: string, value: object, keys: ReadonlyArray<string>): void {
    for (const key of Object.keys(value)) {
      if (!keys.includes(key)) {
        this.reject(prefix + key, (value as Record<string, unknown>)[key], `one of ${keys.join(", ")}`)
      }
    }
  }
}

const units = ["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"]

/** `Duration` reads NaN, an unknown unit and any object without units as zero. */
const isMalformed = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null || Duration.isDuration(value)) return Number.isNaN(value)
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  return parts.length === 0 ||
    parts.some(([unit, part]) =>
      typeof part !== "number" || Number.isNaN(part) || !(Array.isArray(value) || units.includes(unit))
    )
}

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "function") return "a function"
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === "object" && value !== null) {
    return Duration.isDuration(value)
      ? Duration.format(value)
      : "an object"
  }
  return String(value)
}
