/**
 * Threads as folders and checkpoints as files in them:
 *
 * ```txt
 * <SHA-256 of the thread's id>/
 *   000000000001-<id>.checkpoint
 *   claim/<token>/owner
 * ```
 */
import { randomUUID } from "node:crypto"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { hashOf } from "./checkpointFile.ts"
import { give, renew, take } from "./claimFolder.ts"
import { namesIn, remove, unlessGone } from "./disk.ts"
import { type Owner, thisProcess } from "./owner.ts"

export interface FileStore {
  readonly directory: string
  readonly owner: Owner
  readonly keep: number
  readonly maxBytes: number
  readonly leaseMs: number
}

/** A claim of this process. */
export interface Held {
  readonly thread: string
  readonly token: string
  /** The sequence of the next checkpoint; nobody else saves meanwhile. */
  next: number | undefined
}

export const open = async (options: Omit<FileStore, "owner">): Promise<FileStore> => {
  const { directory } = options
  await Fs.mkdir(directory, { recursive: true })
  // Threads that were being deleted.
  for (const name of await namesIn(directory)) if (name.startsWith("old-")) await remove(join(directory, name))
  return { ...options, owner: await thisProcess() }
}

export const folderOf = ({ directory }: FileStore, thread: string): string => join(directory, hashOf(thread))

/** `undefined`: somebody else has the thread. */
export const claim = async (
  store: FileStore,
  thread: string,
  takeOver: boolean,
  signal: AbortSignal
): Promise<Held | undefined> => {
  const { leaseMs, owner } = store
  const [folder, token] = [folderOf(store, thread), randomUUID()]
  const isTaken = await take({ folder, token, owner, leaseMs, takeOver, signal })
  return isTaken ? { thread, token, next: undefined } : undefined
}

export const release = (store: FileStore, { thread, token }: Held): Promise<void> =>
  give(folderOf(store, thread), token)

/** `false`: the claim was lost. */
export const prolong = (store: FileStore, { thread, token }: Held): Promise<boolean> =>
  renew(folderOf(store, thread), token)

/** `false`: somebody has the thread. */
export const drop = async (store: FileStore, thread: string, signal: AbortSignal): Promise<boolean> => {
  const folder = folderOf(store, thread)
  if ((await namesIn(folder)).length === 0) return true
  const held = await claim(store, thread, false, signal)
  if (held === undefined) return false
  // All of it at once, with the claim in it.
  const away = join(store.directory, `old-${held.token}`)
  try {
    await unlessGone(Fs.rename(folder, away), undefined)
  } catch (error) {
    await release(store, held)
    throw error
  }
  await remove(away)
  return true
}
