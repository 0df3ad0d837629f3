/**
 * Bulkheads by key: permits in the order of asking, handed from one to the next.
 *
 * What runs within work that has a permit must not wait for another one that its own work keeps from it, for ever if need be:
 * it takes a free one, or in turn with its siblings the one that it is within, whichever comes first.
 */
import * as Context from "effect/Context"
import type { Limit, Snapshot } from "../Bulkhead.ts"

/** Who has asked for a permit. */
interface Place {
  readonly isGranted: () => boolean
  /** Calls back once, now or later, with the permit. */
  readonly take: (go: () => void) => void
  /** Gives the permit back, or gives up waiting; once. */
  readonly release: () => void
}

/** The answer to an ask: refused, or a permit that is there now or comes in turn. */
export type Asked =
  | { readonly _tag: "Full"; readonly permits: number; readonly queue: number }
  | (Pick<Place, "take" | "release"> & {
    readonly _tag: "Waits"
    /** The permits around, and this one: for what runs with it. */
    readonly held: Held
    readonly conflict: string | undefined
  })

/** The permits around, by key. */
export type Held = ReadonlyMap<string, Permit>

export const CurrentPermits: Context.Reference<Held> = Context.Reference<Held>(
  "effect-stategraph/internal/CurrentPermits",
  { defaultValue: () => new Map() }
)

/** A permit, as what runs with it sees it. */
class Permit {
  readonly #of: Bulkheads
  #lends: Bulkheads | undefined
  isHeld = false

  constructor(of: Bulkheads) {
    this.#of = of
  }

  /** A turn with it, for one that asks the same bulkhead from within. */
  lend(to: Bulkheads, key: string): Place | undefined {
    if (!this.isHeld || to !== this.#of) return undefined
    this.#lends ??= new Bulkheads()
    return this.#lends.enter({ key, permits: 1, queue: Infinity })
  }
}

interface Waiter {
  granted: boolean
  go: (() => void) | undefined
}

interface Entry {
  readonly permits: number
  inUse: number
  readonly queue: Array<Waiter>
}

export class Bulkheads {
  readonly #entries = new Map<string, Entry>()
  readonly #ready: Array<Waiter> = []
  #granting = false

  /** Looks at every bulkhead that is in use. */
  get states(): ReadonlyArray<Snapshot> {
    return Array.from(
      this.#entries,
      ([key, { inUse, permits, queue }]) => ({ key, permits, inUse, waiting: queue.length })
    )
  }

  /** Asks for a permit, behind everybody who waits already. @internal */
  ask(limit: Limit, around: Held): Asked {
    const { key, permits, queue } = limit
    const lent = around.get(key)?.lend(this, key)
    const own = lent?.isGranted() === true ? lent : this.enter(limit)
    const current = this.#entries.get(key)?.permits ?? permits
    if (own === undefined) {
      lent?.release()
      return { _tag: "Full", permits: current, queue }
    }
    const permit = new Permit(this)
    const { release, take } = lent === undefined || lent === own ? own : either(own, lent)
    return {
      _tag: "Waits",
      take: (go) =>
        take(() => {
          permit.isHeld = true
          go()
        }),
      release: () => {
        permit.isHeld = false
        release()
      },
      held: new Map(around).set(key, permit),
      conflict: current === permits
        ? undefined
        : `bulkhead "${key}" has ${current} permits already, ${permits} are ignored while it is in use`
    }
  }

  /** Has a permit, or waits for one; nothing, when there is no room to wait. @internal */
  enter({ key, permits, queue }: Limit): Place | undefined {
    const entry = this.#entries.get(key) ?? { permits, inUse: 0, queue: [] }
    const waiter: Waiter = { granted: entry.inUse < entry.permits, go: undefined }
    if (!waiter.granted && entry.queue.length >= queue) return undefined
    this.#entries.set(key, entry)
    if (waiter.granted) entry.inUse++
    else entry.queue.push(waiter)
    let released = false
    return {
      isGranted: () => waiter.granted,
      take: (go) => {
        if (waiter.granted) go()
        else waiter.go = go
      },
      release: () => {
        if (released) return
        released = true
        this.#release(key, entry, waiter)
      }
    }
  }

  #release(key: string, entry: Entry, waiter: Waiter): void {
    if (!waiter.granted) {
      const index = entry.queue.indexOf(waiter)
      if (index >= 0) entry.queue.splice(index, 1)
      return
    }
    const next = entry.queue.shift()
    if (next !== undefined) {
      // The permit goes from hand to hand: nobody who asks meanwhile can be faster.
      next.granted = true
      this.#ready.push(next)
      return this.#grant()
    }
    if (--entry.inUse === 0) this.#entries.delete(key)
  }

  /** A loop, not a recursion: what ends at once releases its permit while it is being granted. */
  #grant(): void {
    if (this.#granting) return
    this.#granting = true
    for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) next.go?.()
    this.#granting = false
  }
}

/** Waits in two places, and leaves the one that comes second. */
const either = (a: Place, b: Place): Pick<Place, "take" | "release"> => {
  let isTaken = false
  return {
    take: (go) => {
      const first = (other: Place) => () => {
        if (isTaken) return
        isTaken = true
        other.release()
        go()
      }
      a.take(first(b))
      b.take(first(a))
    },
    release: () => {
      a.release()
      b.release()
    }
  }
}
