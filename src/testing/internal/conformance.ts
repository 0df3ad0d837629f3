/**
 * What the cases of the conformance suite are written with.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { type Checkpoint, Checkpointer, type Draft, type Service } from "../../Checkpointer.ts"
import type { CheckpointError, CheckpointReason } from "../../GraphError.ts"

export class ConformanceError extends Schema.TaggedError<ConformanceError>()("ConformanceError", {
  case: Schema.String,
  issue: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the store does not conform, "${this.case}": ${this.issue}`
  }
}

/** What a store did that it may not do. */
export class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { issue: Schema.String }) {}

export interface Case {
  readonly name: string
  readonly run: Effect.Effect<void, ConformanceError, Checkpointer>
}

export type Body = Effect.Effect<void, CheckpointError | Wrong>

/** Removes what another run of the suite left behind. */
const clear = (store: Service, thread: string) =>
  store.claim(thread, { takeOver: true }).pipe(
    Effect.flatMap(store.release),
    Effect.andThen(store.delete(thread))
  )

const clearAll = (store: Service, threads: ReadonlyArray<string>) =>
  Effect.forEach(threads, (thread) => clear(store, thread), { discard: true })

const explained = (name: string) =>
  Effect.mapError((error: CheckpointError | Wrong) =>
    error._tag === "Wrong"
      ? new ConformanceError({ case: name, issue: error.issue })
      : new ConformanceError({ case: name, issue: error.message, cause: error })
  )

/** A case with the threads it uses, which are empty before and after it. */
export const caseOn = (name: string, threads: ReadonlyArray<string>, body: (store: Service) => Body): Case => ({
  name,
  run: Effect.gen(function*() {
    const store = yield* Checkpointer
    yield* Effect.acquireUseRelease(
      clearAll(store, threads),
      () => body(store),
      () => Effect.ignore(clearAll(store, threads))
    )
  }).pipe(explained(name))
})

/** A case with one thread of its own. */
export const caseOf = (name: string, body: (store: Service, thread: string) => Body): Case => {
  const thread = `conformance: ${name}`
  return caseOn(name, [thread], (store) => body(store, thread))
}

export const draft = (body: string, rest?: Partial<Draft>): Draft => ({
  runId: "run-1",
  graph: "graph",
  status: "running",
  body,
  ...rest
})

const json = (value: unknown): string => JSON.stringify(value ?? null)

const shown = (value: unknown): string => {
  const text = json(value)
  return text.length > 300 ? `${text.slice(0, 300)}... (${text.length} characters)` : text
}

export const equal = <A>(what: string, actual: A, expected: A): Effect.Effect<void, Wrong> =>
  Equal.equals(actual, expected)
    ? Effect.void
    : Effect.fail(new Wrong({ issue: `${what} is ${shown(actual)}, not ${shown(expected)}` }))

/** Compares what JSON keeps of them: it does not matter which prototype a row has. */
export const same = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, Wrong> =>
  equal(what, JSON.parse(json(actual)), JSON.parse(json(expected)))

export const holds = (what: string, condition: boolean): Effect.Effect<void, Wrong> =>
  condition ? Effect.void : Effect.fail(new Wrong({ issue: `it is not so that ${what}` }))

/** The effect fails, for this reason. */
export const refused = (
  what: string,
  reason: CheckpointReason,
  self: Effect.Effect<unknown, CheckpointError>
): Effect.Effect<void, Wrong> =>
  Effect.matchEffect(self, {
    onSuccess: (value) =>
      Effect.fail(new Wrong({ issue: `${what} succeeds with ${shown(value)}, and does not fail with ${reason}` })),
    onFailure: (error) => equal(`the reason of ${what}`, error.reason, reason)
  })

/** Claims, saves these bodies, releases. */
export const saveAll = (store: Service, thread: string, bodies: ReadonlyArray<string>) =>
  Effect.acquireUseRelease(
    store.claim(thread),
    (claim) => Effect.forEach(bodies, (body) => store.save(claim, draft(body))),
    store.release
  )

/** Starts it, interrupts it after some turns of the scheduler, and waits for its end. */
export const interruptedAfter = <A, E>(turns: number, self: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
    yield* Fiber.interrupt(fiber)
    return yield* Fiber.await(fiber)
  })

export const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index + 1)

export const infoOf = ({ body: _, ...info }: Checkpoint): Omit<Checkpoint, "body"> => info
