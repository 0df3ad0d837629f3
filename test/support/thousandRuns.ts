/** A process for TD.13-E2E-004: `node --expose-gc`, since heaps can only be compared after collection. */
import { Effect } from "effect"
import { manyRuns } from "../../bench/soak/manyRuns.ts"

console.log(JSON.stringify(await Effect.runPromise(manyRuns(1000))))
