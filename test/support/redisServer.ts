/** A real Redis server on a free port of the loopback, with its files in a folder of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const start = (port: number, folder: string): Promise<ChildProcess> =>
  new Promise((resolve, reject) => {
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const read = (text: string): void => {
      output += text
      if (output.includes("Ready to accept connections")) resolve(child)
    }
    child.stdout.setEncoding("utf8").on("data", read)
    child.stderr.setEncoding("utf8").on("data", read)
    child.on("error", reject)
    child.on("exit", (code) => reject(new Error(`redis-server ended with ${code}\n${output}`)))
  })

const kill = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

export interface RedisServer {
  readonly port: number
  /** It neither answers nor closes its connections. */
  readonly pause: () => void
  readonly resume: () => void
  readonly kill: () => Promise<void>
  /** On the same port, without its data. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

export const startRedis = async (): Promise<RedisServer> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-stategraph-redis-"))
  const port = await freePort()
  let child = await start(port, folder)
  return {
    port,
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    kill: () => kill(child),
    restart: async () => {
      child = await start(port, folder)
    },
    stop: async () => {
      await kill(child)
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
