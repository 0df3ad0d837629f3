/**
 * The callbacks of one run: for each callback object a queue and a worker, so that no hook can delay a flow or another
 * object, and each object sees its events in order.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import type * as FlowCallbacks from "../FlowCallbacks.ts"
import { CallbackError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import * as GraphMetrics from "../GraphMetrics.ts"
import { startTimer } from "./time.ts"

type HookName = keyof FlowCallbacks.Hooks

/** Calls without waiting after which a worker lets others have their turn. */
const maxCallsInOneGo = 64

const hookOf: { readonly [T in GraphEvent.Any["_tag"]]?: Exclude<HookName, "onCallbackError"> } = {
  FlowStarted: "onFlowStart",
  FlowCompleted: "onFlowComplete",
  AttemptFailed: "onFlowError",
  FlowTimedOut: "onFlowTimeout",
  RetryScheduled: "onFlowRetry",
  CircuitStateChanged: "onCircuitStateChange"
}

interface Call {
  readonly hook: HookName
  readonly argument: GraphEvent.Any | FlowCallbacks.Failed
}

interface Around {
  readonly graph: string
  readonly runId: string
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
}

/** All callback objects of one run. */
export class Callbacks {
  /** The first failure of an object that raises. */
  raised: CallbackError | undefined = undefined
  readonly #around: Around
  readonly #workers: ReadonlyArray<Worker>
  #idle: (() => void) | undefined = undefined
  #cancelTimer: (() => void) | undefined = undefined

  constructor(around: Around, given: ReadonlyArray<FlowCallbacks.Provided>) {
    this.#around = around
    this.#workers = given.map((provided) => new Worker(around, provided, this))
  }

