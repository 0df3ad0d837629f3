/**
 * The command line: three options, one sentence for whatever does not fit.
 */
import { Console, Duration, Effect, Layer, Option } from "effect"
import { CliConfig, type CliError, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"

export interface Options {
  readonly timeoutMs: number
  readonly retries: number
  readonly runs: number
  /** Where to write the timeline. */
  readonly html: Option.Option<string>
}

const duration = (text: string): Option.Option<number> =>
  Duration.fromInput(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text as Duration.Input).pipe(
    Option.map(Duration.toMillis),
    Option.filter((ms) => ms >= 1 && ms <= 60_000)
  )

const integer = (atLeast: number) => (text: string): Option.Option<number> =>
  Option.some(Number(text)).pipe(Option.filter((n) => /^\d+$/.test(text) && Number.isSafeInteger(n) && n >= atLeast))

const allowed: Record<string, string> = {
  timeout: `a duration from 1 ms to 1 minute, such as "1 second", or a number of milliseconds`,
  retries: "an integer of at least 0",
  runs: "an integer of at least 1",
  html: "a file in a folder that can be written to"
}

/** Known before the first run: a page that cannot be written would be lost after the last one. */
const writable = (file: string): Option.Option<string> => {
  try {
    accessSync(dirname(resolve(file)), constants.W_OK)
    return existsSync(file) && statSync(file).isDirectory() ? Option.none() : Option.some(file)
  } catch {
    return Option.none()
  }
}

const flag = (
  name: string,
  parse: (text: string) => Option.Option<number>,
  what: string,
  by: readonly [number, string]
) =>
  Flag.String(name).pipe(
    Flag.filterMap(parse, () => allowed[name]!),
    Flag.withMetavar("value"),
    Flag.withDescription(`${what}: ${allowed[name]} (default: ${by[1]})`),
    Flag.withDefault(by[0])
  )

const flags = {
  timeoutMs: flag("timeout", duration, "Limit of one attempt", [1000, "1 second"]),
  retries: flag("retries", integer(0), "Further attempts after one that failed", [2, "2"]),
  runs: flag("runs", integer(1), "Runs of the graph, one after the other", [3, "3"]),
  html: Flag.String("html").pipe(
    Flag.filterMap(writable, () => allowed["html"]!),
    Flag.withMetavar("file"),
    Flag.withDescription(`Writes the timeline of all runs as one HTML page: ${allowed["html"]}`),
    Flag.optional
  )
}

export const command = <E, R>(run: (options: Options) => Effect.Effect<void, E, R>) =>
  Command.make("demo", flags, run).pipe(
    Command.withDescription([
      "Starts five HTTP servers on this computer (fast, slow, flaky, hanging, dead) and",
      "asks all five in parallel, in one graph, several times. Whatever they do, each flow",
      "ends within its budget; a service that keeps failing opens its circuit and from then",
      "on costs nothing. Ctrl-C stops everything at once."
    ].join("\n  ")),
    Command.withExamples([
      { command: "npm run demo", description: "1 second per attempt, 2 retries, 3 runs" },
      { command: `npm run demo -- --timeout "4 seconds"`, description: "Long enough for the slow one" },
      { command: "npm run demo -- --retries 0 --runs 5", description: "Without retries the flaky one never recovers" },
      { command: "npm run demo -- --html out.html", description: "A page that shows what took how long" }
    ])
  )

const sentence = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption": {
      const [suggestion] = error.suggestions
      return `unknown option ${JSON.stringify(error.option)}${
        suggestion === undefined ? "" : `, did you mean ${suggestion}`
      }`
    }
    case "InvalidValue":
      return error.expected === allowed[error.option]
        ? `--${error.option} is ${JSON.stringify(error.value)}, allowed is ${error.expected}`
        : `--${error.option} takes one value, ${allowed[error.option]}`
    case "UnexpectedArgument":
      return `unexpected argument ${JSON.stringify(error.arguments[0])}`
    default:
      return error.message
  }
}

/** Help as Effect prints it; an error as one sentence, without the help. */
export const layer = Layer.merge(
  CliConfig.layer({ builtIns: [GlobalFlag.Help] }),
  CliOutput.layerPresenter({
    present: (event) =>
      event._tag === "InvalidInvocation"
        ? Console.error(`demo: ${sentence(event.errors[0]!)} (see --help)`)
        : CliOutput.defaultPresenter.present(event)
  })
)
