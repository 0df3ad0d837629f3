/** Answers to questions, and updates: what is taken, what is refused, and what a refusal leaves as it was. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { Checkpointer, type GraphError, StateGraph } from "effect-stategraph"
import { TestClock } from "effect/testing"
import {
  asks,
  bad,
  completed,
  type Driver,
  failed,
  input,
  isFree,
  joined,
  questions,
  reasonOf,
  type Resuming,
  settle,
  slow,
  State,
  statuses,
  step,
  suspended,
  threaded
} from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

class User extends Schema.Class<User>("User")({ name: Schema.String, since: Schema.Date }) {}

const askingFor = <A>(schema: Schema.Codec<A, unknown>, ran: Array<string>, taken: Array<A>) =>
  make()
    .addNode("a", (state) =>
      Effect.gen(function*() {
        ran.push("?")
        const answer = yield* StateGraph.suspend("ok", schema)
        ran.push("!")
        taken.push(answer)
        return { n: state.n + 1 }
      }))
    .setEntryPoint("a").setFinishPoint("a").compile()

/** What a resume that is refused must not change. */
const unchanged = (drive: Driver, graph: Parameters<Driver["resume"]>[0], ran: Array<string>, options: Resuming) =>
  Effect.gen(function*() {
    const store = yield* Checkpointer.Checkpointer
    const [before, body, had] = [yield* store.list("t"), yield* store.load("t"), ran.length]
    const outcome = yield* drive.resume(graph, options)
    assert.deepStrictEqual(yield* store.list("t"), before)
    assert.deepStrictEqual(yield* store.load("t"), body)
    assert.isTrue(yield* isFree())
    return { outcome, newlyRan: ran.slice(had), events: drive.events.map(({ _tag }) => _tag) }
  })

