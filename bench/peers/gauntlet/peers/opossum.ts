/** opossum, by its readme: one breaker per function, `getSignal()` for its work, `autoRenewAbortController`. */
import CircuitBreaker from "opossum"
import { type CallOptions, failure, type Outcome, type Peer, success } from "../peer.ts"
import type { Work } from "../work.ts"

const failed = (error: unknown, cancelled: boolean): Outcome => {
  const { code } = error as { readonly code?: string }
  if (code === "ETIMEDOUT") return { is: "timeout", error }
  if (code === "EOPENBREAKER") return { is: "rejected", error }
  return cancelled ? { is: "cancelled", error } : failure(error)
}

type Breaker = CircuitBreaker<[AbortSignal, Work], unknown> & {
  // Not in its types.
  readonly getSignal: () => AbortSignal
  readonly getAbortController: () => AbortController
}

const breakerOf = (options: CircuitBreaker.Options): Breaker =>
  new CircuitBreaker((signal: AbortSignal, work: Work) => work.promise(signal), {
    timeout: false,
    autoRenewAbortController: true,
    ...options
  }) as Breaker

/** To cancel is to abort the breaker's controller: it has one for all its calls. */
const call = (breaker: Breaker) => (work: Work) => {
  let cancelled = false
  const fired = breaker.fire(breaker.getSignal(), work)
  return {
    end: fired.then(success, (error: unknown) => failed(error, cancelled)),
    cancel: () => {
      cancelled = true
      breaker.getAbortController().abort()
    }
  }
}

const noGraphs = "there are no graphs"
const noRetries = "it does not retry"

export const opossum: Peer = {
  name: "opossum",
  lacks: {
    retry: noRetries,
    "wait cap": noRetries,
    "total limit": noRetries,
    flows: noGraphs,
    order: noGraphs,
    "fail fast": noGraphs,
    nesting: noGraphs,
    "shared keys": noGraphs,
    map: noGraphs,
    concurrency: "its capacity refuses calls, there is no map to limit",
    "named nodes": noGraphs,
    "unique names": noGraphs,
    "loop limit": noGraphs,
    "input schema": noGraphs
  },
  // Its circuit is kept out of what is asked of the limit alone.
  caller: ({ limitMs }: CallOptions) => call(breakerOf({ timeout: limitMs ?? false, volumeThreshold: 1000 })),
  circuit: async ({ failures, limitMs, resetMs }) => {
    // It counts by rate: more than half of so many calls or more, those in flight included.
    const breaker = breakerOf({ timeout: limitMs ?? false, resetTimeout: resetMs, volumeThreshold: failures })
    let opened = 0
    breaker.on("open", () => opened++)
    return {
      call: call(breaker),
      state: async () => breaker.closed ? "CLOSED" : breaker.halfOpen ? "HALF_OPEN" : "OPEN",
      opened: () => opened
    }
  },
  listened: (work, listener) => {
    const breaker = breakerOf({})
    breaker.on("success", () => listener())
    return call(breaker)(work)
  }
}
