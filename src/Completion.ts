/**
 * When a fan-in has enough: all flows, some of them, or those that are there in time.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type { InvalidConfigError } from "./GraphError.ts"
import { OptionReader } from "./internal/option.ts"

/**
 * The rule of a fan-in.
 *
 * **Details**
 *
 * | rule | the fan-in runs when |
 * |---|---|
 * | `"all"` (default) | every flow has settled |
 * | `{ minSuccessful: n }` | `n` flows have succeeded, or so many cannot any more |
 * | `{ tolerate: n }` | every flow has settled, or more than `n` did not succeed |
 * | `{ tolerateRatio: r }` | every flow has settled, or more than this part of them did not succeed |
 * | `{ within }` | every flow has settled, or this time has passed since the first of them was launched |
 * | `{ within, minSuccessful }` | whichever of both comes first |
 *
 * Whatever still runs then is interrupted at once and waited for as at a limit (`grace`); its result is `Interrupted` and says
 * why. It counts as nothing for its circuit, and fails nothing fast. `n` is an integer of at least 1 (`tolerate`: 0), `r` a
 * number from 0 to 1, `within` a positive duration.
 *
 * A flow whose edge says `failFast` and that does not succeed by itself fails the line at once, whatever the rule.
 *
 * Whether a rule can still be met is decided when the line waits at the fan-in: before, more flows could be launched.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule =
  | "all"
  | Only<"minSuccessful" | "within", { readonly minSuccessful: number; readonly within?: Duration.Input | undefined }>
  | Only<"minSuccessful" | "within", { readonly within: Duration.Input; readonly minSuccessful?: number | undefined }>
  | Only<"tolerate", { readonly tolerate: number }>
  | Only<"tolerateRatio", { readonly tolerateRatio: number }>

/** These fields and none of the others: they exclude each other. */
type Only<Own extends string, Fields> =
  & Fields
  & { readonly [K in Exclude<"minSuccessful" | "within" | "tolerate" | "tolerateRatio", Own>]?: undefined }

/**
 * Why a fan-in runs now, and what it has: `ctx.completion` of a fan-in node.
 *
 * **Details**
 *
 * `reason` is `"all"` when every flow settled by itself, the part of the rule that ended the wait, or `"unreachable"` when
 * `minSuccessful` could not be met any more. `satisfied` says whether the rule was met. `interrupted` counts the flows that the
 * rule stopped, `failed` those that did not succeed by themselves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion {
  readonly reason: "all" | "minSuccessful" | "tolerate" | "tolerateRatio" | "within" | "unreachable"
  readonly satisfied: boolean
  readonly total: number
  readonly successful: number
  readonly failed: number
  readonly interrupted: number
}

/**
 * A rule with its defaults, as the engine sees it.
 *
 * @internal
 */
export interface Resolved {
  readonly minSuccessful: number | undefined
  readonly tolerate: number | undefined
  readonly tolerateRatio: number | undefined
  readonly withinMs: number
}

const kinds = `"all", or an object with minSuccessful, tolerate, tolerateRatio or within`

/**
 * Reads a rule; `undefined` is `"all"`.
 *
 * @internal
 */
export const parse = (
  rule: unknown,
  source: string
): Result.Result<Resolved | undefined, ReadonlyArray<InvalidConfigError>> => {
  if (rule === undefined || rule === "all") return Result.succeed(undefined)
  const reader = new OptionReader(source)
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) {
    reader.reject("completion", rule, kinds)
    return Result.fail(reader.problems)
  }
  reader.known("completion.", rule, ["minSuccessful", "tolerate", "tolerateRatio", "within"])
  const given = rule as Readonly<Record<string, unknown>>
  const set = Object.keys(given).filter((key) => given[key] !== undefined).sort().join(" and ")
  const resolved: Resolved = {
    minSuccessful: reader.integer("completion.minSuccessful", given["minSuccessful"], 1),
    tolerate: reader.integer("completion.tolerate", given["tolerate"], 0),
    tolerateRatio: reader.ratio("completion.tolerateRatio", given["tolerateRatio"]),
    withinMs: reader.duration("completion.within", given["within"], { zero: false }) ?? Infinity
  }
  if (reader.problems.length === 0 && !allowed.includes(set)) reader.reject("completion", rule, `${kinds}, one of them`)
  return reader.problems.length > 0 ? Result.fail(reader.problems) : Result.succeed(resolved)
}

const allowed = ["minSuccessful", "minSuccessful and within", "tolerate", "tolerateRatio", "within"]

/**
 * What has happened so far at a fan-in.
 *
 * @internal
 */
export interface Counts {
  readonly total: number
  readonly successful: number
  /** Settled without success. */
  readonly failed: number
  /** No more flows can be launched. */
  readonly closed: boolean
}

/**
 * Why no more flows are to be waited for, if so.
 *
 * @internal
 */
export const decide = (
  { minSuccessful, tolerate, tolerateRatio }: Resolved,
  { closed, failed, successful, total }: Counts
): Completion["reason"] | undefined => {
  if (minSuccessful !== undefined) {
    if (successful >= minSuccessful) return "minSuccessful"
    if (closed && total - failed < minSuccessful) return "unreachable"
  }
  if (tolerate !== undefined && failed > tolerate) return "tolerate"
  if (tolerateRatio !== undefined && closed && failed > tolerateRatio * total) return "tolerateRatio"
  return undefined
}

/**
 * Whether these counts are what the rule asks for.
 *
 * @internal
 */
export const isSatisfied = (
  rule: Resolved | undefined,
  { failed, successful, total }: Omit<Counts, "closed">
): boolean =>
  rule === undefined || (
    successful >= (rule.minSuccessful ?? 0) &&
    failed <= (rule.tolerate ?? Infinity) &&
    failed <= (rule.tolerateRatio ?? Infinity) * total
  )
