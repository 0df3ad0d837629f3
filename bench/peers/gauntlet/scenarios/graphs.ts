import { check, equal, is, type Scenario, sleep, timed } from "../check.ts"
import { Work } from "../work.ts"

const refused = (build: () => void): void => {
  let message: string | undefined
  try {
    build()
  } catch (error) {
    message = String(error)
  }
  check(message !== undefined, "it was built")
}

/** What a graph is, before it runs and while. */
export const graphs: ReadonlyArray<Scenario> = [
  {
    name: "an edge to a node that does not exist is told when the graph is built",
    needs: ["named nodes"],
    run: async ({ unknownNode }) => refused(unknownNode!)
  },
  {
    name: "a name that is taken twice is told when the graph is built",
    needs: ["unique names"],
    run: async ({ sameName }) => refused(sameName!)
  },
  {
    name: "a loop without an end is stopped",
    needs: ["loop limit"],
    run: async ({ loop }) => {
      let steps = 0
      is((await timed(loop!(() => void steps++, 20), 2000))[0], "failure")
      check(steps > 0 && steps <= 20, `it ran ${steps} steps`)
    }
  },
  {
    name: "a wrong input is refused before any node runs",
    needs: ["input schema"],
    run: async ({ input }) => {
      let ran = 0
      is((await timed(input!(() => void ran++), 2000))[0], "failure")
      equal(ran, 0, "nodes that ran")
    }
  }
]

/** What may listen, and must not disturb. */
export const listeners: ReadonlyArray<Scenario> = [
  {
    name: "a listener that throws changes nothing",
    needs: ["listeners"],
    run: async ({ listened }) => {
      let told = 0
      const listener = () => {
        told++
        throw new Error("listener")
      }
      const [outcome] = await timed(listened!(new Work({ ms: 5, value: 1 }), listener).end, 1000)
      equal(outcome, { is: "success", value: 1 }, "the call")
      await sleep(20)
      check(told > 0, "the listener was not told")
    }
  },
  {
    name: "a listener that rejects is nobody's unhandled rejection",
    needs: ["listeners"],
    run: async ({ listened }) => {
      let told = 0
      const listener = async () => {
        told++
        throw new Error("listener")
      }
      const [outcome] = await timed(listened!(new Work({ ms: 5, value: 1 }), listener).end, 1000)
      equal(outcome, { is: "success", value: 1 }, "the call")
      await sleep(20)
      check(told > 0, "the listener was not told")
    }
  },
  {
    name: "a listener that hangs disturbs neither its run nor the listeners of others",
    needs: ["listeners"],
    run: async ({ listened }) => {
      let told = 0
      const hangs = () => {
        told++
        return new Promise<void>(() => {})
      }
      const [outcome] = await timed(listened!(new Work({ ms: 5, value: 1 }), hangs).end, 1000)
      equal(outcome, { is: "success", value: 1 }, "the call")
      check(told > 0, "the listener was not told")
      let others = 0
      await timed(listened!(new Work({ ms: 5, value: 2 }), () => void others++).end, 1000)
      await sleep(100)
      check(others > 0, "another listener was not told")
    }
  }
]
