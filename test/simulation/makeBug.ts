/** Makes a bug in a copy of the sources. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root } from "../../scripts/root.ts"
import type { Bug } from "./bugs.ts"

/** The text with the bug. What is to be replaced has to be there once. */
export const changed = (text: string, { file, find, name, replace }: Bug): string => {
  const times = text.split(find).length - 1
  if (times !== 1) throw new Error(`the bug "${name}" cannot be made: what it replaces is ${times} times in ${file}`)
  return text.replace(find, () => replace)
}

/** What `use` makes of the folder with the changed sources, which is gone afterwards. */
export const withBug = async <A>(bug: Bug, use: (sources: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), "bug-"))
  try {
    const sources = join(folder, "src")
    await cp(join(root, "src"), sources, { recursive: true })
    await symlink(join(root, "node_modules"), join(folder, "node_modules"))
    const path = join(sources, bug.file)
    await writeFile(path, changed(await readFile(path, "utf8"), bug))
    return await use(sources)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
