/**
 * LangGraph.js, by its guides on fault tolerance, on parallel branches and on `Send`: a node has a `timeout`, a `retryPolicy`
 * and an `errorHandler`, which routes a handled failure to the join.
 */
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import {
  Annotation,
  Command,
  END,
  isNodeTimeoutError,
  type LangGraphRunnableConfig,
  type NodeError,
  Send,
  START,
  StateGraph,
  StateSchema
} from "@langchain/langgraph"
import { z } from "zod"
import {
  type CallOptions,
  failure,
  type Fan,
  type Joined,
  neverAborted,
  type Outcome,
  type Peer,
  running,
  success
} from "../peer.ts"
import type { Work } from "../work.ts"

const failed = (error: unknown, cancelled = false): Outcome =>
  isNodeTimeoutError(error) ? { is: "timeout", error } : cancelled ? { is: "cancelled", error } : failure(error)

const signalOf = (config: LangGraphRunnableConfig): AbortSignal => config.signal ?? neverAborted

const One = Annotation.Root({ work: Annotation<Work>, value: Annotation<unknown> })

const call = ({ limitMs, retry, totalMs }: CallOptions) => {
  const graph = new StateGraph(One)
    .addNode("run", async ({ work }, config) => ({ value: await work.promise(signalOf(config)) }), {
      ...limitMs !== undefined && { timeout: limitMs },
      ...retry !== undefined && {
        retryPolicy: {
          maxAttempts: retry.retries + 1,
          initialInterval: retry.baseMs,
          maxInterval: retry.maxMs,
          jitter: retry.jitter ?? false,
          logWarning: false
        }
      }
    })
    .addEdge(START, "run")
    .addEdge("run", END)
    .compile()
  // All attempts of a node are part of one step.
  if (totalMs !== undefined) graph.stepTimeout = totalMs
  return (work: Work, options: { readonly callbacks?: Array<BaseCallbackHandler> } = {}) =>
    running(
      async (signal) => success((await graph.invoke({ work }, { signal, ...options })).value),
      (error, cancelled): Outcome =>
        totalMs !== undefined && !cancelled && (error as Error).message === "Abort"
          ? { is: "timeout", error }
          : failed(error, cancelled)
    )
}

const Flows = Annotation.Root({
  joined: Annotation<ReadonlyArray<Joined>>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
  work: Annotation<{ readonly name: string; readonly work: Work }>
})

/** A node of a fan-out; a failure that its handler takes care of goes to the join like a success. */
const flow = (name: string, run: (signal: AbortSignal) => Promise<unknown>, failFast = false, limitMs?: number) =>
  [
    name,
    async (_state: unknown, config: LangGraphRunnableConfig) => ({
      joined: [[name, success(await run(signalOf(config)))]]
    }),
    {
      ...limitMs !== undefined && { timeout: limitMs },
      ...!failFast &&
        {
          errorHandler: (_: unknown, { error }: NodeError) =>
            new Command({ update: { joined: [[name, failed(error)]] }, goto: "join" })
        }
    }
  ] as const

const fanOf = (build: (join: (state: { readonly joined: ReadonlyArray<Joined> }) => {}) => any, input: object = {}) => {
  const joins: Array<ReadonlyArray<Joined>> = []
  const graph = build(({ joined }) => {
    joins.push(joined)
    return {}
  }).addEdge("join", END).compile()
  return (config: { readonly maxConcurrency?: number } = {}) =>
    running(
      async (signal): Promise<Fan> => ({ run: success(await graph.invoke(input, { signal, ...config })), joins }),
      (error, cancelled) => ({ run: failed(error, cancelled), joins })
    )
}

const Plain = Annotation.Root({ n: Annotation<number> })

const thrown = async (run: () => Promise<unknown>): Promise<Outcome> => {
  try {
    return success(await run())
  } catch (error) {
    return failure(error)
  }
}

export const langgraph: Peer = {
  name: "LangGraph.js",
  lacks: {
    circuit: "there is no circuit breaker",
    order: "its guide promises none for what nodes of one step write"
  },
  caller: call,
  fan: (works, { failFast, limitMs } = {}) =>
    fanOf((join) => {
      const graph: any = new StateGraph(Flows).addNode("join", join)
      for (const [name, work] of Object.entries(works)) {
        graph.addNode(...flow(name, (signal) => work.promise(signal), failFast, limitMs)).addEdge(START, name)
          .addEdge(name, "join")
      }
      return graph
    })(),
  nested: (plain, inner) =>
    fanOf((join) => {
      let count = 0
      const graph: any = new StateGraph(Flows).addNode("join", ({ joined }) => {
        count = joined.filter(([, outcome]) => outcome.is === "success").length
        return {}
      }).addEdge("join", END)
      for (const [name, work] of Object.entries(inner)) {
        graph.addNode(...flow(name, (signal) => work.promise(signal))).addEdge(START, name).addEdge(name, "join")
      }
      const subgraph = graph.compile()
      const outer: any = new StateGraph(Flows).addNode("join", join)
      return outer.addNode(...flow("plain", (signal) => plain.promise(signal)))
        .addNode(...flow("inner", async (signal) => {
          await subgraph.invoke({}, { signal })
          return count
        }))
        .addEdge(START, "plain").addEdge(START, "inner").addEdge("plain", "join").addEdge("inner", "join")
    })(),
  conflict: () => {
    const graph = new StateGraph(Plain)
      .addNode("a", () => ({ n: 1 })).addNode("b", () => ({ n: 2 })).addNode("join", () => ({}))
      .addEdge(START, "a").addEdge(START, "b").addEdge("a", "join").addEdge("b", "join").addEdge("join", END)
    return thrown(() => graph.compile().invoke({}))
  },
  map: (items, concurrency) =>
    fanOf((join) => {
      const graph: any = new StateGraph(Flows).addNode("start", () => ({})).addNode("join", join).addNode(
        "each",
        async ({ work: { name, work } }: any, config: LangGraphRunnableConfig) => ({
          joined: [[name, success(await work.promise(signalOf(config)))]]
        }),
        {
          errorHandler: ({ work: { name } }: any, { error }: NodeError) =>
            new Command({ update: { joined: [[name, failed(error)]] }, goto: "join" })
        }
      )
      const send = () => items.map((work, i) => new Send("each", { work: { name: String(i), work } }))
      return graph.addEdge(START, "start").addConditionalEdges("start", send, ["each"]).addEdge("each", "join")
    })(concurrency === undefined ? {} : { maxConcurrency: concurrency }),
  listened: (work, listener) =>
    call({})(work, { callbacks: [BaseCallbackHandler.fromMethods({ handleChainEnd: listener })] }),
  unknownNode: () => {
    const graph: any = new StateGraph(Plain).addNode("a", () => ({}))
    graph.addEdge(START, "a").addEdge("a", "nobody").compile()
  },
  sameName: () => {
    const graph: any = new StateGraph(Plain).addNode("a", () => ({}))
    graph.addNode("a", () => ({})).addEdge(START, "a").addEdge("a", END).compile()
  },
  loop: (body, recursionLimit) => {
    const graph = new StateGraph(Plain).addNode("again", () => {
      body()
      return { n: 1 }
    }).addEdge(START, "again").addConditionalEdges("again", () => "again", ["again", END]).compile()
    return thrown(() => graph.invoke({}, { recursionLimit }))
  },
  input: (body) => {
    const graph = new StateGraph(new StateSchema({ n: z.number() })).addNode("a", () => {
      body()
      return {}
    }).addEdge(START, "a").addEdge("a", END).compile()
    return thrown(() => graph.invoke({ n: "one" } as any))
  }
}
