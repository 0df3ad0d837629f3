/**
 * What the nodes of a random graph do: always the same for the same branch, node, visit and attempt, so that a run that is
 * stopped and continued sees the same world as one that is not.
 */
import { Effect, Schema } from "effect"
import { type Completion, type ParallelFlowResult, StateGraph } from "effect-stategraph"
import { Random } from "./random.ts"

export class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String, code: Schema.Number }) {}

export const State = Schema.Struct({
  n: Schema.Number,
  log: Schema.Array(Schema.String),
  /** Rounds of loops, by the node that they begin with. */
  rounds: Schema.Record(Schema.String, Schema.Number),
  at: Schema.optionalKey(Schema.Date),
  big: Schema.optionalKey(Schema.BigInt),
  tags: Schema.optionalKey(Schema.ReadonlySet(Schema.String))
})
export type State = typeof State.Type
type Update = { -readonly [K in keyof State]?: State[K] }

export const input = { n: 1, log: [], rounds: {} }

export const reducers = {
  n: (a: number, b: number) => mix(a, b),
  log: (a: ReadonlyArray<string>, b: ReadonlyArray<string>) => [...a, ...b].slice(-8),
  rounds: (a: State["rounds"], b: State["rounds"]) => ({ ...a, ...b }),
  at: (a: Date, b: Date) => new Date(mix(a.getTime(), b.getTime())),
  big: (a: bigint, b: bigint) => a * 3n + b,
  tags: (a: ReadonlySet<string>, b: ReadonlySet<string>) => new Set([...a, ...b])
}

export const mix = (a: number, b: number): number => (a * 31 + b) % 1_000_003
const hash = (text: string): number => [...text].reduce((sum, char) => mix(sum, char.codePointAt(0)!), 7)

export interface Told {
  readonly node: string
  readonly attempt: number
  readonly idempotencyKey: string
  readonly item?: unknown
  readonly index?: number | undefined
}

/** The line that a node was on, as its key tells. */
export const lineOf = (key: string): string => key.slice(0, key.lastIndexOf("/") + 1)

interface Entry {
  readonly what: "start" | "end"
  readonly key: string
  /** A start that came of nothing: it was cut off, or has failed. */
  readonly failed: boolean
}

/** The answer to every question. */
export const answer = 41

