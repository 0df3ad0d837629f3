/** How long a run can take at most: the sum of everything in it, whatever waits for whatever. */
import type { Act, Config, FanOut, Line, Spec, Step } from "./spec.ts"

const graceOf = ({ grace = 1_000 }: Config): number => grace

const actMs = ({ cleanup = 0, hangs = 0, ms }: Act): number => hangs > 0 ? Infinity : ms + cleanup

const most = (config: Config, ms: number): number => {
  const { retry, timeout = Infinity, totalTimeout = Infinity } = config
  const attempts = retry === undefined ? 1 : 1 + ("times" in retry ? retry.times : retry.maxRetries)
  const delay = retry === undefined ? 0 : "times" in retry ? retry.spaced : 1.5 * retry.baseDelay * 2 ** attempts
  const all = attempts * (Math.min(ms, timeout) + graceOf(config) + delay)
  return Math.min(all, totalTimeout + graceOf(config))
}

class Budget {
  readonly #parallel: Config

  constructor(parallel: Config) {
    this.#parallel = parallel
  }

  line(line: Line): number {
    return line.reduce((sum, step) => sum + this.#step(step), 0)
  }

  #step(step: Step): number {
    switch (step.is) {
      case "node": {
        const { grace = graceOf(this.#parallel) } = step.policy ?? {}
        return step.policy === undefined ? actMs(step.act) : most({ ...step.policy, grace }, actMs(step.act))
      }
      case "choice":
        return this.line(step.a) + this.line(step.b)
      case "loop":
        return step.rounds * this.line(step.body)
      case "graph":
        return new Budget(step.parallel).line(step.line) + graceOf(step.parallel)
      case "fanOut":
        return this.#fanOut(step)
    }
  }

  #fanOut({ beside, joins }: FanOut): number {
    const flows = joins.map(({ act, flows, rule }) => {
      const all = flows.reduce((sum, { config, items = 1, line }) => {
        const own = { ...this.#parallel, ...config }
        return sum + (items === 0 ? 0 : items * most(own, this.line(line)))
      }, 0)
      const within = typeof rule === "object" && "within" in rule ? rule.within : Infinity
      const graces = flows.map(({ config }) => graceOf({ ...this.#parallel, ...config }))
      return Math.min(all, within + Math.max(...graces)) + actMs(act)
    })
    return flows.reduce((sum, ms) => sum + ms, this.line(beside))
  }
}

/** Virtual milliseconds; `Infinity`, when something in it may hang without a limit. */
export const budgetOf = ({ line, parallel, watchers }: Spec): number =>
  new Budget(parallel).line(line) + graceOf(parallel) + Math.max(5_000, ...watchers.map(({ timeout }) => timeout))
