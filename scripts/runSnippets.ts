/**
 * Type-checks all snippets in one run of the compiler, and runs them in a few processes.
 */
import { execFile, fork } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { sourceOf } from "./entries.ts"
import { root } from "./root.ts"
import { type Program, type Snippet, toProgram } from "./snippets.ts"

/** One snippet to run: its file, and the lines of the documentation that hold its claims. */
export interface Job {
  readonly id: string
  readonly path: string
  readonly claims: ReadonlyArray<number>
}

export interface Outcome {
  readonly id: string
  readonly error: string | undefined
}

/** What is wrong with each snippet, by its {@link nameOf}; and what is wrong elsewhere. */
export interface Report {
  readonly problems: ReadonlyMap<string, ReadonlyArray<string>>
  readonly elsewhere: ReadonlyArray<string>
}

const processes = 2
const timeLimitMs = 60_000
const runner = join(root, "scripts", "snippetRunner.ts")

/** How a snippet is called: the file and line where its code begins. */
export const nameOf = (snippet: Snippet): string => `${snippet.file}:${snippet.line}`

const idOf = (snippet: Snippet): string => nameOf(snippet).replaceAll(/\W+/g, "_")

/** Checks and runs the snippets, with generated files in a folder of the project. */
export const check = async (snippets: ReadonlyArray<Snippet>, folder: string): Promise<Report> => {
  const base = join(root, folder)
  rmSync(base, { recursive: true, force: true })
  mkdirSync(base, { recursive: true })
  const problems = new Map<string, Array<string>>(snippets.map((snippet) => [nameOf(snippet), []]))
  const byId = new Map(snippets.map((snippet) => [idOf(snippet), snippet]))
  const add = (id: string, problem: string): void => {
    const snippet = byId.get(id)
    if (snippet !== undefined) problems.get(nameOf(snippet))?.push(problem)
  }

  const jobs: Array<Job & { readonly snippet: Snippet }> = []
  for (const snippet of snippets) {
    const id = idOf(snippet)
    try {
      const program = toProgram(snippet, (specifier) => `./${relative(base, join(root, sourceOf(specifier)))}`)
      const path = join(base, `${id}.ts`)
      writeFileSync(path, withClaims(id, program, base))
      if (snippet.runs) jobs.push({ id, path, claims: program.claims, snippet })
    } catch (error) {
      add(id, error instanceof Error ? error.message : String(error))
    }
  }

  const alone = jobs.filter(({ snippet }) => snippet.printed !== undefined)
  const together = jobs.filter(({ snippet }) => snippet.printed === undefined)
  const batches = Array.from({ length: processes }, (_, n) => together.filter((_, index) => index % processes === n))
  const [{ elsewhere }, ...outcomes] = await Promise.all([
    typeCheck(base, byId, add),
    ...batches.map(runTogether),
    runAllAlone(alone)
  ])
  for (const { error, id } of outcomes.flat()) if (error !== undefined) add(id, inDocs(error, byId))
  return { problems, elsewhere }
}

// The first line of the snippet stays its first line, so that all line numbers are those of the documentation.
const withClaims = (id: string, program: Program, base: string): string => {
  const claims = relative(base, join(root, "scripts", "claims.ts"))
  const prelude = program.claims.length === 0
    ? ""
    : `import { claimsOf as $claimsOf } from "./${claims}"; const $claim = $claimsOf("${id}"); `
  return `${prelude}${program.code}\n`
}

/** The text of an error, where it happened in the documentation. */
const inDocs = (error: string, byId: ReadonlyMap<string, Snippet>): string =>
  error.split("\n").filter((line) => !/^\s+at .*\bnode:internal\b/.test(line)).join("\n")
    .replaceAll(/file:\S*\/(\w+)\.ts:(\d+)(:\d+)?/g, (place, id: string, line: string) => {
      const snippet = byId.get(id)
      return snippet === undefined ? place : `${snippet.file}:${snippet.line + Number(line) - 1}`
    })

