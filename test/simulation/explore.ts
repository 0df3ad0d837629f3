/**
 * Every order in which the nodes of a small graph can end, and every outcome that each can have: not some of them by chance. A run
 * is made again from its start for each, up to where another choice is open.
 */
import { Cause, Effect, Exit, Logger } from "effect"
import {
  Bulkhead,
  Checkpointer,
  CircuitBreakerRegistry,
  type GraphEvent,
  type ParallelFlowResult
} from "effect-stategraph"
import { Invariants } from "effect-stategraph/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import { execute, resume } from "../../src/internal/run.ts"
import { Virtual } from "./virtual.ts"

export type Outcome = "succeeds" | "fails"

interface Told {
  readonly node: string
  readonly idempotencyKey: string
}

/** A node that is at work, and waits to be told how it ends. */
interface Call extends Told {
  readonly end: (outcome: Outcome) => void
}

/** What a shape is built with: nodes that end as they are told, and a fan-in that looks at what it joins. */
export interface Stage {
  readonly node: (state: unknown, told: Told) => Effect.Effect<object, string>
  readonly join: (state: unknown, told: { readonly parallelResults: ReadonlyArray<ParallelFlowResult.Any> }) => object
}

export interface Shape {
  readonly name: string
  readonly graph: (stage: Stage) => object
  readonly outcomes: ReadonlyArray<Outcome>
  /** Time may go on to the next timer while nodes are at work. */
  readonly time?: boolean
  /** What its questions are answered with. */
  readonly answers?: Readonly<Record<string, unknown>>
  /** So many runs there are, counted by other means. */
  readonly count: number
  /** How many of them complete. */
  readonly completed: number
}

export interface Explored {
  readonly runs: number
  readonly completed: number
  readonly problems: ReadonlyArray<string>
}

/** One run: at each point where something is open, what `choose` says happens. */
class Play {
  readonly #virtual = new Virtual()
  readonly #calls = new Map<string, Call>()
  readonly #last = new Map<string, Outcome>()
  readonly #events: Array<GraphEvent.Any> = []
  readonly #store = Checkpointer.makeUnsafe()
  readonly #registry = CircuitBreakerRegistry.makeUnsafe()
  readonly #shape: Shape
  readonly #choose: (options: number) => number
  readonly #graph: object
  readonly problems: Array<string> = []
  /** What happened, in words. */
  readonly story: Array<string> = []

  constructor(shape: Shape, choose: (options: number) => number) {
    this.#shape = shape
    this.#choose = choose
    this.#graph = shape.graph({
      node: (_state, told) => this.#call(told),
      join: (_state, { parallelResults }) => {
        for (const result of parallelResults) this.#seen(result)
        return {}
      }
    })
  }

  #call({ idempotencyKey, node }: Told): Effect.Effect<object, string> {
    return Effect.callback((resume) => {
      const end = (outcome: Outcome) => {
        this.#calls.delete(idempotencyKey)
        this.#last.set(node, outcome)
        resume(outcome === "succeeds" ? Effect.succeed({}) : Effect.fail(`${node} fails`))
      }
      if (this.#calls.has(idempotencyKey)) this.problems.push(`${node} runs twice at once`)
      this.#calls.set(idempotencyKey, { node, idempotencyKey, end })
      return Effect.sync(() => void this.#calls.delete(idempotencyKey))
    })
  }

  /** A flow comes to what its last node was told. */
  #seen(result: ParallelFlowResult.Any): void {
    const { _tag, branch } = result
    const outcome = this.#last.get(branch.slice(branch.lastIndexOf("/") + 1))
    if (_tag === "Success" && outcome === "fails") this.problems.push(`${branch} was told to fail, and is a ${_tag}`)
    if (_tag === "Failure" && outcome === "succeeds") {
      this.problems.push(`${branch} was told to succeed, and is a ${_tag}`)
    }
    this.problems.push(...Invariants.checkResult(result))
  }

  run(): boolean {
    const compiled = compiledOf(this.#graph)
    const emit = (event: GraphEvent.Any) => void this.#events.push(event)
    const { answers } = this.#shape
    const kept = answers === undefined ? {} : { thread: "t" }
    let exit = this.#piece(execute(compiled, {}, { runId: "r", ...kept }, emit))
    if (answers !== undefined && exit !== undefined && Exit.isFailure(exit)) {
      this.story.push("answered")
      exit = this.#piece(resume(compiled, "t", { answers }, emit))
    }
    if (exit === undefined) this.problems.push("it hangs")
    else if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) this.problems.push(Cause.pretty(exit.cause))
    this.problems.push(...Invariants.check(this.#events, { graph: this.#graph as never }))
    const { fibers, timers } = this.#virtual
    if (fibers + timers + this.#calls.size > 0) {
      this.problems.push(`${fibers} fibers, ${timers} timers and ${this.#calls.size} nodes are left`)
    }
    return exit !== undefined && Exit.isSuccess(exit)
  }

  #piece(self: Effect.Effect<unknown, unknown>): Exit.Exit<unknown, unknown> | undefined {
    const virtual = this.#virtual
    const fiber = virtual.fork(
      self.pipe(
        Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, this.#registry),
        Effect.provideService(Checkpointer.Checkpointer, this.#store),
        Effect.provide([Bulkhead.layer, Logger.layer([])])
      )
    )
    virtual.settle()
    while (fiber.pollUnsafe() === undefined && this.#next()) virtual.settle()
    return fiber.pollUnsafe()
  }

  /** Something happens, if anything can. */
  #next(): boolean {
    const virtual = this.#virtual
    const calls = [...this.#calls.values()]
    const { outcomes, time = false } = this.#shape
    const mayTick = virtual.timers > 0 && (time || calls.length === 0)
    const options = calls.length * outcomes.length + (mayTick ? 1 : 0)
    if (options === 0) return false
    const chosen = this.#choose(options)
    const call = calls[Math.floor(chosen / outcomes.length)]
    if (call === undefined) {
      this.story.push("time")
      virtual.tick()
      return true
    }
    const outcome = outcomes[chosen % outcomes.length]!
    this.story.push(`${call.node} ${outcome}`)
    call.end(outcome)
    return true
  }
}

type Path = ReadonlyArray<readonly [chosen: number, options: number]>

/** The next one, after the last point where another choice is open. */
const following = (path: Path): Path | undefined => {
  for (let i = path.length - 1; i >= 0; i--) {
    const [chosen, options] = path[i]!
    if (chosen + 1 < options) return [...path.slice(0, i), [chosen + 1, options]]
  }
  return undefined
}

/** More runs than any of these shapes has. */
const most = 100_000

export const explore = (shape: Shape): Explored => {
  const problems: Array<string> = []
  let completed = 0
  let runs = 0
  /** What was chosen so far, and among how many. */
  let path: Path | undefined = []
  while (path !== undefined && runs < most) {
    const taken: Array<readonly [number, number]> = []
    const play = new Play(shape, (options) => {
      const chosen = path?.[taken.length]?.[0] ?? 0
      taken.push([chosen, options])
      return chosen
    })
    if (play.run()) completed++
    runs++
    problems.push(...play.problems.map((problem) => `${shape.name}, ${play.story.join(", ")}: ${problem}`))
    path = following(taken)
  }
  return { runs, completed, problems }
}
