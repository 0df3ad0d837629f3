/** What the nodes of a simulated run do, and what of it must never be: seen from inside of them, whatever events say. */
import { Effect } from "effect"
import type { Completion, GraphEvent, ParallelFlowResult } from "effect-stategraph"
import { Invariants } from "effect-stategraph/testing"
import type { Act, Join } from "./spec.ts"

export interface Told {
  readonly graph: string
  readonly node: string
  readonly branch: string | undefined
  readonly attempt: number
  readonly idempotencyKey: string
  readonly emit: (value: unknown) => Effect.Effect<void>
}

/** A node at work. */
interface Body extends Told {
  /** It was told to stop in vain, and is not waited for any more. */
  abandoned: boolean
}

/** What the log says of work that did not stop. */
export interface Abandoned {
  readonly graph: string
  readonly node: string
  readonly branch: string
}

export class World {
  readonly problems: Array<string> = []
  readonly #bodies = new Set<Body>()
  /** Nodes that would wait for ever. */
  hanging = 0
  /** What nodes have opened in their scopes, and nobody has closed. */
  open = 0
  /** Executions of nodes. */
  executions = 0

  get working(): ReadonlyArray<Told> {
    return [...this.#bodies]
  }

  begin(told: Told): Body {
    this.executions++
    for (const { idempotencyKey } of this.#bodies) {
      if (idempotencyKey === told.idempotencyKey) this.problems.push(`node ${idempotencyKey} runs twice at once`)
    }
    const { attempt, branch, emit, graph, idempotencyKey, node } = told
    const body = { attempt, branch, emit, graph, idempotencyKey, node, abandoned: false }
    this.#bodies.add(body)
    return body
  }

  end(body: Body): void {
    this.#bodies.delete(body)
  }

  /** It is known now that this goes on, or whatever of it does. */
  abandon({ branch, graph, node }: Abandoned): void {
    for (const body of this.#bodies) {
      // The log tells the name of the flow in its own graph.
      const isThere = branch === "main line" || body.branch === branch || body.branch?.endsWith(`/${branch}`) === true
      if (body.graph === graph && body.node === node && isThere) body.abandoned = true
    }
  }

  /** What is still at work in a flow, or anywhere, and should not be. */
  #left(branch: string | undefined): ReadonlyArray<string> {
    return [...this.#bodies].flatMap(({ abandoned, branch: at = "", idempotencyKey }) =>
      !abandoned && (branch === undefined || at === branch || at.startsWith(`${branch}/`)) ? [idempotencyKey] : []
    )
  }

