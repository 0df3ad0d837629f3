/**
 * Runs npm scripts one after the other, all of them even if one fails: `node scripts/verify.ts check lint vitest:all`.
 * A script named `vitest:...` is judged by its report, any other by its exit code.
 */
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { countTests, readReport, reportPath, type Step, writeStep } from "./reports.ts"
import { root } from "./root.ts"

const scripts = process.argv.slice(2)
const isTests = (script: string): boolean => script.startsWith("vitest:")

for (const name of scripts) {
  rmSync(reportPath(name), { force: true })
  writeStep({ name, passed: 0, failed: 1, notes: ["did not finish"] })
}

const run = (script: string): { readonly exitCode: number; readonly seconds: string } => {
  const startedAt = performance.now()
  const { status } = spawnSync("npm", ["run", "--silent", script], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32"
  })
  return { exitCode: status ?? 1, seconds: ((performance.now() - startedAt) / 1000).toFixed(1) }
}

const lines: Array<string> = []
let failed = 0
for (const name of scripts) {
  console.log(`\n> ${name}`)
  const { exitCode, seconds } = run(name)
  const step: Step = isTests(name)
    ? countTests(name, exitCode, readReport(reportPath(name)))
    : { name, passed: 0, failed: exitCode === 0 ? 0 : 1, notes: exitCode === 0 ? [] : [`exit code ${exitCode}`] }
  writeStep(step)
  failed += step.failed
  const counts = isTests(name) ? `, ${step.passed} passed, ${step.failed} failed` : ""
  lines.push(
    `${step.failed === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s${counts})`,
    ...step.notes.map((note) => `       ${note}`)
  )
}

console.log(`\n${lines.join("\n")}`)
process.exitCode = failed === 0 ? 0 : 1
