/**
 * What the scenarios ask of a peer. An adapter is as its peer's documentation shows it, and short enough to check by reading;
 * what a peer does not have it lacks, with the reason.
 */
import type { Work } from "./work.ts"

export type Outcome =
  | { readonly is: "success"; readonly value: unknown }
  | { readonly is: "failure" | "timeout" | "rejected" | "cancelled"; readonly error: unknown }

export interface Running<A> {
  readonly end: Promise<A>
  /** The caller does not want it any more. */
  readonly cancel: () => void
}

export interface CallOptions {
  /** Of each attempt. */
  readonly limitMs?: number
  /** Of all attempts and the waits between them. */
  readonly totalMs?: number
  readonly retry?: {
    readonly retries: number
    readonly baseMs: number
    readonly maxMs: number
    readonly jitter?: boolean
  }
}

export type Call = (work: Work) => Running<Outcome>

export type State = "CLOSED" | "OPEN" | "HALF_OPEN"

export interface Circuit {
  readonly call: Call
  readonly state: () => Promise<State>
  /** How often it has opened. */
  readonly opened: () => number
}

/** One flow of a fan-out, as its join sees it. */
export type Joined = readonly [name: string, outcome: Outcome]

export interface Fan {
  readonly run: Outcome
  /** What the join saw, each time it ran. */
  readonly joins: ReadonlyArray<ReadonlyArray<Joined>>
}

export const features = [
  "limit",
  "retry",
  "wait cap",
  "total limit",
  "cancel",
  "circuit",
  "flows",
  "order",
  "fail fast",
  "nesting",
  "shared keys",
  "map",
  "concurrency",
  "listeners",
  "named nodes",
  "unique names",
  "loop limit",
  "input schema"
] as const

export type Feature = (typeof features)[number]

export type Works = Readonly<Record<string, Work>>

export interface Peer {
  readonly name: string
  /** Why it does not have a feature. */
  readonly lacks: { readonly [F in Feature]?: string }
  /** One policy, for many calls. */
  readonly caller: (options: CallOptions) => Call
  /** Opens after so many failures in a row. */
  readonly circuit?: (options: { failures: number; resetMs: number; limitMs?: number }) => Promise<Circuit>
  /** All at once; what fails is kept beside the others, or ends the run (`failFast`). */
  readonly fan?: (works: Works, options?: { limitMs?: number; failFast?: boolean }) => Running<Fan>
  /** A fan-out of `plain`, and of `inner`: another fan-out, whose value is how many of its flows succeeded. */
  readonly nested?: (plain: Work, inner: Works) => Running<Fan>
  /** Two flows at a time that set one key. */
  readonly conflict?: () => Promise<Outcome>
  readonly map?: (items: ReadonlyArray<Work>, concurrency?: number) => Running<Fan>
  /** A call with a listener that is told of its success. */
  readonly listened?: (work: Work, listener: () => void | Promise<void>) => Running<Outcome>
  /** Builds a graph with an edge to a node that it does not have. */
  readonly unknownNode?: () => void
  /** Builds a graph with two nodes of one name. */
  readonly sameName?: () => void
  /** A node that always comes back to itself, in a graph that allows so many steps. */
  readonly loop?: (body: () => void, steps: number) => Promise<Outcome>
  /** A graph for `{ n: number }`, given a text. */
  readonly input?: (body: () => void) => Promise<Outcome>
}

export const success = (value: unknown): Outcome => ({ is: "success", value })

export const failure = (error: unknown): Outcome => ({ is: "failure", error })

/** Starts a call of a Promise-based peer that takes the caller's `AbortSignal`. */
export const running = <A>(
  start: (signal: AbortSignal) => Promise<A>,
  onError: (error: unknown, cancelled: boolean) => A
): Running<A> => {
  const controller = new AbortController()
  const end = Promise.resolve().then(() => start(controller.signal))
    .catch((error: unknown) => onError(error, controller.signal.aborted))
  return { end, cancel: () => controller.abort() }
}

/** For peers that give their work no signal. */
export const neverAborted = new AbortController().signal
