/** The command line of `npm run soak`. */
import { parseArgs } from "node:util"

export type Options =
  | { readonly _tag: "Run"; readonly minutes: number }
  | { readonly _tag: "Help" }
  | { readonly _tag: "Wrong"; readonly sentence: string }

const allowed = "a number of minutes from 0.1 to 1440"

export const help = [
  "npm run soak [-- --minutes 5]",
  "",
  "1000 runs of ten flows, and what they leave behind. Then a dependency that is down for a third of every period, asked",
  "without a pause in five periods, and what its circuit, the heap and the event loop make of it.",
  "",
  `  --minutes   how long the five periods take together: ${allowed} (default: 5)`
].join("\n")

const wrong = (sentence: string): Options => ({ _tag: "Wrong", sentence })

export const parse = (args: ReadonlyArray<string>): Options => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    strict: false,
    options: { minutes: { type: "string" }, help: { type: "boolean" } }
  })
  const unknown = Object.keys(values).find((name) => name !== "minutes" && name !== "help")
  if (unknown !== undefined) {
    return wrong(`unknown option "${unknown.length === 1 ? "-" : "--"}${unknown}", there is --minutes and --help`)
  }
  if (positionals[0] !== undefined) return wrong(`unexpected argument "${positionals[0]}"`)
  if (values["help"] !== undefined) return { _tag: "Help" }
  const { minutes = "5" } = values
  if (typeof minutes !== "string") return wrong(`--minutes takes one value, ${allowed}`)
  return /^\d+(\.\d+)?$/.test(minutes) && Number(minutes) >= 0.1 && Number(minutes) <= 1440
    ? { _tag: "Run", minutes: Number(minutes) }
    : wrong(`--minutes is ${JSON.stringify(minutes)}, allowed is ${allowed}`)
}
