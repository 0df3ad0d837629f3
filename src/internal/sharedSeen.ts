/**
 * What a process has seen of shared circuits: those it uses or has met open, and the transitions that it made.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Effects from "effect/persistence/CircuitBreaker"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { CircuitState, Config, Transition as Move } from "../CircuitBreaker.ts"
import type { Change, Transition } from "../CircuitBreakerRegistry.ts"

interface Circuit {
  holders: number
  readonly config: Config
}

/** Our names of the store's states. */
export const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const

export class Seen {
  readonly #circuits = new Map<string, Circuit>()
  #hub: PubSub.PubSub<Change> | undefined

  get keys(): ReadonlyArray<string> {
    return [...this.#circuits.keys()]
  }

  has(key: string): boolean {
    return this.#circuits.has(key)
  }

  configOf(key: string): Config | undefined {
    return this.#circuits.get(key)?.config
  }

  /** In which state it was met; `holders`: calls that came, or went. */
  meet(key: string, state: CircuitState, config: Config | undefined, holders = 0): void {
    let circuit = this.#circuits.get(key)
    if (circuit === undefined) {
      if (config === undefined) return
      circuit = { holders: 0, config }
      this.#circuits.set(key, circuit)
    }
    circuit.holders += holders
    if (circuit.holders === 0 && state === "CLOSED") this.#circuits.delete(key)
  }

  moved(transition: Effects.Transition | undefined): Effect.Effect<Transition | undefined> {
    if (transition === undefined) return Effect.succeed(undefined)
    return this.publish(transition.key, { from: states[transition.from], to: states[transition.to] })
  }

  publish(key: string, move: Move): Effect.Effect<Transition> {
    return Clock.clockWith((clock) => {
      if (this.#hub !== undefined) {
        PubSub.publishUnsafe(this.#hub, { key, ...move, at: clock.currentTimeMillisUnsafe() })
      }
      return Effect.succeed({ key, ...move })
    })
  }

  readonly changes: Stream.Stream<Change> = Stream.unwrap(
    Effect.map(PubSub.unbounded<Change>(), (fresh) => Stream.fromPubSub(this.#hub ??= fresh))
  )
}
