/**
 * What the library costs beside bare Effect, as ratios within one run: `npm run bench`.
 *
 * Floor: `Effect.forEach`, unbounded, of the same asynchronous body with `Effect.exit`. Hand-made: the same guarantees put
 * together from Effect's own parts, with the same three spans a flow.
 */
import { Effect, Layer, Schema } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { CircuitBreakerRegistry, FlowCallbacks, StateGraph } from "../src/index.ts"
import type { Line, Run } from "../src/internal/cells.ts"
import * as Emit from "../src/internal/emit.ts"
import type { PlanNode } from "../src/internal/plan.ts"
import type { Flow } from "../src/internal/work.ts"
import { durability } from "./durability.ts"
import { mapMemory } from "./mapMemory.ts"
import { compare, print, type Row } from "./measure.ts"

const State = Schema.Struct({ n: Schema.Number })
const input = { n: 1 }
const body = Effect.as(Effect.yieldNow, { n: 2 })
const untraced = <A, E>(self: Effect.Effect<A, E>) => Effect.withTracerEnabled(self, false)

const name = (i: number): string => `n${i}`

const fanOut = (flows: number, parallel?: StateGraph.MakeOptions["parallel"]) => {
  let graph = StateGraph.make("bench", State, parallel === undefined ? {} : { parallel }).addNode("start" as string)
  for (let i = 0; i < flows; i++) graph = graph.addNode(name(i), () => body)
  let joined = graph.addFanInNode("join" as string, () => ({}))
  for (let i = 0; i < flows; i++) joined = joined.addParallelEdge("start", name(i), "join")
  return joined.setEntryPoint("start").setFinishPoint("join").compile()
}

const items = (flows: number) => Array.from({ length: flows }, (_, i) => i)
const floor = (flows: number) => Effect.forEach(items(flows), () => Effect.exit(body), { concurrency: "unbounded" })
const runsFor = (flows: number) => Math.max(3, Math.round(30_000 / flows))

const handMade = (flows: number) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.CircuitBreaker
    return yield* Effect.forEach(
      items(flows),
      (i) =>
        body.pipe(
          Effect.withSpan("node"),
          Effect.timeout("1 second"),
          Effect.withSpan("attempt"),
          breaker.execute({ key: `n${i}` }),
          Effect.retry({ times: 2 }),
          Effect.withSpan("flow"),
          Effect.exit
        ),
      { concurrency: "unbounded" }
    )
  })

const breakers = CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }).pipe(
  Layer.provide(CircuitBreaker.layerStoreMemory())
)
const builtIn = await Effect.runPromise(Effect.provide(CircuitBreaker.CircuitBreaker, breakers))
const withBuiltIn = <A, E>(self: Effect.Effect<A, E, CircuitBreaker.CircuitBreaker>) =>
  Effect.provideService(self, CircuitBreaker.CircuitBreaker, builtIn)

const chain = (steps: number) => {
  let graph = StateGraph.make("chain", State).addNode(name(0), (state) => Effect.succeed({ n: state.n + 1 }))
    .setEntryPoint(name(0))
  for (let i = 1; i < steps; i++) {
    graph = graph.addNode(name(i), (state) => Effect.succeed({ n: state.n + 1 })).addEdge(name(i - 1), name(i))
  }
  return graph.setFinishPoint(name(steps - 1)).compile()
}
const bareChain = (steps: number) =>
  Effect.gen(function*() {
    let state = input
    for (let i = 0; i < steps; i++) state = { ...state, ...(yield* Effect.succeed({ n: state.n + 1 })) }
    return state
  })

const node = { name: "n0", kind: "node" } as PlanNode

const results: Array<boolean> = []

const sizes = [10, 100, 1000, 10_000]
const plain: Array<Row> = []
for (const flows of sizes) {
  const runs = runsFor(flows)
  const graph = fanOut(flows)
  const [theirs, ours] = await compare([
    { name: "floor", effect: untraced(floor(flows)), runs },
    { name: "graph", effect: untraced(graph.invoke(input)), runs }
  ])
  plain.push({
    what: `fan-out of ${flows}`,
    per: "per flow",
    ours: ours! / flows,
    theirs: theirs! / flows,
    ...(flows >= 100 ? { target: 4 } : {})
  })
}
results.push(print("Nothing configured, tracer off, against the floor", plain))

const dressed: Array<Row> = []
for (const flows of sizes) {
  const runs = Math.max(2, Math.round(runsFor(flows) / 5))
  const graph = fanOut(flows, { timeout: "1 second", retry: { maxRetries: 2 }, circuitBreaker: {} })
  const [theirs, ours] = await compare([
    { name: "hand-made", effect: withBuiltIn(handMade(flows)), runs },
    { name: "graph", effect: graph.invoke(input), runs }
  ], 11)
  dressed.push({
    what: `fan-out of ${flows}`,
    per: "per flow",
    ours: ours! / flows,
    theirs: theirs! / flows,
    target: 1
  })
}
results.push(print("Timeout, retry, circuit and spans, against the hand-made composition", dressed))

