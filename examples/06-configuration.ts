/**
 * Configuration from outside: the graph says what it needs, a layer or the environment changes it per deployment.
 *
 *     node examples/06-configuration.ts
 *     STATEGRAPH_TIMEOUT="80 millis" node examples/06-configuration.ts
 */
import { ConfigProvider, Effect, Layer, Schema } from "effect"
import { ParallelConfig, StateGraph } from "../src/index.ts"

const graph = StateGraph.make("slow", Schema.Struct({ outcome: Schema.optionalKey(Schema.String) }))
  .addNode("work", () => Effect.sleep("40 millis"))
  .addFanInNode("tell", (_state, { parallelResults: [result] }) => ({
    outcome: result?._tag === "Timeout" ? `timed out after ${result.timeoutMs} ms` : result?._tag ?? "nothing"
  }))
  .addParallelEdge(StateGraph.START, "work", "tell")
  .setFinishPoint("tell")
  .compile()

const show = async (what: string, layer: Layer.Layer<never, unknown>) => {
  const { outcome } = await Effect.runPromise(Effect.provide(graph.invoke({}), layer))
  console.log(`${what}: ${outcome}`)
}

await show("no configuration", Layer.empty)
await show("a layer", ParallelConfig.layer({ timeout: "10 millis" }))

// `ParallelConfig.layerConfig` reads STATEGRAPH_* from the environment; here a provider stands for it.
const environment = ConfigProvider.layer(ConfigProvider.fromEnv({ env: { STATEGRAPH_TIMEOUT: "20 millis" } }))
await show("the environment", Layer.provide(ParallelConfig.layerConfig, environment))

// An override beats everything, even what an edge says.
await show(
  "an override",
  Layer.merge(ParallelConfig.layer({ timeout: "10 millis" }), ParallelConfig.layerOverride({ timeout: "1 second" }))
)

await show("your environment", ParallelConfig.layerConfig)

// prints:
// no configuration: Success
// a layer: timed out after 10 ms
// the environment: timed out after 20 ms
// an override: Success
// your environment: Success