  /** What events say has ended has ended. */
  heard(event: GraphEvent.Any): void {
    const says = (what: string, branch?: string) => {
      for (const key of this.#left(branch)) this.problems.push(`node ${key} is at work when ${what}`)
    }
    if (event._tag === "AttemptStarted" && event.scope === "flow") {
      says(`attempt ${event.attempt} of flow ${event.branch} begins`, event.branch)
    }
    if (event._tag === "FlowCompleted") says(`flow ${event.branch} has ended`, event.branch)
    if (event._tag === "GraphCompleted" || event._tag === "GraphFailed") says("the run has ended")
  }
}

const failing = (how: Act["how"], what: string): Effect.Effect<never, unknown> =>
  how === "defect"
    ? Effect.die(new Error(what))
    : how === "throw"
    ? Effect.sync(() => {
      throw new TypeError(what)
    })
    : Effect.fail(what)

const ended = (
  { fails = 0, hangs = 0, how, kind, ms }: Act,
  { attempt, node }: Told
): Effect.Effect<unknown, unknown> => {
  if (attempt <= hangs + fails) return failing(how, `failure ${attempt} of ${node}`)
  switch (kind) {
    case "child":
      return Effect.as(Effect.forkChild(Effect.never), { n: ms })
    case "interrupt":
      return Effect.interrupt
    case "bad":
      return Effect.succeed({ unknownKey: 1 })
    default:
      return Effect.succeed({ n: ms })
  }
}

/** Closed by the scope of the node's execution. */
const opened = (world: World) =>
  Effect.acquireRelease(Effect.sync(() => void world.open++), () => Effect.sync(() => void world.open--))

const forEver = (world: World): Effect.Effect<never> =>
  Effect.acquireUseRelease(
    Effect.sync(() => void world.hanging++),
    () => Effect.never,
    () => Effect.sync(() => void world.hanging--)
  )

export const doing = (world: World, act: Act) => (_state: unknown, told: Told): unknown => {
  const { cleanup = 0, fails = 0, hangs = 0, how, kind, ms } = act
  const { attempt } = told
  if (kind === "now" && attempt > hangs && cleanup === 0) {
    const fail = attempt <= hangs + fails
    if (!fail || how === "throw") {
      world.end(world.begin(told))
      if (fail) throw new TypeError(`${told.node} throws`)
      return { n: ms }
    }
  }
  const sleep = kind === "now"
    ? Effect.void
    : kind === "child"
    ? Effect.andThen(opened(world), Effect.sleep(ms))
    : Effect.sleep(ms)
  const self = attempt <= hangs ? forEver(world) : Effect.andThen(sleep, ended(act, told))
  return Effect.acquireUseRelease(
    Effect.sync(() => world.begin(told)),
    () =>
      Effect.andThen(told.emit(told.node), kind === "locked" && attempt > hangs ? Effect.uninterruptible(self) : self),
    (body) => Effect.andThen(cleanup === 0 ? Effect.void : Effect.sleep(cleanup), Effect.sync(() => world.end(body)))
  )
}

type Results = ReadonlyArray<ParallelFlowResult.Any>

/** What a join must see: the results of its flows, all of them, in order, each of them sound. */
const seen = (
  world: World,
  { flows, name }: Join,
  names: ReadonlyArray<string>,
  results: Results,
  all: boolean
): void => {
  const says = (what: string) => void world.problems.push(`${name} ${what}`)
  const left = results.map(({ branch, index }) => `${branch.slice(branch.lastIndexOf("/") + 1)} ${index ?? ""}`)
  const expected = flows.map(({ items, late }, i) => ({ items, late, name: names[i]! }))
  for (const { items, name } of [...expected.filter(({ late }) => !late), ...expected.filter(({ late }) => late)]) {
    if (items === undefined) {
      if (left[0] === `${name} `) left.shift()
      else says(`sees ${left[0]} where flow ${name} belongs`)
      continue
    }
    let index = 0
    while (index < items && left[0] === `${name}[${index}] ${index}`) {
      left.shift()
      index++
    }
    if (all && index < items) says(`sees ${index} of ${items} items of ${name}`)
  }
  if (left.length > 0) says(`sees too much: ${left.join(", ")}`)
  for (const result of results) {
    for (const what of Invariants.checkResult(result)) says(what)
    if (result._tag === "Interrupted" && /the line that joins it (was stopped|ended)$/.test(result.error)) {
      says(`sees flow ${result.branch}, which was stopped because this line was`)
    }
  }
}

interface Joined extends Told {
  readonly parallelResults: Results
  readonly completion: Completion.Completion
}

/** `names`: of the flows, in order. */
export const joining =
  (world: World, join: Join, names: ReadonlyArray<string>) => (state: unknown, told: Joined): unknown => {
    const { completion, parallelResults } = told
    seen(world, join, names, parallelResults, completion.interrupted === 0 && completion.reason === "all")
    if (completion.total !== parallelResults.length) {
      world.problems.push(`${join.name} counts ${completion.total} flows of ${parallelResults.length}`)
    }
    const successful = parallelResults.filter(({ success }) => success).length
    if (completion.successful !== successful) {
      world.problems.push(`${join.name} counts ${completion.successful} successful flows of ${successful}`)
    }
    return doing(world, join.act)(state, told)
  }
