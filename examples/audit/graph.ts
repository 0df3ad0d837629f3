/**
 * The graph: reads the lock, then looks at every package in a flow of its own, and at what is in no package in one more.
 */
import { Effect, Schema } from "effect"
import { type ParallelFlowResult, StateGraph } from "../../src/index.ts"
import * as Lock from "./lock.ts"
import * as Manifest from "./manifest.ts"
import * as Measure from "./measure.ts"
import * as Report from "./report.ts"

export const State = Schema.Struct({
  /** A lock file, or a folder with one. */
  place: Schema.String,
  lock: Schema.optionalKey(Lock.Lock),
  report: Schema.optionalKey(Report.Report),

  // What a flow learns of its package. A flow that fails keeps what it knew by then: a broken package has a size too.
  folder: Schema.optionalKey(Schema.String),
  found: Schema.optionalKey(Schema.String),
  kind: Schema.optionalKey(Schema.Literals(["installed", "linked", "absent"])),
  size: Schema.optionalKey(Measure.Size),
  manifest: Schema.optionalKey(Manifest.Manifest),
  parts: Schema.optionalKey(Schema.Array(Measure.Part))
})
type State = typeof State.Type

export interface Options {
  /** Packages looked at at a time. */
  readonly concurrency: number
  /** How long the look at one may take. */
  readonly timeoutMs: number
}

export const make = ({ concurrency, timeoutMs }: Options) =>
  StateGraph.make("audit", State, { parallel: { timeout: timeoutMs } })
    .addNode("lock", ({ place }) => Effect.map(Lock.read(place), (lock) => ({ lock })))
    .addNode(
      "package",
      ({ lock }, { item }) =>
        Effect.map(Measure.measure(lock!, item), ({ folder, size, type }) => ({
          folder,
          found: type,
          kind: item.leadsTo !== undefined ? "linked" : type === "Nothing" && item.optional ? "absent" : "installed",
          size
        } as const)),
      { item: Lock.Locked }
    )
    .addNode("link", ({ folder, lock }, { item }) => Manifest.followLink(folder!, item.leadsTo!, lock!), {
      item: Lock.Locked
    })
    .addNode("manifest", ({ folder, found }) =>
      Effect.gen(function*() {
        if (found === "Nothing") return yield* new Manifest.PackageMissing()
        if (found !== "Directory") return yield* new Manifest.NotAFolder({ type: found! })
        return { manifest: yield* Manifest.read(folder!) }
      }))
    .addNode("compare", ({ manifest }, { item }) => Manifest.compare(manifest!, item), { item: Lock.Locked })
    .addNode("rest", ({ lock }) => Measure.measureRest(lock!))
    .addFanInNode("report", ({ lock }, { parallelResults }) => ({
      report: { modules: lock!.modules, ...reportOf(parallelResults) }
    }))
    .setEntryPoint("lock")
    .addParallelMap("lock", "package", "report", {
      items: ({ lock }) => lock!.packages,
      key: Lock.labelOf,
      concurrency
    })
    // An optional package that is not there is no failure, and there is nothing more to look at.
    .addConditionalEdges("package", ({ kind }) => kind!, {
      installed: "manifest",
      linked: "link",
      absent: StateGraph.END
    })
    .addEdge("manifest", "compare")
    .addParallelEdge("lock", "rest", "report")
    .setFinishPoint("report")
    .compile()

type Result = ParallelFlowResult.ParallelFlowResult<State, unknown>

const problemOf = (result: Result): { readonly problem?: Report.Problem } =>
  result.success ? {} : { problem: { type: result.errorType, message: result.error } }

const toRow = (result: Result, locked: Lock.Locked): Report.Row => {
  // A flow that ended while it was measuring knows nothing yet.
  const { kind = "installed", manifest, size } = result.state
  const version = manifest?.version ?? locked.version
  return {
    label: Lock.labelOf(locked),
    isInModules: Lock.isInModules(locked),
    kind,
    ...version === undefined ? {} : { version },
    ...manifest === undefined ? {} : { license: manifest.license },
    ...size === undefined ? {} : { size },
    ...problemOf(result)
  }
}

const reportOf = (results: ReadonlyArray<Result>): Omit<Report.Report, "modules"> => {
  const rest = results.find(({ item }) => item === undefined)!
  const { parts = [], size } = rest.state
  return {
    rows: results.flatMap((result) => result.item === undefined ? [] : [toRow(result, result.item as Lock.Locked)]),
    rest: { parts, ...size === undefined ? {} : { size }, ...problemOf(rest) }
  }
}
