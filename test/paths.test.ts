/** Every way that a line can go, found without running it. */
import { assert, describe, it } from "@effect/vitest"
import { explore, exploreFlow, firstDeclared, type Paths } from "../src/internal/paths.ts"
import { END, type Fallback, type PlanEdge, type PlanNode, type Position, type WayOut } from "../src/internal/plan.ts"

type Linked<A> = { -readonly [K in keyof A]: A[K] }

/** Nodes by name, in the order of their names here; linked afterwards. */
const nodesOf = <Name extends string>(...names: ReadonlyArray<Name>): Record<Name, Linked<PlanNode>> =>
  Object.fromEntries(names.map((name, index) => [
    name,
    {
      index,
      name,
      kind: "node",
      run: undefined,
      completion: undefined,
      policy: undefined,
      fallback: undefined,
      item: undefined,
      stops: { before: false, after: false },
      way: { _tag: "None" },
      launches: []
    } satisfies PlanNode
  ])) as unknown as Record<Name, Linked<PlanNode>>

const to = (to: Position): WayOut => ({ _tag: "Edge", to })
const either = (...targets: ReadonlyArray<Position>): WayOut => ({
  _tag: "Condition",
  decide: () => "0",
  targets: new Map(targets.map((target, i) => [`${i}`, target]))
})
const flow = (to: PlanNode, fanIn: PlanNode, fallback?: Fallback): PlanEdge =>
  ({ to, fanIn, fallback, name: to.name }) as PlanEdge

const names = (nodes: Iterable<PlanNode>) => [...nodes].map(({ name }) => name).sort()
const byName = (found: Paths["joins"]) =>
  Object.fromEntries([...found].map(([node, fanIns]) => [node.name, names(fanIns)]))
const shown = ({ arrives, endsPast, joins, launched, trapped, visited }: Paths) => ({
  visited: names(visited),
  launched: [...launched].map(({ name }) => name).sort(),
  trapped: names(trapped),
  arrives,
  endsPast: byName(endsPast),
  joins: byName(joins)
})

const nothing = { launched: [], trapped: [], endsPast: {}, joins: {} }

describe("a line", () => {
  it("that goes to the end arrives, past nothing", () => {
    const { a, b } = nodesOf("a", "b")
    a.way = to(b)
    b.way = to(END)
    assert.deepStrictEqual(shown(explore(a, undefined)), { ...nothing, visited: ["a", "b"], arrives: true })
  })

  it("without a way out and without flows goes nowhere on the main line, and to its fan-in in a flow", () => {
    const { a, join } = nodesOf("a", "join")
    assert.deepStrictEqual(shown(explore(a, undefined)), {
      ...nothing,
      visited: ["a"],
      trapped: ["a"],
      arrives: false
    })
    assert.deepStrictEqual(shown(explore(a, join)), {
      ...nothing,
      visited: ["a"],
      arrives: true,
      joins: { a: ["join"] }
    })
  })

  it("joins the first declared of its open fan-ins, then the next", () => {
    const { a, first, second, w } = nodesOf("a", "first", "second", "w")
    a.launches = [flow(w, second), flow(w, first)]
    second.way = to(END)
    assert.deepStrictEqual(shown(explore(a, undefined)), {
      ...nothing,
      visited: ["a", "first", "second"],
      launched: ["w", "w"],
      arrives: true,
      joins: { a: ["first"], first: ["second"] }
    })
    assert.strictEqual(firstDeclared([second, first, second]), first)
    assert.isUndefined(firstDeclared([]))
  })

  it("that ends while flows are open is told with them, by the node after which it ends", () => {
    const { a, b, join, other, w } = nodesOf("a", "b", "join", "other", "w")
    a.launches = [flow(w, join)]
    a.way = either(b, END)
    b.launches = [flow(w, other)]
    b.way = to(END)
    assert.deepStrictEqual(shown(explore(a, undefined)).endsPast, { a: ["join"], b: ["join", "other"] })
  })

  it("keeps what it ends past on each way that leads to one node", () => {
    const { a, b, c, d, first, second, w } = nodesOf("a", "b", "c", "d", "first", "second", "w")
    a.way = either(b, c)
    b.launches = [flow(w, first)]
    c.launches = [flow(w, second)]
    b.way = c.way = to(d)
    d.way = to(END)
    assert.deepStrictEqual(shown(explore(a, undefined)).endsPast, { d: ["first", "second"] })
  })

  it("of a flow ends at its fan-in, whatever comes behind that", () => {
    const { a, join, loop } = nodesOf("a", "join", "loop")
    a.way = to(join)
    join.way = to(loop)
    loop.way = to(loop)
    assert.deepStrictEqual(shown(explore(a, join)), { ...nothing, visited: ["a"], arrives: true })
  })

  it("is trapped where no way leads out of a loop", () => {
    const { a, b, c, out } = nodesOf("a", "b", "c", "out")
    a.way = either(b, out)
    b.way = to(c)
    c.way = to(b)
    out.way = to(END)
    assert.deepStrictEqual(shown(explore(a, undefined)), {
      ...nothing,
      visited: ["a", "b", "c", "out"],
      trapped: ["b", "c"],
      arrives: true
    })
  })
})

