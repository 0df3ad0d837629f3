/** The order: three checks in parallel, an approval, a shipment. Each step says where it runs. */
import { Console, Effect, Schema } from "effect"
import { StateGraph } from "../../src/index.ts"

const Order = Schema.Struct({
  item: Schema.String,
  total: Schema.Number,
  notes: Schema.Array(Schema.String),
  outcome: Schema.optionalKey(Schema.String)
})

/** A check that takes its time; its note is what the order keeps of it. */
const check = (name: string, millis: number) => () =>
  Console.log(`  ${name} ...`).pipe(
    Effect.andThen(Effect.sleep(millis / 2)),
    Effect.andThen(millis < 1000 ? Effect.void : Console.log(`  ${name}: half way`)),
    Effect.andThen(Effect.sleep(millis / 2)),
    Effect.andThen(Console.log(`  ${name}: fine`)),
    Effect.as({ notes: [`${name} is fine`] })
  )

export const graph = StateGraph.make("order", Order, { reducers: { notes: (a, b) => [...a, ...b] } })
  .addNode("stock", check("stock", 10))
  .addNode("customer", check("customer", 50))
  .addNode("payment", check("payment", 1500))
  .addFanInNode("checked")
  .addNode("approve", ({ item, total }) =>
    StateGraph.suspend("approved", Schema.Boolean, { item, total }).pipe(
      Effect.map((approved) => ({ outcome: approved ? "approved" : "refused" }))
    ))
  .addNode("ship", ({ item }) => Effect.as(Console.log(`  shipping ${item}`), { outcome: "shipped" }))
  .addParallelEdge(StateGraph.START, "stock", "checked")
  .addParallelEdge(StateGraph.START, "customer", "checked")
  .addParallelEdge(StateGraph.START, "payment", "checked")
  .addEdge("checked", "approve")
  .addConditionalEdges("approve", ({ outcome }) => outcome === "approved" ? "yes" : "no", {
    yes: "ship",
    no: StateGraph.END
  })
  .setFinishPoint("ship")
  .compile()

/** An order by its number; what a store keeps of it is in `folder`. */
export const thread = (order: string): string => `order-${order}`
