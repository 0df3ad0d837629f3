/** Every example is run as its first lines say, and prints what its last lines say. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "../scripts/root.ts"

const files = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".ts"))
const programs = files.filter((file) => !file.endsWith(".test.ts"))

const run = (file: string, env: Record<string, string> = {}) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [`examples/${file}`], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", ...env }
  })
  assert.strictEqual(stderr, "")
  assert.strictEqual(status, 0)
  return stdout.trimEnd()
}

/** What the comment at the end of a file says it prints. */
const promised = (text: string): string => {
  const [, comment] = text.split("\n// prints:\n")
  assert.isDefined(comment, "the file says at its end what it prints")
  return comment!.trimEnd().split("\n").map((line) => line.replace(/^\/\/ ?/, "")).join("\n")
}

describe("the examples", () => {
  it("are numbered for reading, and each says its command", () => {
    assert.isAtLeast(files.length, 6)
    files.sort().forEach((file, i) => {
      assert.match(file, new RegExp(`^0${i + 1}-[a-z-]+(\\.test)?\\.ts$`))
      const command = file.endsWith(".test.ts") ? "npx vitest run" : "node"
      assert.include(readFileSync(join(root, "examples", file), "utf8"), `${command} examples/${file}`)
    })
  })

  for (const file of programs) {
    it(`${file} prints what it says`, () => {
      assert.strictEqual(run(file), promised(readFileSync(join(root, "examples", file), "utf8")))
    })
  }

  it("approval: an order goes on in other processes, one of them killed, and does nothing twice", () => {
    assert.deepStrictEqual(run("approval/main.ts").split("\n"), [
      "An order comes in:",
      "  stock ...",
      "  customer ...",
      "  payment ...",
      "  stock: fine",
      "  customer: fine",
      "  payment: half way",
      "  (the process is gone: SIGKILL)",
      "Another process goes on with it:",
      "  payment ...",
      "  payment: half way",
      "  payment: fine",
      `  graph "order" waits for the answer to "approved"; resume thread "order-7" goes on`,
      "What is saved:",
      "  the run, suspended, and how it came there",
      "Somebody approves it, in a third one:",
      "  shipping a kettle",
      "  the order is shipped: stock is fine, customer is fine, payment is fine"
    ])
  })

  it("06-configuration.ts reads the environment it is run in", () => {
    const lines = run("06-configuration.ts", { STATEGRAPH_TIMEOUT: "15 millis" }).split("\n")
    assert.strictEqual(lines.at(-1), "your environment: timed out after 15 ms")
  })
})