describe("an answer", () => {
  const when = new Date(86_400_000)
  const user = new User({ name: "Ann", since: when })
  const kinds: ReadonlyArray<readonly [string, Schema.Codec<unknown, unknown>, given: unknown, taken: unknown]> = [
    ["a number", Schema.Number, 5, 5],
    ["a number that JSON has not", Schema.Number, NaN, NaN],
    ["its JSON", Schema.Number, "Infinity", Infinity],
    ["a date", Schema.Date, when, when],
    ["a date as JSON", Schema.Date, when.toISOString(), when],
    ["of a class", User, user, user],
    ["of a class, as JSON", User, { name: "Ann", since: when.toISOString() }, user],
    ["nothing", Schema.Void, undefined, undefined],
    ["null", Schema.NullOr(Schema.String), null, null],
    ["a bigint", Schema.BigInt, 7n, 7n],
    ["text that is to be decoded", Schema.NumberFromString, "12", 12],
    ["JSON that a value could be too", Schema.StringFromBase64, "aGk=", "hi"],
    ["a map", Schema.ReadonlyMap(Schema.String, Schema.Number), new Map([["a", 1]]), new Map([["a", 1]])],
    ["JSON", Schema.Json, { __proto__x: [1, null] }, { __proto__x: [1, null] }]
  ].map((kind) => kind as never)
  for (const [name, schema, given, expected] of kinds) {
    threaded(`can be ${name}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const taken: Array<unknown> = []
        const graph = askingFor(schema, ran, taken)
        suspended(yield* drive.begin(graph))
        completed(yield* drive.resume(graph, { answers: { ok: given } }))
        assert.deepStrictEqual(taken, [expected])
        assert.deepStrictEqual(ran, ["?", "?", "!"])
      }))
  }

  threaded("is used up when its node completes: the next round asks again", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("a", asks(ran, "a"))
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n < 3 ? "again" : "enough", { again: "a", enough: StateGraph.END })
        .compile()
      yield* drive.begin(graph)
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["ok"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["ok"])
      assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).n, 3)
      assert.strictEqual(ran.join(" "), "a? a? a a? a? a a? a? a")
    }))

  threaded("that its node did not take is not one for the next node", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("a", (state) => ran.length > 0 ? Effect.succeed({ log: ["a"] }) : asks(ran, "a")(state))
        .addNode("b", asks(ran, "b"))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      yield* drive.begin(graph)
      const second = yield* drive.resume(graph, { answers: { ok: 1 } })
      assert.deepStrictEqual(suspended(second).pending.map(({ node }) => node), ["b"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, ["a", "b=2"])
    }))

  for (const how of ["is interrupted", "fails"] as const) {
    threaded(
      `that was taken survives when the run ${how} before its node completes`,
      (drive) =>
        Effect.gen(function*() {
          const ran: Array<string> = []
          let broken = true
          const graph = make()
            .addNode("a", (state) =>
              Effect.flatMap(asks(ran, "a")(state), (update) =>
                Effect.suspend(() =>
                  !broken ? Effect.succeed(update) : how === "fails" ? bad("no") : Effect.never
                )))
            .setEntryPoint("a").setFinishPoint("a").compile()
          yield* drive.begin(graph)
          const fiber = yield* drive.startResume(graph, { answers: { ok: 4 } })
          yield* settle
          if (how === "is interrupted") {
            yield* Fiber.interrupt(fiber)
          }
          yield* Fiber.await(fiber)
          broken = false
          assert.deepStrictEqual((yield* statuses()).at(-1), how === "fails" ? "failed" : "running")
          assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, ["a=4"])
          assert.deepStrictEqual(ran, ["a?", "a?", "a", "a?", "a"])
        })
    )
  }

  threaded("to one of several questions of one flow goes to the first of them", (drive) =>
    Effect.gen(function*() {
      // Events do not tell two launches of one flow apart.
      if (drive.path === "stream") return
      const ran: Array<string> = []
      // The main line launches the same flow twice before it joins them.
      const graph = make()
        .addNode("a", step(ran, "a")).addNode("x", asks(ran, "x"))
        .addFanInNode("join", joined)
        .setEntryPoint("a")
        .addConditionalEdges("a", ({ n }) => n < 2 ? "again" : "join", { again: "a", join: "join" })
        .addParallelEdge("a", "x", "join").setFinishPoint("join").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["x/ok", "x/ok"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { "x/ok": 10 } })), ["x/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { "x/ok": 20 } })).log, [
        "x Success a,x=10",
        "x Success a,a,x=20"
      ])
    }))
})

describe("an answer that does not fit", () => {
  const Nested = Schema.Struct({ user: Schema.Struct({ ages: Schema.Array(Schema.Int) }) })
  const misfits: ReadonlyArray<readonly [string, Schema.Codec<unknown, unknown>, given: unknown, issue: RegExp]> = [
    ["a text for a number", Schema.Number, "perhaps", /"ok" does not fit: Expected .*/],
    ["null for a number", Schema.Number, null, /"ok" does not fit/],
    ["an object for a boolean", Schema.Boolean, { ok: true }, /"ok" does not fit/],
    ["deep inside", Nested, { user: { ages: [1, "two"] } }, /"ok" does not fit: .* at user\.ages\[1\]/],
    ["without a key", Nested, { user: {} }, /"ok" does not fit: .* at user\.ages/],
    ["a literal that is none", Schema.Literals(["yes", "no"]), "maybe", /"ok" does not fit/],
    ["below the minimum", Schema.Int.check(Schema.isGreaterThan(3)), 3, /"ok" does not fit/]
  ].map((misfit) => misfit as never)
  for (const [name, schema, given, issue] of misfits) {
    threaded(`is refused before anything runs: ${name}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = askingFor(schema, ran, [])
        yield* drive.begin(graph)
        const { events, newlyRan, outcome } = yield* unchanged(drive, graph, ran, { answers: { ok: given } })
        assert.strictEqual(reasonOf(outcome), "Answer")
        assert.match((failed(outcome) as GraphError.CheckpointError).message, issue)
        assert.deepStrictEqual([newlyRan, events], [[], []])
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["ok"])
      }))
  }

  const onlyTheNode: ReadonlyArray<readonly [string, Schema.Codec<unknown, unknown>, given: unknown]> = [
    ["a rule that JSON Schema has not", Schema.String.check(Schema.makeFilter((text) => text.startsWith("a"))), "b"],
    ["a value that is no JSON", Schema.Boolean, new Date(0)],
    ["undefined", Schema.Boolean, undefined],
    ["a value that JSON cannot hold", Schema.instanceOf(URL), new URL("http://localhost")],
    ["a schema without a description", Schema.instanceOf(URL), "http://localhost"]
  ].map((misfit) => misfit as never)
  for (const [name, schema, given] of onlyTheNode) {
    threaded(`is refused by the node where only that can tell: ${name}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = askingFor(schema, ran, [])
        yield* drive.begin(graph)
        const { newlyRan, outcome } = yield* unchanged(drive, graph, ran, { answers: { ok: given } })
        assert.strictEqual(reasonOf(outcome), "Answer")
        assert.deepStrictEqual(newlyRan, ["?"])
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["ok"])
      }))
  }

  const Two = (ran: Array<string>) =>
    make()
      .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y")).addNode("z", asks(ran, "z", "other"))
      .addFanInNode("join", joined)
      .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "y", "join")
      .addParallelEdge(StateGraph.START, "z", "join").setFinishPoint("join").compile()
  const names: Record<string, readonly [answers: object, issue: RegExp]> = {
    "an unknown name": [{ nope: 1 }, /no open question is called "nope", open are "x\/ok", "y\/ok", "z\/other"/],
    "the name of an object's own": [{ toString: 1, constructor: 1 }, /no open question is called "toString"/],
    "an unknown branch": [{ "w/ok": 1 }, /no open question is called "w\/ok"/],
    "a bare name of several": [{ ok: 1 }, /"ok" is the name of several open questions: "x\/ok", "y\/ok"$|;/],
    "a good one beside a bad one": [{ "x/ok": 1, nope: 1 }, /"nope"/],
    "a good one beside one of the wrong type": [{ "x/ok": 1, "y/ok": "no" }, /"y\/ok" does not fit/]
  }
  for (const [name, [answers, issue]] of Object.entries(names)) {
    threaded(`is refused before anything runs: ${name}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = Two(ran)
        yield* drive.begin(graph)
        const { events, newlyRan, outcome } = yield* unchanged(drive, graph, ran, { answers: answers as never })
        assert.strictEqual(reasonOf(outcome), "Answer")
        assert.match((failed(outcome) as GraphError.CheckpointError).message, issue)
        assert.deepStrictEqual([newlyRan, events], [[], []])
      }))
  }

  threaded("is refused before anything runs: one to what is answered already", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = Two(ran)
      yield* drive.begin(graph)
      yield* drive.resume(graph, { answers: { "x/ok": 1 } })
      const { newlyRan, outcome } = yield* unchanged(drive, graph, ran, { answers: { "x/ok": 2 } })
      assert.deepStrictEqual([reasonOf(outcome), newlyRan], ["Answer", []])
      // The bare name is of one question now.
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["z/other"])
    }))

  threaded(
    "of two answers, one that only its node can refuse does not take the other one away",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = Two(ran)
        yield* drive.begin(graph)
        const outcome = yield* drive.resume(graph, { answers: { "x/ok": 1, "y/ok": new Date(0) } })
        assert.strictEqual(reasonOf(outcome), "Answer")
        const after = suspended(yield* drive.resume(graph, { answers: { "y/ok": 2 } })).pending.map(({ branch }) =>
          branch
        )
        assert.isTrue(after.includes("z") && !after.includes("y"))
      })
  )

  threaded("of a question whose schema is another one now is asked again", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const version = (schema: Schema.Codec<unknown, unknown>) =>
        make().addNode("a", () =>
          Effect.gen(function*() {
            const first = yield* StateGraph.suspend("first", schema)
            const second = yield* StateGraph.suspend("second", Schema.Number)
            return { log: [String(first), String(second)] }
          })).setEntryPoint("a").setFinishPoint("a").compile()
      yield* drive.begin(version(Schema.Number))
      assert.deepStrictEqual(questions(yield* drive.resume(version(Schema.Number), { answers: { first: 1 } })), [
        "second"
      ])
      const changed = version(Schema.Literals(["one"]))
      assert.deepStrictEqual(questions(yield* drive.resume(changed, { answers: { second: 2 } })), ["first"])
      void ran
    }))
})

