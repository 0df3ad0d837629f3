/**
 * AC6: callbacks see all of a flow and disturb none of it.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Logger, Schema, Tracer } from "effect"
import { CircuitBreakerRegistry, FlowCallbacks, type GraphEvent, StateGraph } from "effect-stategraph"
import { endOf, scenario } from "../support/scenario.ts"
import { recordingTracer } from "../support/tracer.ts"

const State = Schema.Struct({ n: Schema.Number, tags: Schema.optionalKey(Schema.Array(Schema.String)) })

class Boom extends Schema.TaggedError<Boom>()("Boom", { attempt: Schema.Int }) {
  override get message(): string {
    return `boom ${this.attempt}`
  }
}

/** Runs with every log record kept, and none printed. */
const logging = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const records: Array<{ readonly level: string; readonly text: string; readonly cause: string }> = []
    const logger = Logger.make<unknown, void>((options) => {
      records.push({
        level: options.logLevel,
        text: String(Array.isArray(options.message) ? options.message[0] : options.message),
        cause: Cause.pretty(options.cause)
      })
    })
    const value = yield* Effect.provide(self, Logger.layer([logger]))
    return { value, records, warnings: records.filter((record) => record.level === "Warn") }
  })

const quiet = Logger.layer([])

/** Collects every hook's calls as `hook branch detail`. */
const recorder = (into: Array<string>, name = "recorder") =>
  FlowCallbacks.make({
    onFlowStart: ({ branch }) => void into.push(`start ${branch}`),
    onFlowComplete: ({ branch, result }) => void into.push(`complete ${branch} ${result._tag}`),
    onFlowError: ({ attempt, branch, error }) => void into.push(`error ${branch} ${attempt} ${error}`),
    onFlowTimeout: ({ attempt, branch, timeoutMs }) => void into.push(`timeout ${branch} ${attempt} ${timeoutMs}`),
    onFlowRetry: ({ attempt, branch, delayMs }) => void into.push(`retry ${branch} ${attempt} ${delayMs}`),
    onCircuitStateChange: ({ branch, from, to }) => void into.push(`circuit ${branch} ${from}>${to}`)
  }, { name })

type Body = (attempt: number) => Effect.Effect<{ readonly n: number }, Boom>

/** start => work -> join, with a body that knows its attempt. */
const single = (
  body: Body,
  callbacks: FlowCallbacks.Given,
  config: StateGraph.EdgeConfig = {}
) =>
  StateGraph.make("single", State)
    .addNode("work", (_state, { attempt }) => body(attempt))
    .addFanInNode("join", (_state, { parallelResults: [result] }) => ({ n: result!.success ? result!.state.n : -1 }))
    .addParallelEdge(StateGraph.START, "work", "join", config)
    .setFinishPoint("join")
    .compile({ callbacks })

const ok: Body = () => Effect.succeed({ n: 7 })
const failing = (times: number): Body => (attempt) =>
  attempt <= times ? Effect.fail(new Boom({ attempt })) : Effect.succeed({ n: 7 })

