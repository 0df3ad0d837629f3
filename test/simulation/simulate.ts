/**
 * One random run from one seed: a graph of any shape, any configuration, faults in its nodes, its callbacks and from outside,
 * on the virtual clock. What must hold for every run whatever happens is checked at its end.
 */
import { Effect, Exit, type Fiber, Logger, Metric, Random as EffectRandom, Schema } from "effect"
import {
  CircuitBreakerRegistry,
  type Completion,
  FlowCallbacks,
  type GraphEvent,
  type ParallelConfig,
  ParallelFlowResult,
  StateGraph
} from "effect-stategraph"
import { Invariants } from "effect-stategraph/testing"
import { TestClock } from "effect/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute } from "../../src/internal/run.ts"
import { type Loose, loose } from "../support/looseBuilder.ts"
import { Random } from "./random.ts"

const State = Schema.Struct({ n: Schema.Number, log: Schema.optionalKey(Schema.Array(Schema.String)) })

/** What nodes are doing right now, to see what outlives the run. */
class World {
  /** Resources that are not closed. */
  open = 0
  /** Nodes that would wait for ever. */
  waiting = 0
  /** Nodes at work, by branch: no two attempts of a flow at a time. */
  readonly working = new Map<string, number>()
  readonly problems: Array<string> = []
}

const forEver = (world: World): Effect.Effect<never> =>
  Effect.acquireUseRelease(
    Effect.sync(() => void world.waiting++),
    () => Effect.never,
    () => Effect.sync(() => void world.waiting--)
  )

const body = (random: Random, world: World, name: string) => {
  const kind = random.below(10)
  const ms = random.below(60)
  const failures = random.below(3)
  const cleanup = random.chance(0.3) ? random.below(40) : 0
  const act = (attempt: number): Effect.Effect<unknown, unknown> => {
    switch (kind) {
      case 0:
        return attempt <= failures ? Effect.fail(`failure ${attempt} of ${name}`) : Effect.succeed({ n: attempt })
      case 1:
        return attempt <= failures ? Effect.die(new Error(`defect of ${name}`)) : Effect.void
      case 2:
        return random.chance(0.5) ? forEver(world) : Effect.sleep(ms)
      case 3:
        return Effect.uninterruptible(Effect.sleep(ms))
      case 4:
        return Effect.andThen(Effect.sleep(ms), attempt <= failures ? Effect.fail("late failure") : Effect.void)
      case 5:
        return Effect.as(Effect.forkChild(Effect.never), { n: ms })
      case 6:
        return Effect.succeed({ unknownKey: 1 })
      case 7:
        return Effect.interrupt
      default:
        return Effect.as(Effect.sleep(ms), { n: ms })
    }
  }
  return (_state: unknown, ctx: Told) => {
    if (kind === 8 && ms % 2 === 0) return { n: ms }
    // The same for all attempts of a visit, another in the next round of a loop.
    const where = ctx.idempotencyKey
    const working = (change: 1 | -1) => {
      world.open += change
      const now = (world.working.get(where) ?? 0) + change
      world.working.set(where, now)
      if (now > 1) world.problems.push(`node ${where} runs ${now} times at once`)
    }
    return Effect.acquireUseRelease(
      Effect.sync(() => working(1)),
      () => Effect.andThen(ctx.emit(name), act(ctx.attempt)),
      () => Effect.andThen(cleanup === 0 ? Effect.void : Effect.sleep(cleanup), Effect.sync(() => working(-1)))
    )
  }
}

interface Told {
  readonly attempt: number
  readonly idempotencyKey: string
  readonly emit: (value: unknown) => Effect.Effect<void>
}

const configOf = (random: Random): ParallelConfig.Input => ({
  ...random.chance(0.5) ? { timeout: 5 + random.below(50) } : {},
  ...random.chance(0.2) ? { totalTimeout: 20 + random.below(100) } : {},
  grace: random.pick([0, 10, 50]),
  ...random.chance(0.1) ? { failFast: true } : {},
  ...random.chance(0.5)
    ? { retry: { maxRetries: random.below(4), baseDelay: random.below(20), jitter: random.pick([0, 0.5]) } }
    : {},
  ...random.chance(0.4)
    ? {
      circuitBreaker: {
        failureThreshold: 1 + random.below(3),
        resetTimeout: 10 + random.below(50),
        halfOpenMaxCalls: 1 + random.below(2),
        // A slot that is lost stays lost.
        probeTimeout: "1 hour"
      }
    }
    : {},
  ...random.chance(0.3) ? { concurrency: 1 + random.below(3) } : {}
})

