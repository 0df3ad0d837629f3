/**
 * What can be asked of a thread: load, list, prune, delete; whatever its id is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Case, caseOf, caseOn, draft, equal, refused, same, saveAll, upTo } from "./conformance.ts"

/** 10,000 characters that no index makes shorter. */
const incompressible = (last: string): string => {
  let seed = 1
  const chars = upTo(9_999).map(() => {
    seed = (seed * 16_807) % 2_147_483_647
    return String.fromCharCode(0x4e00 + seed % 20_000)
  })
  return chars.join("") + last
}

/** Ids that are paths, reserved names, alike to a sloppy eye, or no text at all. */
export const hostileThreads: ReadonlyArray<string> = [
  "../../x",
  "a/b",
  "a\\b",
  "/etc/passwd",
  "C:\\x",
  "file:///x",
  ".",
  "..",
  "con",
  "nul.txt",
  "CON",
  "x",
  "X",
  "x.",
  "x ",
  " x",
  "x\t",
  "é",
  "e\u0301",
  "😀",
  "\ud83d",
  "\ude00",
  "\ufffd",
  "\"\\ud83d\"",
  "a\0b",
  "a",
  "\0",
  "__proto__",
  "constructor",
  "'; DROP TABLE x; --",
  "$1",
  "%",
  "_",
  "0",
  "00",
  "null",
  "x".repeat(10_000),
  "x".repeat(9_999),
  "\ud800".repeat(10_000),
  incompressible("a"),
  incompressible("b")
]

export const threadCases: ReadonlyArray<Case> = [
  caseOf("an unknown thread is empty", (store, thread) =>
    Effect.gen(function*() {
      yield* same("what load gives", yield* store.load(thread), Option.none())
      yield* same("what load gives", yield* store.load(thread, "1"), Option.none())
      yield* same("what list gives", yield* store.list(thread), [])
      yield* equal("what prune gives", yield* store.prune(thread, { keep: 1 }), 0)
      yield* store.delete(thread)
      yield* Effect.flatMap(store.claim(thread), store.release)
      yield* same("what list gives after a claim", yield* store.list(thread), [])
    })),
  caseOn("hostile thread ids are threads like any other", hostileThreads, (store) =>
    Effect.gen(function*() {
      yield* Effect.forEach(hostileThreads, (thread, index) => saveAll(store, thread, ["{}", `[${index}]`]))
      for (const [index, thread] of hostileThreads.entries()) {
        const list = yield* store.list(thread)
        yield* same("the threads in its list", list.map((info) => info.thread), [thread, thread])
        const loaded = Option.getOrUndefined(yield* store.load(thread))
        yield* same("what load gives", [loaded?.thread, loaded?.body], [thread, `[${index}]`])
      }
      for (const [index, thread] of hostileThreads.entries()) {
        yield* store.delete(thread)
        yield* equal(`what is left of ${JSON.stringify(thread)}`, (yield* store.list(thread)).length, 0)
        const next = hostileThreads[index + 1]
        if (next !== undefined) yield* equal("what is left of the next", (yield* store.list(next)).length, 2)
      }
    })),
  caseOn("a thread with an empty id is refused by every method", [], (store) =>
    Effect.gen(function*() {
      const claim = { thread: "", token: "1" }
      yield* refused("claim", "InvalidThread", store.claim(""))
      yield* refused("claim", "InvalidThread", store.claim("", { takeOver: true }))
      yield* refused("release", "InvalidThread", store.release(claim))
      yield* refused("save", "InvalidThread", store.save(claim, draft("{}")))
      yield* refused("load", "InvalidThread", store.load(""))
      yield* refused("load", "InvalidThread", store.load("", "1"))
      yield* refused("list", "InvalidThread", store.list(""))
      yield* refused("delete", "InvalidThread", store.delete(""))
      yield* refused("prune", "InvalidThread", store.prune("", { keep: 1 }))
      if (store.renew !== undefined) yield* refused("renew", "InvalidThread", store.renew(claim))
    })),
  caseOf("checkpoints are listed oldest first, and loaded by their id", (store, thread) =>
    Effect.gen(function*() {
      const saved = yield* saveAll(store, thread, upTo(30).map(String))
      yield* same("the list", yield* store.list(thread), saved)
      for (const [index, { id }] of saved.entries()) {
        const loaded = Option.getOrUndefined(yield* store.load(thread, id))
        yield* same("the one of an id", [loaded?.id, loaded?.body], [id, String(index + 1)])
      }
    })),
  caseOf("an id that is not one of the thread's gives nothing", (store, thread) =>
    Effect.gen(function*() {
      const [info] = yield* saveAll(store, thread, ["{}"])
      const ids = ["", "0", "..", "../x", "%", "*", "\ud800", "a\0b", "__proto__", `${info?.id}x`, "x".repeat(10_000)]
      for (const id of ids) {
        yield* same(`load of id ${JSON.stringify(id)}`, yield* store.load(thread, id), Option.none())
      }
      const other = yield* store.load(`${thread} of nobody`, info?.id ?? "")
      yield* same("load of the id under another thread", other, Option.none())
    })),
  caseOf("prune keeps the newest", (store, thread) =>
    Effect.gen(function*() {
      const saved = yield* saveAll(store, thread, upTo(12).map(String))
      yield* equal("the number of those removed", yield* store.prune(thread, { keep: 12 }), 0)
      const claim = yield* store.claim(thread)
      yield* equal("the number of those removed", yield* store.prune(thread, { keep: 5 }), 7)
      yield* store.release(claim)
      yield* same("the list", yield* store.list(thread), saved.slice(7))
      yield* same("load of one removed", yield* store.load(thread, saved[6]?.id ?? ""), Option.none())
      yield* equal("the number of those removed", yield* store.prune(thread, { keep: 1 }), 4)
      const latest = Option.getOrUndefined(yield* store.load(thread))
      yield* equal("the latest body", latest?.body, "12")
    })),
  caseOf("prune keeps at least one, and a whole number", (store, thread) =>
    Effect.gen(function*() {
      yield* saveAll(store, thread, ["1", "2"])
      for (const keep of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        yield* refused(`prune with keep ${keep}`, "InvalidOption", store.prune(thread, { keep }))
      }
      yield* equal("what is listed", (yield* store.list(thread)).length, 2)
    })),
  caseOf("delete removes a thread wholly, and nothing of another", (store, thread) =>
    Effect.gen(function*() {
      const neighbour = `${thread}, the neighbour`
      yield* Effect.acquireUseRelease(
        saveAll(store, neighbour, ["1"]),
        () =>
          Effect.gen(function*() {
            yield* saveAll(store, thread, ["1", "2"])
            const claim = yield* store.claim(thread)
            yield* refused("delete of a claimed thread", "Claimed", store.delete(thread))
            yield* equal("what is listed", (yield* store.list(thread)).length, 2)
            yield* store.release(claim)
            yield* store.delete(thread)
            yield* same("what load gives", yield* store.load(thread), Option.none())
            yield* same("what list gives", yield* store.list(thread), [])
            yield* refused("a save by its last owner", "Fenced", store.save(claim, draft("3")))
            const [info] = yield* saveAll(store, thread, ["1"])
            yield* equal("the sequence of its next checkpoint", info?.sequence, 1)
            yield* equal("what is listed of the neighbour", (yield* store.list(neighbour)).length, 1)
          }),
        () => store.delete(neighbour)
      )
    }))
]
