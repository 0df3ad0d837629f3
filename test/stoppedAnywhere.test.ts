/** Runs with questions on every kind of line, interrupted in any turn, again and again: they end as if nothing had been. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Option, Schema, Stream } from "effect"
import { Bulkhead, Checkpointer, type GraphEvent, RunState, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { faults } from "./support/pairs.ts"
import { asks, bad, input, joined, settle, State, step } from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

const graphOf = () => {
  const ran: Array<string> = []
  let flaky = 0
  const inner = make("inner")
    .addNode("i", asks(ran, "i"))
    .addNode("iy", (state) => Effect.andThen(Effect.yieldNow, asks(ran, "iy")(state)))
    .addNode("iz", (state) => Effect.andThen(Effect.yieldNow, step(ran, "iz")(state)))
    .addFanInNode("inner join", joined)
    .setEntryPoint("i")
    .addParallelEdge("i", "iy", "inner join", { retry: { maxRetries: 1 } }).addParallelEdge("i", "iz", "inner join")
    .setFinishPoint("inner join").compile({ suspendAfter: ["iz"] })
  return make()
    .addNode("a", (state) => Effect.andThen(Effect.yieldNow, step(ran, "a")(state)))
    .addNode("x", (state) => Effect.andThen(Effect.yieldNow, asks(ran, "x")(state)), {
      retry: { maxRetries: 1 },
      timeout: 1000
    })
    .addNode("x2", step(ran, "x2"))
    .addNode("f", (state) => ++flaky % 2 === 1 ? bad("once more") : step(ran, "f")(state))
    .addNode("deep", asks(ran, "deep"))
    .addSubgraph("sub", inner, {
      input: (state) => state,
      output: (state) => state,
      retry: { maxRetries: 1 },
      timeout: 5000
    })
    .addNode("each", (state, { item }) => asks(ran, `each ${item}`)(state), { item: Schema.Number })
    .addFanInNode("deep join", joined).addFanInNode("join", joined)
    .addNode("z", asks(ran, "z"))
    .setEntryPoint("a")
    .addParallelEdge("a", "x", "join", {
      timeout: 500,
      concurrency: 2,
      circuitBreaker: {},
      limit: { key: "two", permits: 2 }
    })
    .addEdge("x", "x2")
    .addParallelEdge("a", "f", "join", { retry: { maxRetries: 3, baseDelay: 10 } })
    .addParallelEdge("f", "deep", "deep join")
    .addParallelEdge("a", "sub", "join", { limit: { key: "two", permits: 2 } })
    .addParallelMap("a", "each", "join", { items: () => [1, 2], concurrency: 2, retry: { maxRetries: 2 } })
    .addEdge("join", "z").setFinishPoint("z").compile({ suspendBefore: ["join", "x2"] })
}

/** Every second one of the open questions is answered; the only one is. */
const answersTo = (pending: ReadonlyArray<RunState.Pending>, round: number): Record<string, number> =>
  Object.fromEntries(
    pending.filter(({ when }) => when === "asked").flatMap(({ branch, name }, i) =>
      (i + round) % 2 === 0 || pending.length === 1 ? [[branch === undefined ? name : `${branch}/${name}`, 1]] : []
    )
  )

/** Runs it to its end, however often that takes; every other time it is interrupted in this turn. */
const drive = (turn: number | undefined, durability: StateGraph.Durability) =>
  Effect.gen(function*() {
    const store = Checkpointer.makeUnsafe()
    const graph = graphOf()
    for (let round = 1; round < 50; round++) {
      const where = `turn ${turn}, round ${round}`
      const found = yield* store.load("t")
      if (Option.isSome(found) && found.value.status === "completed") {
        return Schema.decodeUnknownSync(RunState.fromBody)(found.value.body).main.state
      }
      const pending = Option.isNone(found)
        ? []
        : RunState.pending(Schema.decodeUnknownSync(RunState.fromBody)(found.value.body))
      const events: Array<GraphEvent.Any> = []
      const stream = Option.isNone(found)
        ? graph.stream(input, { thread: "t", durability })
        : graph.resumeStream("t", { durability, answers: answersTo(pending, round) })
      const fiber = yield* Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))).pipe(
        Effect.provideService(Checkpointer.Checkpointer, store),
        Effect.forkChild({ startImmediately: true })
      )
      if (turn !== undefined && round % 2 === 1) {
        for (let i = 0; i < turn; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      } else {
        yield* settle
        yield* TestClock.adjust(2000)
        assert.isDefined(fiber.pollUnsafe(), `${where} hangs`)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)), where)
        assert.deepStrictEqual(faults(events), [], where)
      }
      yield* Effect.flatMap(store.claim("t"), store.release)
    }
    return assert.fail(`turn ${turn}: it has no end`)
  })

describe("a run that is interrupted in any turn, and resumed,", () => {
  for (const durability of ["step", "async", "exit"] as const) {
    it.effect(`ends as one that is not (${durability})`, () =>
      Effect.gen(function*() {
        yield* TestClock.adjust(0)
        const whole = yield* drive(undefined, "step")
        for (let turn = 0; turn < 100; turn += 4) {
          assert.deepStrictEqual(yield* drive(turn, durability), whole, `turn ${turn}`)
        }
      }).pipe(Effect.provide([Logger.layer([]), Bulkhead.layer])))
  }
})
