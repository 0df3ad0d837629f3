/**
 * A PostgreSQL server of its own for a test: in a temporary folder, on a free port of this machine.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** The folder of the newest server installed: on the path, or where Debian has it. */
const binaries = (): string | undefined => {
  const debian = "/usr/lib/postgresql"
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(debian, version, "bin")),
    ...(process.env["PATH"] ?? "").split(delimiter)
  ]
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "pg_ctl")))
}

const isRoot = process.getuid?.() === 0

const idOf = (flag: "-u" | "-g"): number | undefined => {
  const { status, stdout } = spawnSync("id", [flag, "postgres"], { encoding: "utf8" })
  return status === 0 ? Number(stdout) : undefined
}

/** Why there is no server to test with; `undefined` when there is one. */
export const missing: string | undefined = binaries() === undefined
  ? "PostgreSQL is not installed (Debian package postgresql)"
  : isRoot && idOf("-u") === undefined
  ? "PostgreSQL refuses to run as root, and there is no user postgres"
  : undefined

const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

export interface Server {
  readonly port: number
  /** Ends it at once, without any tidying up. */
  readonly crash: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

export const server: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function*() {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "stategraph-pg-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  if (isRoot) chownSync(folder, idOf("-u") ?? 0, idOf("-g") ?? 0)
  const data = join(folder, "data")
  // The server that `pg_ctl` starts keeps what it inherits, so its output goes to a file.
  const run = (command: string, ...args: ReadonlyArray<string>) =>
    Effect.sync(() => {
      const words = [...(isRoot ? ["runuser", "-u", "postgres", "--"] : []), join(binaries() ?? "", command), ...args]
      const { error, status, stderr } = spawnSync(words[0]!, words.slice(1), {
        cwd: folder,
        encoding: "utf8",
        stdio: ["ignore", "ignore", command === "initdb" ? "pipe" : "ignore"]
      })
      if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${error?.message ?? stderr ?? ""}`)
    })
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1`
  const start = run("pg_ctl", "-D", data, "-w", "-l", join(folder, "log"), "-o", options, "start")
  const stop = (mode: string) => run("pg_ctl", "-D", data, "-w", "-m", mode, "stop")
  yield* run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
  yield* Effect.acquireRelease(start, () => Effect.ignore(Effect.catchDefect(stop("immediate"), () => Effect.void)))
  return { port, crash: stop("immediate"), start }
})

export const clientOf = ({ port }: Server, maxConnections = 10) =>
  PgClient.layer({ host: "127.0.0.1", port, username: "postgres", database: "postgres", maxConnections })
