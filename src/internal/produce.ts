/**
 * Step 4, for a map: one flow per item, started as places become free. Never more items are looked at than can start: a
 * hundred thousand of them are not a hundred thousand fibers.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { DuplicateKeyError } from "../GraphError.ts"
import type * as RunState from "../RunState.ts"
import type { Line } from "./cells.ts"
import { start } from "./flow.ts"
import { call, contextOf } from "./node.ts"
import type { Places } from "./places.ts"
import type { MapData, PlanEdge, PlanNode, State } from "./plan.ts"
import { progressed } from "./settle.ts"
import type { Flow, Join, MapLaunch, Mapped, Producer } from "./work.ts"

/** Starts without waiting after which a map lets others have their turn. */
const maxStartsInOneGo = 256

interface Around {
  readonly line: Line
  /** The node whose completion started it. */
  readonly node: PlanNode
  readonly edge: PlanEdge
  readonly map: MapData
  readonly join: Join
  readonly places: Places | undefined
  readonly of: MapLaunch
  /** That of the line when it launched the map: what all its flows start from. */
  readonly state: State
  readonly flowOf: (item: Item, config: Flow["config"]) => Flow
}

export type Item = Omit<Mapped, "of">

export class MapProducer implements Producer {
  readonly #around: Around
  readonly #keys = new Set<string>()
  #fiber: Fiber.Fiber<unknown, unknown> | undefined
  #items: Iterator<unknown> | undefined
  /** The items as a list, if they came as one; the first of them has this index. */
  #list: ReadonlyArray<unknown> | undefined
  #listFrom = 0
  /** Of a saved run: so many have been launched before. */
  readonly #resumed: RunState.MapState | undefined
  #index = 0
  /** An item that waits for its place. */
  #waiting = false
  #giveUp: (() => void) | undefined
  #stopped = false
  #left = false

  constructor(around: Around, resumed?: RunState.MapState) {
    this.#around = around
    this.#resumed = resumed
    if (resumed !== undefined) {
      this.#index = this.#listFrom = resumed.index
      const { map, of } = around
      if (map.key !== undefined) { for (const entry of of.entries) this.#keys.add(of.keyOf(entry)) }
    }
    around.join.producers.add(this)
    around.join.pending++
  }

  begin(): void {
    const { edge, line, map, node, state } = this.#around
    if (this.#resumed?.items !== undefined) {
      const { decode } = line.run.codecs.item(edge)
      return this.#take(this.#resumed.items.map((item) => decode(item, "item")))
    }
    const returned = call(line, line.context, contextOf(line, node), map.items, state)
    if (Exit.isExit(returned)) return this.#arrived(returned)
    this.#watch(returned, (exit) => this.#arrived(exit))
  }

  #watch(fiber: Fiber.Fiber<unknown, unknown>, next: (exit: Exit.Exit<unknown, unknown>) => void): void {
    this.#fiber = fiber
    fiber.addObserver((exit) => {
      this.#fiber = undefined
      if (this.#stopped) this.#leave()
      else next(exit)
    })
  }

  #arrived(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isFailure(exit)) return this.#fail(exit.cause)
    const items = exit.value
    if (Stream.isStream(items)) return this.#read(items)
    if (typeof items !== "object" || items === null || !(Symbol.iterator in items)) {
      return this.#fail(Cause.die(new TypeError(`items of ${this.#name} are no list, no iterable and no Stream`)))
    }
    if (Array.isArray(items)) {
      const repeated = this.#repeated(items)
      if (repeated !== undefined) return this.#fail(repeated)
    }
    this.#take(items as Iterable<unknown>, this.#resumed?.index)
  }

