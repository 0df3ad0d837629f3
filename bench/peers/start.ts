/** Runs the bench or the gauntlet, `node bench/peers/start.ts bench`, and installs the peers first where they are not. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const here = fileURLToPath(new URL(".", import.meta.url))

const run = (command: string, args: ReadonlyArray<string>, shell = false): void => {
  const { error, status } = spawnSync(command, args, { cwd: here, stdio: "inherit", shell })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

if (!existsSync(join(here, "node_modules", ".package-lock.json"))) {
  console.log("installing the peers into bench/peers, once")
  run("npm", ["ci", "--no-audit", "--no-fund"], process.platform === "win32")
}
const [what = "bench", ...args] = process.argv.slice(2)
run(process.execPath, [join(here, what, "run.ts"), ...args])
