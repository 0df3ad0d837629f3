/** The events of runs that a timeline is tested with, and what it makes of them. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Logger, Schema } from "effect"
import { type GraphEvent, StateGraph } from "effect-stategraph"
import type { Run } from "../../src/internal/timelineModel.ts"
import { endOf, eventsOf } from "./scenario.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

const State = Schema.Struct({ run: Schema.Number })
export type Events = ReadonlyArray<GraphEvent.Any>

const nap = (ms: number) => () => Effect.as(Effect.sleep(ms), {})
const boom = new Boom({ message: "status 500" })
const quiet = Effect.provide(Logger.layer([]))

/** Five services: two good ones, one too late, one that fails, one that does not stop. */
export const makeServices = () =>
  StateGraph.make("services", State)
    .addNode("plan", nap(10))
    .addNode("good", nap(20))
    .addNode(
      "again",
      (_state, { attempt }) => Effect.andThen(Effect.sleep(5), attempt === 1 ? boom : Effect.succeed({}))
    )
    .addNode("late", () => Effect.onInterrupt(Effect.never, () => Effect.sleep(15)))
    .addNode("dead", () => Effect.andThen(Effect.sleep(5), boom))
    .addNode("zombie", () => Effect.as(Effect.uninterruptible(Effect.sleep(500)), {}))
    .addFanInNode("report", nap(3))
    .setEntryPoint("plan")
    .addParallelEdge("plan", "good", "report")
    .addParallelEdge("plan", "again", "report", { retry: { maxRetries: 1, baseDelay: 30 } })
    .addParallelEdge("plan", "late", "report", {
      timeout: 50,
      retry: { maxRetries: 1, baseDelay: 40 },
      totalTimeout: 85
    })
    .addParallelEdge("plan", "dead", "report", {
      retry: { maxRetries: 2, baseDelay: 10, exponentialBackoff: false },
      circuitBreaker: { failureThreshold: 2, resetTimeout: 100_000 }
    })
    .addParallelEdge("plan", "zombie", "report", { timeout: 30, grace: 20 })
    .setFinishPoint("report")
    .compile()

export const runs = (count: number): Effect.Effect<Events> =>
  Effect.gen(function*() {
    const services = makeServices()
    const all: Array<GraphEvent.Any> = []
    for (let run = 1; run <= count; run++) {
      const { exit } = yield* endOf(eventsOf(services, { run }, { runId: `id-${run}` }), 1000)
      if (Exit.isSuccess(exit)) all.push(...exit.value.events)
    }
    return all
  }).pipe(quiet)

export const laneOf = (run: Run | undefined, branch: string | undefined) => {
  const lane = run?.lanes.find((lane) => lane.branch === branch)
  assert(lane !== undefined, `there is a lane ${branch}`)
  return lane
}

/** `kind outcome from-to` of each segment. */
export const drawn = (run: Run | undefined, branch?: string): ReadonlyArray<string> =>
  laneOf(run, branch).segments.map(({ from, kind, outcome, to }) =>
    `${kind}${outcome === undefined ? "" : ` ${outcome}`} ${from}-${to}`
  )

export const bands = (run: Run | undefined, branch: string): ReadonlyArray<string> =>
  laneOf(run, branch).circuit?.bands.map(({ from, state, to }) => `${state} ${from}-${to}`) ?? []

/** Events made by hand. */
export const at = <Tag extends GraphEvent.Any["_tag"]>(
  ms: number,
  tag: Tag,
  fields: object = {},
  runId = "r"
): GraphEvent.Any => ({ _tag: tag, runId, graph: "g", at: ms, ...fields }) as unknown as GraphEvent.Any

export const on = (branch: string, more: object = {}) => ({ branch, fanIn: "join", attempt: 1, scope: "flow", ...more })

export const result = (branch: string, more: object = {}) => ({
  branch,
  fanIn: "join",
  result: { _tag: "Success", branch, success: true, abandoned: false, attempts: 1, timingMs: 10, ...more }
})
