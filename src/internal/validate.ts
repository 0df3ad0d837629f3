/**
 * Everything that can be wrong with a graph, found at once.
 */
import * as Result from "effect/Result"
import type { GraphProblem, ProblemCode } from "../GraphError.ts"
import { circuits, type SameCircuit } from "./circuits.ts"
import { explore, exploreFlow, type Paths, standIns } from "./paths.ts"
import { type BuilderData, END, type PlanEdge, type PlanNode, START } from "./plan.ts"

export type Report = (code: ProblemCode, nodes: ReadonlyArray<string>, message: string) => void

export interface Validated {
  readonly problems: ReadonlyArray<GraphProblem>
  /** The circuit of each branch path, and of each node, that has one. */
  readonly circuits: Map<string, Set<string>>
}

export const validate = (
  data: BuilderData,
  plan: { readonly start: PlanNode; readonly nodes: ReadonlyMap<string, PlanNode> },
  sameCircuit: SameCircuit
): Validated => {
  const problems: Array<GraphProblem> = []
  const report: Report = (code, nodes, message) => {
    if (!problems.some((p) => p.code === code && p.message === message)) problems.push({ code, nodes, message })
  }
  names(data, report)
  endpoints(data, report)
  waysOut(data, report)
  fanIns(data, report)
  fallbacks(data, plan.nodes, report)
  return { problems, circuits: lines(data, plan, sameCircuit, report) }
}

const names = (data: BuilderData, report: Report): void => {
  const seen = new Set<string>()
  const check = (what: string, name: string) => {
    if (typeof name !== "string" || name === "") {
      report("ReservedName", [String(name)], `a ${what} needs a name that is not empty`)
    } else if (name === START || name === END) report("ReservedName", [name], `the ${what} name "${name}" is reserved`)
    else if (/[/[\]]/.test(name)) {
      report("ReservedName", [name], `the ${what} name "${name}" has a character that is reserved for paths: / [ ]`)
    }
  }
  for (const { name } of data.nodes) {
    check("node", name)
    if (seen.has(name)) report("DuplicateNode", [name], `node "${name}" is added twice`)
    seen.add(name)
  }
  for (const edge of data.parallels) if (edge.name !== edge.to) check("branch", edge.name)
}

const endpoints = (data: BuilderData, report: Report): void => {
  const known = new Set(data.nodes.map((node) => node.name))
  const check = (name: string, edge: string, also: string | undefined) => {
    if (!known.has(name) && name !== also) {
      report("UnknownNode", [name], `${edge} names the node "${name}", which does not exist`)
    }
  }
  for (const { from, to } of data.edges) {
    const edge = `the edge ${from} -> ${to}`
    check(from, edge, START)
    check(to, edge, END)
  }
  for (const { from, targets } of data.conditionals) {
    check(from, `the condition after ${from}`, START)
    const entries = Object.entries(targets)
    if (entries.length === 0) report("EmptyTargets", [from], `the condition after "${from}" has no targets`)
    for (const [key, to] of entries) check(to, `the condition after ${from} (key "${key}")`, END)
  }
  for (const { fanIn, from, to } of data.parallels) {
    const edge = `the parallel edge ${from} -> ${to}`
    check(from, edge, START)
    check(to, edge, undefined)
    check(fanIn, edge, undefined)
  }
  const starts = [...data.edges, ...data.conditionals, ...data.parallels].some((edge) => edge.from === START)
  if (!starts) report("NoEntryPoint", [], "the graph has no entry point: call setEntryPoint")
}

const waysOut = (data: BuilderData, report: Report): void => {
  const first = new Map<string, string>()
  const out = (from: string, way: string) => {
    const other = first.get(from)
    if (other === undefined) first.set(from, way)
    else report("TwoWaysOut", [from], `node "${from}" has two ways out: ${other} and ${way}`)
  }
  for (const { from, to } of data.edges) out(from, `the edge to ${to}`)
  for (const { from } of data.conditionals) out(from, "a condition")
}

const fanIns = (data: BuilderData, report: Report): void => {
  const kinds = new Map(data.nodes.map((node) => [node.name, node.kind]))
  const branches = new Set<string>()
  for (const { fanIn, from, name, to } of data.parallels) {
    if (kinds.get(fanIn) === "node") {
      report(
        "NotAFanIn",
        [from, to, fanIn],
        `the parallel edge ${from} -> ${to} names "${fanIn}", which is no fan-in node: add it with addFanInNode`
      )
    }
    const branch = JSON.stringify([fanIn, name])
    if (branches.has(branch)) {
      report(
        "DuplicateBranch",
        [from, to, fanIn],
        `fan-in "${fanIn}" has two flows named "${name}": give one another name in its edge's config`
      )
    }
    branches.add(branch)
  }
  const named = new Set(data.parallels.map((edge) => edge.fanIn))
  for (const { kind, name } of data.nodes) {
    if (kind === "fanIn" && !named.has(name)) {
      report("UnusedFanIn", [name], `no parallel edge names the fan-in "${name}"`)
    }
  }
}

