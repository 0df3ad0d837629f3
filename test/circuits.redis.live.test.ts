/** Circuits that processes share through a real Redis server. */
import { NodeRedis } from "@effect/platform-node"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Logger } from "effect"
import { type CircuitBreaker, CircuitBreakerRegistry } from "effect-stategraph"
import { SharedCircuits } from "effect-stategraph/persistence"
import { Redis } from "effect/persistence"
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import { root } from "../scripts/root.ts"
import type { Answer, Told } from "./support/circuitProcess.ts"
import { fan } from "./support/fan.ts"
import { hasRedis, type RedisServer, startRedis } from "./support/redisServer.ts"
import { warningsOf } from "./support/sharedStore.ts"

if (!hasRedis) console.warn("skipped: Redis is not installed, there is no `redis-server`")

let server: RedisServer
beforeAll(async () => {
  if (hasRedis) server = await startRedis()
}, 30_000)
afterAll(() => server?.stop())

const layer = (options?: SharedCircuits.RedisOptions) =>
  SharedCircuits.layerRedis({ probeLease: 2000, ...options }).pipe(
    Layer.provideMerge(NodeRedis.layer({ socket: { host: "127.0.0.1", port: server.port } }))
  )

const test = (
  name: string,
  body: (registry: CircuitBreakerRegistry.Service) => Effect.Effect<void, unknown, Redis.Redis>,
  options?: SharedCircuits.RedisOptions
) =>
  it.live.skipIf(!hasRedis)(
    name,
    () =>
      Effect.flatMap(CircuitBreakerRegistry.CircuitBreakerRegistry, body).pipe(Effect.provide(
        Layer.unwrap(Effect.sync(() => Layer.provideMerge(layer(options), Logger.layer([]))))
      )),
    60_000
  )

/** Another process with the same circuit; it is gone when the scope closes. */
const otherProcess = (circuitBreaker: CircuitBreaker.Input) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        fork(join(root, "test", "support", "circuitProcess.ts"), [
          String(server.port),
          JSON.stringify(circuitBreaker),
          "2000"
        ])
      ),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    ),
    (child) => ({ child, ...talkTo(child) })
  )

const talkTo = (child: ChildProcess) => {
  let runs = 0
  const told = (message: Told, answered: number) =>
    Effect.callback<string>((resume) => {
      const listen = ({ circuitState, run, tag }: Answer): void => {
        if (run !== answered) return
        child.off("message", listen)
        resume(Effect.succeed(`${tag} ${circuitState}`))
      }
      child.on("message", listen)
      child.send(message)
    })
  return {
    /** A run, and what came of it. */
    run: (node: "succeed" | "fail") => Effect.suspend(() => told({ run: ++runs, node }, runs)),
    /** A run that hangs in its node until it is ended. */
    hang: Effect.suspend(() => {
      const run = ++runs
      return Effect.as(told({ run, node: "hang" }, 0), { end: told({ run, node: "end" }, run) })
    })
  }
}

/** The same graph in this process: a run, and what came of it. */
const here = (registry: CircuitBreakerRegistry.Service, circuitBreaker: CircuitBreaker.Input) => {
  let healthy = false
  const g = fan({ call: [() => healthy ? Effect.succeed({}) : Effect.fail("down"), { circuitBreaker }] })
  return (node: "succeed" | "fail") =>
    Effect.gen(function*() {
      healthy = node === "succeed"
      yield* Effect.provideService(g.graph.invoke({ n: 1 }), CircuitBreakerRegistry.CircuitBreakerRegistry, registry)
      return `${g.result("call")._tag} ${g.result("call").circuitState}`
    })
}

/** Until the server says that the open time is over. */
const untilOver = (registry: CircuitBreakerRegistry.Service, key: string): Effect.Effect<void> =>
  Effect.flatMap(
    registry.state(key),
    ({ retryAfter = Duration.zero }) =>
      Duration.isZero(retryAfter) ? Effect.void : Effect.andThen(Effect.sleep(retryAfter), untilOver(registry, key))
  )

