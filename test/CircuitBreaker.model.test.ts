/**
 * The machine against a model of it: 10,000 random sequences of commands, late outcomes included, with steps of time that fall
 * right before, on and behind the instants at which something can change. A sequence that fails is shortened and printed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import { Random } from "./simulation/random.ts"
import { Circuit } from "./support/circuit.ts"
import { type Call, circuitModel } from "./support/circuitModel.ts"

type Model = ReturnType<typeof circuitModel>

type Command =
  | { readonly _tag: "ask" | "reset" | "forceOpen" | "disable" | "isolate" | "release" }
  /** To the boundary of this number, or past it; without one by `ms` from now. */
  | { readonly _tag: "time"; readonly boundary: number | undefined; readonly ms: number }
  /** Of the call of this number, counted from the last one, however long ago it was admitted and whether it has ended. */
  | {
    readonly _tag: "end"
    readonly call: number
    readonly outcome: CircuitBreaker.Outcome
    readonly durationMs: number
    readonly retryAfterMs: number
  }

const configs: ReadonlyArray<CircuitBreaker.Input> = [
  { failureThreshold: 2, resetTimeout: 20, halfOpenMaxCalls: 2, successThreshold: 2, probeTimeout: 15 },
  { failureThreshold: 3, resetTimeout: 20, resetTimeoutMultiplier: 2, maxResetTimeout: 70 },
  {
    failureThreshold: 1,
    resetTimeout: 20,
    resetTimeoutMultiplier: 3,
    maxResetTimeout: Infinity,
    probeTimeout: Infinity
  },
  { failureThreshold: 1, resetTimeout: Infinity },
  { failureThreshold: Infinity, failureRateThreshold: 0.5, windowSize: 4, resetTimeout: 20, halfOpenMaxCalls: 3 },
  { failureThreshold: 3, failureRateThreshold: 0, windowSize: 6, minimumCalls: 2, resetTimeout: 20 },
  { failureThreshold: Infinity, failureRateThreshold: 0.6, windowDuration: 40, minimumCalls: 3, resetTimeout: 20 },
  {
    failureThreshold: Infinity,
    slowCallThreshold: 10,
    slowCallRateThreshold: 0.5,
    windowDuration: 100,
    minimumCalls: 2,
    resetTimeout: 20,
    resetTimeoutMultiplier: 2,
    successThreshold: 2,
    halfOpenMaxCalls: 2
  },
  {
    failureThreshold: 4,
    failureRateThreshold: 0.75,
    slowCallThreshold: 10,
    windowSize: 5,
    minimumCalls: 3,
    resetTimeout: 20
  }
]

const commandOf = (random: Random): Command => {
  const what = random.below(100)
  if (what < 35) return { _tag: "ask" }
  if (what < 72) {
    return {
      _tag: "end",
      call: random.chance(0.7) ? random.below(3) : random.below(40),
      outcome: random.pick(["failure", "failure", "failure", "success", "success", "ignored"]),
      durationMs: random.pick([0, 10, 10.25, 11]),
      retryAfterMs: random.pick([0, 0, 0, 30, 500, Infinity])
    }
  }
  if (what < 90) {
    return random.chance(0.6)
      ? { _tag: "time", boundary: random.below(12), ms: random.pick([-1, -0.25, 0, 0, 0.25, 1]) }
      : { _tag: "time", boundary: undefined, ms: random.chance(0.08) ? -random.below(30) : random.below(25) }
  }
  return { _tag: random.pick(["reset", "forceOpen", "disable", "isolate", "release", "release"]) }
}

const boundaries = ({ config, ended, openFor, openedAt, slots, tag }: Model): ReadonlyArray<number> =>
  [
    ...tag === "OPEN" ? [openedAt + openFor] : [],
    ...slots.map(({ at }) => at + config.probeTimeoutMs),
    ...ended.flatMap(({ part }) => [part + config.windowDurationMs, part + config.windowDurationMs / 10])
  ].filter(Number.isFinite)

/** What was met on the way, so that the test can tell that it met everything. */
const seen = new Set<string>()

