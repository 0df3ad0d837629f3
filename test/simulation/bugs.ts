/** Bugs that somebody could make in the engine. Each is a change of one place of the sources. */
export interface Bug {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

export const bugs: ReadonlyArray<Bug> = [
  {
    name: "slot leak: an interrupted probe keeps its slot",
    file: "internal/withCircuit.ts",
    find: `? permit.record("ignored")\n    :`,
    replace: `? Effect.succeed({ circuitState: "HALF_OPEN" } as const)\n    :`
  },
  {
    name: "place leak: a flow that waits for a retry does not give its place back",
    file: "internal/withRetry.ts",
    find: `if (work.scope === "flow") releasePlace(work)`,
    replace: `if (work.scope === "flow") work.holdsPlace = false`
  },
  {
    name: "wrong order: results of maps come after all others",
    file: "internal/work.ts",
    find: "\n      .sort((a, b) => a.rank - b.rank)",
    replace: ""
  },
  {
    name: "lost result: a join leaves rejected flows out",
    file: "internal/walk.ts",
    find: "const results = join?.results()",
    replace: `const results = join?.results().filter(({ _tag }) => _tag !== "Rejected")`
  },
  {
    name: "double join: a fan-in that has joined its flows keeps them",
    file: "internal/walk.ts",
    find: "line.open = line.open.filter((other) => other !== join)",
    replace: "line.open = line.open.filter((other) => other !== join || line.visitsOf(at) > 0)"
  },
  {
    name: "double end: a flow that was abandoned settles again when it ends",
    file: "internal/settle.ts",
    find: "if (flow.result !== undefined) return\n",
    replace: "if (flow.result !== undefined && !flow.result.abandoned) return\n"
  },
  {
    name: "retry overlapping: what was cut is not waited for before the next attempt",
    file: "internal/flow.ts",
    find: "    drained(work),\n",
    replace: ""
  },
  {
    name: "timeout without interruption: an attempt that reached its limit goes on",
    file: "internal/attempt.ts",
    find: "  line.fiber?.interruptUnsafe()\n  tell(line)",
    replace: `  if (how._tag !== "Limit") line.fiber?.interruptUnsafe()\n  tell(line)`
  },
  {
    name: "probe count off by one: a half-open circuit lets one probe too many through",
    file: "CircuitBreaker.ts",
    find: "live.length < config.halfOpenMaxCalls",
    replace: "live.length <= config.halfOpenMaxCalls"
  },
  {
    name: "attempt while OPEN: a retry does not take no for an answer",
    file: "internal/withCircuit.ts",
    find: "if (work.continues) return",
    replace: "if (work.continues || work.attempts > 0) return"
  },
  {
    name: "one attempt too many: the first attempt counts as a retry",
    file: "internal/withRetry.ts",
    find: "if (attempt > policy.maxRetries) return",
    replace: "if (attempt > policy.maxRetries + 1) return"
  },
  {
    name: "callback event lost: what comes while a hook runs is dropped",
    file: "internal/callbacks.ts",
    find: "    this.#queue.push(call)\n    if (this.#busy) return\n",
    replace: "    if (this.#busy) return\n    this.#queue.push(call)\n"
  },
  {
    name: "saved step run again: a node that was completed is saved as one that is to be run",
    file: "internal/capture.ts",
    find: `phase: line.phase === "entered" ? "before" : line.phase,`,
    replace: `phase: line.phase === "launched" ? "launched" : "before",`
  },
  {
    name: "stale permission: a circuit is told of outcomes of an earlier generation",
    file: "CircuitBreaker.ts",
    find: `generation !== state.generation || outcome === "ignored"`,
    replace: `outcome === "ignored"`
  },
  {
    name: "grace not kept: what refuses to stop is waited for 5 ms too long",
    file: "internal/attempt.ts",
    find: "cancelTimer = startTimer(line.context, line.run.clock, graceMs,",
    replace: "cancelTimer = startTimer(line.context, line.run.clock, graceMs + 5,"
  },
  {
    name: "lost deadline: the total limit begins anew with every attempt",
    file: "internal/withDeadline.ts",
    find: "work.startedAt + work.config.totalTimeoutMs - now",
    replace: "work.config.totalTimeoutMs"
  },
  {
    name: "wall clock in a limit: monotonic time is that of the wall",
    file: "internal/time.ts",
    find: "Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000",
    replace: "clock.currentTimeMillisUnsafe()"
  },
  {
    name: "timer left: a limit is not called off when its attempt ends",
    file: "internal/attempt.ts",
    find: "  line.how = how\n  line.cancelTimer?.()\n",
    replace: "  line.how = how\n"
  },
  {
    name: "step not saved: a line goes on while its save is on",
    file: "internal/saver.ts",
    find: `if (this.#around.durability === "async") return false`,
    replace: "return false"
  },
  {
    name: "span left open: that of a node that is interrupted",
    file: "internal/walk.ts",
    find: "  endSpan(line.run, line.runningSpan, exit)\n  if (isInterruption(exit))",
    replace: "  if (!isInterruption(exit)) endSpan(line.run, line.runningSpan, exit)\n  if (isInterruption(exit))"
  },
  {
    name: "resource left open: the scope of a node is not closed",
    file: "internal/node.ts",
    find: "Scope.closeUnsafe(scope, exit) ?? Effect.void",
    replace: "Exit.isSuccess(exit) ? Scope.closeUnsafe(scope, exit) ?? Effect.void : Effect.void"
  }
]
