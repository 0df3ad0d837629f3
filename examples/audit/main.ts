/**
 * A dependency audit: is what is in `node_modules` what the lock says, under which licenses, and how big is it?
 *
 *     node examples/audit/main.ts
 *     node examples/audit/main.ts ../other/package-lock.json --html out.html
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Option, References, Stream } from "effect"
import { Command } from "effect/cli"
import { type GraphEvent, Timeline } from "../../src/index.ts"
import * as Graph from "./graph.ts"
import * as Options from "./options.ts"
import * as Print from "./print.ts"
import * as Report from "./report.ts"

const audit = ({ concurrency, html, place }: Options.Options) => {
  const graph = Graph.make({ concurrency, timeoutMs: 30_000 })

  /** Events are kept only for who wants the page. */
  const runFor = Effect.fnUntraced(function*(file: string) {
    const told: Array<GraphEvent.Any> = []
    const last = yield* graph.stream({ place }).pipe(
      Stream.tap((event) => Effect.sync(() => told.push(event))),
      Stream.runLast
    )
    const files = yield* FileSystem.FileSystem
    const title = `Audit of ${place}`
    yield* files.writeFileString(file, Timeline.fromEvents(told, { title, diagram: graph.diagram }))
    return Option.flatMapNullishOr(last, (event) => event._tag === "GraphCompleted" ? event.state.report : undefined)
  })

  return Effect.gen(function*() {
    const report = Option.isSome(html)
      ? yield* runFor(html.value)
      : Option.fromNullishOr((yield* graph.invoke({ place })).report)
    if (Option.isNone(report)) return
    yield* Console.log(Print.text(report.value))
    if (Option.isSome(html)) yield* Console.log(`\nThe timeline is in ${html.value}: open it in a browser.`)
    if (Report.failures(report.value).length > 0) process.exitCode = 2
  }).pipe(
    Effect.catch((error) =>
      Effect.andThen(Console.error(`audit: ${error.message}`), Effect.sync(() => void (process.exitCode = 1)))
    )
  )
}

// Nobody reads any more, as in `audit | head`.
process.stdout.once("error", () => process.exit(1))

Options.command(audit).pipe(
  Command.run({ version: "" }),
  Effect.provide(Layer.merge(Options.layer, NodeServices.layer)),
  // The report tells every failure; the warnings about them would say it twice.
  Effect.provideService(References.MinimumLogLevel, "Error"),
  NodeRuntime.runMain
)
