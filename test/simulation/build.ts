/** Makes the graph of a simulated run. */
import { Schedule, Schema } from "effect"
import { type ParallelConfig, StateGraph } from "effect-stategraph"
import type { Builder } from "./parts.ts"
import type { Circuit, Config, FanOut, Flow, Join, Line, Loop, Spec, Step, Subgraph } from "./spec.ts"
import { doing, joining, type World } from "./world.ts"

export const State = Schema.Struct({
  n: Schema.Number,
  /** Rounds of loops, by the node that they begin with. */
  rounds: Schema.Record(Schema.String, Schema.Number)
})
type State = typeof State.Type

export const input: State = { n: 0, rounds: {} }

/** What a part of a line begins and ends with. The last node has no way out yet. */
interface Part {
  readonly first: string
  readonly last: string
}

export interface Built {
  readonly graph: object
  /** What flows and guarded nodes are limited by, as `flow n1` and `node n1`. */
  readonly configs: ReadonlyMap<string, Config>
}

export const build = (spec: Spec, world: World, options: object): Built => {
  const configs = new Map<string, Config>()
  return { graph: new Maker(spec, world, configs, own(spec.parallel, spec)).graph("sim", spec.line, options), configs }
}

class Maker {
  readonly #spec: Spec
  readonly #world: World
  readonly #configs: Map<string, Config>
  readonly #parallel: Config
  readonly #nodes: Array<(builder: Builder) => Builder> = []
  readonly #edges: Array<(builder: Builder) => Builder> = []

  constructor(spec: Spec, world: World, configs: Map<string, Config>, parallel: Config) {
    this.#spec = spec
    this.#world = world
    this.#configs = configs
    this.#parallel = parallel
  }

  graph(name: string, line: Line, options: object = {}): object {
    const { first, last } = this.#line(line)
    const parallel = inputOf(this.#parallel, undefined)
    let builder = StateGraph.make(name, State, { parallel }) as unknown as Builder
    for (const add of [...this.#nodes, ...this.#edges]) builder = add(builder)
    return builder.addEdge(StateGraph.START, first).addEdge(last, StateGraph.END).compile({ maxSteps: 200, ...options })
  }

  #config(name: string, config: Config, isNode = false): ParallelConfig.Input {
    // A node has the grace of the run around it, and nothing else of it.
    const { grace } = this.#parallel
    const below = isNode ? grace === undefined ? {} : { grace } : this.#parallel
    this.#configs.set(`${isNode ? "node" : "flow"} ${name}`, { ...below, ...config })
    return inputOf(config, this.#spec.shared)
  }

  #add(name: string, run: unknown, policy: object = {}): string {
    this.#nodes.push((builder) => builder.addNode(name, run, policy))
    return name
  }

  #edge(from: string, to: string): void {
    this.#edges.push((builder) => builder.addEdge(from, to))
  }

  #line(line: Line): Part {
    const [first, ...rest] = line.map((step) => this.#step(step))
    return rest.reduce((before, part) => {
      this.#edge(before.last, part.first)
      return { first: before.first, last: part.last }
    }, first!)
  }

  #step(step: Step): Part {
    const { name } = step
    switch (step.is) {
      case "node": {
        const { fallback, ...config } = step.policy ?? {}
        const policy = step.policy === undefined ? {} : this.#config(name, config, true)
        this.#add(name, doing(this.#world, step.act), fallback === true ? { ...policy, fallback: { n: 1 } } : policy)
        return { first: name, last: name }
      }
      case "choice": {
        this.#add(name, undefined)
        const [a, b] = [this.#line(step.a), this.#line(step.b)]
        const last = this.#add(`${name}.`, undefined)
        this.#edges.push((builder) =>
          builder.addConditionalEdges(name, ({ n }: State) => n % 2 === 0 ? "even" : "odd", {
            even: a.first,
            odd: b.first
          })
        )
        this.#edge(a.last, last)
        this.#edge(b.last, last)
        return { first: name, last }
      }
      case "loop":
        return this.#loop(step)
      case "graph":
        return this.#subgraph(step)
      case "fanOut":
        return this.#fanOut(step)
    }
  }

  #loop({ body, name, rounds }: Loop): Part {
    const count = ({ rounds }: State) => ({ rounds: { ...rounds, [name]: (rounds[name] ?? 0) + 1 } })
    this.#add(name, count)
    const part = this.#line(body)
    this.#edge(name, part.first)
    const last = this.#add(`${name}.`, undefined)
    this.#edges.push((builder) =>
      builder.addConditionalEdges(
        part.last,
        (state: State) => (state.rounds[name] ?? 0) % rounds === 0 ? "done" : "again",
        { again: name, done: last }
      )
    )
    return { first: name, last }
  }

  #subgraph({ line, name, parallel }: Subgraph): Part {
    const graph = new Maker(this.#spec, this.#world, this.#configs, own(parallel, this.#spec)).graph(
      `graph ${name}`,
      line
    )
    const through = { input: (state: State) => state, output: (state: State) => state }
    this.#nodes.push((builder) => builder.addSubgraph(name, graph, through))
    return { first: name, last: name }
  }

  #fanOut({ beside, joins, name }: FanOut): Part {
    this.#add(name, undefined)
    const parallel = beside.length === 0 ? undefined : this.#line(beside)
    if (parallel !== undefined) this.#edge(name, parallel.first)
    let last = parallel?.last ?? name
    for (const join of joins) {
      this.#join(join, name, parallel?.last ?? name)
      this.#edge(last, join.name)
      last = join.name
    }
    return { first: name, last }
  }

  #join(join: Join, from: string, late: string): void {
    const flows = late === from ? join.flows.map(({ late: _, ...flow }): Flow => flow) : join.flows
    const parts = flows.map((flow) => this.#line(flow.line))
    const names = parts.map(({ first }) => first)
    const run = joining(this.#world, { ...join, flows }, names)
    const options = join.rule === undefined ? {} : { completion: join.rule }
    this.#nodes.push((builder) => builder.addFanInNode(join.name, run, options))
    flows.forEach((flow, i) => this.#flow(flow, flow.late === true ? late : from, names[i]!, join.name))
  }

  #flow({ config, fallback, items }: Flow, from: string, name: string, fanIn: string): void {
    const options = this.#config(name, config)
    const all = fallback === true ? { ...options, fallback: { n: 2 } } : options
    this.#edges.push((builder) =>
      items === undefined
        ? builder.addParallelEdge(from, name, fanIn, all)
        : builder.addParallelMap(from, name, fanIn, { items: () => Array.from({ length: items }, (_, i) => i), ...all })
    )
  }
}

const inputOf = (config: Config, shared: Circuit | undefined): ParallelConfig.Input => {
  const { circuit, retry, ...rest } = config
  const own = circuit === "shared" ? shared : circuit
  return {
    ...rest,
    ...retry === undefined
      ? {}
      : { retry: "times" in retry ? Schedule.spaced(retry.spaced).pipe(Schedule.upTo({ times: retry.times })) : retry },
    ...own === undefined
      ? {}
      // A slot that is lost stays lost.
      : { circuitBreaker: { ...own, probeTimeout: "1000 hours", ...circuit === "shared" ? { key: "shared" } : {} } }
  }
}

/** What a graph says of all flows gives each a circuit of its own. */
const own = (parallel: Config, { shared }: Spec): Config =>
  parallel.circuit === "shared" ? { ...parallel, circuit: shared } : parallel