describe("a payload", () => {
  threaded("that is no JSON fails the run, and is asked again after a resume", (drive) =>
    Effect.gen(function*() {
      for (
        const [thread, payload] of Object.entries({
          map: new Map(),
          bigint: { at: [1n] },
          text: () => 1,
          nan: NaN
        })
      ) {
        const graph = (payload: unknown) =>
          make()
            .addNode("a", step([], "a"))
            .addNode("b", () => Effect.map(StateGraph.suspend("ok", Schema.Number, payload), (n) => ({ n })))
            .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
        const outcome = yield* drive.begin(graph(payload), { thread })
        assert.strictEqual(reasonOf(outcome), "NotEncodable")
        assert.match((failed(outcome) as GraphError.CheckpointError).message, /payload of the question "ok"/)
        assert.isTrue(yield* isFree(thread))
        const next = suspended(yield* drive.resume(graph({ at: [1] }), undefined, thread))
        assert.deepStrictEqual([next.pending[0]?.payload, next.state.log], [{ at: [1] }, ["a"]])
      }
    }))
})

describe("an update", () => {
  const graphOf = (ran: Array<string>) =>
    make()
      .addNode("a", asks(ran, "a")).addNode("x", asks(ran, "x")).addNode("outer", asks(ran, "outer", "go"))
      .addNode("y", asks(ran, "y"))
      .addFanInNode("inner", joined).addFanInNode("join", joined)
      .setEntryPoint("a")
      .addParallelEdge("a", "x", "join").addParallelEdge("a", "outer", "join").addParallelEdge("outer", "y", "inner")
      .setFinishPoint("join").compile()

  threaded("changes the state of the main line, or of one flow, however deep", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = graphOf(ran)
      yield* drive.begin(graph)
      yield* drive.resume(graph, { answers: { ok: 1 }, update: { log: ["new"] } })
      yield* drive.resume(graph, { answers: { go: 1 } })
      yield* drive.resume(graph, { update: { branch: "x", patch: { log: ["x new"] } } })
      yield* drive.resume(graph, { update: { branch: "outer/y", patch: { log: ["y new"] } } })
      const last = completed(yield* drive.resume(graph, { answers: { "x/ok": 2, "outer/y/ok": 3 } }))
      assert.deepStrictEqual(last.log, [
        "x Success x new,x=2",
        "outer Success outer/y Success y new,y=3"
      ])
    }))

  threaded("is saved before anything runs", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let broken = true
      const graph = make()
        .addNode("a", asks(ran, "a")).addNode("b", (state) => broken ? bad("no") : step(ran, "b")(state))
        .setEntryPoint("a").addEdge("a", "b").setFinishPoint("b").compile()
      yield* drive.begin(graph)
      const store = yield* Checkpointer.Checkpointer
      const before = (yield* store.list("t")).length
      const outcome = yield* drive.resume(graph, { update: { log: ["new"] } })
      assert.deepStrictEqual(suspended(outcome).state.log, ["new"])
      assert.strictEqual((yield* store.list("t")).length, before + 2)
      failed(yield* drive.resume(graph, { answers: { ok: 1 } }))
      broken = false
      assert.deepStrictEqual(completed(yield* drive.resume(graph)).log, ["new", "a=1", "b"])
    }))

  const wrong: Record<string, readonly [update: unknown, issue: RegExp]> = {
    "a key that is not in the state": [{ m: 1 }, /the key "m" is not in the state, its keys are n, log/],
    "a value of another type": [{ n: "one" }, /at state\.n/],
    "a value of another type inside of a list": [{ log: ["a", 1] }, /at state\.log\[1\]/],
    "a required key unset": [{ n: undefined }, /at state\.n/],
    "no object": ["n", /the patch is no object/],
    "null": [null, /the patch is no object/],
    "a list": [[1], /the patch is no object/],
    "a prototype": [JSON.parse(`{"__proto__": {"n": 1}}`), /the key "__proto__" is not in the state/],
    "an unknown flow": [{ branch: "nope", patch: { n: 1 } }, /there is no such flow/],
    "a flow that has settled": [{ branch: "done", patch: { n: 1 } }, /the flow has settled/],
    "a key that is not in a flow's state": [{ branch: "x", patch: { m: 1 } }, /the key "m" is not in the state/],
    "a flow's patch that is none": [{ branch: "x", patch: 1 }, /the patch is no object/]
  }
  for (const [name, [update, issue]] of Object.entries(wrong)) {
    threaded(`is refused before anything runs: ${name}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x", asks(ran, "x")).addNode("done", step(ran, "done")).addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "done", "join")
          .setFinishPoint("join").compile()
        yield* drive.begin(graph)
        const options = { update: update as never, answers: { ok: 1 } }
        const { events, newlyRan, outcome } = yield* unchanged(drive, graph, ran, options)
        const error = failed(outcome) as GraphError.InvalidUpdateError
        assert.strictEqual(error._tag, "InvalidUpdateError")
        assert.match(error.message, issue)
        assert.deepStrictEqual([newlyRan, events], [[], []])
        completed(yield* drive.resume(graph, { answers: { ok: 1 } }))
      }))
  }

  threaded("of a state with a key named patch can still be of a flow", (drive) =>
    Effect.gen(function*() {
      const Patched = Schema.Struct({ patch: Schema.String })
      const graph = StateGraph.make("g", Patched)
        .addNode("x", ({ patch }) =>
          Effect.map(StateGraph.suspend("ok", Schema.Number), (n) => ({ patch: `${patch}${n}` })))
        .addFanInNode("join", (_, { parallelResults }) => ({ patch: parallelResults[0]!.state.patch }))
        .addParallelEdge(StateGraph.START, "x", "join").setFinishPoint("join").compile()
      yield* drive.begin(graph, {}, { patch: "" })
      yield* drive.resume(graph, { update: { patch: "main" } as never })
      const update = { branch: "x", patch: { patch: "flow" } } as never
      const last = yield* drive.resume(graph, { update, answers: { ok: 1 } })
      assert.deepStrictEqual(completed(last) as unknown, { patch: "flow1" })
    }))
})

describe("many", () => {
  threaded(
    "flows of one run that wait are one checkpoint, and are answered in any order",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("each", (state, { item }) => asks(ran, `${item}`)(state), { item: Schema.Number })
          .addFanInNode("join", joined)
          .addParallelMap(StateGraph.START, "each", "join", { items: () => Array.from({ length: 50 }, (_, i) => i) })
          .setFinishPoint("join").compile()
        let outcome = yield* drive.begin(graph)
        assert.strictEqual(suspended(outcome).pending.length, 50)
        assert.deepStrictEqual((yield* statuses()).filter((status) => status === "suspended"), ["suspended"])
        // 7 and 50 have no common divisor: every flow once, in an order of its own.
        for (let i = 0; i < 50; i++) {
          const flow = (i * 7 + 3) % 50
          outcome = yield* drive.resume(graph, { answers: { [`each[${flow}]/ok`]: flow } })
          if (i < 49) assert.strictEqual(suspended(outcome).pending.length, 49 - i)
        }
        const expected = Array.from({ length: 50 }, (_, i) => `each[${i}] Success ${i}=${i}`)
        assert.deepStrictEqual(completed(outcome).log, expected)
        // Asked once at first, and once more with its answer: those that nobody answered did not run again.
        assert.strictEqual(ran.length, 150)
      })
  )

  threaded("runs that wait in one instant are as many checkpoints", (drive) =>
    Effect.gen(function*() {
      const graph = make()
        .addNode("a", (state) => Effect.delay(asks([], "a")(state), 10))
        .setEntryPoint("a").setFinishPoint("a").compile()
      const fibers = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => `t${i}`),
        (thread) => Effect.forkChild(Effect.flip(graph.invoke(input, { thread })), { startImmediately: true })
      )
      yield* settle
      yield* TestClock.adjust(10)
      const errors = yield* Effect.forEach(fibers, Fiber.join)
      const ids = errors.map((error) => (error as GraphError.GraphSuspended).checkpointId)
      assert.strictEqual(new Set(ids).size, 50)
      for (const i of [49, 0, 7]) {
        assert.strictEqual(completed(yield* drive.resume(graph, { answers: { ok: i } }, `t${i}`)).n, i)
      }
      void slow
    }))
})
