/**
 * A process for TD.13-E2E-001: flows that hang, cut in every way there is. Then it does nothing any more; it ends by itself
 * only if nothing is left that would call back. What an hour was set for and is not called off keeps it for an hour.
 */
import { Effect, Exit, Fiber, Logger, Schema, Stream } from "effect"
import { added, busy, Fibers, turns } from "../../bench/soak/held.ts"
import { StateGraph } from "../../src/index.ts"

const State = Schema.Struct({ n: Schema.Number, outcomes: Schema.optionalKey(Schema.Array(Schema.String)) })

/** How often each thing happened. */
const told = new Map<string, number>()
const note = (what: string) => void told.set(what, (told.get(what) ?? 0) + 1)

/** Releases in a turn of its own, so that somebody has to wait for it. */
const hang = (name: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => note(`${name} acquired`)),
    () => Effect.never,
    () => Effect.andThen(Effect.yieldNow, Effect.sync(() => note(`${name} released`)))
  )

const hour = "1 hour" as const

const graphOf = (name: string, hanging: StateGraph.EdgeConfig, second: Effect.Effect<void, string> = Effect.void) =>
  StateGraph.make(name, State, { parallel: { timeout: hour, totalTimeout: hour, grace: hour } })
    .addNode("hanging", () => hang(name))
    .addNode("second", () => second)
    .addFanInNode("join", (_state, { parallelResults }) => ({ outcomes: parallelResults.map(({ _tag }) => _tag) }))
    .addParallelEdge(StateGraph.START, "hanging", "join", hanging)
    .addParallelEdge(StateGraph.START, "second", "join", { failFast: true, circuitBreaker: { failureThreshold: 1000 } })
    .setFinishPoint("join")
    .compile()

const retried = { maxRetries: 1, baseDelay: hour, maxDelay: hour }
const ways = {
  limit: graphOf("limit", { timeout: 10 }),
  total: graphOf("total", { totalTimeout: 10 }),
  /** Cut in its wait before the next attempt. */
  waiting: graphOf("waiting", { timeout: 5, totalTimeout: 10, retry: retried }),
  failFast: graphOf("failFast", {}, Effect.andThen(Effect.sleep(1), Effect.fail("first"))),
  interrupted: graphOf("interrupted", {})
}

const run = (way: keyof typeof ways, streamed: boolean) => {
  const graph = ways[way]
  const whole = streamed ? Stream.runDrain(graph.stream({ n: 0 })) : Effect.asVoid(
    Effect.tap(graph.invoke({ n: 0 }), ({ outcomes }) => Effect.sync(() => note(`${way} ${outcomes?.join()}`)))
  )
  const stopped = way !== "interrupted" ? whole : Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(whole)
    yield* Effect.sleep(20)
    yield* Fiber.interrupt(fiber)
    return yield* Fiber.join(fiber)
  })
  return Effect.map(
    Effect.exit(stopped),
    (exit) => note(`${way} ${Exit.isSuccess(exit) ? "ended" : "stopped"}`)
  )
}

const runs = (way: keyof typeof ways, n: number, streamed: boolean, concurrency: number) =>
  Effect.forEach(Array.from({ length: n }), () => run(way, streamed), { concurrency, discard: true })

const fibers = new Fibers()
const { handles } = busy()

await Effect.runPromise(
  Effect.gen(function*() {
    for (const streamed of [false, true]) {
      yield* runs("limit", 100, streamed, 1)
      for (const way of ["limit", "total", "waiting", "failFast", "interrupted"] as const) {
        yield* runs(way, 100, streamed, 100)
      }
    }
  }).pipe(fibers.track, Effect.provide(Logger.layer([])))
)
await Effect.runPromise(turns)
const after = busy()
const left = { fibers: fibers.alive, timers: after.timers, handles: added(handles, after.handles) }
console.log(JSON.stringify({ told: Object.fromEntries(told), left }))
process.once("beforeExit", () => console.log("nothing left to do"))
