/**
 * How much later than it should a call returns, in milliseconds: after its limit, and after a failure that is to end the run
 * at once. `node bench/waits.ts stops`, `refuses` or `failFast`; the adapters are those of the gauntlet.
 */
import type { Peer } from "../gauntlet/peer.ts"
import { Work } from "../gauntlet/work.ts"
import { limitMs } from "./constants.ts"

export type Wait = "stops" | "refuses" | "failFast"

const refusesMs = 400

const late: { readonly [W in Wait]: (peer: Peer) => Promise<number> } = {
  stops: (peer) => afterLimit(peer, new Work({ ms: Infinity })),
  refuses: (peer) => afterLimit(peer, new Work({ ms: refusesMs, refuses: true })),
  failFast: async ({ fan }) => {
    const failing = new Work({ ms: 10, error: new Error("no") })
    const works = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`n${i}`, i === 50 ? failing : new Work({ ms: 500 })])
    )
    const { run } = await fan!(works, { failFast: true }).end
    const now = performance.now()
    if (run.is === "success") throw new Error("the run did not fail")
    return now - failing.endedAt[0]!
  }
}

const afterLimit = async ({ caller, name }: Peer, work: Work): Promise<number> => {
  const call = caller({ limitMs })
  const start = performance.now()
  const { is } = await call(work).end
  const elapsed = performance.now() - start
  if (is === "success" && !name.startsWith("hand-made")) throw new Error(`${name} did not time out`)
  return elapsed - limitMs
}

const peers = ["ours", "handMade", "langgraph", "mastra", "cockatiel", "opossum"]

const wait = process.argv[2] as Wait
const needs = wait === "failFast" ? "fail fast" : "limit"
/** So many calls at once, so that what is measured is not the first run of the code. */
const warmUp = async ({ caller, fan, lacks }: Peer): Promise<void> => {
  const call = caller({ limitMs: 10 })
  for (let i = 0; i < 5; i++) {
    await Promise.all(Array.from({ length: 100 }, () => call(new Work({ ms: 30, refuses: wait === "refuses" })).end))
    if (fan === undefined || lacks["fail fast"] !== undefined) continue
    const works = Array.from(
      { length: 100 },
      (_, i) => [`n${i}`, new Work(i === 50 ? { error: new Error("no") } : { ms: 20 })]
    )
    await fan(Object.fromEntries(works), { failFast: true }).end
  }
}

const taken = new Map<Peer, Array<number>>()
for (const name of peers) {
  const peer: Peer = (await import(`../gauntlet/peers/${name}.ts`))[name]
  if (peer.lacks[needs] !== undefined) continue
  taken.set(peer, [])
  await warmUp(peer)
}
for (let i = 0; i < 13; i++) {
  for (const [peer, values] of taken) {
    const ms = await late[wait](peer)
    // The first ones warm it up.
    if (i > 1) values.push(ms)
  }
}
const median = (values: Array<number>) => values.sort((a, b) => a - b)[values.length >> 1]!
const result = Object.fromEntries([...taken].map(([{ name }, values]) => [name, median(values)]))
process.send?.(result)
console.log(result)
process.exit()
