/**
 * The code of the documentation as programs: finds the ```ts blocks of docstrings and Markdown, and turns each claim
 * `expression // => value` into an assertion. Pure, apart from reading the files.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { type ESTree, type ParseResult, parseSync } from "vite"
import { root } from "./root.ts"

/** One block of code, as it stands in the documentation. */
export interface Snippet {
  /** The file it stands in, from the root of the project. */
  readonly file: string
  /** The line of its first line of code, from 1. */
  readonly line: number
  readonly code: string
  /** `no-run`: it is type-checked and not run. */
  readonly runs: boolean
  /** What the documentation says it prints. */
  readonly printed: string | undefined
}

/** A snippet made runnable. Its lines are those of the snippet. */
export interface Program {
  readonly code: string
  /** The lines of the documentation that hold its claims. */
  readonly claims: ReadonlyArray<number>
}

interface Block {
  readonly info: ReadonlyArray<string>
  /** Index of the first line of code. */
  readonly at: number
  readonly lines: ReadonlyArray<string>
  /** Index of the line after the closing fence. */
  readonly after: number
}

const blocksOf = (lines: ReadonlyArray<string>, where: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  for (let i = 0; i < lines.length; i++) {
    const open = /^(\s*)(`{3,})([^`]*)$/.exec(lines[i] ?? "")
    if (open === null) continue
    const [, indent = "", fence = "", info = ""] = open
    const at = i + 1
    for (i = at; (lines[i] ?? fence).trim() !== fence; i++);
    if (i >= lines.length) throw new Error(`${where}: the block that opens in line ${at} is never closed`)
    const code = lines.slice(at, i).map((line) =>
      line.startsWith(indent) ? line.slice(indent.length) : line.trimStart()
    )
    blocks.push({ info: info.trim().split(/\s+/), at, lines: code, after: i + 1 })
  }
  return blocks
}

const snippetsOf = (file: string, lines: ReadonlyArray<string>, offset: number): ReadonlyArray<Snippet> => {
  const blocks = blocksOf(lines, file)
  return blocks.flatMap((block, index): ReadonlyArray<Snippet> => {
    if (block.info[0] !== "ts") return []
    const line = offset + block.at + 1
    const unknown = block.info.slice(1).filter((word) => word !== "no-run")
    if (unknown.length > 0) throw new Error(`${file}:${line}: "ts ${unknown.join(" ")}" is none of "ts", "ts no-run"`)
    const next = blocks[index + 1]
    const follows = next !== undefined &&
      lines.slice(block.after, next.at - 1).every((between) => between.trim() === "")
    return [{
      file,
      line,
      code: block.lines.join("\n"),
      runs: !block.info.includes("no-run"),
      printed: follows ? printedBy(next) : undefined
    }]
  })
}

const printedBy = (block: Block): string | undefined => {
  if (block.info[0] !== "txt") return undefined
  if (block.info[1] === "printed") return block.lines.join("\n")
  return block.lines[0]?.trim() === "// prints" ? block.lines.slice(1).join("\n") : undefined
}

/** The snippets of a Markdown text. */
export const fromMarkdown = (file: string, text: string): ReadonlyArray<Snippet> =>
  snippetsOf(file, text.split("\n"), 0)

/** The snippets in the doc comments of a TypeScript source. */
export const fromSource = (file: string, text: string): ReadonlyArray<Snippet> =>
  parse(file, text).comments.flatMap((comment) => {
    if (comment.type !== "Block" || !comment.value.startsWith("*")) return []
    const lines = comment.value.split("\n").map((line) => line.replace(/^\s*\* ?/, ""))
    return snippetsOf(file, lines, lineAt(text, comment.start) - 1)
  })

/** The paths of all files in a folder of the project, from its root; none if there is no such folder. */
export const filesIn = (folder: string, ending: string): ReadonlyArray<string> => {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .sort()
}

/** Every snippet of the project: docstrings in `src`, then `README.md`, then `docs/*.md`. */
export const collect = (): ReadonlyArray<Snippet> => {
  const read = (file: string): string => readFileSync(join(root, file), "utf8")
  const markdown = ["README.md", ...filesIn("docs", ".md")].filter((file) => existsSync(join(root, file)))
  return [
    ...filesIn("src", ".ts").flatMap((file) => fromSource(file, read(file))),
    ...markdown.flatMap((file) => fromMarkdown(file, read(file)))
  ]
}

/**
 * Makes a snippet runnable: claims become calls of `$claim`, and imports of this package go to its source.
 *
 * The value of a claim may go on in the comment lines below it. A claim belongs to the statement that ends before it: an
 * expression (of `console.log(x)`, to `x`), a declaration of one name, or a `return`.
 */
