/**
 * What the steps of a test run leave behind: one small file per step, summed by `tally.ts`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./root.ts"

/** A step: how many of its tests passed and failed, and why. A step that is no test run counts only when it fails. */
export interface Step {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly notes: ReadonlyArray<string>
}

/** The part of Vitest's JSON report that is read here. */
export interface VitestReport {
  readonly success: boolean
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
  }>
}

const folder = join(root, ".reports")
const stepsFolder = join(folder, "steps")
const fileName = (script: string): string => `${script.replaceAll(":", "-")}.json`

/** Where the test run of this npm script leaves its report. */
export const reportPath = (script: string): string => join(folder, fileName(script))

/**
 * Counts a test run. A file that fails as a whole is one failure, a test that did not run is one too, and a run that
 * ends badly is never without one.
 */
export const countTests = (name: string, exitCode: number, report: VitestReport | undefined): Step => {
  if (report === undefined) return { name, passed: 0, failed: 1, notes: ["left no report"] }
  const notes: Array<string> = []
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === "failed")
    const idle = file.assertionResults.filter((test) => test.status !== "failed" && test.status !== "passed")
    for (const test of failed) notes.push(`failed: ${test.fullName}`)
    for (const test of idle) notes.push(`did not run: ${test.fullName} (${file.name})`)
    if (file.status === "failed" && failed.length === 0) notes.push(`failed as a whole: ${file.name} ${file.message}`)
  }
  if (notes.length === 0 && exitCode !== 0) notes.push(`ended with exit code ${exitCode} without a failed test`)
  return { name, passed: report.numPassedTests, failed: notes.length, notes }
}

export const readReport = (path: string): VitestReport | undefined =>
  existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined

export const writeStep = (step: Step): void => {
  mkdirSync(stepsFolder, { recursive: true })
  writeFileSync(join(stepsFolder, fileName(step.name)), JSON.stringify(step, undefined, 2) + "\n")
}

export const readSteps = (): ReadonlyArray<Step> =>
  existsSync(stepsFolder)
    ? readdirSync(stepsFolder).map((name): Step => JSON.parse(readFileSync(join(stepsFolder, name), "utf8")))
    : []