describe("the fallback of a flow", () => {
  const world = () => {
    const nodes = nodesOf("a", "join", "other", "inner", "left", "right", "w")
    const { a, inner, join, left, other, right, w } = nodes
    a.way = either(join, left)
    left.way = to(left)
    other.way = either(inner, right, a)
    other.launches = [flow(w, inner)]
    right.way = to(right)
    return nodes
  }

  it("is another way that the flow can go", () => {
    const { a, join, other } = world()
    assert.deepStrictEqual(shown(exploreFlow(flow(a, join, { _tag: "Node", node: other }))), {
      visited: ["a", "inner", "left", "other", "right"],
      launched: ["w"],
      trapped: ["left", "right"],
      arrives: true,
      endsPast: { a: ["inner"] },
      joins: { inner: ["join"] }
    })
  })

  it("that is a value is none", () => {
    const { a, join } = world()
    const found = exploreFlow(flow(a, join, { _tag: "Value", update: {} }))
    assert.deepStrictEqual(shown(found).visited, ["a", "left"])
  })

  it("has to arrive too, as the flow itself has to", () => {
    const { a, join, left } = world()
    assert.isFalse(exploreFlow(flow(a, join, { _tag: "Node", node: left })).arrives)
    assert.isFalse(exploreFlow(flow(left, join, { _tag: "Node", node: a })).arrives)
  })

  it("goes to its own fan-ins from nodes that both ways visit", () => {
    const { a, first, join, other, w } = nodesOf("a", "first", "join", "other", "w")
    other.launches = [flow(w, first)]
    other.way = to(a)
    first.way = to(join)
    assert.deepStrictEqual(byName(exploreFlow(flow(a, join, { _tag: "Node", node: other })).joins), {
      a: ["first", "join"]
    })
  })
})

describe("a graph with more ways than can be explored", () => {
  it("is taken as sound", () => {
    const optional = 40
    const all = nodesOf(
      "start",
      ...Array.from({ length: optional }, (_, i) => [`ask${i}`, `launch${i}`, `join${i}`]).flat(),
      "end",
      "last",
      "w"
    )
    const at = (name: string): Linked<PlanNode> => all[name]!
    at("start").launches = [flow(at("w"), at("last"))]
    at("start").way = to(at("ask0"))
    for (let i = 0; i < optional; i++) {
      const next = at(i === optional - 1 ? "end" : `ask${i + 1}`)
      at(`ask${i}`).way = either(at(`launch${i}`), next)
      at(`launch${i}`).launches = [flow(at("w"), at(`join${i}`))]
      at(`launch${i}`).way = to(next)
    }
    at("last").way = to(END)
    const found = explore(at("start"), undefined)
    assert.isTrue(found.arrives)
    assert.deepStrictEqual(names(found.trapped), [])
  })
})
