/**
 * States, results and items of a graph to JSON and back. Each value is encoded once, however often it is saved.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ParallelFlowResult from "../ParallelFlowResult.ts"
import { firstIssue } from "./issue.ts"
import type { PlanEdge, State } from "./plan.ts"

/** Thrown where a value does not fit: `path` says which. */
export class Misfit extends Error {
  readonly path: string
  readonly issue: string
  constructor(path: string, issue: string) {
    super(`${issue} at ${path}`)
    this.path = path
    this.issue = issue
  }
}

type AnyCodec = Schema.Codec<unknown, unknown>

interface Codec {
  readonly encode: (value: unknown, where: string) => Schema.Json
  readonly decode: (json: unknown, where: string) => unknown
}

const codecOf = (schema: AnyCodec): Codec => {
  const encode = Schema.encodeUnknownResult(schema)
  const decode = Schema.decodeUnknownResult(schema)
  return {
    encode: (value, where) => checked(orMisfit(() => encode(value), where), where) as Schema.Json,
    decode: (json, where) => checked(decode(json), where)
  }
}

/** What a schema throws is no defect of the run. */
const orMisfit = <A>(encode: () => A, where: string): A => {
  try {
    return encode()
  } catch (error) {
    throw new Misfit(where, error instanceof Error ? error.message : String(error))
  }
}

const checked = <A>(result: Result.Result<A, Schema.SchemaError>, where: string): A => {
  if (Result.isSuccess(result)) return result.success
  const { message, path } = firstIssue(result.failure.issue)
  throw new Misfit(path === "" ? where : path.startsWith("[") ? `${where}${path}` : `${where}.${path}`, message)
}

/** Remembers what objects were encoded to. */
const remembering = (encode: Codec["encode"]): Codec["encode"] => {
  const known = new WeakMap<object, Schema.Json>()
  return (value, where) => {
    if (typeof value !== "object" || value === null) return encode(value, where)
    const json = known.get(value) ?? encode(value, where)
    known.set(value, json)
    return json
  }
}

const json: Codec = codecOf(Schema.toCodecJson(Schema.Json) as AnyCodec)

/** Any value that is JSON already. */
export const encodeJson = json.encode

export class Codecs {
  readonly #schema: Schema.Constraint
  readonly #error: Schema.Constraint | undefined
  readonly #state: Codec
  readonly #items = new Map<unknown, Codec>()
  readonly #results = new Map<unknown, Codec>()

  constructor(schema: Schema.Constraint, error: Schema.Constraint | undefined) {
    this.#schema = schema
    this.#error = error
    const state = codecOf(Schema.toCodecJson(schema) as unknown as AnyCodec)
    this.#state = { ...state, encode: remembering(state.encode) }
  }

  encodeState(state: State, where: string): Schema.Json {
    return this.#state.encode(state, where)
  }

  decodeState(json: Schema.Json, where: string): State {
    return this.#state.decode(json, where) as State
  }

  item(edge: PlanEdge): Codec {
    const { item } = edge.to
    return item === undefined
      ? json
      : cached(this.#items, item, () => codecOf(Schema.toCodecJson(item) as unknown as AnyCodec))
  }

  result({ to: { item } }: PlanEdge): Codec {
    return cached(this.#results, item, () => {
      const codec = codecOf(
        ParallelFlowResult.schema(this.#schema, { error: this.#error, item }) as unknown as AnyCodec
      )
      return { ...codec, encode: remembering(codec.encode) }
    })
  }
}

const cached = (known: Map<unknown, Codec>, key: unknown, make: () => Codec): Codec => {
  const codec = known.get(key) ?? make()
  known.set(key, codec)
  return codec
}
