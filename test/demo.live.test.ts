/** `npm run demo` as its users see it: real processes, real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { root } from "../scripts/root.ts"

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly tookMs: number
}

// What the one who runs the tests wants of colors is not what they are about.
const { FORCE_COLOR: _force, NO_COLOR: _no, ...inherited } = process.env

/** Starts the demo; `onText` is told what it has printed so far. */
const demo = (
  args: ReadonlyArray<string>,
  onText: (stdout: string, child: ChildProcess) => void = () => undefined
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(process.execPath, ["examples/demo/main.ts", ...args], {
      cwd: root,
      env: { ...inherited, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      onText(stdout, child)
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr, tookMs: performance.now() - started }))
  })

interface Row {
  readonly service: string
  readonly outcome: string
  readonly attempts: number
  readonly timeMs: number
  readonly circuit: string
}

/** The tables of a printed text, one per run. */
const tables = (text: string): ReadonlyArray<ReadonlyArray<Row>> =>
  text.split(/^Run \d+ of \d+$/m).slice(1).map((run) =>
    run.slice(run.indexOf("-----")).split("\n").flatMap((line) => {
      const cells = /^ {2}(\w+) +(\w+) +(\d+) +(\d+) {2}(\S+)/.exec(line)
      return cells === null ? [] : [{
        service: cells[1]!,
        outcome: cells[2]!,
        attempts: Number(cells[3]),
        timeMs: Number(cells[4]),
        circuit: cells[5]!
      }]
    })
  )

const ports = (text: string): ReadonlyArray<number> =>
  [...text.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resolve(false)
    })
    socket.on("error", () => resolve(true))
  })

/** What a busy machine may add to a budget. */
const slackMs = 1000

