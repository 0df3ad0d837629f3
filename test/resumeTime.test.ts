/** Times and retries of runs that are stopped and continued, to the millisecond: what passes in between does not count. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option, Schedule, Schema } from "effect"
import {
  Checkpointer,
  type Completion,
  type ParallelConfig,
  type ParallelFlowResult,
  StateGraph
} from "effect-stategraph"
import { TestClock } from "effect/testing"
import { edited } from "./support/edited.ts"
import { copyOf, countOf, ended, interrupted, thread } from "./support/killed.ts"

const State = Schema.Struct({ n: Schema.Number })
const input = { n: 0 }
class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

interface Happened {
  readonly what: string
  readonly at: number
}

/** What happens, and when: in milliseconds since the last start. */
class Log {
  readonly all: Array<Happened> = []
  #since = 0
  note(what: string): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => void this.all.push({ what, at: now - this.#since }))
  }
  start(): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      this.#since = now
    })
  }
  get told(): ReadonlyArray<string> {
    return this.all.map(({ at, what }) => `${what} at ${at}`)
  }
}

interface Runs {
  readonly invoke: (input: { readonly n: number }, options: { readonly thread: string }) => Run
  readonly resume: (thread: string) => Run
}
type Run = Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>

/** One flow around a node, and what the fan-in sees of it. */
const oneFlow = (
  log: Log,
  work: (attempt: number) => Effect.Effect<unknown, unknown>,
  config: ParallelConfig.Input
) => {
  const results: Array<ParallelFlowResult.Any> = []
  const graph = StateGraph.make("g", State, { error: Boom })
    .addNode("a", (_state, { attempt }) => Effect.asVoid(Effect.andThen(log.note(`attempt ${attempt}`), work(attempt))))
    .addFanInNode("join", (_state, { parallelResults }) => {
      results.push(...parallelResults)
      return log.note("join")
    })
    .addParallelEdge(StateGraph.START, "a", "join", config)
    .setFinishPoint("join").compile()
  return { graph, results }
}

/** The same around a node by itself. */
const oneNode = (
  log: Log,
  work: (attempt: number) => Effect.Effect<unknown, unknown>,
  policy: Omit<StateGraph.NodePolicy, "fallback">
): Runs =>
  StateGraph.make("g", State)
    .addNode("a", (_state, { attempt }) =>
      Effect.asVoid(Effect.andThen(log.note(`attempt ${attempt}`), work(attempt))), policy)
    .addNode("after", () =>
      log.note("after"))
    .setEntryPoint("a").addEdge("a", "after").setFinishPoint("after").compile() as unknown as Runs

/** Runs it, stops it after so many milliseconds for an hour, continues it, and so on until it ends. */
const stoppedAfter = (log: Log, graph: Runs, ...stops: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const store = Checkpointer.makeUnsafe()
    for (const [i, ms] of stops.entries()) {
      yield* log.start()
      yield* interrupted(i === 0 ? graph.invoke(input, { thread }) : graph.resume(thread), ms, store)
      yield* TestClock.adjust("1 hour")
    }
    yield* log.start()
    return yield* Effect.exit(ended(graph.resume(thread), store))
  })

const failing = (attempt: number) => Effect.fail(new Boom({ message: `no ${attempt}` }))
const retry = { maxRetries: 2, baseDelay: 100, exponentialBackoff: false }

