/** `node replay.ts <file>`: one run as its data says, with everything that happens in it. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../../scripts/root.ts"
import { useSources } from "./sources.ts"
import type { Spec } from "./spec.ts"

useSources(join(root, "src"))
const { runSpec } = await import("./simulate.ts")
const { ended, log, problems } = runSpec(JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Spec)
for (const line of log) console.log(line)
console.log(`it has ${ended.join(", then ")}`)
for (const problem of problems) console.log(`WRONG: ${problem}`)
if (problems.length > 0) process.exitCode = 1
