/** `npm run simulate -- --explore`: every run of some small graphs. */
import { join } from "node:path"
import { useSources } from "../test/simulation/sources.ts"
import { root } from "./root.ts"

useSources(join(root, "src"))
const { explore } = await import("../test/simulation/explore.ts")
const { shapes } = await import("../test/simulation/shapes.ts")

let total = 0
for (const shape of shapes) {
  const { completed, problems, runs } = explore(shape)
  total += runs
  const wrong = [
    ...problems,
    ...runs === shape.count ? [] : [`there are ${shape.count} runs`],
    ...completed === shape.completed ? [] : [`${shape.completed} of them complete`]
  ]
  console.log(`${shape.name}: ${runs} runs, ${completed} of them completed`)
  for (const what of wrong.slice(0, 10)) console.log(`  WRONG: ${what}`)
  if (wrong.length > 0) process.exitCode = 1
}
console.log(`${total} runs, every one there is: ${process.exitCode === 1 ? "RED" : "green"}`)
