/**
 * How big a package is on disk.
 *
 * A file belongs to the package whose folder is the nearest above it: packages in the `node_modules` of another package
 * count for themselves, not for that one. So each file counts once, and the sizes of all packages and of what is in no
 * package add up to what `du --apparent-size --count-links` says of `node_modules`. Symbolic links are not followed: they
 * are as long as what is written in them. A file with several hard links counts for each of them.
 */
import { ByteSize, Effect, FileSystem, Path, type PlatformError, Schema } from "effect"
import * as Json from "./json.ts"
import { folderOf, type Lock, type Locked } from "./lock.ts"

export const Size = Schema.Struct({
  files: Schema.Int,
  links: Schema.Int,
  folders: Schema.Int,
  /** Of files and links. */
  bytes: Schema.Int,
  /** Of the folders themselves, which some versions of `du` count too. */
  folderBytes: Schema.Int
})
export type Size = typeof Size.Type

/** Something in `node_modules` that is in no package. */
export const Part = Schema.Struct({ name: Schema.String, size: Size })
export type Part = typeof Part.Type

export const zero: Size = { files: 0, links: 0, folders: 0, bytes: 0, folderBytes: 0 }

export const add = (a: Size, b: Size): Size => ({
  files: a.files + b.files,
  links: a.links + b.links,
  folders: a.folders + b.folders,
  bytes: a.bytes + b.bytes,
  folderBytes: a.folderBytes + b.folderBytes
})

export class FolderUnreadable extends Schema.TaggedError<FolderUnreadable>()("FolderUnreadable", {
  folder: Schema.String,
  why: Schema.String
}) {
  override get message(): string {
    return `${this.folder} cannot be read: ${this.why}`
  }
}

/** A place on disk, and what the lock would call it. */
interface Place {
  readonly path: string
  readonly key: string
}

const unreadable = ({ key }: Place) => (error: PlatformError.PlatformError) =>
  new FolderUnreadable({ folder: key, why: Json.why(error) })

/** What is gone since its folder was listed is not there, and no error. */
const unlessGone = <A>(place: Place, gone: A) => <R>(self: Effect.Effect<A, PlatformError.PlatformError, R>) =>
  Effect.catch(
    self,
    (error) => error.reason._tag === "NotFound" ? Effect.succeed(gone) : Effect.fail(unreadable(place)(error))
  )

const nothing = { type: "Nothing" as const, size: ByteSize.zero }
type Info = typeof nothing | Pick<FileSystem.File.Info, "type" | "size">

const look = (place: Place) =>
  Effect.flatMap(FileSystem.FileSystem, (files) => files.lstat(place.path).pipe(Effect.map((info): Info => info))).pipe(
    unlessGone(place, nothing as Info)
  )

const sizeOf = ({ size, type }: Info): Size => {
  const bytes = ByteSize.toNumberUnsafe(size)
  switch (type) {
    case "Nothing":
      return zero
    case "Directory":
      return { ...zero, folders: 1, folderBytes: bytes }
    case "SymbolicLink":
      return { ...zero, links: 1, bytes }
    default:
      return { ...zero, files: 1, bytes }
  }
}

/** What is in a folder, without the packages in it. */
const list = (place: Place, { keys }: Lock) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const entries = yield* unlessGone(place, [] as ReadonlyArray<FileSystem.DirectoryEntry>)(
      files.readDirectoryEntries(place.path)
    )
    return entries
      .map(({ name }): Place => ({ path: path.join(place.path, name), key: `${place.key}/${name}` }))
      .filter(({ key }) => !keys.has(key))
  })

/** A place with everything in it, one folder after the other. */
const walk = Effect.fnUntraced(function*(start: Place, lock: Lock) {
  const info = yield* look(start)
  let size = sizeOf(info)
  const folders = info.type === "Directory" ? [start] : []
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const places = yield* list(folder, lock)
    const infos = yield* Effect.forEach(places, look, { concurrency: 4 })
    for (const [i, info] of infos.entries()) {
      size = add(size, sizeOf(info))
      if (info.type === "Directory") folders.push(places[i]!)
    }
  }
  return { type: info.type, size }
})

/** The folder of a package, and what was found in its place. */
export const measure = Effect.fnUntraced(function*(lock: Lock, locked: Locked) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = folderOf(lock, locked, path)
  const parent = path.dirname(folder)
  // Behind a link is another tree, which is not ours to measure: nothing is installed here.
  const isHere = yield* Effect.match(files.realPath(parent), {
    onSuccess: (real) => real === parent,
    onFailure: () => false
  })
  const found = isHere ? yield* walk({ path: folder, key: locked.key }, lock) : { type: nothing.type, size: zero }
  return { folder, ...found }
})

/** Whatever of `node_modules` is in no package. */
export const measureRest = Effect.fnUntraced(function*(lock: Lock) {
  const modules: Place = { path: lock.modules, key: "node_modules" }
  let size = sizeOf(yield* look(modules))
  const parts: Array<Part> = []
  for (const place of yield* list(modules, lock)) {
    const part = yield* walk(place, lock)
    size = add(size, part.size)
    // The folder of a scope has nothing in it but packages.
    if (part.size.files + part.size.links > 0) {
      parts.push({ name: place.key.slice(modules.key.length + 1), size: part.size })
    }
  }
  return { size, parts }
})
