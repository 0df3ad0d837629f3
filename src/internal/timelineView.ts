/**
 * The lanes of a run, and the table of its results, as parts of the page.
 */
import { count, duration, Html, html, percent, shorten } from "./timelineHtml.ts"
import type { CircuitLane, Row, Run, Save } from "./timelineModel.ts"
import type { Segment } from "./timelineSegment.ts"
import { glyphs, lookOf, runWords, told, waitText } from "./timelineWords.ts"

/** What a lane is drawn in. */
export interface Around {
  readonly run: Run
  /** The length of the run. */
  readonly own: number
  /** How close the lanes are: the more there are, the closer. */
  readonly size: "" | "tight" | "dense"
}

/** `first`: where the keyboard begins. */
export const drawLane = (lane: CircuitLane, around: Around, first: boolean): Html => {
  const { branch, circuit, place: where, row, segments } = lane
  const { own, run, size } = around
  const name = branch ?? "main line"
  const depth = where?.depth ?? 0
  const outcome = branch === undefined ? "main" : row?.outcome ?? "open"
  return html`<li class="lane ${outcome}${
    depth === 0 ? "" : ` d${Math.min(depth, 3)}`
  }"><div class="who"><bdi class="name" title="${name}">${where?.label ?? name}</bdi><span class="what">${
    branch === undefined ? mainEnd(run, size) : flowEnd(row, size)
  }</span></div><div class="track">${
    segments.map((segment, i) => drawSegment(segment, name, around, first && i === 0))
  }${
    shownBands(circuit, size).map(({ from, state, to }) =>
      html`<i class="c ${state}" style="${place(from, to, own)}" title="${`circuit ${circuit?.key} is ${state}\nfrom ${
        duration(from)
      } to ${duration(to)} of this run`}"></i>`
    )
  }${branch === undefined ? drawSaves(run.saves, own) : undefined}</div></li>`
}

/** Among very many lanes, a circuit that never opened is left out. */
const shownBands = (circuit: CircuitLane["circuit"], size: Around["size"]) => {
  const bands = circuit?.bands ?? []
  return size === "dense" && bands.every(({ state }) => state === "CLOSED") ? [] : bands
}

/** Checkpoints that stand too close are one sign. */
const drawSaves = (saves: ReadonlyArray<Save>, own: number): ReadonlyArray<Html> => {
  const groups: Array<Array<Save>> = []
  for (const save of saves) {
    const group = groups.at(-1)
    if (group !== undefined && save.at - group[0]!.at < own / 150) group.push(save)
    else groups.push([save])
  }
  return groups.map((group) => {
    const [{ at, id }, last] = [group[0]!, group.at(-1)!]
    const what = group.length === 1 ? `checkpoint ${id}` : `${group.length} checkpoints, the last one is ${last.id}`
    const title = `saved: ${what}\nat ${duration(at)} of this run`
    return html`<i class="k" style="--a:${percent(at, own)}" title="${title}"></i>`
  })
}

const mainEnd = ({ durationMs, isContinued, outcome, pending }: Run, size: Around["size"]): Html => {
  if (outcome !== "suspended") return html`${runWords[outcome]}, ${duration(durationMs)}`
  const wait = `${isContinued ? "waited" : "waits"} ${size === "" ? waitText(pending) : "for an answer"}`
  return html`<b class="suspended">${glyphs.suspended}</b> ${shorten(wait, 80)}`
}

const flowEnd = (row: Row | undefined, size: Around["size"]): Html => {
  if (row === undefined) return html`no end in these events`
  const { attempts, circuit, note, outcome, timingMs, usedFallback } = row
  const sign = html`<b class="${outcome}">${glyphs[outcome]}</b>`
  const word = outcome === "suspended" && size === "" ? shorten(note, 60) : told(row)
  const time = attempts === 0 || outcome === "suspended" ? "" : duration(timingMs)
  if (size !== "") {
    const tries = attempts > 1 ? `${attempts}×` : ""
    const dense = outcome === "suspended" ? "waits" : usedFallback ? "fallback" : ""
    const short = size === "dense" ? dense : outcome === "success" && usedFallback ? "fallback used" : word
    return html`${sign} ${[short, tries, time].filter((part) => part !== "").join(" ")}`
  }
  const tries = attempts === 0
    ? outcome === "rejected" ? "not asked" : ""
    : attempts === 1
    ? ""
    : count(attempts, "attempt")
  const state = circuit === undefined || circuit === "CLOSED" ? "" : `circuit ${circuit}`
  return html`${sign} ${[word, tries, time, state].filter((part) => part !== "").join(", ")}`
}

const drawSegment = (segment: Segment, lane: string, { own, size }: Around, first: boolean): Html => {
  const { details, from, to } = segment
  const when = to > from ? `from ${duration(from)} to ${duration(to)} of this run` : `at ${duration(from)} of this run`
  const isInstant = segment.kind === "fallback" && to === from
  const [head, ...rest] = details
  const title = shorten([`${lane}: ${head}`, ...rest, when].join("\n"), 1500)
  const inside = size === "dense" ? undefined : html`${labelOf(segment, from / own)}${insideOf(segment)}`
  return html`<i class="s ${lookOf(segment)}${isInstant ? " at" : ""}" style="${
    place(from, to, own)
  }" role="img" tabindex="${first ? 0 : -1}" title="${title}">${inside}</i>`
}

/** When each further node began, and what nodes with a policy of their own did. */
const insideOf = ({ from, marks, parts, to }: Segment): Html =>
  html`${marks.map((at) => html`<u style="--m:${percent(at - from, to - from)}"></u>`)}${
    parts.map((part) =>
      html`<u class="p ${part.outcome}" style="--m:${percent(part.from - from, to - from)};--n:${
        percent(part.to - part.from, to - from)
      }"></u>`
    )
  }`

const labelOf = ({ from, kind, label, outcome, to }: Segment, at: number): Html => {
  const time = html`<span>${duration(to - from)}</span>`
  switch (kind) {
    case "attempt":
      return html`<b>${label} ${outcome === undefined ? "" : glyphs[outcome]}</b>${time}`
    case "fallback":
      return html`<b>${label} ${outcome === undefined ? "" : glyphs[outcome]}</b>${to > from ? time : undefined}`
    case "ask":
      return html`<b>${glyphs.suspended}</b><span>${label}</span>`
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

export const drawTable = ({ rows }: Run): Html =>
  html`<details${rows.length <= 100 ? new Html(" open") : undefined}><summary>Results of ${
    count(rows.length, "flow")
  }</summary><div class="scroll" tabindex="0" role="group" aria-label="Results"><table><thead><tr><th scope="col">Flow</th><th scope="col">Outcome</th><th scope="col" class="n">Attempts</th><th scope="col" class="n">Start</th><th scope="col" class="n">Time</th><th scope="col">Circuit</th><th scope="col">What happened</th></tr></thead><tbody>${
    rows.map((row) => {
      const { attempts, branch, circuit, note, outcome, startMs, timingMs } = row
      return html`<tr class="${outcome}"><td><bdi>${branch}</bdi></td><td class="t ${outcome}"><span class="g">${
        glyphs[outcome]
      }</span> ${told(row)}</td><td class="n">${attempts}</td><td class="n">${duration(startMs)}</td><td class="n">${
        attempts === 0 ? "" : duration(timingMs)
      }</td><td class="t">${circuit}</td><td class="e">${shorten(note)}</td></tr>`
    })
  }</tbody></table></div></details>`
