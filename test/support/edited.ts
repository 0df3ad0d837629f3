/** Checkpoints that somebody has changed. */
import { Effect, Option } from "effect"
import { Checkpointer } from "effect-stategraph"
import { thread } from "./killed.ts"

/** The last checkpoint of a store with another body, alone in a store of its own. */
export const edited = (
  store: Checkpointer.Service,
  change: (body: string) => string,
  more: Partial<Checkpointer.Draft> = {}
): Effect.Effect<Checkpointer.Service> =>
  Effect.gen(function*() {
    const checkpoint = Option.getOrThrow(yield* store.load(thread))
    const copy = Checkpointer.makeUnsafe()
    const claim = yield* copy.claim(thread)
    yield* copy.save(claim, { ...checkpoint, body: change(checkpoint.body), ...more })
    yield* copy.release(claim)
    return copy
  }).pipe(Effect.orDie)

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
export type Path = ReadonlyArray<string | number>

/** Every place in a JSON value, from the outside to the inside. */
export const placesIn = function*(value: Json, path: Path = []): Generator<Path, void> {
  yield path
  if (typeof value !== "object" || value === null) return
  if (Array.isArray(value)) { for (const [i, part] of value.entries()) yield* placesIn(part, [...path, i]) }
  else for (const [key, part] of Object.entries(value)) yield* placesIn(part, [...path, key])
}

/** The value with something else at one place; `undefined` takes it away. */
export const put = (value: Json, path: Path, other: Json | undefined): Json | undefined => {
  const [first, ...rest] = path
  if (first === undefined) return other
  if (Array.isArray(value)) {
    return value.flatMap((part: Json, i) => {
      const next = i === first ? put(part, rest, other) : part
      return next === undefined ? [] : [next]
    })
  }
  return Object.fromEntries(
    Object.entries(value as { readonly [key: string]: Json }).flatMap(([key, part]) => {
      const next = key === first ? put(part, rest, other) : part
      return next === undefined ? [] : [[key, next]]
    })
  )
}

/** As errors name it: `main.joins[0].flows`. */
export const nameOf = (path: Path): string =>
  path.reduce<string>(
    (name, key) => typeof key === "number" ? `${name}[${key}]` : name === "" ? key : `${name}.${key}`,
    ""
  )