describe("retries of a flow", () => {
  it.effect("wait the rest of a wait, and continue their count and their errors", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, failing, { retry })
      yield* stoppedAfter(log, graph, 30, 20, 80)
      // 30 + 20 + 50 ms of the first wait, 30 + 70 of the second.
      assert.deepStrictEqual(log.told, ["attempt 1 at 0", "attempt 2 at 50", "attempt 3 at 70", "join at 70"])
      const [result] = results
      assert.deepStrictEqual([result!.attempts, result!.retryCount, result!.timingMs], [3, 2, 200])
      assert.deepStrictEqual(
        result!.attemptErrors.map(({ attempt, error, errorType }) => [attempt, error, errorType]),
        [
          [1, "no 1", "Boom"],
          [2, "no 2", "Boom"],
          [3, "no 3", "Boom"]
        ]
      )
      assert.instanceOf(result!.get("failure"), Boom)
    }))

  it.effect("make an attempt again that was cut off, as the same one", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(
        log,
        (attempt) => Effect.andThen(Effect.sleep(50), failing(attempt)),
        { retry: { ...retry, maxStoredErrors: 1 } }
      )
      yield* stoppedAfter(log, graph, 40, 170)
      assert.deepStrictEqual(log.told, [
        "attempt 1 at 0",
        "attempt 1 at 0",
        "attempt 2 at 150",
        "attempt 2 at 0",
        "attempt 3 at 150",
        "join at 200"
      ])
      const [result] = results
      assert.deepStrictEqual([result!.attempts, result!.attemptErrorsDropped, result!.timingMs], [3, 2, 410])
      assert.deepStrictEqual(result!.attemptErrors.map(({ attempt }) => attempt), [3])
    }))

  it.effect("by a Schedule continue where it was", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, failing, {
        retry: Schedule.exponential(100).pipe(Schedule.upTo({ times: 3 }))
      })
      yield* stoppedAfter(log, graph, 50, 150)
      // Waits of 100, 200 and 400 ms.
      assert.deepStrictEqual(log.told, [
        "attempt 1 at 0",
        "attempt 2 at 50",
        "attempt 3 at 100",
        "attempt 4 at 500",
        "join at 500"
      ])
      assert.strictEqual(results[0]!.attempts, 4)
    }))

  it.effect("by a Schedule that looks at the errors are told of those before the stop", () =>
    Effect.gen(function*() {
      const log = new Log()
      const seen: Array<string> = []
      const { graph, results } = oneFlow(log, failing, {
        retry: Schedule.spaced(100).pipe(
          Schedule.while(({ attempt, input }) => {
            const { _tag, message } = input as Boom
            seen.push(`${_tag} ${message}`)
            return _tag === "Boom" && attempt < 4
          })
        )
      })
      yield* stoppedAfter(log, graph, 50, 120)
      assert.strictEqual(results[0]!.attempts, 4)
      assert.deepStrictEqual(seen.map((told) => told.replace("Boom no ", "")).join(" "), "1 1 2 1 2 3 4")
    }))

  it.effect("by a Schedule are told of the errors that were kept, the first one for those that were not", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const note = Schedule.while(({ input }: { readonly input: unknown }) => {
        seen.push((input as Boom).message.replace("no ", ""))
        return true
      })
      const eight = (attempt: number) => attempt < 9 ? failing(attempt) : Effect.void
      const { graph } = oneFlow(new Log(), eight, { retry: Schedule.spaced(10).pipe(note) })
      yield* stoppedAfter(new Log(), graph, 65)
      // Seven attempts, of which the errors of the last five are kept; then the eighth.
      assert.strictEqual(seen.join(" "), "1 2 3 4 5 6 7 3 3 3 4 5 6 7 8")
    }))

  it.effect("by a Schedule that stopped in an attempt are told of the attempts before it", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { graph } = oneFlow(new Log(), (attempt) => Effect.andThen(Effect.sleep(20), failing(attempt)), {
        retry: Schedule.spaced(100).pipe(
          Schedule.while(({ attempt, input }) => {
            seen.push((input as Boom).message.replace("no ", ""))
            return attempt < 3
          })
        )
      })
      // In the second attempt.
      yield* stoppedAfter(new Log(), graph, 130)
      assert.strictEqual(seen.join(" "), "1 1 2 3")
    }))

  it.effect("by a Schedule are told of a limit as before the stop", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const { graph } = oneFlow(new Log(), () => Effect.never, {
        timeout: 10,
        retry: Schedule.spaced(100).pipe(
          Schedule.while(({ attempt, input }) => {
            const { _tag, message } = input as Boom
            seen.push([_tag, message, input instanceof Error])
            return attempt < 2
          })
        )
      })
      yield* stoppedAfter(new Log(), graph, 50)
      assert.strictEqual(seen.length, 3)
      for (const told of seen) assert.deepStrictEqual(told, seen[0])
      assert.deepInclude(seen[0], "FlowTimeoutError")
    }))

  it.effect("by a Schedule whose condition cannot bear what was kept of an error go on all the same", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, (attempt) => Effect.fail({ deep: { code: attempt } }), {
        retry: Schedule.spaced(100).pipe(
          Schedule.while(({ input }) => (input as { readonly deep: { readonly code: number } }).deep.code < 3)
        )
      })
      yield* stoppedAfter(log, graph, 150)
      assert.deepStrictEqual([results[0]!._tag, results[0]!.attempts], ["Failure", 3])
    }))
})

