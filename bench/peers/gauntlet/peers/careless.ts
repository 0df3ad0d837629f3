/** One that does everything wrong. `--prove` demands that it fails every scenario: what cannot be failed proves nothing. */
import {
  type CallOptions,
  type Circuit,
  failure,
  type Fan,
  type Joined,
  neverAborted,
  type Outcome,
  type Peer,
  success
} from "../peer.ts"
import type { Work } from "../work.ts"

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const outcome = (run: () => unknown): Promise<Outcome> => Promise.resolve().then(run).then(success, failure)

const never = () => {}

/** Its limit is a timer that nobody clears and nothing listens to, its waits grow without a cap, its attempts overlap. */
const attempts = async (work: Work, { limitMs, retry }: CallOptions): Promise<unknown> => {
  if (limitMs !== undefined) setTimeout(never, limitMs)
  for (let i = 0;; i++) {
    const attempt = work.promise(neverAborted)
    try {
      return await (retry !== undefined && limitMs !== undefined
        ? Promise.race([attempt, sleep(limitMs).then(() => i)])
        : attempt)
    } catch (error) {
      if (retry === undefined || i === retry.retries) throw error
      await sleep(retry.baseMs * 2 ** i)
    } finally {
      if (retry !== undefined && limitMs !== undefined) void attempts(work, {}).catch(never)
    }
  }
}

/** Lets everybody probe, opens at every failure, believes what comes late. */
const circuit = async (
  { failures, resetMs }: { readonly failures: number; readonly resetMs: number }
): Promise<Circuit> => {
  let state: "CLOSED" | "OPEN" | "HALF_OPEN" = "CLOSED"
  let [count, openedAt, opened] = [0, 0, 0]
  const run = async (work: Work): Promise<Outcome> => {
    if (state === "OPEN" && performance.now() - openedAt >= resetMs) state = "HALF_OPEN"
    else if (state === "OPEN") return { is: "rejected", error: "open" }
    const end = await outcome(() => work.promise(neverAborted))
    if (end.is === "success") [state, count] = ["CLOSED", 0]
    else if (++count >= failures) [state, openedAt, opened] = ["OPEN", performance.now(), opened + 1]
    return end
  }
  return { call: (work) => ({ end: run(work), cancel: never }), state: async () => state, opened: () => opened }
}

/** Nothing stops what it has started, and the first failure is the only one it knows. */
const fan = (works: Readonly<Record<string, Work>>) => {
  const joined: Array<Joined> = []
  const joins: Array<ReadonlyArray<Joined>> = []
  const all = () =>
    Promise.all(
      Object.entries(works).map(async ([name, work]) => {
        joined.push([name, success(await work.promise(neverAborted))])
      })
    ).then(() => void (joined.length > 0 && joins.push(joined)))
  return { end: outcome(all).then((run): Fan => ({ run, joins })), cancel: never }
}

export const careless: Peer = {
  name: "careless",
  lacks: {},
  caller: (options) => (work) => ({ end: outcome(() => attempts(work, options)), cancel: never }),
  circuit,
  fan,
  nested: (plain, inner) => fan({ plain, ...inner }),
  conflict: () => outcome(() => Object.assign({}, { n: 1 }, { n: 2 })),
  map: (items) => fan(Object.fromEntries(items.entries())),
  listened: (work, listener) => ({
    end: outcome(async () => {
      const value = await work.promise(neverAborted)
      await listener()
      return value
    }),
    cancel: never
  }),
  unknownNode: never,
  sameName: never,
  loop: (body, steps) =>
    outcome(() => {
      for (let i = 0; i < steps * 2; i++) body()
    }),
  input: (body) => outcome(body)
}
