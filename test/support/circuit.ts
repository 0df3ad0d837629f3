/** One circuit with a clock that is turned by hand. */
import { assert } from "@effect/vitest"
import { Duration } from "effect"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"

export class Circuit {
  state: CircuitBreaker.State = CircuitBreaker.initial
  now = 0
  readonly transitions: Array<string> = []
  readonly config: CircuitBreaker.Config
  constructor(input?: CircuitBreaker.Input) {
    this.config = CircuitBreaker.make({ failureThreshold: 1, resetTimeout: 1000, ...input })
  }

  enter<S extends CircuitBreaker.Step>(step: S): S {
    this.state = step.state
    if (step.transition) this.transitions.push(`${step.transition.from}->${step.transition.to}`)
    return step
  }

  ask(): CircuitBreaker.Decision {
    return this.enter(CircuitBreaker.admit(this.state, this.now, this.config)).decision
  }

  /** Asks, and expects to be admitted. */
  call(): number {
    const decision = this.ask()
    assert(decision._tag === "Admitted")
    return decision.generation
  }

  record(generation: number, outcome: CircuitBreaker.Outcome, more?: Partial<CircuitBreaker.Call>): void {
    this.enter(CircuitBreaker.record(this.state, { generation, outcome, ...more }, this.now, this.config))
  }

  /** Calls that end at once, one letter each: `s`uccess, `f`ailure, `i`gnored; in capitals they were slow. */
  calls(letters: string): void {
    for (const letter of letters) {
      const outcome = ({ s: "success", f: "failure", i: "ignored" } as const)[letter.toLowerCase()] ??
        assert.fail(letter)
      const slow = letter !== letter.toLowerCase()
      this.record(this.call(), outcome, { durationMs: slow ? this.config.slowCallThresholdMs + 1 : 0 })
    }
  }

  reset(): void {
    this.enter(CircuitBreaker.reset(this.state))
  }

  /** Fails once, which opens a circuit of threshold 1, and waits for the end of the window. */
  openAndWait(): void {
    this.record(this.call(), "failure")
    this.now += this.config.resetTimeoutMs
  }

  get tally(): CircuitBreaker.Tally {
    const { calls, failures, slow } = CircuitBreaker.tally(this.state, this.now, this.config)
    return { calls, failures, slow }
  }

  /** How long a call has to wait now. */
  get waitMs(): number {
    const { decision } = CircuitBreaker.admit(this.state, this.now, this.config)
    return decision._tag === "Rejected" ? Duration.toMillis(decision.retryAfter) : 0
  }
}
