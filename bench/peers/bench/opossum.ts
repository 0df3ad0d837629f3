import { Effect } from "effect"
import CircuitBreaker from "opossum"
import type { Library } from "./subject.ts"
import { work, workSync } from "./work.ts"

const circuit = (work: (n: number) => number | Promise<number>) => (calls: number) => {
  const breaker = new CircuitBreaker(work as (n: number) => Promise<number>, { timeout: false })
  return Effect.promise(async () => {
    let sum = 0
    for (let i = 0; i < calls; i++) sum += await breaker.fire(1)
    return sum
  })
}

export const opossum: Library = { name: "opossum", circuit: circuit(work), circuitSync: circuit(workSync) }
