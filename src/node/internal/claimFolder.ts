/**
 * A claim of a thread, as a folder in the thread's folder: `claim/<token>/owner`.
 *
 * Everything rests on renaming being one step:
 *
 * - A claim is made whole beside it and then renamed to `claim`, which works when there is none, or an empty one. So one wins.
 * - A dead claim, or one that is taken over, is renamed away by the name that has its token. So nobody removes another claim
 *   than the one it has looked at, however long ago.
 * - What the owner saves is written inside of `claim/<token>` and renamed out of it. So it cannot be saved any more from the
 *   instant the claim was renamed away.
 */
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { codeOf, isGone, namesIn, remove, unlessGone } from "./disk.ts"
import { decodeOwner, encodeOwner, fateOf, type Owner } from "./owner.ts"

export interface Wanted {
  /** The folder of the thread. */
  readonly folder: string
  readonly token: string
  readonly owner: Owner
  readonly leaseMs: number
  readonly takeOver: boolean
  readonly signal: AbortSignal
}

/** Where the owner writes what it is about to save. */
export const deskOf = (folder: string, token: string): string => join(folder, "claim", token)

const ownerFile = (folder: string, token: string): string => join(deskOf(folder, token), "owner")

const prepared = (folder: string, token: string): string => join(folder, `new-${token}`)

/** Takes the thread: `false` when somebody else has it, or when it was aborted before. */
export const take = async (wanted: Wanted): Promise<boolean> => {
  const { folder, token } = wanted
  try {
    if (!await tryToTake(wanted)) return false
    await sweep(wanted)
    return true
  } catch (error) {
    await give(folder, token).catch(() => {})
    throw error
  } finally {
    // What stays is removed by a later claim.
    await remove(prepared(folder, token)).catch(() => {})
  }
}

const tryToTake = async (wanted: Wanted): Promise<boolean> => {
  const { folder, signal, takeOver, token } = wanted
  let last: unknown
  let now: number | undefined
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    now ??= await unlessGone(prepare(wanted), undefined)
    if (now === undefined) continue
    last = await install(folder, token)
    if (last === undefined) return true
    if (isGone(last)) now = undefined
    else {
      for (const holder of await namesIn(join(folder, "claim"))) {
        if (!takeOver && await isHeld(wanted, holder, now)) return false
        await evict(folder, holder, `${token}-${round}`)
      }
      // Not every system renames a folder over an empty one.
      if (codeOf(last) === "EPERM") await Fs.rmdir(join(folder, "claim")).catch(() => {})
    }
  }
  if (signal.aborted) return false
  throw last
}

// Whoever loses a round loses it to somebody who wins it.
const rounds = 1000

/** Makes the claim beside, and tells what time it is for the file system. */
const prepare = async ({ folder, owner, token }: Wanted): Promise<number> => {
  const desk = join(prepared(folder, token), token)
  await Fs.mkdir(desk, { recursive: true })
  const path = join(desk, "owner")
  await Fs.writeFile(path, encodeOwner(owner))
  return (await Fs.stat(path)).mtimeMs
}

/** Why it was not possible: there is a claim; or the thread was deleted meanwhile, and this claim with it. */
const install = async (folder: string, token: string): Promise<unknown> => {
  try {
    await Fs.rename(prepared(folder, token), join(folder, "claim"))
    await Fs.access(ownerFile(folder, token))
    return undefined
  } catch (error) {
    if (isGone(error) || ["ENOTEMPTY", "EEXIST", "EPERM"].includes(codeOf(error) ?? "")) return error
    throw error
  }
}

const isHeld = async ({ folder, leaseMs, owner: me }: Wanted, token: string, now: number): Promise<boolean> => {
  const owner = await unlessGone(Fs.readFile(ownerFile(folder, token), "utf8"), undefined)
  if (owner === undefined) return false
  const known = decodeOwner(owner)
  const fate = known === undefined ? "unknown" : await fateOf(known, me)
  return fate === "unknown" ? now - await lastSign(folder, token) < leaseMs : fate === "alive"
}

/** When its owner was last heard of: it renewed its claim, or saved something. */
const lastSign = async (folder: string, token: string): Promise<number> => {
  const times = [deskOf(folder, token), ownerFile(folder, token)].map(async (path) =>
    (await unlessGone(Fs.stat(path), undefined))?.mtimeMs ?? 0
  )
  return Math.max(...await Promise.all(times))
}

/** Ends a claim: when it returns, nothing more comes out of it. `false` when it had ended before. */
const evict = async (folder: string, token: string, unique: string): Promise<boolean> => {
  const away = join(folder, `old-${unique}`)
  const moved = await unlessGone(Fs.rename(deskOf(folder, token), away).then(() => true), false)
  await remove(away)
  return moved
}

/** Gives the claim back; does nothing when it is not held. */
export const give = async (folder: string, token: string): Promise<void> => {
  if (!await evict(folder, token, token)) return
  // Folders that are empty now; where there is something in them, it is somebody else's.
  await Fs.rmdir(join(folder, "claim")).catch(() => {})
  await Fs.rmdir(folder).catch(() => {})
}

/** Shows that the owner is alive; `false` when it has lost the claim. */
export const renew = async (folder: string, token: string): Promise<boolean> => {
  const file = await unlessGone(Fs.open(ownerFile(folder, token), "r+"), undefined)
  if (file === undefined) return false
  try {
    // Its first byte again: what changes is the time, and that is the file system's own.
    await file.write("{", 0)
    return true
  } finally {
    await file.close()
  }
}

/** Removes what processes that were killed left behind. */
const sweep = async ({ folder, leaseMs, token }: Wanted): Promise<void> => {
  const now = await lastSign(folder, token)
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    if (name.startsWith("old-")) await remove(path)
    // Somebody may be about to claim the thread right now.
    if (name.startsWith("new-") && now - ((await unlessGone(Fs.stat(path), undefined))?.mtimeMs ?? now) > leaseMs) {
      await remove(path)
    }
  }
}
