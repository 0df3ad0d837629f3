import { check, equal, is, type Scenario, sleep, timed } from "../check.ts"
import type { Circuit } from "../peer.ts"
import { Work } from "../work.ts"

const bad = () => new Work({ error: new Error("down") })
const good = () => new Work({ value: "up" })

const trip = async ({ call, state }: Circuit, failures: number): Promise<void> => {
  // What counts by rate counts the calls in flight too, and needs some more.
  for (let i = 0; i < failures * 2 && await state() !== "OPEN"; i++) is(await call(bad()).end, "failure")
  equal(await state(), "OPEN", "the state after the failures")
}

/** Calls through one circuit. */
export const circuits: ReadonlyArray<Scenario> = [
  {
    name: "ten failures at once open the circuit once, and the next call runs nothing",
    needs: ["circuit"],
    run: async ({ circuit }) => {
      const { call, opened } = await circuit!({ failures: 3, resetMs: 5000 })
      await Promise.all(Array.from({ length: 10 }, () => call(new Work({ ms: 10, error: new Error("down") })).end))
      await sleep(10)
      equal(opened(), 1, "openings")
      const next = good()
      is(await call(next).end, "rejected")
      equal(next.starts, 0, "calls that ran")
    }
  },
  {
    name: "half-open, one probe runs at a time",
    needs: ["circuit"],
    run: async ({ circuit }) => {
      const open = await circuit!({ failures: 2, resetMs: 200 })
      await trip(open, 2)
      await sleep(240)
      const probes = new Work({ ms: 60 })
      const calls = Array.from({ length: 10 }, () => open.call(probes).end)
      await sleep(30)
      equal(probes.starts, 1, "probes")
      await timed(Promise.all(calls), 1000, "a call")
    }
  },
  {
    name: "a probe that hangs does not block its circuit for ever",
    needs: ["circuit", "limit"],
    run: async ({ circuit }) => {
      const open = await circuit!({ failures: 2, resetMs: 40, limitMs: 60 })
      await trip(open, 2)
      await sleep(80)
      is((await timed(open.call(new Work({ ms: Infinity, deaf: true })).end, 600, "the probe"))[0], "timeout")
      await sleep(80)
      is((await timed(open.call(good()).end, 600, "the next call"))[0], "success")
    }
  },
  {
    name: "a probe that its caller cancels gives its place back",
    needs: ["circuit", "cancel"],
    run: async ({ circuit }) => {
      const open = await circuit!({ failures: 2, resetMs: 40 })
      await trip(open, 2)
      await sleep(80)
      const probe = open.call(new Work({ ms: Infinity }))
      await sleep(20)
      probe.cancel()
      await timed(probe.end, 400, "the cancelled probe")
      await sleep(80)
      is((await timed(open.call(good()).end, 600, "the next call"))[0], "success")
    }
  },
  {
    name: "calls that their callers cancel open no circuit",
    needs: ["circuit", "cancel"],
    run: async ({ circuit }) => {
      const { call, state } = await circuit!({ failures: 2, resetMs: 5000 })
      for (let i = 0; i < 3; i++) {
        const cancelled = call(new Work({ ms: Infinity }))
        await sleep(10)
        cancelled.cancel()
        await timed(cancelled.end, 400, "the cancelled call")
      }
      equal(await state(), "CLOSED", "the state")
    }
  },
  {
    name: "a late success of a call from before the opening does not close it",
    needs: ["circuit"],
    run: async ({ circuit }) => {
      const open = await circuit!({ failures: 2, resetMs: 300 })
      const early = open.call(new Work({ ms: 500 }))
      await trip(open, 2)
      await sleep(360)
      const probe = open.call(new Work({ ms: 220, error: new Error("still down") }))
      is(await early.end, "success")
      await sleep(5)
      equal(await open.state(), "HALF_OPEN", "the state while the probe runs")
      is(await probe.end, "failure")
      equal(await open.state(), "OPEN", "the state after the probe")
    }
  },
  {
    name: "late failures of calls from before the opening do not open a circuit that has recovered",
    needs: ["circuit"],
    run: async ({ circuit }) => {
      const open = await circuit!({ failures: 2, resetMs: 40 })
      const early = [1, 2].map(() => open.call(new Work({ ms: 200, error: new Error("old") })).end)
      await trip(open, 2)
      await sleep(80)
      is(await open.call(good()).end, "success")
      check(await open.state() === "CLOSED", "the good probe did not close it")
      for (const outcome of await Promise.all(early)) is(outcome, "failure")
      await sleep(5)
      equal(await open.state(), "CLOSED", "the state after the late failures")
    }
  }
]
