/**
 * The thread of a run: claimed before it begins, given back when it has ended; and what a resume finds under it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import * as Checkpointer from "../Checkpointer.ts"
import { CheckpointError, type CheckpointReason, InvalidUpdateError } from "../GraphError.ts"
import * as RunState from "../RunState.ts"
import type { Compiled } from "./compiled.ts"
import { firstIssue } from "./issue.ts"
import { END, type Plan, type Position } from "./plan.ts"
import { checkLine, isUnfit } from "./restore.ts"
import { callStore, type Held, type StoreCall, storeLimitMs } from "./saver.ts"
import { startTimer } from "./time.ts"

const refuse = (
  thread: string,
  reason: CheckpointReason,
  issue: string,
  rest: { readonly graph?: string; readonly checkpointId?: string | undefined; readonly cause?: unknown } = {}
): CheckpointError => {
  const { checkpointId, ...more } = rest
  return new CheckpointError({ thread, reason, issue, ...more, ...checkpointId === undefined ? {} : { checkpointId } })
}

/** Runs `use` with the thread; whatever happens, it is given back. `graceMs`: so long an interruption waits for that. */
export const holding = <A, E>(
  graph: string,
  thread: string,
  takeOver: boolean,
  graceMs: number,
  use: (held: Held) => Effect.Effect<A, E>
): Effect.Effect<A, E | CheckpointError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      const store = Context.get(fiber.context as Context.Context<Checkpointer.Checkpointer>, Checkpointer.Checkpointer)
      const calls = callsOf(store, graph, thread)
      // Noted in the turn in which the store answers: an interruption can come before anything else.
      let held: Held | undefined
      const claimed = calls.claim(takeOver, graceMs, (claim) => {
        held = { thread, store, claim, released: false }
      })
      return Effect.onExit(
        restore(Effect.flatMap(claimed, () => use(held!))),
        (exit) => {
          if (held === undefined || held.released) return Effect.void
          return calls.release(held.claim, Exit.hasInterrupts(exit) ? Math.min(graceMs, storeLimitMs) : storeLimitMs)
        }
      )
    })
  )

const callsOf = (store: Checkpointer.Service, graph: string, thread: string) => {
  const call = <A>(self: () => Effect.Effect<A, CheckpointError>, limitMs = storeLimitMs) =>
    calling<A>((around, resume) => {
      const { giveUp } = callStore(self, { ...around, limitMs }, resume)
      return Effect.sync(giveUp)
    })
  const calling = <A>(
    use: (
      around: Omit<StoreCall, "limitMs">,
      resume: (exit: Exit.Exit<A, CheckpointError>) => void
    ) => Effect.Effect<void>
  ) =>
    Effect.clockWith((clock) =>
      Effect.withFiber<A, CheckpointError>(({ context }) =>
        Effect.callback((resume) => use({ thread, graph, clock, context }, resume))
      )
    )
  const release = (claim: Checkpointer.Claim, limitMs: number) =>
    Effect.ignore(call(() => store.release(claim), limitMs))
  return {
    release,
    /** Not interrupted: nobody could give back what it has taken. `taken` is told in the turn in which the store answers. */
    claim: (takeOver: boolean, graceMs: number, taken: (claim: Checkpointer.Claim) => void) =>
      calling<Checkpointer.Claim>((around, resume) => {
        let answer = resume
        let answered = false
        const { leave } = callStore(
          () => store.claim(thread, takeOver ? { takeOver } : {}),
          { ...around, limitMs: storeLimitMs },
          (exit) => {
            answered = true
            if (Exit.isSuccess(exit)) taken(exit.value)
            answer(exit)
          },
          (claim) => Effect.runForkWith(around.context)(release(claim, storeLimitMs))
        )
        return Effect.callback<void>((gone) => {
          if (answered) return gone(Effect.void)
          const cancel = startTimer(around.context, around.clock, Math.min(graceMs, storeLimitMs), () => {
            leave()
            gone(Effect.void)
          })
          answer = () => {
            cancel()
            gone(Effect.void)
          }
        })
      }),
    load: (checkpointId?: string) => call(() => store.load(thread, checkpointId))
  }
}

/** A new run begins where there is none that has not ended. */
export const beginning = (graph: string, { store, thread }: Held): Effect.Effect<void, CheckpointError> =>
  Effect.flatMap(callsOf(store, graph, thread).load(), (found) => {
    if (found._tag === "None" || found.value.status === "completed") return Effect.void
    const { id, status } = found.value
    const what = status === "suspended"
      ? "that waits for somebody"
      : status === "failed"
      ? "that failed"
      : "that has not ended"
    return Effect.fail(refuse(thread, "Unfinished", `the thread has a run ${what}`, { graph, checkpointId: id }))
  })

/** What a resume continues. */
export interface Found {
  readonly saved: RunState.RunState
  /** The checkpoint that its run was forked from. */
  readonly parent: string | undefined
  readonly isFork: boolean
}