/** What has happened in one piece of a run, and what its fan-ins have seen. */
export class Journal {
  /** Whether it is a run that can wait for somebody; if not, all answers are known. */
  readonly waits: boolean
  constructor(waits = false) {
    this.waits = waits
  }
  readonly entries: Array<Entry> = []
  readonly joined = new Map<string, string>()
  readonly problems: Array<string> = []
  readonly #running = new Set<string>()
  begin(key: string): void {
    if (this.#running.has(key)) this.problems.push(`${key} runs twice at once`)
    this.#running.add(key)
    this.entries.push({ what: "start", key, failed: false })
  }
  end(key: string, failed: boolean): void {
    this.#running.delete(key)
    this.entries.push({ what: "end", key, failed })
  }
  join(key: string, seen: string): void {
    this.joined.set(key, seen)
  }
}

/** What one node does. */
export interface Act {
  readonly ms: number
  /** So many attempts fail, and before them so many hang. */
  readonly fails: number
  readonly hangs: number
  /** The item of a map for which it always fails. */
  readonly failsFor?: number | undefined
  readonly how: "boom" | "error" | "text" | "object" | "defect"
  readonly takes: "now" | "time" | "lock" | "cleanup"
  readonly also?: "at" | "big" | "tags" | "nothing" | undefined
  /** Asks somebody first. */
  readonly asks?: boolean
  /** Counts the rounds of its loop. */
  readonly counts?: boolean
}

export const actOf = (random: Random, more: Partial<Act> = {}): Act => ({
  ms: random.below(20),
  fails: 0,
  hangs: 0,
  how: random.pick(["boom", "boom", "error", "text", "object", "defect"]),
  takes: random.pick(["now", "time", "time", "lock", "cleanup"]),
  also: random.pick([undefined, undefined, "at", "big", "tags", "nothing"]),
  ...more
})

const failure = (how: Act["how"], message: string): Effect.Effect<never, unknown> => {
  switch (how) {
    case "boom":
      return Effect.fail(new Boom({ message, code: message.length }))
    case "error":
      return Effect.fail(Object.assign(new RangeError(message), { code: message.length }))
    case "text":
      return Effect.fail(message)
    case "object":
      return Effect.fail({ _tag: "Plain", message })
    case "defect":
      return Effect.die(new TypeError(message))
  }
}

const Question = Schema.Struct({ answer: Schema.Number })

export const run = (journal: Journal, act: Act) => (state: State, told: Told): unknown => {
  if (act.asks !== true) return work(journal, act, state, told)
  if (!journal.waits) return work(journal, act, { ...state, n: mix(state.n, answer) }, told)
  return Effect.flatMap(
    StateGraph.suspend(`about ${told.node}`, Question, { attempt: told.attempt }),
    ({ answer }) => {
      const update = work(journal, act, { ...state, n: mix(state.n, answer) }, told)
      return Effect.isEffect(update) ? update : Effect.succeed(update)
    }
  )
}

const work = (journal: Journal, act: Act, state: State, told: Told): unknown => {
  const { attempt, idempotencyKey, index, node } = told
  const key = `${idempotencyKey}@${attempt}`
  const step = hash(`${key} ${JSON.stringify(told.item ?? null)} ${index}`)
  const update: Update = { n: mix(state.n, step), log: [...state.log, node].slice(-8) }
  if (act.counts === true) update.rounds = { ...state.rounds, [node]: (state.rounds[node] ?? 0) + 1 }
  if (act.also === "at") update.at = new Date(step)
  if (act.also === "big") update.big = (state.big ?? 0n) + BigInt(step)
  if (act.also === "tags") update.tags = new Set([...(state.tags ?? []), node])
  const fails = attempt <= act.hangs + act.fails || (act.failsFor !== undefined && act.failsFor === index)
  const result = act.also === "nothing" && act.counts !== true ? undefined : update
  if (act.takes === "now" && !fails) {
    journal.begin(key)
    journal.end(key, false)
    return result
  }
  const ended = fails ? failure(act.how, `${node} ${attempt}`) : Effect.succeed(result)
  const self = attempt <= act.hangs ? Effect.never : Effect.andThen(Effect.sleep(act.ms), ended)
  return Effect.acquireUseRelease(
    Effect.sync(() => journal.begin(key)),
    () => act.takes === "lock" && attempt > act.hangs ? Effect.uninterruptible(self) : self,
    (_, exit) =>
      Effect.andThen(
        act.takes === "cleanup" ? Effect.sleep(act.ms) : Effect.void,
        Effect.sync(() => journal.end(key, exit._tag === "Failure"))
      )
  )
}

/** A fan-in that puts all that it sees into the state, and into the journal. */
export const joining = (journal: Journal, act: Act, classes: boolean) =>
(
  state: State,
  told: Told & { readonly parallelResults: ReadonlyArray<ParallelFlowResult.Any>; readonly completion: unknown }
): unknown => {
  const { idempotencyKey, parallelResults } = told
  const seen = JSON.stringify([
    parallelResults.map((result) => digest(result, classes)),
    told.completion as Completion.Completion
  ])
  journal.join(`${idempotencyKey}@${told.attempt}`, seen)
  return run(journal, act)({ ...state, n: mix(state.n, hash(seen)) }, told)
}

const digest = (result: ParallelFlowResult.Any, classes: boolean): unknown => {
  const { _tag, abandoned, attemptErrors, attemptErrorsDropped, attempts, branch, circuitState, index, item } = result
  const { n, log, ...rest } = result.state as State
  const told = result.success ? {} : {
    // When a circuit may be asked again is a matter of time.
    error: result._tag === "Rejected" ? undefined : result.error,
    errorType: result.errorType,
    failedNode: "failedNode" in result ? result.failedNode : undefined,
    reasons: result.cause.reasons.map(({ _tag }) => _tag),
    tag: tagOf((result as { readonly failure?: unknown }).failure),
    class: classes && (result as { readonly failure?: unknown }).failure instanceof Boom
  }
  return {
    _tag,
    branch,
    attempts,
    attemptErrors: attemptErrors.map((
      { attempt, error, errorType }
    ) => [attempt, errorType, /retry after/.test(error) ? "" : error]),
    attemptErrorsDropped,
    usedFallback: result.usedFallback,
    circuitState,
    abandoned,
    item: item instanceof Date ? item.getTime() : item,
    index,
    n,
    log,
    rest: Object.keys(rest).sort(),
    ...told
  }
}

const tagOf = (failure: unknown): unknown =>
  typeof failure === "object" && failure !== null && "_tag" in failure ? failure._tag : typeof failure
