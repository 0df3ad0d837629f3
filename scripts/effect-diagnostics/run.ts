/**
 * Type-checks the project with the compiler that also knows Effect: floating effects, names of earlier versions, lost
 * requirements. Warnings count as errors. That compiler is published for some platforms only, so it is optional.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { root } from "../root.ts"

const platform = `${process.platform}-${process.arch}`

const compiler = (): string | undefined => {
  try {
    const found = fileURLToPath(import.meta.resolve(`@effect/tsgo-${platform}/lib/tsc`))
    return existsSync(found) ? found : undefined
  } catch {
    return undefined
  }
}

const found = compiler()
if (found === undefined) {
  console.log(`Effect diagnostics: NOT CHECKED, their compiler is not available for ${platform}`)
} else {
  const { status } = spawnSync(found, ["--project", join(root, "tsconfig.json")], { stdio: "inherit" })
  process.exitCode = status ?? 1
  if (status === 0) console.log("Effect diagnostics: none")
}
