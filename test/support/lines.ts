/**
 * One node, with options of its own, on every kind of line. Whatever it fails with, the run fails with.
 */
import { Effect } from "effect"
import { StateGraph } from "effect-stategraph"
import { type Body, State } from "./fan.ts"

/** All but the fallback. */
export type Policy = Pick<StateGraph.NodePolicy, "timeout" | "retry" | "circuitBreaker" | "grace" | "limit">

type Graph = StateGraph.CompiledGraph<State, typeof State["~type.make.in"], unknown, never>

const { START } = StateGraph

const effect = (body: Body) => (state: State, ctx: Parameters<Body>[1]) => {
  const returned = body(state, ctx)
  return (Effect.isEffect(returned) ? returned : Effect.succeed(returned)) as Effect.Effect<Partial<State>, unknown>
}

/** The fan-in of one flow: its state is the state, its error the error. */
const through = (result: { readonly success: boolean; readonly state: State; readonly cause?: unknown }) =>
  result.success ? Effect.succeed(result.state) : Effect.failCause(result.cause as never) as Effect.Effect<State>

const alone = (body: Body, policy: Policy) =>
  StateGraph.make("g", State).addNode("work", effect(body), policy).setEntryPoint("work").setFinishPoint("work")
    .compile()

const lines = {
  "on the main line": alone,
  "in a flow": (body, policy) =>
    StateGraph.make("g", State)
      .addNode("work", effect(body), policy)
      .addFanInNode("join", (_state, { parallelResults: [result] }) => through(result!))
      .addParallelEdge(START, "work", "join")
      .setFinishPoint("join")
      .compile(),
  "in a flow of a flow": (body, policy) =>
    StateGraph.make("g", State)
      .addNode("work", effect(body), policy)
      .addNode("outer")
      .addFanInNode("innerJoin", (_state, { parallelResults: [result] }) => through(result!))
      .addFanInNode("join", (_state, { parallelResults: [result] }) => through(result!))
      .addParallelEdge(START, "outer", "join")
      .addParallelEdge("outer", "work", "innerJoin")
      .setFinishPoint("join")
      .compile(),
  "for an item": (body, policy) =>
    StateGraph.make("g", State)
      .addNode("work", effect(body), policy)
      .addFanInNode("join", (_state, { parallelResults: [result] }) => through(result!))
      .addParallelMap(START, "work", "join", { items: () => ["only"], key: (item) => String(item) })
      .setFinishPoint("join")
      .compile(),
  "in a graph that is a node": (body, policy) =>
    StateGraph.make("outer", State)
      .addSubgraph("sub", alone(body, policy), { input: (state) => state, output: (state) => state })
      .setEntryPoint("sub")
      .setFinishPoint("sub")
      .compile(),
  "around a graph that is a node": (body, policy) =>
    StateGraph.make("g", State)
      .addSubgraph("work", alone(body, {}), { ...policy, input: (state) => state, output: (state) => state })
      .setEntryPoint("work")
      .setFinishPoint("work")
      .compile(),
  "around a graph in a flow": (body, policy) =>
    StateGraph.make("g", State)
      .addSubgraph("work", alone(body, {}), { ...policy, input: (state) => state, output: (state) => state })
      .addFanInNode("join", (_state, { parallelResults: [result] }) => through(result!))
      .addParallelEdge(START, "work", "join")
      .setFinishPoint("join")
      .compile()
} satisfies Record<string, (body: Body, policy: Policy) => unknown>

export type Where = keyof typeof lines

export const everywhere = Object.keys(lines) as ReadonlyArray<Where>

/** A graph that executes `body` as its node `work`, once. */
export const lineWith = (where: Where, body: Body, policy: Policy): Graph =>
  lines[where](body, policy) as unknown as Graph
