/** A fan-out whose branches fail, hang, refuse and reject as a seed says. */
import { Effect, Exit } from "effect"
import { GraphError, type ParallelConfig } from "effect-stategraph"
import type { Random } from "../simulation/random.ts"
import { type Body, boom, type Branches, fan, type Result } from "./fan.ts"
import { unsound } from "./records.ts"
import type { Runner } from "./scenario.ts"

/** Rejects when it is told to stop: when nobody listens any more. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))

const bodyOf = (random: Random): Body => {
  const kind = random.below(11)
  const ms = random.below(6)
  const failures = random.below(3)
  return (_state, { attempt }) => {
    const fails = attempt <= failures
    switch (kind) {
      case 0:
        return { n: ms }
      case 1:
        return fails ? boom(`failure ${attempt}`) : Effect.succeed({ n: attempt })
      case 2:
        return Effect.andThen(Effect.sleep(ms), fails ? boom("late failure") : Effect.void)
      case 3:
        return fails ? Effect.die(new Error("a defect")) : Effect.void
      case 4:
        return Effect.promise(() => fails ? Promise.reject(new Error("rejected")) : Promise.resolve())
      case 5:
        return Effect.tryPromise(async () => {
          await Promise.resolve()
          if (fails) throw new TypeError("rejected later")
        })
      case 6:
        return Effect.tryPromise(aborted)
      case 7:
        return Effect.never
      case 8:
        return Effect.uninterruptible(Effect.sleep(ms + 5))
      case 9:
        if (fails) throw new Error("thrown")
        return { n: ms }
      default:
        return Effect.as(Effect.sleep(ms), { n: ms })
    }
  }
}

const configOf = (random: Random): ParallelConfig.Input => ({
  // Each hangs at most so long.
  timeout: 2 + random.below(8),
  ...random.chance(0.2) ? { totalTimeout: 5 + random.below(20) } : {},
  ...random.chance(0.5)
    ? { retry: { maxRetries: random.below(3), baseDelay: random.below(3), jitter: random.pick([0, 0.5]) } }
    : {},
  ...random.chance(0.5)
    ? { circuitBreaker: { key: "shared", failureThreshold: 1 + random.below(2), resetTimeout: 1 + random.below(5) } }
    : {}
})

export interface Faulty {
  /** What is wrong, in words. */
  readonly problems: ReadonlyArray<string>
  /** What became of every flow. */
  readonly outcomes: ReadonlyArray<string>
}

/** One run; `by` is how it is waited for. */
export const faulty = (
  random: Random,
  run: Runner,
  by: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<Exit.Exit<A, E>>
): Effect.Effect<Faulty> => {
  const circuit = configOf(random).circuitBreaker
  const entries = Array.from({ length: 1 + random.below(6) }, (_, i) => {
    const config = configOf(random)
    // One key, one configuration.
    const own = config.circuitBreaker === undefined || circuit === undefined
      ? { ...config, circuitBreaker: false as const }
      : { ...config, circuitBreaker: circuit }
    return [`b${i}`, [bodyOf(random), own] as const] as const
  })
  const branches: Branches = Object.fromEntries(entries)
  const g = fan(branches, {
    graph: {
      grace: random.pick([0, 2, 50]),
      failFast: random.chance(0.1),
      concurrency: random.chance(0.2) ? 2 : "unbounded"
    }
  })
  return Effect.map(by(run(g.graph, { n: 0 })), (exit) => {
    const problems: Array<string> = []
    let results: ReadonlyArray<Result> = g.results
    if (Exit.isSuccess(exit)) {
      if (g.joins.length !== 1) problems.push(`${g.joins.length} joins`)
      const names = results.map(({ branch }) => branch).join()
      if (names !== Object.keys(branches).join()) problems.push(`results of ${names}`)
    } else {
      const error = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
      if (error?._tag !== "Fail" || !(error.error instanceof GraphError.FailFastError)) {
        problems.push(String(exit.cause))
      } else results = [...error.error.settled, error.error.result] as Array<Result>
      if (g.joins.length !== 0) problems.push("a fan-in after a fail-fast")
    }
    problems.push(...results.flatMap((result) => unsound(result)))
    return { problems, outcomes: results.map(({ _tag, attempts, branch }) => `${branch} ${_tag} ${attempts}`) }
  })
}
