import type { Effect } from "effect"

type Run = Effect.Effect<number, unknown>

export type Measure = Exclude<keyof Library, "name">

/** One library, at the same work as the others; what it has no form for is absent. */
export interface Library {
  readonly name: string
  /** So many flows at a time, and the sum of what they return. */
  readonly fanOut?: (flows: number) => Run
  /** The same without spans, where the library makes some. */
  readonly fanOutNoSpans?: (flows: number) => Run
  /** A fan-out, each flow with what the library has of: a limit, two retries, a circuit of its own. */
  readonly guarded?: (flows: number) => Run
  /** So many nodes, one after the other. */
  readonly chain?: (nodes: number) => Run
  /** So many calls, one after the other, through one closed circuit. */
  readonly circuit?: (calls: number) => Run
  /** The same calls through nothing: what is left is what the language of the library costs. */
  readonly bare?: (calls: number) => Run
  /** Of a language: the least that a circuit can be made of, which only hears how each call ended. Else the circuit. */
  readonly leastCircuit?: (calls: number) => Run
  /** The same, of work that ends before it returns. */
  readonly circuitSync?: (calls: number) => Run
}
