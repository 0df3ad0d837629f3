import { Cause, Effect, Exit, Fiber, References, Schema } from "effect"
import { FlowCallbacks, type ParallelConfig, type ParallelFlowResult, StateGraph } from "../../../../src/index.ts"
import { graceMs } from "../../bench/constants.ts"
import {
  type CallOptions,
  failure,
  type Fan,
  type Joined,
  type Outcome,
  type Peer,
  type Running,
  success
} from "../peer.ts"
import type { Work } from "../work.ts"

const One = { work: Schema.optionalKey(Schema.Unknown), value: Schema.Unknown.pipe(Schema.optionalKey) }
const Flows = { value: Schema.optionalKey(Schema.Unknown), joined: Schema.optionalKey(Schema.Unknown) }

const run = (work: Work) => Effect.map(work.effect, (value) => ({ value }))

const outcomeOf = (result: ParallelFlowResult.Any): Outcome => {
  switch (result._tag) {
    case "Success":
      return success(result.state["value"])
    case "Failure":
      return failure(result.failure ?? Cause.squash(result.cause))
    default:
      return {
        is: ({ Timeout: "timeout", Rejected: "rejected", Interrupted: "cancelled" } as const)[result._tag],
        error: result.error
      }
  }
}

const ended = <E>(exit: Exit.Exit<unknown, E>): Outcome =>
  Exit.isSuccess(exit)
    ? success(exit.value)
    : Cause.hasInterruptsOnly(exit.cause)
    ? { is: "cancelled", error: exit.cause }
    : failure(Cause.squash(exit.cause))

const start = <A, E>(effect: Effect.Effect<unknown, E>, map: (exit: Exit.Exit<unknown, E>) => A): Running<A> => {
  const fiber = Effect.runFork(Effect.provideService(effect, References.MinimumLogLevel, "None"))
  return { end: Effect.runPromise(Fiber.await(fiber)).then(map), cancel: () => fiber.interruptUnsafe() }
}

// How long to wait for what does not stop; the default is a second.
const grace = graceMs

const configOf = ({ limitMs, retry, totalMs }: CallOptions): ParallelConfig.Input => ({
  grace,
  timeout: limitMs,
  totalTimeout: totalMs,
  retry: retry &&
    { maxRetries: retry.retries, baseDelay: retry.baseMs, maxDelay: retry.maxMs, jitter: retry.jitter ? 0.5 : 0 }
})

const single = (parallel: ParallelConfig.Input, callbacks: FlowCallbacks.Given<never, never> = []) => {
  const graph = StateGraph.make("call", One, { parallel })
    .addNode("work", ({ work }) => run(work as Work))
    .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ value: outcomeOf(result!) }))
    .addParallelEdge(StateGraph.START, "work", "join")
    .setFinishPoint("join")
    .compile({ callbacks })
  const call = (work: Work) =>
    start(
      graph.invoke({ work }),
      (exit) => Exit.isSuccess(exit) ? (exit.value as { value: Outcome }).value : ended(exit)
    )
  return { graph, call }
}

const fanOf = (graph: (joins: Array<ReadonlyArray<Joined>>) => Effect.Effect<unknown, unknown>): Running<Fan> => {
  const joins: Array<ReadonlyArray<Joined>> = []
  return start(graph(joins), (exit) => ({ run: ended(exit), joins }))
}

const joined = (results: ReadonlyArray<ParallelFlowResult.Any>): ReadonlyArray<Joined> =>
  results.map((result) => [result.branch.replace(/^each\[(.*)\]$/, "$1"), outcomeOf(result)])

