/**
 * The graph on top of a timeline, as an inline SVG: what ran where, and at the first node of each flow how the flow ended
 * in each run.
 */
import type { Point } from "./timelineCurve.ts"
import { type Html, html, shorten } from "./timelineHtml.ts"
import { type Box, layout, type Link } from "./timelineLayout.ts"
import type { Row, Run } from "./timelineModel.ts"
import type { FlowKey, Shape, ShapeEdge, ShapeNode } from "./timelineShape.ts"
import { glyphs, told, words } from "./timelineWords.ts"

/** So many runs are shown at a node, the last ones. */
const shownRuns = 6

interface Drawn extends Box {
  readonly node: ShapeNode
  readonly text: string
  readonly marks: ReadonlyArray<Mark>
}

/** How something ended in one run. */
interface Mark {
  readonly outcome: Row["outcome"]
  readonly text: string
  readonly title: string
}

/** `caption`: what it is of, where that is not plain. */
export const drawGraph = (
  shape: Shape,
  runs: ReadonlyArray<Run>,
  name: string,
  id: number,
  caption: string | undefined
): Html => {
  const results = resultsOf(runs)
  const drawn = shape.nodes.map((node): Drawn => {
    const text = shorten(node.label, 24)
    const marks = marksOf(node, runs, results)
    const width = Math.max(textWidth(text, 7.6), textWidth(marks.map((mark) => mark.text).join("  "), 8)) + 24
    return { id: node.id, node, text, marks, width, height: marks.length === 0 ? 28 : 42 }
  })
  const { boxes, height, labels, paths, width } = layout(drawn, shape.edges.map(linkOf))
  const edges = shape.edges.map((edge, i) => drawEdge(edge, paths[i]!, `arrow-${id}`))
  const texts = shape.edges.flatMap((edge, i) => drawLabel(edge, labels[i]))
  const nodes = drawn.map((node) => drawNode(node, boxes.get(node.id)!))
  const head = caption === undefined ? undefined : html`<p class="caption">${caption}</p>`
  return html`${head}<div class="graph" tabindex="0" role="group" aria-label="Graph ${name}"><svg viewBox="0 0 ${width} ${height}" width="${
    Math.round(width)
  }" height="${Math.round(height)}" role="img" aria-label="${
    described(shape)
  }"><defs><marker id="arrow-${id}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>${edges}${nodes}${texts}</svg></div>`
}

const linkOf = ({ from, label, to }: ShapeEdge): Link =>
  label === undefined
    ? { from, to }
    : { from, to, label: { width: textWidth(shortened(label), 6.4) + 6, height: 15 } }

const shortened = (label: string): string => shorten(label, 22)

const drawEdge = ({ kind, label }: ShapeEdge, path: string, arrow: string): Html =>
  html`<path class="edge ${kind}" d="${path}" marker-end="url(#${arrow})">${
    label === undefined ? undefined : html`<title>${label}</title>`
  }</path>`

const drawLabel = (edge: ShapeEdge, at: Point | undefined): ReadonlyArray<Html> => {
  const { label: size } = linkOf(edge)
  if (edge.label === undefined || size === undefined || at === undefined) return []
  const { height, width } = size
  return [
    html`<rect class="under" x="${round(at.x - width / 2)}" y="${round(at.y - height / 2)}" width="${
      round(width)
    }" height="${height}"/><text class="on-edge" x="${round(at.x)}" y="${round(at.y + 4)}">${
      shortened(edge.label)
    }<title>${edge.label}</title></text>`
  ]
}

const round = (n: number): number => Math.round(n * 10) / 10

