/**
 * The builder and the compiled graph as plain classes: their types are told by `StateGraph.ts`.
 */
import * as Effect from "effect/Effect"
import * as Pipeable from "effect/Pipeable"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as CircuitBreakerRegistry from "../CircuitBreakerRegistry.ts"
import * as Completion from "../Completion.ts"
import * as Diagram from "../Diagram.ts"
import { type GraphValidationError, InvalidConfigError } from "../GraphError.ts"
import type * as GraphEvent from "../GraphEvent.ts"
import * as ParallelConfig from "../ParallelConfig.ts"
import { Codecs } from "./codecs.ts"
import { compile, type CompileInput, type Making } from "./compile.ts"
import { type Compiled, registryOf } from "./compiled.ts"
import { OptionReader } from "./option.ts"
import {
  type BuilderData,
  END,
  keysOf,
  type MapData,
  type NodeData,
  type NodeFunction,
  type Reducer,
  START,
  type State,
  type Subgraph
} from "./plan.ts"
import type { ResumeOptions, RunOptions } from "./prepare.ts"
import { asOptions, orProblems, readFallback, readPolicy } from "./readOptions.ts"
import { execute, resume } from "./run.ts"

interface MakeInput {
  readonly parallel?: ParallelConfig.Input | undefined
  readonly progress?: Schema.Top | undefined
  readonly error?: Schema.Top | undefined
  readonly reducers?: unknown
}

type MapInput =
  & Omit<ParallelConfig.Input, "circuitBreaker">
  & Pick<MapData, "items" | "key" | "config">
  & {
    readonly name?: string | undefined
    readonly fallback?: unknown
    readonly circuitBreaker?:
      | false
      | (Omit<CircuitBreaker.Input, "key"> & { readonly key?: string | MapData["circuitKey"] })
      | undefined
  }

/** An empty builder, or what is wrong with its options, thrown. */
export const begin = (name: string, schema: unknown, options: MakeInput = {}): Builder => {
  const struct = asStruct(name, schema)
  const reader = new OptionReader(`StateGraph.make("${name}")`)
  reader.known("", options, ["parallel", "progress", "error", "reducers"])
  const { error, parallel, progress } = options
  const reducers = readReducers(options.reducers, struct.fields, reader)
  if (progress !== undefined && !Schema.isSchema(progress)) reader.reject("progress", progress, "a Schema")
  if (error !== undefined && !Schema.isSchema(error)) reader.reject("error", error, "a Schema")
  const parsed = parallel === undefined
    ? Result.succeed(ParallelConfig.empty)
    : ParallelConfig.parse(parallel, reader.source)
  const problems = Result.isFailure(parsed) ? [...reader.problems, ...parsed.failure] : reader.problems
  if (problems[0] !== undefined) throw problems[0]
  return new Builder({ name, nodes: [], edges: [], conditionals: [], parallels: [] }, {
    make: (input) => struct.makeEffect(input as never) as Effect.Effect<State, never>,
    keys: new Map(Object.entries(struct.fields).map(([key, field]) => [key, { optional: isOptional(field) }])),
    config: Result.getOrThrow(parsed),
    codecs: new Codecs(struct, error),
    isProgress: progress === undefined ? undefined : Schema.is(progress),
    reducers
  })
}

const asStruct = (name: string, schema: unknown): Schema.Struct<Schema.Struct.Fields> => {
  const refuse = (value: string) => {
    throw new InvalidConfigError({
      field: "schema",
      value,
      allowed: "a Schema.Struct, or its fields",
      source: `StateGraph.make("${name}")`
    })
  }
  if (typeof schema === "function" && "fields" in schema && "identifier" in schema) return refuse("a Schema.Class")
  if (Schema.isSchema(schema)) {
    return "fields" in schema
      ? schema as unknown as Schema.Struct<Schema.Struct.Fields>
      : refuse("another schema")
  }
  if (typeof schema !== "object" || schema === null) return refuse(String(schema))
  return Schema.Struct(schema as Schema.Struct.Fields)
}

