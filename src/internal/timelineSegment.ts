/**
 * The parts of a lane.
 */
import type { Place } from "./timelineBranches.ts"
import type { Row } from "./timelineModel.ts"

/**
 * What a lane did in some time:
 *
 * - `node`, `fanIn`: a node of the main line ran;
 * - `gather`: the main line waited for its flows;
 * - `queue`: a flow waited to start, for its place or its permission;
 * - `attempt`: an attempt of a flow ran;
 * - `fallback`: what a flow does when its last attempt has failed;
 * - `stopping`: an attempt was cut, and its finalizers ran;
 * - `wait`: a flow waited before its next attempt;
 * - `ask`: the line waited for somebody, until the run was suspended;
 * - `abandoned`: work that did not stop, from when it was left alone; nobody knows until when;
 * - `rejected`, `limit`: an instant: a circuit or a limit refused; the time for all attempts was used up during a wait.
 */
export type Kind =
  | "node"
  | "fanIn"
  | "gather"
  | "queue"
  | "attempt"
  | "fallback"
  | "stopping"
  | "wait"
  | "ask"
  | "abandoned"
  | "rejected"
  | "limit"

export type Outcome = "success" | "failure" | "timeout" | "interrupted" | "suspended" | "open"

/** How an attempt of a node is drawn: a thin mark inside of what it belongs to. */
export interface Part {
  readonly outcome: Outcome | "rejected"
  readonly from: number
  readonly to: number
}

export interface Segment {
  readonly kind: Kind
  readonly outcome?: Outcome
  readonly from: number
  readonly to: number
  /** Drawn inside, when it fits. */
  readonly label: string
  readonly details: ReadonlyArray<string>
  /** When each further node of it began. */
  readonly marks: ReadonlyArray<number>
  /** What nodes with a policy of their own did in it. */
  readonly parts: ReadonlyArray<Part>
}

export interface Lane {
  /** Absent on the main line. */
  readonly branch: string | undefined
  readonly place: Place | undefined
  readonly fanIn: string | undefined
  readonly segments: ReadonlyArray<Segment>
  /** How it ended last. */
  readonly row: Row | undefined
}
