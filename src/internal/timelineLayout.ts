/**
 * Where the boxes of a graph go: layers from left to right, each as far left as its edges allow. Long edges bend around
 * the layers they cross; edges that lead back run below everything.
 */
export interface Box {
  readonly id: string
  readonly width: number
  readonly height: number
}

export interface Link {
  readonly from: string
  readonly to: string
}

export interface Placed {
  /** The top left corner of each box. */
  readonly boxes: ReadonlyMap<string, { readonly x: number; readonly y: number }>
  /** An SVG path for each link, in order. */
  readonly paths: ReadonlyArray<string>
  /** Where the text of each link can stand. */
  readonly labels: ReadonlyArray<{ readonly x: number; readonly y: number }>
  readonly width: number
  readonly height: number
}

const gapX = 56
const gapY = 12
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
  const { height, width } = place(rows)
  const drawn = links.map((link) => {
    const chain = chains.get(link)
    return chain === undefined
      ? loop(vertices.get(link.from)!, vertices.get(link.to)!, height)
      : { path: curve(chain), label: labelOf(chain) }
  })
  return {
    boxes: new Map(boxes.map(({ id }) => [id, { x: vertices.get(id)!.x, y: vertices.get(id)!.y }])),
    paths: drawn.map(({ path }) => path),
    labels: drawn.map(({ label }) => label),
    width,
    height: back.size === 0 ? height : height + 28
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
const chainOf = ({ from, to }: Link, index: number, vertices: Map<string, Vertex>): ReadonlyArray<Vertex> => {
  const [first, last] = [vertices.get(from)!, vertices.get(to)!]
  const chain = [first]
  for (let layer = first.layer + 1; layer < last.layer; layer++) {
    const bend: Vertex = { id: `${index} ${layer}`, width: 0, height: 4, layer, x: 0, y: 0 }
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

const place = (rows: ReadonlyArray<ReadonlyArray<Vertex>>): { readonly width: number; readonly height: number } => {
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
    x += width + gapX
  })
  return { width: x - gapX + margin, height: tallest + 2 * margin }
}

const round = (n: number): number => Math.round(n * 10) / 10
const middle = ({ height, y }: Vertex): number => y + height / 2

const curve = (chain: ReadonlyArray<Vertex>): string => {
  let path = ""
  for (let i = 1; i < chain.length; i++) {
    const [a, b] = [chain[i - 1]!, chain[i]!]
    const [fromX, fromY, toX, toY] = [a.x + a.width, middle(a), b.x, middle(b)].map(round) as [
      number,
      number,
      number,
      number
    ]
    const bend = round((fromX + toX) / 2)
    path += `${i === 1 ? `M${fromX} ${fromY}` : ""}C${bend} ${fromY} ${bend} ${toY} ${toX} ${toY}`
  }
  return path
}

const labelOf = (chain: ReadonlyArray<Vertex>): { readonly x: number; readonly y: number } => {
  const [a, b] = [chain[0]!, chain[1]!]
  return { x: round((a.x + a.width + b.x) / 2), y: round((middle(a) + middle(b)) / 2 - 4) }
}

/** From below one box to below another, under all of them. */
const loop = (from: Vertex, to: Vertex, height: number) => {
  const [x1, x2] = from === to
    ? [from.x + from.width * 0.7, from.x + from.width * 0.3]
    : [from.x + from.width / 2, to.x + to.width / 2]
  const [y1, y2] = [from.y + from.height, to.y + to.height]
  const y = height + 8
  const path = [
    `M${round(x1)} ${round(y1)}`,
    `C${round(x1)} ${y} ${round(x1)} ${y} ${round((x1 + x2) / 2)} ${y}`,
    `C${round(x2)} ${y} ${round(x2)} ${y} ${round(x2)} ${round(y2)}`
  ].join("")
  return { path, label: { x: round((x1 + x2) / 2), y: y + 14 } }
}
