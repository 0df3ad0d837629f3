/**
 * A process of its own that runs a graph against a shared circuit: `node circuitProcess.ts <port> <circuit options>`. Each
 * message is a run, and says what its node does; the answer is what came of it.
 */
import { NodeRedis } from "@effect/platform-node"
import { Deferred, Effect, Layer, ManagedRuntime, Schema } from "effect"
import { StateGraph } from "../../src/index.ts"
import { SharedCircuits } from "../../src/persistence/index.ts"

export interface Told {
  readonly run: number
  /** `hang`: it waits until it is told how to end. */
  readonly node: "succeed" | "fail" | "hang" | "end"
}

export interface Answer {
  readonly run: number
  readonly tag: string
  readonly circuitState: string | undefined
}

const [port, circuitBreaker, lease] = process.argv.slice(2)
const end = Deferred.makeUnsafe<void>()
const State = Schema.Struct({
  node: Schema.String,
  tag: Schema.String,
  circuitState: Schema.optionalKey(Schema.String)
})

const graph = StateGraph.make("other", State)
  .addNode("start")
  .addNode("call", ({ node }) => {
    if (node === "fail") return Effect.fail("down")
    if (node === "succeed") return Effect.succeed({})
    process.send?.({ run: 0, tag: "started", circuitState: undefined } satisfies Answer)
    return Effect.as(Deferred.await(end), {})
  })
  .addFanInNode("join", (_state, { parallelResults: [result] }) => ({
    tag: result?._tag ?? "",
    ...result?.circuitState !== undefined && { circuitState: result.circuitState }
  }))
  .addParallelEdge("start", "call", "join", { circuitBreaker: JSON.parse(circuitBreaker ?? "{}") })
  .setEntryPoint("start")
  .setFinishPoint("join")
  .compile()

const runtime = ManagedRuntime.make(
  SharedCircuits.layerRedis({ probeLease: Number(lease) }).pipe(
    Layer.provide(NodeRedis.layer({ socket: { host: "127.0.0.1", port: Number(port) } }))
  )
)

process.on("message", ({ node, run }: Told) => {
  if (node === "end") return void Effect.runSync(Deferred.succeed(end, undefined))
  void runtime.runPromise(graph.invoke({ node, tag: "" })).then(({ circuitState, tag }) =>
    process.send?.({ run, tag, circuitState } satisfies Answer)
  )
})
process.on("disconnect", () => process.exit())
