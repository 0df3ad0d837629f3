/**
 * A thread has one owner at a time, and only the owner saves.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Case, caseOf, draft, equal, holds, interruptedAfter, refused, upTo } from "./conformance.ts"

export const claimCases: ReadonlyArray<Case> = [
  caseOf("a thread is claimed once, until it is released", (store, thread) =>
    Effect.gen(function*() {
      const first = yield* store.claim(thread)
      yield* equal("the thread of a claim", first.thread, thread)
      yield* refused("a second claim", "Claimed", store.claim(thread))
      yield* refused("a second claim", "Claimed", store.claim(thread, { takeOver: false }))
      yield* store.release(first)
      const second = yield* store.claim(thread)
      yield* holds("the tokens of two claims differ", first.token !== second.token)
      yield* store.release(second)
    })),
  caseOf("of 20 claims at once one wins", (store, thread) =>
    Effect.gen(function*() {
      for (const round of upTo(5)) {
        const [lost, won] = yield* Effect.partition(upTo(20), () => Effect.flip(store.claim(thread)), {
          concurrency: "unbounded"
        })
        yield* equal(`the claims that win in round ${round}`, won.length, 1)
        yield* holds("the others fail with Claimed", lost.every(({ reason }) => reason === "Claimed"))
        yield* Effect.forEach(won, store.release)
      }
    })),
  caseOf("of 20 takeovers at once one is left with the thread", (store, thread) =>
    Effect.gen(function*() {
      yield* store.claim(thread)
      const claims = yield* Effect.forEach(upTo(20), () => store.claim(thread, { takeOver: true }), {
        concurrency: "unbounded"
      })
      const [saved] = yield* Effect.partition(claims, (claim) => store.save(claim, draft(claim.token)), {
        concurrency: "unbounded"
      })
      yield* equal("the owners that can save", saved.length, 1)
      yield* equal("what is listed", (yield* store.list(thread)).length, 1)
      yield* Effect.forEach(claims, store.release)
      yield* Effect.flatMap(store.claim(thread), store.release)
    })),
  caseOf("a takeover fences the former owner off", (store, thread) =>
    Effect.gen(function*() {
      const former = yield* store.claim(thread)
      yield* store.save(former, draft("1"))
      const owner = yield* store.claim(thread, { takeOver: true })
      yield* refused("a save by the former owner", "Fenced", store.save(former, draft("2")))
      if (store.renew !== undefined) {
        yield* refused("a renewal by the former owner", "Fenced", store.renew(former))
        yield* store.renew(owner)
      }
      yield* store.release(former)
      yield* refused("a claim after the former owner's release", "Claimed", store.claim(thread))
      yield* store.save(owner, draft("3"))
      yield* equal("what is listed", (yield* store.list(thread)).length, 2)
      yield* store.release(owner)
    })),
  caseOf("a takeover of a free thread is a claim", (store, thread) =>
    Effect.gen(function*() {
      const claim = yield* store.claim(thread, { takeOver: true })
      yield* refused("a second claim", "Claimed", store.claim(thread))
      yield* store.save(claim, draft("1"))
      yield* store.release(claim)
    })),
  caseOf(
    "a claim that was released, or made up, saves nothing and releases nothing",
    (store, thread) =>
      Effect.gen(function*() {
        const claim = yield* store.claim(thread)
        yield* store.release(claim)
        yield* store.release(claim)
        const owner = yield* store.claim(thread)
        for (const token of [claim.token, "", "..", "../x", "a/b", "\ud800", "a\0b", "__proto__", "'; --"]) {
          yield* refused("a save without the claim", "Fenced", store.save({ thread, token }, draft("1")))
          if (store.renew !== undefined) {
            yield* refused("a renewal without the claim", "Fenced", store.renew({ thread, token }))
          }
          yield* store.release({ thread, token })
        }
        const elsewhere = { thread: `${thread} of nobody`, token: owner.token }
        yield* refused("a save with the claim of another thread", "Fenced", store.save(elsewhere, draft("1")))
        yield* refused("a claim", "Claimed", store.claim(thread))
        yield* equal("what is listed", (yield* store.list(thread)).length, 0)
        yield* store.release(owner)
      })
  ),
  caseOf("a claim that was interrupted holds nothing", (store, thread) =>
    Effect.gen(function*() {
      for (const n of upTo(25)) {
        const exit = yield* interruptedAfter(n * n, store.claim(thread))
        if (Exit.isSuccess(exit)) yield* store.release(exit.value)
        yield* Effect.flatMap(store.claim(thread), store.release)
      }
    })),
  caseOf("leases are given with a way to renew them", (store, thread) =>
    Effect.gen(function*() {
      yield* equal("renew is given", store.renew !== undefined, store.leaseMs !== undefined)
      if (store.renew === undefined || store.leaseMs === undefined) return
      yield* holds("leaseMs is a positive number", store.leaseMs > 0)
      const claim = yield* store.claim(thread)
      yield* store.renew(claim)
      yield* store.save(claim, draft("1"))
      yield* store.renew(claim)
      yield* store.release(claim)
      yield* refused("a renewal after the release", "Fenced", store.renew(claim))
    }))
]