/** What both say of themselves. */
const viewOf = ({ config, now, state, tally: { calls, failures, slow } }: Circuit): string =>
  [
    state._tag,
    CircuitBreaker.mode(state),
    `failures in a row ${state.failureCount}, last at ${state.lastFailureAtMs}`,
    `open since ${state._tag === "CLOSED" ? "-" : state.openedAtMs}`,
    `probes ${CircuitBreaker.probes(state, now, config).length}, good ${
      state._tag === "HALF_OPEN" ? state.successes : 0
    }`,
    `of ${calls} calls ${failures} failed and ${slow} slow`
  ].join("; ")

const viewOfModel = (model: Model, now: number): string => {
  const { failureRateThreshold, slowCallThresholdMs } = model.config
  const rated = failureRateThreshold !== Infinity || slowCallThresholdMs !== Infinity ? model.counted(now) : []
  return [
    model.tag,
    model.holds > 0 ? "isolated" : model.hand,
    `failures in a row ${model.streak.length}, last at ${model.streak.at(-1)}`,
    `open since ${model.tag === "CLOSED" ? "-" : model.openedAt}`,
    `probes ${model.holding(now).length}, good ${model.good}`,
    `of ${rated.length} calls ${rated.filter(({ failed }) => failed).length} failed and ${
      rated.filter(({ slow }) => slow).length
    } slow`
  ].join("; ")
}

// Not chai's: there are millions.
const same = (actual: unknown, expected: unknown, what = ""): void => {
  if (actual !== expected) assert.strictEqual(actual, expected, what)
}

/** Where the registry reads no clock: whatever the time, an admission and its success leave the identical state. */
const staysQuiet = ({ config, now, state }: Circuit): void => {
  seen.add("quiet")
  for (const at of [now, now - 1e9, now + 1e9]) {
    const admission = CircuitBreaker.admit(state, at, config)
    const { decision } = admission
    assert(admission.state === state && decision._tag === "Admitted" && !decision.probe)
    const success = { generation: decision.generation, outcome: "success", durationMs: 1e12 } as const
    same(CircuitBreaker.record(state, success, at, config).state, state)
  }
}

/** Both do the same; the first difference is thrown. */
const check = (input: CircuitBreaker.Input, commands: ReadonlyArray<Command>): void => {
  const circuit = new Circuit(input)
  circuit.now = 1000
  const model = circuitModel(circuit.config)
  const calls: Array<readonly [generation: number, call: Call]> = []
  const probes = new Set<number>()
  for (const command of commands) {
    const { now, state, transitions: { length: changes } } = circuit
    const { life, tag } = model
    const mode = CircuitBreaker.mode(state)
    switch (command._tag) {
      case "time": {
        const all = command.boundary === undefined ? [] : boundaries(model)
        circuit.now = (all[(command.boundary ?? 0) % all.length] ?? now) + command.ms
        if (circuit.now < now) seen.add("back in time")
        break
      }
      case "ask": {
        const decision = circuit.ask()
        const expected = model.ask(now)
        if (typeof expected === "number") {
          assert(decision._tag === "Rejected" && decision.circuitState === tag && circuit.state === state)
          const waitMs = Duration.toMillis(decision.retryAfter)
          same(waitMs, Math.ceil(expected))
          seen.add(`rejected in ${tag} ${mode}${waitMs === Infinity ? " for ever" : ""}`)
          const later = (ms: number) => CircuitBreaker.admit(state, now + ms, circuit.config).decision._tag
          if (waitMs !== Infinity) same(`${later(waitMs - 1)}, ${later(waitMs)}`, "Rejected, Admitted")
        } else {
          assert(decision._tag === "Admitted")
          same(decision.probe, model.tag === "HALF_OPEN")
          if (decision.probe) same(probes.has(decision.generation), false, "a probe has a generation of its own")
          probes.add(decision.generation)
          calls.push([decision.generation, expected])
          seen.add(`admitted in ${tag} ${mode}`)
        }
        break
      }
      case "end": {
        const [generation, call] = calls[calls.length - 1 - command.call] ?? []
        if (generation === undefined || call === undefined) break
        const { durationMs, outcome, retryAfterMs } = command
        circuit.record(generation, outcome, { durationMs, retryAfterMs })
        if (!model.end(call, outcome, now, durationMs, retryAfterMs)) {
          same(circuit.state, state, "what changes nothing gives the identical state")
          seen.add(`${outcome} changes nothing in ${tag} ${mode}`)
        } else if (model.tag === tag) seen.add(`${outcome} counts in ${tag}`)
        else seen.add(`${outcome}: ${tag} to ${model.tag}`)
        break
      }
      case "reset":
        circuit.reset()
        model.steer(now, "normal")
        break
      case "forceOpen":
        circuit.enter(CircuitBreaker.forceOpen(state, now))
        model.steer(now, "forced")
        break
      case "disable":
        circuit.enter(CircuitBreaker.disable(state))
        model.steer(now, "disabled")
        break
      case "isolate":
        circuit.enter(CircuitBreaker.isolate(state, now))
        model.steer(now, model.hand, model.holds + 1)
        break
      case "release":
        circuit.enter(CircuitBreaker.release(state))
        if (model.holds > 0) model.steer(now, model.hand, model.holds - 1)
        break
    }
    same(viewOf(circuit), viewOfModel(model, circuit.now))
    same(circuit.transitions.slice(changes).join(), model.tag === tag ? "" : `${tag}->${model.tag}`)
    same(circuit.state.generation > state.generation || model.life === life, true, "a new life has a new generation")
    same(circuit.state.generation < state.generation, false, "generations only grow")
    if (CircuitBreaker.isQuiet(circuit.state, circuit.config)) staysQuiet(circuit)
  }
}

