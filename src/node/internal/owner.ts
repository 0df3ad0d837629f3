/**
 * Who has claimed a thread: a process, described so that another process can tell whether it still runs.
 */
import { readFile, readlink } from "node:fs/promises"
import { hostname } from "node:os"
import process from "node:process"
import { threadId } from "node:worker_threads"
import { codeOf } from "./disk.ts"

export interface Owner {
  readonly host: string
  /** The boot of the system, and the space that its process ids count in, where the system tells (Linux). */
  readonly boot: string | undefined
  readonly space: string | undefined
  readonly pid: number
  /** When the process started, in a unit of the system: a later process can have its id, but not its id and its start. */
  readonly started: string | undefined
  /** 0 in the main thread. */
  readonly worker: number
}

/** `"unknown"`: it cannot be told from here. */
export type Fate = "alive" | "gone" | "unknown"

const told = async (answer: Promise<string>): Promise<string | undefined> => {
  try {
    return (await answer).trim()
  } catch {
    return undefined
  }
}

interface Process {
  readonly state: string
  readonly started: string
}

// `pid (name) state ...`, and the name can hold spaces and parentheses.
const processOf = async (pid: number): Promise<Process | undefined> => {
  const stat = await told(readFile(`/proc/${pid}/stat`, "utf8"))
  const [state, ...rest] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
  const started = rest[18]
  return state === undefined || started === undefined ? undefined : { state, started }
}

export const thisProcess = async (): Promise<Owner> => ({
  host: hostname(),
  boot: await told(readFile("/proc/sys/kernel/random/boot_id", "utf8")),
  space: await told(readlink("/proc/self/ns/pid")),
  pid: process.pid,
  started: (await processOf(process.pid))?.started,
  worker: threadId
})

const exists = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== "ESRCH"
  }
}

export const fateOf = async (owner: Owner, me: Owner): Promise<Fate> => {
  if (owner.host !== me.host || owner.boot !== me.boot || owner.space !== me.space) return "unknown"
  if (!exists(owner.pid)) return "gone"
  const found = await processOf(owner.pid)
  if (found === undefined || owner.started === undefined) return "unknown"
  // Z and X: it has ended, and its parent has not asked yet how.
  if (found.started !== owner.started || found.state === "Z" || found.state === "X") return "gone"
  return owner.worker === 0 ? "alive" : "unknown"
}

export const encodeOwner = (owner: Owner): string => JSON.stringify(owner)

const isText = (value: unknown): boolean => value === undefined || typeof value === "string"

/** `undefined` when it is none. */
export const decodeOwner = (text: string): Owner | undefined => {
  try {
    const owner = JSON.parse(text) as Owner
    const { boot, host, pid, space, started, worker } = owner
    const whole = typeof host === "string" && isText(boot) && isText(space) && isText(started) &&
      Number.isSafeInteger(pid) && pid > 0 && Number.isSafeInteger(worker)
    return whole ? owner : undefined
  } catch {
    return undefined
  }
}
