/**
 * For graphs without faults no valid option changes what comes out: only when, and how safely.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { CircuitBreakerRegistry, ParallelConfig, type ParallelFlowResult, type StateGraph } from "effect-stategraph"
import { loose } from "./support/looseBuilder.ts"
import { endOf, runner } from "./support/scenario.ts"

const State = Schema.Struct({
  n: Schema.Number,
  log: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([])))
})

/** Every field with the values it may have; what is drawn is one index per field, 0 for absent. */
const fields: ReadonlyArray<ReadonlyArray<ParallelConfig.Input>> = [
  [{ timeout: 1000 }, { timeout: "1 minute" }, { timeout: Infinity }],
  [{ totalTimeout: "5 minutes" }, { totalTimeout: Infinity }],
  [{ grace: 0 }, { grace: "wait" }, { grace: "3 seconds" }],
  [{ failFast: true }, { failFast: false }],
  [
    { retry: false },
    { retry: {} },
    { retry: { maxRetries: 5, jitter: 1, baseDelay: 0 } },
    { retry: { retryOn: () => false } },
    { retry: Schedule.recurs(3) }
  ],
  [
    { circuitBreaker: false },
    { circuitBreaker: {} },
    { circuitBreaker: { failureThreshold: 1, halfOpenMaxCalls: 3 } },
    { circuitBreaker: { failureRateThreshold: 0, minimumCalls: 1, windowDuration: "1 second" } },
    { circuitBreaker: { slowCallThreshold: "1 hour", windowSize: 1, resetTimeoutMultiplier: 2 } },
    { circuitBreaker: { key: "shared", failureThreshold: 7 } }
  ],
  [{ concurrency: 1 }, { concurrency: 2 }, { concurrency: "unbounded" }],
  [{ includeTraceback: true }, { includeTraceback: false }]
]

const below = (size: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: size - 1 })))
const drawnConfig = Arbitrary.all(fields.map((values) => below(values.length + 1)))
const configOf = (drawn: ReadonlyArray<number>): ParallelConfig.Input =>
  Object.assign({}, ...drawn.map((index, field) => index === 0 ? {} : fields[field]![index - 1]))

/** A graph: for each flow the number of its nodes, and for each whether it has flows of its own. */
const drawnShape = Arbitrary.array(Arbitrary.all([below(4), below(3), below(60)]), { minLength: 1, maxLength: 5 })
type Shape = ReadonlyArray<ReadonlyArray<number>>

type State = typeof State.Type

interface FanIn {
  readonly parallelResults: ReadonlyArray<ParallelFlowResult.Success<State>>
}

interface Configs {
  readonly make: ParallelConfig.Input
  readonly compile: ParallelConfig.Input
  readonly edge: ParallelConfig.Input
}

const none: Configs = { make: {}, compile: {}, edge: {} }

const graphOf = (shape: Shape, { compile, edge, make }: Configs) => {
  let graph = loose("any", { parallel: make }, State).addNode("start")
  const step = (name: string, ms: number) => {
    graph = graph.addNode(
      name,
      ({ log, n }: State) => Effect.delay(Effect.succeed({ n: n + ms, log: [...log, name] }), ms)
    )
  }
  shape.forEach(([more = 0, inner = 0, ms = 0], i) => {
    for (let j = 0; j <= more; j++) step(`f${i}.${j}`, (ms + j * 7) % 60)
    for (let j = 0; j < inner; j++) step(`f${i}.inner${j}`, (ms * 3 + j) % 60)
  })
  shape.forEach(([, inner = 0], i) => {
    if (inner > 0) {
      graph = graph.addFanInNode(`join${i}`, ({ log, n }: State, { parallelResults }: FanIn) => ({
        n: parallelResults.reduce((sum, { state }) => sum + state.n, n),
        log: [...log, ...parallelResults.map(({ state }) => state.log.join("+"))]
      }))
    }
  })
  graph = graph.addFanInNode("join", ({ n }: State, { parallelResults }: FanIn) => ({
    n: parallelResults.reduce((sum, { state }) => sum + state.n, n),
    log: parallelResults.map(({ branch, state, success }) => `${branch} ${success} ${state.log.join(",")}`)
  }))
  shape.forEach(([more = 0, inner = 0], i) => {
    graph = graph.addParallelEdge("start", `f${i}.0`, "join", edge)
    for (let j = 0; j < more; j++) graph = graph.addEdge(`f${i}.${j}`, `f${i}.${j + 1}`)
    for (let j = 0; j < inner; j++) graph = graph.addParallelEdge(`f${i}.${more}`, `f${i}.inner${j}`, `join${i}`, edge)
  })
  const compiled: unknown = graph.setEntryPoint("start").setFinishPoint("join").compile({ parallel: compile })
  return compiled as StateGraph.CompiledGraph<State, { readonly n: number }, never, never>
}

const outcome = (shape: Shape, configs: Configs, path: "invoke" | "stream", around: typeof none & {
  readonly run: ParallelConfig.Input
  readonly layer: ParallelConfig.Input
  readonly override: ParallelConfig.Input
} = { ...none, run: {}, layer: {}, override: {} }) =>
  Effect.gen(function*() {
    const { exit } = yield* endOf(
      runner(path)(graphOf(shape, configs), { n: 1 }, { parallel: around.run }).pipe(
        Effect.provide(
          Layer.merge(ParallelConfig.layerOverride(around.override), ParallelConfig.layer(around.layer))
        ),
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe())
      )
    )
    return exit
  })

describe("a graph without faults", () => {
  it.effect.prop(
    "gives the same final state under any configuration, on any level, on both paths",
    {
      shape: drawnShape,
      make: drawnConfig,
      compile: drawnConfig,
      edge: drawnConfig,
      run: drawnConfig,
      layer: drawnConfig,
      override: drawnConfig
    },
    ({ shape, ...drawn }) =>
      Effect.gen(function*() {
        const plain = yield* outcome(shape, none, "invoke")
        assert.isTrue(Exit.isSuccess(plain))
        const configs = {
          make: configOf(drawn.make),
          compile: configOf(drawn.compile),
          edge: configOf(drawn.edge),
          run: configOf(drawn.run),
          layer: configOf(drawn.layer),
          override: configOf(drawn.override)
        }
        for (const path of ["invoke", "stream"] as const) {
          assert.deepStrictEqual(yield* outcome(shape, configs, path, configs), plain)
        }
      }),
    { arbitrary: { runs: 150, seed: 11, size: 6 } }
  )
})