export const ours: Peer = {
  name: "effect-stategraph",
  lacks: {},
  caller: (options) => single(configOf(options)).call,
  circuit: async ({ failures, limitMs, resetMs }) => {
    let opened = 0
    const callbacks = FlowCallbacks.make({ onCircuitStateChange: ({ to }) => void (to === "OPEN" && opened++) })
    const { call, graph } = single({
      grace,
      timeout: limitMs,
      circuitBreaker: { failureThreshold: failures, resetTimeout: resetMs }
    }, callbacks)
    return {
      call,
      state: async () => (await Effect.runPromise(graph.circuitStates))[0]?.state ?? "CLOSED",
      opened: () => opened
    }
  },
  fan: (works, { failFast = false, limitMs } = {}) =>
    fanOf((joins) => {
      const names = Object.keys(works)
      let flows = StateGraph.make("fan", Flows, { parallel: { grace, timeout: limitMs, failFast } }).addNode(
        "start" as string,
        (): Effect.Effect<void, unknown> => Effect.void
      )
      for (const name of names) flows = flows.addNode(name, () => run(works[name]!))
      let fan = flows.addFanInNode("join" as string, (_state, ctx) => void joins.push(joined(ctx.parallelResults)))
      for (const name of names) fan = fan.addParallelEdge("start", name, "join")
      return fan.setEntryPoint("start").setFinishPoint("join").compile().invoke({})
    }),
  nested: (plain, inner) =>
    fanOf((joins) => {
      const graph = StateGraph.make("nested", Flows).addNode("plain", () => run(plain)).addNode("inner")
        .addNode("a", () => run(inner["a"]!)).addNode("b", () => run(inner["b"]!))
        .addFanInNode("count", (_s, ctx) => ({ value: ctx.parallelResults.filter(({ success }) => success).length }))
        .addFanInNode("join", (_s, ctx) => void joins.push(joined(ctx.parallelResults)))
        .addParallelEdge(StateGraph.START, "plain", "join").addParallelEdge(StateGraph.START, "inner", "join")
        .addParallelEdge("inner", "a", "count").addParallelEdge("inner", "b", "count")
        .setFinishPoint("join")
      return graph.compile().invoke({})
    }),
  conflict: () => {
    // A fan-in without a function merges what its flows set.
    const graph = StateGraph.make("conflict", { n: Schema.Number })
      .addNode("a", () => ({ n: 1 })).addNode("b", () => ({ n: 2 })).addFanInNode("join")
      .addParallelEdge(StateGraph.START, "a", "join").addParallelEdge(StateGraph.START, "b", "join")
      .setFinishPoint("join")
    return start(graph.compile().invoke({ n: 0 }), ended).end
  },
  map: (items, concurrency) =>
    fanOf((joins) => {
      const graph = StateGraph.make("map", Flows)
        .addNode("each", (_state, { item }) => run(item as Work))
        .addFanInNode("join", (_state, ctx) => void joins.push(joined(ctx.parallelResults)))
        .addParallelMap(StateGraph.START, "each", "join", {
          items: () => items,
          concurrency: concurrency ?? "unbounded"
        })
        .setFinishPoint("join")
      return graph.compile().invoke({})
    }),
  // The limit of a listener is 5 seconds unless it is set.
  listened: (work, listener) =>
    single(
      {},
      FlowCallbacks.make({
        onFlowComplete: () => {
          const told = listener()
          return told && Effect.promise(() => told)
        }
      }, { timeout: 100 })
    ).call(work),
  unknownNode: () => {
    const graph: any = StateGraph.make("unknown", { n: Schema.Number }).addNode("a")
    graph.setEntryPoint("a").addEdge("a", "nobody").compile()
  },
  sameName: () => {
    const graph: any = StateGraph.make("twice", { n: Schema.Number }).addNode("a")
    graph.addNode("a").setEntryPoint("a").setFinishPoint("a").compile()
  },
  loop: (body, maxSteps) => {
    const graph = StateGraph.make("loop", { n: Schema.Number }).addNode("again", body).setEntryPoint("again")
      .addConditionalEdges("again", () => "again", { again: "again", end: StateGraph.END })
      .compile({ maxSteps })
    return start(graph.invoke({ n: 0 }), ended).end
  },
  input: (body) => {
    const graph = StateGraph.make("input", { n: Schema.Number }).addNode("a", body).setEntryPoint("a").setFinishPoint(
      "a"
    )
    return start(graph.compile().invoke({ n: "one" } as any), ended).end
  }
}