describe("circuits in Redis", () => {
  test("two processes share one: opened there, rejected here, probed there, closed for both", (registry) =>
    Effect.scoped(Effect.gen(function*() {
      const circuit = { key: "shared", failureThreshold: 2, resetTimeout: 3000, probeTimeout: 60_000 }
      const there = yield* otherProcess(circuit)
      const run = here(registry, circuit)
      assert.strictEqual(yield* there.run("fail"), "Failure CLOSED")
      assert.strictEqual(yield* run("fail"), "Failure OPEN")
      assert.strictEqual(yield* there.run("succeed"), "Rejected OPEN")
      assert.strictEqual(yield* run("succeed"), "Rejected OPEN")
      yield* untilOver(registry, "shared")
      const probe = yield* there.hang
      assert.deepInclude(yield* registry.state("shared"), { state: "HALF_OPEN", probes: 1 })
      assert.strictEqual(yield* run("succeed"), "Rejected HALF_OPEN")
      assert.strictEqual(yield* probe.end, "Success CLOSED")
      assert.strictEqual(yield* run("succeed"), "Success CLOSED")
      assert.strictEqual(yield* there.run("succeed"), "Success CLOSED")
    })))

  test("a process that dies in its probe loses the slot with its lease", (registry) =>
    Effect.scoped(Effect.gen(function*() {
      const circuit = { key: "dead", failureThreshold: 1, resetTimeout: 100, probeTimeout: 60_000 }
      const there = yield* otherProcess(circuit)
      const run = here(registry, circuit)
      assert.strictEqual(yield* there.run("fail"), "Failure OPEN")
      yield* untilOver(registry, "dead")
      yield* there.hang
      assert.strictEqual(yield* run("succeed"), "Rejected HALF_OPEN")
      there.child.kill("SIGKILL")
      yield* Effect.repeat(registry.state("dead"), { until: ({ probes }) => probes === 0 })
      assert.strictEqual(yield* run("succeed"), "Success CLOSED")
    })))

  test("a reset closes it for both, and a call from before no longer counts", (registry) =>
    Effect.scoped(Effect.gen(function*() {
      const circuit = { key: "again", failureThreshold: 1, resetTimeout: "1 hour" } as const
      const there = yield* otherProcess(circuit)
      const run = here(registry, circuit)
      const before = yield* there.hang
      assert.strictEqual(yield* run("fail"), "Failure OPEN")
      assert.strictEqual(yield* there.run("succeed"), "Rejected OPEN")
      assert.deepStrictEqual((yield* registry.states).map(({ key, state }) => `${key} ${state}`), ["again OPEN"])
      yield* registry.resetAll
      assert.deepStrictEqual(yield* registry.states, [])
      assert.strictEqual(yield* there.run("succeed"), "Success CLOSED")
      assert.strictEqual(yield* before.end, "Success CLOSED")
      assert.strictEqual((yield* registry.state("again")).state, "CLOSED")
    })))

  test("keys begin with the prefix", (registry) =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      yield* Effect.ignore(registry.execute("k", { failureThreshold: 1 })(Effect.fail("down")))
      assert.deepStrictEqual(yield* redis.send("KEYS", "shop:*"), ["shop:k"])
      yield* registry.reset("k")
      assert.deepStrictEqual(yield* redis.send("KEYS", "shop:*"), [])
    }), { prefix: "shop:" })

  test("rates, open times that grow and retryAfter work there too", (registry) =>
    Effect.gen(function*() {
      const rate: CircuitBreaker.Input = { failureThreshold: Infinity, failureRateThreshold: 0.5, windowSize: 4 }
      for (const call of [Effect.void, Effect.fail(1), Effect.void, Effect.fail(2)]) {
        assert.strictEqual((yield* registry.state("rate")).state, "CLOSED")
        yield* Effect.ignore(registry.execute("rate", rate)<void, number, never>(call))
      }
      assert.strictEqual((yield* registry.state("rate")).state, "OPEN")

      const growing: CircuitBreaker.Input = { failureThreshold: 1, resetTimeout: 50, resetTimeoutMultiplier: 1000 }
      const openFor = Effect.gen(function*() {
        yield* Effect.ignore(registry.execute("growing", growing)(Effect.fail("down")))
        const { retryAfter = Duration.zero } = yield* registry.state("growing")
        return Duration.toMillis(retryAfter)
      })
      assert.isAtMost(yield* openFor, 50)
      yield* untilOver(registry, "growing")
      assert.isAbove(yield* openFor, 40_000)

      const asked: CircuitBreaker.Input = { failureThreshold: 1, resetTimeout: 50, retryAfter: () => "10 minutes" }
      yield* Effect.ignore(registry.execute("asked", asked)(Effect.fail("down")))
      const { retryAfter = Duration.zero } = yield* registry.state("asked")
      assert.isAbove(Duration.toSeconds(retryAfter), 500)
    }))

  test(
    "a server that does not answer stops no flow, and is used again when it does",
    (registry) =>
      Effect.gen(function*() {
        const warnings: Array<string> = []
        const circuit = { key: "paused", failureThreshold: 1 }
        const run = here(registry, circuit)
        assert.strictEqual(yield* run("succeed"), "Success CLOSED")
        server.pause()
        assert.strictEqual(yield* warningsOf(warnings)(run("fail")), "Failure CLOSED")
        server.resume()
        assert.deepStrictEqual(warnings, ["Warn the store of shared circuits does not answer, so calls run unrecorded"])
        assert.strictEqual(yield* run("fail"), "Failure OPEN")
      }).pipe(Effect.ensuring(Effect.sync(() => server.resume()))),
    { timeout: 2000 }
  )

  test("a server that is gone stops no flow, and its successor is used", (registry) =>
    Effect.gen(function*() {
      const run = here(registry, { key: "gone", failureThreshold: 1, resetTimeout: "1 hour" })
      const quiet = warningsOf([])
      assert.strictEqual(yield* run("fail"), "Failure OPEN")
      yield* Effect.promise(() => server.kill())
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* quiet(run("fail")), "Failure CLOSED")
      yield* Effect.promise(() => server.restart())
      yield* quiet(Effect.repeat(Effect.delay(run("fail"), 250), { until: (end) => end === "Failure OPEN" }))
      assert.strictEqual(yield* run("succeed"), "Rejected OPEN")
    }), { timeout: 1000 })
})
