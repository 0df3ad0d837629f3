/**
 * A shared circuit: two graphs ask the same database. What one learns of it, the other knows.
 *
 *     node examples/04-shared-circuit.ts
 */
import { Effect, Schema } from "effect"
import { CircuitBreakerRegistry, StateGraph } from "../src/index.ts"

const State = Schema.Struct({ outcome: Schema.optionalKey(Schema.String) })

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

let healthy = false
let asked = 0
const query = Effect.suspend(() => {
  asked++
  return healthy ? Effect.succeed({}) : Effect.fail(new Down())
})

const asking = (name: string) =>
  StateGraph.make(name, State)
    .addNode("query", () => query)
    .addFanInNode("tell", (_state, { parallelResults: [result] }) => ({ outcome: `${name}: ${result?._tag}` }))
    .addParallelEdge(StateGraph.START, "query", "tell", {
      circuitBreaker: { key: "database", failureThreshold: 2, resetTimeout: "1 minute" }
    })
    .setFinishPoint("tell")
    .compile()

const [users, orders] = [asking("users"), asking("orders")]

const program = Effect.gen(function*() {
  for (const graph of [users, orders, users, orders]) {
    const { outcome } = yield* graph.invoke({})
    console.log(outcome)
  }
  const registry = yield* CircuitBreakerRegistry.CircuitBreakerRegistry
  const { failureCount, state } = yield* registry.state("database")
  console.log(`asked ${asked} times, circuit ${state} after ${failureCount} failures`)

  healthy = true
  yield* users.resetCircuit()
  console.log((yield* orders.invoke({})).outcome)
})

await Effect.runPromise(Effect.provide(program, CircuitBreakerRegistry.layerMemory))

// prints:
// users: Failure
// orders: Failure
// users: Rejected
// orders: Rejected
// asked 2 times, circuit OPEN after 2 failures
// orders: Success
