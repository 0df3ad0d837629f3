/**
 * Saves one run: one save at a time, boundaries that are reached meanwhile share the next one. Nothing here waits for a store
 * longer than its limit.
 */
import * as Cause from "effect/Cause"
import type { Clock } from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Checkpointer from "../Checkpointer.ts"
import { CheckpointError } from "../GraphError.ts"
import { startTimer } from "./time.ts"

/** When a run is saved. */
export type Durability = "step" | "async" | "exit"

/** The longest that a call of a store is waited for. */
export const storeLimitMs = 30_000

/** A thread that a run has. */
export interface Held {
  readonly thread: string
  readonly store: Checkpointer.Service
  readonly claim: Checkpointer.Claim
  /** The run has given it back itself. */
  released: boolean
}

/** How a run is kept. */
export interface Kept {
  readonly held: Held
  readonly durability: Durability
  /** The checkpoint that it was forked from. */
  readonly parent: string | undefined
}

interface Around extends Kept {
  readonly graph: string
  readonly runId: string
  readonly clock: Clock
  readonly context: Context.Context<never>
  /** The run as a JSON text; throws a `CheckpointError` for what does not encode. */
  readonly body: () => string
  readonly saved: (id: string) => void
  /** The run cannot go on. */
  readonly failed: (error: CheckpointError) => void
}

type Done = (exit: Exit.Exit<Checkpointer.Info, CheckpointError>) => void

export class Saver {
  readonly #around: Around
  /** Not saved since. */
  #dirty = false
  #scheduled = false
  /** Lines that wait for the save that is on, and for the next one. */
  #current: Array<() => void> | undefined
  #next: Array<() => void> = []
  /** What is to be done when no save is on. */
  #last: (() => void) | undefined
  /** No more saves: the run has ended, or cannot save. */
  #closed = false
  #stopRenewing: (() => void) | undefined
  lastId: string | undefined
  error: CheckpointError | undefined

  constructor(around: Around) {
    this.#around = around
    this.#renew()
  }

  /** Whether something that lines wait for is not saved yet. */
  get isBehind(): boolean {
    return this.#around.durability === "step" && (this.#dirty || this.#current !== undefined)
  }

  /** A node was completed or a flow has settled. Whether the line has to wait for `go`. */
  boundary(go: () => void): boolean {
    // It is being stopped: what goes on now would be done again after a resume.
    if (this.#closed) return true
    if (this.#around.durability === "exit") return false
    this.#dirty = true
    this.#schedule()
    if (this.#around.durability === "async") return false
    this.#next.push(go)
    return true
  }

  /** Waits for what is not saved yet; `false`: there is nothing. */
  wait(go: () => void): boolean {
    if (!this.isBehind || this.#closed) return false
    if (this.#dirty) this.#next.push(go)
    else this.#current!.push(go)
    return true
  }

  /** In a turn of its own, when no line is in the middle of one; what happens in this turn shares the save. */
  #schedule(): void {
    if (this.#scheduled || this.#current !== undefined) return
    this.#scheduled = true
    Effect.runForkWith(this.#around.context)(Effect.yieldNow).addObserver(() => {
      this.#scheduled = false
      if (!this.#closed && this.#current === undefined && this.#last === undefined) this.#save()
    })
  }

  #save(): void {
    const { durability, failed } = this.#around
    const waiting = this.#current = this.#next
    this.#next = []
    this.#dirty = false
    this.#write("running", this.#around.body, storeLimitMs, (exit) => {
      this.#current = undefined
      const last = this.#last
      if (last !== undefined) {
        this.#last = undefined
        return last()
      }
      if (Exit.isSuccess(exit)) {
        for (const go of waiting) go()
        if (this.#dirty) this.#schedule()
        return
      }
      const error = errorOf(exit.cause)
      if (durability === "step" || error.reason === "Fenced" || error.reason === "NotEncodable") {
        this.#closed = true
        this.error = error
        return failed(error)
      }
      // It is saved at the next boundary, or at the end.
      this.#dirty = true
      this.log(Effect.logWarning("a checkpoint could not be saved, the run goes on", error))
    })
  }

  #write(status: Checkpointer.Status, body: () => string, limitMs: number, done: Done): void {
    const { graph, held: { claim, store }, parent, runId } = this.#around
    let text: string
    try {
      text = body()
    } catch (error) {
      return done(Exit.fail(error instanceof CheckpointError ? error : this.#broken(error)))
    }
    this.call(() => store.save(claim, { runId, graph, status, parent, body: text }), limitMs, (exit) => {
      if (Exit.isSuccess(exit)) {
        this.lastId = exit.value.id
        if (this.error === undefined) this.#around.saved(exit.value.id)
      }
      done(exit)
    })
  }

  #broken(cause: unknown): CheckpointError {
    const { graph, held: { thread } } = this.#around
    const why = cause instanceof Error ? cause.message : String(cause)
    const issue = `the run cannot be written as JSON: ${why}`
    return new CheckpointError({ thread, graph, reason: "NotEncodable", issue, cause })
  }

  /** The save at the end of a run, or before it waits for somebody. Waits for the one that is on. */
  last(status: Checkpointer.Status, body: () => string, limitMs: number, done: Done): void {
    const save = () => {
      this.#current = []
      this.#write(status, body, limitMs, (exit) => {
        this.#current = undefined
        const last = this.#last
        this.#last = undefined
        done(exit)
        last?.()
      })
    }
    this.#closed = true
    if (this.#current === undefined) save()
    else this.#last = save
  }

  /** No more saves but the last. */
  close(): void {
    this.#closed = true
  }

  /** Gives the thread back. Nothing is saved any more. */
  release(limitMs: number, done: () => void): void {
    this.#around.held.released = true
    this.#closed = true
    this.#stopRenewing?.()
    const { claim, store } = this.#around.held
    this.call(() => store.release(claim), limitMs, (exit) => {
      if (Exit.isFailure(exit)) this.log(Effect.logWarning("a thread could not be given back", exit.cause))
      done()
    })
  }

  /** Whether or not a renewal succeeds: the next one may, and only a lost claim ends the run. */
  #renew(): void {
    const { clock, context, failed, held: { claim, store } } = this.#around
    const { leaseMs, renew } = store
    if (leaseMs === undefined || renew === undefined) return
    this.#stopRenewing = startTimer(context, clock, leaseMs / 3, () => {
      this.#renew()
      this.call(() => renew(claim), leaseMs / 3, (exit) => {
        if (Exit.isSuccess(exit) || this.#closed) return
        const error = errorOf(exit.cause)
        if (error.reason !== "Fenced") return
        this.#closed = true
        this.error = error
        failed(error)
      })
    })
  }

