/** Runs on a store that can be broken. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Option } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import type { FakeStore } from "./fakeStore.ts"
import { joined, settle, slow, State } from "./threads.ts"

export const make = (name = "g") => StateGraph.make(name, State)
export const modes = ["step", "async", "exit"] as const
export type Mode = (typeof modes)[number]

export const onStore = (fake: FakeStore) => Effect.provideService(Checkpointer.Checkpointer, fake.service)
export const nowMs = TestClock.testClockWith((clock) => clock.currentTimeMillis)

export const test = (title: string, body: () => Effect.Effect<unknown, unknown>, timeout?: number) =>
  it.effect(title, () => Effect.andThen(TestClock.adjust(0), body()).pipe(Effect.provide(Logger.layer([]))), timeout)

export interface Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly at: number
}

/** Runs it in the background, and tells when it has ended. */
export const started = <A, E>(self: Effect.Effect<A, E, Checkpointer.Checkpointer>, fake: FakeStore) =>
  Effect.exit(self).pipe(
    Effect.flatMap((exit) => Effect.map(nowMs, (at): Ended<A, E> => ({ exit, at }))),
    onStore(fake),
    Effect.forkChild({ startImmediately: true })
  )

export const ended = <A, E>(
  self: Effect.Effect<A, E, Checkpointer.Checkpointer>,
  fake: FakeStore,
  limitMs = 1_000_000
) =>
  Effect.gen(function*() {
    const fiber = yield* started(self, fake)
    yield* settle
    yield* TestClock.adjust(limitMs)
    if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error(`it has not ended after ${limitMs} ms`))
    return yield* Fiber.join(fiber)
  })

export const errorOf = (exit: Exit.Exit<unknown, unknown>): GraphError.CheckpointError =>
  Exit.isFailure(exit)
    ? Option.getOrThrow(Exit.findErrorOption(exit)) as GraphError.CheckpointError
    : assert.fail("it has not failed")

export const chain = (ran: Array<string>) =>
  make()
    .addNode("a", slow(ran, "a", 10)).addNode("b", slow(ran, "b", 10)).addNode("c", slow(ran, "c", 10))
    .setEntryPoint("a").addEdge("a", "b").addEdge("b", "c").setFinishPoint("c").compile()

/** Nodes on four lines, that end in each other's steps. */
export const lines = (ran: Array<string>) =>
  make()
    .addNode("a", slow(ran, "a", 10))
    .addNode("x1", slow(ran, "x1", 7)).addNode("x2", slow(ran, "x2", 7)).addNode("x3", slow(ran, "x3", 7))
    .addNode("y1", slow(ran, "y1", 4)).addNode("deep", slow(ran, "deep", 9))
    .addFanInNode("inner", joined).addFanInNode("join", joined)
    .addNode("z", slow(ran, "z", 5))
    .setEntryPoint("a")
    .addParallelEdge("a", "x1", "join", { retry: { maxRetries: 1 } }).addEdge("x1", "x2").addEdge(
      "x2",
      "x3"
    )
    .addParallelEdge("a", "y1", "join").addParallelEdge("y1", "deep", "inner")
    .addEdge("join", "z").setFinishPoint("z").compile()
export const result = ["x1 Success a,x1,x2,x3", "y1 Success y1/deep Success a,y1,deep", "z"]
