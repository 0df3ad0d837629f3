/**
 * `npm run demo`: five services that behave well or badly, asked in parallel by one graph. `--help` explains the options.
 */
import { NodeHttpClient, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Option, References, Stream } from "effect"
import { Command } from "effect/cli"
import { Timeline } from "../../src/index.ts"
import * as Graph from "./graph.ts"
import * as Live from "./live.ts"
import * as Options from "./options.ts"
import * as Print from "./print.ts"
import * as Servers from "./servers.ts"

/** A live view for people, plain lines for files and pipes. */
const watcher = (printer: ReturnType<typeof Print.makePrinter>) => {
  if (!process.stdout.isTTY || process.env["NO_COLOR"]) {
    return { ...printer, during: <A, E, R>(self: Effect.Effect<A, E, R>) => self }
  }
  const live = Live.make(process.stdout)
  return { ...live, clientGone: () => Effect.void }
}

const demo = (options: Options.Options) => {
  const watch = watcher(Print.makePrinter())
  const graph = Graph.make(options)
  const told: Array<Graph.Event> = []

  const runOnce = Effect.fnUntraced(function*(run: number) {
    yield* Console.log(`\nRun ${run} of ${options.runs}\n`)
    const { stillOpen } = yield* Servers.Servers
    const last = yield* graph.stream({ run }).pipe(
      Stream.tap((event) => {
        told.push(event)
        return watch.event(event)
      }),
      Stream.runLast,
      watch.during
    )
    if (last._tag === "None" || last.value._tag !== "GraphCompleted") return
    yield* Print.table(last.value.state.rows, yield* graph.circuitStates, yield* stillOpen, options)
  })

  const writePage = Effect.fnUntraced(function*(file: string) {
    const files = yield* FileSystem.FileSystem
    const title = "Five services, asked in parallel"
    yield* files.writeFileString(file, Timeline.fromEvents(told, { title, diagram: graph.diagram }))
    yield* Console.log(`\nThe timeline of all runs is in ${file}: open it in a browser.`)
  })

  return Effect.gen(function*() {
    const { urls } = yield* Servers.Servers
    yield* Print.intro(urls, options)
    for (let run = 1; run <= options.runs; run++) yield* runOnce(run)
    if (Option.isSome(options.html)) yield* writePage(options.html.value)
  }).pipe(
    Effect.provide(Layer.merge(Servers.layer(watch.clientGone), NodeHttpClient.layerNodeHttp)),
    Effect.onInterrupt(() => Console.log("\nStopped: no request is open, every server is closed."))
  )
}

// Nobody reads any more, as in `npm run demo | head`: the servers end with the process.
process.stdout.once("error", () => process.exit(1))

Options.command(demo).pipe(
  Command.run({ version: "" }),
  Effect.provide(Layer.merge(Options.layer, NodeServices.layer)),
  // The events already tell every retry; the warnings about them would say it twice.
  Effect.provideService(References.MinimumLogLevel, "Error"),
  NodeRuntime.runMain
)
