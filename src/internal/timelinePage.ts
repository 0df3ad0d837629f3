/**
 * The page of a timeline: one document that needs nothing else.
 */
import * as DateTime from "effect/DateTime"
import { count, duration, Html, html, shorten } from "./timelineHtml.ts"
import type { CircuitLane, Model, Row, Run } from "./timelineModel.ts"
import { script, scriptHash } from "./timelineScript.ts"
import { style, styleHash } from "./timelineStyle.ts"
import { stepOf, ticks } from "./timelineTicks.ts"
import type { Segment } from "./timelineTrack.ts"
import { glyphs, legend, lookOf, runWords, words } from "./timelineWords.ts"

export interface Page {
  readonly title: string
  readonly model: Model
  /** One drawing for each graph. */
  readonly graphs: ReadonlyArray<Html>
}

const policy = [
  "default-src 'none'",
  `script-src '${scriptHash}'`,
  `style-src '${styleHash}'`,
  "style-src-attr 'unsafe-inline'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'"
].join("; ")

export const renderPage = ({ graphs, model, title }: Page): string => {
  const { runs } = model
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<header>
<h1><bdi>${title}</bdi></h1>
<p class="sub">${subtitle(runs)}</p>
${runs.length > 1 ? overview(model) : undefined}
</header>
<main>
${graphs}
${runs.some(({ rows }) => rows.length > 0) ? signs(runs) : undefined}
${runs.length === 0 ? undefined : key(model)}
${runs.map((run) => section(run, model))}
</main>
<div id="tip" role="status" hidden></div>
<script>${new Html(script)}</script>
</body>
</html>
`.text
}

const subtitle = (runs: ReadonlyArray<Run>): string => {
  const first = runs[0]
  if (first === undefined) return "There are no events."
  const graphs = [...new Set(runs.map(({ graph }) => graph))].join(", ")
  return `${count(runs.length, "run")} of ${graphs}, from ${dateOf(first.startAt)}`
}

const dateOf = (at: number): string => {
  const date = DateTime.make(at)
  return date._tag === "None" ? `${at} ms` : `${DateTime.formatIso(date.value).replace("T", " ").replace("Z", "")} UTC`
}

const overview = ({ runs, spanMs }: Model): Html =>
  html`<ol class="runs" aria-label="Runs">${
    runs.map(({ durationMs, number, outcome }) =>
      html`<li><a href="#run-${number}">Run ${number}</a><i style="--w:${percent(durationMs, spanMs)}"></i><span>${
        duration(durationMs)
      }${outcome === "success" ? "" : `, ${runWords[outcome]}`}</span></li>`
    )
  }</ol>`

/** What the signs in the drawing mean. */
const signs = (runs: ReadonlyArray<Run>): Html => {
  const used = new Set(runs.flatMap(({ rows }) => rows.map(({ outcome }) => outcome)))
  const all = (Object.keys(glyphs) as ReadonlyArray<Row["outcome"]>).filter((outcome) => used.has(outcome))
  return html`<p class="signs">${all.map((outcome) => `${glyphs[outcome]} ${words[outcome]}`).join(", ")}${
    runs.length > 1 ? "; from the first run to the last" : ""
  }</p>`
}

const key = ({ runs }: Model): Html => {
  const used = new Set<string>(runs.flatMap(({ lanes }) => lanes.flatMap(({ segments }) => segments.map(lookOf))))
  const states = new Set(
    runs.flatMap(({ lanes }) => lanes.flatMap(({ circuit }) => circuit?.bands.map(({ state }) => state) ?? []))
  )
  const longest = Math.max(...runs.map(({ lanes }) => lanes.length))
  return html`<div class="key" role="group" aria-label="Key">${
    legend.filter(([look]) => used.has(look)).map(([look, text]) => html`<span><i class="s ${look}"></i>${text}</span>`)
  }${[...states].map((state) => html`<span><i class="c ${state}"></i>circuit ${state}</span>`)}${
    runs.length < 2
      ? undefined
      : html`<fieldset><label><input type="radio" name="scale" checked>one scale for all runs</label><label><input type="radio" name="scale" id="fill">each run fills the width</label></fieldset>`
  }${
    longest <= 20
      ? undefined
      : html`<label><input type="checkbox" id="only">only what did not succeed</label>`
  }</div>`
}

/** How close the lanes are: the more there are, the closer. */
type Size = "" | "tight" | "dense"

const section = (run: Run, { spanMs }: Model): Html => {
  const { durationMs, graph, lanes, number, runId, startAt, summary } = run
  const span = Math.max(spanMs, 1)
  const own = Math.max(durationMs, 1)
  const size: Size = lanes.length > 80 ? "dense" : lanes.length > 16 ? "tight" : ""
  const first = lanes.findIndex(({ segments }) => segments.length > 0)
  const numbers = `--k:${round(own / span)};--tick:${percent(stepOf(span), span)};--own-tick:${
    percent(stepOf(own), own)
  }`
  return html`<section class="run ${size}" id="run-${number}" aria-labelledby="head-${number}" style="${numbers}">
<div class="head"><h2 id="head-${number}">Run ${number}</h2><span class="dim"><bdi>${graph}</bdi>, run id <bdi>${runId}</bdi>, from ${
    dateOf(startAt)
  }</span></div>
<p class="summary">${summary}</p>
<div class="chart"><div class="axis" aria-hidden="true">${axis(span, "shared")}${axis(own, "own")}</div>
<ol class="lanes">${lanes.map((lane, i) => drawLane(lane, run, own, i === first, size))}</ol></div>
${run.rows.length === 0 ? undefined : table(run)}
</section>
`
}

const axis = (span: number, name: string): ReadonlyArray<Html> =>
  ticks(span).map(({ at, text }) => html`<span class="${name}" style="--x:${percent(at, span)}">${text}</span>`)

const drawLane = (lane: CircuitLane, run: Run, own: number, first: boolean, size: Size): Html => {
  const { branch, circuit, depth, row, segments } = lane
  const name = branch ?? "main line"
  const outcome = branch === undefined ? "main" : row?.outcome ?? "open"
  return html`<li class="lane ${outcome}${
    depth === 0 ? "" : ` d${Math.min(depth, 3)}`
  }"><div class="who"><bdi class="name" title="${name}">${
    branch === undefined ? name : branch.split("/").slice(depth).join("/")
  }</bdi><span class="what">${
    branch === undefined ? mainEnd(run) : flowEnd(row, size)
  }</span></div><div class="track">${
    segments.map((segment, i) => drawSegment(segment, name, own, first && i === 0, size))
  }${
    shownBands(circuit, size).map(({ from, state, to }) =>
      html`<i class="c ${state}" style="${place(from, to, own)}" title="${`circuit ${circuit?.key} is ${state}\nfrom ${
        duration(from)
      } to ${duration(to)} of this run`}"></i>`
    )
  }</div></li>`
}

/** Among very many lanes, a circuit that never opened is left out. */
const shownBands = (circuit: CircuitLane["circuit"], size: Size) => {
  const bands = circuit?.bands ?? []
  return size === "dense" && bands.every(({ state }) => state === "CLOSED") ? [] : bands
}

const mainEnd = ({ durationMs, outcome }: Run): Html => html`${runWords[outcome]}, ${duration(durationMs)}`

const flowEnd = (row: Row | undefined, size: Size): Html => {
  if (row === undefined) return html`no end in these events`
  const { abandoned, attempts, circuit, outcome, timingMs } = row
  const sign = html`<b class="${outcome}">${glyphs[outcome]}</b>`
  const word = outcome === "rejected" ? "refused" : words[outcome]
  const time = attempts === 0 ? "" : duration(timingMs)
  if (size !== "") {
    const tries = attempts > 1 ? `${attempts}×` : ""
    return html`${sign} ${[size === "dense" ? "" : word, tries, time].filter((part) => part !== "").join(" ")}`
  }
  const tries = attempts === 0 ? "not asked" : attempts === 1 ? "" : count(attempts, "attempt")
  const state = circuit === undefined || circuit === "CLOSED" ? "" : `circuit ${circuit}`
  return html`${sign} ${
    [word, tries, time, abandoned ? "left alone" : "", state].filter((part) => part !== "").join(", ")
  }`
}

const drawSegment = (segment: Segment, lane: string, own: number, first: boolean, size: Size): Html => {
  const { details, from, marks, to } = segment
  const when = to > from ? `from ${duration(from)} to ${duration(to)} of this run` : `at ${duration(from)} of this run`
  const [head, ...rest] = details
  const title = shorten([`${lane}: ${head}`, ...rest, when].join("\n"), 1500)
  const inside = size === "dense" ?
    undefined :
    html`${labelOf(segment, from / own)}${
      marks.map((at) => html`<u style="--m:${percent(at - from, to - from)}"></u>`)
    }`
  return html`<i class="s ${lookOf(segment)}" style="${place(from, to, own)}" role="img" tabindex="${
    first ? 0 : -1
  }" title="${title}">${inside}</i>`
}

