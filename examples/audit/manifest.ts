/**
 * The manifest of a package, and everything that can be wrong with what is installed.
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import * as Json from "./json.ts"
import type { Lock, Locked } from "./lock.ts"

/** What of a `package.json` is of interest; authors write licenses in many ways. */
const Content = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.String),
  license: Schema.optionalKey(Schema.Unknown),
  licenses: Schema.optionalKey(Schema.Unknown)
})

export const Manifest = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.String),
  license: Schema.String
})
export type Manifest = typeof Manifest.Type

export class PackageMissing extends Schema.TaggedError<PackageMissing>()("PackageMissing", {}) {
  override get message(): string {
    return "is in the lock, but not installed"
  }
}

export class NotAFolder extends Schema.TaggedError<NotAFolder>()("NotAFolder", { type: Schema.String }) {
  override get message(): string {
    return `is a ${this.type.replace(/\B[A-Z]/g, " $&").toLowerCase()}, where the lock has a folder`
  }
}

export class ManifestMissing extends Schema.TaggedError<ManifestMissing>()("ManifestMissing", {}) {
  override get message(): string {
    return "has no package.json"
  }
}

export class ManifestUnreadable extends Schema.TaggedError<ManifestUnreadable>()("ManifestUnreadable", {
  why: Schema.String
}) {
  override get message(): string {
    return `package.json cannot be read: ${this.why}`
  }
}

export class ManifestBroken extends Schema.TaggedError<ManifestBroken>()("ManifestBroken", { why: Schema.String }) {
  override get message(): string {
    return `package.json: ${this.why}`
  }
}

const mismatch = { locked: Schema.String, installed: Schema.optionalKey(Schema.String) }

export class NameMismatch extends Schema.TaggedError<NameMismatch>()("NameMismatch", mismatch) {
  override get message(): string {
    return `the lock says ${this.locked}, installed is ${this.installed ?? "one without a name"}`
  }
}

export class VersionMismatch extends Schema.TaggedError<VersionMismatch>()("VersionMismatch", mismatch) {
  override get message(): string {
    return `the lock says ${this.locked}, installed is ${this.installed ?? "one without a version"}`
  }
}

export class LinkBroken extends Schema.TaggedError<LinkBroken>()("LinkBroken", {
  expected: Schema.String,
  leadsTo: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.leadsTo === undefined
      ? `is no link to ${this.expected}`
      : `leads to ${this.leadsTo}, not to ${this.expected}`
  }
}

const text = (license: unknown): string | undefined => {
  if (typeof license === "string") return license.trim() === "" ? undefined : license.trim()
  if (Array.isArray(license)) return license.map(text).filter((part) => part !== undefined).join(" OR ") || undefined
  return typeof license === "object" && license !== null && "type" in license ? text(license.type) : undefined
}

/** An SPDX expression; old manifests have an object, or a list of them to choose from. */
export const licenseOf = (content: { readonly license?: unknown; readonly licenses?: unknown }): string =>
  text(content.license) ?? text(content.licenses) ?? "(none stated)"

export const read = Effect.fnUntraced(function*(folder: string) {
  const path = yield* Path.Path
  const { license, licenses, ...known } = yield* Json.read(path.join(folder, "package.json"), Content).pipe(
    Effect.catchTags({
      FileMissing: () => Effect.fail(new ManifestMissing()),
      FileUnreadable: ({ why }) => Effect.fail(new ManifestUnreadable({ why })),
      FileBroken: ({ why }) => Effect.fail(new ManifestBroken({ why }))
    })
  )
  const manifest: Manifest = { ...known, license: licenseOf({ license, licenses }) }
  return manifest
})

/** Whether this is the package that the lock means. */
export const compare = (manifest: Manifest, locked: Locked): Effect.Effect<void, NameMismatch | VersionMismatch> => {
  for (const [field, Mismatch] of [["name", NameMismatch], ["version", VersionMismatch]] as const) {
    const [expected, installed] = [locked[field], manifest[field]]
    if (expected !== undefined && installed !== expected) {
      return Effect.fail(new Mismatch({ locked: expected, ...installed === undefined ? {} : { installed } }))
    }
  }
  return Effect.void
}

/** Whether a link leads to where the lock says. */
export const followLink = Effect.fnUntraced(function*(folder: string, leadsTo: string, { root }: Lock) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const real = (place: string) => Effect.orElseSucceed(files.realPath(place), () => undefined)
  const found = yield* real(folder)
  if (found === undefined || found === folder) return yield* new LinkBroken({ expected: leadsTo })
  if (found !== (yield* real(path.join(root, leadsTo)))) {
    return yield* new LinkBroken({ expected: leadsTo, leadsTo: path.relative(root, found) })
  }
})
