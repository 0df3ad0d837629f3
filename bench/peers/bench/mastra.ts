import { createStep, createWorkflow } from "@mastra/core/workflows"
import { Effect } from "effect"
import { z } from "zod"
import type { Library } from "./subject.ts"
import { times, work } from "./work.ts"

const N = z.object({ n: z.number() })

const step = (id: string, options: object = {}) =>
  createStep({
    id,
    inputSchema: N,
    outputSchema: N,
    execute: async ({ inputData: { n } }) => ({ n: await work(n) }),
    ...options
  })

const workflow = (): any => createWorkflow({ id: "workflow", inputSchema: N, outputSchema: N })

const run = (workflow: any) =>
  Effect.promise(async (): Promise<number> => {
    const run = await workflow.createRun()
    return (await run.start({ inputData: { n: 1 } })).result.n
  })

const fanOut = (options: object) => (flows: number) => {
  const join = createStep({
    id: "join",
    inputSchema: z.record(z.string(), N),
    outputSchema: N,
    execute: async ({ inputData }) => ({ n: Object.values(inputData).reduce((sum, { n }) => sum + n, 0) })
  })
  return run(workflow().parallel(times(flows, (i) => step(`n${i}`, options))).then(join).commit())
}

export const mastra: Library = {
  name: "Mastra",
  fanOut: fanOut({}),
  // It has neither limits nor circuit breakers.
  guarded: fanOut({ retries: 2 }),
  chain: (nodes) => run(times(nodes, (i) => step(`n${i}`)).reduce((all, step) => all.then(step), workflow()).commit())
}
