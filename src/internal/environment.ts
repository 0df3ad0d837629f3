/**
 * Options of a `ParallelConfig` from the environment: one variable per option, named after its path.
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { InvalidConfigError } from "../GraphError.ts"
import { OptionReader } from "./option.ts"

type Text = string | ReadonlyArray<string>

/** What is set, by the path of its option. */
type Texts = Readonly<Record<string, Option.Option<Text>>>

/** How text is read. What is no such thing stays text, for `ParallelConfig.parse` to refuse. */
interface Kind {
  readonly read: (text: Text) => unknown
  /** Said after what is allowed, when it is not. */
  readonly hint?: string
  readonly list?: true
}

const flags = new Map([
  ...["true", "yes", "on", "y", "1"].map((text) => [text, true] as const),
  ...["false", "no", "off", "n", "0"].map((text) => [text, false] as const)
])

const word: Kind = { read: (text) => text }
const words: Kind = { ...word, list: true, hint: "; write names with commas between" }
const flag: Kind = { read: (text) => flags.get(String(text)) ?? text }
const number: Kind = { read: (text) => /^[+-]?\d+(\.\d+)?$/.test(String(text)) ? Number(text) : text }
const numberOrNever: Kind = { read: (text) => text === "Infinity" ? Infinity : number.read(text) }
const duration: Kind = { ...number, hint: `; write durations as "2 seconds" or as milliseconds` }

const kinds: Readonly<Record<string, Kind>> = {
  timeout: duration,
  totalTimeout: duration,
  grace: duration,
  failFast: flag,
  concurrency: number,
  includeTraceback: flag,
  limit: word,
  "limit.key": word,
  "limit.permits": number,
  "limit.queue": number,
  retry: word,
  "retry.maxRetries": number,
  "retry.baseDelay": duration,
  "retry.maxDelay": duration,
  "retry.exponentialBackoff": flag,
  "retry.backoffMultiplier": number,
  "retry.jitter": number,
  "retry.retryOn": words,
  "retry.maxStoredErrors": number,
  circuitBreaker: word,
  "circuitBreaker.key": word,
  "circuitBreaker.failureThreshold": numberOrNever,
  "circuitBreaker.failureRateThreshold": numberOrNever,
  "circuitBreaker.slowCallThreshold": duration,
  "circuitBreaker.slowCallRateThreshold": number,
  "circuitBreaker.windowSize": number,
  "circuitBreaker.windowDuration": duration,
  "circuitBreaker.minimumCalls": number,
  "circuitBreaker.resetTimeout": duration,
  "circuitBreaker.resetTimeoutMultiplier": number,
  "circuitBreaker.maxResetTimeout": duration,
  "circuitBreaker.halfOpenMaxCalls": number,
  "circuitBreaker.successThreshold": number,
  "circuitBreaker.probeTimeout": duration
}

/** Options that the environment can only switch off. */
const switches: ReadonlyArray<string> = ["retry", "circuitBreaker", "limit"]

/** `retry.maxRetries` is at `STATEGRAPH`, `RETRY`, `MAX_RETRIES`. */
const pathOf = (field: string): ReadonlyArray<string> => [
  "STATEGRAPH",
  ...field.split(".").map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())
]

const readText = (field: string, kind: Kind): Config.Config<Option.Option<Text>> => {
  const path = pathOf(field)
  return Config.option<Text>(kind.list ? Config.Array(Schema.String, path) : Config.schema(Schema.String, path))
}

const texts: Config.Config<Texts> = Config.all(
  Object.fromEntries(Object.entries(kinds).map(([field, kind]) => [field, readText(field, kind)]))
)

type Parse = (input: object, source: string) => Result.Result<unknown, ReadonlyArray<InvalidConfigError>>

type Read = Result.Result<object, ReadonlyArray<InvalidConfigError>>

/** What is set, as options that `parse` accepts, or all problems, each told by its variable. */
export const options = (parse: Parse): Config.Config<Read> => Config.map(texts, (texts) => read(texts, parse))

/** The problems as Effect's `Config` tells them. */
export const configError = (problems: ReadonlyArray<InvalidConfigError>): Config.ConfigError => {
  const message = problems.map((problem) => problem.message).join("\n")
  return new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message })))
}

const read = (texts: Texts, parse: Parse): Read => {
  const reader = new OptionReader("environment")
  const input: Record<string, unknown> = {}
  const off: Record<string, false> = {}
  for (const [field, text] of Object.entries(texts)) {
    if (Option.isNone(text)) continue
    const value = typeof text.value === "string" ? text.value.trim() : text.value.map((part) => part.trim())
    const [group, name] = field.split(".") as [string, string?]
    if (name !== undefined) input[group] = { ...input[group] as object, [name]: kinds[field]!.read(value) }
    else if (!switches.includes(field)) input[field] = kinds[field]!.read(value)
    else if (value === "false") off[field] = false
    else reader.reject(field, value, "false; the variables that begin with its name set options")
  }
  const parsed = parse(input, reader.source)
  const problems = Result.isFailure(parsed) ? [...reader.problems, ...parsed.failure] : reader.problems
  return problems.length > 0 ? Result.fail(problems.map(explain)) : Result.succeed({ ...input, ...off })
}

const explain = ({ allowed, field, value }: InvalidConfigError): InvalidConfigError =>
  new InvalidConfigError({
    field,
    value,
    allowed: allowed + (kinds[field]?.hint ?? ""),
    source: pathOf(field).join("_")
  })
