/**
 * Processes that work with one store, told what to do and asked what came of it.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import type { Answer, Order, StoreKind } from "./claimant.ts"

const program = join(import.meta.dirname, "claimant.ts")

type AnswerOf<Tag extends Answer["_tag"]> = Extract<Answer, { readonly _tag: Tag }>

/** A process with the answers that nobody has read. */
export class Claimant {
  readonly child: ChildProcess
  readonly answers: Array<Answer> = []
  private wake: () => void = () => {}
  constructor(folder: string, store: StoreKind) {
    this.child = fork(program, [folder, store], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    this.child.on("message", (answer: Answer) => {
      this.answers.push(answer)
      this.wake()
    })
    this.child.on("exit", () => this.wake())
  }
  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }
  async next<Tag extends Answer["_tag"]>(tag: Tag): Promise<AnswerOf<Tag>> {
    while (this.answers.length === 0) {
      if (this.hasEnded) throw new Error(`the process has ended and never said ${tag}`)
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    const answer = this.answers.shift()!
    assert.strictEqual(answer._tag, tag)
    return answer as AnswerOf<Tag>
  }
  order(order: Order): void {
    this.child.send(order)
  }
  async kill(): Promise<void> {
    if (!this.hasEnded) {
      const ended = new Promise((resolve) => this.child.once("exit", resolve))
      this.child.kill("SIGKILL")
      await ended
    }
  }
}

export const claimant = (folder: string, store: StoreKind = "files"): Effect.Effect<Claimant, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => new Claimant(folder, store)), (one) => Effect.promise(() => one.kill()))

export const claimants = Effect.fnUntraced(function*(count: number, folder: string, store: StoreKind = "files") {
  const all = yield* Effect.forEach(Array.from({ length: count }), () => claimant(folder, store))
  yield* Effect.promise(() => Promise.all(all.map((one) => one.next("Ready"))))
  return all
})

export const count = (outcomes: ReadonlyArray<string>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

/** All claim the thread at the same time; what came of it for each. */
export const race = (all: ReadonlyArray<Claimant>, thread: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    for (const one of all) one.order({ _tag: "Claim", thread, at: Date.now() + 20 })
    return (await Promise.all(all.map((one) => one.next("Claimed")))).map(({ outcome }) => outcome)
  })

export const releaseAll = (all: ReadonlyArray<Claimant>): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const one of all) one.order({ _tag: "Release" })
    await Promise.all(all.map((one) => one.next("Released")))
  })
