/** The whole circuit through flows: rates, slow calls, open times and control by hand, on both paths. */
import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Logger } from "effect"
import { type CircuitBreaker, CircuitBreakerRegistry, type ParallelConfig, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { type Body, Boom, boom, fan, State } from "./support/fan.ts"
import { endOf, eventsOf, type Runner, scenario } from "./support/scenario.ts"

/** A body that does what it is told: a letter per execution, `s`uccess or `f`ailure, in capitals after 101 ms. */
const scripted = (script: string) => {
  const told = [...script]
  const body = { executed: 0 }
  const run: Body = () => {
    const letter = told[body.executed++]
    const slow = letter !== undefined && letter !== letter.toLowerCase()
    return Effect.andThen(
      Effect.sleep(slow ? 101 : 0),
      letter?.toLowerCase() === "f" ? boom("down") : Effect.succeed({ v: letter })
    )
  }
  return Object.assign(body, { run })
}

/** One flow `b` with this circuit; runs one after the other, and what came of them in the fan-in. */
const flow = (script: string, circuitBreaker: CircuitBreaker.Input, edge: ParallelConfig.Input = {}) => {
  const body = scripted(script)
  const g = fan({ b: [body.run, { circuitBreaker: { key: "k", ...circuitBreaker }, ...edge }] })
  const runs = (run: Runner, times: number) =>
    Effect.gen(function*() {
      for (let n = 0; n < times; n++) yield* (yield* endOf(run(g.graph, { n }), 200)).exit
    })
  const outcomes = () => g.joins.map(([result]) => result!._tag[0]).join("")
  return { ...g, body, runs, outcomes }
}

const withRegistry = <A, E, R>(test: (registry: CircuitBreakerRegistry.Service) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const registry = CircuitBreakerRegistry.makeUnsafe()
    return test(registry).pipe(
      Effect.provideService(CircuitBreakerRegistry.CircuitBreakerRegistry, registry),
      Effect.provide(Logger.layer([]))
    )
  })

describe("rates", () => {
  scenario(
    "the failure rate over the last calls opens the circuit of a flow",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { body, outcomes, runs } = flow("sfsfss", {
            failureThreshold: Infinity,
            failureRateThreshold: 0.5,
            windowSize: 4
          })
          yield* runs(run, 3)
          assert.deepInclude(yield* registry.state("k"), {
            state: "CLOSED",
            window: { calls: 3, failures: 1, slow: 0 }
          })
          yield* runs(run, 2)
          assert.strictEqual(outcomes(), "SFSFR")
          assert.strictEqual(body.executed, 4)
        })
      )
  )

  scenario(
    "the failure rate over a stretch of time forgets what is older",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { outcomes, runs } = flow("ffff", {
            failureThreshold: Infinity,
            failureRateThreshold: 1,
            windowDuration: 1000,
            minimumCalls: 2
          })
          yield* runs(run, 1)
          yield* TestClock.adjust(800)
          assert.notProperty(yield* registry.state("k"), "window")
          yield* runs(run, 1)
          assert.deepInclude(yield* registry.state("k"), {
            state: "CLOSED",
            window: { calls: 1, failures: 1, slow: 0 }
          })
          yield* runs(run, 2)
          assert.strictEqual(outcomes(), "FFFR")
        })
      )
  )

  scenario(
    "attempts of one flow and of its siblings share a window",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const config = {
            circuitBreaker: { key: "k", failureThreshold: Infinity, failureRateThreshold: 0.75, windowSize: 4 },
            retry: { maxRetries: 1, baseDelay: 0 }
          }
          const g = fan({ a: [scripted("ff").run, config], b: [scripted("fs").run, config], c: [() => ({}), config] }, {
            graph: { concurrency: 1 }
          })
          yield* endOf(run(g.graph, { n: 1 }))
          assert.deepStrictEqual(g.results.map(({ _tag }) => _tag), ["Failure", "Success", "Rejected"])
          assert.deepInclude(yield* registry.state("k"), { state: "OPEN", failureCount: 0 })
        })
      )
  )
})

