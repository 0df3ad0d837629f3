/**
 * The command line: one sentence for whatever does not fit.
 */
import { Console, type Effect, Layer, Option } from "effect"
import { Argument, CliConfig, type CliError, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export interface Options {
  /** A lock file, or a folder with one. */
  readonly place: string
  readonly concurrency: number
  /** Where to write the timeline. */
  readonly html: Option.Option<string>
}

const project = fileURLToPath(new URL("../..", import.meta.url))

const allowed: Record<string, string> = {
  concurrency: "an integer from 1 to 256",
  html: "a file in a folder that can be written to"
}

const integer = (text: string): Option.Option<number> =>
  Option.some(Number(text)).pipe(Option.filter((n) => /^\d+$/.test(text) && n >= 1 && n <= 256))

/** Known before the audit: a page that cannot be written would be lost after it. */
const writable = (file: string): Option.Option<string> => {
  try {
    accessSync(dirname(resolve(file)), constants.W_OK)
    return existsSync(file) && statSync(file).isDirectory() ? Option.none() : Option.some(file)
  } catch {
    return Option.none()
  }
}

const parameters = {
  place: Argument.String("lock").pipe(
    Argument.withDescription("A package-lock.json, or the folder of one (default: the one of this project)"),
    Argument.withDefault(project)
  ),
  concurrency: Flag.String("concurrency").pipe(
    Flag.filterMap(integer, () => allowed["concurrency"]!),
    Flag.withMetavar("value"),
    Flag.withDescription(`Packages looked at at a time: ${allowed["concurrency"]} (default: 8)`),
    Flag.withDefault(8)
  ),
  html: Flag.String("html").pipe(
    Flag.filterMap(writable, () => allowed["html"]!),
    Flag.withMetavar("file"),
    Flag.withDescription(`Writes the timeline as one HTML page: ${allowed["html"]}`),
    Flag.optional
  )
}

export const command = <E, R>(run: (options: Options) => Effect.Effect<void, E, R>) =>
  Command.make("audit", parameters, run).pipe(
    Command.withDescription([
      "Compares a package-lock.json with the node_modules beside it: for each package its",
      "manifest, license, files and size on disk. Ends with 0 if everything is as the lock",
      "says, with 1 if the audit could not be made, with 2 if a package is missing or broken."
    ].join("\n  ")),
    Command.withExamples([
      { command: "node examples/audit/main.ts", description: "This project" },
      { command: "node examples/audit/main.ts ../other/package-lock.json", description: "Another one" },
      { command: "node examples/audit/main.ts --html out.html", description: "A page that shows what took how long" }
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
        ? Console.error(`audit: ${sentence(event.errors[0]!)} (see --help)`)
        : CliOutput.defaultPresenter.present(event)
  })
)