export const toProgram = (snippet: Snippet, sourceOf: (specifier: string) => string): Program => {
  const { code, file, line } = snippet
  const fail = (offset: number, message: string): never => {
    throw new Error(`${file}:${line + lineAt(code, offset) - 1}: ${message}`)
  }
  const { comments, errors, program } = parse(`${file}.ts`, code)
  if (errors[0] !== undefined) return fail(errors[0].labels[0]?.start ?? 0, errors[0].message)
  const edits: Array<{ readonly at: number; readonly until: number; readonly text: string }> = []
  const ends: Array<{ readonly end: number; readonly claimed: ESTree.Node }> = []

  walk(program, (node) => {
    const claimed = claimable(node)
    if (claimed !== undefined) ends.push({ end: node.end, claimed })
    const source = "source" in node ? node.source : undefined
    if (isNode(source) && source.type === "Literal" && typeof source.value === "string") {
      if (/^effect-stategraph($|\/)/.test(source.value)) {
        edits.push({ at: source.start, until: source.end, text: JSON.stringify(sourceOf(source.value)) })
      }
    }
  })

  const claims: Array<number> = []
  comments.forEach((comment, index) => {
    const value = comment.type === "Line" ? /^\s*=>(.*)$/.exec(comment.value)?.[1] : undefined
    if (value === undefined) return
    const before = ends
      .filter(({ end }) => end <= comment.start && /^[ \t]*;?[ \t]*\n?[ \t]*$/.test(code.slice(end, comment.start)))
      .sort((a, b) => b.end - a.end || a.claimed.start - b.claimed.start)[0]
    if (before === undefined) return fail(comment.start, "no statement ends before this claim")
    const text = claimedValue(value, code, comments.slice(index)) ??
      fail(comment.start, `"${value.trim()}" is no value`)
    edits.push({ at: before.claimed.start, until: before.claimed.start, text: `$claim(${claims.length}, ` })
    edits.push({ at: before.claimed.end, until: before.claimed.end, text: `, ${text})` })
    claims.push(line + lineAt(code, comment.start) - 1)
  })

  let text = code
  for (const edit of edits.sort((a, b) => b.at - a.at)) {
    text = text.slice(0, edit.at) + edit.text + text.slice(edit.until)
  }
  return { code: text, claims }
}

const claimable = (node: ESTree.Node): ESTree.Node | undefined => {
  switch (node.type) {
    case "ReturnStatement":
      return node.argument ?? undefined
    case "VariableDeclaration":
      return node.declarations.length === 1 ? node.declarations[0]?.init ?? undefined : undefined
    case "ExpressionStatement": {
      const { expression } = node
      const argument = expression.type === "CallExpression" ? expression.arguments[0] : undefined
      return argument !== undefined && argument.type !== "SpreadElement" && isConsoleLog(expression)
        ? argument
        : expression
    }
    default:
      return undefined
  }
}

const isConsoleLog = (node: ESTree.Node): boolean =>
  node.type === "CallExpression" && node.arguments.length === 1 && node.callee.type === "MemberExpression" &&
  node.callee.object.type === "Identifier" && node.callee.object.name === "console" &&
  node.callee.property.type === "Identifier" && node.callee.property.name === "log"

/** The value as an expression: the rest of the line, and as many of the comment lines below as it takes. */
const claimedValue = (first: string, code: string, comments: ParseResult["comments"]): string | undefined => {
  let text = first.trim()
  for (let i = 1;; i++) {
    const { errors, program } = parse("value.ts", `(${text}\n)`)
    const statement = program.body[0]
    if (errors.length === 0 && program.body.length === 1 && statement?.type === "ExpressionStatement") {
      const value = statement.expression.type === "ParenthesizedExpression"
        ? statement.expression.expression
        : undefined
      return value === undefined || value.type === "SequenceExpression" ? undefined : text
    }
    const previous = comments[i - 1]
    const next = comments[i]
    if (previous === undefined || next?.type !== "Line" || !/^\n[ \t]*$/.test(code.slice(previous.end, next.start))) {
      return undefined
    }
    text += ` ${next.value.trim()}`
  }
}

const parse = (file: string, code: string) => parseSync(file, code, { lang: "ts", sourceType: "module" })

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

const isNode = (value: unknown): value is ESTree.Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"

const walk = (node: ESTree.Node, visit: (node: ESTree.Node) => void): void => {
  visit(node)
  for (const child of Object.values(node).flat()) if (isNode(child)) walk(child, visit)
}
