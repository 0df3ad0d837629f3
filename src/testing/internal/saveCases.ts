/**
 * What is saved comes back: whole, in order, and once.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Draft, Status } from "../../Checkpointer.ts"
import {
  type Case,
  caseOf,
  caseOn,
  draft,
  equal,
  holds,
  infoOf,
  interruptedAfter,
  refused,
  same,
  saveAll,
  upTo
} from "./conformance.ts"

const statuses: ReadonlyArray<Status> = ["running", "suspended", "failed", "completed"]

const fifty = upTo(50).map((n) => `conformance: at once ${n}`)

/** Every UTF-16 code unit, so every lone surrogate too, and some pairs. */
const everything = String.fromCharCode(...upTo(0x10000).map((n) => n - 1)) + "\u{1F600}\u{10FFFF}\u{10000}"

/** Every character, as it is, that JSON does not ask to escape. */
const unescaped = Array.from(everything).filter((char) => JSON.stringify(char) === `"${char}"`).join("")

const bodies: ReadonlyArray<readonly [name: string, body: string]> = [
  ["an empty text", ""],
  ["every code unit, escaped", JSON.stringify(everything)],
  ["every character, unescaped", `"${unescaped}"`],
  ["a byte order mark", "\uFEFF{}"],
  ["line ends", "{\r\n}\n\r\n"],
  ["__proto__ keys", `{"__proto__":{"polluted":true},"constructor":{"prototype":{}}}`],
  ["quotes and placeholders", `'"\`$1 ?; DROP TABLE x; -- \\' %s`],
  ["5 MB", JSON.stringify("0123456789abcdé😀".repeat(280_000))]
]

const hostile: ReadonlyArray<Partial<Draft>> = ["\ud800", "a\0b", "😀", "", "\"", "../x", "'; --", "__proto__"].map(
  (text) => ({ graph: text, runId: text, parent: text })
)

export const saveCases: ReadonlyArray<Case> = [
  caseOf("a checkpoint comes back as it was saved", (store, thread) =>
    Effect.gen(function*() {
      const claim = yield* store.claim(thread)
      for (const status of statuses) {
        for (const rest of [{}, { parent: "a parent" }]) {
          const given = { runId: `run of ${status}`, graph: "a graph", status, body: `{"status":"${status}"}`, ...rest }
          const info = yield* store.save(claim, given)
          const whole = { ...given, thread, id: info.id, sequence: info.sequence, savedAt: info.savedAt }
          yield* holds("the time of a save is in whole milliseconds", Number.isInteger(info.savedAt))
          yield* same("what save returns", info, infoOf(whole))
          yield* same("the latest", yield* store.load(thread), Option.some(whole))
          yield* same("the one of its id", yield* store.load(thread, info.id), Option.some(whole))
        }
      }
      yield* store.release(claim)
    })),
  ...hostile.map((rest) =>
    caseOf(
      `names come back as they were given: ${JSON.stringify(rest.graph)}`,
      (store, thread) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(thread)
          const info = yield* store.save(claim, draft("{}", rest))
          yield* store.release(claim)
          const loaded = Option.getOrUndefined(yield* store.load(thread))
          yield* same("what load gives", loaded, { ...info, ...rest, body: "{}" })
          yield* same("what list gives", yield* store.list(thread), [{ ...info, ...rest }])
        })
    )
  ),
  ...bodies.map(([name, body]) =>
    caseOf(`a body comes back as it was given: ${name}`, (store, thread) =>
      Effect.gen(function*() {
        yield* saveAll(store, thread, [body, "{}", body])
        const loaded = Option.getOrUndefined(yield* store.load(thread))
        yield* holds("what load gives is what was saved", loaded?.body === body)
      }))
  ),
  ...["\ud83d", "\"\udc00\"", "a\0b"].map((body) =>
    caseOf(
      `a body that not every store could give back is refused: ${JSON.stringify(body)}`,
      (store, thread) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(thread)
          yield* refused("save", "NotEncodable", store.save(claim, draft(body)))
          yield* equal("what is listed", (yield* store.list(thread)).length, 0)
          yield* store.release(claim)
        })
    )
  ),
  caseOf(
    "sequences count from 1, over claims, takeovers and what was pruned",
    (store, thread) =>
      Effect.gen(function*() {
        const first = yield* saveAll(store, thread, ["1", "2"])
        yield* store.prune(thread, { keep: 1 })
        const second = yield* saveAll(store, thread, ["3"])
        yield* store.claim(thread)
        const claim = yield* store.claim(thread, { takeOver: true })
        const third = yield* store.save(claim, draft("4"))
        yield* store.prune(thread, { keep: 1 })
        const last = yield* store.save(claim, draft("5"))
        yield* store.release(claim)
        const all = [...first, ...second, third, last]
        yield* same("the sequences", all.map(({ sequence }) => sequence), [1, 2, 3, 4, 5])
      })
  ),
  caseOn(
    "50 threads that save at once keep what is theirs, under ids of their own",
    fifty,
    (store) =>
      Effect.gen(function*() {
        const saved = yield* Effect.forEach(fifty, (thread) => saveAll(store, thread, [thread, "2"]), {
          concurrency: "unbounded"
        })
        const ids = saved.flatMap((infos) => infos.map(({ id }) => id))
        yield* equal("the number of different ids", new Set(ids).size, 100)
        yield* Effect.forEach(fifty, (thread, index) =>
          Effect.gen(function*() {
            yield* same(`the list of ${thread}`, yield* store.list(thread), saved[index])
            const first = Option.getOrUndefined(yield* store.load(thread, saved[index]?.[0]?.id ?? ""))
            yield* equal(`the first body of ${thread}`, first?.body, thread)
          }), { discard: true })
      })
  ),
  caseOf("saves at once with one claim follow each other", (store, thread) =>
    Effect.gen(function*() {
      const claim = yield* store.claim(thread)
      const saved = yield* Effect.forEach(upTo(20), (n) => store.save(claim, draft(String(n))), {
        concurrency: "unbounded"
      })
      yield* store.release(claim)
      const inOrder = [...saved].sort((a, b) => a.sequence - b.sequence)
      yield* same("the sequences", inOrder.map(({ sequence }) => sequence), upTo(20))
      yield* same("the list", yield* store.list(thread), inOrder)
      const latest = Option.getOrUndefined(yield* store.load(thread))
      yield* equal("the latest body", latest?.body, String(saved.findIndex(({ sequence }) => sequence === 20) + 1))
    })),
  caseOf("a save that was interrupted is there whole or not at all", (store, thread) =>
    Effect.gen(function*() {
      const claim = yield* store.claim(thread)
      for (const n of upTo(25)) {
        const before = yield* store.list(thread)
        yield* interruptedAfter(n * n, store.save(claim, draft(String(n))))
        const after = yield* store.list(thread)
        yield* holds("there is one more, or none", after.length === before.length || after.length === before.length + 1)
        const latest = Option.getOrUndefined(yield* store.load(thread))
        yield* same("the latest", latest && infoOf(latest), after.at(-1))
        yield* holds("its body is whole", after.length === before.length || latest?.body === String(n))
      }
      yield* store.save(claim, draft("last"))
      yield* store.release(claim)
      yield* saveAll(store, thread, ["by another"])
      const list = yield* store.list(thread)
      yield* holds("ids differ", new Set(list.map(({ id }) => id)).size === list.length)
      yield* holds("sequences rise", list.every((info, index) => info.sequence > (list[index - 1]?.sequence ?? 0)))
    }))
]
