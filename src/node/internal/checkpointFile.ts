/**
 * One checkpoint as one file, which shows whether it is whole:
 *
 * ```txt
 * effect-stategraph-checkpoint 1 <bytes of the info> <bytes of the body> <SHA-256 of the info> <SHA-256 of the body>
 * <the info, as JSON in one line>
 * <the body>
 * ```
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Buffer } from "node:buffer"
import { createHash } from "node:crypto"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import type { Checkpoint, Info } from "../../Checkpointer.ts"

/** Why a file is not a checkpoint. */
export class Damaged extends Error {}

/** The file of a checkpoint, by its name. */
export interface Name {
  readonly name: string
  readonly sequence: number
  readonly id: string
}

const digits = 12

export const nameOf = (sequence: number, id: string): string =>
  `${String(sequence).padStart(digits, "0")}-${id}.checkpoint`

/** The checkpoints among these names, oldest first. */
export const checkpointsOf = (names: ReadonlyArray<string>): ReadonlyArray<Name> =>
  names.flatMap((name): ReadonlyArray<Name> => {
    const [, sequence, id] = /^(\d{12,15})-([0-9a-f-]+)\.checkpoint$/.exec(name) ?? []
    return sequence === undefined || id === undefined ? [] : [{ name, sequence: Number(sequence), id }]
  }).sort((a, b) => a.sequence - b.sequence)

const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex")

/** A name for files that any text has, and no two texts share. */
export const hashOf = (text: string): string => sha256(Buffer.from(text, "utf16le"))

const magic = "effect-stategraph-checkpoint"

export const encode = ({ body, ...info }: Checkpoint): Buffer => {
  const [head, tail] = [Buffer.from(`${JSON.stringify(info)}\n`), Buffer.from(body)]
  const line = `${magic} 1 ${head.length} ${tail.length} ${sha256(head)} ${sha256(tail)}\n`
  return Buffer.concat([Buffer.from(line), head, tail])
}

const InfoFromJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({
  thread: Schema.String,
  id: Schema.String,
  sequence: Schema.Int,
  runId: Schema.String,
  graph: Schema.String,
  status: Schema.Literals(["running", "suspended", "failed", "completed"]),
  savedAt: Schema.Finite,
  parent: Schema.optionalKey(Schema.String)
})))

interface Layout {
  readonly info: readonly [start: number, end: number, hash: string]
  readonly body: readonly [start: number, end: number, hash: string]
}

// More than its first line can have.
const firstBytes = 4096

const layoutOf = (start: Buffer, size: number): Layout => {
  const line = start.subarray(0, Math.max(0, start.indexOf(10))).toString("latin1")
  const [, version, infoBytes, bodyBytes, infoHash, bodyHash] =
    new RegExp(`^${magic} (\\d+) (\\d{1,15}) (\\d{1,15}) (\\w{64}) (\\w{64})$`).exec(line) ?? []
  if (version === undefined || infoHash === undefined || bodyHash === undefined) {
    throw new Damaged("its file does not begin like that of a checkpoint")
  }
  if (version !== "1") throw new Damaged(`its file has format ${version}, which this version does not read`)
  const infoEnd = line.length + 1 + Number(infoBytes)
  const bodyEnd = infoEnd + Number(bodyBytes)
  if (bodyEnd !== size) throw new Damaged(`its file has ${size} bytes in place of ${bodyEnd}`)
  return { info: [line.length + 1, infoEnd, infoHash], body: [infoEnd, bodyEnd, bodyHash] }
}

const readAt = async (file: Fs.FileHandle, start: number, end: number): Promise<Buffer> => {
  const buffer = Buffer.alloc(end - start)
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, start + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

const checked = async (file: Fs.FileHandle, [start, end, hash]: Layout["info"]): Promise<Buffer> => {
  const data = await readAt(file, start, end)
  if (sha256(data) !== hash) throw new Damaged("the content of its file does not match its checksum")
  return data
}

const read = async <A>(path: string, maxBytes: number, use: (file: Fs.FileHandle, layout: Layout) => Promise<A>) => {
  // A pipe or a device would never end.
  const stat = await Fs.lstat(path)
  const { size } = stat
  if (!stat.isFile()) throw new Damaged("there is something else in place of its file")
  if (size > maxBytes) throw new Damaged(`its file has ${size} bytes, allowed are ${maxBytes}`)
  const file = await Fs.open(path, "r")
  try {
    return await use(file, layoutOf(await readAt(file, 0, Math.min(size, firstBytes)), size))
  } finally {
    await file.close()
  }
}

const infoOf = (data: Buffer, thread: string, { id, sequence }: Name): Info => {
  const info = Option.getOrUndefined(InfoFromJson(data.toString()))
  if (info === undefined) throw new Damaged("its file does not say what it holds")
  if (info.thread !== thread || info.id !== id || info.sequence !== sequence) {
    throw new Damaged("its file belongs to another checkpoint")
  }
  return info
}

/** What a checkpoint is, without a look at its body. Throws `Damaged`, or what the system throws. */
export const readInfo = (folder: string, name: Name, thread: string, maxBytes: number): Promise<Info> =>
  read(join(folder, name.name), maxBytes, async (file, { info }) => infoOf(await checked(file, info), thread, name))

/** The whole checkpoint. Throws `Damaged`, or what the system throws. */
export const readWhole = (folder: string, name: Name, thread: string, maxBytes: number): Promise<Checkpoint> =>
  read(join(folder, name.name), maxBytes, async (file, layout) => ({
    ...infoOf(await checked(file, layout.info), thread, name),
    body: (await checked(file, layout.body)).toString()
  }))
