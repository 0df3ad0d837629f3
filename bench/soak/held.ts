/** What a process holds: its heap after collection, running fibers, and what keeps its event loop busy. */
import { Effect, Metric } from "effect"
import { setFlagsFromString } from "node:v8"

/** Counts the fibers of what it tracks, those that the library starts included. */
export class Fibers {
  started = 0
  ended = 0
  get alive(): number {
    return this.started - this.ended
  }
  readonly track = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => void this.started++,
      recordFiberEnd: () => void this.ended++
    })
}

/** What keeps the event loop busy: `timers` by number, everything else by name. */
export interface Busy {
  readonly timers: number
  readonly handles: ReadonlyArray<string>
}

export const busy = (): Busy => {
  const resources = process.getActiveResourcesInfo()
  return {
    timers: resources.filter((name) => name === "Timeout").length,
    handles: resources.filter((name) => name !== "Timeout" && name !== "Immediate").sort()
  }
}

/** The handles that were not there before. */
export const added = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): ReadonlyArray<string> => {
  const left = [...before]
  return after.filter((name) => {
    const index = left.indexOf(name)
    if (index >= 0) left.splice(index, 1)
    return index < 0
  })
}

/** Lets what has ended leave: a few turns of the event loop. */
export const turns: Effect.Effect<void> = Effect.promise(async () => {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
})

/** Bytes of the heap after collection. Needs `node --expose-gc`. */
export const heap = (): number => {
  if (globalThis.gc === undefined) throw new Error("heap after collection needs `node --expose-gc`")
  // Or else the code of what was not called for a while goes too: megabytes, behind which a leak could hide.
  setFlagsFromString("--no-flush-bytecode")
  // What finalizers of the first collection let go is gone after the second.
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

/** A measurement between runs, when nothing should be running. */
export interface Held {
  readonly heap: number
  readonly fibers: number
  readonly timers: number
}

export const held = (fibers: Fibers): Effect.Effect<Held> =>
  Effect.map(turns, () => ({ fibers: fibers.alive, timers: busy().timers, heap: heap() }))