const readReducers = (
  given: unknown,
  fields: Schema.Struct.Fields,
  reader: OptionReader
): ReadonlyMap<string, Reducer> => {
  const reducers = new Map<string, Reducer>()
  if (given === undefined) return reducers
  if (typeof given !== "object" || given === null) {
    reader.reject("reducers", given, "an object of functions, by key of the state")
    return reducers
  }
  const keys = Object.keys(fields).join(", ")
  for (const [key, reduce] of Object.entries(given)) {
    if (!Object.hasOwn(fields, key)) reader.reject(`reducers.${key}`, reduce, `a key of the state: ${keys}`)
    else if (typeof reduce === "function") reducers.set(key, reduce as Reducer)
    else if (reduce !== undefined) reader.reject(`reducers.${key}`, reduce, "a function")
  }
  return reducers
}

const isOptional = (field: Schema.Constraint): boolean => field.ast.context?.isOptional === true

export class Builder implements Pipeable.Pipeable {
  readonly #data: BuilderData
  readonly #making: Making
  readonly name: string
  constructor(data: BuilderData, making: Making) {
    this.#data = data
    this.#making = making
    this.name = data.name
  }
  pipe() {
    return Pipeable.pipeArguments(this, arguments)
  }
  #with(change: Partial<BuilderData>): Builder {
    return new Builder({ ...this.#data, ...change }, this.#making)
  }
  addNode(name: string, run?: NodeFunction, given: object = {}): Builder {
    const reader = new OptionReader(`node ${name}`)
    const told: { readonly item?: unknown } = asOptions(reader, given)
    const policy = readPolicy(reader, told, this.#making.keys, ["item"])
    const { item } = told
    if (item !== undefined && !Schema.isSchema(item)) reader.reject("item", item, "a Schema")
    const options = Schema.isSchema(item) ? { ...policy, item } : policy
    const node: NodeData = { name, kind: "node", run, options: orProblems(reader, Result.succeed(options)) }
    return this.#with({ nodes: [...this.#data.nodes, node] })
  }
  addFanInNode(name: string, run?: NodeFunction, given: { readonly completion?: unknown } = {}): Builder {
    const reader = new OptionReader(`fan-in ${name}`)
    const options = asOptions(reader, given)
    reader.known("", options, ["completion"])
    const rule = Completion.parse(options.completion, reader.source)
    const read = orProblems(reader, Result.map(rule, (completion) => ({ completion })))
    return this.#with({ nodes: [...this.#data.nodes, { name, kind: "fanIn", run, options: read }] })
  }
  addSubgraph(name: string, graph: unknown, given: Pick<Subgraph, "input" | "output">): Builder {
    const reader = new OptionReader(`subgraph ${name}`)
    const told = asOptions(reader, given)
    const options = readPolicy(reader, told, this.#making.keys, ["input", "output"])
    const compiled = typeof graph === "object" && graph !== null ? Graph.compiledOf(graph) : undefined
    if (compiled === undefined) reader.reject("graph", graph, "a compiled graph")
    const { input, output } = told as typeof given
    for (const [field, value] of Object.entries({ input, output })) {
      if (typeof value !== "function") reader.reject(field, value, "a function")
    }
    const node: NodeData = { name, kind: "node", run: undefined, options: orProblems(reader, Result.succeed(options)) }
    const subgraph = compiled && { compiled, input, output }
    return this.#with({ nodes: [...this.#data.nodes, subgraph === undefined ? node : { ...node, subgraph }] })
  }
  addEdge(from: string, to: string): Builder {
    return this.#with({ edges: [...this.#data.edges, { from, to }] })
  }
  addConditionalEdges(from: string, decide: NodeFunction, targets: Readonly<Record<string, string>>): Builder {
    return this.#with({ conditionals: [...this.#data.conditionals, { from, decide, targets: { ...targets } }] })
  }
  addParallelEdge(
    from: string,
    to: string,
    fanIn: string,
    config: ParallelConfig.Input & { readonly name?: string | undefined; readonly fallback?: unknown } = {}
  ): Builder {
    const reader = new OptionReader(`edge ${from} -> ${to}`)
    const { fallback: given, name = to, ...parallel } = asOptions(reader, config)
    const fallback = readFallback(reader, given, this.#making.keys)
    const read = orProblems(reader, ParallelConfig.parse(parallel, reader.source))
    const edge = { map: undefined, from, to, fanIn, name, fallback, config: read }
    return this.#with({ parallels: [...this.#data.parallels, edge] })
  }
  addParallelMap(from: string, to: string, fanIn: string, options: MapInput): Builder {
    const reader = new OptionReader(`map ${from} -> ${to}`)
    const { circuitBreaker, config, fallback: instead, items, key, name = to, ...parallel } = asOptions(
      reader,
      options
    ) as MapInput
    const ofItem = typeof circuitBreaker === "object" && typeof circuitBreaker.key === "function"
      ? circuitBreaker.key
      : undefined
    for (const [field, value] of Object.entries({ items, key, config })) {
      if (typeof value === "function" || value === undefined && field !== "items") continue
      reader.reject(field, value, "a function")
    }
    const fallback = readFallback(reader, instead, this.#making.keys)
    const breaker = ofItem === undefined ? circuitBreaker : { ...circuitBreaker as object, key: undefined }
    const given = circuitBreaker === undefined ? parallel : { ...parallel, circuitBreaker: breaker }
    const read = ParallelConfig.parse(given as ParallelConfig.Input, reader.source)
    return this.#with({
      parallels: [...this.#data.parallels, {
        map: { items, key, config, circuitKey: ofItem },
        from,
        to,
        fanIn,
        name,
        fallback,
        config: orProblems(reader, read)
      }]
    })
  }
  setEntryPoint(to: string): Builder {
    return this.addEdge(START, to)
  }
  setFinishPoint(from: string): Builder {
    return this.addEdge(from, END)
  }
  compileResult(options: CompileInput = {}): Result.Result<Graph, GraphValidationError> {
    return Result.map(compile(this.#data, this.#making, options), (compiled) => new Graph(compiled))
  }
  compile(options?: CompileInput): Graph {
    const compiled = this.compileResult(options)
    if (Result.isFailure(compiled)) throw compiled.failure
    return compiled.success
  }
}

/** What a compiled graph was compiled to. */
export const compiledOf = (graph: object): Compiled => Graph.compiledOf(graph)!

/** A run whose events are handed out. That it waits for somebody is its last event, and no failure. */
const streamed = (
  run: (emit: (event: GraphEvent.Any) => void) => Effect.Effect<State, unknown>
): Stream.Stream<GraphEvent.Any, unknown> =>
  Stream.callback<GraphEvent.Any, unknown>((queue) => {
    let waits = false
    return Effect.matchCauseEffect(
      run((event) => {
        waits = event._tag === "GraphSuspended"
        Queue.offerUnsafe(queue, event)
      }),
      {
        onFailure: (cause) => waits ? Queue.end(queue) : Queue.failCause(queue, cause),
        onSuccess: () => Queue.end(queue)
      }
    )
  })

class Graph implements Pipeable.Pipeable {
  static compiledOf(graph: object): Compiled | undefined {
    return #compiled in graph ? graph.#compiled : undefined
  }
  readonly #compiled: Compiled
  readonly name: string
  constructor(compiled: Compiled) {
    this.#compiled = compiled
    this.name = compiled.plan.name
  }
  pipe() {
    return Pipeable.pipeArguments(this, arguments)
  }
  readonly invoke = (input: unknown, options?: RunOptions): Effect.Effect<State, unknown> =>
    execute(this.#compiled, input, options, undefined)

  readonly stream = (input: unknown, options?: RunOptions): Stream.Stream<GraphEvent.Any, unknown> =>
    streamed((emit) => execute(this.#compiled, input, options, emit))

  readonly resume = (thread: string, options: ResumeOptions = {}): Effect.Effect<State, unknown> =>
    resume(this.#compiled, thread, options, undefined)

  readonly resumeStream = (thread: string, options: ResumeOptions = {}): Stream.Stream<GraphEvent.Any, unknown> =>
    streamed((emit) => resume(this.#compiled, thread, options, emit))

  readonly resetCircuit = (branch?: string): Effect.Effect<void> =>
    Effect.contextWith((context) => {
      const { circuits } = this.#compiled
      const keys = branch === undefined
        ? keysOf(circuits)
        : circuits.get(branch) ?? []
      return Effect.forEach(keys, registryOf(this.#compiled, context).reset, { discard: true })
    })

  get diagram(): Diagram.Diagram {
    return Diagram.fromPlan(this.#compiled.plan)
  }

  readonly toMermaid = (): string => Diagram.toMermaid(this.diagram)

  readonly toDot = (): string => Diagram.toDot(this.diagram)

  get circuitStates(): Effect.Effect<ReadonlyArray<CircuitBreakerRegistry.Snapshot>> {
    return Effect.contextWith((context) =>
      Effect.forEach(keysOf(this.#compiled.circuits), registryOf(this.#compiled, context).state)
    )
  }
}