const drawNode = (
  { height, marks, node, text, width }: Drawn,
  { x, y }: { readonly x: number; readonly y: number }
) => {
  const middle = x + width / 2
  const radius = node.kind === "end" ? height / 2 : node.kind === "fanIn" ? 2 : 7
  const box = (dx: number) =>
    html`<rect x="${x + dx}" y="${y + dx}" width="${width}" height="${height}" rx="${radius}"/>`
  return html`<g class="box ${node.kind}">${node.kind === "group" ? html`${box(6)}${box(3)}` : undefined}${
    box(0)
  }<text x="${middle}" y="${y + (marks.length === 0 ? height / 2 + 4.5 : 18)}">${text}</text>${
    marks.length === 0 ?
      undefined :
      html`<text class="marks" x="${middle}" y="${y + 35}">${
        marks.map(({ outcome, text, title }, i) =>
          html`<tspan class="${outcome}"${i === 0 ? undefined : html` dx="7"`}>${text}<title>${title}</title></tspan>`
        )
      }</text>`
  }<title>${node.label}</title></g>`
}

/** Columns of a monospaced estimate: letters of some scripts take two. */
const textWidth = (text: string, perColumn: number): number => {
  let columns = 0
  for (const char of text) columns += char.codePointAt(0)! > 0x2e80 ? 1.8 : 1
  return columns * perColumn
}

const described = ({ edges, nodes }: Shape): string => {
  const labels = new Map(nodes.map(({ id, label }) => [id, label]))
  const shown = edges.slice(0, 40).map(({ from, to }) => `${labels.get(from)} to ${labels.get(to)}`)
  return shorten(shown.join(", "), 2000)
}

/** How the flows of one name ended in one run: that of the last part in which each was at work. */
type Ended = ReadonlyMap<string, Row>
type Results = ReadonlyMap<string, ReadonlyMap<number, Ended>>

const resultKey = (fanIn: string | undefined, name: string): string => `${fanIn}\n${name}`

/** Results by flow and by run; the flows of one name in several lines, or of several items, count together. */
const resultsOf = (runs: ReadonlyArray<Run>): Results => {
  const results = new Map<string, Map<number, Map<string, Row>>>()
  for (const { lanes, number } of runs) {
    for (const { fanIn, place, row } of lanes) {
      if (place === undefined || row === undefined) continue
      const key = resultKey(fanIn, place.name)
      const ofKey = results.get(key) ?? new Map<number, Map<string, Row>>()
      results.set(key, ofKey)
      ofKey.set(number, (ofKey.get(number) ?? new Map<string, Row>()).set(row.branch, row))
    }
  }
  return results
}

const rowsOf = (flows: ReadonlyArray<FlowKey>, run: number, results: Results): ReadonlyArray<Row> =>
  flows.flatMap(({ fanIn, name }) => [...results.get(resultKey(fanIn, name))?.get(run)?.values() ?? []])

const marksOf = (node: ShapeNode, runs: ReadonlyArray<Run>, results: Results): ReadonlyArray<Mark> => {
  const numbers = [...new Set(runs.map(({ number }) => number))]
  const perRun = numbers.map((run) => ({ run, rows: rowsOf(node.flows, run, results) }))
    .filter(({ rows }) => rows.length > 0)
  const isMany = node.kind === "group" || node.flows.some(({ isMapped }) => isMapped) ||
    perRun.some(({ rows }) => rows.length > 4)
  if (isMany) {
    const last = perRun.at(-1)
    if (last === undefined) return []
    const label: Mark = { outcome: "open", text: `run ${last.run}:`, title: "the last run" }
    return [...numbers.length > 1 ? [label] : [], ...counted(last.rows, last.run)]
  }
  return perRun.slice(-shownRuns).flatMap(({ rows, run }) =>
    rows.map((row) => ({
      outcome: row.outcome,
      text: glyphs[row.outcome],
      title: `run ${run}: ${row.branch} ${told(row)}`
    }))
  )
}

const counted = (rows: ReadonlyArray<Row>, run: number): ReadonlyArray<Mark> => {
  const counts = new Map<Row["outcome"], number>()
  for (const { outcome } of rows) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1]).map(([outcome, n]) => ({
    outcome,
    text: `${n} ${glyphs[outcome]}`,
    title: `run ${run}: ${n} ${words[outcome]}`
  }))
}
