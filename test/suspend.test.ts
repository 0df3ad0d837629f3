/** Questions of nodes: where they can be asked, and what goes on meanwhile. */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { StateGraph } from "effect-stategraph"
import {
  asks,
  bad,
  completed,
  joined,
  questions,
  type State as StateType,
  step,
  suspended,
  threaded
} from "./support/threads.ts"
import { State } from "./support/threads.ts"

const make = (name = "g") => StateGraph.make(name, State)

describe("a question", () => {
  threaded(
    "on the main line stops the run where it stands, and its answer continues it there",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("a", step(ran, "a")).addNode("b", asks(ran, "b")).addNode("c", step(ran, "c"))
          .setEntryPoint("a").addEdge("a", "b").addEdge("b", "c").setFinishPoint("c").compile()
        const first = suspended(yield* drive.begin(graph))
        assert.deepStrictEqual(first.pending, [{
          node: "b",
          when: "asked",
          name: "ok",
          schema: first.pending[0]!.schema!
        }])
        assert.deepStrictEqual(first.state, { n: 1, log: ["a"] })
        assert.strictEqual(first.at, 0)
        // Nobody answers: it waits on, and nothing but the asking node runs.
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["ok"])
        assert.deepStrictEqual(ran, ["a", "b?"])
        const last = yield* drive.resume(graph, { answers: { ok: 10 } })
        assert.deepStrictEqual(completed(last), { n: 12, log: ["a", "b=10", "c"] })
        assert.deepStrictEqual(ran, ["a", "b?", "b?", "b", "c"])
      })
  )

  threaded("in flows, three deep, is answered by the path of its flow", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("one").addNode("two").addNode("three", asks(ran, "three"))
        .addNode("beside", asks(ran, "beside"))
        .addFanInNode("join3", joined).addFanInNode("join2", joined).addFanInNode("join1", joined)
        .addParallelEdge(StateGraph.START, "one", "join1")
        .addParallelEdge("one", "two", "join2")
        .addParallelEdge("one", "beside", "join2")
        .addParallelEdge("two", "three", "join3")
        .setFinishPoint("join1").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["one/two/three/ok", "one/beside/ok"])
      const second = yield* drive.resume(graph, { answers: { "one/two/three/ok": 3 } })
      assert.deepStrictEqual(questions(second), ["one/beside/ok"])
      const last = completed(yield* drive.resume(graph, { answers: { "one/beside/ok": 2 } }))
      assert.deepStrictEqual(last.log, [
        "one Success one/two Success one/two/three Success three=3,one/beside Success beside=2"
      ])
      assert.deepStrictEqual(ran, ["beside?", "three?", "three?", "three", "beside?", "beside"])
    }))

  threaded(
    "of a fan-in is asked once its flows have settled, and they do not run again",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x", step(ran, "x")).addNode("y", step(ran, "y"))
          .addFanInNode("join", (state, { parallelResults }) =>
            Effect.map(asks(ran, "join")(state), ({ n }) => ({
              n,
              log: parallelResults.map(({ branch }) => branch)
            })))
          .addParallelEdge(StateGraph.START, "x", "join").addParallelEdge(StateGraph.START, "y", "join")
          .setFinishPoint("join").compile()
        assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["ok"])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 5 } })), { n: 5, log: ["x", "y"] })
        assert.deepStrictEqual(ran, ["x", "y", "join?", "join?", "join"])
      })
  )

  threaded("of a fan-in inside of a flow names that flow", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("outer", step(ran, "outer")).addNode("x", step(ran, "x"))
        .addFanInNode("inner", asks(ran, "inner"))
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "outer", "join").addParallelEdge("outer", "x", "inner")
        .setFinishPoint("join").compile()
      const first = suspended(yield* drive.begin(graph))
      assert.deepStrictEqual(first.pending.map(({ branch, node }) => [branch, node]), [["outer", "inner"]])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 5 } })).log, [
        "outer Success outer,inner=5"
      ])
      assert.deepStrictEqual(ran, ["outer", "x", "inner?", "inner?", "inner"])
    }))

  threaded("of a graph that is a node is one of the graph around it", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const inner = make("inner")
        .addNode("first", asks(ran, "first"))
        .addNode("x", asks(ran, "x")).addNode("y", asks(ran, "y"))
        .addFanInNode("join", joined)
        .setEntryPoint("first")
        .addParallelEdge("first", "x", "join").addParallelEdge("first", "y", "join")
        .setFinishPoint("join").compile()
      const graph = make()
        .addNode("a", step(ran, "a"))
        .addSubgraph("sub", inner, { input: (state) => state, output: (state) => state })
        .addNode("z", step(ran, "z"))
        .setEntryPoint("a").addEdge("a", "sub").addEdge("sub", "z").setFinishPoint("z").compile()
      const first = suspended(yield* drive.begin(graph))
      assert.deepStrictEqual(first.pending.map(({ branch, name, node }) => [branch, node, name]), [
        [undefined, "sub/first", "ok"]
      ])
      // Of the line around: the graph inside has not come to its end.
      assert.deepStrictEqual(first.state, { n: 1, log: ["a"] })
      const second = yield* drive.resume(graph, { answers: { ok: 1 } })
      assert.deepStrictEqual(questions(second), ["sub/x/ok", "sub/y/ok"])
      assert.deepStrictEqual(suspended(second).pending.map(({ node }) => node), ["sub/x", "sub/y"])
      const third = yield* drive.resume(graph, { answers: { "sub/y/ok": 2 } })
      assert.deepStrictEqual(questions(third), ["sub/x/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { "sub/x/ok": 3 } })), {
        n: 3,
        log: ["x Success a,first=1,x=3", "y Success a,first=1,y=2", "z"]
      })
      assert.strictEqual(ran.join(" "), "a first? first? first x? y? y? y x? x z")
    }))

  threaded("of a graph that is a node of a flow, and has a policy", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const inner = make("inner").addNode("ask", asks(ran, "ask")).setEntryPoint("ask").setFinishPoint("ask").compile()
      const graph = make()
        .addSubgraph("sub", inner, {
          input: (state) => state,
          output: (state) => state,
          retry: { maxRetries: 2 },
          timeout: 50
        })
        .addFanInNode("join", joined)
        .addParallelEdge(StateGraph.START, "sub", "join")
        .setFinishPoint("join").compile()
      const first = suspended(yield* drive.begin(graph))
      assert.deepStrictEqual(first.pending.map(({ branch, name, node }) => [branch, node, name]), [
        ["sub", "sub/ask", "ok"]
      ])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { "sub/ok": 1 } })).log, [
        "sub Success ask=1"
      ])
      assert.deepStrictEqual(ran, ["ask?", "ask?", "ask"])
    }))

  threaded("of the items of a map has the item's key in its path", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("each", (state, { item }) => asks(ran, `each ${item}`)(state), { item: Schema.String })
        .addFanInNode("join", joined)
        .addParallelMap(StateGraph.START, "each", "join", { items: () => ["p", "q", "r"], key: (item) => item })
        .setFinishPoint("join").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["each[p]/ok", "each[q]/ok", "each[r]/ok"])
      const second = yield* drive.resume(graph, { answers: { "each[q]/ok": 2, "each[r]/ok": 3 } })
      assert.deepStrictEqual(questions(second), ["each[p]/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 1 } })).log, [
        "each[p] Success each p=1",
        "each[q] Success each q=2",
        "each[r] Success each r=3"
      ])
    }))

  threaded(
    "of a condition is asked by the node before it, which does not run again",
    (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("a", step(ran, "a")).addNode("yes", step(ran, "yes")).addNode("no", step(ran, "no"))
          .setEntryPoint("a")
          .addConditionalEdges(
            "a",
            () => Effect.map(StateGraph.suspend("go", Schema.Boolean), (go) => go ? "yes" : "no"),
            { yes: "yes", no: "no" }
          )
          .setFinishPoint("yes").setFinishPoint("no").compile()
        const first = suspended(yield* drive.begin(graph))
        assert.deepStrictEqual(first.pending.map(({ name, node }) => [node, name]), [["a", "go"]])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { go: false } })).log, ["a", "no"])
        assert.deepStrictEqual(ran, ["a", "no"])
      })
  )

  threaded("of the first condition, and of one in a flow", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const decide = () => Effect.map(StateGraph.suspend("go", Schema.Literals(["p", "q"])), (go) => go)
      const graph = make()
        .addNode("p", step(ran, "p")).addNode("q", step(ran, "q")).addNode("end", step(ran, "end"))
        .addNode("x", step(ran, "x")).addNode("x1", step(ran, "x1"))
        .addFanInNode("join", joined)
        .addConditionalEdges(StateGraph.START, decide, { p: "p", q: "q" })
        .addEdge("p", "end").addEdge("q", "end")
        .addParallelEdge("end", "x", "join")
        .addConditionalEdges("x", decide, { p: "x1", q: StateGraph.END })
        .setFinishPoint("join").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["go"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { go: "q" } })), ["x/go"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { go: "p" } })).log, [
        "x Success q,end,x,x1"
      ])
      assert.deepStrictEqual(ran, ["q", "end", "x", "x1"])
    }))

  const policies = {
    "a timeout": { timeout: 50 },
    "a retry": { retry: { maxRetries: 3 } },
    "a circuit": { circuitBreaker: { failureThreshold: 1 } },
    "a limit": { limit: { key: "one", permits: 1, queue: 0 } },
    "an update as its fallback": { fallback: { n: -1 } },
    "all of it": {
      timeout: 50,
      retry: { maxRetries: 3 },
      circuitBreaker: { failureThreshold: 1 },
      limit: { key: "one", permits: 1, queue: 0 },
      fallback: { n: -1 }
    }
  } as const
  for (const [name, policy] of Object.entries(policies)) {
    threaded(
      `of a node with ${name} is no failure of it, on the main line and in a flow`,
      (drive) =>
        Effect.gen(function*() {
          const ran: Array<string> = []
          const graph = make()
            .addNode("a", asks(ran, "a"), policy)
            .addNode("x", asks(ran, "x"), policy)
            .addFanInNode("join", joined)
            .setEntryPoint("a").addParallelEdge("a", "x", "join").setFinishPoint("join").compile()
          assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["ok"])
          assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["x/ok"])
          assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, [
            "x Success a=1,x=2"
          ])
          assert.deepStrictEqual(ran, ["a?", "a?", "a", "x?", "x?", "x"])
          const circuits = yield* graph.circuitStates
          assert.deepStrictEqual(
            circuits.map(({ failureCount, state }) => [failureCount, state]),
            circuits.map(() => [0, "CLOSED"])
          )
        })
    )
    threaded(`of a flow with ${name} is no failure of it`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x", asks(ran, "x"))
          .addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join", policy).setFinishPoint("join").compile()
        assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["x/ok"])
        assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["x/ok"])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, ["x Success x=2"])
        assert.deepStrictEqual(ran, ["x?", "x?", "x"])
      }))
  }

  threaded("of a node that stands in for another one", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make()
        .addNode("plan b", asks(ran, "plan b"))
        .addNode("a", () => bad("no"), { fallback: "plan b" })
        .addNode("x", () => bad("no"))
        .addNode("end", step(ran, "end"))
        .addFanInNode("join", joined)
        .setEntryPoint("a").addEdge("a", "end")
        .addParallelEdge("end", "x", "join", { fallback: "plan b" })
        .setFinishPoint("join").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["ok"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { ok: 1 } })), ["x/ok"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { ok: 2 } })).log, [
        "x Success plan b=1,end,plan b=2"
      ])
      assert.deepStrictEqual(ran, ["plan b?", "plan b?", "plan b", "end", "plan b?", "plan b?", "plan b"])
    }))
})

