/**
 * How many bytes a flow holds that waits and has a limit: `node --expose-gc bench/hold.ts ours 100000`, and
 * `spans` for those of Effect. One library in a
 * process, measured once all flows wait.
 */
import { times } from "./work.ts"

/** What would end the wait one day: without it a Promise that nobody can resolve is collected, with all that awaits it. */
const ends: Array<unknown> = []
const never = () => new Promise<never>((resolve) => ends.push(resolve))

const spans = process.argv[4] === "spans"

/** Starts so many flows, and comes back when all of them wait. */
const hold: { readonly [name: string]: (flows: number) => Promise<unknown> } = {
  ours: async (flows) => {
    const { Deferred, Effect, Schema } = await import("effect")
    const { StateGraph } = await import("../../../src/index.ts")
    const all = Deferred.makeUnsafe<void>()
    let started = 0
    const wait = Effect.suspend(() => {
      if (++started === flows) Deferred.doneUnsafe(all, Effect.void)
      return Effect.never
    })
    const items = times(flows, (i) => i)
    const graph = StateGraph.make("hold", Schema.Struct({ n: Schema.Number }), { parallel: { timeout: "1 hour" } })
      .addNode("wait", () => wait, { item: Schema.Number })
      .addFanInNode("join", () => ({}))
      .addParallelMap(StateGraph.START, "wait", "join", { items: () => items })
      .setFinishPoint("join")
      .compile()
    const fiber = Effect.runFork(Effect.withTracerEnabled(graph.invoke({ n: 0 }), spans))
    await Effect.runPromise(Deferred.await(all))
    return fiber
  },
  handMade: async (flows) => {
    const { Deferred, Effect } = await import("effect")
    const all = Deferred.makeUnsafe<void>()
    let started = 0
    const wait = Effect.suspend(() => {
      if (++started === flows) Deferred.doneUnsafe(all, Effect.void)
      return Effect.never
    })
    const items = times(flows, (i) => i)
    const limited = Effect.timeout(wait, "1 hour")
    const spanned = wait.pipe(
      Effect.withSpan("node"),
      Effect.timeout("1 hour"),
      Effect.withSpan("attempt"),
      Effect.withSpan("flow")
    )
    const fiber = Effect.runFork(Effect.forEach(items, () => spans ? spanned : limited, { concurrency: "unbounded" }))
    await Effect.runPromise(Deferred.await(all))
    return fiber
  },
  langgraph: async (flows) => {
    const { Annotation, END, Send, START, StateGraph } = await import("@langchain/langgraph")
    const State = Annotation.Root({ n: Annotation<number> })
    let run: unknown
    await new Promise<void>((all) => {
      let started = 0
      const graph = new StateGraph(State)
        .addNode("start", () => ({}))
        .addNode("wait", () => {
          if (++started === flows) all()
          return never()
        }, { timeout: 3_600_000 })
        .addEdge(START, "start")
        .addConditionalEdges("start", () => times(flows, (n) => new Send("wait", { n })), ["wait"])
        .addEdge("wait", END)
        .compile()
      run = graph.invoke({ n: 0 })
    })
    return { run }
  },
  mastra: async (flows) => {
    const { createStep, createWorkflow } = await import("@mastra/core/workflows")
    const { z } = await import("zod")
    let held: unknown
    await new Promise<void>((all) => {
      let started = 0
      const wait = createStep({
        id: "wait",
        inputSchema: z.number(),
        outputSchema: z.number(),
        execute: () => {
          if (++started === flows) all()
          return never()
        }
      })
      const workflow = createWorkflow({
        id: "hold",
        inputSchema: z.array(z.number()),
        outputSchema: z.array(z.number())
      })
        .foreach(wait, { concurrency: flows }).commit()
      held = workflow.createRun().then((run) => run.start({ inputData: times(flows, (n) => n) }))
    })
    return { held }
  },
  cockatiel: async (flows) => {
    const { timeout, TimeoutStrategy } = await import("cockatiel")
    const policy = timeout(3_600_000, TimeoutStrategy.Aggressive)
    return times(flows, () => policy.execute(never))
  },
  opossum: async (flows) => {
    const { default: CircuitBreaker } = await import("opossum")
    const breaker = new CircuitBreaker(never, { timeout: 3_600_000 })
    return times(flows, () => breaker.fire())
  }
}

const heap = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
}

const [name, flows] = [process.argv[2]!, Number(process.argv[3])]
// Once before, with few: what is loaded and compiled is not a flow's.
const held = [await hold[name]!(10)]
const before = await heap()
held.push(await hold[name]!(flows))
const bytes = (await heap() - before) / flows
if (held.length + ends.length < 2) throw new Error("nothing is held")
process.send?.(bytes)
console.log(`${name}: ${bytes.toFixed(0)} bytes`)
process.exit()