describe("AC6 callbacks", () => {
  for (
    const [how, hook] of [
      ["throws", (): void => {
        throw new Error("hook broke")
      }],
      ["fails", () => Effect.fail("hook broke")],
      ["dies", () => Effect.die(new Error("hook broke"))]
    ] as const
  ) {
    scenario(
      `TD.13-UNIT-033 a start callback that ${how} is one warning and no change`,
      (run) =>
        Effect.gen(function*() {
          const callbacks = FlowCallbacks.make({ onFlowStart: hook }, { name: "audit" })
          const { value, warnings } = yield* logging(run(single(ok, callbacks), { n: 1 }))
          assert.deepStrictEqual(value, { n: 7 })
          assert.strictEqual(warnings.length, 1)
          assert.include(warnings[0]!.text, "onFlowStart")
          assert.include(warnings[0]!.text, "audit")
          assert.include(warnings[0]!.cause, "hook broke")
        })
    )
  }

  scenario(
    "TD.13-UNIT-034 a start callback that hangs delays no flow and is interrupted after 5 s",
    (run) =>
      Effect.gen(function*() {
        let interruptedAt = -1
        const ends: Array<number> = []
        const now = Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
        const callbacks = FlowCallbacks.make({
          onFlowStart: () =>
            Effect.never.pipe(Effect.onInterrupt(() => Effect.map(now, (at) => void (interruptedAt = at))))
        })
        const graph = StateGraph.make("slow", State)
          .addNode("work", () => Effect.andThen(Effect.sleep(200), Effect.map(now, (at) => void ends.push(at))))
          .addFanInNode("join")
          .addParallelEdge(StateGraph.START, "work", "join")
          .addEdge("join", StateGraph.END)
          .compile({ callbacks })
        const { value, warnings } = yield* logging(endOf(run(graph, { n: 1 })))
        assert.deepStrictEqual(ends, [200])
        assert.strictEqual(value.exit._tag, "Success")
        assert.strictEqual(interruptedAt, 5000)
        assert.strictEqual(warnings.length, 1)
        assert.include(warnings[0]!.text, "onFlowStart")
        assert.include(warnings[0]!.cause, "5000 ms")
        // The run waits for its callbacks, in total no longer than the limit of one call after its own end.
        assert.isAtMost(value.at, 5200)
      })
  )

  scenario("TD.13-UNIT-035 start is called once per branch with its launch state", (run) =>
    Effect.gen(function*() {
      const seen: Array<readonly [string, unknown]> = []
      const callbacks = FlowCallbacks.make({
        onFlowStart: ({ branch, state }) => {
          seen.push([branch, { ...state }])
          return Effect.succeed({ n: 99 })
        }
      })
      const graph = StateGraph.make("two", State)
        .addNode("before", () => ({ n: 5, tags: ["x"] }))
        .addNode("a", ({ n }) => Effect.succeed({ n: n + 1 }))
        .addNode("b", ({ n }) => Effect.succeed({ n: n + 2 }))
        .addFanInNode("join", (_state, { parallelResults }) => ({
          n: parallelResults.reduce((sum, result) => sum + (result.success ? result.state.n : 0), 0)
        }))
        .setEntryPoint("before")
        .addParallelEdge("before", "a", "join")
        .addParallelEdge("before", "b", "join")
        .setFinishPoint("join")
        .compile({ callbacks })
      assert.deepStrictEqual(yield* run(graph, { n: 1 }), { n: 13, tags: ["x"] })
      assert.deepStrictEqual(seen, [["a", { n: 5, tags: ["x"] }], ["b", { n: 5, tags: ["x"] }]])
    }))

  scenario(
    "TD.13-UNIT-036 complete is called once per branch with its result, good or bad",
    (run) =>
      Effect.gen(function*() {
        const completed: Array<GraphEvent.FlowCompleted<unknown, unknown>> = []
        const joined: Array<unknown> = []
        const callbacks = FlowCallbacks.make({ onFlowComplete: (event) => void completed.push(event) })
        const graph = StateGraph.make("mixed", State)
          .addNode("good", () => Effect.succeed({ n: 2 }))
          .addNode("bad", () => Effect.fail(new Boom({ attempt: 1 })))
          .addFanInNode("join", (_state, { parallelResults }) => void joined.push(...parallelResults))
          .addParallelEdge(StateGraph.START, "good", "join")
          .addParallelEdge(StateGraph.START, "bad", "join")
          .setFinishPoint("join")
          .compile({ callbacks })
        yield* run(graph, { n: 1 })
        assert.deepStrictEqual(completed.map(({ branch }) => branch), ["good", "bad"])
        assert.deepStrictEqual(completed.map(({ result }) => result), joined as never)
        assert.deepStrictEqual(completed.map(({ result }) => result.success), [true, false])
      })
  )

  for (const failFast of [false, true]) {
    scenario(
      `TD.13-UNIT-037 error is called once per failed attempt, with failFast ${failFast}`,
      (run) =>
        Effect.gen(function*() {
          const errors: Array<readonly [number, string, unknown]> = []
          const callbacks = FlowCallbacks.make({
            onFlowError: ({ attempt, cause, error }) => void errors.push([attempt, error, Cause.squash(cause)])
          })
          const graph = single(failing(9), callbacks, { failFast, retry: { maxRetries: 2, baseDelay: 10 } })
          const { exit } = yield* endOf(run(graph, { n: 1 })).pipe(Effect.provide(quiet))
          assert.strictEqual(exit._tag, failFast ? "Failure" : "Success")
          assert.deepStrictEqual(
            errors,
            [1, 2, 3].map((attempt) => [attempt, `boom ${attempt}`, new Boom({ attempt })])
          )
        })
    )
  }

  scenario(
    "TD.13-UNIT-038 timeout is called with branch and limit, once per attempt that timed out",
    (run) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const graph = single(() => Effect.never, recorder(seen), {
          timeout: 50,
          retry: { maxRetries: 1, baseDelay: 10 }
        })
        yield* endOf(run(graph, { n: 1 })).pipe(Effect.provide(quiet))
        assert.deepStrictEqual(seen.filter((call) => call.startsWith("timeout")), [
          "timeout work 1 50",
          "timeout work 2 50"
        ])
      })
  )

  scenario(
    "TD.13-INT-019 a callback that throws on every event takes nothing from its neighbours",
    (run) =>
      Effect.gen(function*() {
        const [first, third]: [Array<string>, Array<string>] = [[], []]
        let thrown = 0
        const broken = (): void => {
          thrown++
          throw new Error("broken")
        }
        const callbacks = [
          recorder(first, "first"),
          FlowCallbacks.make({
            onFlowStart: broken,
            onFlowComplete: broken,
            onFlowError: broken,
            onFlowTimeout: broken,
            onFlowRetry: broken,
            onCircuitStateChange: broken
          }),
          recorder(third, "third")
        ]
        const graph = single(failing(1), callbacks, {
          retry: { maxRetries: 1, baseDelay: 10 },
          circuitBreaker: { failureThreshold: 5 }
        })
        const { exit } = yield* endOf(run(graph, { n: 1 })).pipe(Effect.provide(quiet))
        assert.strictEqual(exit._tag, "Success")
        const all = ["start work", "error work 1 boom 1", "retry work 1 10", "complete work Success"]
        assert.deepStrictEqual(first, all)
        assert.deepStrictEqual(third, all)
        assert.strictEqual(thrown, all.length)
      })
  )

  scenario("TD.13-INT-020 a failure, then success: start, error, retry, complete", (run) =>
    Effect.gen(function*() {
      const [a, b]: [Array<string>, Array<string>] = [[], []]
      const graph = single(failing(1), [recorder(a), recorder(b)], { retry: { maxRetries: 1, baseDelay: 10 } })
      yield* endOf(run(graph, { n: 1 })).pipe(Effect.provide(quiet))
      assert.deepStrictEqual(a, ["start work", "error work 1 boom 1", "retry work 1 10", "complete work Success"])
      assert.deepStrictEqual(b, a)
    }))

  scenario("TD.13-INT-020 a timeout, then success: start, timeout, retry, complete", (run) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const body: Body = (attempt) => attempt === 1 ? Effect.never : Effect.succeed({ n: 7 })
      const graph = single(body, recorder(seen), { timeout: 50, retry: { maxRetries: 1, baseDelay: 10 } })
      yield* endOf(run(graph, { n: 1 })).pipe(Effect.provide(quiet))
      assert.deepStrictEqual(seen, ["start work", "timeout work 1 50", "retry work 1 10", "complete work Success"])
    }))

  scenario(
    "TD.13-INT-020 a circuit changes between the outcome that caused it and complete; rejected: complete only",
    (run) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const graph = single(failing(9), recorder(seen), { circuitBreaker: { failureThreshold: 1 } })
        yield* run(graph, { n: 1 })
        assert.deepStrictEqual(seen, [
          "start work",
          "error work 1 boom 1",
          "circuit work CLOSED>OPEN",
          "complete work Failure"
        ])
        seen.length = 0
        yield* run(graph, { n: 1 })
        assert.deepStrictEqual(seen, ["complete work Rejected"])
      })
  )

  scenario(
    "TD.13-INT-021 one span per branch, under the run's, with its outcome and its retries",
    (run) =>
      Effect.gen(function*() {
        const { spans, tracer } = recordingTracer()
        const graph = StateGraph.make("traced", State)
          .addNode(
            "good",
            (_state, { attempt }) => attempt === 1 ? Effect.fail(new Boom({ attempt })) : Effect.succeed({ n: 1 })
          )
          .addNode("bad", () => Effect.fail(new Boom({ attempt: 1 })))
          .addFanInNode("join")
          .addParallelEdge(StateGraph.START, "good", "join", { retry: { maxRetries: 1, baseDelay: 10 } })
          .addParallelEdge(StateGraph.START, "bad", "join", { circuitBreaker: { failureThreshold: 1 } })
          .setFinishPoint("join")
          .compile()
        yield* endOf(run(graph, { n: 1 })).pipe(
          Effect.provideService(Tracer.Tracer, tracer),
          Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, CircuitBreakerRegistry.makeUnsafe()),
          Effect.provide(quiet)
        )
        const runSpan = spans.filter(({ name }) => name === "StateGraph.run")
        assert.strictEqual(runSpan.length, 1)
        const flows = spans.filter(({ name }) => name === "StateGraph.flow")
        assert.deepStrictEqual(
          flows.map(({ attributes, parent, status }) => ({
            parent: parent._tag === "Some" ? parent.value.spanId : "none",
            branch: attributes.get("flow.branch"),
            fanIn: attributes.get("flow.fan_in"),
            outcome: attributes.get("flow.outcome"),
            retries: attributes.get("flow.retry_count"),
            circuit: attributes.get("circuit.state"),
            failed: status._tag === "Ended" && status.exit._tag === "Failure"
          })),
          [
            {
              parent: runSpan[0]!.spanId,
              branch: "good",
              fanIn: "join",
              outcome: "Success",
              retries: 1,
              circuit: undefined,
              failed: false
            },
            {
              parent: runSpan[0]!.spanId,
              branch: "bad",
              fanIn: "join",
              outcome: "Failure",
              retries: 0,
              circuit: "OPEN",
              failed: true
            }
          ]
        )
        assert.deepStrictEqual(flows.map(({ events }) => events.map(([name]) => name)), [["retry"], ["circuit"]])
      })
  )
})