  readonly offer = (event: GraphEvent.Any): void => {
    const hook = hookOf[event._tag]
    if (hook !== undefined) { for (const worker of this.#workers) worker.offer({ hook, argument: event }) }
  }

  failed(worker: Worker, { argument, hook }: Call, cause: Cause.Cause<unknown>): void {
    const { callbacks } = worker.provided
    tell(this.#around, callbacks.name, { hook }, 1, `hook ${hook} of "${callbacks.name}" failed`, cause)
    if (hook === "onCallbackError") return
    if (callbacks.errorPolicy === "remove") worker.remove()
    if (callbacks.errorPolicy === "raise") {
      this.raised ??= new CallbackError({
        graph: this.#around.graph,
        callbacks: callbacks.name,
        hook,
        cause: Cause.squash(cause)
      })
    }
    const failed: FlowCallbacks.Failed = { hook, event: argument as GraphEvent.Any, cause }
    for (const other of this.#workers) other.offer({ hook: "onCallbackError", argument: failed })
  }

  /** The limit of one call, of the object that allows most. */
  get limitMs(): number {
    return Math.max(...this.#workers.map((worker) => worker.provided.callbacks.timeoutMs))
  }

  /** Waits for outstanding calls, for at most `limitMs` in all; then stops, and says what was not delivered. */
  drain(limitMs: number, done: () => void): void {
    this.#idle = () => {
      this.#idle = undefined
      this.#cancelTimer?.()
      for (const worker of this.#workers) worker.stop()
      done()
    }
    this.hurry(limitMs)
  }

  /** Sets the time that is left for a drain under way. */
  hurry(limitMs: number): void {
    if (this.#idle === undefined) return
    this.#cancelTimer?.()
    if (limitMs <= 0 || this.#workers.every((worker) => worker.isIdle)) return this.#idle()
    if (limitMs !== Infinity) {
      this.#cancelTimer = startTimer(this.#around.context, this.#around.clock, limitMs, () => this.#idle?.())
    }
  }

  settled(): void {
    if (this.#idle !== undefined && this.#workers.every((worker) => worker.isIdle)) this.#idle()
  }
}

class Worker {
  readonly provided: FlowCallbacks.Provided
  readonly #around: Around
  readonly #all: Callbacks
  #queue: Array<Call> = []
  #fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  #busy = false
  #removed = false

  constructor(around: Around, provided: FlowCallbacks.Provided, all: Callbacks) {
    this.#around = around
    this.provided = provided
    this.#all = all
  }

  get isIdle(): boolean {
    return !this.#busy && this.#queue.length === 0
  }

  offer(call: Call): void {
    if (this.#removed || this.provided.callbacks.hooks[call.hook] === undefined) return
    this.#queue.push(call)
    if (this.#busy) return
    this.#busy = true
    // Not at once: a hook runs in its own turn, never inside the flow that caused the event.
    this.#fiber = Effect.runForkWith(this.#around.context)(Effect.andThen(Effect.yieldNow, this.#work()))
  }

  /** Calls one hook after the other until none is left. */
  #work(): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (let calls = 0; calls < maxCallsInOneGo; calls++) {
        const call = this.#queue.shift()
        if (call === undefined) {
          this.#busy = false
          this.#all.settled()
          return Effect.void
        }
        const returned = this.#begin(call)
        if (!Exit.isExit(returned)) {
          return Effect.flatMap(this.#limited(call.hook, returned), (exit) => {
            this.#ended(call, exit)
            return this.#work()
          })
        }
        this.#ended(call, returned)
      }
      return Effect.andThen(Effect.yieldNow, this.#work())
    })
  }

  /** What a hook returns at once needs no fiber and no limit. */
  #begin({ argument, hook }: Call): Exit.Exit<unknown, unknown> | Effect.Effect<unknown, unknown> {
    const run = this.provided.callbacks.hooks[hook] as (argument: Call["argument"]) => unknown
    try {
      const returned = run(argument)
      if (Effect.isEffect(returned)) return returned as Effect.Effect<unknown, unknown>
      // An async function is no hook by its type, but its rejection must not be lost either.
      return Predicate.isPromiseLike(returned) ? Effect.promise(() => Promise.resolve(returned)) : Exit.void
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  #ended(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isFailure(exit)) this.#all.failed(this, call, exit.cause)
  }

  /** The exit of one call, after at most its limit: what does not stop then is left behind. */
  #limited(hook: HookName, effect: Effect.Effect<unknown, unknown>): Effect.Effect<Exit.Exit<unknown, unknown>> {
    const { callbacks: { timeoutMs }, services } = this.provided
    const { clock, context } = this.#around
    return Effect.callback((resume) => {
      const fiber = Effect.runForkWith(services ?? context)(effect)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(Effect.succeed(exit))
      const late = new Cause.TimeoutError(`hook ${hook} took longer than ${timeoutMs} ms`)
      const cancelTimer = timeoutMs === Infinity ? () => undefined : startTimer(context, clock, timeoutMs, () => {
        unwatch()
        fiber.interruptUnsafe()
        resume(Effect.succeed(Exit.fail(late)))
      })
      const unwatch = fiber.addObserver((exit) => {
        cancelTimer()
        resume(Effect.succeed(exit))
      })
      return Effect.sync(() => {
        unwatch()
        cancelTimer()
        fiber.interruptUnsafe()
      })
    })
  }

  remove(): void {
    this.#removed = true
    this.#queue = []
  }

  /** The end of the run: what is still to be delivered is given up. */
  stop(): void {
    const left = this.#removed ? 0 : this.#queue.length + (this.#busy ? 1 : 0)
    this.remove()
    this.#fiber?.interruptUnsafe()
    if (left === 0) return
    const { name } = this.provided.callbacks
    tell(
      this.#around,
      name,
      {},
      left,
      `${left} call${left === 1 ? "" : "s"} of "${name}" did not end before the run did`
    )
  }
}

const tell = (
  { context, graph, runId }: Around,
  callbacks: string,
  more: Readonly<Record<string, unknown>>,
  count: number,
  message: string,
  cause?: Cause.Cause<unknown>
): void => {
  GraphMetrics.callbackFailed(context, graph, callbacks, count)
  const warning = cause === undefined ? Effect.logWarning(message) : Effect.logWarning(message, cause)
  Effect.runForkWith(context)(Effect.annotateLogs(warning, { graph, runId, callbacks, ...more }))
}
