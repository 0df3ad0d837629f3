/**
 * Which fault an execution gets: its options, read once, and a pure decision.
 */
import * as Result from "effect/Result"
import type { InvalidConfigError } from "../../GraphError.ts"
import { OptionReader } from "../../internal/option.ts"
import type { Execution, Options } from "../Chaos.ts"
import { draw } from "./draw.ts"

/** Options with full values. */
export interface Faults {
  readonly seed: string
  readonly failure: number
  readonly defect: number
  readonly hang: number
  readonly minMs: number
  readonly maxMs: number
  readonly hits: (execution: Execution) => boolean
}

export interface Fault {
  readonly delayMs: number
  readonly kind: "failure" | "defect" | "hang" | undefined
}

/** The fault of an execution; `key` tells it from all others. */
export const faultOf = ({ defect, failure, hang, maxMs, minMs, seed }: Faults, key: string): Fault => {
  const kind = draw(`${seed}:kind:${key}`)
  return {
    delayMs: minMs + Math.floor(draw(`${seed}:delay:${key}`) * (Math.floor(maxMs - minMs) + 1)),
    kind: kind < failure
      ? "failure"
      : kind < failure + defect
      ? "defect"
      : kind < failure + defect + hang
      ? "hang"
      : undefined
  }
}

/** The first problem, if there is one. */
export const read = (options: Options): Result.Result<Faults, InvalidConfigError> => {
  const reader = new OptionReader("Chaos.layer")
  reader.known("", options, ["seed", "failure", "defect", "hang", "latency", "nodes"])
  const { defect, failure, hang, latency, nodes, seed } = options as { readonly [K in keyof Options]: unknown }
  if (typeof seed !== "string" && !Number.isFinite(seed)) reader.reject("seed", seed, "a number or a string")
  const shares = {
    failure: reader.ratio("failure", failure) ?? 0,
    defect: reader.ratio("defect", defect) ?? 0,
    hang: reader.ratio("hang", hang) ?? 0
  }
  const sum = shares.failure + shares.defect + shares.hang
  // Thirds do not add up to exactly 1.
  if (sum > 1 + 1e-9) reader.reject("failure + defect + hang", sum, "a number from 0 to 1")
  const faults = { seed: String(seed), ...shares, ...readLatency(reader, latency), hits: readNodes(reader, nodes) }
  return reader.problems[0] === undefined ? Result.succeed(faults) : Result.fail(reader.problems[0])
}

const isRange = (value: unknown): value is { readonly min?: unknown; readonly max?: unknown } =>
  typeof value === "object" && value !== null && ("max" in value || "min" in value)

const readLatency = (reader: OptionReader, latency: unknown): Pick<Faults, "minMs" | "maxMs"> => {
  const given = { zero: true, finite: true }
  if (!isRange(latency)) {
    const ms = reader.duration("latency", latency, given) ?? 0
    return { minMs: ms, maxMs: ms }
  }
  reader.known("latency.", latency, ["min", "max"])
  const minMs = reader.duration("latency.min", latency.min, given) ?? 0
  if (latency.max === undefined) reader.reject("latency.max", undefined, "a finite duration of 0 or more")
  const maxMs = reader.duration("latency.max", latency.max, given) ?? minMs
  if (maxMs < minMs) reader.reject("latency.max", latency.max, "at least latency.min")
  return { minMs, maxMs }
}

const readNodes = (reader: OptionReader, nodes: unknown): Faults["hits"] => {
  if (nodes === undefined) return () => true
  if (typeof nodes === "function") return (execution) => nodes(execution) === true
  if (Array.isArray(nodes) && nodes.length > 0 && nodes.every((node) => typeof node === "string")) {
    const names = new Set<string>(nodes)
    return ({ node }) => names.has(node)
  }
  reader.reject("nodes", nodes, "names of nodes, or a predicate")
  return () => false
}
