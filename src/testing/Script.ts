/**
 * Nodes that do what the test says, call by call.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { NodeContext } from "../NodeContext.ts"
import type { Update } from "../StateGraph.ts"

/**
 * One execution of a scripted node, which waits for the test's answer.
 *
 * **Details**
 *
 * The first answer counts. Each way to answer tells whether it was that: `false` when the call had been answered or interrupted
 * before, and nobody hears of it. What an answer leads to without time passing has happened when the test goes on. A call without an
 * answer goes on until it is interrupted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call<S, E> {
  /** What the node was called with. */
  readonly state: S
  readonly ctx: NodeContext<unknown, never>
  /** The node completes with this update, or with none. */
  readonly succeed: (update?: Update<S>) => Effect.Effect<boolean>
  /** The node fails. */
  readonly fail: (error: E) => Effect.Effect<boolean>
  /** The node dies. */
  readonly die: (defect: unknown) => Effect.Effect<boolean>
  /** The node never ends by itself: later answers do not count. */
  readonly hang: Effect.Effect<boolean>
  /** The node tells of its progress. */
  readonly emit: (value: unknown) => Effect.Effect<void>
  /** Whether it has been answered. */
  readonly answered: boolean
  /** Whether it has been interrupted: by a limit, by a sibling, by the caller. */
  readonly interrupted: boolean
  /** Waits until it has been interrupted. */
  readonly awaitInterrupted: Effect.Effect<void>
}

/**
 * A scripted node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Script<S, E> {
  /** The function of the node: `graph.addNode("web", script.node)`. */
  readonly node: (state: S, ctx: NodeContext<unknown, never>) => Effect.Effect<Update<S> | undefined, E>
  /** The next call that nobody has taken, in order of arrival; waits until there is one. */
  readonly next: Effect.Effect<Call<S, E>>
  /** All calls so far, taken or not. */
  readonly calls: ReadonlyArray<Call<S, E>>
}

/** What an answer leads to without time takes some turns, one for each node around that has a policy or is a graph. */
const consequences = Effect.repeat(Effect.yieldNow, { times: 20 })

class ScriptedCall<S, E> implements Call<S, E> {
  readonly state: S
  readonly ctx: NodeContext<unknown, never>
  answered = false
  readonly #answer = Deferred.makeUnsafe<Update<S> | undefined, E>()
  readonly #interrupted = Deferred.makeUnsafe<void>()
  constructor(state: S, ctx: NodeContext<unknown, never>) {
    this.state = state
    this.ctx = ctx
  }
  /** What the node does. */
  get run(): Effect.Effect<Update<S> | undefined, E> {
    return Effect.onInterrupt(Deferred.await(this.#answer), () => Deferred.succeed(this.#interrupted, undefined))
  }
  get interrupted(): boolean {
    return Deferred.isDoneUnsafe(this.#interrupted)
  }
  get awaitInterrupted(): Effect.Effect<void> {
    return Deferred.await(this.#interrupted)
  }
  readonly succeed = (update?: Update<S>) => this.#with(Effect.succeed(update))
  readonly fail = (error: E) => this.#with(Effect.fail(error))
  readonly die = (defect: unknown) => this.#with(Effect.die(defect))
  get hang(): Effect.Effect<boolean> {
    return this.#with(Effect.never)
  }
  readonly emit = (value: unknown) => this.ctx.emit(value as never)

  #with(answer: Effect.Effect<Update<S> | undefined, E>): Effect.Effect<boolean> {
    const counts = Effect.suspend(() => {
      if (this.answered || this.interrupted) return Effect.succeed(false)
      this.answered = true
      return Deferred.completeWith(this.#answer, answer)
    })
    return Effect.tap(counts, () => consequences)
  }
}

/**
 * A node whose executions wait for the test to say what they do.
 *
 * **When to use**
 *
 * To bring about one exact course of things: this flow fails while that one runs, an answer comes when nobody waits any more, the
 * second attempt succeeds. For nodes that just answer, an ordinary function is enough.
 *
 * **Details**
 *
 * `S` is the graph's state, `E` what the node can be told to fail with. One script may be several nodes; `call.ctx.node` tells which.
 * The node is interruptible, and `call.interrupted` shows that it was.
 *
 * **Gotchas**
 *
 * `next` waits for as long as it takes: where the call comes only after a wait, such as that of a retry, the test has to move the clock
 * first. On the main line `E` becomes part of the graph's errors, and it is `unknown` unless you say it.
 *
 * **Example** (The second attempt succeeds)
 *
 * ```ts
 * import { Effect, Fiber, Schema } from "effect"
 * import { StateGraph } from "effect-stategraph"
 * import { Script } from "effect-stategraph/testing"
 * import { TestClock } from "effect/testing"
 *
 * const State = Schema.Struct({ query: Schema.String, hits: Schema.optionalKey(Schema.Number) })
 * const web = Script.make<typeof State.Type, "busy">()
 *
 * const graph = StateGraph.make("search", State)
 *   .addNode("web", web.node)
 *   .addFanInNode("join")
 *   .addParallelEdge(StateGraph.START, "web", "join", { retry: { maxRetries: 1, baseDelay: "2 seconds" } })
 *   .setFinishPoint("join")
 *   .compile()
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* Effect.forkChild(graph.invoke({ query: "effect" }))
 *   const first = yield* web.next
 *   yield* first.fail("busy")
 *   yield* TestClock.adjust("2 seconds")
 *   const second = yield* web.next
 *   second.ctx.attempt // => 2
 *   yield* second.succeed({ hits: second.state.query.length })
 *   return yield* Fiber.join(run)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestClock.layer())) // => { query: "effect", hits: 6 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <S, E = unknown>(): Script<S, E> => {
  const calls: Array<Call<S, E>> = []
  const waiters: Array<(call: Call<S, E>) => void> = []
  let taken = 0
  const match = (): void => {
    const call = calls[taken]
    const waiter = call === undefined ? undefined : waiters.shift()
    if (call === undefined || waiter === undefined) return
    taken++
    waiter(call)
  }
  return {
    calls,
    node: (state, ctx) =>
      Effect.suspend(() => {
        const call = new ScriptedCall<S, E>(state, ctx)
        calls.push(call)
        match()
        return call.run
      }),
    next: Effect.callback((resume) => {
      const waiter = (call: Call<S, E>) => resume(Effect.succeed(call))
      waiters.push(waiter)
      match()
      return Effect.sync(() => {
        const index = waiters.indexOf(waiter)
        if (index >= 0) waiters.splice(index, 1)
      })
    })
  }
}
