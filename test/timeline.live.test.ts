/**
 * The page of a timeline in a real browser: what it draws, that it can be used, and that nothing in it comes alive.
 */
import { afterAll, afterEach, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Logger, Schema, Stream } from "effect"
import { type GraphEvent, StateGraph, Timeline } from "effect-stategraph"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium, type Page } from "playwright-core"
import { root } from "../scripts/root.ts"
import { approvals, onRealClock, partsOf } from "./support/suspended.ts"

const executablePath = "/usr/bin/chromium"
const installed = existsSync(executablePath)
if (!installed) console.log(`The tests of the timeline's page are skipped: there is no ${executablePath}`)

const folder = mkdtempSync(join(tmpdir(), "timeline-"))
const screenshots = join(root, ".reports")
let browser: Browser

type Events = ReadonlyArray<GraphEvent.Any>

const State = Schema.Struct({ run: Schema.Number })
class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

const nap = (ms: number) => () => Effect.as(Effect.sleep(ms), {})
const boom = new Boom({ message: "connection refused" })

/** Like the services of the demo, but quick; `hostile` renames them. */
const fiveServices = (rename = (name: string): string => name) => {
  const [fast, slow, flaky, hanging, dead] = ["fast", "slow", "flaky", "hanging", "dead"].map(rename)
  const circuitBreaker = { failureThreshold: 3, resetTimeout: 60_000 }
  const config = { timeout: 300, retry: { maxRetries: 2, baseDelay: 20 }, circuitBreaker }
  return StateGraph.make(rename("services"), State)
    .addNode(fast!, nap(5))
    .addNode(slow!, nap(150))
    .addNode(flaky!, (_state, { attempt }) => Effect.andThen(Effect.sleep(10), attempt < 3 ? boom : Effect.succeed({})))
    .addNode(hanging!, () => Effect.as(Effect.uninterruptible(Effect.sleep(800)), {}))
    .addNode(dead!, () => Effect.fail(new Boom({ message: rename("connection refused") })))
    .addFanInNode("report" as string, nap(5))
    .addParallelEdge(StateGraph.START, fast!, "report", config)
    .addParallelEdge(StateGraph.START, slow!, "report", config)
    .addParallelEdge(StateGraph.START, flaky!, "report", config)
    .addParallelEdge(StateGraph.START, hanging!, "report", {
      ...config,
      grace: 100,
      circuitBreaker: { ...circuitBreaker, failureThreshold: 2 }
    })
    .addParallelEdge(StateGraph.START, dead!, "report", config)
    .setFinishPoint("report")
    .compile()
}

const manyFlows = (count: number) => {
  const names = Array.from({ length: count }, (_, i) => `flow-${i}`)
  const work = (i: number) => (_state: unknown, { attempt }: { readonly attempt: number }) =>
    Effect.andThen(
      i % 17 === 3 ? Effect.never : Effect.sleep(5 + i * 7 % 40),
      i % 11 === 5 && attempt === 1 ? boom : Effect.succeed({})
    )
  let nodes = StateGraph.make("many", State).addNode("plan" as string, work(1))
  for (const [i, name] of names.entries()) nodes = nodes.addNode(name, work(i))
  let flows = nodes.addFanInNode("join" as string, nap(5)).setEntryPoint("plan")
  const config = { timeout: 60, concurrency: 300, retry: { maxRetries: 1, baseDelay: 15 } }
  for (const name of names) flows = flows.addParallelEdge("plan", name, "join", config)
  return flows.setFinishPoint("join").compile()
}

