/** Draws a run from a seed. */
import { Random } from "./random.ts"
import {
  type Act,
  type Circuit,
  type Config,
  type Flow,
  hookNames,
  type Join,
  type Line,
  type Retry,
  type Rule,
  type Spec,
  type Step,
  type StoreFault,
  type Watcher
} from "./spec.ts"

export const specOf = (seed: number): Spec => {
  const draw = new Draw(seed)
  const { random } = draw
  const line = draw.line(3, 3)
  const isKept = random.chance(0.3)
  return {
    seed,
    parallel: draw.config(0.4),
    shared: draw.circuit(),
    line: line.some(({ is }) => is === "fanOut") ? line : [...line, draw.fanOut(2)],
    watchers: Array.from({ length: random.chance(0.4) ? 1 + random.below(2) : 0 }, () => draw.watcher()),
    jumps: Array.from({ length: random.chance(0.3) ? 1 + random.below(3) : 0 }, () => ({
      at: random.below(200),
      by: random.pick([-3_600_000, -50, -7, 20, 1_000, 86_400_000])
    })),
    ...random.chance(0.3)
      ? { stop: random.chance(0.5) ? { event: 1 + random.below(60) } : { at: random.below(150) } }
      : {},
    ...isKept ? { thread: draw.thread() } : {}
  }
}

class Draw {
  readonly random: Random
  #next = 0
  /** So many steps may still be made. */
  #left: number
  /** Flows around: what fails outside of them ends the run. */
  #within = 0

  constructor(seed: number) {
    this.random = new Random(seed)
    this.#left = 3 + this.random.below(16)
  }

  #name(prefix: string): string {
    this.#left--
    return `${prefix}${this.#next++}`
  }

  line(depth: number, most: number): Line {
    const steps = [this.#step(depth)]
    const length = 1 + this.random.below(most)
    while (steps.length < length && this.#left > 0) steps.push(this.#step(depth))
    return steps
  }

  #step(depth: number): Step {
    const { random } = this
    const kind = random.next()
    if (this.#left <= 0 || kind < 0.4) return this.#node()
    if (kind < 0.48) {
      return { is: "choice", name: this.#name("c"), a: this.line(depth - 1, 2), b: this.line(depth - 1, 1) }
    }
    if (kind < 0.56) {
      return { is: "loop", name: this.#name("l"), rounds: 1 + random.below(3), body: this.line(depth - 1, 2) }
    }
    if (depth <= 0) return this.#node()
    if (kind < 0.64) {
      return { is: "graph", name: this.#name("g"), parallel: this.config(0.3), line: this.line(depth - 1, 2) }
    }
    return this.fanOut(depth)
  }

  #node(): Step {
    const { random } = this
    const node = { is: "node", name: this.#name("n"), act: this.#act() } as const
    if (!random.chance(0.15)) return node
    const { concurrency: _, failFast: __, totalTimeout: ___, ...policy } = this.config(0.7)
    return { ...node, policy: random.chance(0.3) ? { ...policy, fallback: true } : policy }
  }

  #act(): Act {
    const { random } = this
    const p = this.#within > 0 ? 1 : 0.15
    const kind = random.chance(0.06 * p)
      ? random.pick(["bad", "interrupt"] as const)
      : random.pick(["now", "now", "sleep", "sleep", "sleep", "locked", "child"] as const)
    const rare = random.chance(0.02)
    return {
      kind,
      ms: rare ? 600_000 : random.below(60),
      ...random.chance(0.4)
        ? { fails: 1 + random.below(3), how: random.pick(["fail", "fail", "defect", "throw"]) }
        : {},
      ...random.chance(0.1 * p) ? { hangs: 1 + random.below(2) } : {},
      ...random.chance(0.2) ? { cleanup: random.below(40) } : {}
    }
  }

  circuit(): Circuit {
    const { random } = this
    return {
      failureThreshold: 1 + random.below(3),
      resetTimeout: 5 + random.below(40),
      halfOpenMaxCalls: 1 + random.below(2),
      successThreshold: 1 + random.below(2)
    }
  }

  #retry(): Retry {
    const { random } = this
    return random.chance(0.15)
      ? { times: random.below(4), spaced: random.below(20) }
      : { maxRetries: random.below(4), baseDelay: random.below(20), jitter: random.pick([0, 0, 0.5]) }
  }

  /** `p`: how likely each option is. */
  config(p: number): Config {
    const { random } = this
    return {
      ...random.chance(p) ? { timeout: 5 + random.below(50) } : {},
      ...random.chance(p / 3) ? { totalTimeout: 20 + random.below(100) } : {},
      ...random.chance(p) ? { grace: random.pick([0, 10, 50]) } : {},
      ...random.chance(p / 6) ? { failFast: true } : {},
      ...random.chance(p) ? { retry: this.#retry() } : {},
      ...random.chance(p / 1.5) ? { circuit: random.chance(0.5) ? "shared" : this.circuit() } : {},
      ...random.chance(p / 2) ? { concurrency: 1 + random.below(3) } : {},
      ...random.chance(p / 6) ? { limit: this.#limit() } : {}
    }
  }

  #limit() {
    const { random } = this
    // One key, one number of permits.
    const permits = 1 + random.below(2)
    return { key: `limit ${permits}`, permits, ...random.chance(0.3) ? { queue: random.below(2) } : {} }
  }

  fanOut(depth: number): Step {
    const { random } = this
    const name = this.#name("f")
    const beside = random.chance(0.25) ? this.line(depth - 1, 2) : []
    const joins = [this.#join(depth)]
    if (random.chance(0.2)) joins.push(this.#join(depth))
    return { is: "fanOut", name, beside, joins }
  }

  #join(depth: number): Join {
    const { random } = this
    const flows = Array.from({ length: 1 + random.below(4) }, () => this.#flow(depth - 1))
    const rule = random.pick<Rule | undefined>([
      undefined,
      undefined,
      undefined,
      "all",
      { minSuccessful: 1 + random.below(3) },
      { tolerate: random.below(2) },
      { tolerateRatio: 0.5 },
      { within: 10 + random.below(60) }
    ])
    const act: Act = random.chance(0.8) ? { kind: "now", ms: 0 } : this.#act()
    return { name: this.#name("j"), act, flows, ...rule === undefined ? {} : { rule } }
  }

  #flow(depth: number): Flow {
    const { random } = this
    this.#within++
    const line = this.line(depth, 2)
    this.#within--
    return {
      line,
      config: random.chance(0.7) ? this.config(0.45) : {},
      ...random.chance(0.2) ? { items: random.below(6) } : {},
      ...random.chance(0.1) ? { late: true } : {},
      ...random.chance(0.1) ? { fallback: true } : {}
    }
  }

  watcher(): Watcher {
    const { random } = this
    return {
      hook: random.pick(hookNames),
      does: random.pick(["throws", "fails", "hangs", "slow", "stuck"]),
      policy: random.pick(["log", "log", "remove", "raise"]),
      timeout: random.pick([30, 5_000])
    }
  }

  thread(): NonNullable<Spec["thread"]> {
    const { random } = this
    const faults = Array.from({ length: random.chance(0.6) ? 1 + random.below(2) : 0 }, (): StoreFault => ({
      method: random.pick(["save", "save", "save", "claim", "load", "release"]),
      from: 1 + random.below(5),
      count: random.pick([1, 1, 3, 1_000]),
      fault: random.pick(
        ["fails", "dies", "throws", "hangs", "mute", { ms: 5 }, { ms: 29_000 }, { ms: 31_000 }] as const
      )
    }))
    return { durability: random.pick(["step", "step", "async", "exit"]), faults }
  }
}
