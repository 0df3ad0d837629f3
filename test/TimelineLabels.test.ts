/** The labels of the graph on top of a timeline. */
import { assert, describe, it } from "@effect/vitest"
import { Timeline } from "effect-stategraph"
import type { Diagram } from "../src/Diagram.ts"
import { type Box, layout, type Link } from "../src/internal/timelineLayout.ts"

describe("the labels of a graph", () => {
  interface Area {
    readonly x: number
    readonly y: number
    readonly width: number
    readonly height: number
  }

  const isApart = (a: Area, b: Area): boolean =>
    a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y

  /** Everything that must not cover anything else. */
  const areasOf = (boxes: ReadonlyArray<Box>, links: ReadonlyArray<Link>) => {
    const placed = layout(boxes, links)
    const labels = links.flatMap(({ label }, i) => {
      const at = placed.labels[i]
      assert.strictEqual(at === undefined, label === undefined)
      if (at === undefined || label === undefined) return []
      return [{ ...label, x: at.x - label.width / 2, y: at.y - label.height / 2 }]
    })
    return { placed, labels, all: [...labels, ...boxes.map((box) => ({ ...box, ...placed.boxes.get(box.id)! }))] }
  }

  const check = (boxes: ReadonlyArray<Box>, links: ReadonlyArray<Link>, what: string): void => {
    const { all, labels, placed: { height, width } } = areasOf(boxes, links)
    for (const label of labels) {
      assert(label.x >= 0 && label.y >= 0 && label.x + label.width <= width && label.y + label.height <= height, what)
      for (const other of all) {
        assert(label === other || isApart(label, other), `${what}: ${JSON.stringify([label, other])}`)
      }
    }
  }

  const box = (id: string): Box => ({ id, width: 60 + id.length * 7, height: 28 })
  const label = (width: number) => ({ label: { width, height: 15 } })

  it("of three ways out of one node, one of them a long one, stand apart", () => {
    const boxes = ["lock", "package", "link", "manifest", "compare", "rest", "report"].map(box)
    check(boxes, [
      { from: "lock", to: "package", ...label(80) },
      { from: "lock", to: "rest" },
      { from: "package", to: "link", ...label(44) },
      { from: "package", to: "manifest", ...label(62) },
      { from: "package", to: "report", ...label(50) },
      { from: "manifest", to: "compare" },
      { from: "compare", to: "report" },
      { from: "link", to: "report" },
      { from: "rest", to: "report" }
    ], "audit")
  })

  it("of edges that cross, that lead back, and of several between the same nodes, stand apart", () => {
    const boxes = ["a", "b", "c", "d", "e"].map(box)
    check(boxes, [
      { from: "a", to: "b", ...label(70) },
      { from: "a", to: "c", ...label(70) },
      { from: "b", to: "e", ...label(50) },
      { from: "b", to: "d", ...label(50) },
      { from: "c", to: "d", ...label(50) },
      { from: "c", to: "e", ...label(50) },
      { from: "e", to: "a", ...label(60) },
      { from: "d", to: "a", ...label(60) },
      { from: "d", to: "d", ...label(60) }
    ], "crossing")
    check(["a", "b"].map(box), Array.from({ length: 2 }, () => ({ from: "a", to: "b", ...label(40) })), "one way")
  })

  it("stand apart in many graphs", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = randomFrom(seed)
      const ids = Array.from({ length: 4 + Math.floor(random() * 8) }, (_, i) => `n${i}`)
      const links = ids.slice(1).map((to, i): Link => ({
        from: ids[Math.floor(random() * (i + 1))]!,
        to,
        ...label(30 + Math.floor(random() * 90))
      }))
      const more = Array.from({ length: 3 }, (): Link => ({
        from: ids[Math.floor(random() * ids.length)]!,
        to: ids[Math.floor(random() * ids.length)]!,
        ...label(30 + Math.floor(random() * 60))
      }))
      check(ids.map(box), [...links, ...more], `graph ${seed}`)
    }
  })

  it("are drawn above everything else, with the whole text as their title", () => {
    const long = "a condition whose name is much too long to be drawn"
    const diagram: Diagram = {
      name: "g",
      nodes: [{ name: "a", kind: "node" }],
      edges: [{ kind: "condition", from: "a", to: "__end__", label: long }]
    }
    const page = Timeline.fromEvents([], { diagram })
    const svg = page.slice(page.indexOf("<svg"), page.indexOf("</svg>"))
    assert.isAbove(svg.indexOf("on-edge"), svg.lastIndexOf("<g class"))
    assert.include(svg, `>a condition whose name…<title>${long}</title></text>`)
  })
})

/** A generator of numbers in [0, 1) that are the same each time. */
const randomFrom = (seed: number) => {
  let state = seed
  return (): number => {
    state = state * 1_664_525 + 1_013_904_223 >>> 0
    return state / 2 ** 32
  }
}
