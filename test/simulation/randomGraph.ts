/**
 * A random graph of any shape whose runs always come to the same: who wins a race is never a matter of a few milliseconds, so
 * that a run can be stopped anywhere, continued, and compared with one that was not.
 */
import { Schedule, Schema, Stream } from "effect"
import { StateGraph } from "effect-stategraph"
import { type Act, actOf, Boom, joining, type Journal, reducers, run, State } from "./determined.ts"
import { type Branch, type Builder, type Names, type Part, type Place, ruleOf, type Start } from "./parts.ts"
import { Random } from "./random.ts"

export interface Made {
  readonly graph: object
  /** What is in it, in words. */
  readonly features: ReadonlySet<string>
}

/** The graph of a seed; the same every time, but for the journal that its nodes write to. `size`: of about so many nodes. */
export const randomGraph = (seed: number, journal: Journal, size?: number): Made => {
  const random = new Random(seed)
  const asks = random.chance(0.3) ? 1 + random.below(3) : 0
  const left = 8 + random.below(22)
  const names = { next: 0, left: size ?? left, asks, waits: asks > 0 }
  const maker = new Maker(random, journal, "sim", names, new Set())
  const line = maker.line({ depth: 3, patience: 1, mayFail: random.chance(0.4), mapped: false })
  return { graph: maker.finish(line), features: maker.features }
}

class Maker {
  readonly #random: Random
  readonly #journal: Journal
  readonly #name: string
  readonly #names: Names
  readonly #classes: boolean
  readonly #nodes: Array<(builder: Builder) => Builder> = []
  readonly #edges: Array<(builder: Builder) => Builder> = []
  readonly #stops = { suspendBefore: new Array<string>(), suspendAfter: new Array<string>() }
  readonly features: Set<string>

  constructor(
    random: Random,
    journal: Journal,
    name: string,
    names: Names,
    features: Set<string>
  ) {
    this.#random = random
    this.#journal = journal
    this.#name = name
    this.#names = names
    this.#classes = random.chance(0.5)
    this.features = features
  }

  finish({ first, last }: Part): object {
    let builder = StateGraph.make(this.#name, State, {
      reducers,
      ...this.#classes ? { error: Boom } : {}
    }) as unknown as Builder
    for (const add of [...this.#nodes, ...this.#edges]) builder = add(builder)
    return builder.addEdge(StateGraph.START, first).addEdge(last, StateGraph.END)
      .compile(this.#journal.waits ? this.#stops : {})
  }

  #fresh(prefix: string): string {
    this.#names.left--
    return `${prefix}${this.#names.next++}`
  }

  #add(name: string, act: Act | undefined, policy: object = {}): string {
    const asking = act && this.#asking(name, act)
    this.#nodes.push((builder) => builder.addNode(name, asking && run(this.#journal, asking), policy))
    return name
  }

  /** Now and then a node asks somebody, or its line waits before or after it. */
  #asking(name: string, act: Act): Act {
    const random = this.#random
    if (this.#names.asks === 0 || !random.chance(0.25)) return act
    this.#names.asks--
    const kind = random.below(4)
    if (kind < 2) {
      this.features.add("question")
      return { ...act, asks: true }
    }
    this.features.add("point to wait at")
    this.#stops[kind === 2 ? "suspendBefore" : "suspendAfter"].push(name)
    return act
  }

