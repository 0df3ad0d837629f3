import { check, equal, is, type Scenario, sleep, timed } from "../check.ts"
import type { Fan, Joined, Works } from "../peer.ts"
import { Work } from "../work.ts"

const names = Array.from({ length: 10 }, (_, i) => `n${i}`)

const works = (of: (i: number) => Work): Works => Object.fromEntries(names.map((name, i) => [name, of(i)]))

const onlyJoin = ({ joins, run }: Fan): ReadonlyArray<Joined> => {
  check(
    joins.length === 1,
    `the join ran ${joins.length} times, the run ended as ${run.is} ${(run as any).error ?? ""}`
  )
  is(run, "success")
  return joins[0]!
}

const tally = (joined: ReadonlyArray<Joined>): ReadonlyArray<string> => joined.map(([name, { is }]) => `${name} ${is}`)

const allBut = (except: string, outcome: string): ReadonlyArray<string> =>
  names.map((name) => `${name} ${name === except ? outcome : "success"}`)

const running = (works: Works): number => Object.values(works).reduce((sum, { active }) => sum + active, 0)

/** Several flows at a time, and their join. */
export const flows: ReadonlyArray<Scenario> = [
  {
    name: "one of ten fails: the join runs once, after the slowest, with the other nine",
    needs: ["flows"],
    run: async ({ fan }) => {
      const ten = works((i) =>
        new Work(i === 3 ? { ms: 5, error: new Error("no") } : { ms: i === 7 ? 60 : 10, value: i })
      )
      const joined = onlyJoin((await timed(fan!(ten).end, 1000))[0])
      equal([...tally(joined)].sort(), allBut("n3", "failure"), "the join")
      equal(joined.find(([name]) => name === "n7")?.[1], { is: "success", value: 7 }, "the slowest")
    }
  },
  {
    name: "the join sees the flows in their order, whichever ends first",
    needs: ["flows", "order"],
    run: async ({ fan }) => {
      // Neither the order in which they end nor that of the alphabet.
      const order = ["c", "a", "d", "b"]
      const flows = Object.fromEntries(order.map((name, i) => [name, new Work({ ms: [30, 60, 5, 45][i]!, value: i })]))
      equal(onlyJoin(await fan!(flows).end).map(([name]) => name), order, "the order")
    }
  },
  {
    name: "an exception that one flow throws stays in it",
    needs: ["flows"],
    run: async ({ fan }) => {
      const ten = works((i) => new Work(i === 3 ? { throws: true, error: new TypeError("bug") } : { ms: 10, value: i }))
      equal([...tally(onlyJoin(await fan!(ten).end))].sort(), allBut("n3", "failure"), "the join")
    }
  },
  {
    name: "a flow that hangs is cut at its limit, the others are kept",
    needs: ["flows", "limit"],
    run: async ({ fan }) => {
      const ten = works((i) => new Work(i === 3 ? { ms: Infinity } : { ms: 10, value: i }))
      const [end] = await timed(fan!(ten, { limitMs: 120 }).end, 600)
      equal([...tally(onlyJoin(end))].sort(), allBut("n3", "timeout"), "the join")
      equal(ten["n3"]!.stopped, 1, "how often it was stopped")
    }
  },
  {
    name: "failing fast ends the run at once and stops the siblings",
    needs: ["fail fast"],
    run: async ({ fan }) => {
      const ten = works((i) => new Work(i === 3 ? { ms: 20, error: new Error("no") } : { ms: 700 }))
      const [{ joins, run }] = await timed(fan!(ten, { failFast: true }).end, 350)
      check(run.is !== "success" && joins.length === 0, "the run went on")
      await sleep(20)
      equal(running(ten), 0, "siblings that still run")
    }
  },
  {
    name: "cancelling the run stops every flow",
    needs: ["flows", "cancel"],
    run: async ({ fan }) => {
      const ten = works(() => new Work({ ms: 700 }))
      const run = fan!(ten)
      await sleep(40)
      run.cancel()
      const [{ joins }] = await timed(run.end, 350, "the cancelled run")
      await sleep(20)
      equal([running(ten), joins.length], [0, 0], "flows that still run, joins")
    }
  },
  {
    name: "nothing runs any more when a cancelled run has returned",
    needs: ["flows", "cancel"],
    run: async ({ fan }) => {
      const ten = works(() => new Work({ ms: 700, cleanupMs: 30 }))
      const run = fan!(ten)
      await sleep(40)
      run.cancel()
      await timed(run.end, 600, "the cancelled run")
      equal(running(ten), 0, "flows that still clean up")
    }
  },
  {
    name: "a failure in a nested fan-out stays in it",
    needs: ["nesting"],
    run: async ({ nested }) => {
      const inner = { a: new Work({ ms: 5, error: new Error("no") }), b: new Work({ ms: 20, value: 1 }) }
      const joined = onlyJoin((await timed(nested!(new Work({ ms: 10, value: 0 }), inner).end, 1000))[0])
      equal(
        Object.fromEntries(joined),
        { plain: { is: "success", value: 0 }, inner: { is: "success", value: 1 } },
        "the outer join"
      )
    }
  },
  {
    name: "two flows that set one key are told, not merged at random",
    needs: ["shared keys"],
    run: async ({ conflict }) => is(await conflict!(), "failure")
  }
]

/** One flow per item of a list. */
export const maps: ReadonlyArray<Scenario> = [
  {
    name: "an item that fails leaves the results of the others",
    needs: ["map"],
    run: async ({ map }) => {
      const items = names.map((_, i) => new Work(i === 3 ? { ms: 5, error: new Error("no") } : { ms: 10, value: i }))
      const joined = onlyJoin((await timed(map!(items).end, 1000))[0])
      equal([...tally(joined)].sort(), allBut("n3", "failure").map((text) => text.slice(1)), "the join")
    }
  },
  {
    name: "an empty list goes on to the join",
    needs: ["map"],
    run: async ({ map }) => equal(onlyJoin((await timed(map!([]).end, 1000))[0]), [], "the join")
  },
  {
    name: "no more run at a time than allowed, and a failure gives its place back",
    needs: ["map", "concurrency"],
    run: async ({ map }) => {
      const item = new Work((n) => n % 2 === 0 ? { ms: 10, error: new Error("no") } : { ms: 10 })
      const joined = onlyJoin((await timed(map!(Array.from({ length: 12 }, () => item), 3).end, 2000))[0])
      equal([joined.length, item.starts, item.peak], [12, 12, 3], "results, starts, most at a time")
    }
  }
]
