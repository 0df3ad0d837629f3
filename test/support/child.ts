/** Programs of the project as processes of their own. */
import { spawn } from "node:child_process"
import { root } from "../../scripts/root.ts"

export interface Ended {
  /** `null`: it had to be stopped. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

// What the one who runs the tests wants of colors is not what they are about.
const { FORCE_COLOR: _force, NO_COLOR: _no, ...inherited } = process.env

/** Runs `node` with these arguments; what has not ended by itself after `guardMs` is stopped. */
export const node = (args: ReadonlyArray<string>, guardMs = 30_000): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...inherited, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const guard = setTimeout(() => child.kill("SIGKILL"), guardMs)
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(guard)
      resolve({ code, stdout, stderr })
    })
  })
