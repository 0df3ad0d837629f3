/**
 * One simulated run: a graph of any shape, any configuration, faults in its nodes, its callbacks, its store, its clock and from
 * outside, in virtual time. What must hold for every run whatever happens is checked at its end.
 */
import { Cause, Context, Effect, Exit, Random as EffectRandom } from "effect"
import { Bulkhead, Checkpointer, CircuitBreakerRegistry, type GraphEvent } from "effect-stategraph"
import { Invariants } from "effect-stategraph/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute, resume } from "../../src/internal/run.ts"
import { FakeStore } from "../support/fakeStore.ts"
import { budgetOf } from "./budget.ts"
import { build, input } from "./build.ts"
import { circuits } from "./circuits.ts"
import { type Config, type Spec, stepsOf } from "./spec.ts"
import { specOf } from "./specOf.ts"
import { type Heard, nameOf, timing } from "./timing.ts"
import { Virtual } from "./virtual.ts"
import { Watch } from "./watch.ts"
import { World } from "./world.ts"

export interface Outcome {
  readonly spec: Spec
  readonly problems: ReadonlyArray<string>
  /** Everything that happened, a line each. */
  readonly log: ReadonlyArray<string>
  /** How each piece of it ended. */
  readonly ended: ReadonlyArray<"completed" | "failed" | "stopped" | "hung">
  readonly executions: number
}

/** What hangs without any limit is stopped from outside after so long, as a caller would. */
const patience = 7_200_000

/** The longest that a call of a store is waited for, and a bit. */
const storeMs = 30_001

export const simulate = (seed: number): Outcome => runSpec(specOf(seed))

export const runSpec = (spec: Spec): Outcome => new Simulation(spec).run()

class Simulation {
  readonly #spec: Spec
  readonly #virtual = new Virtual()
  readonly #world = new World()
  readonly #store = new FakeStore()
  readonly #problems: Array<string> = []
  readonly #log: Array<string> = []
  readonly #graceMs: number

  constructor(spec: Spec) {
    this.#spec = spec
    this.#graceMs = spec.parallel.grace ?? 1_000
    for (const { at, by } of spec.jumps) this.#virtual.at(at, () => this.#virtual.jump(by))
    const { faults = [] } = spec.thread ?? {}
    this.#store.fault = (method, n) =>
      faults.find((fault) => fault.method === method && n >= fault.from && n < fault.from + fault.count)?.fault
  }