const fallbacks = (data: BuilderData, nodes: ReadonlyMap<string, PlanNode>, report: Report): void => {
  const check = (name: string, of: string) => {
    const kind = nodes.get(name)?.kind
    if (kind === undefined) report("UnknownNode", [name], `${of} names the node "${name}", which does not exist`)
    if (kind === "fanIn") report("InvalidFallback", [name], `${of} names "${name}", a fan-in: only a node can stand in`)
  }
  for (const { name, options } of data.nodes) {
    const fallback = Result.isSuccess(options) ? options.success.fallback : undefined
    if (typeof fallback === "string") check(fallback, `the fallback of node ${name}`)
    const node = nodes.get(name)
    if (node !== undefined && standIns(node).has(node)) {
      report("InvalidFallback", [name], `the fallbacks of node "${name}" lead back to itself`)
    }
  }
  for (const { fallback, from, to } of data.parallels) {
    if (typeof fallback === "string") check(fallback, `the fallback of the parallel edge ${from} -> ${to}`)
  }
}

/** Explores the main line and every flow that can be launched from it, flows of flows included. */
const lines = (
  data: BuilderData,
  plan: { readonly start: PlanNode; readonly nodes: ReadonlyMap<string, PlanNode> },
  sameCircuit: SameCircuit,
  report: Report
): Map<string, Set<string>> => {
  const broken = new Set<string>(
    data.edges.filter((edge) => edge.to !== END && !plan.nodes.has(edge.to)).map((edge) => edge.from)
  )
  for (const { from, targets } of data.conditionals) {
    if (Object.keys(targets).length === 0 || Object.values(targets).some((to) => to !== END && !plan.nodes.has(to))) {
      broken.add(from)
    }
  }
  for (const edge of data.parallels) if (!plan.nodes.has(edge.to) || !plan.nodes.has(edge.fanIn)) broken.add(edge.from)

  const main = explore(plan.start, undefined)
  const visited = new Set(main.visited)
  const explored = new Map<PlanEdge, Paths>()
  const queue = [...main.launched]
  for (let edge = queue.pop(); edge !== undefined; edge = queue.pop()) {
    if (explored.has(edge)) continue
    const paths = exploreFlow(edge)
    explored.set(edge, paths)
    for (const node of paths.visited) visited.add(node)
    queue.push(...paths.launched)
  }
  const entry = plan.start.way._tag !== "None" || plan.start.launches.length > 0
  for (const node of plan.nodes.values()) {
    if (entry && !visited.has(node)) {
      report("UnreachableNode", [node.name], `node "${node.name}" cannot be reached from START`)
    }
  }

  const dead = (paths: Paths, goal: string) => {
    if ([...paths.visited].some((node) => broken.has(node.name))) return
    for (const node of paths.trapped) {
      if (node.kind !== "start") report("DeadEnd", [node.name], `from node "${node.name}" ${goal} cannot be reached`)
    }
  }
  const past = (paths: Paths, who: string, code: "EndBeforeFanIn") => {
    for (const [node, open] of paths.endsPast) {
      for (const fanIn of open) {
        report(
          code,
          [node.name, fanIn.name],
          `${who} can end after node "${node.name}" without joining its flows at fan-in "${fanIn.name}"`
        )
      }
    }
  }
  dead(main, "END")
  past(main, "the main line", "EndBeforeFanIn")
  for (const [edge, paths] of explored) {
    const who = `the flow "${edge.name}"`
    if (!paths.arrives && ![...paths.visited].some((node) => broken.has(node.name))) {
      report(
        "FlowCannotReachFanIn",
        [edge.to.name, edge.fanIn.name],
        `${who} can reach neither its fan-in "${edge.fanIn.name}" nor END`
      )
    } else dead(paths, `neither END nor the fan-in "${edge.fanIn.name}"`)
    past(paths, who, "EndBeforeFanIn")
    for (const launched of paths.launched) {
      if (launched.fanIn === edge.fanIn) {
        report(
          "FlowFeedsOwnFanIn",
          [launched.from, launched.to.name, edge.fanIn.name],
          `${who} starts the flow "${launched.name}" for "${edge.fanIn.name}", the fan-in it is itself bound for`
        )
      }
    }
    for (const node of paths.visited) {
      if (node.index > edge.fanIn.index && edge.fanIn.kind === "fanIn") {
        report(
          "FanInBeforeNode",
          [edge.fanIn.name, node.name],
          `fan-in "${edge.fanIn.name}" is added before node "${node.name}" of its flow "${edge.name}": its results would miss the errors of that node, so add the fan-in after it`
        )
      }
    }
  }
  recursion(explored, report)
  return circuits(data.name, { main, explored, visited }, sameCircuit, report)
}

/** A flow that, through other flows, starts itself would nest for ever. */
const recursion = (explored: ReadonlyMap<PlanEdge, Paths>, report: Report): void => {
  for (const edge of explored.keys()) {
    const seen = new Set<PlanEdge>()
    const queue = [...explored.get(edge)?.launched ?? []]
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (next === edge) {
        const names = [edge.to.name, edge.fanIn.name]
        return report(
          "FlowFeedsOwnFanIn",
          names,
          `the flow "${edge.name}" for "${edge.fanIn.name}" starts itself again, through the flows it starts`
        )
      }
      if (seen.has(next)) continue
      seen.add(next)
      queue.push(...explored.get(next)?.launched ?? [])
    }
  }
}
