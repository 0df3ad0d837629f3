/** What is mutated, and by which tests. */

export interface Group {
  /** Files of `src`. */
  readonly files: ReadonlyArray<string>
  /** Test files that may notice; Stryker runs, for each mutant, those tests of them that execute it. */
  readonly tests: ReadonlyArray<string>
}

/** Tests of whole runs that are short. */
const runs = [
  "test/scenarios/ac*.test.ts",
  "test/{pairs,policyPairs,fallback*,lines,events,resume,resumeFlows,resumeTime,completion,*.edges}.test.ts"
]

/** All tests of runs, for what the short ones have not noticed. */
export const all: ReadonlyArray<string> = ["test/*.test.ts", "test/scenarios/*.test.ts", "test/testing/*.test.ts"]

/** They run first: short, and about everything. */
export const first: ReadonlyArray<string> = [
  "scenarios/",
  "policyPairs",
  "pairs",
  "fallback",
  "events",
  "lines",
  "resume",
  "time.",
  "policy.",
  "limit"
]

/** Not worth their time here: they are slow, start processes, or are about something else. */
export const leftOut: ReadonlyArray<string> = [
  "test/**/*.live.test.ts",
  "test/{docs,package,imports,kill,soak,deliberateBugs,examples,recipes,audit,demoView,answers,shapes,notEncodable}.test.ts",
  "test/{Timeline,Diagram,Checkpointer}*.test.ts",
  "test/{stopAnywhere,stoppedAnywhere,storeFaults,RunState.hostile,durability,anyConfig}.test.ts",
  "test/testing/{CheckpointerConformance,guide}.test.ts",
  "test/scenarios/ac8*.test.ts"
]

const groups = {
  circuit: {
    files: ["CircuitBreaker.ts", "internal/circuitWindow.ts", "internal/circuitOutcome.ts", "internal/withCircuit.ts"],
    tests: [
      "test/{CircuitBreaker,SharedCircuits}*.test.ts",
      "test/{circuitFlows,resumeCircuit,parked}.test.ts",
      ...runs
    ]
  },
  retry: {
    files: ["RetryPolicy.ts", "internal/withRetry.ts"],
    tests: ["test/RetryPolicy.test.ts", "test/policy.test.ts", ...runs]
  },
  config: {
    files: [
      "ParallelConfig.ts",
      "internal/option.ts",
      "internal/circuitOptions.ts",
      "internal/environment.ts",
      "internal/readOptions.ts"
    ],
    tests: [
      "test/{ParallelConfig,CircuitBreaker*,RetryPolicy,Bulkhead,badInput,validation,fallback,config.edges}.test.ts"
    ]
  },
  timeout: {
    files: ["internal/withDeadline.ts", "internal/time.ts", "internal/attempt.ts"],
    tests: ["test/{time,park,limit,points,suspend,FlowCallbacks,telemetry,subgraph,parallelMap}.test.ts", ...runs]
  },
  flow: {
    files: [
      "internal/flow.ts",
      "internal/attempts.ts",
      "internal/settle.ts",
      "internal/withFallback.ts",
      "internal/withLimit.ts",
      "internal/withPlace.ts"
    ],
    tests: ["test/{limit,circuitFlows,parked}.test.ts", ...runs]
  },
  route: {
    files: ["internal/walk.ts", "internal/fanOut.ts", "internal/paths.ts", "internal/node.ts"],
    tests: [
      "test/{paths,subgraph,reducers,points,suspend,parallelMap,resumeSubgraph,validation,progress,badInput,telemetry}.test.ts",
      "test/testing/Chaos.test.ts",
      ...runs
    ]
  }
} satisfies Record<string, Group>

export default groups as Readonly<Record<string, Group>>