{
  const rows: Array<Row> = []
  const idle = {
    timeout: "1 second",
    totalTimeout: "1 minute",
    failFast: true,
    retry: { maxRetries: 2 },
    circuitBreaker: {}
  } as const
  for (const flows of [10, 50]) {
    const runs = Math.round(5000 / flows)
    const bare = fanOut(flows)
    const configured = fanOut(flows, idle)
    const [without, withAll, withoutSpans, withAllButSpans] = await compare([
      { name: "bare", effect: bare.invoke(input), runs },
      { name: "idle", effect: configured.invoke(input), runs },
      { name: "bare, tracer off", effect: untraced(bare.invoke(input)), runs },
      { name: "idle, tracer off", effect: untraced(configured.invoke(input)), runs }
    ])
    rows.push(
      { what: `${flows} branches`, per: "per run", ours: withAll!, theirs: without!, target: 2 },
      { what: `${flows} branches, tracer off`, per: "per run", ours: withAllButSpans!, theirs: withoutSpans! }
    )
  }
  results.push(
    print("TD.13-E2E-007: all of it configured and idle, against the same graph with nothing configured", rows)
  )
  const ms = (micros: number) => `${(micros / 1000).toFixed(2)} ms`
  for (const { ours, theirs, what } of rows) console.log(`  ${what}: ${ms(ours)} a run, bare ${ms(theirs)}`)
}

{
  const small = fanOut(100)
  const large = fanOut(10_000)
  const [at100, at10000, floor100, floor10000] = await compare([
    { name: "100", effect: untraced(small.invoke(input)), runs: 300 },
    { name: "10000", effect: untraced(large.invoke(input)), runs: 3 },
    { name: "floor of 100", effect: untraced(floor(100)), runs: 300 },
    { name: "floor of 10000", effect: untraced(floor(10_000)), runs: 3 }
  ])
  results.push(print("Cost per flow at 10,000, against that at 100", [
    { what: "fan-out", per: "per flow", ours: at10000! / 10_000, theirs: at100! / 100, target: 1.3 },
    { what: "the floor's own", per: "per flow", ours: floor10000! / 10_000, theirs: floor100! / 100 }
  ]))
}

{
  const graph = chain(100)
  const [bare, ours] = await compare([
    { name: "bare", effect: untraced(bareChain(100)), runs: 1000 },
    { name: "graph", effect: untraced(graph.invoke(input)), runs: 1000 }
  ])
  results.push(print("A chain of 100 nodes, against a bare Effect.gen loop", [
    { what: "chain", per: "per node", ours: ours! / 100, theirs: bare! / 100, target: 20 }
  ]))
}

{
  const registry = CircuitBreakerRegistry.makeUnsafe()
  const [theirs, ours] = await compare([
    // Very many: a sample begins with a collection, which throws optimised code away.
    {
      name: "effect/persistence/CircuitBreaker",
      effect: Effect.succeed(1).pipe(builtIn.execute({ key: "call" })),
      runs: 50_000
    },
    { name: "registry", effect: registry.execute("call")(Effect.succeed(1)), runs: 50_000 }
  ])
  results.push(print("A circuit call, against Effect's own CircuitBreaker with its memory store", [
    { what: "execute", per: "per call", ours: ours!, theirs: theirs!, target: 0.34 }
  ]))
}

{
  const flows = 1000
  const counted = { flows: 0 }
  const callbacks = FlowCallbacks.make({
    onFlowStart: () => void counted.flows++,
    onFlowComplete: () => void counted.flows--
  })
  const graph = fanOut(flows)
  const [without, withOne] = await compare([
    { name: "without", effect: graph.invoke(input), runs: 30 },
    { name: "with one", effect: graph.invoke(input, { callbacks }), runs: 30 }
  ])
  if (counted.flows !== 0) throw new Error("the callbacks missed a flow")
  results.push(print("One callback object, against none", [
    { what: `fan-out of ${flows}`, per: "per flow", ours: withOne! / flows, theirs: without! / flows, target: 1.3 }
  ]))
}

{
  // Everything that a flow of one node would tell, told to nobody: what is left of listening when nobody does.
  const flows = 1000
  const run = { emit: undefined, listen: undefined } as unknown as Run
  const line = { run, muted: false } as unknown as Line
  const flow = { run } as unknown as Flow
  const told = Effect.sync(() => {
    for (let i = 0; i < flows; i++) {
      Emit.attemptStarted(flow)
      Emit.nodeStarted(line, node)
      Emit.nodeCompleted(line, node, input, false)
      Emit.attemptSucceeded(flow, 1)
    }
  })
  const [whole, guards] = await compare([
    { name: "flows", effect: untraced(fanOut(flows).invoke(input)), runs: 30 },
    { name: "told to nobody", effect: told, runs: 30 }
  ])
  results.push(print("What is told when nobody listens, against the flow itself", [
    { what: `${flows} flows`, per: "per flow", ours: guards! / flows, theirs: whole! / flows, target: 0.02 }
  ]))
}

{
  const mapOf = (items: number) => {
    const list = Array.from({ length: items }, (_, i) => i)
    return StateGraph.make("map", State)
      .addNode("each", () => body, { item: Schema.Number })
      .addFanInNode("join", () => ({}))
      .addParallelMap(StateGraph.START, "each", "join", { items: () => list, concurrency: 100 })
      .setFinishPoint("join")
      .compile()
  }
  const [small, large] = await compare([
    { name: "1,000", effect: untraced(mapOf(1000).invoke(input)), runs: 20 },
    { name: "100,000", effect: untraced(mapOf(100_000).invoke(input)), runs: 1 }
  ], 9)
  results.push(print("Cost per item at 100,000 items, 100 at a time, against that at 1,000", [
    { what: "map", per: "per item", ours: large! / 100_000, theirs: small! / 1000, target: 1.5 }
  ]))
}

results.push(await mapMemory())

results.push(await durability())

console.log(
  `\n${
    results.every(Boolean) ? "all targets met" : "a target was MISSED"
  } (medians, interleaved samples, ${process.version})`
)
