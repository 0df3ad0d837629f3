/** TD.13-E2E-004: many runs of ten flows, of which most fail in one way or another, and what they leave in memory. */
import { Effect, Logger, Schema, Stream } from "effect"
import { FlowCallbacks, StateGraph } from "../../src/index.ts"
import { Fibers, type Held, held } from "./held.ts"

const State = Schema.Struct({ n: Schema.Number, outcomes: Schema.optionalKey(Schema.Array(Schema.String)) })

class Down extends Schema.TaggedError<Down>()("Down", { message: Schema.String }) {}
const down = Effect.fail(new Down({ message: "down" }))

/** Settles when it is told to stop, as `fetch` does. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))

/** What each flow must have come to; the circuit of the last one opens in the first run and stays open. */
const expected = [
  "value Success",
  "delayed Success",
  "promised Success",
  "flaky Success",
  "failing Failure",
  "exhausted Failure",
  "dying Failure",
  "hanging Timeout",
  "deaf Timeout",
  "rejected Rejected"
]

/** Counts what it opens and closes; with it, what comes of `use`. */
const connected = <A, E>(open: { count: number }, use: Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(Effect.sync(() => void open.count++), () => use, () => Effect.sync(() => void open.count--))

const graphOf = (open: { count: number }) => {
  const retry = { maxRetries: 2, baseDelay: 1, jitter: 0.5 }
  return StateGraph.make("many", State, { parallel: { timeout: "1 minute", totalTimeout: "1 hour" } })
    .addNode("value", ({ n }) => ({ n: n + 1 }))
    .addNode("delayed", () => connected(open, Effect.sleep(1)))
    .addNode("promised", () => Effect.promise(async () => ({ n: await Promise.resolve(1) })))
    .addNode("flaky", (_state, { attempt }) => connected(open, attempt === 1 ? down : Effect.void))
    .addNode("failing", () => down)
    .addNode("exhausted", () => connected(open, Effect.andThen(Effect.yieldNow, down)))
    .addNode("dying", () => Effect.die(new Error("a defect")))
    .addNode("hanging", () => connected(open, Effect.never))
    .addNode("deaf", () => Effect.tryPromise(aborted))
    .addNode("rejected", () => down)
    .addFanInNode("join", (_state, { parallelResults }) => ({
      outcomes: parallelResults.map(({ _tag, branch }) => `${branch} ${_tag}`)
    }))
    .addParallelEdge(StateGraph.START, "value", "join")
    .addParallelEdge(StateGraph.START, "delayed", "join", { circuitBreaker: {} })
    .addParallelEdge(StateGraph.START, "promised", "join")
    .addParallelEdge(StateGraph.START, "flaky", "join", { retry })
    .addParallelEdge(StateGraph.START, "failing", "join", { includeTraceback: true })
    .addParallelEdge(StateGraph.START, "exhausted", "join", { retry })
    .addParallelEdge(StateGraph.START, "dying", "join")
    .addParallelEdge(StateGraph.START, "hanging", "join", { timeout: 2 })
    .addParallelEdge(StateGraph.START, "deaf", "join", { timeout: 2 })
    .addParallelEdge(StateGraph.START, "rejected", "join", {
      circuitBreaker: { failureThreshold: 1, resetTimeout: "1 day" }
    })
    .setFinishPoint("join")
    .compile()
}

export interface ManyRuns {
  readonly runs: number
  readonly flows: number
  /** After the warm-up, after half of the runs, after all of them. */
  readonly held: readonly [before: Held, half: Held, after: Held]
  /** Runs whose flows did not come to what they had to. */
  readonly wrong: number
  /** Connections that are still open. */
  readonly open: number
}

/** Runs the graph `runs` times, 20 at a time, through `invoke` and `stream` in turn. */
export const manyRuns = (runs: number): Effect.Effect<ManyRuns> =>
  Effect.gen(function*() {
    const fibers = new Fibers()
    const open = { count: 0 }
    const graph = graphOf(open)
    let told = 0
    let wrong = 0
    const count = () => void told++
    const callbacks = FlowCallbacks.make({ onFlowStart: count, onFlowComplete: count, onFlowError: count })

    const once = (i: number) =>
      (i % 2 === 0
        ? graph.invoke({ n: i }, { callbacks })
        : Effect.map(Stream.runCollect(graph.stream({ n: i }, { callbacks })), (events) => {
          const last = events.at(-1)
          return last?._tag === "GraphCompleted" ? last.state : undefined
        })).pipe(
          Effect.timeout("30 seconds"),
          Effect.match({
            onSuccess: (state) => state?.outcomes?.join() === expected.join(),
            onFailure: () => false
          }),
          Effect.map((right) => void (right ? undefined : wrong++))
        )
    const some = (from: number, to: number) =>
      Effect.forEach(Array.from({ length: to - from }, (_, i) => from + i), once, { concurrency: 20, discard: true })
        .pipe(fibers.track, Effect.andThen(held(fibers)))

    // The first run opens the circuit of the last flow, and everything is compiled and cached after some hundred.
    yield* Effect.ignore(graph.invoke({ n: 0 }))
    const before = yield* some(0, 400)
    const half = yield* some(0, Math.floor(runs / 2))
    const after = yield* some(Math.floor(runs / 2), runs)
    if (told === 0) wrong++
    return { runs, flows: expected.length, held: [before, half, after] as const, wrong, open: open.count }
  }).pipe(Effect.provide(Logger.layer([Logger.make(() => undefined)])))
