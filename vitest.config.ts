import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  throw new Error(
    `Tests need Node 22.19 or newer, this is ${process.versions.node}: start them by npm, it brings its own`
  )
}

const src = fileURLToPath(new URL("./src/", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-stategraph$/, replacement: `${src}index.ts` },
      { find: /^effect-stategraph\/(\w+)$/, replacement: `${src}$1/index.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/**/*.live.test.ts"],
    allowOnly: false,
    testTimeout: 60_000,
    reporters: ["default", "json"],
    outputFile: { json: ".reports/vitest.json" },
    typecheck: {
      checker: "tsc",
      tsconfig: "./tsconfig.json",
      include: ["test/types/**/*.test-d.ts"]
    }
  }
})
