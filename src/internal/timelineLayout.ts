/**
 * Where the boxes of a graph go: layers from left to right, each as far left as its edges allow. Long edges bend around
 * the layers they cross, and keep room for their label there; edges that lead back run below everything.
 */
import { below, type Curve, pathOf, type Point, through } from "./timelineCurve.ts"
import { type Labelled, placeLabels } from "./timelineLabels.ts"

export interface Box {
  readonly id: string
  readonly width: number
  readonly height: number
}

export interface Link {
  readonly from: string
  readonly to: string
  /** The size of its label, if it has one. */
  readonly label?: Labelled["label"]
}

export interface Placed {
  /** The top left corner of each box. */
  readonly boxes: ReadonlyMap<string, { readonly x: number; readonly y: number }>
  /** An SVG path for each link, in order. */
  readonly paths: ReadonlyArray<string>
  /** The middle of the label of each link. */
  readonly labels: ReadonlyArray<Point | undefined>
  readonly width: number
  readonly height: number
}

const gapX = 56
const gapY = 12
const loopGap = 18
const margin = 8

interface Vertex {
  readonly id: string
  readonly width: number
  readonly height: number
  readonly layer: number
  x: number
  y: number
}

export const layout = (boxes: ReadonlyArray<Box>, links: ReadonlyArray<Link>): Placed => {
  const back = backLinks(boxes, links)
  const forward = links.filter((link) => !back.has(link))
  const layers = layersOf(boxes, forward)
  const vertices = new Map<string, Vertex>()
  for (const { height, id, width } of boxes) vertices.set(id, { id, width, height, layer: layers.get(id)!, x: 0, y: 0 })
  const chains = new Map(forward.map((link, i) => [link, chainOf(link, i, vertices)]))
  const rows = ordered([...vertices.values()], [...chains.values()])
  const { height, width } = place(rows, gapsOf(chains))
  const loops = [...back]
  const lines = links.map((link): Labelled & { readonly curves: ReadonlyArray<Curve> } => {
    const chain = chains.get(link)
    const curves = chain === undefined
      ? below(vertices.get(link.from)!, vertices.get(link.to)!, height + 8 + loops.indexOf(link) * loopGap)
      : through(chain)
    return { curves, label: link.label }
  })
  const size = { width, height: back.size === 0 ? height : height + 10 + loops.length * loopGap }
  const placed = boxes.map(({ id }) => vertices.get(id)!)
  return {
    boxes: new Map(placed.map(({ id, x, y }) => [id, { x, y }])),
    paths: lines.map(({ curves }) => pathOf(curves)),
    labels: placeLabels(lines, placed, size),
    ...size
  }
}

/** Links that close a circle, seen from the first box. */
const backLinks = (boxes: ReadonlyArray<Box>, links: ReadonlyArray<Link>): ReadonlySet<Link> => {
  const out = new Map<string, Array<Link>>(boxes.map(({ id }) => [id, []]))
  for (const link of links) out.get(link.from)!.push(link)
  const back = new Set<Link>()
  const state = new Map<string, "open" | "done">()
  for (const { id } of boxes) {
    const stack: Array<{ readonly id: string; next: number }> = []
    const enter = (id: string): void => {
      state.set(id, "open")
      stack.push({ id, next: 0 })
    }
    if (!state.has(id)) enter(id)
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const link = out.get(top.id)![top.next++]
      if (link === undefined) {
        state.set(top.id, "done")
        stack.pop()
      } else if (state.get(link.to) === "open") back.add(link)
      else if (!state.has(link.to)) enter(link.to)
    }
  }
  return back
}

/** The longest way to each box. */
const layersOf = (boxes: ReadonlyArray<Box>, links: ReadonlyArray<Link>): ReadonlyMap<string, number> => {
  const layers = new Map(boxes.map(({ id }) => [id, 0]))
  const waiting = new Map(boxes.map(({ id }) => [id, 0]))
  const out = new Map<string, Array<string>>(boxes.map(({ id }) => [id, []]))
  for (const { from, to } of links) {
    waiting.set(to, waiting.get(to)! + 1)
    out.get(from)!.push(to)
  }
  const ready = boxes.filter(({ id }) => waiting.get(id) === 0).map(({ id }) => id)
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    for (const to of out.get(id)!) {
      layers.set(to, Math.max(layers.get(to)!, layers.get(id)! + 1))
      waiting.set(to, waiting.get(to)! - 1)
      if (waiting.get(to) === 0) ready.push(to)
    }
  }
  return layers
}