describe("slow calls", () => {
  scenario(
    "an attempt is slow when it takes longer than the limit, successful or not",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { outcomes, runs } = flow("sSFs", {
            failureThreshold: Infinity,
            slowCallThreshold: 100,
            slowCallRateThreshold: 0.6,
            windowSize: 3
          })
          yield* runs(run, 2)
          assert.deepInclude(yield* registry.state("k"), { window: { calls: 2, failures: 0, slow: 1 } })
          yield* runs(run, 2)
          assert.strictEqual(outcomes(), "SSFR")
        })
      )
  )

  scenario(
    "an attempt of exactly the limit is not slow; each attempt is measured, not its waits",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const body: Body = (_state, { attempt }) =>
            Effect.andThen(Effect.sleep(100), attempt < 3 ? boom("again") : Effect.succeed({}))
          const g = fan({
            b: [body as Body, {
              circuitBreaker: { key: "k", slowCallThreshold: 100, windowSize: 10 },
              retry: { maxRetries: 2, baseDelay: 5000 }
            }]
          })
          yield* endOf(run(g.graph, { n: 1 }))
          assert.strictEqual(g.result("b")._tag, "Success")
          assert.deepInclude(yield* registry.state("k"), { window: { calls: 3, failures: 2, slow: 0 } })
        })
      )
  )

  scenario(
    "an attempt that is cut at its limit took as long as the limit, whatever its remains do",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const g = fan({
            b: [() => Effect.uninterruptible(Effect.sleep(5000)), {
              circuitBreaker: { key: "k", slowCallThreshold: 1000, windowSize: 10 },
              timeout: 1000
            }]
          })
          yield* endOf(run(g.graph, { n: 1 }))
          assert.deepInclude(yield* registry.state("k"), { window: { calls: 1, failures: 1, slow: 0 } })
        })
      )
  )
})

describe("open times", () => {
  scenario(
    "the error that opens it says how long, the flow's rejection tells it",
    (run) =>
      withRegistry(() =>
        Effect.gen(function*() {
          const { outcomes, result, runs } = flow("fs", {
            failureThreshold: 1,
            resetTimeout: 1000,
            retryAfter: (error) => error instanceof Boom && error.message === "down" ? "7 seconds" : undefined
          })
          yield* runs(run, 2)
          const rejected = result("b")
          assert(rejected._tag === "Rejected" && rejected.failure._tag === "CircuitOpenError")
          assert.deepStrictEqual(rejected.failure.retryAfter, Duration.millis(6800))
          yield* TestClock.adjust(6400)
          yield* runs(run, 1)
          assert.strictEqual(outcomes(), "FRR")
          yield* runs(run, 1)
          assert.strictEqual(outcomes(), "FRRS")
        })
      )
  )

  scenario(
    "a limit that cuts an attempt is an error like any other to it",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const seen: Array<unknown> = []
          const g = fan({
            b: [() => Effect.never, {
              timeout: 50,
              circuitBreaker: {
                key: "k",
                failureThreshold: 1,
                retryAfter: (error) => {
                  seen.push((error as { readonly _tag: string })._tag)
                  return "2 minutes"
                }
              }
            }]
          })
          yield* endOf(run(g.graph, { n: 1 }), 50)
          assert.deepStrictEqual(seen, ["FlowTimeoutError"])
          assert.deepInclude(yield* registry.state("k"), { state: "OPEN", retryAfter: Duration.minutes(2) })
        })
      )
  )

  scenario(
    "it doubles while probes fail, and starts again after a close",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { runs } = flow("ffsf", {
            failureThreshold: 1,
            resetTimeout: 1000,
            resetTimeoutMultiplier: 2,
            maxResetTimeout: 4000
          })
          const openFor = Effect.map(
            registry.state("k"),
            ({ retryAfter }) => retryAfter === undefined ? 0 : Duration.toMillis(retryAfter) + 200
          )
          yield* runs(run, 1)
          assert.strictEqual(yield* openFor, 1000)
          yield* TestClock.adjust(800)
          yield* runs(run, 1)
          assert.strictEqual(yield* openFor, 2000)
          yield* TestClock.adjust(1800)
          yield* runs(run, 1)
          assert.deepInclude(yield* registry.state("k"), { state: "CLOSED" })
          yield* runs(run, 1)
          assert.strictEqual(yield* openFor, 1000)
        })
      )
  )
})

