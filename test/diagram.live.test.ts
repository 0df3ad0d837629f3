/**
 * Diagrams as those who read them see them: the real Graphviz, and the real Mermaid in a real browser.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { chromium } from "playwright-core"
import { nastyGraph, nastyKeys, nastyNames } from "./support/nastyGraph.ts"

const browserPath = "/usr/bin/chromium"
const hasDot = spawnSync("dot", ["-V"]).status === 0
const hasBrowser = existsSync(browserPath)
if (!hasDot) console.warn("skipped: Graphviz is not installed, there is no `dot`")
if (!hasBrowser) console.warn(`skipped: there is no browser at ${browserPath}`)

const graph = nastyGraph()
const labels = [...nastyNames, "plan", "join", "after", "start", "end"]
const branches = nastyNames.filter((_, i) => i % 2 === 1).map((name) => `branch ${name}`)
const keys = nastyKeys.filter((key) => key !== "")

/** Text as it looks: however it was broken into lines. */
const seen = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

describe("Graphviz", () => {
  it.skipIf(!hasDot)("draws every name as it is, and every edge", () => {
    const { status, stderr, stdout } = spawnSync("dot", ["-Tjson"], { input: graph.toDot(), encoding: "utf8" })
    assert.strictEqual(stderr, "")
    assert.strictEqual(status, 0)
    const drawn = JSON.parse(stdout) as {
      readonly name: string
      readonly objects: ReadonlyArray<{ readonly _ldraw_: ReadonlyArray<{ readonly text?: string }> }>
      readonly edges: ReadonlyArray<{ readonly _ldraw_?: ReadonlyArray<{ readonly text?: string }> }>
    }
    const textOf = (parts: ReadonlyArray<{ readonly text?: string }> = []) =>
      seen(parts.flatMap(({ text }) => text ?? []).join(" "))
    assert.sameMembers(drawn.objects.map((node) => textOf(node._ldraw_)), labels.map(seen))
    assert.strictEqual(drawn.edges.length, graph.diagram.edges.length)
    assert.sameMembers(
      drawn.edges.map((edge) => textOf(edge._ldraw_)).filter((text) => text !== ""),
      [...branches, ...keys].map(seen)
    )
  })
})

describe("Mermaid", () => {
  it.skipIf(!hasBrowser)("parses and draws every name as it is, and every edge", async () => {
    const script = createRequire(import.meta.url).resolve("mermaid/dist/mermaid.min.js")
    const browser = await chromium.launch({
      executablePath: browserPath,
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    })
    try {
      const page = await browser.newPage()
      const dialogs: Array<string> = []
      const requests: Array<string> = []
      page.on("dialog", (dialog) => {
        dialogs.push(dialog.message())
        void dialog.dismiss()
      })
      page.on("request", (request) => requests.push(request.url()))
      await page.setContent("<!doctype html><main></main>")
      await page.addScriptTag({ path: script })
      const drawn = await page.evaluate(async (text) => {
        interface Mermaid {
          initialize(config: { readonly startOnLoad: boolean; readonly maxTextSize: number }): void
          parse(text: string): Promise<{ readonly diagramType: string }>
          render(id: string, text: string): Promise<{ readonly svg: string }>
        }
        const { mermaid } = globalThis as unknown as { readonly mermaid: Mermaid }
        mermaid.initialize({ startOnLoad: false, maxTextSize: 1_000_000 })
        const { diagramType } = await mermaid.parse(text)
        const { svg } = await mermaid.render("drawn", text)
        const main = document.querySelector("main")!
        main.innerHTML = svg
        const texts = (selector: string) =>
          [...main.querySelectorAll<HTMLElement>(selector)].map((element) => element.textContent ?? "")
        return {
          diagramType,
          nodes: texts("g.node"),
          labels: texts("g.edgeLabel"),
          edges: main.querySelectorAll("path.flowchart-link").length,
          scripts: main.querySelectorAll("script, b, strong").length
        }
      }, graph.toMermaid())
      assert.match(drawn.diagramType, /^flowchart/)
      assert.sameMembers(drawn.nodes.map(seen), labels.map(seen))
      assert.sameMembers(drawn.labels.map(seen).filter((text) => text !== ""), [...branches, ...keys].map(seen))
      assert.strictEqual(drawn.edges, graph.diagram.edges.length)
      assert.strictEqual(drawn.scripts, 0)
      assert.deepStrictEqual(dialogs, [])
      assert.deepStrictEqual(requests.filter((url) => !url.startsWith("about:")), [])
    } finally {
      await browser.close()
    }
  })
})
