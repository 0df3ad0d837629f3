/**
 * One tester for all scenarios: each runs through `invoke` and through `stream`, with the same assertions.
 */
import { it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import type { GraphError, GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"

export type Path = "invoke" | "stream"

/** Runs a graph on one of the two paths; events are collected on both (none on `invoke`). */
export interface Runner {
  readonly path: Path
  <S, I, E, R>(
    graph: StateGraph.CompiledGraph<S, I, E, R>,
    input: I,
    options?: StateGraph.RunOptions
  ): Effect.Effect<S, E | GraphError.RunError, R>
}

export const runner = (path: Path): Runner =>
  Object.assign(
    <S, I, E, R>(graph: StateGraph.CompiledGraph<S, I, E, R>, input: I, options?: StateGraph.RunOptions) =>
      path === "invoke" ? graph.invoke(input, options) : Effect.flatMap(
        Stream.runCollect(graph.stream(input, options)),
        (events) => {
          const last = events.at(-1)
          return last?._tag === "GraphCompleted"
            ? Effect.succeed(last.state)
            : Effect.die(new Error(`the stream ended with ${last?._tag}`))
        }
      ),
    { path }
  )

/** A scenario on the virtual clock, once per path. The title starts with the scenario's id. */
export const scenario = (title: string, test: (run: Runner) => Effect.Effect<unknown, unknown>): void => {
  for (const path of ["invoke", "stream"] as const) {
    it.effect(`${title} [${path}]`, () => test(runner(path)))
  }
}

/** The same on the real clock. */
export const scenarioLive = (
  title: string,
  test: (run: Runner) => Effect.Effect<unknown, unknown>,
  timeout = 30_000
): void => {
  for (const path of ["invoke", "stream"] as const) {
    it.live(`${title} [${path}]`, () => test(runner(path)), timeout)
  }
}

/** A run in the background, watched at exact instants of the virtual clock. */
export interface Watched<A, E> {
  /** Moves the clock to this instant and tells whether the run has ended. */
  readonly endedAt: (ms: number) => Effect.Effect<boolean>
  readonly exit: Effect.Effect<Exit.Exit<A, E>>
  readonly fiber: Fiber.Fiber<A, E>
}

export const watch = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Watched<A, E>, never, R> =>
  Effect.gen(function*() {
    yield* TestClock.adjust(0)
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    let now = 0
    return {
      fiber,
      endedAt: (ms) =>
        Effect.gen(function*() {
          yield* TestClock.adjust(ms - now)
          now = ms
          return fiber.pollUnsafe() !== undefined
        }),
      exit: Fiber.await(fiber)
    }
  })

/** The instant at which a run ends, to the millisecond; fails the test if it has not ended by `limitMs`. */
export const endOf = <A, E, R>(self: Effect.Effect<A, E, R>, limitMs = 120_000): Effect.Effect<
  { readonly at: number; readonly exit: Exit.Exit<A, E> },
  never,
  R
> =>
  Effect.gen(function*() {
    yield* TestClock.adjust(0)
    let at = -1
    const fiber = yield* Effect.forkChild(
      Effect.onExit(self, () =>
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            at = clock.currentTimeMillisUnsafe()
          })
        )),
      { startImmediately: true }
    )
    yield* TestClock.adjust(limitMs)
    if (fiber.pollUnsafe() === undefined) {
      return yield* Effect.die(new Error(`the run has not ended after ${limitMs} ms`))
    }
    return { at, exit: yield* Fiber.await(fiber) }
  })

/** All events of a run, also of one that fails. */
export const eventsOf = <S, I, E, R>(
  graph: StateGraph.CompiledGraph<S, I, E, R>,
  input: I,
  options?: StateGraph.RunOptions
): Effect.Effect<
  {
    readonly events: ReadonlyArray<GraphEvent.GraphEvent<S, E>>
    readonly exit: Exit.Exit<void, E | GraphError.RunError>
  },
  never,
  R
> =>
  Effect.gen(function*() {
    const events: Array<GraphEvent.GraphEvent<S, E>> = []
    const exit = yield* Effect.exit(
      Stream.runForEach(graph.stream(input, options), (event) =>
        Effect.sync(() => {
          events.push(event)
        }))
    )
    return { events, exit }
  })
