/** Checkpoints that are damaged, or made up: a typed error or a run, never a defect, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Schema } from "effect"
import { type Checkpointer, GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { edited, nameOf, placesIn, put } from "./support/edited.ts"
import { ended, interrupted, settled, thread, within } from "./support/killed.ts"
import type { Loose } from "./support/looseBuilder.ts"

const State = Schema.Struct({ n: Schema.Number, any: Schema.optionalKey(Schema.Json) })
type State = typeof State.Type
const input = { n: 1, any: { list: [1, { deep: true }] } }

const hold = (ms: number) => () => Effect.sleep(ms)
const same = { input: (state: State) => state, output: (state: State) => state }

/** What flows have failed with. */
const errors: Array<string> = []

/** Something of everything that a checkpoint can hold. */
const graph = (() => {
  const inner = StateGraph.make("inner", State)
    .addNode("a", () => ({ n: 2 })).addNode("b", hold(100))
    .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
  return StateGraph.make("g", State)
    .addNode("first", () => ({ n: 5 }))
    .addNode("guarded", (_state, { attempt }) => attempt === 1 ? Effect.fail("no") : Effect.sleep(100), {
      retry: { maxRetries: 2, baseDelay: 10 }
    })
    .addNode("one", hold(30), { item: Schema.Number })
    .addNode("flaky", (_state, { attempt }) => attempt < 4 ? Effect.fail("no") : Effect.sleep(100))
    .addNode("good", () => ({ n: 7 }))
    .addNode("bad", () => Effect.fail("no"))
    .addSubgraph("sub", inner, same)
    .addNode("outer", () => ({}))
    .addNode("left", hold(100)).addNode("right", () => ({}))
    .addFanInNode("nested", () => ({}))
    .addFanInNode("join", (_state, { parallelResults }) => {
      for (const result of parallelResults) errors.push(String(result.get("error")))
      return { n: parallelResults.length }
    }, {
      completion: { within: 5_000 }
    })
    .addFanInNode("mapped", () => ({}))
    .setEntryPoint("first")
    .addEdge("first", "guarded")
    .addParallelMap("first", "one", "mapped", {
      items: () => [1, 2, 3, 4, 5, 6],
      concurrency: 2,
      key: (item) => `key ${item}`
    })
    .addParallelEdge("first", "flaky", "join", { retry: { maxRetries: 5, baseDelay: 10 } })
    .addParallelEdge("first", "good", "join")
    .addParallelEdge("first", "bad", "join", { circuitBreaker: { failureThreshold: 1 }, timeout: 5_000 })
    .addParallelEdge("first", "sub", "join")
    .addParallelEdge("first", "outer", "join")
    .addParallelEdge("outer", "left", "nested").addParallelEdge("outer", "right", "nested")
    .addEdge("join", "mapped").setFinishPoint("mapped")
    .compile()
})()

const saved = interrupted(graph.invoke(input, { thread }), 40)
const bodyOf = (store: Checkpointer.Service) =>
  Effect.gen(function*() {
    let body = ""
    yield* edited(store, (text) => body = text)
    return body
  })

/** How a resume of this body comes out: refused, or continued, also if that takes longer than anybody waits. */
const resumed = (
  store: Checkpointer.Service,
  body: string,
  allowed: ReadonlyArray<GraphError.CheckpointReason> = ["Unreadable", "Incompatible"]
): Effect.Effect<GraphError.CheckpointError | undefined> =>
  Effect.gen(function*() {
    const copy = yield* edited(store, () => body)
    const fiber = yield* Effect.forkChild(within(copy)(graph.resume(thread)), { startImmediately: true })
    yield* settled
    yield* TestClock.adjust("10 hours")
    const exit = fiber.pollUnsafe()
    if (exit === undefined) yield* Fiber.interrupt(fiber)
    if (exit === undefined || Exit.isSuccess(exit)) return undefined
    const [reason] = exit.cause.reasons
    if (reason === undefined || !Cause.isFailReason(reason)) return yield* Effect.die(Cause.pretty(exit.cause))
    const { error } = reason
    if (!(error instanceof GraphError.CheckpointError)) return undefined
    assert.include(allowed, error.reason, error.message)
    return error
  }).pipe(Effect.provide(Logger.layer([])))

/** Errors name the place itself, or one around or inside it. */
const isNear = (path: string, at: string): boolean => at !== "" && (path.startsWith(at) || at.startsWith(path))

const wrong = [null, true, "text", -1, 1.5, 1e300, Number.MAX_SAFE_INTEGER, [], {}, [[1, 2]], { __proto__: null, a: 1 }]

