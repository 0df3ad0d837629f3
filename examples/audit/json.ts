/**
 * JSON files, decoded by a schema; what can be wrong with one, in a few words.
 */
import { Data, Effect, FileSystem, type PlatformError, Schema } from "effect"

export class FileMissing extends Data.TaggedError("FileMissing")<{ readonly file: string }> {}

export class FileUnreadable
  extends Data.TaggedError("FileUnreadable")<{ readonly file: string; readonly why: string }>
{}

export class FileBroken extends Data.TaggedError("FileBroken")<{ readonly file: string; readonly why: string }> {}

export const read = <A>(file: string, schema: Schema.Decoder<A>) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const text = yield* files.readFileString(file).pipe(
      Effect.mapError((error) =>
        error.reason._tag === "NotFound" ? new FileMissing({ file }) : new FileUnreadable({ file, why: why(error) })
      )
    )
    return yield* Schema.decodeEffect(Schema.fromJsonString(schema))(text).pipe(
      Effect.mapError(({ message }) => new FileBroken({ file, why: message.replace(/\s+at /, " at ") }))
    )
  })

/** Of "EACCES: permission denied, open '/a/file'" the part that is not said elsewhere. */
export const why = ({ cause, reason }: PlatformError.PlatformError): string =>
  /^[A-Z\d]+: ([^,]+)/.exec(cause instanceof Error ? cause.message : "")?.[1] ?? reason._tag
