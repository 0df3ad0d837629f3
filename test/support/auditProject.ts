/** Made-up projects for the audit: a lock and a `node_modules`, as real files in a folder of their own. */
import { linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

export interface Project {
  readonly root: string
  readonly lock: (packages: Readonly<Record<string, object>>, fields?: object) => void
  readonly file: (path: string, content?: string) => void
  readonly folder: (path: string) => void
  readonly link: (path: string, to: string) => void
  readonly hardLink: (path: string, to: string) => void
  /** A package that is in order, with a manifest and one file more. */
  readonly install: (key: string, manifest?: object) => void
  readonly remove: () => void
}

export const makeProject = (): Project => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "audit-")))
  const at = (path: string) => {
    const place = join(root, path)
    mkdirSync(dirname(place), { recursive: true })
    return place
  }
  const file = (path: string, content = "") => writeFileSync(at(path), content)
  return {
    root,
    lock: (packages, fields) =>
      file(
        "package-lock.json",
        JSON.stringify({ name: "made-up", lockfileVersion: 3, packages: { "": {}, ...packages }, ...fields })
      ),
    file,
    folder: (path) => mkdirSync(at(path), { recursive: true }),
    link: (path, to) => symlinkSync(to, at(path)),
    hardLink: (path, to) => linkSync(join(root, to), at(path)),
    install: (key, manifest) => {
      const name = key.slice(key.lastIndexOf("node_modules/") + "node_modules/".length)
      file(`${key}/package.json`, JSON.stringify({ name, version: "1.0.0", license: "MIT", ...manifest }))
      file(`${key}/lib/index.js`, `export const key = ${JSON.stringify(key)}\n`)
    },
    remove: () => rmSync(root, { recursive: true, force: true })
  }
}
