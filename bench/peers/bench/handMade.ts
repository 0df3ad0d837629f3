/** The same from Effect's own parts: `forEach` with `exit`; guarded, with the three spans that a graph's flow has too. */
import { Effect, Exit, Layer, ManagedRuntime } from "effect"
import { CircuitBreaker } from "effect/persistence"
import type { Library } from "./subject.ts"
import { times, work, workSync } from "./work.ts"

const node = Effect.promise(() => work(1))

const sum = (exits: ReadonlyArray<Exit.Exit<number, unknown>>): number =>
  exits.reduce((sum, exit) => sum + (Exit.isSuccess(exit) ? exit.value : 0), 0)

const circuits = CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }).pipe(
  Layer.provide(CircuitBreaker.layerStoreMemory())
)
const circuit = await ManagedRuntime.make(circuits).runPromise(CircuitBreaker.CircuitBreaker)

const through = (work: Effect.Effect<number>) => (calls: number) => {
  const call = circuit.execute(work, { key: "call" })
  return Effect.gen(function*() {
    let sum = 0
    for (let i = 0; i < calls; i++) sum += yield* call
    return sum
  })
}

const fanOut = (flows: number) =>
  Effect.map(Effect.forEach(times(flows, (i) => i), () => Effect.exit(node), { concurrency: "unbounded" }), sum)

export const handMade: Library = {
  name: "hand-made Effect",
  fanOut,
  fanOutNoSpans: fanOut,
  guarded: (flows) =>
    Effect.map(
      Effect.forEach(
        times(flows, (i) => i),
        (i) =>
          node.pipe(
            Effect.withSpan("node"),
            Effect.timeout("1 minute"),
            Effect.withSpan("attempt"),
            circuit.execute({ key: `n${i}` }),
            Effect.retry({ times: 2 }),
            Effect.withSpan("flow"),
            Effect.exit
          ),
        { concurrency: "unbounded" }
      ),
      sum
    ),
  chain: (nodes) =>
    Effect.gen(function*() {
      let state = { n: 1 }
      for (let i = 0; i < nodes; i++) state = { ...state, n: yield* Effect.promise(() => work(state.n)) }
      return state.n
    }),
  circuit: through(node),
  circuitSync: through(Effect.sync(() => workSync(1)))
}