describe("by hand", () => {
  scenario(
    "an isolated circuit rejects its flows, and their results say so",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { body, outcomes, result, runs } = flow("sss", { failureThreshold: 1 })
          yield* Effect.scoped(Effect.gen(function*() {
            yield* registry.isolate("k")
            yield* runs(run, 1)
            assert.deepInclude(result("b"), { _tag: "Rejected", circuitState: "OPEN", attempts: 0 })
          }))
          yield* runs(run, 1)
          assert.strictEqual(outcomes(), "RS")
          assert.strictEqual(body.executed, 1)
        })
      )
  )

  scenario(
    "a circuit that is forced open in a wait rejects the next attempt",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { body, result, graph } = flow("fs", {}, { retry: { maxRetries: 1, baseDelay: 1000 } })
          const forcing = Effect.andThen(Effect.sleep(500), registry.forceOpen("k"))
          yield* endOf(Effect.all([run(graph, { n: 1 }), forcing], { concurrency: 2 }))
          assert.strictEqual(body.executed, 1)
          assert.deepInclude(result("b"), { _tag: "Rejected", attempts: 1, circuitState: "OPEN" })
          yield* graph.resetCircuit()
          const again = yield* endOf(run(graph, { n: 1 }))
          yield* again.exit
          assert.deepInclude(result("b"), { _tag: "Success", attempts: 1 })
        })
      )
  )

  scenario(
    "a disabled circuit lets everything through, without an event",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const { graph, outcomes, runs } = flow("fffff", { failureThreshold: 1 })
          yield* registry.disable("k")
          yield* runs(run, 4)
          assert.strictEqual(outcomes(), "FFFF")
          const { events } = yield* (yield* endOf(eventsOf(graph, { n: 1 }))).exit
          assert.deepStrictEqual(events.filter(({ _tag }) => _tag === "CircuitStateChanged"), [])
          assert.deepStrictEqual(yield* graph.circuitStates, [{
            key: "k",
            state: "CLOSED",
            mode: "disabled",
            failureCount: 0,
            probes: 0
          }])
        })
      )
  )

  scenario(
    "a node with a policy has the whole circuit too",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const body = scripted("sFs")
          const policy: ParallelConfig.Input = {
            circuitBreaker: { key: "k", slowCallThreshold: 100, slowCallRateThreshold: 0.5, windowSize: 2 }
          }
          const step = (state: State) => body.run(state, { attempt: 1 }) as Effect.Effect<Partial<State>, Boom>
          const graph = StateGraph.make("g", State)
            .addNode("n", step, policy as never)
            .setEntryPoint("n")
            .setFinishPoint("n")
            .compile()
          const tags: Array<string> = []
          for (let n = 0; n < 3; n++) {
            const { exit } = yield* endOf(Effect.flip(run(graph, { n })), 200)
            if (exit._tag === "Success") tags.push((exit.value as { readonly _tag: string })._tag)
          }
          assert.deepStrictEqual(tags, ["Boom", "CircuitOpenError"])
          assert.strictEqual((yield* registry.state("k")).state, "OPEN")
        })
      )
  )
})

describe("options on several levels", () => {
  scenario(
    "merge field by field, and Infinity switches a rule off",
    (run) =>
      withRegistry((registry) =>
        Effect.gen(function*() {
          const body = scripted("ffffffff")
          const g = fan({ b: [body.run, { circuitBreaker: { key: "k", minimumCalls: 3 } }] }, {
            graph: { circuitBreaker: { failureThreshold: 2, failureRateThreshold: 0.5 } },
            compile: { circuitBreaker: { failureThreshold: Infinity, windowSize: 9 } }
          })
          for (let n = 0; n < 2; n++) yield* endOf(run(g.graph, { n }))
          assert.strictEqual((yield* registry.state("k")).state, "CLOSED")
          yield* endOf(run(g.graph, { n: 2 }))
          assert.strictEqual((yield* registry.state("k")).state, "OPEN")
          yield* registry.reset("k")
          const off = { parallel: { circuitBreaker: { failureRateThreshold: Infinity } } }
          for (let n = 0; n < 5; n++) yield* endOf(run(g.graph, { n }, off))
          assert.deepInclude(yield* registry.state("k"), { state: "CLOSED", failureCount: 5 })
        })
      )
  )
})