  run(): Outcome {
    const { thread } = this.#spec
    const ended = [this.#piece(false)]
    if (thread !== undefined && ended[0] !== "completed") {
      this.#store.fault = () => undefined
      if (this.#virtual.get(this.#saved())) ended.push(this.#piece(true))
    }
    if (this.#store.maxSaving > 1) this.#says(`${this.#store.maxSaving} saves at once`)
    const problems = [...this.#world.problems, ...this.#problems]
    return { spec: this.#spec, problems, log: this.#log, ended, executions: this.#world.executions }
  }

  #says(what: string): void {
    this.#problems.push(what)
  }

  /** Whether there is something to be continued. */
  #saved(): Effect.Effect<boolean> {
    return Effect.map(Effect.orDie(this.#store.inner.list("t")), (list) => {
      const status = list.at(-1)?.status
      return status === "running" || status === "failed"
    })
  }

  /** One process: a run, or a saved one that goes on. */
  #piece(resumed: boolean): Outcome["ended"][number] {
    const virtual = this.#virtual
    const { stop, watchers } = this.#spec
    const registry = CircuitBreakerRegistry.makeUnsafe()
    const watch = new Watch(watchers, (what) => this.#world.abandon(what))
    const { configs, graph } = build(this.#spec, this.#world, { callbacks: watch.callbacks })
    const heard: Array<Heard> = []
    const from = virtual.now
    let stoppedAt: number | undefined
    const interrupt = () => {
      if (fiber.pollUnsafe() !== undefined) return
      stoppedAt ??= virtual.now
      fiber.interruptUnsafe()
    }
    const emit = (event: GraphEvent.Any) => {
      heard.push({ event, at: virtual.now })
      this.#world.heard(event)
      if (event._tag === "AttemptStarted" && !resumed) this.#checkCircuit(event, registry, configs)
      if (!resumed && stop !== undefined && "event" in stop && heard.length === stop.event) interrupt()
    }
    const fiber = virtual.fork(
      Effect.flatMap(Effect.yieldNow, () => this.#start(graph, registry, watch, emit, resumed))
    )
    const ended = () => fiber.pollUnsafe() !== undefined
    if (!resumed && stop !== undefined && "at" in stop) virtual.at(from + stop.at, interrupt)
    const hung = this.#toEnd(ended, () => stoppedAt ?? from, interrupt)
    const exit = fiber.pollUnsafe()
    this.#checkEnd(exit, stoppedAt === undefined, heard, registry)
    this.#checkEvents(heard, graph, configs, watch, resumed)
    this.#checkLeft()
    this.#problems.push(...watch.checkSpans(heard.map(({ event }) => event)))
    return exit === undefined || hung
      ? "hung"
      : Exit.isSuccess(exit)
      ? "completed"
      : stoppedAt !== undefined
      ? "stopped"
      : "failed"
  }

  #start(
    graph: object,
    registry: CircuitBreakerRegistry.Service,
    watch: Watch,
    emit: (event: GraphEvent.Any) => void,
    resumed: boolean
  ): Effect.Effect<unknown, unknown> {
    const { seed, thread } = this.#spec
    const compiled = compiledOf(graph)
    const kept = thread === undefined ? {} : { thread: "t", durability: thread.durability }
    const self = resumed
      ? resume(compiled, "t", { durability: thread!.durability, takeOver: true }, emit)
      : execute(compiled, input, { runId: "r", ...kept }, emit)
    return self.pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provideService(Checkpointer.Checkpointer, this.#store.service),
      Effect.provide(Bulkhead.layer),
      EffectRandom.withSeed(seed),
      Effect.provideContext(Context.merge(this.#virtual.context, watch.context))
    )
  }

  /** Whether it had to be stopped because it would never have ended. */
  #toEnd(ended: () => boolean, since: () => number, interrupt: () => void): boolean {
    const virtual = this.#virtual
    const before = this.#store.used.length
    const from = virtual.now
    const budget = budgetOf(this.#spec)
    const stored = () => this.#spec.thread === undefined ? 0 : (2 + this.#store.used.length - before) * storeMs
    virtual.run(ended, Math.min(budget, patience) + 100 * storeMs)
    if (virtual.isBusy) this.#says("it makes turns without an end")
    const stoppedAt = since()
    if (ended()) {
      if (virtual.now - from > budget + stored()) this.#says(`it takes ${virtual.now - from} ms, at most are ${budget}`)
      if (stoppedAt > from) this.#checkStop(stoppedAt)
      return false
    }
    if (budget < patience) this.#says(`it does not end within its budget of ${budget} ms`)
    else if (this.#world.hanging === 0) this.#says("it hangs, and nothing in it waits")
    interrupt()
    const at = virtual.now
    virtual.run(ended, 10_000_000)
    if (!ended()) this.#says("it cannot be stopped")
    else this.#checkStop(at)
    return true
  }

  #checkStop(at: number): void {
    const most = 5 * this.#graceMs + 1
    const took = this.#virtual.now - at
    if (took > most) this.#says(`it ends ${took} ms after it was interrupted, its grace is ${this.#graceMs}`)
  }

  /** By what the registry says, not by events. */
  #checkCircuit(
    event: Extract<GraphEvent.Any, { readonly _tag: "AttemptStarted" }>,
    registry: CircuitBreakerRegistry.Service,
    configs: ReadonlyMap<string, Config>
  ): void {
    if (configs.get(nameOf(event))?.circuit !== "shared") return
    const path = event.scope === "flow" ? `flow ${event.branch}` : `node ${event.node}`
    const found = Effect.runSyncWith(this.#virtual.context)(registry.states).find(({ key }) => key === "shared")
    if (found?.state === "OPEN") this.#says(`attempt ${event.attempt} of ${path} begins while its circuit is OPEN`)
    const most = this.#spec.shared.halfOpenMaxCalls
    if ((found?.probes ?? 0) > most) this.#says(`the circuit has ${found?.probes} probes, allowed are ${most}`)
  }

  #checkEnd(
    exit: Exit.Exit<unknown, unknown> | undefined,
    byItself: boolean,
    heard: ReadonlyArray<Heard>,
    registry: CircuitBreakerRegistry.Service
  ): void {
    const last = heard.at(-1)?.event._tag
    // What is interrupted too late has ended all the same.
    if (byItself && exit !== undefined && last !== undefined && Exit.isSuccess(exit) !== (last === "GraphCompleted")) {
      this.#says(`it ends with ${exit._tag}, and tells of ${last}`)
    }
    if (exit !== undefined && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) this.#foreign(Cause.pretty(exit.cause))
    for (const { key, probes } of Effect.runSyncWith(this.#virtual.context)(registry.states)) {
      if (probes > 0) this.#says(`circuit ${key} has ${probes} probes at the end`)
    }
  }

  /** Errors that no node has thrown are of the engine. */
  #foreign(text: string): void {
    if (!/failure \d+ of|\w+ throws|hook|died|threw/.test(text)) this.#says(`a defect of the engine: ${text}`)
  }

  #checkEvents(
    heard: ReadonlyArray<Heard>,
    graph: object,
    configs: ReadonlyMap<string, Config>,
    watch: Watch,
    resumed: boolean
  ): void {
    for (const { at, event } of heard) this.#log.push(`${at} ${textOf(event)}`)
    if (heard.length === 0) {
      if (this.#spec.thread === undefined && this.#spec.stop === undefined) this.#says("nothing was heard of it")
      return
    }
    // The clock of the run may have been set meanwhile.
    const events = heard.map(({ at, event }) => ({ ...event, at }))
    this.#problems.push(
      ...Invariants.check(events, { graph: graph as never, resumed }),
      ...watch.check(heard.map(({ event }) => event)),
      ...timing(heard, configs, resumed),
      // Those of a run that goes on have seen more.
      ...resumed ? [] : circuits(heard, configs, this.#spec.shared)
    )
    for (const { event } of heard) {
      if (event._tag !== "FlowCompleted" || event.result.success) continue
      if (/^(Type|Range|Reference)?Error$/.test(event.result.errorType)) this.#foreign(event.result.error)
    }
  }

  /** Nothing of it is left, once what was abandoned has ended. */
  #checkLeft(): void {
    const virtual = this.#virtual
    virtual.settle()
    const { thread, watchers } = this.#spec
    const quiet = (thread?.faults.length ?? 0) === 0 && watchers.every(({ does }) => does !== "stuck")
    // Only what was abandoned goes on beyond the end.
    if (quiet && this.#world.working.length === 0) this.#checkNothing("at the end")
    virtual.run(() => false, 3_600_000)
    for (const { idempotencyKey } of this.#world.working) this.#says(`node ${idempotencyKey} is at work for ever`)
    this.#checkNothing("for ever")
  }

  #checkNothing(when: string): void {
    const { fibers, timers } = this.#virtual
    if (this.#world.open > 0) this.#says(`resources are open ${when}: ${this.#world.open}`)
    if (timers > 0) this.#says(`timers are left ${when}: ${timers}`)
    if (fibers > 0) this.#says(`fibers are left ${when}: ${fibers}`)
  }
}

const textOf = (event: GraphEvent.Any): string => {
  const { attempt, branch, delayMs, error, node, result } = event as {
    readonly [key: string]: unknown
    readonly result?: { readonly _tag: string; readonly attempts: number; readonly timingMs: number }
  }
  const told = result === undefined ? undefined : `${result._tag} ${result.attempts} ${result.timingMs}`
  const parts = [event._tag, event.at, branch, node, attempt, delayMs, told, error]
  return parts.filter((part) => part !== undefined).map(String).join(" ")
}

/** How big it is, to see whether it has become smaller. */
export const sizeOf = ({ line }: Spec): number => stepsOf(line).length
