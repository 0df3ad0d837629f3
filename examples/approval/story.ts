/** The story as four processes, one after the other. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("main.ts", import.meta.url))

/** Runs one step in a process of its own; `killAt`: kills it, with no chance to say goodbye, when it prints that. */
const run = (step: string, folder: string, killAt?: string): Promise<void> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [main, step, "7", folder], { stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.setEncoding("utf8")
    child.stdout.on("data", (text: string) => {
      process.stdout.write(text)
      if (killAt !== undefined && text.includes(killAt)) child.kill("SIGKILL")
    })
    child.on("close", (_, signal) => {
      if (signal !== null) console.log(`  (the process is gone: ${signal})`)
      resolve()
    })
  })

export const tell = async (folder: string): Promise<void> => {
  console.log("An order comes in:")
  await run("start", folder, "half way")
  console.log("Another process goes on with it:")
  await run("resume", folder)
  console.log("What is saved:")
  await run("list", folder)
  console.log("Somebody approves it, in a third one:")
  await run("approve", folder)
}