const ruleOf = (random: Random): Completion.Rule | undefined =>
  random.pick<Completion.Rule | undefined>([
    undefined,
    undefined,
    "all",
    { minSuccessful: 1 + random.below(3) },
    { tolerate: random.below(2) },
    { tolerateRatio: 0.5 },
    { within: 10 + random.below(60) }
  ])

/** Adds a fan-out from a node to a new fan-in; some of its flows have fan-outs of their own. */
const fanOut = (
  random: Random,
  world: World,
  graph: Loose,
  from: string,
  depth: number,
  names: { next: number }
): { readonly graph: Loose; readonly join: string; readonly edges: ReadonlyArray<(graph: Loose) => Loose> } => {
  const flows = 1 + random.below(4)
  const edges: Array<(graph: Loose) => Loose> = []
  const join = `j${names.next++}`
  let nodes = graph
  for (let i = 0; i < flows; i++) {
    const first = `n${names.next++}`
    nodes = random.chance(0.12)
      ? (nodes as unknown as SubgraphBuilder).addSubgraph(first, inside(random, world, first), {
        input: () => ({ n: 0 }),
        output: ({ n }: { readonly n: number }) => ({ n })
      })
      : nodes.addNode(first, body(random, world, first))
    const config = random.chance(0.6) ? configOf(random) : {}
    if (random.chance(0.2)) {
      const items = Array.from({ length: random.below(6) }, (_, item) => item)
      edges.push((graph) =>
        (graph as unknown as MapBuilder).addParallelMap(from, first, join, { items: () => items, ...config })
      )
    } else edges.push((graph) => graph.addParallelEdge(from, first, join, config))
    let last = first
    if (depth > 0 && random.chance(0.4)) {
      const inner = fanOut(random, world, nodes, last, depth - 1, names)
      nodes = inner.graph
      edges.push(...inner.edges)
      last = inner.join
    }
    if (random.chance(0.3)) {
      const second = `n${names.next++}`
      nodes = nodes.addNode(second, body(random, world, second))
      const previous = last
      edges.push((graph) => graph.addEdge(previous, second))
    }
  }
  const rule = ruleOf(random)
  nodes = (nodes as unknown as FanInBuilder).addFanInNode(
    join,
    check(world, join),
    rule === undefined ? {} : { completion: rule }
  )
  return { graph: nodes, join, edges }
}

/** A graph that is a node: two flows, and what happens before and after them. */
const inside = (random: Random, world: World, name: string) =>
  (loose(`graph ${name}`, { parallel: configOf(random) }, State)
    .addNode("before", body(random, world, `${name}.before`))
    .addNode("a", body(random, world, `${name}.a`))
    .addNode("b", body(random, world, `${name}.b`)) as unknown as FanInBuilder)
    .addFanInNode("join", check(world, `join of ${name}`), { completion: ruleOf(random) })
    .setEntryPoint("before")
    .addParallelEdge("before", "a", "join", configOf(random))
    .addParallelEdge("before", "b", "join", configOf(random))
    .setFinishPoint("join")
    .compile()

interface SubgraphBuilder {
  addSubgraph(name: string, graph: unknown, options: unknown): Loose
}

interface MapBuilder {
  addParallelMap(from: string, to: string, fanIn: string, options: unknown): Loose
}

interface FanInBuilder {
  addFanInNode(name: string, run: unknown, options: unknown): Loose
}

/** What every join must see: one result per flow, in order, each of them sound. */
const check = (world: World, join: string) =>
(_state: unknown, { completion, parallelResults }: {
  readonly parallelResults: ReadonlyArray<ParallelFlowResult.Any>
  readonly completion: Completion.Completion
}) => {
  const names = parallelResults.map(({ branch }) => branch)
  if (new Set(names).size !== names.length) world.problems.push(`${join} joins one flow twice: ${names.join(", ")}`)
  if (completion.total !== parallelResults.length) {
    world.problems.push(`${join} counts ${completion.total} of ${names.length}`)
  }
  for (const result of parallelResults) {
    for (const what of Invariants.checkResult(result)) world.problems.push(`${join}: ${what}`)
  }
  return {}
}

