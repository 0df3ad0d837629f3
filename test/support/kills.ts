/**
 * Kills a run at random moments, resumes it each time in a new process, and checks what it did against what was saved.
 */
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Checkpointer, RunState } from "effect-stategraph"
import { fork } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Random } from "../simulation/random.ts"
import { finalState, flows, storeIn, type StoreKind } from "./killedRun.ts"

const program = join(import.meta.dirname, "killedRun.ts")

/** Programs that are compiled once start sooner. */
const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "effect-stategraph-compile-cache") }

/** Runs a process until it ends or is killed `afterMs` after it has begun; what it came to, if it ended. */
const once = (kind: StoreKind, folder: string, thread: string, afterMs: number): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const child = fork(program, [kind, folder, thread], { stdio: ["ignore", "inherit", "inherit", "ipc"], env })
    let state: unknown
    let timer: NodeJS.Timeout | undefined
    child.on("message", (message: "begins" | { readonly state: unknown }) => {
      if (message === "begins") timer = setTimeout(() => child.kill("SIGKILL"), afterMs)
      else state = message.state
    })
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      if (signal === "SIGKILL" || code === 0) resolve(state)
      else reject(new Error(`the process ended with ${code ?? signal}`))
    })
  })

/** The nodes whose completion is in the last checkpoint, as the run's log names them. */
const savedIn = (
  kind: StoreKind,
  folder: string,
  thread: string,
  read: Set<string>
): Promise<ReadonlySet<string>> =>
  Effect.runPromise(
    Effect.gen(function*() {
      const store = yield* Checkpointer.Checkpointer
      // Every checkpoint there is can be read.
      for (const { id } of yield* store.list(thread)) {
        if (read.has(id)) continue
        assert.strictEqual((yield* store.load(thread, id))._tag, "Some")
        read.add(id)
      }
      const latest = yield* store.load(thread)
      if (latest._tag === "None") return new Set<string>()
      const { main } = Schema.decodeUnknownSync(RunState.fromBody)(latest.value.body)
      return nodesOf(main)
    }).pipe(Effect.provide(storeIn(kind, folder)))
  )

const nodesOf = (main: RunState.LineState): ReadonlySet<string> => {
  const saved = new Set(main.visits.map(([node]) => `|${node}`))
  // Joined: its flows are not in the tree any more.
  if (saved.has("|join")) {
    for (let i = 0; i < flows; i++) for (const name of ["a", "b", "c"]) saved.add(`f${i}|${i}${name}`)
  }
  for (const { flows } of main.joins) {
    for (const { line, name, result } of flows) {
      if (result !== undefined) { for (const node of ["a", "b", "c"]) saved.add(`${name}|${name.slice(1)}${node}`) }
      for (const [node] of line?.visits ?? []) saved.add(`${name}|${node}`)
    }
  }
  return saved
}

const logOf = (folder: string, thread: string): ReadonlyArray<string> => {
  const file = join(folder, `${thread}.log`)
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : []
}

/** Kills so often, over as many runs as that takes, and lets each run end. Returns how many runs that were. */
export const kill = async (kind: StoreKind, times: number, seed: number): Promise<number> => {
  const random = new Random(seed)
  const folder = mkdtempSync(join(tmpdir(), `kills-${kind}-`))
  try {
    const read = new Set<string>()
    let kills = 0
    let runs = 0
    while (kills < times) {
      const thread = `run-${++runs}`
      let saved: ReadonlySet<string> = new Set()
      for (;;) {
        const before = logOf(folder, thread).length
        // Longer than a run takes, when there have been enough kills.
        const state = await once(kind, folder, thread, kills < times ? random.below(250) : 60_000)
        const ran = logOf(folder, thread).slice(before)
        assert.deepStrictEqual(
          ran.filter((node) => saved.has(node)),
          [],
          `saved nodes of ${thread} ran again (seed ${seed})`
        )
        assert.strictEqual(new Set(ran).size, ran.length, "no process runs a node twice")
        if (state !== undefined) {
          assert.deepStrictEqual(state, finalState)
          break
        }
        kills++
        saved = await savedIn(kind, folder, thread, read)
      }
      assert.strictEqual(new Set(logOf(folder, thread)).size, flows * 3 + 3, "every node ran")
    }
    return runs
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
