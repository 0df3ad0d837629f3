/**
 * The lock file: which packages there are, in which folders, in which versions.
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import { posix } from "node:path"
import * as Json from "./json.ts"

/** One entry of the lock. */
export const Locked = Schema.Struct({
  /** Its folder, as the lock writes it: relative to the project, with `/`. */
  key: Schema.String,
  name: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.String),
  /** Where a link leads: a workspace, or another folder of the project's author. */
  leadsTo: Schema.optionalKey(Schema.String),
  /** Need not be installed, as a binary for another platform. */
  optional: Schema.Boolean
})
export type Locked = typeof Locked.Type

export const Lock = Schema.Struct({
  /** The project's folder and its `node_modules`, free of symbolic links. */
  root: Schema.String,
  modules: Schema.String,
  packages: Schema.Array(Locked),
  keys: Schema.ReadonlySet(Schema.String)
})
export type Lock = typeof Lock.Type

export class LockMissing extends Schema.TaggedError<LockMissing>()("LockMissing", { file: Schema.String }) {
  override get message(): string {
    return `there is no lock file ${this.file}`
  }
}

export class LockUnreadable extends Schema.TaggedError<LockUnreadable>()("LockUnreadable", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message(): string {
    return `the lock file ${this.file} cannot be read: ${this.why}`
  }
}

export class LockMalformed extends Schema.TaggedError<LockMalformed>()("LockMalformed", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message(): string {
    return `the lock file ${this.file} is malformed: ${this.why}`
  }
}

export class NotInstalled extends Schema.TaggedError<NotInstalled>()("NotInstalled", { modules: Schema.String }) {
  override get message(): string {
    return `there is no folder ${this.modules}: install the packages first, as with npm ci`
  }
}

const isPlain = (key: string): boolean =>
  key !== "." && posix.normalize(key) === key && !posix.isAbsolute(key) && !key.endsWith("/")

const Packages = Schema.Record(
  Schema.String,
  Schema.Struct({
    name: Schema.optionalKey(Schema.String),
    version: Schema.optionalKey(Schema.String),
    resolved: Schema.optionalKey(Schema.String),
    link: Schema.optionalKey(Schema.Boolean),
    optional: Schema.optionalKey(Schema.Boolean)
  })
).check(Schema.makeFilter((packages) => {
  const wrong = Object.keys(packages).find((key) => key !== "" && !isPlain(key))
  return wrong === undefined || { path: [wrong], issue: "Expected the relative path of a folder" }
}))

/** As npm 7 and later write it; before, the lock did not name the folders. */
const LockFile = Schema.Struct({ lockfileVersion: Schema.Literals([2, 3]), packages: Packages })

const inModules = "node_modules/"

export const isInModules = ({ key }: Locked): boolean => key.startsWith(inModules)

/** As people call it: `katex/node_modules/commander`, or `./scripts/tool` for a folder that is in no `node_modules`. */
export const labelOf = (locked: Locked): string =>
  isInModules(locked) ? locked.key.slice(inModules.length) : `./${locked.key}`

/** The folder on disk. */
export const folderOf = ({ modules, root }: Lock, locked: Locked, path: Path.Path): string =>
  isInModules(locked) ? path.join(modules, locked.key.slice(inModules.length)) : path.join(root, locked.key)

/** Every entry but the first one, which is the project itself. */
const packagesOf = (packages: typeof Packages.Type): ReadonlyArray<Locked> =>
  Object.entries(packages).filter(([key]) => key !== "").map(([key, { link, name, optional, resolved, version }]) => {
    // The lock names only what is installed under another name than its own.
    const from = key.lastIndexOf(inModules)
    const known = link === true || from === -1 ? name : name ?? key.slice(from + inModules.length)
    return {
      key,
      ...known === undefined ? {} : { name: known },
      ...version === undefined ? {} : { version },
      ...link === true ? { leadsTo: resolved ?? "" } : {},
      optional: optional === true
    }
  })

/** `place` is a lock file, or the folder of a project. */
export const read = Effect.fnUntraced(function*(place: string) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const isFolder = yield* Effect.match(files.stat(place), {
    onSuccess: ({ type }) => type === "Directory",
    onFailure: () => false
  })
  const file = path.resolve(isFolder ? path.join(place, "package-lock.json") : place)
  const content = yield* Json.read(file, LockFile).pipe(Effect.catchTags({
    FileMissing: () => Effect.fail(new LockMissing({ file })),
    FileUnreadable: ({ why }) => Effect.fail(new LockUnreadable({ file, why })),
    FileBroken: ({ why }) => Effect.fail(new LockMalformed({ file, why }))
  }))
  const packages = packagesOf(content.packages)
  const root = yield* Effect.orDie(files.realPath(path.dirname(file)))
  const modules = path.join(root, "node_modules")
  const lock: Lock = {
    root,
    modules: yield* Effect.orElseSucceed(files.realPath(modules), () => modules),
    packages,
    keys: new Set(packages.map(({ key }) => key))
  }
  const isNeeded = packages.some((locked) => isInModules(locked) && !locked.optional)
  if (isNeeded && !(yield* Effect.orDie(files.exists(modules)))) return yield* new NotInstalled({ modules })
  return lock
})