const fails = (input: CircuitBreaker.Input, commands: ReadonlyArray<Command>): unknown => {
  try {
    check(input, commands)
    return undefined
  } catch (error) {
    return error
  }
}

/** As few commands as still fail. */
const shortened = (input: CircuitBreaker.Input, commands: ReadonlyArray<Command>): ReadonlyArray<Command> => {
  for (let i = commands.length - 1; i >= 0; i--) {
    const fewer = commands.filter((_, index) => index !== i)
    if (fails(input, fewer) !== undefined) return shortened(input, fewer)
  }
  return commands
}

describe("any sequence of commands", () => {
  it("does what the model does, 10,000 times", () => {
    for (let seed = 1; seed <= 10_000; seed++) {
      const random = new Random(seed)
      const input = configs[seed % configs.length]!
      const commands = Array.from({ length: 1 + random.below(80) }, () => commandOf(random))
      if (fails(input, commands) === undefined) continue
      const few = shortened(input, commands)
      const steps = few.map((command) => JSON.stringify(command)).join("\n")
      throw new Error(`seed ${seed}, configuration ${seed % configs.length}:\n${steps}`, { cause: fails(input, few) })
    }
  }, 60_000)

  it("met every change, every refusal and everything that changes nothing", () => {
    const outcomes = ["success", "failure", "ignored"]
    assert.sameMembers([...seen], [
      "quiet",
      "back in time",
      "admitted in CLOSED normal",
      "admitted in CLOSED disabled",
      "admitted in OPEN normal",
      "admitted in HALF_OPEN normal",
      "rejected in OPEN normal",
      "rejected in OPEN normal for ever",
      "rejected in OPEN forced for ever",
      "rejected in OPEN isolated for ever",
      "rejected in HALF_OPEN normal",
      "rejected in HALF_OPEN normal for ever",
      ...["CLOSED normal", "CLOSED disabled", "OPEN normal", "OPEN forced", "OPEN isolated", "HALF_OPEN normal"]
        .flatMap((where) => outcomes.map((outcome) => `${outcome} changes nothing in ${where}`)),
      "success counts in CLOSED",
      "failure counts in CLOSED",
      "success: CLOSED to OPEN",
      "failure: CLOSED to OPEN",
      "success counts in HALF_OPEN",
      "ignored counts in HALF_OPEN",
      "success: HALF_OPEN to CLOSED",
      "success: HALF_OPEN to OPEN",
      "failure: HALF_OPEN to OPEN"
    ])
  })
})
