import { check, equal, is, type Scenario, sleep, timed } from "../check.ts"
import { Work } from "../work.ts"

const gaps = ({ startedAt }: Work): ReadonlyArray<number> =>
  startedAt.slice(1).map((at, i) => Math.round(at - startedAt[i]!))

/** One call, and its attempts. */
export const retries: ReadonlyArray<Scenario> = [
  {
    name: "a thrown exception is a failed attempt, and is retried",
    needs: ["retry"],
    run: async ({ caller }) => {
      const work = new Work((attempt) => attempt < 3 ? { throws: true, error: new TypeError("thrown") } : { value: 3 })
      const [outcome] = await timed(caller({ retry: { retries: 2, baseMs: 5, maxMs: 5 } })(work).end, 1000)
      equal(outcome, { is: "success", value: 3 }, "the call")
    }
  },
  {
    name: "no wait exceeds its cap, jitter included",
    needs: ["retry", "wait cap"],
    run: async ({ caller }) => {
      const work = new Work({ error: new Error("again") })
      const call = caller({ retry: { retries: 7, baseMs: 20, maxMs: 100, jitter: true } })(work)
      const [outcome] = await timed(call.end, 12_000)
      is(outcome, "failure")
      equal(work.starts, 8, "attempts")
      check(Math.max(...gaps(work)) <= 250, `waits of up to ${Math.max(...gaps(work))} ms, with a cap of 100`)
    }
  },
  {
    name: "the thousandth attempt overflows nothing",
    needs: ["retry", "wait cap"],
    run: async ({ caller }) => {
      const work = new Work({ error: new Error("again") })
      const call = caller({ retry: { retries: 1100, baseMs: 1, maxMs: 1 } })(work)
      is((await timed(call.end, 15_000))[0], "failure")
      equal(work.starts, 1101, "attempts")
      const last = gaps(work).slice(-50)
      check(Math.max(...last) < 200, `the last waits are up to ${Math.max(...last)} ms`)
    }
  },
  {
    name: "cancelling during a wait ends the call at once",
    needs: ["retry", "cancel"],
    run: async ({ caller }) => {
      const work = new Work({ error: new Error("again") })
      const call = caller({ retry: { retries: 3, baseMs: 500, maxMs: 500 } })(work)
      await sleep(60)
      call.cancel()
      await timed(call.end, 200, "the cancelled call")
      await sleep(500)
      equal(work.starts, 1, "attempts")
    }
  },
  {
    name: "no attempt starts beside one that did not stop",
    needs: ["limit", "retry"],
    run: async ({ caller }) => {
      const work = new Work({ ms: 250, deaf: true })
      const call = caller({ limitMs: 30, retry: { retries: 2, baseMs: 5, maxMs: 5 } })(work)
      await timed(call.end, 2000)
      equal(work.peak, 1, "attempts at a time")
    }
  },
  {
    name: "a total limit ends attempts and waits",
    needs: ["retry", "total limit"],
    run: async ({ caller }) => {
      const work = new Work({ ms: 20, error: new Error("again") })
      const call = caller({ totalMs: 190, retry: { retries: 20, baseMs: 100, maxMs: 100 } })(work)
      // In the middle of the second wait.
      const [outcome] = await timed(call.end, 500)
      is(outcome, "timeout")
      const { starts } = work
      await sleep(150)
      equal([work.starts - starts, work.active], [0, 0], "attempts afterwards, still running")
    }
  }
]