  #edge(from: string, to: string): void {
    this.#edges.push((builder) => builder.addEdge(from, to))
  }

  /** One to four steps, one after the other. */
  line(place: Place, most = 4): Part {
    let part = this.#step(place)
    const length = 1 + this.#random.below(most)
    for (let i = 1; i < length && this.#names.left > 0; i++) part = this.#then(part, this.#step(place))
    return part
  }

  #then(a: Part, b: Part): Part {
    this.#edge(a.last, b.first)
    return {
      first: a.first,
      last: b.last,
      needs: Math.max(a.needs, b.needs),
      longest: a.longest + b.longest
    }
  }

  #step(place: Place): Part {
    const random = this.#random
    if (this.#names.left <= 0) return this.#node(place)
    const kind = random.next()
    if (kind < 0.4) return this.#node(place)
    if (kind < 0.5) return this.#choice(place)
    if (kind < 0.6) return this.#loop(place)
    if (kind < 0.72) return this.#subgraph(place)
    return place.depth > 0 ? this.#fanOut(place) : this.#node(place)
  }

  /** How many attempts fail where so many may. */
  #fails({ mayFail, patience }: Place): number {
    if (mayFail && this.#random.chance(0.1)) return Infinity
    return this.#random.chance(0.5) ? this.#random.below(patience) : 0
  }

  #node(place: Place): Part {
    const random = this.#random
    const name = this.#fresh("n")
    if (random.chance(0.65)) {
      const act = actOf(random, { fails: this.#fails(place) })
      this.#add(name, act)
      return { first: name, last: name, needs: act.fails + 1, longest: 100 }
    }
    this.features.add("guarded node")
    const hangs = random.chance(0.3) ? 1 : 0
    const act = actOf(random, { hangs, fails: random.below(3) })
    const retries = random.below(4)
    const succeeds = act.hangs + act.fails <= retries
    const policy: Record<string, unknown> = { ...this.#retry(retries) }
    if (hangs > 0 || random.chance(0.2)) policy["timeout"] = 300
    const replaced = !succeeds && (!place.mayFail || random.chance(0.5))
    if (replaced) {
      this.features.add("fallback of a node")
      policy["fallback"] = random.chance(0.5) ? { n: 77 } : this.#add(this.#fresh("f"), actOf(random))
    }
    this.#add(name, act, policy)
    return { first: name, last: name, needs: succeeds || replaced ? 1 : Infinity, longest: 2_000 }
  }

  #retry(maxRetries: number): { readonly retry?: unknown } {
    const random = this.#random
    if (maxRetries === 0) return {}
    if (random.chance(0.25)) {
      this.features.add("schedule")
      return { retry: Schedule.exponential(3).pipe(Schedule.upTo({ times: maxRetries })) }
    }
    return {
      retry: {
        maxRetries,
        baseDelay: random.below(20),
        jitter: random.pick([0, 0.5]),
        ...random.chance(0.2) ? { maxStoredErrors: 1 } : {}
      }
    }
  }

  /** One of two ways. */
  #choice(place: Place): Part {
    this.features.add("condition")
    const from = this.#node(place)
    const a = this.line(place, 2)
    const b = this.#node(place)
    const out = this.#add(this.#fresh("o"), undefined)
    this.#edges.push((builder) =>
      builder.addConditionalEdges(from.last, ({ n }: State) => n % 2 === 0 ? "even" : "odd", {
        even: a.first,
        odd: b.first
      })
    )
    this.#edge(a.last, out)
    this.#edge(b.last, out)
    // Which way it goes can be another one in each attempt.
    const needs = Math.max(from.needs, a.needs, b.needs)
    return { first: from.first, last: out, needs, longest: from.longest + a.longest + b.longest }
  }

  #loop(place: Place): Part {
    this.features.add("loop")
    const random = this.#random
    const rounds = 1 + random.below(3)
    const head = this.#add(
      this.#fresh("l"),
      actOf(random, { counts: true, fails: this.#fails({ ...place, patience: 1, mayFail: false }) })
    )
    const body = this.line(place, 2)
    this.#edge(head, body.first)
    const out = this.#add(this.#fresh("o"), undefined)
    this.#edges.push((builder) =>
      builder.addConditionalEdges(
        body.last,
        (state: State) => (state.rounds[head] ?? 0) % rounds === 0 ? "done" : "again",
        {
          again: head,
          done: out
        }
      )
    )
    return { first: head, last: out, needs: body.needs, longest: rounds * (body.longest + 100) }
  }

  /** A graph as a node. */
  #subgraph(place: Place): Part {
    this.features.add("subgraph")
    const random = this.#random
    const name = this.#fresh("g")
    const maker = new Maker(random, this.#journal, `graph ${name}`, this.#names, this.features)
    const guarded = random.chance(0.4)
    const retries = guarded ? random.below(3) : 0
    if (guarded) this.features.add("guarded subgraph")
    // Its nodes are told the attempt of the flow, or of the policy, around it.
    const inner = maker.line(
      { ...place, depth: place.depth - 1, patience: guarded ? 1 + retries : place.patience },
      3
    )
    const graph = maker.finish(inner)
    const policy = guarded ? { ...this.#retry(retries), timeout: 4 * inner.longest * (1 + retries) + 10_000 } : {}
    this.#nodes.push((builder) =>
      builder.addSubgraph(name, graph, { input: (state: State) => state, output: (state: State) => state, ...policy })
    )
    const succeeds = inner.needs <= 1 + retries
    return {
      first: name,
      last: name,
      needs: guarded ? succeeds ? 1 : Infinity : inner.needs,
      longest: (1 + retries) * (inner.longest + 100)
    }
  }

  /** Flows from one node, or from two of them, to one fan-in or to two; the main line waits for them or does something. */
  #fanOut(place: Place): Part {
    const random = this.#random
    this.features.add(`fan-out ${3 - place.depth + 1} deep`)
    const from = this.#add(this.#fresh("n"), actOf(random))
    let last: Part = { first: from, last: from, needs: 1, longest: 100 }
    // What fails here cuts flows wherever they are.
    const beside = { ...place, patience: 1, mayFail: false }
    const starts: Array<Start> = Array.from(
      { length: 1 + random.below(3) },
      () => ({ from, branch: this.#branch(place) })
    )
    if (random.chance(0.3)) {
      this.features.add("main line beside its flows")
      last = this.#then(last, this.line(beside, 2))
      if (random.chance(0.3)) {
        this.features.add("two launches")
        starts.push({ from: last.last, branch: this.#branch(place) })
      }
    }
    const joins = [starts]
    if (random.chance(0.25)) {
      this.features.add("several fan-ins")
      joins.push([{ from, branch: this.#branch(place) }])
    }
    joins.forEach((starts, i) => {
      const isLast = i === joins.length - 1
      const join = this.#join(starts, isLast ? place : beside, last.longest)
      // Without a way out, a line goes to its open fan-ins by itself.
      if (random.chance(0.6)) this.#edge(last.last, join.first)
      last = {
        first: last.first,
        last: join.last,
        needs: Math.max(last.needs, join.needs),
        longest: last.longest + join.longest
      }
      if (!isLast && random.chance(0.4)) last = this.#then(last, this.#node(beside))
    })
    return last
  }

  #join(starts: Array<Start>, place: Place, before: number): Part {
    const random = this.#random
    const branches = starts.map(({ branch }) => branch)
    const longest = before + Math.max(...branches.map((branch) => branch.longest))
    const { endless, rule } = ruleOf(random, branches, longest, this.features, this.#names.waits)
    // The first to start: others could end at once, so that these do not start at all.
    for (let i = 0; i < endless; i++) starts.unshift({ from: starts[0]!.from, branch: this.#endless() })
    const name = this.#fresh("j")
    const merges = random.chance(0.35)
    if (merges) this.features.add("merging fan-in")
    const act = actOf(random, { fails: merges ? 0 : this.#fails(place) })
    const options = rule === undefined ? {} : { completion: rule }
    this.#nodes.push((builder) =>
      builder.addFanInNode(name, merges ? undefined : joining(this.#journal, act, this.#classes), options)
    )
    const limited = branches.some((branch) => branch.limited)
    for (const { branch, from } of starts) this.#edges.push((builder) => branch.add(builder, from, name, limited))
    return {
      first: name,
      last: name,
      needs: act.fails + 1,
      longest: longest * (rule === undefined ? 1 : 5) + 2_000
    }
  }

  #endless(): Branch {
    this.features.add("flow without an end")
    const name = this.#add(this.#fresh("e"), actOf(this.#random, { hangs: Infinity }))
    return {
      add: (builder, from, fanIn) => builder.addParallelEdge(from, name, fanIn),
      count: 1,
      succeeds: false,
      longest: 0
    }
  }

  #branch(place: Place): Branch {
    const random = this.#random
    const depth = place.depth - 1
    const kind = random.next()
    if (kind < 0.15) return this.#timingOut()
    if (kind < 0.45) return this.#map(depth)
    const retries = random.chance(0.5) ? random.below(3) : 0
    const part = this.line({ ...place, depth, patience: 1 + retries + random.below(2), mayFail: true }, 2)
    const config: Record<string, unknown> = {
      ...this.#retry(retries),
      ...this.#limits(part, retries),
      ...this.#bulkhead(part)
    }
    let succeeds = part.needs <= 1 + retries
    if (!place.mapped && random.chance(0.3)) {
      this.features.add("circuit")
      const failureThreshold = 1 + random.below(3)
      config["circuitBreaker"] = { failureThreshold, resetTimeout: "1000 hours" }
      if (part.needs > failureThreshold) succeeds = false
    }
    if (random.chance(0.3)) {
      this.features.add("fallback of a flow")
      config["fallback"] = random.chance(0.5) ? { n: 78 } : this.#add(this.#fresh("f"), actOf(random))
      succeeds = true
    }
    return {
      add: (builder, from, fanIn) => builder.addParallelEdge(from, part.first, fanIn, config),
      count: 1,
      succeeds,
      longest: (1 + retries) * (part.longest + 200),
      limited: "concurrency" in config
    }
  }

  /** Limits that are never reached. */
  #limits({ longest }: Part, retries: number): object {
    const random = this.#random
    const ms = 10 * (longest + 1_000)
    return {
      ...random.chance(0.2) ? { timeout: ms } : {},
      ...random.chance(0.2) ? { totalTimeout: ms * (retries + 1) } : {},
      ...random.chance(0.3) ? { concurrency: 1 + random.below(3) } : {},
      ...random.chance(0.3) ? { grace: random.pick([0, 10, 5_000]) } : {}
    }
  }

  /** Where no more than so many flows of its edge are at work. */
  #bulkhead({ first }: Part): object {
    const random = this.#random
    if (!random.chance(0.2)) return {}
    this.features.add("bulkhead")
    return { limit: { key: first, permits: 1 + random.below(2) } }
  }

  /** A flow that reaches its limits. */
  #timingOut(): Branch {
    this.features.add("timeout")
    const random = this.#random
    const retries = random.below(3)
    const hanging = this.#add(this.#fresh("h"), actOf(random, { hangs: Infinity }))
    const first = random.chance(0.5) ? this.#add(this.#fresh("n"), actOf(random)) : hanging
    if (first !== hanging) this.#edge(first, hanging)
    const timeout = 300 + random.below(100)
    const config = { timeout, ...this.#retry(retries) }
    // Waiting for a place takes time too.
    const total = random.chance(0.4) ? { totalTimeout: Math.floor(timeout * (retries + 0.5)) } : {}
    return {
      add: (builder, from, fanIn, limited) =>
        builder.addParallelEdge(from, first, fanIn, { ...config, ...limited ? {} : total }),
      count: 1,
      succeeds: false,
      never: true,
      longest: (retries + 1) * 500
    }
  }

  #map(depth: number): Branch {
    this.features.add("map")
    const random = this.#random
    const retries = random.below(3)
    const part: Part & { readonly schema?: boolean } = random.chance(0.5)
      ? this.line({ depth, patience: 1 + retries, mayFail: true, mapped: true }, 2)
      : this.#itemNode(1 + retries)
    const list = Array.from({ length: random.below(5) }, (_, i) => i * 7)
    const asSchema = part.schema === true
    const items = list.map((n) => asSchema ? new Date(n) : random.pick([n, { id: n, tags: ["a"] }]))
    const as = random.below(3)
    const config = {
      ...this.#retry(retries),
      ...this.#bulkhead(part),
      ...random.chance(0.5) ? { concurrency: 1 + random.below(3) } : {},
      ...random.chance(0.3) ? { key: (_item: unknown, i: number) => `key ${i}` } : {},
      ...random.chance(0.3)
        ? { config: (_item: unknown, i: number) => ({ grace: i, timeout: 10 * (part.longest + 1_000) + i }) }
        : {},
      items: () =>
        as === 0 ? items : as === 1 ? Stream.fromIterable(items) : (function*() {
          yield* items
        })()
    }
    const succeeds = part.needs <= 1 + retries
    return {
      add: (builder, from, fanIn) => builder.addParallelMap(from, part.first, fanIn, config),
      count: items.length,
      succeeds,
      longest: Math.max(1, items.length) * (1 + retries) * (part.longest + 200),
      limited: "concurrency" in config
    }
  }

  /** A node that looks at its item. */
  #itemNode(patience: number): Part & { readonly schema?: boolean } {
    const random = this.#random
    const name = this.#fresh("i")
    const schema = random.chance(0.5)
    const act = actOf(random, { fails: random.below(patience) })
    this.#add(name, act, schema ? { item: Schema.Date } : {})
    return { first: name, last: name, needs: act.fails + 1, longest: 100, schema }
  }
}
