/** `npm run soak` as its users see it, 18 seconds long. */
import { assert, describe, it } from "@effect/vitest"
import { node } from "./support/child.ts"

const soak = (...args: ReadonlyArray<string>) => node(["--expose-gc", "bench/soak.ts", ...args], 110_000)

describe("npm run soak", () => {
  it("ends by itself with a good verdict: TD.13-E2E-005 and TD.13-E2E-004", async () => {
    const { code, stderr, stdout } = await soak("--minutes", "0.3")
    assert.strictEqual(stderr, "")
    assert.strictEqual(stdout.trim().split("\n").at(-1), "soak: good", stdout)
    assert.match(stdout, /^1000 runs: heap /m)
    assert.strictEqual(stdout.match(/^period \d: \d+ runs, .* CLOSED OPEN HALF_OPEN .*CLOSED$/gm)?.length, 5)
    assert.match(stdout, /5 of 5 periods +every period +ok$/m)
    assert.match(stdout, /executions while OPEN +0 +0 +ok$/m)
    assert.notInclude(stdout, "BAD")
    assert.strictEqual(code, 0)
  }, 120_000)

  it("says in one sentence what is wrong with its options, and does nothing", async () => {
    for (const args of [["--minutes", "soon"], ["--hours", "1"], ["5"]]) {
      const { code, stderr, stdout } = await soak(...args)
      assert.match(stderr, /^soak: .+\n$/)
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 1)
    }
  })

  it("says what it needs when it cannot collect garbage", async () => {
    const { code, stderr, stdout } = await node(["bench/soak.ts"])
    assert.match(stderr, /^soak: .*--expose-gc.*\n$/)
    assert.strictEqual(stdout, "")
    assert.strictEqual(code, 1)
  })
})
