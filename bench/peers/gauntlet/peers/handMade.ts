/** What an Effect user puts together alone: `timeout`, `retry`, `forEach` with `exit`, and Effect's own circuit breaker. */
import { Cause, Effect, Exit, Fiber, Layer, ManagedRuntime, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect/persistence"
import {
  type CallOptions,
  failure,
  type Fan,
  type Joined,
  type Outcome,
  type Peer,
  type Running,
  success
} from "../peer.ts"
import type { Work } from "../work.ts"

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success(exit.value)
  if (Cause.hasInterruptsOnly(exit.cause)) return { is: "cancelled", error: exit.cause }
  const error = Cause.squash(exit.cause)
  if (Cause.isTimeoutError(error)) return { is: "timeout", error }
  return error instanceof CircuitBreaker.CircuitBreakerError ? { is: "rejected", error } : failure(error)
}

const start = <A>(
  effect: Effect.Effect<unknown, unknown>,
  map: (exit: Exit.Exit<unknown, unknown>) => A
): Running<A> => {
  const fiber = Effect.runFork(effect)
  return { end: Effect.runPromise(Fiber.await(fiber)).then(map), cancel: () => fiber.interruptUnsafe() }
}

// The jitter is inside of the cap: outside it would exceed it.
const schedule = ({ baseMs, jitter, maxMs }: NonNullable<CallOptions["retry"]>) => {
  const backoff = Schedule.exponential(baseMs)
  return Schedule.min([jitter ? Schedule.jittered(backoff) : backoff, Schedule.spaced(maxMs)])
}

const policy = ({ limitMs, retry, totalMs }: CallOptions) => (work: Work) => {
  const attempt = limitMs === undefined ? work.effect : Effect.timeout(work.effect, limitMs)
  const attempts = retry === undefined
    ? attempt
    : Effect.retry(attempt, { schedule: schedule(retry), times: retry.retries })
  return totalMs === undefined ? attempts : Effect.timeout(attempts, totalMs)
}

const flows = (
  works: ReadonlyArray<readonly [string, Work]>,
  { concurrency = "unbounded" as number | "unbounded", limitMs = undefined as number | undefined } = {}
): Effect.Effect<ReadonlyArray<Joined>> =>
  Effect.forEach(
    works,
    ([name, work]) =>
      Effect.map(
        Effect.exit(policy(limitMs === undefined ? {} : { limitMs })(work)),
        (exit): Joined => [name, outcomeOf(exit)]
      ),
    { concurrency }
  )

const fanOf = (joined: Effect.Effect<ReadonlyArray<Joined>, unknown>): Running<Fan> => {
  const joins: Array<ReadonlyArray<Joined>> = []
  const join = Effect.map(joined, (flows) => void joins.push(flows))
  return start(join, (exit) => ({ run: outcomeOf(exit), joins }))
}

export const handMade: Peer = {
  name: "hand-made Effect",
  lacks: {
    "shared keys": "there is no shared state",
    listeners: "there are none",
    "named nodes": "there are no names",
    "unique names": "there are no names",
    "loop limit": "a loop is a loop of the program",
    "input schema": "there is none, unless one is written"
  },
  caller: (options) => (work) => start(policy(options)(work), outcomeOf),
  circuit: async ({ failures, limitMs, resetMs }) => {
    const layer = CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: resetMs })
      .pipe(
        Layer.provide(CircuitBreaker.layerStoreMemory())
      )
    const breaker = await ManagedRuntime.make(layer).runPromise(CircuitBreaker.CircuitBreaker)
    let opened = 0
    Effect.runFork(
      Stream.runForEach(breaker.transitions, ({ to }) => Effect.sync(() => void (to === "Open" && opened++)))
    )
    return {
      call: (work) =>
        start(breaker.execute(policy(limitMs === undefined ? {} : { limitMs })(work), { key: "k" }), outcomeOf),
      state: async () =>
        ({ Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const)[
          (await Effect.runPromise(breaker.state("k")))._tag
        ],
      opened: () => opened
    }
  },
  fan: (works, { failFast = false, limitMs } = {}) =>
    fanOf(
      failFast
        ? Effect.forEach(
          Object.entries(works),
          ([name, work]) => Effect.map(work.effect, (value): Joined => [name, success(value)]),
          { concurrency: "unbounded" }
        )
        : flows(Object.entries(works), { limitMs })
    ),
  nested: (plain, inner) => {
    const count = Effect.map(
      flows(Object.entries(inner)),
      (joined) => joined.filter(([, outcome]) => outcome.is === "success").length
    )
    const both = Effect.forEach(
      [["plain", plain.effect], ["inner", count]] as ReadonlyArray<[string, Effect.Effect<unknown, unknown>]>,
      ([name, effect]) => Effect.map(Effect.exit(effect), (exit): Joined => [name, outcomeOf(exit)]),
      { concurrency: "unbounded" }
    )
    return fanOf(both)
  },
  map: (items, concurrency = Infinity) => fanOf(flows(items.map((work, i) => [String(i), work]), { concurrency }))
}
