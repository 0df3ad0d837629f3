/**
 * The page of a timeline: one document that needs nothing else.
 */
import * as DateTime from "effect/DateTime"
import { count, duration, Html, html, percent } from "./timelineHtml.ts"
import type { Model, Row, Run } from "./timelineModel.ts"
import { script, scriptHash } from "./timelineScript.ts"
import { style, styleHash } from "./timelineStyle.ts"
import { stepOf, ticks } from "./timelineTicks.ts"
import { type Around, drawLane, drawTable } from "./timelineView.ts"
import { capital, glyphs, legend, lookOf, nameOf, runWords, waitText, words } from "./timelineWords.ts"

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
${waits(runs)}
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
  return `${count(runs.filter(({ part }) => part === 1).length, "run")} of ${graphs}, from ${dateOf(first.startAt)}`
}

/** Runs that wait for somebody still, before anything else. */
const waits = (runs: ReadonlyArray<Run>): ReadonlyArray<Html> => {
  const open = runs.filter(({ isContinued, outcome }) => outcome === "suspended" && !isContinued)
  const shown = open.slice(-shownWaits).map(({ number, pending }) =>
    html`<p class="waits"><b>${glyphs.suspended}</b> Run ${number} waits ${waitText(pending)}</p>`
  )
  const rest = open.length - shown.length
  return rest === 0 ? shown : [html`<p class="waits">${count(rest, "other run")} wait for somebody, too</p>`, ...shown]
}

const shownWaits = 3

const dateOf = (at: number): string => {
  const date = DateTime.make(at)
  return date._tag === "None" ? `${at} ms` : `${DateTime.formatIso(date.value).replace("T", " ").replace("Z", "")} UTC`
}

const overview = ({ runs, spanMs }: Model): Html =>
  html`<ol class="runs" aria-label="Runs">${
    runs.map((run) =>
      html`<li><a href="#${idOf(run)}">${capital(nameOf(run))}</a><i style="--w:${
        percent(run.durationMs, spanMs)
      }"></i><span>${duration(run.durationMs)}${endOfRun(run)}</span></li>`
    )
  }</ol>`

const endOfRun = ({ isContinued, outcome, pausedMs }: Run): string => {
  const resumed = pausedMs === undefined ? "" : `, resumed after ${duration(pausedMs)}`
  if (outcome === "success") return resumed
  return `${resumed}, ${outcome === "suspended" && isContinued ? "suspended" : runWords[outcome]}`
}

const idOf = ({ number, part }: Run): string => part === 1 ? `run-${number}` : `run-${number}-${part}`

/** What the signs in the drawing mean. */
const signs = (runs: ReadonlyArray<Run>): Html => {
  const used = new Set(runs.flatMap(({ rows }) => rows.map(({ outcome }) => outcome)))
  const all = (Object.keys(glyphs) as ReadonlyArray<Row["outcome"]>).filter((outcome) => used.has(outcome))
  return html`<p class="signs">${all.map((outcome) => `${glyphs[outcome]} ${words[outcome]}`).join(", ")}${
    runs.some(({ number }) => number > 1) ? "; from the first run to the last" : ""
  }</p>`
}

const key = ({ runs }: Model): Html => {
  const used = new Set<string>(runs.flatMap(({ lanes }) => lanes.flatMap(({ segments }) => segments.map(lookOf))))
  const states = new Set(
    runs.flatMap(({ lanes }) => lanes.flatMap(({ circuit }) => circuit?.bands.map(({ state }) => state) ?? []))
  )
  const longest = runs.reduce((most, { lanes }) => Math.max(most, lanes.length), 0)
  const hasParts = runs.some(({ lanes }) =>
    lanes.some(({ segments }) => segments.some(({ parts }) => parts.length > 0))
  )
  return html`<div class="key" role="group" aria-label="Key">${
    legend.filter(([look]) => used.has(look)).map(([look, text]) => html`<span><i class="s ${look}"></i>${text}</span>`)
  }${hasParts ? partsKey : undefined}${
    [...states].map((state) => html`<span><i class="c ${state}"></i>circuit ${state}</span>`)
  }${runs.some(({ saves }) => saves.length > 0) ? savesKey : undefined}${
    runs.length < 2
      ? undefined
      : html`<fieldset><label><input type="radio" name="scale" checked>one scale for all runs</label><label><input type="radio" name="scale" id="fill">each run fills the width</label></fieldset>`
  }${
    longest <= 20
      ? undefined
      : html`<label><input type="checkbox" id="only">only what did not succeed</label>`
  }</div>`
}

const partsKey =
  html`<span><i class="s node"><u class="p failure" style="--m:10;--n:30"></u><u class="p success" style="--m:55;--n:35"></u></i>attempts of a node of its own</span>`

const savesKey = html`<span><i class="k"></i>saved</span>`

const section = (run: Run, { spanMs }: Model): Html => {
  const { durationMs, graph, lanes, pausedMs, runId, startAt, summary } = run
  const span = Math.max(spanMs, 1)
  const own = Math.max(durationMs, 1)
  const size = lanes.length > 80 ? "dense" : lanes.length > 16 ? "tight" : ""
  const first = lanes.findIndex(({ segments }) => segments.length > 0)
  const numbers = `--k:${round(own / span)};--tick:${percent(stepOf(span), span)};--own-tick:${
    percent(stepOf(own), own)
  }`
  const id = idOf(run)
  const around: Around = { run, own, size }
  const paused = pausedMs === undefined
    ? undefined
    : html`<p class="pause"><span>stood still for ${duration(pausedMs)}, then was resumed</span></p>`
  return html`${paused}<section class="run ${size}" id="${id}" aria-labelledby="head-${id}" style="${numbers}">
<div class="head"><h2 id="head-${id}">${
    capital(nameOf(run))
  }</h2><span class="dim"><bdi>${graph}</bdi>, run id <bdi>${runId}</bdi>, from ${dateOf(startAt)}</span></div>
<p class="summary">${summary}</p>
<div class="chart"><div class="axis" aria-hidden="true">${axis(span, "shared")}${axis(own, "own")}</div>
<ol class="lanes">${lanes.map((lane, i) => drawLane(lane, around, i === first))}</ol></div>
${run.rows.length === 0 ? undefined : drawTable(run)}
</section>
`
}

const axis = (span: number, name: string): ReadonlyArray<Html> =>
  ticks(span).map(({ at, text }) => html`<span class="${name}" style="--x:${percent(at, span)}">${text}</span>`)

const round = (n: number): number => Math.round(n * 1e5) / 1e5
