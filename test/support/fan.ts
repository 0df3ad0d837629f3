/**
 * `G(b1, ..., bn)` of the scenarios: start, parallel branches, a fan-in `join`, end.
 */
import { Effect, Schema } from "effect"
import { type Completion, type ParallelConfig, type ParallelFlowResult, StateGraph } from "effect-stategraph"

export class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

export const boom = (message: string): Effect.Effect<never, Boom> => Effect.fail(new Boom({ message }))

export const State = Schema.Struct({
  n: Schema.Number,
  v: Schema.optionalKey(Schema.Unknown),
  joined: Schema.optionalKey(Schema.Array(Schema.String))
})

export type State = typeof State.Type
export type Result = ParallelFlowResult.ParallelFlowResult<State, unknown>

export type Body = (
  state: State,
  ctx: { readonly attempt: number }
) => Partial<State> | void | Effect.Effect<Partial<State> | void, unknown>

export type Branches = Readonly<Record<string, Body | readonly [body: Body, config: StateGraph.EdgeConfig]>>

interface Options {
  readonly graph?: ParallelConfig.Input
  readonly compile?: ParallelConfig.Input
  readonly name?: string
  readonly completion?: Completion.Rule
  /** What the fan-in does beside noting its results. */
  readonly join?: (results: ReadonlyArray<Result>) => Partial<State> | void
}

/** A compiled `G(...)`, and the results that its fan-in saw, one list per execution of it. */
export const fan = (branches: Branches, options: Options = {}) => {
  const joins: Array<ReadonlyArray<Result>> = []
  const completions: Array<Completion.Completion> = []
  const entries = Object.entries(branches).map(([name, branch]) =>
    typeof branch === "function" ? { name, body: branch, config: {} } : { name, body: branch[0], config: branch[1] }
  )
  let nodes = StateGraph.make(
    options.name ?? "g",
    State,
    options.graph === undefined ? {} : { parallel: options.graph }
  )
    .addNode("start" as string)
  for (const { body, name } of entries) {
    nodes = nodes.addNode(name, (state, ctx) => {
      const returned = body(state, ctx)
      return (Effect.isEffect(returned) ? returned : Effect.succeed(returned)) as Effect.Effect<Partial<State>>
    })
  }
  let edges = nodes.addFanInNode("join" as string, (_state, { completion, parallelResults }) => {
    completions.push(completion)
    joins.push(parallelResults as ReadonlyArray<Result>)
    return options.join?.(parallelResults as ReadonlyArray<Result>) ?? {}
  }, { completion: options.completion })
  for (const { config, name } of entries) edges = edges.addParallelEdge("start", name, "join", config)
  const graph = edges.setEntryPoint("start").setFinishPoint("join").compile(
    options.compile === undefined ? {} : { parallel: options.compile }
  )
  return {
    graph,
    joins,
    completions,
    /** The results of the last join. */
    get results(): ReadonlyArray<Result> {
      return joins.at(-1) ?? []
    },
    /** One of them. */
    result: (branch: string): Result => {
      const found = joins.at(-1)?.find((result) => result.branch === branch)
      if (found === undefined) throw new Error(`no result of ${branch}`)
      return found
    }
  }
}

/** An interruptible sleep that tells when it was interrupted, after its finalizer has run. */
export const sleeper = (ms: number, log: Array<string>, name: string): Effect.Effect<void> =>
  Effect.sleep(ms).pipe(
    Effect.onInterrupt(() => Effect.sync(() => void log.push(`${name} interrupted`)))
  )