describe("a checkpoint with something else at one place", () => {
  it.effect("holds everything that there is", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(yield* saved)
      for (
        const key of [
          "inner",
          "call",
          "attemptMs",
          "waitMs",
          "joins",
          "flows",
          "maps",
          "items",
          "item",
          "result",
          "circuits",
          "errors",
          "line"
        ]
      ) assert.include(body, `"${key}":`)
    }))

  it.effect("is refused with the path of what is wrong, or continued", () =>
    Effect.gen(function*() {
      const store = yield* saved
      const value = JSON.parse(yield* bodyOf(store))
      let refused = 0
      const places = [...placesIn(value)].filter((path) => path.length > 0)
      for (const [i, path] of places.entries()) {
        // Not all of them everywhere: they take turns.
        for (const other of [undefined, wrong[i % wrong.length]]) {
          const error = yield* resumed(store, JSON.stringify(put(value, path, other)))
          if (error === undefined) continue
          refused++
          if (error.reason !== "Unreadable") continue
          const [, at = ""] = /at (\S+)$/.exec(error.issue) ?? []
          assert.isTrue(isNear(nameOf(path), at), `${nameOf(path)} is ${JSON.stringify(other)}: ${error.issue}`)
        }
      }
      assert.isAbove(refused, places.length)
    }), 300_000)
})

describe("a checkpoint whose text is damaged", () => {
  it.effect("is no JSON when it is cut anywhere", () =>
    Effect.gen(function*() {
      const store = yield* saved
      const body = yield* bodyOf(store)
      for (let length = 0; length < body.length; length += 97) {
        const error = yield* resumed(store, body.slice(0, length))
        assert.strictEqual(error?.reason, "Unreadable", `cut at ${length}`)
        assert.match(error!.issue, /^its body is no JSON: /)
      }
    }))

  it.effect("is no saved run when it is other JSON", () =>
    Effect.gen(function*() {
      const store = yield* saved
      for (
        const body of ["null", "1", `"text"`, "[]", "{}", "[[[]]]", `{"format":1}`, `{"main":{}}`, `{"__proto__":{}}`]
      ) {
        assert.strictEqual((yield* resumed(store, body))?.reason, "Unreadable", body)
      }
    }))

  it.effect("is refused by its format, whatever else is in it", () =>
    Effect.gen(function*() {
      const store = yield* saved
      for (const format of ["2", "0", `"1"`, "null", "[1]", "1.5"]) {
        const error = yield* resumed(store, `{"format":${format},"new":{}}`)
        assert.deepStrictEqual([error?.reason, error?.issue], [
          "Incompatible",
          `it has format ${format}, this version reads format 1`
        ])
      }
    }))
})

describe("a checkpoint that is nested too deep", () => {
  const deep = (levels: number, open: string, close: string, inside: string) =>
    open.repeat(levels) + inside + close.repeat(levels)
  const state = `"state":{"n":1}`
  const line = (at: string, rest: string) =>
    `{${state},"at":"${at}","phase":"before","steps":0,"visits":[],"elapsedMs":0,${rest}}`
  const whole = (main: string) => `{"format":1,"graph":"g","fingerprint":"","runId":"r","main":${main},"circuits":[]}`

  const bodies: Readonly<Record<string, (levels: number) => string>> = {
    "in graphs that are nodes": (levels) => {
      const [open, close] = line("sub", `"joins":[],"inner":#`).split("#") as [string, string]
      return whole(deep(levels, open, close, line("sub", `"joins":[]`)))
    },
    "in flows of flows": (levels) => {
      const flow = `{"from":"first","name":"outer","launch":"","rank":1,${state},"attempts":1,"errors":[],` +
        `"errorsDropped":0,"line":#}`
      const joins = `"joins":[{"fanIn":"join","launches":1,"maps":[],"flows":[${flow}]}]`
      const [open, close] = line("join", joins).split("#") as [string, string]
      return whole(deep(levels, open, close, line("outer", `"joins":[]`)))
    },
    "in a state": (levels) =>
      whole(
        `{"state":{"n":1,"any":${deep(levels, "[", "]", "")}},"at":"join","phase":"before","steps":0,` +
          `"visits":[],"elapsedMs":0,"joins":[]}`
      ),
    "in a question": (levels) =>
      whole(
        line(
          "join",
          `"joins":[],"pending":[{"node":"a","when":"asked","name":"x","payload":${deep(levels, "[", "]", "")}}]`
        )
      ),
    "from the first letter on": (levels) => deep(levels, "[", "]", "")
  }
  for (const [where, body] of Object.entries(bodies)) {
    it.effect(`${where} is refused, or continued when it is not that deep`, () =>
      Effect.gen(function*() {
        const store = yield* saved
        for (const levels of [100_000, 10_000, 3_000, 1_000, 900, 800, 700, 600, 400, 100, 2]) {
          // To write it takes more room than to read it, and to run it still more.
          const error = yield* resumed(store, body(levels), ["Unreadable", "Incompatible", "NotEncodable"])
          if (levels >= 10_000) assert.isDefined(error)
        }
        assert.deepStrictEqual(errors.filter((error) => error.includes("call stack")), [])
      }))
  }

  it.effect("in a state is not saved either", () =>
    Effect.gen(function*() {
      const any = JSON.parse(deep(10_000, "[", "]", "")) as typeof State.Type["any"] & {}
      const graph = StateGraph.make("g", State).addNode("a", () => ({ any })).addNode("b")
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      for (const durability of ["step", "async", "exit"] as const) {
        const error = yield* Effect.flip(ended(graph.invoke({ n: 1 }, { thread, durability })))
        const { issue, reason } = error as GraphError.CheckpointError
        assert.strictEqual(reason, "NotEncodable", durability)
        assert.match(issue, /^the run cannot be written as JSON: .*call stack/)
      }
    }))
})

