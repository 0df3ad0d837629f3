/** The dependency audit over real files: this project's own packages, and made-up ones with everything that can be wrong. */
import { NodeServices } from "@effect/platform-node"
import { afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Layer, Logger, PlatformError, Stream } from "effect"
import { FlowCallbacks, type GraphEvent } from "effect-stategraph"
import { TestClock } from "effect/testing"
import { execFile, execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import * as Graph from "../examples/audit/graph.ts"
import * as Print from "../examples/audit/print.ts"
import * as Report from "../examples/audit/report.ts"
import { root } from "../scripts/root.ts"
import { makeProject, type Project } from "./support/auditProject.ts"

const services = Layer.merge(NodeServices.layer, Logger.layer([]))

const graph = Graph.make({ concurrency: 8, timeoutMs: 30_000 })

const reportOf = (place: string): Promise<Report.Report> =>
  Effect.runPromise(Effect.provide(Effect.map(graph.invoke({ place }), ({ report }) => report!), services))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const { FORCE_COLOR: _force, NO_COLOR: _no, ...inherited } = process.env

const audit = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const options = { cwd: root, env: { ...inherited, NO_COLOR: "1" }, maxBuffer: 1e8 }
    const child = execFile(process.execPath, ["examples/audit/main.ts", ...args], options, (_, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr })
    })
  })

/** A number of the printed totals. */
const printed = (text: string, what: string): number => {
  const [, n] = new RegExp(`^ {2}${what} +([\\d,]+)$`, "m").exec(text) ?? []
  assert.isDefined(n, `${what} is in:\n${text}`)
  return Number(n!.replaceAll(",", ""))
}

const du = (...args: ReadonlyArray<string>): number => parseInt(execFileSync("du", args, { encoding: "utf8" }), 10)

/** Everything below a folder, and the folder: its type, its size and its path, as `find` says. */
const find = (folder: string): string =>
  execFileSync("find", [folder, "-printf", "%y %s %P\\0"], { encoding: "utf8", maxBuffer: 1e8 })

interface Counted {
  files: number
  links: number
  folders: number
  bytes: number
  folderBytes: number
}

/** The same sums, made the other way round: from the list of all files, each to the longest key that it starts with. */
const countByPackage = (listing: string, keys: ReadonlyArray<string>): ReadonlyMap<string, Counted> => {
  const sums = new Map<string, Counted>()
  const known = new Set(keys)
  for (const entry of listing.split("\0").slice(0, -1)) {
    const [, type, size, path] = /^(.) (\d+) ([^]*)$/.exec(entry)!
    let owner = `node_modules/${path}`
    while (owner !== "" && !known.has(owner)) owner = owner.slice(0, Math.max(0, owner.lastIndexOf("/")))
    const sum = sums.get(owner) ?? { files: 0, links: 0, folders: 0, bytes: 0, folderBytes: 0 }
    sums.set(owner, sum)
    if (type === "d") {
      sum.folders++
      sum.folderBytes += Number(size)
    } else {
      sum[type === "l" ? "links" : "files"]++
      sum.bytes += Number(size)
    }
  }
  return sums
}

const nothing: Counted = { files: 0, links: 0, folders: 0, bytes: 0, folderBytes: 0 }

