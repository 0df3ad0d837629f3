/**
 * Results as JSON: the record that a result is encoded to, and the errors inside it.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as GraphError from "../GraphError.ts"
import { errorMessage, errorType } from "./describe.ts"

type AnyCodec = Schema.Codec<unknown, unknown, unknown, unknown>

/** The JSON record of a result. `self` is the finished codec, for the results inside a `FailFastError`. */
export const record = (
  state: AnyCodec,
  error: AnyCodec | undefined,
  item: AnyCodec,
  self: () => AnyCodec
): AnyCodec => {
  const base = {
    branch: Schema.String,
    state,
    startTime: Schema.Finite,
    timingMs: Schema.Finite,
    attempts: Schema.Int,
    attemptErrors: Schema.Array(
      Schema.Struct({ attempt: Schema.Int, error: Schema.String, errorType: Schema.String, timingMs: Schema.Finite })
    ),
    attemptErrorsDropped: Schema.Int,
    usedFallback: Schema.Boolean,
    circuitState: Schema.optionalKey(Schema.Literals(["CLOSED", "OPEN", "HALF_OPEN"])),
    item: Schema.optionalKey(item),
    index: Schema.optionalKey(Schema.Int),
    // Derived from the fields above: written for readers, ignored when read back.
    endTime: Schema.Finite,
    durationMs: Schema.Finite,
    retryCount: Schema.Int
  }
  const told = {
    ...base,
    success: Schema.Literal(false),
    error: Schema.String,
    failedNode: Schema.optionalKey(Schema.String),
    traceback: Schema.optionalKey(Schema.String)
  }
  const no = Schema.Literal(false)
  return Schema.Union([
    Schema.Struct({
      _tag: Schema.Literal("Success"),
      ...base,
      success: Schema.Literal(true),
      timeout: no,
      abandoned: no
    }),
    Schema.Struct({
      _tag: Schema.Literal("Failure"),
      ...told,
      timeout: no,
      abandoned: no,
      errorType: Schema.String,
      cause: Schema.Cause(errors(error, self), Schema.Defect())
    }),
    Schema.Struct({
      _tag: Schema.Literal("Timeout"),
      ...told,
      timeout: Schema.Literal(true),
      timeoutMs: Schema.Finite,
      timeoutKind: Schema.Literals(["attempt", "total"]),
      abandoned: Schema.Boolean,
      errorType: Schema.Literal("TimeoutError"),
      failure: GraphError.FlowTimeoutError
    }),
    Schema.Struct({
      _tag: Schema.Literal("Rejected"),
      ...told,
      timeout: no,
      abandoned: no,
      errorType: Schema.Literals(["CircuitOpenError", "LimitExceededError"]),
      failure: Schema.Union([GraphError.CircuitOpenError, GraphError.LimitExceededError])
    }),
    Schema.Struct({
      _tag: Schema.Literal("Interrupted"),
      ...told,
      timeout: no,
      abandoned: Schema.Boolean,
      errorType: Schema.Literal("InterruptedError")
    })
  ]) as unknown as AnyCodec
}

/** The user's errors by their schema, the library's own by theirs, all others by what JSON can keep of them. */
const errors = (error: AnyCodec | undefined, self: () => AnyCodec): AnyCodec => {
  const result = Schema.suspend(self)
  const failFast = Schema.Struct({
    _tag: Schema.Literal("FailFastError"),
    graph: Schema.String,
    fanIn: Schema.String,
    branch: Schema.String,
    result,
    settled: Schema.Array(result)
  }).pipe(
    Schema.decodeTo(
      Schema.declare((u): u is GraphError.FailFastError => u instanceof GraphError.FailFastError),
      SchemaTransformation.transform({
        decode: ({ _tag, ...fields }) =>
          new GraphError.FailFastError(fields as ConstructorParameters<typeof GraphError.FailFastError>[0]),
        encode: ({ branch, fanIn, graph, result, settled }) => ({
          _tag: "FailFastError" as const,
          graph,
          fanIn,
          branch,
          result,
          settled
        })
      })
    )
  )
  return Schema.Union([
    failFast,
    GraphError.FlowTimeoutError,
    GraphError.CircuitOpenError,
    GraphError.LimitExceededError,
    GraphError.InvalidUpdateError,
    GraphError.RoutingError,
    GraphError.StepLimitError,
    GraphError.MergeConflictError,
    GraphError.DuplicateKeyError,
    ...(error === undefined ? [] : [error]),
    AnyError
  ]) as unknown as AnyCodec
}

const isJson = Schema.is(Schema.Json)

const jsonFields = (error: object): Record<string, Schema.Json> =>
  Object.fromEntries(
    Object.entries(error).filter((entry): entry is [string, Schema.Json] =>
      !["_tag", "name", "message", "stack", "cause"].includes(entry[0]) && isJson(entry[1])
    )
  )

/** An error that was read back has its name as its own: its class is gone. */
const nameOf = (error: Error): string =>
  Object.hasOwn(error, "name") && typeof error.name === "string" ? error.name : errorType(error)

/** An error without a schema keeps its `_tag`, name, message and JSON fields, not its class. */
const AnyError: AnyCodec = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.Unknown,
    SchemaTransformation.transform({
      decode: (json: unknown): unknown => {
        const told = typeof json === "object" && json !== null && "~error" in json ? json["~error"] : undefined
        if (typeof told !== "object" || told === null) return json
        const { fields, message, name, tag } = told as Record<string, unknown>
        const error = Object.assign(new Error(String(message)), fields)
        Object.defineProperty(error, "name", {
          value: String(name),
          enumerable: false,
          configurable: true,
          writable: true
        })
        return tag === undefined ? error : Object.assign(error, { _tag: tag })
      },
      encode: (error: unknown): Schema.Json => {
        if (typeof error !== "object" || error === null || !(error instanceof Error)) {
          return isJson(error)
            ? error
            : { "~error": { name: errorType(error), message: errorMessage(error), fields: {} } }
        }
        const tag = "_tag" in error && typeof error._tag === "string" ? { tag: error._tag } : {}
        return { "~error": { ...tag, name: nameOf(error), message: error.message, fields: jsonFields(error) } }
      }
    })
  )
) as unknown as AnyCodec