export interface Outcome {
  readonly seed: number
  readonly problems: ReadonlyArray<string>
  readonly events: ReadonlyArray<GraphEvent.Any>
  readonly ended: string
}

/** Runs one seed to its end and says what was wrong. */
export const simulate = (seed: number): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const random = new Random(seed)
    const world = new World()
    const names = { next: 0 }
    const registry = CircuitBreakerRegistry.makeUnsafe()
    const start = loose("sim", { parallel: configOf(random) }, State).addNode("start", body(random, world, "start"))
    const { edges, graph, join } = fanOut(random, world, start, "start", 2, names)
    let built = graph
    for (const edge of edges) built = edge(built)
    built = built.setEntryPoint("start")
    const rounds = 1 + random.below(3)
    let round = 0
    built = random.chance(0.3)
      ? built.addConditionalEdges(join, () => ++round < rounds ? "again" : "done", {
        again: "start",
        done: StateGraph.END
      })
      : built.setFinishPoint(join)
    const hooks = random.pick<FlowCallbacks.Hooks>([
      {},
      {
        onFlowStart: () => {
          throw new Error("hook")
        }
      },
      { onFlowComplete: () => Effect.never },
      { onFlowError: () => Effect.sleep(20) }
    ])
    const compiled = built.compile({ callbacks: FlowCallbacks.make(hooks, { timeout: 30 }), maxSteps: 50 })

    const events: Array<GraphEvent.Any> = []
    const stopAt = random.chance(0.3) ? 1 + random.below(60) : Infinity
    const stopMs = random.chance(0.3) ? random.below(150) : Infinity
    const running: { fiber?: Fiber.Fiber<unknown, unknown> } = {}
    const metrics: typeof Metric.MetricRegistry.Service = new Map()
    running.fiber = yield* Effect.forkDetach(
      execute(compiledOf(compiled), { n: 0 }, { runId: `seed ${seed}` }, (event) => {
        events.push(event)
        if (events.length === stopAt) running.fiber?.interruptUnsafe()
      }).pipe(
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
        Effect.provideService(Metric.MetricRegistry, metrics),
        EffectRandom.withSeed(seed),
        Effect.provide(Logger.layer([]))
      )
    )
    if (stopMs < Infinity) {
      yield* TestClock.adjust(stopMs)
      running.fiber.interruptUnsafe()
    }
    // What hangs without any limit is stopped from outside, as a caller would.
    yield* TestClock.adjust(120_000)
    yield* Effect.repeat(Effect.yieldNow, { times: 5 })
    const hung = running.fiber.pollUnsafe() === undefined
    const idle = hung && world.waiting === 0
    if (hung) running.fiber.interruptUnsafe()
    yield* TestClock.adjust(5_000)
    const exit = running.fiber.pollUnsafe()

    const problems = [...world.problems]
    if (idle) problems.push("the run hangs, and nothing in it waits")
    if (exit === undefined) problems.push("the run did not end")
    else problems.push(...Invariants.check(events, { graph: compiled as never }))
    if (world.open !== 0) problems.push(`${world.open} resources are open`)
    for (const { key, probes } of yield* registry.states) {
      if (probes > 0) problems.push(`circuit ${key} has ${probes} probes`)
    }
    for (
      const { attributes, id, state, type } of yield* Effect.provideService(
        Metric.snapshot,
        Metric.MetricRegistry,
        metrics
      )
    ) {
      if (id === "stategraph_flows_in_flight" && type === "Gauge" && state.value !== 0) {
        problems.push(`${String(state.value)} flows are in flight of ${JSON.stringify(attributes)}`)
      }
    }
    const ended = exit === undefined ? "hung" : Exit.isSuccess(exit) ? "completed" : hung ? "stopped" : "failed"
    return { seed, problems, events, ended }
  }).pipe(Effect.provide(TestClock.layer()))
