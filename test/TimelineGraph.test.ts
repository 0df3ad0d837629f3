/** The graph on top of a timeline. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Diagram } from "../src/Diagram.ts"
import { layout } from "../src/internal/timelineLayout.ts"
import { ofEvents } from "../src/internal/timelineSeen.ts"
import { ofDiagram } from "../src/internal/timelineShape.ts"
import { at, makeServices, on, runs } from "./support/timeline.ts"

describe("the graph", () => {
  const edges = (shape: ReturnType<typeof ofEvents>): ReadonlyArray<string> =>
    shape.edges.map(({ from, kind, to }) => `${from} ${kind} ${to}`).sort()

  it.effect("that the events show is the one of the diagram", () =>
    Effect.gen(function*() {
      const [seen, declared] = [ofEvents(yield* runs(1), "services"), ofDiagram(makeServices().diagram)]
      assert.deepStrictEqual(edges(seen), edges(declared))
      assert.sameDeepMembers([...seen.nodes], [...declared.nodes])
    }))

  it("shows flows that never ran a node, and flows of flows", () => {
    const shape = ofEvents([
      at(0, "GraphStarted"),
      at(0, "FlowRejected", on("off", { circuit: { key: "k", state: "OPEN", retryAfterMs: 1 } })),
      at(0, "FlowStarted", on("outer")),
      at(0, "AttemptStarted", on("outer")),
      at(0, "NodeStarted", on("outer", { node: "n" })),
      at(1, "NodeCompleted", on("outer", { node: "n" })),
      at(1, "FlowStarted", on("outer/inner", { fanIn: "within" })),
      at(1, "AttemptStarted", on("outer/inner", { fanIn: "within" })),
      at(1, "NodeStarted", on("outer/inner", { fanIn: "within", node: "m" }))
    ], "g")
    assert.deepStrictEqual(edges(shape), [
      "__start__ parallel flow join off",
      "__start__ parallel n",
      "flow join off join join",
      "m join within",
      "n parallel m"
    ])
  })

  it("draws many flows of one kind as one box", () => {
    const many = Array.from({ length: 50 }, (_, i) => on(`f${i}`))
    const shape = ofEvents([
      at(0, "GraphStarted"),
      at(0, "NodeStarted", { node: "plan" }),
      at(1, "NodeCompleted", { node: "plan" }),
      ...many.flatMap((one) => [
        at(1, "FlowStarted", one),
        at(1, "AttemptStarted", one),
        at(1, "NodeStarted", { ...one, node: one.branch })
      ])
    ], "g")
    assert.deepStrictEqual(shape.nodes.map(({ label }) => label), ["start", "plan", "join", "50 flows"])
    assert.strictEqual(shape.nodes[3]?.flows.length, 50)
  })

  it("is laid out from left to right, without boxes that overlap", () => {
    const names = Array.from({ length: 30 }, (_, i) => `n${i}`)
    const boxes = names.map((id, i) => ({ id, width: 40 + i % 7 * 20, height: 28 + i % 3 * 10 }))
    const links = names.flatMap((from, i) =>
      [i * 2 + 1, i * 2 + 2, i + 9].filter((to) => to < 30).map((to) => ({ from, to: names[to]! }))
    )
    const loops = [{ from: "n29", to: "n0" }, { from: "n4", to: "n4" }]
    const placed = layout(boxes, [...links, ...loops])
    const areas = boxes.map((box) => ({ ...box, ...placed.boxes.get(box.id)! }))
    for (const a of areas) {
      assert(a.x >= 0 && a.y >= 0 && a.x + a.width <= placed.width && a.y + a.height <= placed.height, a.id)
      for (const b of areas) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
        assert(a === b || apart, `${a.id} and ${b.id}`)
      }
    }
    const area = (id: string) => areas.find((one) => one.id === id)!
    for (const { from, to } of links) assert.isBelow(area(from).x + area(from).width, area(to).x)
    assert.strictEqual(placed.paths.length, links.length + 2)
    assert.notInclude(placed.paths.join(), "NaN")
  })

  it("names the edges of a condition, several to one node together, and what stands in for what", () => {
    const diagram: Diagram = {
      name: "g",
      nodes: ["a", "b"].map((name) => ({ name, kind: "node" })),
      edges: [
        { kind: "condition", from: "a", to: "b", label: "one" },
        { kind: "condition", from: "a", to: "__end__", label: "two" },
        { kind: "condition", from: "a", to: "b", label: "three" },
        { kind: "fallback", from: "b", to: "a" },
        { kind: "parallel", from: "a", to: "b", fanIn: "join", branch: "fast" },
        { kind: "parallel", from: "a", to: "b", fanIn: "join", branch: "slow", map: true }
      ]
    }
    assert.deepStrictEqual(ofDiagram(diagram).edges.map(({ from, label, to }) => [from, to, label]), [
      ["a", "b", "one, three"],
      ["a", "__end__", "two"],
      ["b", "a", "fallback"],
      ["a", "b", "fast, slow, for each item"]
    ])
    const node = (tag: "NodeStarted" | "NodeFailed" | "NodeCompleted", node: string) =>
      at(0, tag, { node, error: "no" })
    const seen = ofEvents(
      [
        at(0, "GraphStarted"),
        node("NodeStarted", "a"),
        node("NodeFailed", "a"),
        node("NodeStarted", "b"),
        node("NodeCompleted", "b"),
        at(0, "GraphCompleted")
      ],
      "g"
    )
    assert.deepStrictEqual(edges(seen), ["__start__ edge a", "a fallback b", "b edge __end__"])
  })

  it("is that of one graph, also where it is a node of another one, and more than once", () => {
    const inside = { graph: "inner" }
    const visit = (node: string) => [
      at(0, "NodeStarted", { node }),
      at(0, "NodeStarted", { ...inside, node: `${node}/x` }),
      at(0, "NodeCompleted", { ...inside, node: `${node}/x` }),
      at(0, "NodeStarted", { ...inside, node: `${node}/y` }),
      at(0, "NodeCompleted", { ...inside, node: `${node}/y` }),
      at(0, "NodeCompleted", { node })
    ]
    const events = [at(0, "GraphStarted"), ...visit("a"), ...visit("a"), at(0, "GraphCompleted")]
    assert.deepStrictEqual(edges(ofEvents(events, "inner")), ["__start__ edge a/x", "a/x edge a/y"])
    assert.deepStrictEqual(edges(ofEvents(events, "g")), ["__start__ edge a", "a edge __end__"])
  })
})
