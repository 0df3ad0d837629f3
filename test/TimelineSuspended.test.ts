/** Runs that wait for somebody, and those that go on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Timeline } from "effect-stategraph"
import type { Diagram } from "../src/Diagram.ts"
import { modelOf } from "../src/internal/timelineModel.ts"
import { ofEvents } from "../src/internal/timelineSeen.ts"
import { ofDiagram } from "../src/internal/timelineShape.ts"
import { approvals, partsOf, reviews } from "./support/suspended.ts"
import { at, drawn, laneOf, on, result } from "./support/timeline.ts"

const answered = [{ "approval/ok": true }, { signature: "me" }]

const visible = (page: string): string => page.replace(/<(style|script)>[^]*?<\/\1>/g, "").replace(/<[^>]*>/g, "\n")

describe("a run that waits for somebody", () => {
  it.effect("shows what ran until it asked, and what it waits for", () =>
    Effect.gen(function*() {
      const { runs: [run] } = modelOf(yield* partsOf(approvals, []))
      assert.strictEqual(run?.outcome, "suspended")
      assert.deepStrictEqual(drawn(run), ["node success 0-10", "gather open 10-34"])
      assert.deepStrictEqual(drawn(run, "approval"), ["attempt suspended 10-16", "ask suspended 16-34"])
      assert.deepStrictEqual(laneOf(run, "approval").segments.map(({ details, label }) => [label, ...details]), [
        [
          "1",
          "attempt 1 was stopped to wait after 6 ms",
          "waits for an answer to “ok”",
          "node read completed after 6 ms",
          "node approve asked “ok” after 0 ms"
        ],
        ["waits for an answer to “ok”", "waits for an answer to “ok”"]
      ])
      const row = run?.rows.find(({ branch }) => branch === "approval")
      assert.deepInclude(row, { outcome: "suspended", attempts: 1, startMs: 10, note: "waits for an answer to “ok”" })
    }))

  it.effect("says so before anything else, as long as nobody has resumed it", () =>
    Effect.gen(function*() {
      const headline = (page: string) => /<p class="waits">(.*?)<\/p>/.exec(page)?.[1]?.replace(/<[^>]*>/g, "")
      const first = Timeline.fromEvents(yield* partsOf(approvals, []))
      assert.strictEqual(headline(first), "? Run 1 waits for an answer to “ok” of approval")
      assert.include(visible(first), "Run 1 waits for an answer to “ok” of approval: it was suspended after 34 ms;")
      const second = Timeline.fromEvents(yield* partsOf(approvals, answered.slice(0, 1)))
      assert.strictEqual(headline(second), "? Run 1 waits for an answer to “signature”")
      assert.isUndefined(headline(Timeline.fromEvents(yield* partsOf(approvals, answered))))
    }))

  it.effect("is told from one that failed in its lane, in the table and in the graph", () =>
    Effect.gen(function*() {
      const page = Timeline.fromEvents(yield* partsOf(approvals, []), { diagram: approvals.diagram })
      assert.match(page, /<li class="lane suspended"><div class="who"><bdi class="name" title="approval">/)
      assert.match(
        page,
        /<tr class="suspended"><td><bdi>approval<\/bdi><\/td><td[^>]*><span class="g">\?<\/span> waits for/
      )
      assert.include(page, `<tspan class="suspended">?<title>run 1: approval waits for an answer</title></tspan>`)
      assert.notInclude(page, "lane failure")
      assert.notInclude(page, `class="s interrupted"`)
    }))

  it.effect("names all that it waits for, and that nobody can resume it when it was not saved", () =>
    Effect.gen(function*() {
      const { runs: [run] } = modelOf(yield* partsOf(reviews, [], { thread: false }))
      assert.strictEqual(
        run?.summary,
        "Run 1 waits for answers to “keep” of look[@scope/a] and “keep” of look[@scope/b]: it was suspended after " +
          "12 ms, and was not saved, so that it cannot be resumed."
      )
    }))

  it("may stop at a point, with flows that wait for others", () => {
    const pending = [{ branch: "outer/inner", node: "sign", when: "before", name: "sign" }]
    const { runs: [run] } = modelOf([
      at(0, "GraphStarted"),
      at(0, "FlowStarted", on("outer")),
      at(0, "AttemptStarted", on("outer")),
      at(0, "NodeStarted", on("outer", { node: "n" })),
      at(5, "NodeCompleted", on("outer", { node: "n" })),
      at(5, "FlowStarted", on("outer/inner", { fanIn: "within" })),
      at(5, "AttemptStarted", on("outer/inner", { fanIn: "within" })),
      at(5, "NodeStarted", on("outer/inner", { fanIn: "within", node: "m" })),
      at(8, "NodeCompleted", on("outer/inner", { fanIn: "within", node: "m" })),
      at(20, "AttemptInterrupted", on("outer")),
      at(20, "AttemptInterrupted", on("outer/inner", { fanIn: "within" })),
      at(21, "FlowSuspended", { branch: "outer/inner", fanIn: "within", pending }),
      at(21, "FlowSuspended", { branch: "outer", fanIn: "join", pending }),
      at(22, "GraphSuspended", {
        checkpointId: "c",
        pending: [...pending, { node: "end", when: "after", name: "end" }]
      })
    ])
    assert.deepStrictEqual(drawn(run, "outer/inner"), ["attempt suspended 5-8", "ask suspended 8-22"])
    assert.deepStrictEqual(drawn(run, "outer"), ["attempt suspended 0-20", "ask suspended 20-22"])
    assert.deepStrictEqual(run?.rows.map(({ note }) => note), [
      "waits before sign of outer/inner",
      "waits before sign"
    ])
    assert.strictEqual(
      run?.summary,
      "Run 1 waits before sign of outer/inner and after end: it was suspended after 22 ms."
    )
  })
})

describe("a run that was resumed", () => {
  it.effect("is one run in several parts, with the time between them", () =>
    Effect.gen(function*() {
      const { runs } = modelOf(yield* partsOf(approvals, answered))
      assert.deepStrictEqual(
        runs.map(({ isContinued, number, outcome, part, pausedMs }) => [number, part, pausedMs, outcome, isContinued]),
        [
          [1, 1, undefined, "suspended", true],
          [1, 2, 966, "suspended", true],
          [1, 3, 997, "success", false]
        ]
      )
      assert.deepStrictEqual(drawn(runs[1]), ["fanIn success 0-3", "ask suspended 3-3"])
      assert.deepStrictEqual(drawn(runs[1], "approval"), ["attempt success 0-0"])
      assert.deepStrictEqual(runs.map(({ summary }) => summary).slice(1), [
        "Run 1, part 2 (resumed after 966 ms) was suspended after 3 ms, and waited for an answer to “signature”; " +
        "approval succeeded.",
        "Run 1, part 3 (resumed after 997 ms) took 0 ms."
      ])
    }))

  it.effect("goes on in part, while another flow waits still", () =>
    Effect.gen(function*() {
      const { runs: [, second] } = modelOf(yield* partsOf(reviews, [{ "look[@scope/a]/keep": true }]))
      assert.deepStrictEqual(second?.lanes.map(({ branch }) => drawn(second, branch)), [
        ["gather open 0-2"],
        ["attempt success 0-2"],
        ["ask suspended 0-2"]
      ])
      assert.deepStrictEqual(laneOf(second, undefined).segments[0]?.details, [
        "waited for flows until the run was suspended"
      ])
      assert.deepStrictEqual(second?.pending.map(({ branch }) => branch), ["look[@scope/b]"])
    }))

  it.effect("has a section for each part, with a pause before it, and a link to it", () =>
    Effect.gen(function*() {
      const page = Timeline.fromEvents(yield* partsOf(approvals, answered))
      const sections = [...page.matchAll(/<section class="run[^"]*" id="([^"]*)"/g)].map(([, id]) => id)
      assert.deepStrictEqual(sections, ["run-1", "run-1-2", "run-1-3"])
      for (const id of sections) assert.include(page, `href="#${id}"`)
      assert.deepStrictEqual([...page.matchAll(/<h2[^>]*>(.*?)<\/h2>/g)].map(([, text]) => text), [
        "Run 1, part 1",
        "Run 1, part 2",
        "Run 1, part 3"
      ])
      assert.strictEqual(page.match(/class="pause"/g)?.length, 2)
      assert.include(visible(page), "stood still for 966 ms, then was resumed")
      assert.include(visible(page), "1 run of approvals")
    }))

  it.effect("is drawn as the graph that it is, and with the last that is known of each flow", () =>
    Effect.gen(function*() {
      const events = yield* partsOf(approvals, answered)
      const edges = ({ edges }: ReturnType<typeof ofDiagram>) =>
        edges.map(({ from, kind, label, to }) => `${from} ${kind} ${to} ${label}`).sort()
      assert.deepStrictEqual(edges(ofEvents(events, "approvals")), edges(ofDiagram(approvals.diagram)))
      for (const diagram of [approvals.diagram, undefined]) {
        const page = Timeline.fromEvents(events, { diagram })
        assert.include(page, `<title>run 1: approval succeeded</title>`)
        assert.notInclude(page, `<title>run 1: approval waits for an answer</title>`)
      }
    }))

  it("is the same run also after a crash, but not after a good end, and not when it was not saved", () => {
    const parts = (...between: ReadonlyArray<ReturnType<typeof at>>) =>
      modelOf([at(0, "GraphStarted"), at(1, "NodeStarted", { node: "n" }), ...between, at(9, "GraphStarted")])
        .runs.map(({ number, part }) => [number, part])
    const saved = at(2, "CheckpointSaved", { id: "c" })
    const failed = at(3, "GraphFailed", { error: "no", errorType: "X" })
    assert.deepStrictEqual(parts(saved), [[1, 1], [1, 2]])
    assert.deepStrictEqual(parts(saved, failed), [[1, 1], [1, 2]])
    assert.deepStrictEqual(parts(at(3, "GraphSuspended", { pending: [] })), [[1, 1], [1, 2]])
    assert.deepStrictEqual(parts(failed), [[1, 1], [2, 1]])
    assert.deepStrictEqual(parts(saved, at(3, "GraphCompleted")), [[1, 1], [2, 1]])
  })

  it("does not take the time of both parts for that of one, nor the start of a part for that of the run", () => {
    const flow = (branch: string, ms: number, timingMs: number) => [
      at(ms, "FlowStarted", on(branch)),
      at(ms, "AttemptStarted", on(branch)),
      at(ms, "AttemptSucceeded", on(branch)),
      at(ms, "FlowCompleted", result(branch, { timingMs }))
    ]
    const diagram: Diagram = {
      name: "g",
      nodes: [{ name: "f", kind: "node" }, { name: "join", kind: "fanIn" }],
      edges: [{ kind: "parallel", from: "__start__", to: "f", fanIn: "join", branch: "f" }]
    }
    const { runs: [, run] } = modelOf([
      at(0, "GraphStarted"),
      at(5, "GraphSuspended", { checkpointId: "c", pending: [] }),
      at(10, "GraphStarted"),
      ...flow("f", 15, 900),
      ...flow("g", 15, 4),
      at(20, "GraphCompleted")
    ], diagram)
    assert.deepStrictEqual(drawn(run, "f"), ["attempt success 5-5"])
    assert.strictEqual(run?.summary, "Run 1, part 2 (resumed after 5 ms) took 10 ms: all 2 flows succeeded.")
  })

  it.effect("is the same for events that were stored as JSON", () =>
    Effect.gen(function*() {
      const events = yield* partsOf(approvals, answered)
      assert.strictEqual(Timeline.fromEvents(JSON.parse(JSON.stringify(events))), Timeline.fromEvents(events))
    }))

  it.effect("may be cut off anywhere, at either end", () =>
    Effect.gen(function*() {
      const events = yield* partsOf(approvals, answered)
      for (let cut = 0; cut <= events.length; cut++) {
        for (const part of [events.slice(0, cut), events.slice(cut)]) {
          const { runs } = modelOf(part, approvals.diagram)
          for (const { durationMs, lanes } of runs) {
            for (const { segments } of lanes) {
              for (const { from, marks, parts, to } of segments) {
                assert(from >= 0 && from <= to && to <= durationMs, `cut at ${cut}`)
                for (const at of marks) assert(at >= from && at <= to, `cut at ${cut}`)
                for (const { from: a, to: b } of parts) assert(a >= from && a <= b && b <= to, `cut at ${cut}`)
              }
            }
          }
          assert.match(Timeline.fromEvents(part), /<\/html>\n$/)
        }
      }
    }))
})

describe("what was saved", () => {
  it.effect("is marked above the main line, close ones together", () =>
    Effect.gen(function*() {
      const page = Timeline.fromEvents(yield* partsOf(approvals, []))
      const titles = [...page.matchAll(/<i class="k"[^>]* title="([^"]*)"/g)].map(([, title]) => title)
      assert.deepStrictEqual(titles, [
        "saved: checkpoint 2&#10;at 0 ms of this run",
        "saved: checkpoint 3&#10;at 10 ms of this run",
        "saved: checkpoint 4&#10;at 15 ms of this run",
        "saved: checkpoint 5&#10;at 16 ms of this run",
        "saved: checkpoint 6&#10;at 17 ms of this run",
        "saved: 2 checkpoints, the last one is 8&#10;at 34 ms of this run"
      ])
    }))
})

describe("a fallback", () => {
  it.effect("is shown after the attempts that failed, and told in lane and table", () =>
    Effect.gen(function*() {
      const events = yield* partsOf(approvals, [])
      const { runs: [run] } = modelOf(events)
      assert.deepStrictEqual(drawn(run, "dead"), ["attempt failure 10-13", "fallback success 13-17"])
      assert.deepStrictEqual(laneOf(run, "dead").segments[1]?.details, [
        "fallback succeeded after 4 ms",
        "node other completed after 4 ms"
      ])
      const page = Timeline.fromEvents(events)
      assert.match(
        page,
        /title="dead">dead<\/bdi><span class="what"><b class="success">✓<\/b> succeeded, fallback used/
      )
      assert.match(page, /<td><bdi>dead<\/bdi><\/td><td[^>]*><span class="g">✓<\/span> succeeded, fallback used<\/td>/)
    }))

  it("that is a value takes no time", () => {
    const { runs: [run] } = modelOf([
      at(0, "AttemptStarted", on("f")),
      at(4, "AttemptFailed", on("f", { error: "no" })),
      at(4, "FlowCompleted", result("f", { usedFallback: true })),
      at(5, "FlowRejected", on("g", { limit: { key: "k", permits: 2, queue: 0 } })),
      at(5, "FlowCompleted", result("g", { usedFallback: true, attempts: 0 })),
      at(0, "AttemptStarted", on("h")),
      at(6, "NodeCompleted", on("h", { node: "n", usedFallback: true })),
      at(6, "AttemptSucceeded", on("h")),
      at(6, "FlowCompleted", result("h", { usedFallback: true }))
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt failure 0-4", "fallback success 4-4"])
    assert.deepStrictEqual(drawn(run, "g"), ["rejected 5-5", "fallback success 5-5"])
    assert.deepStrictEqual(drawn(run, "h"), ["attempt success 0-6"])
    assert.deepStrictEqual(run?.rows.map(({ usedFallback }) => usedFallback), [true, true, true])
    assert.include(run?.summary, "f (1 attempt), g and h (1 attempt) used their fallbacks")
  })

  it("that fails, or was not there when the events begin, is no attempt", () => {
    const { runs: [run] } = modelOf([
      at(0, "AttemptStarted", on("f")),
      at(4, "AttemptFailed", on("f", { error: "no" })),
      at(4, "NodeStarted", on("f", { node: "other" })),
      at(6, "NodeFailed", on("f", { node: "other", error: "no" })),
      at(6, "FlowCompleted", result("f", { _tag: "Failure", success: false, usedFallback: true, error: "no" })),
      at(7, "NodeStarted", on("cut", { node: "n", attempt: 3 })),
      at(9, "AttemptSucceeded", on("cut", { attempt: 3 }))
    ])
    assert.deepStrictEqual(drawn(run, "f"), ["attempt failure 0-4", "fallback failure 4-6"])
    assert.deepStrictEqual(drawn(run, "cut"), ["attempt success 0-9"])
  })
})