export const found = (
  compiled: Compiled,
  { store, thread }: Held,
  checkpointId: string | undefined
): Effect.Effect<Found, CheckpointError> =>
  Effect.flatMap(callsOf(store, compiled.plan.name, thread).load(checkpointId), (found) => {
    const graph = compiled.plan.name
    const fail = (reason: CheckpointReason, issue: string, cause?: unknown) =>
      Effect.fail(
        refuse(thread, reason, issue, { graph, checkpointId: id, ...cause === undefined ? {} : { cause } })
      )
    const id = found._tag === "None" ? checkpointId : found.value.id
    if (found._tag === "None") {
      return fail("UnknownThread", checkpointId === undefined ? "nothing was saved" : "there is no such checkpoint")
    }
    const checkpoint = found.value
    if (checkpoint.graph !== graph) return fail("WrongGraph", `it was saved by graph "${checkpoint.graph}"`)
    if (checkpoint.status === "completed") return fail("Finished", "its run has ended")
    const read = decode(checkpoint.body)
    if (Result.isFailure(read)) return fail(...read.failure)
    const saved = read.success
    if (saved.graph !== graph) return fail("WrongGraph", `it was saved by graph "${saved.graph}"`)
    try {
      checkLine(compiled, saved.main, "main")
    } catch (error) {
      if (isUnfit(error)) return fail("Incompatible", error.message)
      return fail("Unreadable", "it cannot be read", error)
    }
    const isSame = saved.fingerprint === fingerprintOf(compiled.plan)
    const warned = isSame ? Effect.void : Effect.annotateLogs(
      Effect.logWarning("the graph has changed since the run was saved: it goes on with the graph as it is now"),
      { graph, runId: saved.runId, thread }
    )
    const isFork = checkpointId !== undefined
    return Effect.as(warned, {
      // Points are passed when somebody was told of them.
      saved: checkpoint.status === "suspended" ? { ...saved, main: pastPoints(saved.main) } : saved,
      parent: isFork ? checkpoint.id : checkpoint.parent,
      isFork
    })
  })

/** A line, and everything on it, past the points where it waited. */
const pastPoints = ({ inner, joins, pending, ...line }: RunState.LineState): RunState.LineState => {
  const asked = pending?.filter(({ when }) => when === "asked") ?? []
  return {
    ...line,
    ...asked.length === 0 ? {} : { pending: asked },
    ...pending?.some(({ when }) => when === "before") === true ? { passed: true } : {},
    ...inner === undefined ? {} : { inner: pastPoints(inner) },
    joins: joins.map((join) => ({
      ...join,
      flows: join.flows.map((flow) => flow.line === undefined ? flow : { ...flow, line: pastPoints(flow.line) })
    }))
  }
}

const decodeBody = Schema.decodeUnknownResult(RunState.fromBody)