describe("npm run demo", () => {
  it("asks five services three times, each within its budget, and stops asking the dead one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "demo-"))
    try {
      const page = join(folder, "out.html")
      const { code, stderr, stdout } = await demo(["--html", page])
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      const runs = tables(stdout)
      assert.strictEqual(runs.length, 3)
      const told = (rows: ReadonlyArray<Row>) =>
        rows.map(({ attempts, circuit, outcome, service }) => `${service} ${outcome} ${attempts} ${circuit}`)
      assert.deepStrictEqual(told(runs[0]!), [
        "fast Success 1 CLOSED",
        "slow Timeout 1 CLOSED",
        "flaky Success 3 CLOSED",
        "hanging Timeout 3 CLOSED",
        "dead Failure 3 CLOSED"
      ])
      assert.deepStrictEqual(told(runs[1]!).slice(3), ["hanging Timeout 3 OPEN", "dead Failure 3 OPEN"])
      assert.deepStrictEqual(told(runs[2]!).slice(3), ["hanging Rejected 0 OPEN", "dead Rejected 0 OPEN"])
      assert.strictEqual(runs[2]![4]!.timeMs, 0)
      for (const { service, timeMs } of runs.flat()) assert.isAtMost(timeMs, 2500 + slackMs, service)
      assert.strictEqual(stdout.split("Requests that are still open on the servers: 0").length - 1, 3)
      // Every answer that nobody waits for any more is seen by its server as a closed connection.
      assert.match(stdout, /hanging +disconnected/)
      assert.isTrue((await Promise.all(ports(stdout).map(isRefused))).every(Boolean))

      const html = readFileSync(page, "utf8")
      assert.include(html, "<!doctype html>")
      assert.match(html, /Run 3 took/)
      assert.include(html, "not asked at all")
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it("with more time gets an answer from the slow service too", async () => {
    const { code, stdout } = await demo(["--timeout", "4 seconds", "--runs", "1", "--retries", "0"])
    assert.strictEqual(code, 0)
    const [rows] = tables(stdout)
    assert.deepInclude(rows![1], { service: "slow", outcome: "Success", attempts: 1 })
    assert.isAtLeast(rows![1]!.timeMs, 3000)
    assert.deepInclude(rows![2], { service: "flaky", outcome: "Failure", attempts: 1 })
  })

  it("explains itself", async () => {
    const { code, stderr, stdout } = await demo(["--help"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stderr, "")
    for (const option of ["--timeout", "--retries", "--runs", "--html", "--help"]) assert.include(stdout, option)
    assert.notInclude(stdout, "Run 1")
  })

  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: RegExp]> = [
    [["--timeout", "-1"], /--timeout is "-1", allowed is a duration/],
    [["--timeout", "soon"], /--timeout is "soon"/],
    [["--retries", "1.5"], /--retries is "1.5", allowed is an integer of at least 0/],
    [["--runs", "0"], /--runs is "0", allowed is an integer of at least 1/],
    [["--html", "/no such folder/out.html"], /--html is ".*", allowed is a file in a folder/],
    [["--tiemout", "5"], /unknown option "--tiemout", did you mean --timeout/],
    [["five"], /unexpected argument "five"/]
  ]
  for (const [args, says] of wrong) {
    it(`says in one sentence what is wrong with ${args.join(" ")}`, async () => {
      const { code, stderr, stdout } = await demo(args)
      assert.strictEqual(code, 1)
      assert.match(stderr, says)
      assert.strictEqual(stderr.trim().split("\n").length, 1)
      assert.strictEqual(stdout, "")
    })
  }

  it("stops everything at once on Ctrl-C, and leaves no server behind", async () => {
    let stoppedAt = 0
    const { code, stdout } = await demo([], (text, child) => {
      if (stoppedAt === 0 && /hanging +started/.test(text)) {
        stoppedAt = performance.now()
        child.kill("SIGINT")
      }
    })
    assert.isAbove(stoppedAt, 0)
    assert.isBelow(performance.now() - stoppedAt, 900 + slackMs)
    assert.notStrictEqual(code, 0)
    assert.include(stdout, "Stopped: no request is open, every server is closed.")
    assert.strictEqual(ports(stdout).length, 5)
    assert.isTrue((await Promise.all(ports(stdout).map(isRefused))).every(Boolean))
  })

  it("ends without a word when nobody reads it any more, as with `head`", async () => {
    const { code, stderr, stdout } = await demo([], (_text, child) => child.stdout?.destroy())
    assert.strictEqual(stderr, "")
    assert.strictEqual(code, 1)
    assert.notInclude(stdout, "Run 2")
  })

  const hasScript = spawnSync("script", ["--version"]).status === 0
  if (!hasScript) console.warn("skipped: there is no `script` to make a terminal with")

  it.skipIf(!hasScript)("draws a live view in a terminal, and plain lines with NO_COLOR", () => {
    const inTerminal = (env: Record<string, string>): string => {
      const command = `stty cols 60; "${process.execPath}" examples/demo/main.ts --runs 1 --timeout 1000`
      const { status, stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
        cwd: root,
        encoding: "utf8",
        env: { ...inherited, TERM: "xterm", ...env }
      })
      assert.strictEqual(status, 0)
      return stdout
    }
    const live = inTerminal({})
    assert.include(live, "\u001b[5A")
    const last = stripVTControlCharacters(live.split("\u001b[5A").at(-1)!)
    assert.match(last, /✔ fast +attempt 1/)
    assert.match(last, /✘ dead +attempt 3 .*connection refused/)
    const drawn = live.split("\r\u001b[2K").slice(1).map((line) => stripVTControlCharacters(line.split("\r\n")[0]!))
    assert.isAbove(drawn.length, 10)
    // One that wraps would be drawn beside itself.
    for (const line of drawn) assert.isBelow(line.length, 60)
    assert.isTrue(drawn.some((line) => line.endsWith("…")))
    assert.notMatch(stripVTControlCharacters(live), /fast +started/)

    const plain = inTerminal({ NO_COLOR: "1" })
    assert.notInclude(plain, "\u001b")
    assert.match(plain, /fast +started/)
  })
})
