/**
 * Files and folders, in steps that a crash can only fall between.
 */
import type { Buffer } from "node:buffer"
import * as Fs from "node:fs/promises"

export const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

export const isGone = (error: unknown): boolean => codeOf(error) === "ENOENT"

/** `absent` in place of what is not there. */
export const unlessGone = async <A, B>(work: Promise<A>, absent: B): Promise<A | B> => {
  try {
    return await work
  } catch (error) {
    if (isGone(error)) return absent
    throw error
  }
}

export const namesIn = (folder: string): Promise<ReadonlyArray<string>> =>
  unlessGone<ReadonlyArray<string>, ReadonlyArray<string>>(Fs.readdir(folder), [])

/** Removes a file, or a folder with all that is in it and all that gets into it meanwhile. */
export const remove = (path: string): Promise<void> =>
  Fs.rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 })

/** Writes a file that was not there, down to the disk. */
export const writeSynced = async (path: string, data: Buffer): Promise<void> => {
  const file = await Fs.open(path, "wx")
  try {
    await file.writeFile(data)
    await file.sync()
  } finally {
    await file.close()
  }
}

// Some systems cannot open a folder, and some file systems cannot sync one: they keep names in an order of their own.
const unsynced: ReadonlyArray<string | undefined> = ["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP"]

/** Makes the names in a folder outlast a power cut, where the system can. */
export const syncFolder = async (folder: string): Promise<void> => {
  try {
    const handle = await Fs.open(folder, "r")
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (!unsynced.includes(codeOf(error))) throw error
  }
}
