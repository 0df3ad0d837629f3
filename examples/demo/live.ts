/**
 * The live view of a terminal: one line per service, redrawn while the run goes on.
 */
import { Effect, Schedule } from "effect"
import { styleText } from "node:util"
import type { Event } from "./graph.ts"
import { type Service, services } from "./servers.ts"

interface Line {
  readonly attempt: number
  /** Epoch ms; absent before it starts. */
  readonly startedAt?: number
  readonly endedAt?: number
  readonly color: "dim" | "green" | "red" | "yellow"
  readonly doing: string
}

/** What the view shows: one line per service, in order. */
export type View = Readonly<Record<Service, Line>>

export const initial: View = Object.fromEntries(
  services.map((service) => [service, { attempt: 0, color: "dim", doing: "not asked yet" }])
) as unknown as View

/** The view after an event. */
export const update = (view: View, event: Event): View => {
  if (!("branch" in event) || event.branch === undefined || !(event.branch in view)) return view
  const service = event.branch as Service
  const change = (line: Partial<Line>): View => ({ ...view, [service]: { ...view[service], ...line } })
  switch (event._tag) {
    case "FlowStarted":
      return change({ startedAt: event.at })
    case "AttemptStarted":
      return change({ attempt: event.attempt, color: "dim", doing: "asking" })
    case "AttemptFailed":
      return change({ color: "red", doing: event.error })
    case "FlowTimedOut":
      return change({ color: "red", doing: `no answer within ${event.timeoutMs} ms` })
    case "RetryScheduled":
      return change({ color: "yellow", doing: `${view[service].doing}, again in ${event.delayMs} ms` })
    case "FlowRejected":
      return change({ startedAt: event.at, color: "yellow", doing: `not asked: circuit is ${event.circuit?.state}` })
    case "FlowCompleted": {
      const { success } = event.result
      const line = view[service]
      return change({
        endedAt: event.at,
        color: success ? "green" : line.color,
        doing: success ? "answered" : line.doing
      })
    }
    default:
      return view
  }
}

const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
const marks = { dim: " ", green: "✔", red: "✘", yellow: "⊘" }

const cut = (text: string, room: number): string => text.length <= room ? text : `${text.slice(0, room - 1)}…`

/** The view at an instant (epoch ms), as lines shorter than `columns`: one that wraps would be drawn beside itself. */
export const frame = (view: View, now: number, columns: number): ReadonlyArray<string> =>
  services.map((service) => {
    const { attempt, color, doing, endedAt, startedAt } = view[service]
    const running = startedAt !== undefined && endedAt === undefined
    const mark = running ? spinner[Math.floor(now / 80) % spinner.length]! : endedAt === undefined ? " " : marks[color]
    const time = startedAt === undefined ? "" : `${(((endedAt ?? now) - startedAt) / 1000).toFixed(1)} s`
    const attempts = attempt === 0 ? "" : `attempt ${attempt}`
    const facts = `${service.padEnd(9)}${attempts.padEnd(11)}${time.padStart(7)}  `
    const text = cut(facts + doing, Math.max(columns - 5, 1))
    return `  ${styleText(running ? "dim" : color, mark)} ${text.slice(0, facts.length)}${
      styleText(color, text.slice(facts.length))
    }`
  })

const up = (lines: number): string => `\u001b[${lines}A`
// From its first column: the cursor may be after a "^C".
const clearLine = "\r\u001b[2K"

/** The part of a terminal that drawing needs; `columns` changes when its window does. */
export interface Terminal {
  readonly columns: number
  readonly write: (text: string) => void
}

/** Draws on a terminal. `event` takes the run's events; the last frame stays. */
export const make = (terminal: Terminal) => {
  let view = initial
  let drawn = 0
  const draw = Effect.clockWith((clock) =>
    Effect.sync(() => {
      // A terminal of unknown width says 0.
      const lines = frame(view, clock.currentTimeMillisUnsafe(), terminal.columns || 80)
      terminal.write((drawn === 0 ? "" : up(drawn)) + lines.map((line) => `${clearLine}${line}\n`).join(""))
      drawn = lines.length
    })
  )
  return {
    event: (event: Event) =>
      Effect.sync(() => {
        if (event._tag === "GraphStarted") {
          view = initial
          drawn = 0
        }
        view = update(view, event)
      }),
    /** Redraws while the effect runs, and once more at its end. */
    during: <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.ensuring(
        Effect.raceFirst(self, Effect.andThen(Effect.repeat(draw, Schedule.spaced("80 millis")), Effect.never)),
        draw
      )
  }
}
