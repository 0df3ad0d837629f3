/**
 * Runs snippets in this process, one after the other: `node snippetRunner.ts JSON`, where the JSON is a list of
 * `{ id, path, claims }`. Reports by message how each one went.
 */
import { setTimeout } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import { missingClaims } from "./claims.ts"
import type { Job, Outcome } from "./runSnippets.ts"

/** How long a claim in a fiber that nobody awaits may take. */
const patienceMs = 2_000

const jobs: ReadonlyArray<Job> = JSON.parse(process.argv[2] ?? "[]")
let errors: Array<unknown> = []
process.on("uncaughtException", (error) => errors.push(error))
process.on("unhandledRejection", (error) => errors.push(error))
// A snippet that waits for what never comes ends the process: the channel must not keep it alive.
process.channel?.unref()

const textOf = (error: unknown): string => error instanceof Error ? error.stack ?? error.message : inspect(error)

const run = async (job: Job): Promise<Outcome> => {
  errors = []
  try {
    await import(pathToFileURL(job.path).href)
  } catch (error) {
    errors.push(error)
  }
  for (let waited = 0; errors.length === 0 && waited < patienceMs; waited += 10) {
    if (missingClaims(job.id, job.claims.length).length === 0) break
    await setTimeout(10)
  }
  const missing = errors.length > 0 ? [] : missingClaims(job.id, job.claims.length)
  for (const index of missing) errors.push(`the claim in line ${job.claims[index]} was never reached`)
  return { id: job.id, error: errors.length === 0 ? undefined : errors.map(textOf).join("\n") }
}

for (const job of jobs) {
  const outcome = await run(job)
  if (process.send === undefined) {
    if (outcome.error !== undefined) {
      console.error(outcome.error)
      process.exitCode = 1
    }
  } else {
    await new Promise((resolve) => process.send?.(outcome, resolve))
  }
}