const labelOf = ({ from, kind, label, outcome, to }: Segment, at: number): Html => {
  const time = html`<span>${duration(to - from)}</span>`
  switch (kind) {
    case "attempt":
      return html`<b>${label} ${outcome === undefined ? "" : glyphs[outcome]}</b>${time}`
    case "rejected":
      return html`<b>${glyphs.rejected}</b>${at < 0.6 ? html`<span>${label}</span>` : undefined}`
    case "limit":
      return html`<b>${glyphs.timeout}</b>`
    default:
      return html`<span>${label}</span>${time}`
  }
}

const place = (from: number, to: number, own: number): string =>
  `--a:${percent(from, own)};--w:${percent(to - from, own)}`

const round = (n: number): number => Math.round(n * 1e5) / 1e5

const percent = (part: number, whole: number): number => whole <= 0 ? 0 : Math.round(part / whole * 1e6) / 1e4

const table = ({ rows }: Run): Html =>
  html`<details${rows.length <= 100 ? new Html(" open") : undefined}><summary>Results of ${
    count(rows.length, "flow")
  }</summary><div class="scroll" tabindex="0" role="group" aria-label="Results"><table><thead><tr><th scope="col">Flow</th><th scope="col">Outcome</th><th scope="col" class="n">Attempts</th><th scope="col" class="n">Start</th><th scope="col" class="n">Time</th><th scope="col">Circuit</th><th scope="col">What happened</th></tr></thead><tbody>${
    rows.map(({ abandoned, attempts, branch, circuit, note, outcome, startMs, timingMs }) =>
      html`<tr class="${outcome}"><td><bdi>${branch}</bdi></td><td class="t ${outcome}"><span class="g">${
        glyphs[outcome]
      }</span> ${words[outcome]}${abandoned ? ", left alone" : ""}</td><td class="n">${attempts}</td><td class="n">${
        duration(startMs)
      }</td><td class="n">${attempts === 0 ? "" : duration(timingMs)}</td><td class="t">${circuit}</td><td class="e">${
        shorten(note)
      }</td></tr>`
    )
  }</tbody></table></div></details>`