describe("several questions of one node", () => {
  const twice = (concurrency: number, ran: Array<string>) => (state: StateType) =>
    Effect.gen(function*() {
      ran.push("?")
      const [p, q] = yield* Effect.all(
        [StateGraph.suspend("p", Schema.Number), StateGraph.suspend("q", Schema.String)],
        { concurrency }
      )
      return { n: p, log: [...state.log, q] }
    })

  threaded("come one after the other when they are asked so", (drive) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const graph = make().addNode("a", twice(1, ran)).setEntryPoint("a").setFinishPoint("a").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["p"])
      assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: { p: 1 } })), ["q"])
      // The answer to the first one is kept until the node completes.
      assert.deepStrictEqual(questions(yield* drive.resume(graph)), ["q"])
      assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: { q: "b" } })), { n: 1, log: ["b"] })
      assert.deepStrictEqual(ran, ["?", "?", "?"])
    }))

  for (const order of [["p", "q"], ["q", "p"]] as const) {
    threaded(`asked at once are open at once, answered ${order.join(" before ")}`, (drive) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const graph = make()
          .addNode("x", twice(2, ran)).addFanInNode("join", joined)
          .addParallelEdge(StateGraph.START, "x", "join", { retry: { maxRetries: 1 } })
          .setFinishPoint("join").compile()
        const answers = { p: { p: 1 }, q: { q: "b" } }
        assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["x/p", "x/q"])
        assert.deepStrictEqual(questions(yield* drive.resume(graph, { answers: answers[order[0]] })), [`x/${order[1]}`])
        assert.deepStrictEqual(completed(yield* drive.resume(graph, { answers: answers[order[1]] })).log, [
          "x Success b"
        ])
        assert.deepStrictEqual(ran, ["?", "?", "?"])
      }))
  }

  threaded("can all be answered by one resume", (drive) =>
    Effect.gen(function*() {
      for (const concurrency of [1, 2]) {
        const ran: Array<string> = []
        const graph = make().addNode("a", twice(concurrency, ran)).setEntryPoint("a").setFinishPoint("a").compile()
        yield* drive.begin(graph, { thread: `${concurrency}` })
        if (concurrency === 1) yield* drive.resume(graph, { answers: { p: 1 } }, "1")
        const answers = concurrency === 1 ? { q: "b" } : { p: 1, q: "b" }
        const last = yield* drive.resume(graph, { answers }, `${concurrency}`)
        assert.deepStrictEqual(completed(last), { n: 1, log: ["b"] })
      }
    }))

  threaded("of one name in one node have one answer", (drive) =>
    Effect.gen(function*() {
      const graph = make().addNode("a", () =>
        Effect.gen(function*() {
          const p = yield* StateGraph.suspend("p", Schema.Number)
          const again = yield* StateGraph.suspend("p", Schema.Number)
          return { n: p + again }
        })).setEntryPoint("a").setFinishPoint("a").compile()
      assert.deepStrictEqual(questions(yield* drive.begin(graph)), ["p"])
      assert.strictEqual(completed(yield* drive.resume(graph, { answers: { p: 2 } })).n, 4)
    }))
})
