/** Makes a run that breaks a promise smaller, for as long as it breaks the same one. */
import { runSpec } from "./simulate.ts"
import type { Act, Config, Flow, Join, Line, Spec, Step } from "./spec.ts"

/** What is wrong, without names and numbers. */
export const kindOf = (problem: string): string =>
  problem.replace(/\b[a-z]?\d+(\.\d+)?(\[\d+\])?/g, "_").replace(/(_|r|main)([/#>.]+_?)+/g, "_").slice(0, 60)

/** The smaller ones, bolder ideas first. */
type Smaller<A> = (a: A) => Iterable<A>

/** Without one of its optional fields. */
const without = function*<A extends object>(a: A, keys: ReadonlyArray<keyof A>): Generator<A, void> {
  for (const key of keys) {
    if (a[key] === undefined) continue
    const { [key]: _, ...rest } = a
    yield rest as unknown as A
  }
}

const field = function*<A extends object, K extends keyof A>(a: A, key: K, smaller: Smaller<A[K]>): Generator<A, void> {
  for (const value of smaller(a[key])) yield { ...a, [key]: value }
}

const fields = function*<A extends object>(a: A, smaller: { readonly [K in keyof A]?: Smaller<A[K] & {}> }) {
  for (const [key, shrink] of Object.entries(smaller)) {
    const value = a[key as keyof A]
    if (value === undefined) continue
    for (const other of (shrink as Smaller<unknown>)(value)) yield { ...a, [key]: other } as A
  }
}

/** Fewer elements, at least so many, and smaller ones. */
const list = <A>(least: number, smaller: Smaller<A> = () => []): Smaller<ReadonlyArray<A>> =>
  function*(all) {
    for (let i = 0; i < all.length && all.length > least; i++) yield all.filter((_, at) => at !== i)
    for (const [i, one] of all.entries()) {
      for (const other of smaller(one)) yield all.map((known, at) => at === i ? other : known)
    }
  }

const number = (least: number): Smaller<number> =>
  function*(n) {
    const round = Math.floor(n / 10) * 10
    for (const other of new Set([least, Math.floor(n / 2), round, n - 1])) if (other >= least && other < n) yield other
  }

const act: Smaller<Act> = function*(a) {
  if (a.kind !== "now") yield { ...a, kind: "now" }
  if (a.kind !== "now" && a.kind !== "sleep") yield { ...a, kind: "sleep" }
  yield* without(a, ["fails", "hangs", "cleanup", "how"])
  yield* fields(a, { ms: number(0), fails: number(1), hangs: number(1), cleanup: number(1) })
}

const config = function*<C extends Config>(c: C): Generator<C, void> {
  yield* without<Config>(c, Object.keys(c) as Array<keyof Config>) as Generator<C, void>
  yield* fields<Config>(c, {
    timeout: number(1),
    totalTimeout: number(1),
    grace: number(0),
    concurrency: number(1),
    retry: (retry) =>
      "times" in retry
        ? fields(retry, { times: number(0), spaced: number(0) })
        : fields(retry, { maxRetries: number(0), baseDelay: number(0), jitter: number(0) }),
    circuit: (circuit) =>
      circuit === "shared"
        ? []
        : fields(circuit, {
          failureThreshold: number(1),
          resetTimeout: number(1),
          halfOpenMaxCalls: number(1),
          successThreshold: number(1)
        })
  }) as Generator<C, void>
}

const flow: Smaller<Flow> = function*(f) {
  yield* without(f, ["items", "late", "fallback"])
  yield* fields(f, { items: number(0), line: lines(1), config })
}

const join: Smaller<Join> = function*(j) {
  yield* without(j, ["rule"])
  yield* fields(j, { flows: list(1, flow), act })
}

const step: Smaller<Step> = function*(s) {
  switch (s.is) {
    case "node":
      yield* without(s, ["policy"])
      yield* fields(s, { act, policy: config })
      break
    case "choice":
      yield* fields(s, { a: lines(1), b: lines(1) })
      break
    case "loop":
      yield* fields(s, { rounds: number(1), body: lines(1) })
      break
    case "graph":
      yield* fields(s, { line: lines(1), parallel: config })
      break
    case "fanOut":
      yield* fields(s, { joins: list(1, join), beside: lines(0) })
  }
}

/** What a step has in it can stand in its place. */
const insides = (s: Step): ReadonlyArray<Line> => {
  switch (s.is) {
    case "node":
      return []
    case "choice":
      return [s.a, s.b]
    case "loop":
      return [s.body]
    case "graph":
      return [s.line]
    case "fanOut":
      return [s.beside, ...s.joins.flatMap(({ flows }) => flows.map(({ line }) => line))]
  }
}

const lines = (least: number): Smaller<Line> =>
  function*(line) {
    for (const [i, one] of line.entries()) {
      for (const inside of insides(one)) {
        if (inside.length > 0) {
          yield [...line.slice(0, i), ...inside, ...line.slice(i + 1)]
        }
      }
    }
    yield* list(least, step)(line)
  }

const smaller: Smaller<Spec> = function*(spec) {
  yield* without(spec, ["thread", "stop"])
  yield* fields(spec, { watchers: list(0), jumps: list(0), line: lines(1), parallel: config })
  const { stop, thread } = spec
  if (thread !== undefined) yield* field({ ...spec, thread }, "thread", (t) => fields(t, { faults: list(0) }))
  if (stop !== undefined) yield* fields(spec, { stop: (s) => "at" in s ? fields(s, { at: number(0) }) : [] })
}

export interface Shrunk {
  readonly spec: Spec
  readonly problems: ReadonlyArray<string>
  readonly tried: number
}

/** The smallest that is found with so many tries. `run`: the problems of a run. */
export const shrink = (
  spec: Spec,
  run: (spec: Spec) => ReadonlyArray<string> = (spec) => runSpec(spec).problems,
  tries = 5_000
): Shrunk => {
  let best = { spec, problems: run(spec), tried: 1 }
  const kinds = new Set(best.problems.map(kindOf))
  const breaks = (spec: Spec): ReadonlyArray<string> => {
    try {
      return run(spec)
    } catch {
      // It is no graph.
      return []
    }
  }
  for (let found = true; found && best.tried < tries;) {
    found = false
    for (const other of smaller(best.spec)) {
      if (++best.tried > tries) break
      const problems = breaks(other)
      if (!problems.some((problem) => kinds.has(kindOf(problem)))) continue
      best = { ...best, spec: other, problems }
      found = true
      break
    }
  }
  return best
}

/** As data to be read, and to be run again: one step a line. */
export const printed = (spec: Spec): string =>
  JSON.stringify(spec, null, 1).replace(/\n\s*/g, " ").replace(/( ?)\{ "is"/g, "\n  { \"is\"")