  /** `skip`: so many of them have been launched before. */
  #take(items: Iterable<unknown>, skip = 0): void {
    const iterator = items[Symbol.iterator]()
    this.#items = iterator
    if (Array.isArray(items)) {
      this.#list = items
      this.#listFrom = this.#index - skip
    }
    try {
      for (let i = 0; i < skip && iterator.next().done !== true; i++);
    } catch (defect) {
      return this.#fail(Cause.die(defect))
    }
    this.#pump()
  }

  capture(): RunState.MapState {
    const { edge, line, of: { launch, rank }, state } = this.#around
    const { codecs } = line.run
    const { encode } = codecs.item(edge)
    const items = this.#list === undefined
      ? this.#resumed?.items
      : this.#list.slice(this.#index - this.#listFrom).map((item, i) =>
        encode(item, `item ${this.#index + i} of ${this.#name}`)
      )
    const saved = {
      from: edge.from,
      name: edge.name,
      launch,
      rank,
      state: codecs.encodeState(state, `${this.#name}: state`),
      index: this.#index
    }
    return items === undefined ? saved : { ...saved, items }
  }

  /** A list is refused as a whole. */
  #repeated(items: ReadonlyArray<unknown>): Cause.Cause<unknown> | undefined {
    const { map: { key } } = this.#around
    if (key === undefined) return undefined
    const seen = new Set<string>()
    const twice = new Set<string>()
    try {
      items.forEach((item, index) => {
        const own = key(item, index)
        if (seen.has(own)) twice.add(own)
        seen.add(own)
      })
    } catch (defect) {
      return Cause.die(defect)
    }
    return twice.size === 0 ? undefined : Cause.fail(this.#duplicate([...twice]))
  }

  /** Takes from an iterator for as long as there are places. */
  #pump(): void {
    let started = 0
    while (!this.#stopped) {
      if (++started > maxStartsInOneGo) return this.#pause()
      let next: IteratorResult<unknown>
      try {
        next = this.#items!.next()
      } catch (defect) {
        return this.#fail(Cause.die(defect))
      }
      if (next.done === true) return this.#leave()
      let now = true
      let went = false
      this.#offer(next.value, () => {
        went = true
        if (!now) this.#pump()
      })
      now = false
      if (!went) return
    }
  }

  #pause(): void {
    this.#watch(Effect.runForkWith(this.#around.line.context)(Effect.yieldNow), () => this.#pump())
  }

  /** A stream is pulled when the item before has its place. */
  #read(items: Stream.Stream<unknown, unknown, unknown>): void {
    const each = Stream.runForEach(
      Stream.drop(items as Stream.Stream<unknown, unknown>, this.#resumed?.index ?? 0),
      (item) =>
        Effect.callback<void>((resume) => {
          this.#offer(item, () => resume(Effect.void))
        })
    )
    const fiber = Effect.runForkWith(this.#around.line.context)(each)
    const exit = fiber.pollUnsafe()
    const ended = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? this.#fail(exit.cause) : this.#leave()
    if (exit === undefined) this.#watch(fiber, ended)
    else if (!this.#left) ended(exit)
  }

  /** Starts the flow of an item, now or when there is a place, then goes on. */
  #offer(item: unknown, next: () => void): void {
    const { places } = this.#around
    if (places === undefined) {
      if (this.#launch(item)) next()
      return
    }
    this.#waiting = true
    const giveUp = places.take(() => {
      this.#waiting = false
      this.#giveUp = undefined
      if (this.#stopped || !this.#launch(item)) return places.release()
      next()
    })
    if (this.#waiting) this.#giveUp = giveUp
  }

  #launch(item: unknown): boolean {
    const { edge, flowOf, line, map, places } = this.#around
    const index = this.#index
    let flow: Flow
    try {
      const key = map.key === undefined ? String(index) : map.key(item, index)
      if (map.key !== undefined && this.#keys.has(key)) {
        this.#fail(Cause.fail(this.#duplicate([key])))
        return false
      }
      if (map.key !== undefined) this.#keys.add(key)
      const config = map.config === undefined
        ? Result.succeed(line.run.configOf(edge))
        : line.run.configOfItem(edge, map.config(item, index))
      if (Result.isFailure(config)) {
        this.#fail(Cause.fail(config.failure[0]))
        return false
      }
      flow = flowOf({ key, item, index, circuitKey: map.circuitKey?.(item, index) }, config.success)
      this.#index++
    } catch (defect) {
      this.#fail(Cause.die(defect))
      return false
    }
    flow.holdsPlace = places !== undefined
    start(flow)
    return true
  }

  get #name(): string {
    const { edge, line, node } = this.#around
    return `the map "${edge.name}" from node "${node.name}" of graph "${line.run.plan.name}"`
  }

  #duplicate(keys: ReadonlyArray<string>): DuplicateKeyError {
    const { edge, line, node } = this.#around
    return new DuplicateKeyError({
      graph: line.run.plan.name,
      node: node.name,
      ...(line.flow === undefined ? {} : { branch: line.flow.branch }),
      name: edge.name,
      keys
    })
  }

  /** What the items fail with, the line that launched them fails with. */
  #fail(cause: Cause.Cause<unknown>): void {
    const { line, node } = this.#around
    this.#stopped = true
    line.run.cut(line, { _tag: "Failed", cause, node: node.name })
    if (this.#fiber === undefined) this.#leave()
  }

  readonly stop = (): void => {
    if (this.#left) return
    this.#stopped = true
    this.#giveUp?.()
    if (this.#fiber === undefined) this.#leave()
    else this.#fiber.interruptUnsafe()
  }

  readonly abandon = (): Fiber.Fiber<unknown, unknown> | undefined => {
    const fiber = this.#fiber
    this.#stopped = true
    this.#leave()
    return fiber
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.#stopped = true
    const { join, line } = this.#around
    join.producers.delete(this)
    join.pending--
    try {
      this.#items?.return?.()
    } catch {
      // What a generator does when it is dropped is no error of the run.
    }
    progressed(line, join)
  }
}
