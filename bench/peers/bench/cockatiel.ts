import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { Effect } from "effect"
import type { Library } from "./subject.ts"
import { times, work, workSync } from "./work.ts"

const breaker = () => circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker: new ConsecutiveBreaker(5) })

const circuit = (work: () => number | Promise<number>) => (calls: number) => {
  const policy = breaker()
  return Effect.promise(async () => {
    let sum = 0
    for (let i = 0; i < calls; i++) sum += await policy.execute(work)
    return sum
  })
}

const bare = (calls: number) =>
  Effect.promise(async () => {
    let sum = 0
    for (let i = 0; i < calls; i++) sum += await work(1)
    return sum
  })

export const cockatiel: Library = {
  name: "cockatiel",
  guarded: (flows) => {
    const policies = times(flows, () =>
      wrap(
        retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }),
        breaker(),
        timeout(60_000, TimeoutStrategy.Aggressive)
      ))
    return Effect.promise(async () =>
      (await Promise.all(policies.map((policy) => policy.execute(() => work(1))))).reduce((sum, n) => sum + n, 0)
    )
  },
  circuit: circuit(() => work(1)),
  bare,
  leastCircuit: circuit(() => work(1)),
  circuitSync: circuit(() => workSync(1))
}