/** A map of scoped names, with three ways out of its node. */
const packages = StateGraph.make("packages", State)
  .addNode("lock", nap(5))
  .addNode("look", nap(5), { item: Schema.String })
  .addNode("link", nap(2))
  .addNode("read", nap(5))
  .addFanInNode("report", nap(5))
  .setEntryPoint("lock")
  .addParallelMap("lock", "look", "report", {
    items: () => ["@scope/a", "@scope/b", "plain", "https://host/p?q=[1]/x"],
    key: (name) => name,
    concurrency: 2
  })
  .addConditionalEdges("look", ({ run }) => run < 0 ? "linked" : run > 5 ? "absent" : "installed", {
    linked: "link",
    installed: "read",
    absent: "report"
  })
  .setFinishPoint("report")
  .compile()

const eventsOf = <E>(
  graph: StateGraph.CompiledGraph<typeof State.Type, typeof State.Type, E, never>,
  runs: number
): Promise<Events> =>
  Effect.runPromise(
    Effect.gen(function*() {
      const all: Array<GraphEvent.Any> = []
      for (let run = 1; run <= runs; run++) all.push(...yield* Stream.runCollect(graph.stream({ run })))
      return all
    }).pipe(Effect.provide(Logger.layer([])))
  )

/** A page, and everything it did that a page of ours must not do. */
interface Opened {
  readonly page: Page
  readonly misdeeds: ReadonlyArray<string>
}

const open = async (
  html: string,
  options: { dark?: boolean; script?: boolean; width?: number } = {}
): Promise<Opened> => {
  const file = join(folder, "page.html")
  writeFileSync(file, html)
  const url = pathToFileURL(file).href
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1400, height: 1000 },
    colorScheme: options.dark === true ? "dark" : "light",
    javaScriptEnabled: options.script !== false
  })
  const page = await context.newPage()
  const misdeeds: Array<string> = []
  page.on("request", (request) => request.url() === url ? undefined : misdeeds.push(`request of ${request.url()}`))
  page.on("console", (message) => misdeeds.push(`${message.type()} on the console: ${message.text()}`))
  page.on("pageerror", (error) => misdeeds.push(`error: ${error.message}`))
  page.on("dialog", async (dialog) => {
    misdeeds.push(`dialog: ${dialog.message()}`)
    await dialog.dismiss()
  })
  await page.goto(url)
  return { page, misdeeds }
}

/** What was drawn in one lane, in pixels from the left end of its track. */
interface DrawnLane {
  readonly name: string
  readonly width: number
  readonly segments: ReadonlyArray<{ readonly look: string; readonly left: number; readonly right: number }>
}

const lanesOf = (page: Page, run: number): Promise<ReadonlyArray<DrawnLane>> =>
  page.locator(`#run-${run}`).evaluate((section) =>
    [...section.querySelectorAll(".lane")].map((lane) => {
      const track = lane.querySelector(".track")!.getBoundingClientRect()
      return {
        name: lane.querySelector(".name")!.getAttribute("title")!,
        width: track.width,
        segments: [...lane.querySelectorAll(".s")].map((segment) => {
          const { left, right } = segment.getBoundingClientRect()
          return { look: segment.className.slice(2), left: left - track.left, right: right - track.left }
        })
      }
    })
  )

const groupByRun = (events: Events): ReadonlyArray<Events> => {
  const runs = new Map<string, Array<GraphEvent.Any>>()
  for (const event of events) runs.set(event.runId, [...runs.get(event.runId) ?? [], event])
  return [...runs.values()]
}

const lengthOf = (run: Events): number => run.at(-1)!.at - run[0]!.at

const ends: Partial<Record<GraphEvent.Any["_tag"], string>> = {
  AttemptSucceeded: "success",
  AttemptFailed: "failure",
  FlowTimedOut: "timeout"
}

/** From the events alone: how each attempt has to look, and from when to when. */
const attemptsOf = (run: Events, branch: string) => {
  const started = run.filter((event) => event._tag === "AttemptStarted" && event.branch === branch)
  return started.flatMap((start) => {
    if (start._tag !== "AttemptStarted") return []
    const end = run.find((event) =>
      event._tag in ends && "branch" in event && event.branch === branch && "attempt" in event &&
      event.attempt === start.attempt
    )!
    return [{ look: ends[end._tag]!, from: start.at - run[0]!.at, to: end.at - run[0]!.at }]
  })
}

