/** A run that waits for somebody twice, is resumed twice, and then ends; and one that goes on only in part. */
import { assert } from "@effect/vitest"
import { Effect, Logger, Schema } from "effect"
import { Checkpointer, type GraphEvent, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { compiledOf } from "../../src/internal/builder.ts"
import type { ResumeOptions } from "../../src/internal/prepare.ts"
import { execute, resume } from "../../src/internal/run.ts"
import { suspend } from "../../src/internal/suspend.ts"
import { boom } from "./fan.ts"

type Events = ReadonlyArray<GraphEvent.Any>

const State = Schema.Struct({ run: Schema.Number })
const nap = (ms: number) => () => Effect.as(Effect.sleep(ms), {})
const ask = (name: string, schema: Schema.Codec<unknown, unknown>) => () => Effect.as(suspend(name, schema, {}), {})
const failing = (ms: number) => () => Effect.andThen(Effect.sleep(ms), boom("no"))

/** plan => quick, approve (asks), dead (has a fallback), guarded (retries its node) => report -> sign (asks) */
export const approvals = StateGraph.make("approvals", State)
  .addNode("other", nap(4))
  .addNode("plan", nap(10))
  .addNode("quick", nap(5))
  .addNode("read", nap(6))
  .addNode("approve", ask("ok", Schema.Boolean as never))
  .addNode("dead", failing(3))
  .addNode(
    "guarded",
    (_state, { attempt }) => Effect.andThen(Effect.sleep(2), attempt === 1 ? boom("no") : Effect.void),
    { retry: { maxRetries: 1, baseDelay: 20 } }
  )
  .addFanInNode("report", nap(3))
  .addNode("sign", ask("signature", Schema.String as never))
  .setEntryPoint("plan")
  .addParallelEdge("plan", "quick", "report")
  .addParallelEdge("plan", "read", "report", { name: "approval" })
  .addEdge("read", "approve")
  .addParallelEdge("plan", "dead", "report", { fallback: "other" })
  .addParallelEdge("plan", "guarded", "report")
  .addEdge("report", "sign")
  .setFinishPoint("sign")
  .compile()

const packages = ["@scope/a", "@scope/b", "c"]

/** plan => look[package], of which those of the scope ask => report */
export const reviews = StateGraph.make("reviews", State)
  .addNode("plan", nap(10))
  .addNode(
    "look",
    (_state, { item }) =>
      Effect.andThen(
        Effect.sleep(2),
        item === "c" ? Effect.void : Effect.asVoid(suspend("keep", Schema.Boolean as never, {}))
      ),
    { item: Schema.String }
  )
  .addFanInNode("report", nap(3))
  .setEntryPoint("plan")
  .addParallelMap("plan", "look", "report", { items: () => packages, key: (name) => name })
  .setFinishPoint("report")
  .compile()

/** Runs a part to its end, and lets time pass until the next one. */
type Ended = (self: Effect.Effect<unknown, unknown>) => Effect.Effect<void>

/** On the virtual clock, step by step: what is saved meanwhile needs turns of its own. */
const onVirtualClock: Ended = (self) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    let ms = 0
    for (; ms < 200; ms++) {
      // All turns of this instant, before the next one.
      for (let turn = 0; turn < 20; turn++) yield* TestClock.adjust(0)
      yield* TestClock.adjust(1)
    }
    assert.isDefined(fiber.pollUnsafe(), "the run has ended")
    yield* TestClock.adjust(1000 - ms)
  })

export const onRealClock: Ended = (self) => Effect.andThen(Effect.exit(self), Effect.sleep(50))

/** The events of a run on a thread, then of each resume of it; every part begins a second after the one before. */
export const partsOf = (
  graph: typeof approvals | typeof reviews,
  resumes: ReadonlyArray<ResumeOptions["answers"]>,
  { ended = onVirtualClock, thread = true }: { readonly ended?: Ended; readonly thread?: boolean } = {}
): Effect.Effect<Events> =>
  Effect.gen(function*() {
    const events: Array<GraphEvent.Any> = []
    const told = (event: GraphEvent.Any): void => void events.push(event)
    const compiled = compiledOf(graph as never)
    yield* ended(execute(compiled, { run: 1 }, { runId: "r", ...thread ? { thread: "t" } : {} }, told))
    for (const answers of resumes) yield* ended(resume(compiled, "t", { answers }, told))
    return events
  }).pipe(Effect.provide([Checkpointer.layerMemory, Logger.layer([])]))
