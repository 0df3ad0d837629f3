/**
 * What a scenario has its peers do: work that is slow, fails, throws, hangs or does not listen, and remembers what happened
 * to it. It has two forms, each as users of the peer would write it: an async function with an `AbortSignal`, and an Effect.
 */
import { Effect } from "effect"

export interface Does {
  /** How long it takes; `Infinity` hangs. Default: 0. */
  readonly ms?: number
  readonly value?: unknown
  /** It fails with this; a `TypeError` is a bug of the work, in Effect a defect. */
  readonly error?: Error
  /** It throws its error before it has made a Promise. */
  readonly throws?: boolean
  /** A Promise that ignores its `AbortSignal`, in both forms. */
  readonly deaf?: boolean
  /** The same, and in Effect an uninterruptible region. */
  readonly refuses?: boolean
  /** How long it cleans up once it has been stopped. */
  readonly cleanupMs?: number
  /** How long it holds the thread. */
  readonly busyMs?: number
}

const everything = new Set<Work>()

/** Waits until no work runs any more, so that one scenario does not meet what another left behind. */
export const settled = async (atMostMs: number): Promise<void> => {
  const until = performance.now() + atMostMs
  const runs = () => [...everything].some(({ active, ends }) => active > 0 && ends)
  while (runs() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5))
  everything.clear()
}

export class Work {
  starts = 0
  active = 0
  /** The most that ran at a time. */
  peak = 0
  /** How often it was told to stop. */
  stopped = 0
  /** Whether what runs now ends by itself. */
  ends = true
  readonly startedAt: Array<number> = []
  readonly endedAt: Array<number> = []
  readonly #does: (attempt: number) => Does

  constructor(does: Does | ((attempt: number) => Does)) {
    this.#does = typeof does === "function" ? does : () => does
    everything.add(this)
  }

  #end(): void {
    this.active--
    this.endedAt.push(performance.now())
  }

  #begin(): Does {
    this.starts++
    this.active++
    this.peak = Math.max(this.peak, this.active)
    this.startedAt.push(performance.now())
    const does = this.#does(this.starts)
    this.ends = does.ms !== Infinity
    return does
  }

  promise(signal: AbortSignal): Promise<unknown> {
    const { busyMs = 0, cleanupMs = 0, deaf, error, ms = 0, refuses, throws = false, value } = this.#begin()
    if (throws) {
      this.#end()
      throw error
    }
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#end()
        settle()
      }
      if (busyMs > 0) {
        spin(busyMs)
        return end(() => resolve(value))
      }
      const stop = () => {
        clearTimeout(timer)
        this.stopped++
        const stopped = () => end(() => reject(signal.reason))
        if (cleanupMs === 0) stopped()
        else setTimeout(stopped, cleanupMs)
      }
      const timer = ms === Infinity ? undefined : setTimeout(() => {
        signal.removeEventListener("abort", stop)
        end(() => error === undefined ? resolve(value) : reject(error))
      }, ms)
      if (deaf || refuses) return
      if (signal.aborted) stop()
      else signal.addEventListener("abort", stop, { once: true })
    })
  }

  readonly effect: Effect.Effect<unknown, unknown> = Effect.suspend(() => {
    const { deaf, refuses } = this.#does(this.starts + 1)
    if (deaf || refuses) {
      const promised = Effect.tryPromise({ try: (signal) => this.promise(signal), catch: (error) => error })
      return refuses ? Effect.uninterruptible(promised) : promised
    }
    const { busyMs = 0, cleanupMs = 0, error, ms = 0, throws = false, value } = this.#begin()
    if (throws) {
      this.#end()
      throw error
    }
    spin(busyMs)
    const end = error === undefined
      ? Effect.succeed(value)
      : error instanceof TypeError
      ? Effect.die(error)
      : Effect.fail(error)
    return (ms === Infinity ? Effect.never : busyMs > 0 ? Effect.void : Effect.sleep(ms)).pipe(
      Effect.andThen(end),
      Effect.onInterrupt(() => {
        this.stopped++
        return cleanupMs === 0 ? Effect.void : Effect.sleep(cleanupMs)
      }),
      Effect.ensuring(Effect.sync(() => this.#end()))
    )
  })
}

const spin = (ms: number): void => {
  const until = performance.now() + ms
  while (performance.now() < until);
}
