/**
 * A sequence: three steps, each an update of the state.
 *
 *     node examples/01-sequence.ts
 */
import { Console, Effect, Schema } from "effect"
import { StateGraph } from "../src/index.ts"

const Order = Schema.Struct({
  items: Schema.Array(Schema.Struct({ name: Schema.String, price: Schema.Number })),
  total: Schema.optionalKey(Schema.Number),
  receipt: Schema.optionalKey(Schema.String)
})

const graph = StateGraph.make("order", Order)
  // A node gets the state and returns what changes: at once, or as an Effect.
  .addNode("add up", ({ items }) => ({ total: items.reduce((sum, { price }) => sum + price, 0) }))
  .addNode("pay", ({ total = 0 }) => Effect.delay(Console.log(`paid ${total}`), "10 millis"))
  .addNode("write receipt", ({ items, total = 0 }) => ({
    receipt: `${items.map(({ name }) => name).join(", ")}: ${total}`
  }))
  .setEntryPoint("add up")
  .addEdge("add up", "pay")
  .addEdge("pay", "write receipt")
  .setFinishPoint("write receipt")
  .compile()

const { receipt } = await Effect.runPromise(
  graph.invoke({ items: [{ name: "tea", price: 4 }, { name: "cake", price: 5 }] })
)
console.log(receipt)

// prints:
// paid 9
// tea, cake: 9
