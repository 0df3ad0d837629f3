/**
 * The checkpoints of a thread, as files: saved by its owner, read by anybody.
 */
import { randomUUID } from "node:crypto"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import type { Checkpoint, Draft, Info } from "../../Checkpointer.ts"
import { CheckpointError } from "../../GraphError.ts"
import { checkpointsOf, Damaged, encode, type Name, nameOf, readInfo, readWhole } from "./checkpointFile.ts"
import { deskOf } from "./claimFolder.ts"
import { isGone, namesIn, remove, syncFolder, unlessGone, writeSynced } from "./disk.ts"
import { type FileStore, folderOf, type Held } from "./fileStore.ts"

const checkpointsIn = async (folder: string): Promise<ReadonlyArray<Name>> => checkpointsOf(await namesIn(folder))

/** `undefined`: the claim was lost. */
export const save = async (
  store: FileStore,
  held: Held,
  { body, graph, parent, runId, status }: Draft,
  savedAt: number,
  signal: AbortSignal
): Promise<Info | undefined> => {
  const { thread, token } = held
  const folder = folderOf(store, thread)
  const isFirst = held.next === undefined
  const sequence = held.next ?? ((await checkpointsIn(folder)).at(-1)?.sequence ?? 0) + 1
  const id = randomUUID()
  const info: Info = {
    thread,
    id,
    sequence,
    runId,
    graph,
    status,
    savedAt,
    ...(parent === undefined ? {} : { parent })
  }
  const data = encode({ ...info, body })
  if (data.length > store.maxBytes) {
    const issue = `its file would have ${data.length} bytes, allowed are ${store.maxBytes} (option maxBytes)`
    throw new CheckpointError({ thread, graph, reason: "TooLarge", issue })
  }
  const draft = join(deskOf(folder, token), id)
  const written = await unlessGone(writeSynced(draft, data).then(() => true), false).catch((error: unknown) =>
    remove(draft).then(() => {
      throw error
    })
  )
  if (!written) return undefined
  if (signal.aborted) {
    await remove(draft)
    return undefined
  }
  held.next = undefined
  const path = join(folder, nameOf(sequence, id))
  if (!await unlessGone(Fs.rename(draft, path).then(() => true), false)) return undefined
  try {
    await syncFolder(folder)
    if (isFirst) await syncFolder(store.directory)
  } catch (error) {
    await remove(path).catch(() => {})
    throw error
  }
  held.next = sequence + 1
  // It is saved, whatever comes of this.
  if (sequence > store.keep) await trim(folder, store.keep).catch(() => {})
  return info
}

const trim = async (folder: string, keep: number): Promise<void> => {
  const names = await checkpointsIn(folder)
  for (const { name } of names.slice(0, Math.max(0, names.length - keep))) await removed(folder, name)
}

const removed = (folder: string, name: string): Promise<boolean> =>
  unlessGone(Fs.unlink(join(folder, name)).then(() => true), false)

// A checkpoint may be pruned between a look at the names and a look at the file; then there is a newer one.
const looks = 100

/** The latest, or the one with the id. */
export const load = async (
  store: FileStore,
  thread: string,
  id: string | undefined
): Promise<Checkpoint | undefined> => {
  const folder = folderOf(store, thread)
  for (let look = 1;; look++) {
    const names = await checkpointsIn(folder)
    const found = id === undefined ? names.at(-1) : names.find((name) => name.id === id)
    if (found === undefined) return undefined
    try {
      return await readWhole(folder, found, thread, store.maxBytes)
    } catch (error) {
      if (error instanceof Damaged) {
        throw new CheckpointError({ thread, checkpointId: found.id, reason: "Unreadable", issue: error.message })
      }
      if (!isGone(error) || look === looks) throw error
    }
  }
}

export interface Listing {
  readonly infos: ReadonlyArray<Info>
  /** The names of the damaged ones, each with what is wrong with it. */
  readonly damaged: ReadonlyArray<readonly [name: string, issue: string]>
}

export const list = async (store: FileStore, thread: string): Promise<Listing> => {
  const folder = folderOf(store, thread)
  const infos: Array<Info> = []
  const damaged: Array<readonly [string, string]> = []
  for (const name of await checkpointsIn(folder)) {
    try {
      infos.push(await readInfo(folder, name, thread, store.maxBytes))
    } catch (error) {
      if (error instanceof Damaged) damaged.push([name.name, error.message])
      else if (!isGone(error)) throw error
    }
  }
  return { infos, damaged }
}

/** Removes those that are older than the newest `keep` that can be read. */
export const prune = async (store: FileStore, thread: string, keep: number): Promise<number> => {
  const folder = folderOf(store, thread)
  const { infos } = await list(store, thread)
  const oldest = infos.at(-keep)?.sequence ?? 0
  let count = 0
  for (const { name, sequence } of await checkpointsIn(folder)) {
    if (sequence < oldest && await removed(folder, name)) count++
  }
  return count
}
