/** `npm run soak`: its options, and a verdict in which every line can be bad. */
import { assert, describe, it } from "@effect/vitest"
import type { Held } from "../bench/soak/held.ts"
import { help, parse } from "../bench/soak/options.ts"
import { isCycle, type Period } from "../bench/soak/outage.ts"
import { isGood, lines, type Measured, verdictOf } from "../bench/soak/verdict.ts"

const held = (heap: number, more: Partial<Held> = {}): Held => ({ heap, fibers: 0, timers: 0, ...more })

const changesTo = (text: string): Period["changes"] => text.split(" ").map((to, at) => ({ at, to }))

const period = (more: Partial<Period & Held> = {}): Period & Held => ({
  runs: 1200,
  changes: changesTo("OPEN HALF_OPEN OPEN HALF_OPEN CLOSED"),
  asked: 1600,
  askedInVain: 5,
  askedWhileOpen: 0,
  wrong: 0,
  open: 0,
  ...held(20_000_000),
  ...more
})

const good: Measured = {
  manyRuns: { runs: 1000, flows: 10, held: [held(20_000_000), held(20_200_000), held(20_300_000)], wrong: 0, open: 0 },
  periods: [period(), period(), period({ heap: 20_300_000 })],
  handles: []
}

const ofRuns = (more: Partial<Measured["manyRuns"]>): Measured => ({ ...good, manyRuns: { ...good.manyRuns, ...more } })
const ofPeriod = (more: Partial<Period & Held>): Measured => ({ ...good, periods: [period(), period(more), period()] })

describe("verdict of a soak", () => {
  it("is good when nothing is left and every period has its cycle", () => {
    const rows = verdictOf(good)
    assert.deepStrictEqual(rows.filter(({ ok }) => !ok), [])
    assert.isTrue(isGood(rows))
    assert.strictEqual(rows.length, 15)
    assert.deepStrictEqual(lines(rows).filter((line) => !line.endsWith("ok")), [])
  })

  const bad: ReadonlyArray<readonly [says: string, measured: Measured]> = [
    ["heap after collection, 1000 runs", ofRuns({ held: [held(20e6), held(25.2e6), held(25.3e6)] })],
    ["its growth per run", ofRuns({ held: [held(20e6), held(20.6e6), held(21.2e6)] })],
    ["fibers after them", ofRuns({ held: [held(20e6), held(20e6), held(20e6, { fibers: 1 })] })],
    ["timers after them", ofRuns({ held: [held(20e6), held(20e6), held(20e6, { timers: 1 })] })],
    ["connections open after them", ofRuns({ open: 1 })],
    ["runs with a wrong result among them", ofRuns({ wrong: 1 })],
    ["circuit cycles", ofPeriod({ changes: changesTo("OPEN HALF_OPEN OPEN") })],
    ["executions while the dependency was down", ofPeriod({ askedInVain: 0 })],
    ["executions while OPEN", ofPeriod({ askedWhileOpen: 1 })],
    ["above that of an earlier period", { ...good, periods: [period(), period({ heap: 21.1e6 })] }],
    ["fibers after a period", ofPeriod({ fibers: 1 })],
    ["timers after a period", ofPeriod({ timers: 1 })],
    ["connections open after a period", ofPeriod({ open: 1 })],
    ["runs with a wrong result in the periods", ofPeriod({ wrong: 1 })],
    ["handles", { ...good, handles: ["TCPSocketWrap"] }]
  ]
  for (const [i, [says, measured]] of bad.entries()) {
    it(`is bad for "${says}" alone (line ${i + 1})`, () => {
      const rows = verdictOf(measured)
      assert.deepStrictEqual(rows.flatMap(({ ok }, line) => ok ? [] : [line]), [i])
      assert.include(lines(rows)[i], says)
      assert.match(lines(rows)[i]!, /BAD$/)
      assert.isFalse(isGood(rows))
    })
  }

  it("sees a leak behind a heap that became smaller meanwhile", () => {
    const periods = [26e6, 26.2e6, 22e6, 22.6e6, 23.1e6].map((heap) => period({ heap }))
    assert.isFalse(isGood(verdictOf({ ...good, periods })))
    assert.isTrue(isGood(verdictOf({ ...good, periods: periods.slice(0, 4) })))
  })

  it("is bad when no period was measured", () => {
    assert.isFalse(isGood(verdictOf({ ...good, periods: [] })))
  })

  it("sees what a cycle is and what is none", () => {
    for (const cycle of ["OPEN HALF_OPEN CLOSED", "OPEN HALF_OPEN OPEN HALF_OPEN CLOSED"]) {
      assert.isTrue(isCycle(changesTo(cycle)), cycle)
    }
    for (
      const none of ["", "OPEN", "OPEN CLOSED", "OPEN HALF_OPEN", "HALF_OPEN CLOSED", "OPEN HALF_OPEN CLOSED OPEN"]
    ) {
      assert.isFalse(isCycle(changesTo(none)), none)
    }
  })
})

describe("options of a soak", () => {
  it("are five minutes, or as many as asked for", () => {
    assert.deepStrictEqual(parse([]), { _tag: "Run", minutes: 5 })
    assert.deepStrictEqual(parse(["--minutes", "1"]), { _tag: "Run", minutes: 1 })
    assert.deepStrictEqual(parse(["--minutes=0.5"]), { _tag: "Run", minutes: 0.5 })
    assert.deepStrictEqual(parse(["--help"]), { _tag: "Help" })
    assert.include(help, "--minutes")
  })

  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, sentence: string]> = [
    [["--minutes", "0"], `--minutes is "0", allowed is a number of minutes from 0.1 to 1440`],
    [["--minutes", "-1"], `--minutes is "-1", allowed is a number of minutes from 0.1 to 1440`],
    [["--minutes", "1441"], `--minutes is "1441", allowed is a number of minutes from 0.1 to 1440`],
    [["--minutes", "soon"], `--minutes is "soon", allowed is a number of minutes from 0.1 to 1440`],
    [["--minutes", ""], `--minutes is "", allowed is a number of minutes from 0.1 to 1440`],
    [["--minutes"], "--minutes takes one value, a number of minutes from 0.1 to 1440"],
    [["--hours", "1"], `unknown option "--hours", there is --minutes and --help`],
    [["-m", "1"], `unknown option "-m", there is --minutes and --help`],
    [["5"], `unexpected argument "5"`]
  ]
  for (const [args, sentence] of wrong) {
    it(`say in one sentence what is wrong with ${args.join(" ")}`, () => {
      assert.deepStrictEqual(parse(args), { _tag: "Wrong", sentence })
    })
  }
})
