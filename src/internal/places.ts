/**
 * The places of one fan-out with limited `concurrency`, handed out in order of asking.
 */
export class Places {
  #free: number
  readonly #queue: Array<() => void> = []
  #granting = false

  constructor(size: number) {
    this.#free = size
  }

  /** Calls back once, now or later, with a place taken. The returned function gives up waiting. */
  take(granted: () => void): () => void {
    this.#queue.push(granted)
    this.#grant()
    return () => {
      const index = this.#queue.indexOf(granted)
      if (index >= 0) this.#queue.splice(index, 1)
    }
  }

  release(): void {
    this.#free++
    this.#grant()
  }

  /** A loop, not a recursion: a flow that ends at once releases its place while it is being granted. */
  #grant(): void {
    if (this.#granting) return
    this.#granting = true
    while (this.#free > 0) {
      const next = this.#queue.shift()
      if (next === undefined) break
      this.#free--
      next()
    }
    this.#granting = false
  }
}
