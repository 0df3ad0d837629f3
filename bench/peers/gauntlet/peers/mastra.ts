/**
 * Mastra workflows, by the guides that come with the package: steps with `retries`, `parallel` and `foreach`. A step that
 * throws fails its whole block, so what is to be kept is caught inside of the step, as they advise.
 */
import { createStep, createWorkflow } from "@mastra/core/workflows"
import { z } from "zod"
import {
  type CallOptions,
  failure,
  type Fan,
  type Joined,
  type Outcome,
  type Peer,
  type Running,
  success
} from "../peer.ts"
import type { Work } from "../work.ts"

const anything = z.any()

type Execute = (inputData: any, signal: AbortSignal) => Promise<unknown>

const step = (id: string, execute: Execute, retries?: number) =>
  createStep({
    id,
    inputSchema: anything,
    outputSchema: anything,
    execute: ({ abortSignal, inputData }) => execute(inputData, abortSignal),
    ...retries !== undefined && { retries }
  })

const workflow = (options: object = {}): any =>
  createWorkflow({ id: "workflow", inputSchema: anything, outputSchema: anything, ...options })

const start = <A>(workflow: any, inputData: unknown, map: (run: Outcome) => A): Running<A> => {
  const created = workflow.createRun()
  const end = async (): Promise<Outcome> => {
    const { error, result, status } = await (await created).start({ inputData })
    return status === "success" ? success(result) : status === "canceled" ? { is: "cancelled", error } : failure(error)
  }
  return {
    end: end().catch(failure).then(map),
    cancel: () => void created.then((run: any) => run.cancel())
  }
}

const caller = ({ retry }: CallOptions, options: object = {}) => (work: Work): Running<Outcome> => {
  const run = step("run", (_, signal) => work.promise(signal), retry?.retries)
  const retryConfig = retry && { attempts: retry.retries, delay: retry.baseMs }
  return start(workflow({ ...retryConfig && { retryConfig }, options }).then(run).commit(), {}, (outcome) => outcome)
}

const caught = async (name: string, run: () => Promise<unknown>): Promise<Joined> => {
  try {
    return [name, success(await run())]
  } catch (error) {
    return [name, failure(error)]
  }
}

const fanOf = (build: (join: ReturnType<typeof step>) => any, input: unknown = {}): Running<Fan> => {
  const joins: Array<ReadonlyArray<Joined>> = []
  const join = step("join", async (joined) => {
    joins.push(Object.values(joined))
  })
  return start(build(join), input, (run) => ({ run, joins }))
}

export const mastra: Peer = {
  name: "Mastra",
  lacks: {
    limit: "a step has no time limit",
    "wait cap": "every wait is the same `delay`",
    "total limit": "a run has no time limit",
    circuit: "there is no circuit breaker",
    "fail fast": "a parallel block ends when all of its steps have",
    "shared keys": "the results of parallel steps have keys of their own",
    "named nodes": "a step is a value: one that does not exist cannot be named",
    "loop limit": "a loop goes on for as long as its condition says"
  },
  caller,
  fan: (works) =>
    fanOf((join) => {
      const steps = Object.entries(works).map(([name, work]) =>
        step(name, (_, signal) => caught(name, async () => work.promise(signal)))
      )
      return workflow().parallel(steps).then(join).commit()
    }),
  nested: (plain, inner) =>
    fanOf((join) => {
      const steps = Object.entries(inner).map(([name, work]) =>
        step(name, (_, signal) => caught(name, async () => work.promise(signal)))
      )
      const count = step("count", async (joined) => [
        "inner",
        success(Object.values<any>(joined).filter(([, { is }]) => is === "success").length)
      ])
      const nested = createWorkflow({ id: "inner", inputSchema: anything, outputSchema: anything })
        .parallel(steps as any).then(count as any).commit()
      return workflow().parallel([
        step("plain", (_, signal) => caught("plain", async () => plain.promise(signal))),
        nested
      ])
        .then(join).commit()
    }),
  map: (items, concurrency = 1000) =>
    fanOf(
      (join) => {
        const each = step("each", ({ name, work }, signal) => caught(name, async () => work.promise(signal)))
        return workflow().foreach(each, { concurrency }).then(join).commit()
      },
      items.map((work, i) => ({ name: String(i), work }))
    ),
  listened: (work, listener) => caller({}, { onFinish: listener })(work),
  sameName: () => {
    workflow().then(step("a", async () => 1)).then(step("a", async () => 2)).commit()
  },
  input: (body) => {
    const run = createStep({
      id: "run",
      inputSchema: z.object({ n: z.number() }),
      outputSchema: anything,
      execute: async () => body()
    })
    const numbers = createWorkflow({ id: "input", inputSchema: z.object({ n: z.number() }), outputSchema: anything })
    return start(numbers.then(run).commit(), { n: "one" }, (outcome) => outcome).end
  }
}
