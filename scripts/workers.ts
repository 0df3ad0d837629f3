/** Processes that simulate. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { Report, Task } from "../test/simulation/campaign.ts"
import { root } from "./root.ts"

/** A program of the project, with what it prints; what goes wrong in it is an error. */
export const program = (args: ReadonlyArray<string>, output: "inherit" | "pipe"): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", output, "inherit"] })
    let text = ""
    child.stdout?.on("data", (data: Buffer) => text += data.toString())
    child.on("close", (code) => code === 0 ? resolve(text) : reject(new Error(`${args[0]} ended with ${code}`)))
  })

export const worker = async (task: Task): Promise<Report> =>
  JSON.parse(await program([join("test", "simulation", "worker.ts"), JSON.stringify(task)], "pipe")) as Report
