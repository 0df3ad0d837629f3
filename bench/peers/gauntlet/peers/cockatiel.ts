/** cockatiel, by its readme: policies around a function, `wrap(retry, breaker, timeout)`, the aggressive timeout. */
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  type IPolicy,
  noJitterGenerator,
  noop,
  retry,
  TaskCancelledError,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { type CallOptions, failure, type Outcome, type Peer, running, success } from "../peer.ts"
import type { Work } from "../work.ts"

const failed = (error: unknown, cancelled: boolean): Outcome =>
  cancelled
    ? { is: "cancelled", error }
    // Work that rejects when it is stopped is faster than the policy's own error.
    : error instanceof TaskCancelledError || (error as Error).name === "AbortError"
    ? { is: "timeout", error }
    : error instanceof BrokenCircuitError
    ? { is: "rejected", error }
    : failure(error)

const call = (policy: IPolicy) => (work: Work) =>
  running(
    async (signal) => success(await policy.execute(({ signal }) => work.promise(signal), signal)),
    failed
  )

const within = (ms: number | undefined) => ms === undefined ? noop : timeout(ms, TimeoutStrategy.Aggressive)

const policy = ({ limitMs, retry: again, totalMs }: CallOptions): IPolicy => {
  const backoff = again && new ExponentialBackoff({
    initialDelay: again.baseMs,
    maxDelay: again.maxMs,
    ...!again.jitter && { generator: noJitterGenerator }
  })
  return wrap(
    within(totalMs),
    backoff ? retry(handleAll, { maxAttempts: again.retries, backoff }) : noop,
    within(limitMs)
  )
}

const noGraphs = "there are no graphs"

export const cockatiel: Peer = {
  name: "cockatiel",
  lacks: {
    flows: noGraphs,
    order: noGraphs,
    "fail fast": noGraphs,
    nesting: noGraphs,
    "shared keys": noGraphs,
    map: noGraphs,
    concurrency: "its bulkhead refuses or queues calls, there is no map to limit",
    "named nodes": noGraphs,
    "unique names": noGraphs,
    "loop limit": noGraphs,
    "input schema": noGraphs
  },
  caller: (options) => call(policy(options)),
  circuit: async ({ failures, limitMs, resetMs }) => {
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: resetMs, breaker: new ConsecutiveBreaker(failures) })
    let opened = 0
    breaker.onBreak(() => opened++)
    return {
      call: call(wrap(breaker, within(limitMs))),
      state: async () =>
        breaker.state === CircuitState.Closed
          ? "CLOSED"
          : breaker.state === CircuitState.HalfOpen
          ? "HALF_OPEN"
          : "OPEN",
      opened: () => opened
    }
  },
  listened: (work, listener) => {
    const listened = retry(handleAll, { maxAttempts: 0 })
    listened.onSuccess(listener)
    return call(listened)(work)
  }
}