describe("a checkpoint with an absurd count of attempts", () => {
  it.effect("keeps nobody busy", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, failing, { retry: Schedule.forever.pipe(Schedule.upTo({ times: 3 })) })
      const store = yield* interrupted(oneFlow(log, () => Effect.never, {}).graph.invoke(input, { thread }), 10)
      const changed = yield* edited(store, (body) => body.replaceAll(`"attempts":1`, `"attempts":${2 ** 52}`))
      yield* ended(graph.resume(thread), changed)
      assert.deepStrictEqual([results[0]!._tag, results[0]!.attempts], ["Failure", 2 ** 52])
    }))
})

describe("retries of a node", () => {
  it.effect("wait the rest of a wait, and continue their count", () =>
    Effect.gen(function*() {
      const log = new Log()
      const graph = oneNode(log, (attempt) => attempt < 3 ? failing(attempt) : Effect.void, { retry })
      yield* stoppedAfter(log, graph, 30, 20, 80)
      assert.deepStrictEqual(log.told, ["attempt 1 at 0", "attempt 2 at 50", "attempt 3 at 70", "after at 70"])
    }))

  it.effect("by a Schedule continue where it was", () =>
    Effect.gen(function*() {
      const log = new Log()
      const graph = oneNode(log, (attempt) => attempt < 4 ? failing(attempt) : Effect.void, {
        retry: Schedule.exponential(100).pipe(Schedule.upTo({ times: 3 }))
      })
      yield* stoppedAfter(log, graph, 50, 150)
      assert.deepStrictEqual(log.told, [
        "attempt 1 at 0",
        "attempt 2 at 50",
        "attempt 3 at 100",
        "attempt 4 at 500",
        "after at 500"
      ])
    }))
})

const slow = (ms: number) => () => Effect.sleep(ms)

