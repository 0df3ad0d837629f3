import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** The tests that need real servers, processes, files or workers. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ["test/**/*.live.test.ts"],
    exclude: [],
    passWithNoTests: true,
    // One file at a time: they start servers, browsers and hundreds of processes, and measure real time.
    fileParallelism: false,
    testTimeout: 60_000
  }
})
