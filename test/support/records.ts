/** What holds for the record of every flow, however it ended. */
import type { ParallelFlowResult } from "effect-stategraph"

/** What is wrong with a record, in words. */
export const unsound = (result: ParallelFlowResult.Any): ReadonlyArray<string> => {
  const { _tag, attemptErrors, attempts, branch, endTime, retryCount, startTime, success, timeout, timingMs } = result
  const found: Array<string> = []
  const must = (holds: boolean, what: string) => holds ? undefined : found.push(`${branch} (${_tag}): ${what}`)
  must(startTime <= endTime, `starts at ${startTime} and ends at ${endTime}`)
  // `endTime` is a sum of fractions.
  must(Math.abs(endTime - startTime - timingMs) < 0.01, `takes ${timingMs} from ${startTime} to ${endTime}`)
  const never = attempts === 0 && retryCount === 0 && (_tag === "Rejected" || _tag === "Interrupted")
  must(never || attempts === retryCount + 1, `${attempts} attempts and ${retryCount} retries`)
  must(success === (_tag === "Success"), `success is ${success}`)
  must(success !== ("error" in result), success ? "a success with an error" : "no success, and no error")
  must(timeout === (_tag === "Timeout"), `timeout is ${timeout}`)
  must(!timeout || ("errorType" in result && result.errorType === "TimeoutError"), "a timeout of another error type")
  const numbers = attemptErrors.map(({ attempt }) => attempt)
  must(numbers.every((attempt, i) => attempt > (numbers[i - 1] ?? 0) && attempt <= attempts), `errors of ${numbers}`)
  return found
}
