import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  throw new Error(
    `Tests need Node 22.19 or newer, this is ${process.versions.node}: start them by npm, it brings its own`
  )
}

export default defineConfig({
  resolve: {
    alias: [{ find: /^effect-stategraph$/, replacement: fileURLToPath(new URL("./src/index.ts", import.meta.url)) }]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/**/*.live.test.ts"],
    allowOnly: false,
    testTimeout: 10_000,
    reporters: ["default", "json"],
    outputFile: { json: ".reports/vitest.json" },
    typecheck: {
      checker: "tsc",
      tsconfig: "./tsconfig.json",
      include: ["test/types/**/*.test-d.ts"]
    }
  }
})
