/**
 * What holds for every result, however its flow ended.
 */
import type { Any as AnyResult } from "../../ParallelFlowResult.ts"

export const soundResult = (result: AnyResult): ReadonlyArray<string> => {
  const { _tag, attemptErrors, attemptErrorsDropped, attempts, branch, endTime, retryCount, startTime } = result
  const { success, timeout, timingMs, usedFallback } = result
  const found: Array<string> = []
  const says = (what: string) => found.push(`the result of flow ${branch} (${_tag}): ${what}`)
  if (success !== (_tag === "Success")) says(`success is ${success}`)
  if (success === "error" in result) says(success ? "it has an error" : "it has no error")
  if (timeout !== (_tag === "Timeout")) says(`timeout is ${timeout}`)
  if (endTime < startTime || Math.abs(endTime - startTime - timingMs) > 1e-6) {
    says(`it takes ${timingMs} ms from ${startTime} to ${endTime}`)
  }
  if (retryCount !== Math.max(0, attempts - 1)) says(`${retryCount} retries in ${attempts} attempts`)
  if (success && attempts === 0 && !usedFallback) says("success without an attempt")
  if (attemptErrors.length + attemptErrorsDropped > attempts) {
    says(`${attemptErrors.length + attemptErrorsDropped} errors of ${attempts} attempts`)
  }
  return found
}
