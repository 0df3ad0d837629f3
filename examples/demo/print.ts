/**
 * What the demo prints: who is there, one line per event, one table per run.
 */
import { Clock, Console, Duration, Effect } from "effect"
import { styleText } from "node:util"
import type { CircuitBreakerRegistry } from "../../src/index.ts"
import { type Event, graphName, limits, type Row } from "./graph.ts"
import type { Options } from "./options.ts"
import { behaviours, type Service, services } from "./servers.ts"

type Color = "green" | "red" | "yellow" | "dim"

export const intro = (urls: Readonly<Record<Service, string>>, options: Options): Effect.Effect<void> => {
  const { budgetMs, failureThreshold, retries, timeoutMs } = limits(options)
  const failures = failureThreshold === 1 ? "1 failure opens" : `${failureThreshold} failures in a row open`
  return Console.log(`Five services on this computer:

${services.map((name) => `  ${name.padEnd(9)}${urls[name].padEnd(24)}${behaviours[name]}`).join("\n")}

A graph asks all five in parallel, ${options.runs === 1 ? "once" : `${options.runs} times`}:

  one attempt  may take ${timeoutMs} ms; up to ${retries} retries follow a failure, none for slow
  one flow     may take ${budgetMs} ms in all
  circuits     ${failures} the circuit of a service: it is no longer asked`)
}

/** Prints events with the time since their run started. */
export const makePrinter = () => {
  let startedAt = 0
  const line = (at: number, service: string, color: Color, what: string, detail = "") => {
    const time = styleText("dim", `+${at - startedAt} ms`.padStart(10))
    return Console.log(`${time}  ${service.padEnd(9)}${styleText(color, what.padEnd(16))}${detail}`.trimEnd())
  }
  const event = (event: Event): Effect.Effect<void> => {
    // No node of the demo has a policy of its own: all attempts are those of flows.
    if ("scope" in event && event.scope === "node") return Effect.void
    switch (event._tag) {
      case "GraphStarted":
        startedAt = event.at
        return Effect.void
      case "FlowStarted":
        return line(event.at, event.branch, "dim", "started")
      case "AttemptFailed":
        return line(event.at, event.branch, "red", "attempt failed", `attempt ${event.attempt}: ${event.error}`)
      case "FlowTimedOut":
        return event.timeoutKind === "total"
          ? line(event.at, event.branch, "red", "timed out", `the budget of ${event.timeoutMs} ms is used up`)
          : line(
            event.at,
            event.branch,
            "red",
            "timed out",
            `attempt ${event.attempt}: no answer within ${event.timeoutMs} ms`
          )
      case "RetryScheduled":
        return line(event.at, event.branch, "dim", "retry", `in ${event.delayMs} ms`)
      case "CircuitStateChanged":
        return line(event.at, event.branch, "yellow", `circuit ${event.to}`, `it was ${event.from}`)
      case "FlowRejected": {
        if (event.circuit === undefined) return Effect.void
        const { retryAfterMs, state } = event.circuit
        const seconds = Duration.format(Duration.seconds(Math.ceil(retryAfterMs / 1000)))
        return line(
          event.at,
          event.branch,
          "yellow",
          "rejected",
          `circuit is ${state}, no request is sent, ask again in ${seconds}`
        )
      }
      case "FlowCompleted": {
        const { attempts, success, timingMs } = event.result
        if (success) {
          return line(event.at, event.branch, "green", "completed", `attempt ${attempts}, after ${timingMs} ms`)
        }
        return attempts === 0
          ? Effect.void
          : line(event.at, event.branch, "red", "gave up", `attempt ${attempts}, after ${timingMs} ms`)
      }
      case "GraphCompleted":
        return line(event.at, "all five", "green", "joined")
      default:
        return Effect.void
    }
  }
  const clientGone = (service: Service): Effect.Effect<void> =>
    Clock.clockWith((clock) =>
      line(
        clock.currentTimeMillisUnsafe(),
        service,
        "dim",
        "disconnected",
        "the server saw its client close the connection"
      )
    )
  return { clientGone, event }
}

const headings = ["service", "outcome", "attempts", "time ms", "circuit", "what happened"]
const widths = [9, 10, 10, 9, 14, 0]
const colors: Record<string, Color> = { Success: "green", Rejected: "yellow" }

const columns = (cells: ReadonlyArray<string | number>): Array<string> =>
  cells.map((cell, i) =>
    typeof cell === "number" ? `${String(cell).padStart(widths[i]! - 2)}  ` : cell.padEnd(widths[i]!)
  )

export const table = (
  rows: ReadonlyArray<typeof Row.Type>,
  circuits: ReadonlyArray<CircuitBreakerRegistry.Snapshot>,
  stillOpen: number,
  options: Options
): Effect.Effect<void> => {
  const { failureThreshold } = limits(options)
  const lines = rows.map((row) => {
    const failures = circuits.find(({ key }) => key === `${graphName}/${row.service}`)?.failureCount ?? 0
    const circuit = failures === 0 ? row.circuit : `${row.circuit} ${failures}/${failureThreshold}`
    const cells = columns([row.service, row.outcome, row.attempts, row.timeMs, circuit, row.note])
    return cells.map((cell, i) => i === 1 ? styleText(colors[row.outcome] ?? "red", cell) : cell).join("")
  })
  const heading = columns(headings).join("")
  const open = `Requests that are still open on the servers: ${stillOpen}`
  return Console.log(
    ["", heading, "-".repeat(heading.length + 20), ...lines, "", open].map((text) => `  ${text}`.trimEnd()).join("\n")
  )
}