describe("limits", () => {
  it.effect("of an attempt count what it has run", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, slow(1_000), { timeout: 100, retry: { ...retry, maxRetries: 1 } })
      yield* stoppedAfter(log, graph, 60, 30, 50)
      // 60 + 30 + 10 of the first attempt, then 40 + 60 of a wait, then the second one.
      assert.deepStrictEqual(log.told, [
        "attempt 1 at 0",
        "attempt 1 at 0",
        "attempt 1 at 0",
        "attempt 2 at 60",
        "join at 160"
      ])
      const [result] = results
      assert.deepStrictEqual([result!._tag, result!.timingMs, result!.attemptErrors.map(({ timingMs }) => timingMs)], [
        "Timeout",
        300,
        [100, 100]
      ])
    }))

  it.effect("of a flow as a whole count its attempts and waits", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, failing, { totalTimeout: 250, retry: { ...retry, maxRetries: 9 } })
      yield* stoppedAfter(log, graph, 30, 120)
      // At 30, 150, and then it is up in the third wait.
      assert.deepStrictEqual(log.told, ["attempt 1 at 0", "attempt 2 at 70", "attempt 3 at 50", "join at 100"])
      assert.deepStrictEqual([results[0]!._tag, results[0]!.get("timeoutKind"), results[0]!.timingMs], [
        "Timeout",
        "total",
        250
      ])
    }))

  it.effect("of a flow as a whole cut an attempt too", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, slow(1_000), { totalTimeout: 250 })
      yield* stoppedAfter(log, graph, 100, 100)
      assert.deepStrictEqual(log.told, ["attempt 1 at 0", "attempt 1 at 0", "attempt 1 at 0", "join at 50"])
      assert.deepStrictEqual([results[0]!.get("timeoutKind"), results[0]!.timingMs], ["total", 250])
    }))

  it.effect("of a node count what its attempt has run", () =>
    Effect.gen(function*() {
      const log = new Log()
      const graph = oneNode(log, (attempt) => attempt === 1 ? Effect.sleep(1_000) : Effect.void, {
        timeout: 100,
        retry: { ...retry, maxRetries: 1 }
      })
      yield* stoppedAfter(log, graph, 60, 30, 50)
      assert.deepStrictEqual(log.told, [
        "attempt 1 at 0",
        "attempt 1 at 0",
        "attempt 1 at 0",
        "attempt 2 at 60",
        "after at 60"
      ])
    }))

  it.effect("that ends exactly at its limit is in time also after a stop", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph, results } = oneFlow(log, slow(60), { timeout: 100 })
      yield* stoppedAfter(log, graph, 40)
      assert.deepStrictEqual([results[0]!._tag, results[0]!.timingMs], ["Success", 100])
    }))
})

const racing = (log: Log, completion: Completion.Rule) =>
  StateGraph.make("g", State)
    .addNode("fast", slow(50)).addNode("slow", slow(5_000)).addNode("then", slow(50))
    .addFanInNode("join", (_state, { completion, parallelResults }) =>
      Effect.as(
        log.note(`${completion.reason} ${parallelResults.map(({ _tag }) => _tag).join(" ")}`),
        { n: 1 }
      ), {
      completion
    })
    .addParallelEdge(StateGraph.START, "slow", "join")
    .addParallelEdge(StateGraph.START, "fast", "join")
    .addEdge("fast", "then")
    .setFinishPoint("join").compile()

describe("the time of a fan-in", () => {
  it.effect("counts what its run has run", () =>
    Effect.gen(function*() {
      const log = new Log()
      yield* stoppedAfter(log, racing(log, { within: 200 }), 70, 80)
      assert.deepStrictEqual(log.told, ["within Interrupted Success at 50"])
    }))

  it.effect("is up from every checkpoint of the instant at which it was up", () =>
    Effect.gen(function*() {
      // A node that ends with that time, and is saved just before.
      const log = new Log()
      const graph = racing(log, { within: 50 })
      const store = Checkpointer.makeUnsafe()
      yield* ended(graph.invoke(input, { thread }), store)
      const count = yield* countOf(store)
      assert.isAbove(count, 3)
      for (let i = 1; i < count; i++) yield* ended(graph.resume(thread), yield* copyOf(store, i))
      const seen = new Set(log.all.map(({ what }) => what))
      assert.deepStrictEqual([...seen], ["within Interrupted Interrupted"])
      assert.strictEqual(log.all.length, count)
    }))
})

describe("a run that is stopped", () => {
  it.effect("tells in its checkpoint how long it has run, not how long it was stopped", () =>
    Effect.gen(function*() {
      const log = new Log()
      const { graph } = oneFlow(log, slow(1_000), {})
      const store = yield* interrupted(graph.invoke(input, { thread }), 100)
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("1 day")
        yield* interrupted(graph.resume(thread), 100, store)
      }
      const { body } = Option.getOrThrow(yield* store.load(thread))
      const { main } = JSON.parse(body) as {
        readonly main: {
          readonly joins: ReadonlyArray<{ readonly flows: ReadonlyArray<{ readonly elapsedMs: number }> }>
        }
      }
      assert.strictEqual(main.joins[0]!.flows[0]!.elapsedMs, 400)
    }))
})
