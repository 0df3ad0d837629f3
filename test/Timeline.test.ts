/** The page of a timeline: what may stand in it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Timeline } from "effect-stategraph"
import { createHash } from "node:crypto"
import type { Diagram } from "../src/Diagram.ts"
import { duration, escape, list, shorten } from "../src/internal/timelineHtml.ts"
import { script, scriptHash } from "../src/internal/timelineScript.ts"
import { style, styleHash } from "../src/internal/timelineStyle.ts"
import { stepOf, ticks } from "../src/internal/timelineTicks.ts"
import { at, type Events, on, result, runs } from "./support/timeline.ts"

describe("the page", () => {
  const hostile = [
    `<img src=x onerror=alert(1)>`,
    `"><script>alert(2)</script>`,
    `'onmouseover='alert(3)`,
    "</style></title></textarea><!--",
    "javascript:alert(4)",
    "a\u0000b\u0007\ud800\u202ec",
    "`${alert(5)}`"
  ]

  /** A run of names that waits for somebody, with checkpoints and nodes that have a policy. */
  const asking = (name: string, i: number): Events => {
    const pending = [undefined, name].map((branch) => ({ ...branch && { branch }, node: name, when: "asked", name }))
    const node = { node: name, scope: "node" }
    return [
      at(9, "GraphStarted", {}, "?"),
      at(9, "CheckpointSaved", { id: name }, "?"),
      at(9, "NodeStarted", { node: name }, "?"),
      at(9, "AttemptStarted", { ...node, attempt: 1 }, "?"),
      at(9, "AttemptFailed", { ...node, attempt: 1, error: name }, "?"),
      at(9, "FlowRejected", { ...node, limit: { key: name, permits: 1, queue: 0 } }, "?"),
      at(9, "AttemptStarted", on(name), "?"),
      at(9, "FlowSuspended", { branch: name, fanIn: name, pending }, "?"),
      at(20 + i, "GraphSuspended", { checkpointId: name, pending }, "?")
    ]
  }

  it("holds nothing of a run but text", () => {
    const events = hostile.flatMap((name, i) =>
      [
        at(0, "GraphStarted", {}, name),
        at(0, "NodeStarted", { node: name }),
        at(1, "NodeFailed", { node: name, error: name }),
        at(1, "AttemptStarted", on(name)),
        at(2, "CircuitStateChanged", on(name, { key: name, from: "CLOSED", to: "OPEN" })),
        at(2, "AttemptFailed", on(name, { error: name })),
        at(2, "FlowCompleted", {
          ...result(name, { _tag: "Failure", success: false, error: name }),
          fanIn: name
        }),
        at(3 + i, "GraphFailed", { error: name, errorType: name }),
        ...asking(name, i)
      ].map((event) => ({ ...event, graph: name, runId: event.runId === "r" ? name : `${name}?` }))
    )
    const page = Timeline.fromEvents(events, { title: hostile.join() })
    const tags = [...page.matchAll(/<\/?([a-z!][a-z0-9-]*)/gi)].map(([, tag]) => tag?.toLowerCase())
    for (const tag of ["img", "textarea"]) assert.notInclude(tags, tag)
    for (const tag of ["script", "style", "title"]) {
      const inSvg = tag === "title" ? [...page.matchAll(/<title>[^<]*<\/title>/g)].length : 1
      assert.strictEqual(tags.filter((one) => one === tag).length, 2 * inSvg, tag)
    }
    const markup = page.replace(/<(style|script)>[^]*?<\/\1>/g, "").replace(/"[^"]*"/g, "")
    assert.notMatch(markup, /<[^>]*\son[a-z]+\s*=/i)
    for (const name of hostile) assert.include(page, escape(name))
    assert.notMatch(page, /(?![\n\t])[\p{Cc}\p{Cs}]/u)
  })

  it("allows its own style and script, and nothing else", () => {
    const page = Timeline.fromEvents([at(0, "GraphStarted")])
    const hash = (text: string) => `sha256-${createHash("sha256").update(text).digest("base64")}`
    assert.strictEqual(styleHash, hash(style))
    assert.strictEqual(scriptHash, hash(script))
    assert.include(page, `<style>${style}</style>`)
    assert.include(page, `<script>${script}</script>`)
    const policy =
      `default-src 'none'; script-src '${scriptHash}'; style-src '${styleHash}'; style-src-attr 'unsafe-inline'`
    assert.include(page, `content="${escape(policy)}`)
    assert.notMatch(page, /https?:|url\((?!#)|@import|\ssrc=/)
  })

  it.effect("is the same for events that were stored as JSON", () =>
    Effect.gen(function*() {
      const events = yield* runs(1)
      assert.strictEqual(Timeline.fromEvents(JSON.parse(JSON.stringify(events))), Timeline.fromEvents(events))
    }))

  it("says that there are no events", () => {
    const page = Timeline.fromEvents([])
    assert.include(page, "There are no events.")
    assert.include(page, "<title>Timeline</title>")
  })

  it("has the title that was given, or one of its graphs", () => {
    assert.include(Timeline.fromEvents([at(0, "GraphStarted")]), "<title>Timeline of g</title>")
    assert.include(Timeline.fromEvents([at(0, "GraphStarted")], { title: "A & B" }), "<title>A &amp; B</title>")
  })

  it("takes only the diagram of its own graph for it", () => {
    const diagram: Diagram = { name: "other", nodes: [{ name: "elsewhere", kind: "node" }], edges: [] }
    const page = Timeline.fromEvents([at(0, "GraphStarted"), at(0, "NodeStarted", { node: "here" })], { diagram })
    assert.include(page, ">here<")
    assert.include(page, ">elsewhere<")
    const own = Timeline.fromEvents([at(0, "GraphStarted"), at(0, "NodeStarted", { node: "here" })], {
      diagram: { ...diagram, name: "g" }
    })
    assert.include(own, ">elsewhere<")
    assert.strictEqual(own.match(/class="graph"/g)?.length, 1)
  })
})

describe("words", () => {
  it("are escaped for text and for quoted attributes", () => {
    assert.strictEqual(
      escape(`<a b="c" d='e'>&\`\r\n\t\u0000\ud800`),
      "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;&#96;&#10;\t\ufffd\ufffd"
    )
  })

  it("tell a time as a reader says it", () => {
    const times = [0, 12.4, 999, 1000, 2516, 12_345, 60_000, 185_000, 3_600_000, 7_800_000]
    assert.deepStrictEqual(times.map(duration), [
      "0 ms",
      "12 ms",
      "999 ms",
      "1 s",
      "2.52 s",
      "12.3 s",
      "1 min",
      "3 min 5 s",
      "1 h",
      "2 h 10 min"
    ])
  })
  it("tell the first of many names", () => {
    assert.strictEqual(list(["a", "b", "c", "d", "e", "f"]), "a, b, c and 3 more")
    assert.strictEqual(list(["a", "b"]), "a and b")
    assert.strictEqual(list([]), "")
    assert.strictEqual(shorten("abcdef", 3), "abc…")
  })
  it("stand at round times of the axis, at most eleven of them", () => {
    for (let span = 1; span < 1e9; span = Math.ceil(span * 1.7)) {
      const all = ticks(span)
      assert.isAtMost(all.length, 11)
      assert.strictEqual(all[0]?.text, "0")
      assert.strictEqual(all.length < 2 ? 0 : all[1]!.at, all.length < 2 ? 0 : stepOf(span))
    }
    assert.deepStrictEqual(ticks(2516).map(({ text }) => text), ["0", "500 ms", "1 s", "1.5 s", "2 s"])
  })
})