const decode = (body: string): Result.Result<RunState.RunState, [CheckpointReason, string]> => {
  const unreadable = (issue: string) => Result.fail<[CheckpointReason, string]>(["Unreadable", `its body is ${issue}`])
  let version: unknown
  try {
    version = (JSON.parse(body) as { readonly format?: unknown } | null)?.format
  } catch (error) {
    return unreadable(`no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (version !== undefined && version !== RunState.format) {
    const issue = `it has format ${JSON.stringify(version)}, this version reads format ${RunState.format}`
    return Result.fail(["Incompatible", issue])
  }
  try {
    return Result.mapError(decodeBody(body), ({ issue }): [CheckpointReason, string] => {
      const { message, path } = firstIssue(issue)
      return ["Unreadable", `its body is no saved run: ${message}${path === "" ? "" : ` at ${path}`}`]
    })
  } catch {
    return unreadable("nested too deep")
  }
}

/** Changes when nodes, edges or conditions do. */
export const fingerprintOf = (plan: Plan): string => {
  const nameOf = (to: Position): string => to === END ? END : to.name
  const shape = [plan.start, ...plan.nodes.values()].map(({ kind, launches, name, subgraph, way }) => [
    name,
    kind,
    way._tag === "Edge"
      ? nameOf(way.to)
      : way._tag === "None"
      ? null
      : [...way.targets].map(([key, to]) => [key, nameOf(to)]),
    launches.map(({ fanIn, from, map, name, to }) => [from, to.name, fanIn.name, name, map !== undefined]),
    subgraph === undefined ? null : fingerprintOf(subgraph.compiled.plan)
  ])
  return (Hash.string(JSON.stringify(shape)) >>> 0).toString(16).padStart(8, "0")
}

/** How an answer names its question. */
const nameOf = ({ branch, name }: RunState.Pending): string => branch === undefined ? name : `${branch}/${name}`

/** Finds for every answer the question that it answers, and checks it as far as that is described. */
export const match = (
  graph: string,
  thread: string,
  saved: RunState.RunState,
  answers: Readonly<Record<string, unknown>>
): Result.Result<ReadonlyArray<readonly [RunState.Pending, unknown]>, CheckpointError> => {
  const open = RunState.pending(saved).filter(({ when }) => when === "asked")
  const matched: Array<readonly [RunState.Pending, unknown]> = []
  for (const [key, value] of Object.entries(answers)) {
    const named = open.filter((pending) => nameOf(pending) === key)
    const fit = named.length > 0 ? named : open.filter(({ name }) => name === key)
    // Two launches of one flow can wait at once: the first of them is meant.
    const [first] = fit
    const others = fit.filter((pending) => nameOf(pending) !== nameOf(first!))
    const list = [...new Set((others.length > 0 ? fit : open).map((pending) => `"${nameOf(pending)}"`))].join(", ")
    const issue = first === undefined
      ? `no open question is called "${key}", ${open.length === 0 ? "there is none" : `open are ${list}`}`
      : others.length > 0
      ? `"${key}" is the name of several open questions: ${list}`
      : misfit(first, value)
    if (issue !== undefined) return Result.fail(refuse(thread, "Answer", issue, { graph }))
    matched.push([first!, value])
  }
  return Result.succeed(matched)
}

/** A patch of the main line's state, or of the state of a flow that has not settled. */
export type Patch =
  | Readonly<Record<string, unknown>>
  | { readonly branch: string; readonly patch: Readonly<Record<string, unknown>> }

/** Changes the state of one line of a saved run. */
export const patched = (
  compiled: Compiled,
  saved: RunState.RunState,
  update: Patch
): Result.Result<RunState.RunState, InvalidUpdateError> => {
  const { codecs, plan } = compiled
  const ofFlow = isOfFlow(update, plan)
  const branch = ofFlow ? update.branch : undefined
  const patch: unknown = ofFlow ? update.patch : update
  const where = branch === undefined ? {} : { branch }
  const fail = (issue: string) => new InvalidUpdateError({ graph: plan.name, node: "resume", ...where, issue })
  const change = (json: Schema.Json): Schema.Json => {
    if (typeof patch !== "object" || patch === null || Array.isArray(patch)) throw fail("the patch is no object")
    const next: Record<string, unknown> = { ...codecs.decodeState(json, "state") }
    for (const [key, value] of Object.entries(patch)) {
      const known = plan.keys.get(key)
      if (known === undefined) {
        throw fail(`the key "${key}" is not in the state, its keys are ${[...plan.keys.keys()].join(", ")}`)
      }
      if (value === undefined && known.optional) delete next[key]
      else next[key] = value
    }
    return codecs.encodeState(next, "state")
  }
  let found = false
  const changeFlows = (line: RunState.LineState, above: string): RunState.LineState => ({
    ...line,
    joins: line.joins.map((join) => ({
      ...join,
      flows: join.flows.map((flow) => {
        const own = `${above}${flow.name}${flow.key === undefined ? "" : `[${flow.key}]`}`
        if (own !== branch) return flow.line === undefined ? flow : { ...flow, line: changeFlows(flow.line, `${own}/`) }
        if (flow.result !== undefined) throw fail("the flow has settled")
        found = true
        return flow.line === undefined
          ? { ...flow, state: change(flow.state) }
          : { ...flow, line: { ...flow.line, state: change(flow.line.state) } }
      })
    }))
  })
  try {
    if (branch === undefined) {
      return Result.succeed({ ...saved, main: { ...saved.main, state: change(saved.main.state) } })
    }
    const main = changeFlows(saved.main, "")
    return found ? Result.succeed({ ...saved, main }) : Result.fail(fail("there is no such flow"))
  } catch (error) {
    if (error instanceof InvalidUpdateError) return Result.fail(error)
    if (isUnfit(error)) return Result.fail(fail(error.message))
    throw error
  }
}

const isOfFlow = (
  update: Patch,
  { keys }: Plan
): update is { readonly branch: string; readonly patch: Readonly<Record<string, unknown>> } =>
  typeof update === "object" && update !== null && "branch" in update && "patch" in update &&
  !(keys.has("branch") && keys.has("patch"))

const isJson = Schema.is(Schema.Json)

/** Values that are no JSON are those of the schema itself: the node checks them. */
const misfit = (pending: RunState.Pending, value: unknown): string | undefined => {
  const { schema } = pending
  if (typeof schema !== "object" || schema === null || Array.isArray(schema) || !isJson(value)) return undefined
  try {
    const { $defs = {}, ...root } = schema as { readonly $defs?: object }
    const document = { dialect: "draft-2020-12", schema: root, definitions: $defs }
    const described = SchemaRepresentation.fromJsonSchemaDocument(document as never, { patterns: "ignore" })
    const result = Schema.decodeUnknownResult(described as unknown as Schema.Codec<unknown>)(value)
    if (Result.isSuccess(result)) return undefined
    const { message, path } = firstIssue(result.failure.issue)
    return `the answer to "${nameOf(pending)}" does not fit: ${message}${path === "" ? "" : ` at ${path}`}`
  } catch {
    return undefined
  }
}
