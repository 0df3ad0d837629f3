import { check, equal, is, type Scenario, sleep, timed, timers } from "../check.ts"
import { Work } from "../work.ts"

/** One call, and its time limit. */
export const limits: ReadonlyArray<Scenario> = [
  {
    name: "a call that hangs ends at its limit, and its work is stopped",
    needs: ["limit"],
    run: async ({ caller }) => {
      const work = new Work({ ms: Infinity })
      const [outcome, ms] = await timed(caller({ limitMs: 40 })(work).end, 400)
      is(outcome, "timeout")
      check(ms >= 35, `it ended after ${ms} ms already`)
      await sleep(20)
      equal([work.stopped, work.active], [1, 0], "stopped, still running")
    }
  },
  {
    name: "work that does not stop neither holds its caller nor is its late value used",
    needs: ["limit"],
    run: async ({ caller }) => {
      const work = new Work({ ms: 600, value: "late", deaf: true })
      const [outcome] = await timed(caller({ limitMs: 30 })(work).end, 400)
      is(outcome, "timeout")
    }
  },
  {
    name: "a rejection that comes after the limit is nobody's unhandled rejection",
    needs: ["limit"],
    run: async ({ caller }) => {
      const work = new Work({ ms: 80, error: new Error("late"), deaf: true })
      is((await timed(caller({ limitMs: 30 })(work).end, 400))[0], "timeout")
      await sleep(100)
    }
  },
  {
    name: "synchronous work that held the timer back is late all the same",
    needs: ["limit"],
    run: async ({ caller }) => is(await caller({ limitMs: 30 })(new Work({ busyMs: 90, value: 1 })).end, "timeout")
  },
  {
    name: "what the stopped work had to clean up is cleaned up when the call returns",
    needs: ["limit"],
    run: async ({ caller }) => {
      const work = new Work({ ms: Infinity, cleanupMs: 25 })
      is((await timed(caller({ limitMs: 30 })(work).end, 400))[0], "timeout")
      equal(work.active, 0, "still running")
    }
  },
  {
    name: "the limit of one call stops no other call",
    needs: ["limit"],
    run: async ({ caller }) => {
      const call = caller({ limitMs: 200 })
      const hangs = call(new Work({ ms: Infinity }))
      await sleep(100)
      const [outcome] = await timed(call(new Work({ ms: 130, value: "mine" })).end, 600)
      equal(outcome, { is: "success", value: "mine" }, "the other call")
      is((await timed(hangs.end, 400))[0], "timeout")
    }
  },
  {
    name: "the call after one that reached its limit works",
    needs: ["limit"],
    run: async ({ caller }) => {
      const call = caller({ limitMs: 100 })
      is((await timed(call(new Work({ ms: Infinity })).end, 400))[0], "timeout")
      equal(await call(new Work({ ms: 5, value: 1 })).end, { is: "success", value: 1 }, "the next call")
    }
  },
  {
    name: "a call that ends early leaves no timer behind",
    needs: ["limit"],
    run: async ({ caller }) => {
      const before = timers()
      is(await caller({ limitMs: 10_000 })(new Work({ ms: 5 })).end, "success")
      await sleep(20)
      check(timers() <= before, `${timers() - before} timers are left`)
    }
  }
]