const typeCheck = (
  base: string,
  byId: ReadonlyMap<string, Snippet>,
  add: (id: string, problem: string) => void
): Promise<{ readonly elsewhere: ReadonlyArray<string> }> => {
  const project = join(base, "tsconfig.json")
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false }
  writeFileSync(
    project,
    JSON.stringify({ extends: relative(base, join(root, "tsconfig.json")), compilerOptions, include: ["*.ts"] })
  )
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc")
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [compiler, "-p", project, "--pretty", "false"],
      { cwd: base, maxBuffer: 1e8 },
      (failure, stdout) => {
        const elsewhere: Array<string> = []
        // An error goes on in the indented lines below it.
        for (const error of stdout.split(/\n(?=\S)/).filter((text) => text.trim() !== "")) {
          const [, id = "", line = "0", message = ""] = /^(\w+)\.ts\((\d+),\d+\): ([^]*)$/.exec(error) ?? []
          const snippet = byId.get(id)
          if (snippet === undefined) elsewhere.push(error)
          else add(id, `${snippet.file}:${snippet.line + Number(line) - 1}: ${message.trim()}`)
        }
        if (failure !== null && stdout.trim() === "") elsewhere.push(failure.message)
        resolve({ elsewhere })
      }
    )
  })
}

/** Runs the jobs in one process; in another one from where it ended before its time. */
const runTogether = async (jobs: ReadonlyArray<Job>): Promise<ReadonlyArray<Outcome>> => {
  const outcomes: Array<Outcome> = []
  while (outcomes.length < jobs.length) {
    const rest = jobs.slice(outcomes.length)
    const end = await runUntilEnd(rest, (outcome) => outcomes.push(outcome))
    const current = jobs[outcomes.length]
    if (current !== undefined) outcomes.push({ id: current.id, error: end })
  }
  return outcomes
}

const runUntilEnd = (jobs: ReadonlyArray<Job>, onOutcome: (outcome: Outcome) => void): Promise<string> =>
  new Promise((resolve) => {
    const child = fork(runner, [JSON.stringify(jobs.map(({ claims, id, path }) => ({ claims, id, path })))], {
      cwd: root,
      silent: true
    })
    let output = ""
    child.stderr?.on("data", (text) => output += text)
    child.stdout?.resume()
    let left = jobs.length
    const startTimer = () => setTimeout(() => child.kill("SIGKILL"), timeLimitMs)
    let timer = startTimer()
    child.on("message", (outcome: Outcome) => {
      clearTimeout(timer)
      onOutcome(outcome)
      if (--left > 0) timer = startTimer()
      else child.kill("SIGKILL")
    })
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      resolve(endOf(code, signal) + (output === "" ? "" : `\n${output}`))
    })
  })

const endOf = (code: number | null, signal: string | null): string => {
  if (signal !== null) return `did not end within ${timeLimitMs} ms`
  return code === 13
    ? "waits for something that never comes (a top-level await)"
    : `ended the process with exit code ${code}`
}

const runAllAlone = async (
  jobs: ReadonlyArray<Job & { readonly snippet: Snippet }>
): Promise<ReadonlyArray<Outcome>> => {
  const outcomes: Array<Outcome> = []
  for (const job of jobs) outcomes.push(await runAlone(job, job.snippet.printed ?? ""))
  return outcomes
}

const runAlone = ({ claims, id, path }: Job, printed: string): Promise<Outcome> =>
  new Promise((resolve) => {
    const options = { cwd: root, timeout: timeLimitMs, maxBuffer: 1e8 }
    execFile(process.execPath, [runner, JSON.stringify([{ claims, id, path }])], options, (failure, stdout, stderr) => {
      if (failure !== null) {
        return resolve({ id, error: `${failure.killed ? `did not end within ${timeLimitMs} ms\n` : ""}${stderr}` })
      }
      const [actual, expected] = [trimmed(stdout), trimmed(printed)]
      resolve({ id, error: actual === expected ? undefined : `prints\n${actual}\nand not\n${expected}` })
    })
  })

const trimmed = (text: string): string => text.split("\n").map((line) => line.trimEnd()).join("\n").trim()
