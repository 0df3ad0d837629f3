/**
 * Sums what the steps left: `node scripts/tally.ts STEP...` names the steps that must be there. The last line is
 * `N passed, N failed`.
 */
import { readSteps } from "./reports.ts"

const steps = readSteps()
const missing = process.argv.slice(2).filter((name) => !steps.some((step) => step.name === name))
for (const name of missing) console.log(`${name}: did not run`)
for (const step of steps) for (const note of step.notes) console.log(`${step.name}: ${note}`)

const passed = steps.reduce((sum, step) => sum + step.passed, 0)
const failed = steps.reduce((sum, step) => sum + step.failed, missing.length)
if (passed === 0) console.log("no test has passed")
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