const keysOf = (project: string): ReadonlyArray<string> =>
  Object.keys(JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")).packages).filter((key) => key !== "")

/** That every package, the rest and the total are what a plain list of the files says. */
const checkSizes = (report: Report.Report, project: string, listing: string): void => {
  const keys = keysOf(project)
  const sums = countByPackage(listing, keys)
  assert.strictEqual(report.rows.length, keys.length)
  for (const [i, row] of report.rows.entries()) {
    if (row.isInModules) assert.deepStrictEqual(row.size, sums.get(keys[i]!) ?? nothing, keys[i]!)
  }
  assert.deepStrictEqual(report.rest.size, sums.get("") ?? nothing, "in no package")
}

describe("the audit of this project", () => {
  // A worktree has only a link to the packages.
  const project = dirname(realpathSync(join(root, "node_modules")))
  const modules = join(project, "node_modules")
  let report: Report.Report
  let listing: string
  let total: number

  // Tools keep their caches among the packages, also while this runs: until nothing has changed in between.
  beforeAll(async () => {
    let before: string
    do {
      before = find(modules)
      report = await reportOf(project)
      total = du("-sbl", modules)
      listing = find(modules)
    } while (before !== listing)
  }, 60_000)

  it("has the totals of du", () => {
    const folder = mkdtempSync(join(tmpdir(), "audit-"))
    // Some versions of du count folders themselves, some do not.
    const countsFolders = du("-sbl", folder) > 0
    rmdirSync(folder)
    const text = Print.text(report)
    assert.strictEqual(
      printed(text, countsFolders ? "all bytes, as in `du -sbl`" : "bytes of files and links"),
      total
    )
    const types = listing.split("\0").map((entry) => entry[0])
    const count = (type: string) => types.filter((other) => other === type).length
    assert.isAbove(count("f"), 1000)
    assert.strictEqual(printed(text, "files"), count("f"))
    assert.strictEqual(printed(text, "symbolic links"), count("l"))
    assert.strictEqual(printed(text, "folders"), count("d"))
  })

  it("has for each package the sizes of a script that counts another way", () => {
    checkSizes(report, project, listing)
  })

  it("says of each package what its lock and its manifest say", () => {
    const entries = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")).packages as Record<
      string,
      { version?: string; link?: boolean; optional?: boolean }
    >
    const manifestOf = (key: string): { version?: string; license?: string } | undefined => {
      const file = join(project, key, "package.json")
      return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
    }
    const expected = keysOf(project).map((key) => {
      const { link, optional, version } = entries[key]!
      const manifest = manifestOf(key)
      if (link === true) return { kind: "linked", license: undefined, failed: manifest === undefined }
      if (manifest === undefined) {
        return { kind: optional === true ? "absent" : "installed", license: undefined, failed: optional !== true }
      }
      const license = manifest.license ?? "(none stated)"
      return { kind: "installed", license, failed: version !== undefined && manifest.version !== version }
    })
    assert.deepStrictEqual(
      report.rows.map(({ kind, license, problem }) => ({ kind, license, failed: problem !== undefined })),
      expected
    )
    assert.isAbove(expected.filter(({ kind }) => kind === "installed").length, 50)
  })
})

describe("the audit of a made-up project", () => {
  let project: Project

  beforeEach(() => {
    project = makeProject()
  })
  afterEach(() => project.remove())

  const problems = ({ rows }: Report.Report) =>
    Object.fromEntries(
      rows.map(({ kind, label, problem }) =>
        [label, problem === undefined ? kind : `${problem.type}: ${problem.message}`] as const
      )
    )

  it("tells apart everything that can be wrong, and measures what is there all the same", async () => {
    const { file, folder, install, link } = project
    const at = (name: string) => `node_modules/${name}`
    const locked = { version: "1.0.0" }
    for (
      const name of ["good", "@scope/good", "good/node_modules/nested", "good/node_modules/nested/node_modules/deep"]
    ) {
      install(at(name))
    }
    install(at("alias"), { name: "another" })
    install(at("bom"))
    file(at("bom/package.json"), `\uFEFF${JSON.stringify({ name: "bom", version: "1.0.0" })}`)
    install(at("wrong-version"), { version: "1.0.1" })
    install(at("wrong-name"), { name: "evil" })
    install(at("no-version"), { version: undefined })
    folder(at("empty"))
    install(at("no-json"))
    file(at("no-json/package.json"), "{ \"name\": ")
    install(at("odd-json"), { version: 1 })
    folder(at("unreadable/package.json"))
    file(at("a-file"), "not a folder")
    install("elsewhere/node_modules/a-link")
    link(at("a-link"), "../elsewhere/node_modules/a-link")
    install("elsewhere/node_modules/a-link/node_modules/behind")
    install("tools/workspace")
    install("tools/workspace/node_modules/own")
    link(at("workspace"), "../tools/workspace")
    link(at("astray"), "../elsewhere")
    install(at("no-link"))
    project.lock({
      ...Object.fromEntries(
        [
          "good",
          "@scope/good",
          "good/node_modules/nested",
          "good/node_modules/nested/node_modules/deep",
          "bom",
          "wrong-version",
          "wrong-name",
          "no-version",
          "empty",
          "no-json",
          "odd-json",
          "unreadable",
          "a-file",
          "a-link",
          "a-link/node_modules/behind",
          "missing"
        ].map((name) => [at(name), locked])
      ),
      [at("alias")]: { ...locked, name: "another" },
      [at("other-platform")]: { ...locked, optional: true },
      [at("broken-optional")]: { ...locked, optional: true },
      [at("workspace")]: { resolved: "tools/workspace", link: true },
      [at("astray")]: { resolved: "tools/workspace", link: true },
      [at("no-link")]: { resolved: "tools/workspace", link: true },
      [at("lost-link")]: { resolved: "tools/workspace", link: true },
      "tools/workspace": {},
      "tools/workspace/node_modules/own": locked
    })
    folder(at("broken-optional"))

    const report = await reportOf(project.root)
    assert.deepStrictEqual(problems(report), {
      "good": "installed",
      "@scope/good": "installed",
      "good/node_modules/nested": "installed",
      "good/node_modules/nested/node_modules/deep": "installed",
      "bom": "installed",
      "alias": "installed",
      "workspace": "linked",
      "./tools/workspace": "installed",
      "./tools/workspace/node_modules/own": "installed",
      "other-platform": "absent",
      "wrong-version": "VersionMismatch: the lock says 1.0.0, installed is 1.0.1",
      "wrong-name": "NameMismatch: the lock says wrong-name, installed is evil",
      "no-version": "VersionMismatch: the lock says 1.0.0, installed is one without a version",
      "empty": "ManifestMissing: has no package.json",
      "broken-optional": "ManifestMissing: has no package.json",
      "no-json": "ManifestBroken: package.json: Expected a valid JSON string",
      "odd-json": "ManifestBroken: package.json: Expected string at [\"version\"]",
      "unreadable": "ManifestUnreadable: package.json cannot be read: illegal operation on a directory",
      "a-file": "NotAFolder: is a file, where the lock has a folder",
      "a-link": "NotAFolder: is a symbolic link, where the lock has a folder",
      "a-link/node_modules/behind": "PackageMissing: is in the lock, but not installed",
      "missing": "PackageMissing: is in the lock, but not installed",
      "astray": "LinkBroken: leads to elsewhere, not to tools/workspace",
      "no-link": "LinkBroken: is no link to tools/workspace",
      "lost-link": "LinkBroken: is no link to tools/workspace"
    })
    checkSizes(report, project.root, find(join(project.root, "node_modules")))
    // Known although it is the wrong one.
    assert.deepInclude(report.rows.find(({ label }) => label === "wrong-version"), { version: "1.0.1", license: "MIT" })

    const text = stripVTControlCharacters(Print.text(report))
    assert.strictEqual(printed(text, "missing or broken"), 15)
    assert.strictEqual(printed(text, "optional, not installed"), 1)
    assert.match(text, /^2 packages outside of it +4 /m)
    assert.include(text, "\n  wrong-version: the lock says 1.0.0, installed is 1.0.1 (VersionMismatch)\n")
    for (const line of text.split("\n")) assert.isAtMost(line.length, 80, line)
  })

  it("counts each file once, hard links for each name, and follows no link", async () => {
    const { file, hardLink, install, link } = project
    install("node_modules/a")
    install("node_modules/a/node_modules/b")
    install("node_modules/stray")
    install("node_modules/a/node_modules/stray-too")
    file("node_modules/.package-lock.json", "{}")
    file("node_modules/a/Ünï \n 'quoted'", "x".repeat(12_345))
    hardLink("node_modules/a/again", "node_modules/a/lib/index.js")
    link("node_modules/.bin/a", "../a/lib/index.js")
    link("node_modules/a/round", "..")
    link("node_modules/a/dangling", "nowhere")
    project.lock({ "node_modules/a": {}, "node_modules/a/node_modules/b": {} })

    const report = await reportOf(join(project.root, "package-lock.json"))
    checkSizes(report, project.root, find(join(project.root, "node_modules")))
    assert.deepInclude(report.rows[0]!.size, { files: 6, links: 2 })
    assert.deepInclude(report.rows[1]!.size, { files: 2, links: 0 })
    // What npm did not install is told by name.
    assert.sameMembers(report.rest.parts.map(({ name }) => name), [".bin", ".package-lock.json", "stray"])

    assert.include(Print.text(report), "in no package\n  stray, .bin, .package-lock.json")
    for (const concurrency of [1, 200]) {
      const again = Graph.make({ concurrency, timeoutMs: 30_000 }).invoke({ place: project.root })
      assert.deepStrictEqual((await Effect.runPromise(Effect.provide(again, services))).report, report)
    }
  })

  it("of no packages at all has only totals", async () => {
    project.lock({})
    const { code, stderr, stdout } = await audit(project.root)
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.strictEqual(printed(stdout, "entries of the lock"), 0)
    assert.strictEqual(printed(stdout, "all bytes, as in `du -sbl`"), 0)
  })

  it("of many packages has a page with a lane for each", async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `node_modules/@s${i % 7}/p${i}`)
    for (const [i, key] of keys.entries()) if (i % 100 !== 3) project.install(key)
    project.lock(Object.fromEntries(keys.map((key) => [key, { version: "1.0.0" }])))
    const page = join(project.root, "out.html")
    const { code, stdout } = await audit(project.root, "--html", page)
    assert.strictEqual(code, 2)
    assert.include(stdout, `The timeline is in ${page}`)
    assert.strictEqual(printed(stdout, "missing or broken"), 3)
    const html = readFileSync(page, "utf8")
    // Those of the packages, of the rest and of the main line.
    assert.strictEqual(html.match(/class="lane[ "]/g)!.length, 302)
    for (const key of keys) assert.include(html, `package[${key.slice("node_modules/".length)}]`)
    assert.include(html, "is in the lock, but not installed")
  })

  const wrongLocks: ReadonlyArray<readonly [what: string, write: (project: Project) => void, says: RegExp]> = [
    ["that is missing", () => undefined, /^there is no lock file .*package-lock\.json$/],
    ["that is a folder", ({ folder }) => folder("package-lock.json/package-lock.json"), /cannot be read: illegal/],
    ["that is no JSON", ({ file }) => file("package-lock.json", "{"), /package-lock\.json is malformed: .*JSON/],
    [
      "of npm 6",
      ({ lock }) => lock({}, { lockfileVersion: 1 }),
      /malformed: Expected 2 \| 3 at \["lockfileVersion"\]$/
    ],
    ["without packages", ({ lock }) => lock({}, { packages: undefined }), /malformed: Missing key at \["packages"\]$/],
    [
      "with a version that is a number",
      ({ lock }) => lock({ "node_modules/a": { version: 5 } }),
      /malformed: Expected string at \["packages"\]\["node_modules\/a"\]\["version"\]$/
    ],
    ...["/etc", "node_modules/../../etc", "node_modules//a", "node_modules/a/", "."].map((key) =>
      [
        `with the key ${key}`,
        ({ lock }: Project) => lock({ [key]: {} }),
        /malformed: Expected the relative path of a folder at \["packages"\]\[".+"\]$/
      ] as const
    ),
    ["whose packages are not installed", ({ lock }) => lock({ "node_modules/a": {} }), /there is no folder .*: install/]
  ]
  for (const [what, write, says] of wrongLocks) {
    it(`fails in one sentence for a lock ${what}`, async () => {
      write(project)
      const lock = join(project.root, "package-lock.json")
      const error = await Effect.runPromise(Effect.provide(Effect.flip(graph.invoke({ place: lock })), services))
      assert.match(error.message, says)
      assert.include(error.message, project.root)
    })
  }

  it("ends with 1 and one sentence when there is no lock", async () => {
    const file = join(project.root, "no such file")
    assert.deepStrictEqual(await audit(file), {
      code: 1,
      stdout: "",
      stderr: `audit: there is no lock file ${file}\n`
    })
  })

  /** The file system, with something else for some places. */
  const changed = (change: (files: FileSystem.FileSystem) => Partial<FileSystem.FileSystem>) =>
    Layer.merge(
      services,
      Layer.effect(
        FileSystem.FileSystem,
        Effect.map(FileSystem.FileSystem, (files) => ({ ...files, ...change(files) }))
      ).pipe(Layer.provide(services))
    )

  const denied = (path: string) =>
    Effect.fail(PlatformError.systemError({
      _tag: "PermissionDenied",
      module: "FileSystem",
      method: "open",
      cause: new Error(`EACCES: permission denied, open '${path}'`)
    }))

  it("says what may not be read, and that its sums are too small", async () => {
    for (const name of ["secret", "closed", "open"]) project.install(`node_modules/${name}`)
    project.lock(Object.fromEntries(["secret", "closed", "open"].map((name) => [`node_modules/${name}`, {}])))
    const files = changed((files) => ({
      readDirectoryEntries: (path) => path.endsWith("secret/lib") ? denied(path) : files.readDirectoryEntries(path),
      readFileString: (path) => path.includes("closed") ? denied(path) : files.readFileString(path)
    }))
    const state = await Effect.runPromise(Effect.provide(graph.invoke({ place: project.root }), files))
    assert.deepStrictEqual(problems(state.report!), {
      secret: "FolderUnreadable: node_modules/secret/lib cannot be read: permission denied",
      closed: "ManifestUnreadable: package.json cannot be read: permission denied",
      open: "installed"
    })
    assert.isFalse(Report.isComplete(state.report!))
    assert.deepInclude(state.report!.rows[1]!.size, { files: 2 })
  })

  it.effect("gives up on a package whose folder does not answer, and tells the others", () =>
    Effect.gen(function*() {
      for (const name of ["hanging", "fine"]) project.install(`node_modules/${name}`)
      project.lock({ "node_modules/hanging": {}, "node_modules/fine": {} })
      const others = yield* Deferred.make<void>()
      let ended = 0
      const callbacks = FlowCallbacks.make({
        onFlowComplete: () => ++ended === 2 ? Deferred.succeed(others, undefined) : undefined
      })
      const files = changed((files) => ({
        readDirectoryEntries: (path) => path.endsWith("hanging") ? Effect.never : files.readDirectoryEntries(path)
      }))
      const fiber = yield* Effect.forkChild(
        Effect.provide(graph.invoke({ place: project.root }, { callbacks }), files)
      )
      yield* Deferred.await(others)
      yield* TestClock.adjust("30 seconds")
      const { report } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(problems(report!), {
        hanging: "TimeoutError: flow \"package[hanging]\" timed out after 30000 ms",
        fine: "installed"
      })
      assert.isFalse(Report.isComplete(report!))
    }))

  it("looks at no more packages at a time than it may", async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `node_modules/p${i}`)
    for (const key of keys) project.install(key)
    project.lock(Object.fromEntries(keys.map((key) => [key, {}])))
    const most = async (concurrency: number) => {
      let open = 0
      let max = 0
      const count = (event: GraphEvent.Any) => {
        if (event._tag === "FlowStarted" && event.branch !== "rest") max = Math.max(max, ++open)
        if (event._tag === "FlowCompleted" && event.branch !== "rest") open--
      }
      const events = Graph.make({ concurrency, timeoutMs: 30_000 }).stream({ place: project.root })
      await Effect.runPromise(
        Effect.provide(Stream.runForEach(events, (event) => Effect.sync(() => count(event))), services)
      )
      return max
    }
    assert.strictEqual(await most(1), 1)
    assert.strictEqual(await most(3), 3)
  })
})
