/**
 * One simulated run as plain data: what its graph is, what its nodes do, and what goes wrong. It is drawn from a seed, can be
 * printed, made smaller, and run again.
 */
import type { Durability } from "../../src/internal/saver.ts"
import type { Fault, Method } from "../support/fakeStore.ts"

export type Kind =
  /** Returns at once, without an Effect. */
  | "now"
  | "sleep"
  /** Cannot be interrupted while it sleeps. */
  | "locked"
  /** Opens something in its scope, forks a child that never ends, and leaves both. */
  | "child"
  /** Interrupts itself. */
  | "interrupt"
  /** Returns what is no update. */
  | "bad"

/** What a node does, in attempts of its flow or of its own. */
export interface Act {
  readonly kind: Kind
  readonly ms: number
  /** So many attempts fail, after their time. */
  readonly fails?: number
  readonly how?: "fail" | "defect" | "throw"
  /** So many attempts never end, before all else. */
  readonly hangs?: number
  /** Its finalizer takes so long. */
  readonly cleanup?: number
}

export interface Circuit {
  readonly failureThreshold: number
  readonly resetTimeout: number
  readonly halfOpenMaxCalls: number
  readonly successThreshold: number
}

export type Retry =
  | { readonly maxRetries: number; readonly baseDelay: number; readonly jitter: number }
  /** A schedule. */
  | { readonly times: number; readonly spaced: number }

export interface Config {
  readonly timeout?: number
  readonly totalTimeout?: number
  readonly grace?: number
  readonly failFast?: boolean
  readonly retry?: Retry
  /** One of its own, or the one that all share. */
  readonly circuit?: Circuit | "shared"
  readonly concurrency?: number
  /** A permit of a bulkhead. */
  readonly limit?: { readonly key: string; readonly permits: number; readonly queue?: number }
}

export interface Node {
  readonly is: "node"
  readonly name: string
  readonly act: Act
  /** A policy of its own. */
  readonly policy?: Config & { readonly fallback?: boolean }
}

export interface Choice {
  readonly is: "choice"
  readonly name: string
  readonly a: Line
  readonly b: Line
}

export interface Loop {
  readonly is: "loop"
  readonly name: string
  readonly rounds: number
  readonly body: Line
}

export interface Subgraph {
  readonly is: "graph"
  readonly name: string
  readonly parallel: Config
  readonly line: Line
}

export interface FanOut {
  readonly is: "fanOut"
  readonly name: string
  /** What the line does meanwhile. */
  readonly beside: Line
  readonly joins: ReadonlyArray<Join>
}

export type Rule =
  | "all"
  | { readonly minSuccessful: number }
  | { readonly tolerate: number }
  | { readonly tolerateRatio: number }
  | { readonly within: number }

export interface Join {
  readonly name: string
  readonly rule?: Rule
  readonly act: Act
  readonly flows: ReadonlyArray<Flow>
}

export interface Flow {
  readonly line: Line
  readonly config: Config
  /** A map over so many items. */
  readonly items?: number
  /** Launched by what is beside, if there is anything. */
  readonly late?: boolean
  readonly fallback?: boolean
}

export type Step = Node | Choice | Loop | Subgraph | FanOut

/** Never empty, but for what is beside a fan-out. */
export type Line = ReadonlyArray<Step>

export const hookNames = [
  "onFlowStart",
  "onFlowComplete",
  "onFlowError",
  "onFlowTimeout",
  "onFlowRetry",
  "onCircuitStateChange"
] as const

export interface Watcher {
  readonly hook: (typeof hookNames)[number]
  readonly does: "throws" | "fails" | "hangs" | "slow" | "stuck"
  readonly policy: "log" | "remove" | "raise"
  readonly timeout: number
}

export interface StoreFault {
  readonly method: Method
  /** The calls of the method from this one on, and how many of them. */
  readonly from: number
  readonly count: number
  readonly fault: Fault
}

export interface Spec {
  readonly seed: number
  readonly parallel: Config
  readonly shared: Circuit
  readonly line: Line
  readonly watchers: ReadonlyArray<Watcher>
  /** The wall clock is set, at an instant, by so much. */
  readonly jumps: ReadonlyArray<{ readonly at: number; readonly by: number }>
  /** It is interrupted from outside. */
  readonly stop?: { readonly event: number } | { readonly at: number }
  /** It is kept on a thread. */
  readonly thread?: { readonly durability: Durability; readonly faults: ReadonlyArray<StoreFault> }
}

/** All steps of a line and of what is in it. */
export const stepsOf = (line: Line): ReadonlyArray<Step> =>
  line.flatMap((step): ReadonlyArray<Step> => {
    switch (step.is) {
      case "node":
        return [step]
      case "choice":
        return [step, ...stepsOf(step.a), ...stepsOf(step.b)]
      case "loop":
        return [step, ...stepsOf(step.body)]
      case "graph":
        return [step, ...stepsOf(step.line)]
      case "fanOut":
        return [
          step,
          ...stepsOf(step.beside),
          ...step.joins.flatMap(({ flows }) => flows.flatMap((f) => stepsOf(f.line)))
        ]
    }
  })

/** What is in it, in words. */
export const featuresOf = ({ jumps, line, parallel, stop, thread, watchers }: Spec): ReadonlySet<string> => {
  const steps = stepsOf(line)
  const found = new Set<string>()
  const flows = steps.flatMap((step) => step.is === "fanOut" ? step.joins.flatMap(({ flows }) => flows) : [])
  const nodes = steps.flatMap((step) => step.is === "node" ? [step] : [])
  const acts = [...nodes, ...steps.flatMap((step) => step.is === "fanOut" ? step.joins : [])].map(({ act }) => act)
  const configs = [parallel, ...flows.map(({ config }) => config), ...nodes.flatMap(({ policy }) => policy ?? [])]
  const has = (feature: string, is: boolean) => is ? found.add(feature) : undefined
  for (const { is } of steps) found.add(is)
  for (const name of ["timeout", "totalTimeout", "failFast", "retry", "circuit", "concurrency", "limit"] as const) {
    has(name, configs.some((config) => config[name] !== undefined))
  }
  for (const { kind, hangs, how = "fail", fails = 0 } of acts) {
    found.add(`does: ${kind}`)
    has(`does: ${how}`, fails > 0)
    has("does: hang", hangs !== undefined)
  }
  has("nested", flows.some((flow) => stepsOf(flow.line).some(({ is }) => is === "fanOut")))
  has("map", flows.some(({ items }) => items !== undefined))
  has("late launch", flows.some(({ late }) => late))
  has("fallback of a flow", flows.some(({ fallback }) => fallback))
  has("guarded node", nodes.some(({ policy }) => policy))
  has("schedule", configs.some(({ retry }) => retry !== undefined && "times" in retry))
  has("shared circuit", flows.some(({ config }) => config.circuit === "shared"))
  has("several fan-ins", steps.some((step) => step.is === "fanOut" && step.joins.length > 1))
  has("completion rule", steps.some((step) => step.is === "fanOut" && step.joins.some(({ rule }) => rule)))
  has("beside", steps.some((step) => step.is === "fanOut" && step.beside.length > 0))
  for (const { does, policy } of watchers) found.add(`watcher: ${does}`).add(`watcher: ${policy}`)
  has("clock jump", jumps.length > 0)
  has("interruption", stop !== undefined)
  has("thread", thread !== undefined)
  for (const { fault, method } of thread?.faults ?? []) {
    found.add(`store: ${method}`).add(`store: ${typeof fault === "object" ? "slow" : fault}`)
  }
  return found
}