/** What the page shows of the attempts is what the events say. */
const checkAgainst = async (page: Page, events: Events): Promise<void> => {
  const runs = groupByRun(events)
  const span = Math.max(...runs.map(lengthOf))
  assert.strictEqual(await page.locator(".run").count(), runs.length)
  for (const [i, run] of runs.entries()) {
    const lanes = await lanesOf(page, i + 1)
    const branches = new Set(run.flatMap((event) => event._tag === "FlowCompleted" ? [event.branch] : []))
    assert.sameMembers(lanes.map(({ name }) => name), ["main line", ...branches])
    for (const { name, segments, width } of lanes) {
      const drawn = segments.filter(({ look }) => Object.values(ends).includes(look))
      const expected = attemptsOf(run, name)
      assert.deepStrictEqual(drawn.map(({ look }) => look), expected.map(({ look }) => look), name)
      for (const [j, { from, to }] of expected.entries()) {
        const { left, right } = drawn[j]!
        assert.approximately(left, from / span * width, 1, `${name}, attempt ${j + 1} begins`)
        assert.approximately(right, Math.max(left + 3, to / span * width), 1, `${name}, attempt ${j + 1} ends`)
      }
    }
  }
}

describe.skipIf(!installed)("the page of a timeline", () => {
  let five: Events
  let fifty: Events
  let thousand: Events
  let scoped: Events
  let waiting: Events

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true })
    browser = await chromium.launch({
      executablePath,
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    })
    five = await eventsOf(fiveServices(), 3)
    fifty = await eventsOf(manyFlows(50), 1)
    thousand = await eventsOf(manyFlows(1000), 1)
    scoped = await eventsOf(packages, 1)
    waiting = await Effect.runPromise(partsOf(approvals, [{ "approval/ok": true }], { ended: onRealClock }))
  }, 60_000)

  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())))

  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it("draws five flows in three runs to one scale", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(five))
    await checkAgainst(page, five)
    assert.deepStrictEqual(misdeeds, [])
  })

  it("draws each run over the full width, if its reader wants that", async () => {
    const { page } = await open(Timeline.fromEvents(five))
    await page.getByLabel("each run fills the width").check()
    const [last] = groupByRun(five).slice(-1)
    const [main] = await lanesOf(page, 3)
    const fanIn = main!.segments.find(({ look }) => look === "fanIn")!
    const started = last!.find(({ _tag }) => _tag === "FanInStarted")!.at - last![0]!.at
    assert.approximately(fanIn.left, started / lengthOf(last!) * main!.width, 1)
    assert.isTrue(await page.locator("#run-3 .axis .own").first().isVisible())
    assert.isFalse(await page.locator("#run-3 .axis .shared").first().isVisible())
  })

  it("draws fifty and a thousand flows, a lane for each", async () => {
    for (const events of [fifty, thousand]) {
      const { misdeeds, page } = await open(Timeline.fromEvents(events))
      await checkAgainst(page, events)
      assert.deepStrictEqual(misdeeds, [])
    }
  })

  it("keeps the axis in sight, and scrolls through a thousand lanes", async () => {
    const { page } = await open(Timeline.fromEvents(thousand))
    const last = page.locator(".lane").last()
    await last.scrollIntoViewIfNeeded()
    assert.isTrue(await last.isVisible())
    assert.strictEqual((await page.locator(".axis").boundingBox())?.y, 0)
    await page.getByLabel("only what did not succeed").check()
    const failed = new Set(
      thousand.flatMap((event) => event._tag === "FlowCompleted" && !event.result.success ? [event.branch] : [])
    )
    assert.strictEqual(await page.locator(".lane:visible").count(), failed.size + 1)
  })

  it("tells why the third run was fast, which service is dead and which one slow", async () => {
    const { page } = await open(Timeline.fromEvents(five))
    const third = page.locator("#run-3")
    assert.match(
      await third.locator(".summary").innerText(),
      /^Run 3 took \d+ ms: hanging and dead were not asked at all, because their circuits are OPEN;.* took longest, \d+ ms\. That is .* less than run 2, because it did not ask hanging/
    )
    assert.strictEqual(await third.locator(".lane.rejected .c.OPEN").count(), 2)
    const rows = await third.locator("tbody tr").allInnerTexts()
    assert.strictEqual(rows.length, 5)
    assert.match(rows[4]!, /^dead\s+⊘ refused by its circuit\s+0\s.*OPEN\s+circuit "services\/dead" is OPEN/)
  })

  it("keeps hostile names as text", async () => {
    const hostile = `<img src=x onerror=alert(1)>"'><svg onload=alert(2)>&lt;`
    const text = `<img src="http://127.0.0.1:9/x"></title></style></script><script>alert(3)</script>`
    const events = await eventsOf(fiveServices((name) => `${hostile} ${name}`), 2)
    for (const title of [undefined, hostile + text]) {
      const { misdeeds, page } = await open(Timeline.fromEvents(events, { title }))
      await page.locator(".lanes .s").first().hover()
      await page.keyboard.press("Tab")
      assert.deepStrictEqual(misdeeds, [])
      assert.strictEqual(await page.locator("img,iframe,object,embed,form").count(), 0)
      assert.strictEqual(await page.locator("script").count(), 1)
      assert.include(await page.locator("h1").innerText(), title ?? hostile)
      assert.include(await page.title(), title ?? hostile)
      assert.include(await page.locator("#run-1 .lane .name").allInnerTexts(), `${hostile} dead`)
      assert.include(await page.locator("#run-1 tbody").innerText(), `${hostile} connection refused`)
    }
  })

  it("runs no code but its own, even if somebody got markup into it", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(five))
    await page.evaluate(() => {
      const blocked = new Promise((resolve) => document.addEventListener("securitypolicyviolation", resolve))
      document.body.insertAdjacentHTML("beforeend", `<img src="data:," onerror="document.title = 'taken'">`)
      const script = document.createElement("script")
      script.textContent = "document.title = 'taken'"
      document.body.append(script)
      return blocked
    })
    assert.strictEqual(await page.title(), "Timeline of services")
    assert.include(misdeeds.join(), "Content Security Policy")
  })

  it("is used by keyboard alone", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(five))
    const focused = () =>
      page.evaluate(() => {
        const el = document.activeElement!
        return {
          lane: el.closest(".lane")?.querySelector(".name")?.textContent,
          look: el.className,
          outline: getComputedStyle(el).outlineStyle
        }
      })
    const press = async (key: string) => {
      await page.keyboard.press(key)
      return focused()
    }
    let at = await focused()
    for (let i = 0; i < 20 && !at.look.startsWith("s "); i++) at = await press("Tab")
    assert.deepStrictEqual(at, { lane: "main line", look: "s gather", outline: "solid" })
    assert.strictEqual((await press("ArrowRight")).look, "s fanIn")
    assert.strictEqual((await press("ArrowRight")).look, "s fanIn")
    assert.strictEqual((await press("Home")).look, "s gather")
    for (const lane of ["fast", "slow", "flaky"]) assert.strictEqual((await press("ArrowDown")).lane, lane)
    await press("Home")
    assert.deepStrictEqual(await press("ArrowRight"), { lane: "flaky", look: "s wait", outline: "solid" })
    assert.deepStrictEqual((await press("End")).look, "s success")
    assert.deepStrictEqual((await press("ArrowUp")).lane, "slow")
    await press("ArrowDown")
    await press("Home")

    const tip = page.locator("#tip")
    assert.isFalse(await tip.isVisible())
    await press("Enter")
    assert.match(
      await tip.innerText(),
      /^flaky: attempt 1 failed after \d+ ms\nconnection refused\nnode flaky failed after \d+ ms\nfrom \d+ ms to \d+ ms of this run$/
    )
    await press("ArrowRight")
    assert.match(await tip.innerText(), /^flaky: waited \d+ ms\nattempt 2 follows 20 ms after attempt 1 failed/)
    await press("Escape")
    assert.isFalse(await tip.isVisible())
    assert.deepStrictEqual(misdeeds, [])
  })

  it("shows details under the pointer", async () => {
    const { page } = await open(Timeline.fromEvents(five))
    await page.locator("#run-1 .s.timeout").hover()
    assert.match(
      await page.locator("#tip").innerText(),
      /^hanging: attempt 1 timed out after \d+ ms\nthe limit of 300 ms/
    )
    await page.locator("#run-2 .c.OPEN").first().hover()
    assert.match(await page.locator("#tip").innerText(), /^circuit services\/hanging is OPEN\nfrom/)
    await page.locator("h1").hover()
    assert.isFalse(await page.locator("#tip").isVisible())
  })

  it("tells the same without a script", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(five), { script: false })
    await page.getByLabel("each run fills the width").check()
    const attempt = page.getByRole("img", { name: /^hanging: attempt 1 timed out/ }).first()
    assert.match(await attempt.getAttribute("title") ?? "", /the limit of 300 ms for one attempt was reached/)
    assert.deepStrictEqual(misdeeds, [])
  })

  it("is as legible in the dark as in the light", async () => {
    const html = Timeline.fromEvents(five)
    const backgrounds: Array<string> = []
    for (const dark of [false, true]) {
      const { page } = await open(html, { dark })
      const colors = await page.evaluate(() => {
        const luminance = (color: string): number => {
          const parts = color.match(/[\d.]+/g)!.slice(0, 3).map((part) => {
            const c = Number(part) / 255
            return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
          })
          return 0.2126 * parts[0]! + 0.7152 * parts[1]! + 0.0722 * parts[2]!
        }
        const contrast = (a: string, b: string): number => {
          const [x, y] = [luminance(a), luminance(b)]
          return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)
        }
        const body = getComputedStyle(document.body)
        const filled = [".s.success", ".s.failure", ".s.timeout", ".s.rejected", ".s.fanIn"].map((selector) => {
          const own = getComputedStyle(document.querySelector(`.lanes ${selector}`)!)
          return [selector, contrast(own.color, own.backgroundColor)] as const
        })
        const plain = ["p.sub", ".what", ".name", "td", ".summary"].map((selector) =>
          [selector, contrast(getComputedStyle(document.querySelector(selector)!).color, body.backgroundColor)] as const
        )
        return { background: body.backgroundColor, contrasts: [...filled, ...plain] }
      })
      for (const [what, contrast] of colors.contrasts) assert.isAtLeast(contrast, 4.5, `${what}, dark: ${dark}`)
      backgrounds.push(colors.background)
    }
    assert.notStrictEqual(backgrounds[0], backgrounds[1])
  })

  it("draws the flows of a map, under their whole names, each in a lane of its own", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(scoped, { diagram: packages.diagram }))
    await checkAgainst(page, scoped)
    const names = await page.locator(".lane .name").allInnerTexts()
    assert.include(names, "look[https://host/p?q=[1]/x]")
    assert.deepStrictEqual(await page.locator(".box .marks .success").allTextContents(), ["4 ✓run 1: 4 succeeded"])
    const [, , , third, fourth] = await lanesOf(page, 1)
    for (const lane of [third, fourth]) assert.strictEqual(lane?.segments[0]?.look, "queue", lane?.name)
    assert.deepStrictEqual(misdeeds, [])
  })

  it("writes the labels of a graph beside each other and beside its boxes", async () => {
    const { page } = await open(Timeline.fromEvents(scoped, { diagram: packages.diagram }))
    const covered = await page.locator(".graph svg").evaluate((svg) => {
      const areas = (selector: string) => [...svg.querySelectorAll(selector)].map((el) => el.getBoundingClientRect())
      const labels = areas(".on-edge")
      const others = [...labels, ...areas(".box > rect")]
      const isApart = (a: DOMRect, b: DOMRect) =>
        a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
      return { labels: labels.length, covered: labels.flatMap((a) => others.filter((b) => a !== b && !isApart(a, b))) }
    })
    assert.deepStrictEqual(covered, { labels: 4, covered: [] })
  })

  it("tells what waits for an answer, from when on, and where the run was resumed", async () => {
    const { misdeeds, page } = await open(Timeline.fromEvents(waiting, { diagram: approvals.diagram }))
    assert.strictEqual(await page.locator(".waits").innerText(), "? Run 1 waits for an answer to “signature”")
    const [first] = waiting
    const suspended = waiting.find(({ _tag }) => _tag === "GraphSuspended")!
    const asked = waiting.find((event) => event._tag === "NodeInterrupted" && event.node === "approve")!
    const lane = (await lanesOf(page, 1)).find(({ name }) => name === "approval")!
    const ask = lane.segments.at(-1)!
    assert.strictEqual(ask.look, "ask")
    assert.approximately(ask.left, (asked.at - first!.at) / (suspended.at - first!.at) * lane.width, 1)
    assert.approximately(ask.right, lane.width, 1)
    await page.locator("#run-1 .s.ask").hover()
    assert.match(await page.locator("#tip").innerText(), /^approval: waits for an answer to “ok”\nfrom/)
    assert.strictEqual(await page.locator("#run-1 .s.failure").count(), 1, "the flow that failed and has a fallback")
    assert.strictEqual(await page.locator("#run-1 .s.fallback").count(), 1)
    await page.locator("#run-1 .k").first().hover()
    assert.match(await page.locator("#tip").innerText(), /^saved: /)
    assert.isTrue(await page.locator(".pause").isVisible())
    assert.match(await page.locator("#run-1-2 .what").first().innerText(), /^\? waits for an answer to “signature”/)
    assert.deepStrictEqual(misdeeds, [])
  })

  it("draws the attempts of a node inside of what it belongs to", async () => {
    const { page } = await open(Timeline.fromEvents(waiting))
    const own = waiting.filter((event) => "scope" in event && event.scope === "node" && "attempt" in event)
    const [begun, failed] = ["AttemptStarted", "AttemptFailed"].map((tag) => own.find(({ _tag }) => _tag === tag)!.at)
    const end = waiting.find(({ _tag }) => _tag === "GraphSuspended")!.at
    const drawn = await page.locator("#run-1 .s .p.failure").evaluate((part) => {
      const track = part.closest(".track")!.getBoundingClientRect()
      const { left, right } = part.getBoundingClientRect()
      return { left: (left - track.left) / track.width, right: (right - track.left) / track.width }
    })
    const share = (at: number) => (at - waiting[0]!.at) / (end - waiting[0]!.at)
    assert.approximately(drawn.left, share(begun!), 0.005)
    assert.approximately(drawn.right, Math.max(drawn.left, share(failed!)), 0.005)
  })

  it("fits into its window", async () => {
    for (const [width, events] of [[1400, fifty], [700, fifty], [700, waiting]] as const) {
      const { page } = await open(Timeline.fromEvents(events), { width })
      assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), width)
    }
  })

  it("can be looked at", async () => {
    const all = { 5: five, 50: fifty, 1000: thousand, packages: scoped, waiting }
    for (const [name, events] of Object.entries(all)) {
      for (const dark of [false, true]) {
        const { page } = await open(Timeline.fromEvents(events), { dark })
        const path = join(screenshots, `timeline-${name}-${dark ? "dark" : "light"}.png`)
        assert.isAbove((await page.screenshot({ path })).length, 20_000)
      }
    }
  })
})
