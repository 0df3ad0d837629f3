/**
 * TD.13-E2E-005: a dependency that is down for the middle third of every period, asked again and again. The same on the
 * real clock (`npm run soak`) and on a virtual one.
 */
import { Clock, Effect, Logger, Schema, Stream } from "effect"
import { CircuitBreakerRegistry, FlowCallbacks, StateGraph } from "../../src/index.ts"

export interface Settings {
  readonly periodMs: number
  /** From the start of a run to that of the next one, if it has ended by then. */
  readonly everyMs: number
}

/** What happened in one period. */
export interface Period {
  readonly runs: number
  /** Changes of the dependency's circuit, in order. */
  readonly changes: ReadonlyArray<{ readonly at: number; readonly to: string }>
  /** How often the dependency was asked, and how often while it was down. */
  readonly asked: number
  readonly askedInVain: number
  /** How often it was asked while its circuit was OPEN. */
  readonly askedWhileOpen: number
  /** Runs whose flows did not come to what they had to. */
  readonly wrong: number
  /** Connections that are open after it. */
  readonly open: number
}

class Down extends Schema.TaggedError<Down>()("Down", { message: Schema.String }) {}

const State = Schema.Struct({ n: Schema.Number, outcomes: Schema.optionalKey(Schema.Array(Schema.String)) })

const monotonicMs = Clock.clockWith((clock) => Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000))

const fresh = () => ({
  runs: 0,
  changes: [] as Array<{ readonly at: number; readonly to: string }>,
  asked: 0,
  askedInVain: 0,
  askedWhileOpen: 0,
  wrong: 0
})

export const makeOutage = ({ everyMs, periodMs }: Settings) => {
  const registry = CircuitBreakerRegistry.makeUnsafe()
  let startedAt: number | undefined
  let now = fresh()
  let open = 0

  const elapsed = Effect.map(monotonicMs, (ms) => ms - (startedAt ??= ms))
  const isDown = (ms: number): boolean => Math.floor(ms % periodMs / (periodMs / 3)) === 1
  const connected = <A, E>(use: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(Effect.sync(() => void open++), () => use, () => Effect.sync(() => void open--))

  const dependency = Effect.gen(function*() {
    const { state } = yield* registry.state("dependency")
    const down = isDown(yield* elapsed)
    now.asked++
    if (down) now.askedInVain++
    if (state === "OPEN") now.askedWhileOpen++
    yield* connected(Effect.sleep(5))
    return yield* down ? Effect.fail(new Down({ message: "down" })) : Effect.succeed({ n: 1 })
  })

  const asking = {
    timeout: "10 seconds",
    totalTimeout: "1 hour",
    retry: { maxRetries: 1, baseDelay: 1 },
    // A probe's slot that is lost stays lost, and its circuit HALF_OPEN.
    circuitBreaker: {
      key: "dependency",
      failureThreshold: 3,
      resetTimeout: periodMs / 12,
      probeTimeout: "1 day"
    }
  } as const
  const graph = StateGraph.make("soak", State)
    .addNode("first", () => dependency)
    .addNode("second", () => dependency)
    .addNode("flaky", (_state, { attempt }) => attempt === 1 ? Effect.fail(new Down({ message: "once" })) : Effect.void)
    .addNode("hanging", () => connected(Effect.never))
    .addNode("healthy", () => ({ n: 2 }))
    .addFanInNode("join", (_state, { parallelResults }) => ({
      outcomes: parallelResults.map(({ _tag, branch }) => `${branch} ${_tag}`)
    }))
    .addParallelEdge(StateGraph.START, "first", "join", asking)
    .addParallelEdge(StateGraph.START, "second", "join", asking)
    .addParallelEdge(StateGraph.START, "flaky", "join", { retry: { maxRetries: 1, baseDelay: 1 } })
    .addParallelEdge(StateGraph.START, "hanging", "join", { timeout: 5 })
    .addParallelEdge(StateGraph.START, "healthy", "join", { timeout: "1 hour" })
    .setFinishPoint("join")
    .compile()
  const right = /^first \w+,second \w+,flaky Success,hanging Timeout,healthy Success$/

  const callbacks = FlowCallbacks.make({
    onCircuitStateChange: ({ at, to }) => void now.changes.push({ at, to })
  })
  const once = Effect.suspend(() =>
    ++now.runs % 2 === 0
      ? graph.invoke({ n: 0 }, { callbacks })
      : Effect.map(Stream.runCollect(graph.stream({ n: 0 }, { callbacks })), (events) => {
        const last = events.at(-1)
        return last?._tag === "GraphCompleted" ? last.state : undefined
      })
  ).pipe(
    Effect.timeout("30 seconds"),
    Effect.match({
      onSuccess: (state) => right.test(state?.outcomes?.join() ?? ""),
      onFailure: () => false
    }),
    Effect.map((isRight) => void (isRight ? undefined : now.wrong++))
  )

  /** Runs until the end of a period, counted from 0. */
  const period = (index: number): Effect.Effect<Period> =>
    Effect.gen(function*() {
      now = fresh()
      while ((yield* elapsed) < (index + 1) * periodMs) {
        yield* once
        yield* Effect.sleep(everyMs - (yield* elapsed) % everyMs)
      }
      return { ...now, open }
    }).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([Logger.make(() => undefined)]))
    )

  return { period, registry }
}

/** Whether a circuit opened, was probed, in vain as often as may be, and closed. */
export const isCycle = (changes: Period["changes"]): boolean =>
  /^OPEN( HALF_OPEN OPEN)* HALF_OPEN CLOSED$/.test(changes.map(({ to }) => to).join(" "))
