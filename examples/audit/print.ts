/**
 * The report as text, at most 80 columns wide.
 */
import { stripVTControlCharacters, styleText } from "node:util"
import type { Size } from "./measure.ts"
import * as Report from "./report.ts"

export const width = 80

/** How many packages have a line of their own. */
const top = 20

const number = (n: number): string => n.toLocaleString("en-US")

const count = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`

/** What an author wrote cannot move the cursor. */
const clean = (text: string): string => stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")

const fit = (text: string, columns: number): string => {
  const cleaned = clean(text)
  return (cleaned.length > columns ? `${cleaned.slice(0, columns - 1)}…` : cleaned).padEnd(columns)
}

/** The numbers are never cut, whatever their length. */
const columns = (name: string, version: string, license: string, files: string, bytes: string): string => {
  const numbers = ` ${files.padStart(8)} ${bytes.padStart(14)}`
  return fit([fit(name, 30), fit(version, 12), license].join(" "), width - numbers.length) + numbers
}

const line = (name: string, version: string, license: string, size: Size | undefined): string =>
  columns(
    name,
    version,
    license,
    size === undefined ? "?" : number(size.files),
    size === undefined ? "?" : number(size.bytes)
  )

const rule = "-".repeat(width)

const table = (report: Report.Report): ReadonlyArray<string> => {
  const there = Report.bySize(report.rows.filter((row) => row.isInModules && Report.isThere(row)))
  const others = there.slice(top)
  const outside = report.rows.filter((row) => !row.isInModules)
  return [
    columns("package", "version", "license", "files", "bytes"),
    rule,
    ...there.slice(0, top).map((row) => line(row.label, row.version ?? "", row.license ?? "", row.size)),
    ...others.length === 0 ? [] : [line(`${number(others.length)} more`, "", "", Report.sum(others))],
    line("in no package", "", "", report.rest.size),
    rule,
    line("node_modules", "", "", Report.total(report)),
    ...outside.length === 0
      ? []
      : [line(count(outside.length, "package") + " outside of it", "", "", Report.sum(outside))]
  ]
}

const licenses = (rows: ReadonlyArray<Report.Row>): ReadonlyArray<string> => [
  "licenses",
  ...Report.licenses(rows).map(([license, n]) => `${number(n).padStart(7)}  ${fit(license, width - 9).trimEnd()}`)
]

const totals = (report: Report.Report): ReadonlyArray<string> => {
  const { bytes, files, folderBytes, folders, links } = Report.total(report)
  const good = (kind: Report.Row["kind"]) =>
    report.rows.filter((row) => row.kind === kind && row.problem === undefined).length
  const rows: ReadonlyArray<readonly [what: string, n: number]> = [
    ["entries of the lock", report.rows.length],
    ["installed, as the lock says", good("installed")],
    ["links, as the lock says", good("linked")],
    ["optional, not installed", good("absent")],
    ["missing or broken", report.rows.filter(({ problem }) => problem !== undefined).length],
    ["files", files],
    ["symbolic links", links],
    ["folders", folders],
    ["bytes of files and links", bytes],
    ["bytes of the folders themselves", folderBytes],
    ["all bytes, as in `du -sbl`", bytes + folderBytes]
  ]
  return [
    "totals",
    ...rows.map(([what, n]) => `  ${what.padEnd(36)}${number(n).padStart(16)}`),
    ...Report.isComplete(report) ? [] : ["  Not everything could be measured: these sums are too small."]
  ]
}

const shownParts = 10

/** Also what is installed and not in the lock. */
const inNoPackage = ({ rest }: Report.Report): ReadonlyArray<string> => {
  const names = [...rest.parts].sort((a, b) => b.size.bytes - a.size.bytes).map(({ name }) => name)
  const more = names.length > shownParts ? [`${number(names.length - shownParts)} more`] : []
  const all = [...names.slice(0, shownParts), ...more].join(", ")
  return names.length === 0 ? [] : ["", "in no package", ...paragraph(all, 2)]
}

/** Wrapped; `indent` is that of the first line, the others have two more. */
const paragraph = (text: string, indent: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let start = " ".repeat(indent)
  let rest = clean(text)
  while (start.length + rest.length > width) {
    const space = rest.lastIndexOf(" ", width - start.length)
    const end = space > 0 ? space : width - start.length
    lines.push(start + rest.slice(0, end))
    rest = rest.slice(end).trimStart()
    start = " ".repeat(indent + 2)
  }
  return [...lines, start + rest]
}

const failures = (report: Report.Report): ReadonlyArray<string> =>
  Report.failures(report).flatMap(({ label, message, type }) => paragraph(`${label}: ${message} (${type})`, 2))

export const text = (report: Report.Report): string => {
  const broken = failures(report)
  return [
    ...paragraph(`What is in ${report.modules}`, 0),
    "",
    ...table(report),
    "",
    ...licenses(report.rows),
    "",
    ...totals(report),
    ...inNoPackage(report),
    ...broken.length === 0 ? [] : ["", styleText("red", "failures"), ...broken]
  ].join("\n")
}
