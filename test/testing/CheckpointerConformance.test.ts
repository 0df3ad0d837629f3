/**
 * The suite passes a good store, and finds each of many bad ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Checkpointer } from "effect-stategraph"
import { CheckpointerConformance } from "effect-stategraph/testing"
import { CheckpointError } from "../../src/GraphError.ts"
import { conforms } from "../support/conformance.ts"

describe("a store in memory conforms", () => {
  conforms(Checkpointer.layerMemory)
})

type Service = Checkpointer.Service

/** What is wrong with a store, the case that finds it first, and the store. */
const bad: Readonly<Record<string, readonly [found: string, make: (good: Service) => Partial<Service>]>> = {
  "claims a claimed thread": [
    "a thread is claimed once, until it is released",
    (good) => ({ claim: (thread) => good.claim(thread, { takeOver: true }) })
  ],
  "takes nothing over": [
    "of 20 takeovers at once one is left with the thread",
    (good) => ({ claim: (thread) => good.claim(thread) })
  ],
  "releases what is not its caller's": ["a takeover fences the former owner off", (good) => ({
    release: ({ thread }) => good.claim(thread, { takeOver: true }).pipe(Effect.flatMap(good.release))
  })],
  "releases nothing": ["a thread is claimed once, until it is released", () => ({ release: () => Effect.void })],
  "saves without a claim": ["of 20 takeovers at once one is left with the thread", (good) => ({
    save: (claim, draft) =>
      good.save(claim, draft).pipe(
        Effect.catchIf((error) => error.reason === "Fenced", () =>
          good.claim(claim.thread, { takeOver: true }).pipe(Effect.flatMap((claim) => good.save(claim, draft))))
      )
  })],
  "saves twice": ["of 20 takeovers at once one is left with the thread", (good) => ({
    save: (claim, draft) => Effect.andThen(good.save(claim, draft), good.save(claim, draft))
  })],
  "forgets the parent": [
    "a checkpoint comes back as it was saved",
    (good) => ({ save: (claim, { parent: _, ...draft }) => good.save(claim, draft) })
  ],
  "gives one id to all": ["a checkpoint comes back as it was saved", (good) => ({
    save: (claim, draft) => Effect.map(good.save(claim, draft), (info) => ({ ...info, id: "1" }))
  })],
  "loads the oldest": ["a checkpoint comes back as it was saved", (good) => ({
    load: (thread, id) => Effect.flatMap(good.list(thread), ([oldest]) => good.load(thread, id ?? oldest?.id))
  })],
  "loads the latest for an id it has not": ["an id that is not one of the thread's gives nothing", (good) => ({
    load: (thread, id) =>
      Effect.flatMap(good.load(thread, id), (found) => Option.isSome(found) ? Effect.succeed(found) : good.load(thread))
  })],
  "loses what is no UTF-8": ["names come back as they were given: \"\\ud800\"", (good) => ({
    save: (claim, draft) =>
      good.save(claim, { ...draft, graph: new TextDecoder().decode(new TextEncoder().encode(draft.graph)) })
  })],
  "drops a byte order mark": ["a body comes back as it was given: a byte order mark", (good) => ({
    save: (claim, draft) =>
      good.save(claim, { ...draft, body: new TextDecoder().decode(new TextEncoder().encode(draft.body)) })
  })],
  "takes any body": ["a body that not every store could give back is refused: \"\\ud83d\"", (good) => ({
    save: (claim, draft) => good.save(claim, { ...draft, body: draft.body.replaceAll(/[\0\p{Surrogate}]/gu, "?") })
  })],
  "lists in the order of text": ["saves at once with one claim follow each other", (good) => ({
    list: (thread) =>
      Effect.map(good.list(thread), (list) => [...list].sort((a, b) => `${a.sequence}` < `${b.sequence}` ? -1 : 1))
  })],
  "lists bodies": ["names come back as they were given: \"\\ud800\"", (good) => ({
    list: (thread) => Effect.map(good.list(thread), (list) => list.map((info) => ({ ...info, body: "{}" })))
  })],
  "trims thread ids": ["hostile thread ids are threads like any other", (good) => ({
    claim: (thread, options) => good.claim(thread === "" ? "" : thread.trim() || " ", options),
    load: (thread, id) => good.load(thread === "" ? "" : thread.trim() || " ", id)
  })],
  "ignores the case of thread ids": [
    "hostile thread ids are threads like any other",
    (good) => ({ list: (thread) => good.list(thread.toLowerCase()) })
  ],
  "cuts thread ids": [
    "hostile thread ids are threads like any other",
    (good) => ({ list: (thread) => good.list(thread.slice(0, 255)) })
  ],
  "takes an empty thread id": [
    "a thread with an empty id is refused by every method",
    (good) => ({ delete: (thread) => thread === "" ? Effect.void : good.delete(thread) })
  ],
  "deletes a claimed thread": ["delete removes a thread wholly, and nothing of another", (good) => ({
    delete: (thread) =>
      good.delete(thread).pipe(
        Effect.catchIf((error) => error.reason === "Claimed", () =>
          good.claim(thread, { takeOver: true }).pipe(
            Effect.flatMap(good.release),
            Effect.andThen(good.delete(thread))
          ))
      )
  })],
  "deletes nothing": ["hostile thread ids are threads like any other", () => ({ delete: () => Effect.void })],
  "prunes the newest": [
    "prune keeps the newest",
    (good) => ({ prune: (thread, { keep }) => good.prune(thread, { keep: keep + 1 }) })
  ],
  "prunes down to any number": [
    "prune keeps at least one, and a whole number",
    (good) => ({ prune: (thread, { keep }) => good.prune(thread, { keep: keep < 1 ? 1 : keep }) })
  ],
  "gives a lease that cannot be renewed": ["leases are given with a way to renew them", () => ({ leaseMs: 1000 })],
  "renews for anybody": ["a takeover fences the former owner off", () => ({ leaseMs: 1000, renew: () => Effect.void })],
  "fails": ["of 20 takeovers at once one is left with the thread", () => ({
    list: (thread) => Effect.fail(new CheckpointError({ thread, reason: "Storage", issue: "the disk is on fire" }))
  })]
}

describe("the suite finds a store that", () => {
  for (const [name, [found, make]] of Object.entries(bad)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const good = yield* Checkpointer.make
        const store = Layer.succeed(Checkpointer.Checkpointer, { ...good, ...make(good) })
        const error = yield* Effect.flip(Effect.provide(CheckpointerConformance.run, store))
        assert.instanceOf(error, CheckpointerConformance.ConformanceError)
        assert.strictEqual(error.case, found)
        assert.match(error.message, /^the store does not conform, "[^]+": [^]+/)
      }), 30_000)
  }
  it.effect("fails, with its error as the cause", () =>
    Effect.gen(function*() {
      const good = yield* Checkpointer.make
      const failing = Layer.succeed(Checkpointer.Checkpointer, { ...good, ...bad["fails"]?.[1](good) })
      const error = yield* Effect.flip(Effect.provide(CheckpointerConformance.run, failing))
      assert.include(error.message, "the disk is on fire")
      assert.instanceOf(error.cause, CheckpointError)
    }))
})
