/**
 * Virtual time that is driven by hand and at once: no turn of a run waits for anything real, so that a run of a minute takes a
 * millisecond, and always goes the same way. It knows every timer and every fiber that is left.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Metric, Scheduler } from "effect"
import { TestClock } from "effect/testing"

/** Turns after which what never stops is not waited for any more. */
const maxTurns = 200_000

interface Due {
  readonly at: number
  readonly what: () => void
}

export class Virtual {
  readonly #turns: Array<() => void> = []
  readonly #timers = new Set<{ readonly at: number }>()
  readonly #agenda: Array<Due> = []
  readonly #test: TestClock.TestClock
  readonly #scheduler = new Scheduler.MixedScheduler("async", (turn) => {
    this.#turns.push(turn)
    return () => void this.#turns.splice(this.#turns.indexOf(turn), 1)
  })
  readonly #own: Context.Context<never>
  /** How far the wall clock is from where it should be. */
  #jumpedMs = 0
  /** Fibers of what runs here that have not ended. */
  fibers = 0
  /** It makes turns without an end. */
  isBusy = false
  /** What runs here needs it. */
  readonly context: Context.Context<never>

  constructor() {
    // Its scope is closed at once, so that it never warns in real time.
    this.#test = Effect.runSync(Effect.scoped(TestClock.make()))
    this.#own = Context.make(Scheduler.Scheduler, this.#scheduler)
    this.context = this.#own.pipe(
      Context.add(Clock.Clock, this.#clock()),
      Context.add(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => void this.fibers++,
        recordFiberEnd: () => void this.fibers--
      })
    ) as Context.Context<never>
  }

  #clock(): Clock.Clock {
    const test = this.#test
    const millis = () => test.currentTimeMillisUnsafe() + this.#jumpedMs
    const nanos = () => test.currentTimeNanosUnsafe() + BigInt(this.#jumpedMs) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeNanosUnsafe: nanos,
      monotonicTimeNanosUnsafe: () => test.monotonicTimeNanosUnsafe(),
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanos: test.monotonicTimeNanos,
      sleep: (duration) => this.#sleep(duration)
    }
  }

  #sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const timer = { at: this.now + Duration.toMillis(duration) }
        this.#timers.add(timer)
        return timer
      }),
      () => this.#test.sleep(duration),
      (timer) => Effect.sync(() => void this.#timers.delete(timer))
    )
  }

  /** Milliseconds, whatever the wall clock says. */
  get now(): number {
    return this.#test.currentTimeMillisUnsafe()
  }

  get timers(): number {
    return this.#timers.size
  }

  /** The wall clock is set. */
  jump(byMs: number): void {
    this.#jumpedMs += byMs
  }

  /** To be done at an instant. */
  at(at: number, what: () => void): void {
    this.#agenda.push({ at, what })
    this.#agenda.sort((a, b) => a.at - b.at)
  }

  fork<A, E>(self: Effect.Effect<A, E>) {
    return Effect.runForkWith(this.context)(self)
  }

  /** Everything that happens without time. */
  settle(): void {
    for (let turns = 0; this.#turns.length > 0; turns++) {
      if (turns === maxTurns) {
        this.isBusy = true
        return
      }
      this.#turns.shift()!()
    }
  }

  #set(at: number): void {
    Effect.runForkWith(this.#own)(this.#test.setTime(at))
    this.settle()
  }

  #next(): number {
    let next = this.#agenda[0]?.at ?? Infinity
    for (const { at } of this.#timers) if (at < next) next = at
    return next
  }

  /** On to the next timer. */
  tick(): void {
    const next = this.#next()
    if (next < Infinity) this.#set(Math.max(next, this.now))
  }

  /** From timer to timer, until it has ended or so many milliseconds have passed. */
  run(hasEnded: () => boolean, ms: number): void {
    const until = this.now + ms
    this.settle()
    while (!hasEnded() && !this.isBusy) {
      const next = this.#next()
      if (next > until) return this.#set(until)
      this.#set(Math.max(next, this.now))
      while (this.#agenda.length > 0 && this.#agenda[0]!.at <= this.now) this.#agenda.shift()!.what()
      this.settle()
    }
  }

  /** What an effect gives that needs no time. */
  get<A, E>(self: Effect.Effect<A, E>): A {
    const fiber = this.fork(self)
    this.settle()
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error("it has not ended at once")
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    return exit.value
  }
}
