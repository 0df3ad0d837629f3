/** Small graphs of which every run is made, and how many there are: counted on paper, not by the engine. */
import { Effect, Schema } from "effect"
import { type Completion, type ParallelConfig, StateGraph } from "effect-stategraph"
import { type Loose, loose } from "../support/looseBuilder.ts"
import type { Shape, Stage } from "./explore.ts"

const factorial = (n: number): number => n <= 1 ? 1 : n * factorial(n - 1)
const choose = (n: number, k: number): number => factorial(n) / factorial(k) / factorial(n - k)

interface FanIn {
  addFanInNode(name: string, run: unknown, options: unknown): Loose
}

const names = ["a", "b", "c", "d"] as const

/** So many flows of one node each. */
const flows =
  (n: number, config: ParallelConfig.Input = {}, rule?: Completion.Rule) => ({ join, node }: Stage): object => {
    let graph = loose("shape", {}, Schema.Struct({}))
    for (const name of names.slice(0, n)) graph = graph.addNode(name, node)
    const options = rule === undefined ? {} : { completion: rule }
    graph = (graph as unknown as FanIn).addFanInNode("join", join, options)
    for (const name of names.slice(0, n)) graph = graph.addParallelEdge(StateGraph.START, name, "join", config)
    return graph.setFinishPoint("join").compile()
  }

const both = ["succeeds", "fails"] as const

/** Flows that are left, until one of them fails. */
const failFast = (left: number): number => left === 0 ? 1 : left * (failFast(left - 1) + 1)

/** Flows that are left, until so many more have succeeded or cannot. */
const atLeast = (left: number, wanted: number): number =>
  wanted === 0 || wanted > left ? 1 : left * (atLeast(left - 1, wanted - 1) + atLeast(left - 1, wanted))

/** Flows that are left, until more have failed than are tolerated. */
const tolerate = (left: number, failures: number): number =>
  failures < 0 || left === 0 ? 1 : left * (tolerate(left - 1, failures) + tolerate(left - 1, failures - 1))

/** One at a time, until one fails and the circuit that all share opens. */
const oneCircuit = (left: number): number => left === 0 ? 1 : oneCircuit(left - 1) + 1

/** With places for two of them at a time. */
const twoPlaces = (left: number): number => left === 0 ? 1 : Math.min(2, left) * twoPlaces(left - 1)

/** Ways of one flow that is retried once, by how many ends of attempts they have; of two flows, one among the other. */
const retried = (): number => {
  const ways = [[1, 1], [2, 2]] as const
  return ways.flatMap(([n, count]) => ways.map(([m, other]) => count * other * choose(n + m, n)))
    .reduce((sum, count) => sum + count, 0)
}

/** A limit is two timers. Of one flow that is left, with so many of them to come. */
const limited = (timers: number): number => timers === 0 ? 1 : 1 + limited(timers - 1)

/** Of two flows with two limits, while the first one has so many timers to come. */
const twoLimits = (timers: number): number =>
  timers === 0 ? limited(2) : limited(2) + limited(timers) + twoLimits(timers - 1)

const nested = ({ join, node }: Stage): object =>
  loose("shape", {}, Schema.Struct({}))
    .addNode("outer", undefined).addNode("a", node).addNode("b", node).addNode("c", node).addNode("d", node)
    .addFanInNode("inner", join).addFanInNode("join", join)
    .addParallelEdge(StateGraph.START, "outer", "join").addParallelEdge(StateGraph.START, "d", "join")
    .addParallelEdge("outer", "a", "inner").addParallelEdge("outer", "b", "inner").addEdge("inner", "c")
    .setFinishPoint("join").compile()

const chains = (n: number) => ({ join, node }: Stage): object => {
  let graph = loose("shape", {}, Schema.Struct({}))
  for (const name of names.slice(0, n)) {
    graph = graph.addNode(name, node).addNode(`${name}2`, node).addEdge(name, `${name}2`)
  }
  graph = graph.addFanInNode("join", join)
  for (const name of names.slice(0, n)) graph = graph.addParallelEdge(StateGraph.START, name, "join")
  return graph.setFinishPoint("join").compile()
}

const twoTimeouts = ({ join, node }: Stage): object =>
  loose("shape", {}, Schema.Struct({})).addNode("a", node).addNode("b", node).addFanInNode("join", join)
    .addParallelEdge(StateGraph.START, "a", "join", { timeout: 10 })
    .addParallelEdge(StateGraph.START, "b", "join", { timeout: 20 })
    .setFinishPoint("join").compile()

const asking = ({ join, node }: Stage): object => {
  const ask = (state: unknown, told: Parameters<Stage["node"]>[1]) =>
    Effect.flatMap(StateGraph.suspend("go", Schema.Boolean), () => node(state, told))
  return loose("shape", {}, Schema.Struct({}))
    .addNode("a", ask).addNode("b", node).addNode("c", node).addFanInNode("join", join)
    .addParallelEdge(StateGraph.START, "a", "join").addParallelEdge(StateGraph.START, "b", "join")
    .addParallelEdge(StateGraph.START, "c", "join").setFinishPoint("join").compile()
}

const circuitBreaker = { key: "shared", failureThreshold: 1, resetTimeout: "1 hour" } as const

const shape = (name: string, graph: Shape["graph"], count: number, more: Partial<Shape> = {}): Shape => ({
  name,
  graph,
  outcomes: ["succeeds"],
  count,
  completed: count,
  ...more
})

export const shapes: ReadonlyArray<Shape> = [
  shape("three flows", flows(3), factorial(3)),
  shape("four flows", flows(4), factorial(4)),
  shape("four flows that can fail", flows(4), factorial(4) * 2 ** 4, { outcomes: both }),
  shape("three flows of two nodes", chains(3), factorial(6) / 2 ** 3),
  shape("four flows that fail fast", flows(4, { failFast: true }), failFast(4), {
    outcomes: both,
    completed: factorial(4)
  }),
  shape("two of four flows have to succeed", flows(4, {}, { minSuccessful: 2 }), atLeast(4, 2), { outcomes: both }),
  shape("one of four flows may fail", flows(4, {}, { tolerate: 1 }), tolerate(4, 1), { outcomes: both }),
  // The node after the inner fan-in is the last of the three there.
  shape("a fan-out in a flow, and a node after it", nested, factorial(4) / 3),
  shape("four flows with two places", flows(4, { concurrency: 2 }), twoPlaces(4)),
  shape("two flows that are retried once", flows(2, { retry: { maxRetries: 1, baseDelay: 0 } }), retried(), {
    outcomes: both
  }),
  shape("four flows with one place and one circuit", flows(4, { concurrency: 1, circuitBreaker }), oneCircuit(4), {
    outcomes: both
  }),
  shape("two flows with limits, and time", twoTimeouts, twoLimits(2), { time: true }),
  shape("a flow that asks, beside two that can fail", asking, factorial(2) * 2 ** 3, {
    outcomes: both,
    answers: { go: true }
  })
]