/** A link as vertices in neighbouring layers. */
const chainOf = ({ from, label, to }: Link, index: number, vertices: Map<string, Vertex>): ReadonlyArray<Vertex> => {
  const [first, last] = [vertices.get(from)!, vertices.get(to)!]
  const chain = [first]
  for (let layer = first.layer + 1; layer < last.layer; layer++) {
    const { height, width } = chain.length === 1 && label !== undefined ? label : { width: 0, height: 4 }
    const bend: Vertex = { id: `${index} ${layer}`, width, height, layer, x: 0, y: 0 }
    vertices.set(` ${bend.id}`, bend)
    chain.push(bend)
  }
  return [...chain, last]
}

/** The vertices of each layer from top to bottom: near their neighbours, else as declared. */
const ordered = (
  vertices: ReadonlyArray<Vertex>,
  chains: ReadonlyArray<ReadonlyArray<Vertex>>
): ReadonlyArray<ReadonlyArray<Vertex>> => {
  const rows: Array<Array<Vertex>> = []
  for (const vertex of vertices) (rows[vertex.layer] ??= []).push(vertex)
  const left = new Map<Vertex, Array<Vertex>>()
  const right = new Map<Vertex, Array<Vertex>>()
  const add = (map: typeof left, key: Vertex, value: Vertex) => {
    const all = map.get(key)
    if (all === undefined) map.set(key, [value])
    else all.push(value)
  }
  for (const chain of chains) {
    for (let i = 1; i < chain.length; i++) {
      add(left, chain[i]!, chain[i - 1]!)
      add(right, chain[i - 1]!, chain[i]!)
    }
  }
  const sort = (row: Array<Vertex>, neighbours: typeof left): void => {
    const ranks = new Map<Vertex, number>()
    for (const vertex of row) {
      const near = neighbours.get(vertex) ?? []
      ranks.set(vertex, near.length === 0 ? vertex.y : near.reduce((sum, { y }) => sum + y, 0) / near.length)
    }
    row.sort((a, b) => ranks.get(a)! - ranks.get(b)!)
    number(row)
  }
  // `y` serves as the rank, relative to the middle of the row, until the vertices are placed.
  const number = (row: Array<Vertex>): void => row.forEach((vertex, i) => vertex.y = i - (row.length - 1) / 2)
  rows.forEach(number)
  for (let sweep = 0; sweep < 3; sweep++) {
    for (const row of rows.slice(1)) sort(row, left)
    if (sweep < 2) { for (const row of rows.slice(0, -1).reverse()) sort(row, right) }
  }
  return rows
}

/** The room after each layer: that of the labels between it and the next. */
const gapsOf = (chains: ReadonlyMap<Link, ReadonlyArray<Vertex>>): ReadonlyMap<number, number> => {
  const gaps = new Map<number, number>()
  for (const [{ label }, [first, ...others]] of chains) {
    if (label === undefined || others.length > 1) continue
    gaps.set(first!.layer, Math.max(gaps.get(first!.layer) ?? gapX, label.width + 44))
  }
  return gaps
}

const place = (
  rows: ReadonlyArray<ReadonlyArray<Vertex>>,
  gaps: ReadonlyMap<number, number>
): { readonly width: number; readonly height: number } => {
  const heights = rows.map((row) => row.reduce((sum, { height }) => sum + height + gapY, -gapY))
  const tallest = Math.max(0, ...heights)
  let x = margin
  rows.forEach((row, i) => {
    const width = Math.max(...row.map((vertex) => vertex.width))
    let y = margin + (tallest - heights[i]!) / 2
    for (const vertex of row) {
      vertex.x = x + (width - vertex.width) / 2
      vertex.y = y
      y += vertex.height + gapY
    }
    x += width + (i === rows.length - 1 ? 0 : gaps.get(i) ?? gapX)
  })
  return { width: x + margin, height: tallest + 2 * margin }
}