  log(effect: Effect.Effect<void>): void {
    const { context, graph, held: { thread }, runId } = this.#around
    Effect.runForkWith(context)(Effect.annotateLogs(effect, { graph, runId, thread }))
  }

  /** Calls a store; one that does not answer in time has failed, and what it does later is dropped. */
  call<A>(
    self: () => Effect.Effect<A, CheckpointError>,
    limitMs: number,
    done: (exit: Exit.Exit<A, CheckpointError>) => void
  ): void {
    const { clock, context, graph, held: { thread } } = this.#around
    callStore(self, { thread, graph, clock, context, limitMs }, done)
  }
}

const errorOf = (cause: Cause.Cause<CheckpointError>): CheckpointError => Cause.squash(cause) as CheckpointError

/** What a call of a store is part of, and how long it may take. */
export interface StoreCall {
  readonly thread: string
  readonly graph: string
  readonly clock: Clock
  readonly context: Context.Context<never>
  readonly limitMs: number
}

/**
 * Calls a store and tells how that ended, once. `giveUp` interrupts it, `leave` does not; `late` takes what comes after one
 * of them, or after its limit, all the same.
 */
export const callStore = <A>(
  self: () => Effect.Effect<A, CheckpointError>,
  { clock, context, graph, limitMs, thread }: StoreCall,
  done: (exit: Exit.Exit<A, CheckpointError>) => void,
  late?: (value: A) => void
): { readonly giveUp: () => void; readonly leave: () => void } => {
  const failed = (issue: string, cause?: unknown) =>
    Exit.fail(
      new CheckpointError({ thread, graph, reason: "Storage", issue, ...(cause === undefined ? {} : { cause }) })
    )
  let told = false
  let cancelTimer: (() => void) | undefined
  const tell = (exit: Exit.Exit<A, CheckpointError>) => {
    if (told) return
    told = true
    done(exit)
  }
  // What a store throws is a defect of it like any other.
  const fiber = Effect.runForkWith(context)(Effect.suspend(self))
  const giveUp = () => {
    told = true
    cancelTimer?.()
    fiber.interruptUnsafe()
  }
  let ended = false
  fiber.addObserver((exit) => {
    ended = true
    cancelTimer?.()
    if (Exit.isSuccess(exit)) return told ? late?.(exit.value) : tell(exit)
    const error = Cause.findErrorOption(exit.cause)
    tell(error._tag === "Some" ? Exit.fail(error.value) : failed("the store broke", Cause.squash(exit.cause)))
  })
  if (!ended && limitMs !== Infinity) {
    cancelTimer = startTimer(context, clock, limitMs, () => {
      const isLate = told
      told = true
      fiber.interruptUnsafe()
      if (!isLate) done(failed(`the store did not answer within ${limitMs} ms`))
    })
  }
  return {
    giveUp,
    leave: () => {
      told = true
    }
  }
}