describe("names that mean something to JavaScript", () => {
  const names = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"]

  it.effect("of nodes, branches, items, keys and circuits are names like others", () =>
    Effect.gen(function*() {
      const Odd = Schema.Struct({ n: Schema.Number, by: Schema.Record(Schema.String, Schema.Number), any: Schema.Json })
      const by = Object.fromEntries(names.map((name, i) => [name, i]))
      const any = JSON.parse(`{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`) as null
      let graph = StateGraph.make("__proto__", Odd) as unknown as Loose
      for (const name of names) graph = graph.addNode(name, () => Effect.sleep(100))
      const maps = graph.addNode("one", () => Effect.sleep(50)).addFanInNode(
        "join",
        (
          _: unknown,
          { parallelResults }: { readonly parallelResults: ReadonlyArray<{ readonly branch: string }> }
        ) => ({
          n: parallelResults.length
        })
      ) as unknown as { addParallelMap(...args: ReadonlyArray<unknown>): Loose }
      graph = maps.addParallelMap(StateGraph.START, "one", "join", {
        items: () => names,
        key: (item: string) => item,
        concurrency: 2
      })
      for (const name of names) {
        graph = graph.addParallelEdge(StateGraph.START, name, "join", { circuitBreaker: { key: name } })
      }
      const compiled = graph.setFinishPoint("join").compile() as unknown as {
        readonly invoke: (
          input: unknown,
          options: unknown
        ) => Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>
        readonly resume: (thread: string) => Effect.Effect<unknown, unknown, Checkpointer.Checkpointer>
      }
      const store = yield* interrupted(compiled.invoke({ n: 0, by, any }, { thread }), 60)
      yield* interrupted(compiled.resume(thread), 60, store)
      const end = yield* ended(compiled.resume(thread), store)
      assert.deepStrictEqual(end, { n: 10, by, any })
      assert.deepStrictEqual(Object.keys((end as { readonly by: object }).by), names)
      assert.strictEqual(({} as { readonly polluted?: unknown }).polluted, undefined)
    }))

  it.effect("pollute nothing wherever they are put into a checkpoint", () =>
    Effect.gen(function*() {
      const store = yield* saved
      const body = yield* bodyOf(store)
      const evil = `"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},`
      // Into every object of it, one after the other, and into all at once.
      const opens = [...body.matchAll(/\{(?=")/g)].map(({ index }) => index)
      for (const at of opens) yield* resumed(store, `${body.slice(0, at + 1)}${evil}${body.slice(at + 1)}`)
      yield* resumed(store, body.replaceAll(/\{(?=")/g, `{${evil}`))
      for (const name of names) {
        yield* resumed(store, body.replaceAll(`"first"`, `"${name}"`))
        yield* resumed(store, body.replaceAll(`["first",1]`, `["${name}",1]`))
        yield* resumed(store, body.replaceAll("key 1", name))
        yield* resumed(store, body.replaceAll(/"key":"[^"]*"/g, `"key":"${name}"`))
      }
      assert.strictEqual(({} as { readonly polluted?: unknown }).polluted, undefined)
      assert.isFalse("polluted" in Object || "polluted" in Function.prototype)
    }))
})
