/**
 * A question of a node: answered if there is an answer, else the node is parked with it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CheckpointError } from "../GraphError.ts"
import { CurrentNode } from "../NodeContext.ts"
import type { Pending } from "../RunState.ts"
import type { Asking, Line } from "./cells.ts"
import { encodeJson, Misfit } from "./codecs.ts"
import { pathOf } from "./emit.ts"
import { firstIssue } from "./issue.ts"
import { lineOf } from "./node.ts"
import { startTimer } from "./time.ts"
import { leaveBehind } from "./walk.ts"
import { branchOf } from "./work.ts"

type Answers = Schema.Codec<unknown, unknown>

const isJson = Schema.is(Schema.Json)

/** What the answer to a question is, or why it is none: its JSON, or, what is no JSON, the value itself. */
const read = (schema: Answers, value: unknown): Result.Result<unknown, string> =>
  Result.mapError(
    Schema.decodeUnknownResult(isJson(value) ? Schema.toCodecJson(schema) : Schema.toType(schema))(value),
    ({ issue }) => {
      const { message, path } = firstIssue(issue)
      return path === "" ? message : `${message} at ${path}`
    }
  )

const parkForEver: Effect.Effect<never> = Effect.interruptible(Effect.never)

const misplaced = (name: string, why: string): Effect.Effect<never> =>
  Effect.die(new Error(`StateGraph.suspend("${name}") is for nodes: ${why}`))

export const suspend = (name: string, schema: Answers, payload: unknown): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    if (typeof name !== "string" || name === "") {
      return Effect.die(new TypeError("StateGraph.suspend: a question needs a name that is not empty"))
    }
    return Effect.flatMap(CurrentNode, (ctx) => {
      const line = ctx === undefined ? undefined : lineOf(ctx)
      if (ctx === undefined || line === undefined) return misplaced(name, "there is none around it")
      return line.asker === ctx && !line.ended
        ? ask(line, name, schema, payload)
        : misplaced(name, `its node "${ctx.node}" has ended`)
    })
  })

const ask = (line: Line, name: string, schema: Answers, payload: unknown): Effect.Effect<unknown> => {
  // The line that the node is on: an attempt of a guarded node is one of its own.
  const owner = line.call?.owner ?? line
  const { session } = line.run
  const { dialog } = owner
  const known = dialog?.answers?.get(name)
  if (known !== undefined) {
    const answer = read(schema, known)
    if (Result.isSuccess(answer)) return Effect.succeed(answer.success)
    // Another version of the graph asks something else: the old answer is none.
    dialog?.answers?.delete(name)
  }
  if (dialog?.offered?.has(name) === true) {
    const answer = read(schema, dialog.offered.get(name))
    const json = Result.flatMap(
      answer,
      (value) =>
        Result.mapError(
          Schema.encodeUnknownResult(Schema.toCodecJson(schema))(value),
          ({ issue }) => firstIssue(issue).message
        )
    )
    if (Result.isFailure(json)) return refuse(line, name, json.failure)
    dialog.offered.delete(name)
    dialog.answers = new Map(dialog.answers).set(name, json.success as Schema.Json)
    const { saver } = session
    // It counts from when it is saved: what the node does with it must not be asked for again.
    const kept = Effect.interruptible(Effect.callback<void>((resume) => {
      if (saver?.boundary(() => resume(Effect.void)) !== true) resume(Effect.void)
    }))
    return Effect.as(kept, Result.getOrThrow(answer))
  }
  let pending: Pending
  try {
    pending = pendingOf(line, name, schema, payload)
  } catch (error) {
    if (!(error instanceof Misfit)) return Effect.die(error)
    return stopWith(line, new CheckpointError({ ...where(line), reason: "NotEncodable", issue: error.message }))
  }
  return Effect.suspend(() => parked(line, pending))
}

/** Until the node is stopped; a question that it drops before, as in a race that is over, is none. */
const parked = (line: Line, pending: Pending): Effect.Effect<never> => {
  const asking: Asking = line.said.asking ??= { questions: new Map(), stops: false }
  asking.questions.set(pending.name, pending)
  // In a turn of its own: the node may ask several questions at once.
  Effect.runForkWith(line.context)(Effect.yieldNow).addObserver(() => stop(line, asking))
  return Effect.onInterrupt(parkForEver, () =>
    Effect.sync(() => {
      if (!asking.stops) asking.questions.delete(pending.name)
    }))
}

const stop = (line: Line, asking: Asking): void => {
  const { fiber, run } = line
  if (line.dialog?.asking !== asking || asking.questions.size === 0 || asking.stops || fiber === undefined) return
  asking.stops = true
  fiber.interruptUnsafe()
  const { graceMs } = (line.call ?? line.flow ?? run).config
  if (line.fiber !== fiber || graceMs === Infinity) return
  startTimer(line.context, run.clock, graceMs, () => {
    if (line.fiber === fiber && !line.ended) leaveBehind(line, fiber)
  })
}

const pendingOf = (line: Line, name: string, schema: Answers, payload: unknown): Pending => {
  const { flow, run } = line
  const branch = flow === undefined ? run.inside?.branch : branchOf(flow)
  return {
    ...branch === undefined ? {} : { branch },
    node: pathOf(run, nodeNameOf(line)),
    when: "asked",
    name,
    ...payload === undefined ? {} : { payload: encodeJson(payload, `payload of the question "${name}"`) },
    ...described(schema)
  }
}

/** A condition is one of the node that it is after. */
const nodeNameOf = ({ call, position, running }: Line): string => {
  const node = call?.node ?? running ?? position
  return typeof node === "string" ? node : node.name
}

/** Not every schema has a description; then an answer is checked when the node takes it. */
const described = (schema: Answers): { readonly schema?: Schema.Json } => {
  try {
    const document = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
    return { schema: JSON.parse(JSON.stringify({ ...document.schema, ...definitions(document.definitions) })) }
  } catch {
    return {}
  }
}

const definitions = (given: object): object => Object.keys(given).length === 0 ? {} : { $defs: given }

const where = ({ run }: Line) => ({ thread: run.thread ?? "", graph: run.plan.name })

const refuse = (line: Line, name: string, issue: string): Effect.Effect<never> =>
  stopWith(
    line,
    new CheckpointError({ ...where(line), reason: "Answer", issue: `the answer to "${name}" does not fit: ${issue}` })
  )

/** The run fails as a whole, and what was saved of this node stays as it is. */
const stopWith = (line: Line, error: CheckpointError): Effect.Effect<never> => {
  if (line.run.thread === undefined) return Effect.die(error)
  return Effect.suspend(() => {
    Effect.runForkWith(line.context)(Effect.yieldNow).addObserver(() => line.run.session.fail(error))
    return parkForEver
  })
}
