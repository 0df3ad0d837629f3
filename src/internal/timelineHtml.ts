/**
 * Text of a page. Whatever comes from outside is text by construction: only the literal parts of a template are markup.
 */

/** Markup that is safe to insert. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Value = string | number | Html | undefined | ReadonlyArray<Html>

export const html = (literals: TemplateStringsArray, ...values: ReadonlyArray<Value>): Html => {
  let text = literals[0]!
  for (let i = 0; i < values.length; i++) text += textOf(values[i]) + literals[i + 1]!
  return new Html(text)
}

const textOf = (value: Value): string => {
  if (value === undefined) return ""
  if (value instanceof Html) return value.text
  if (typeof value === "object") return value.map((one) => one.text).join("")
  return escape(String(value))
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;",
  "`": "&#96;",
  "\n": "&#10;"
}

/** What no document may hold: control characters, and halves of surrogate pairs. */
const unprintable = /(?![\n\t])[\p{Cc}\p{Cs}\ufffe\uffff]/gu

/** For element content and quoted attributes alike. */
export const escape = (text: string): string =>
  text.replace(/\r\n?/g, "\n").replace(unprintable, "\ufffd").replace(/[&<>"'`\n]/g, (char) => entities[char]!)

/** Long enough to understand an error, short enough for a page of a thousand of them. */
export const shorten = (text: string, limit = 600): string => {
  if (text.length <= limit) return text
  return `${text.slice(0, limit)}…`
}

/** Milliseconds as a reader says them: `12 ms`, `2.52 s`, `3 min 5 s`, `2 h 10 min`. */
export const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 2 : 1))} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return joined(Math.floor(seconds / 60), "min", seconds % 60, "s")
  return joined(Math.floor(seconds / 3600), "h", Math.round(seconds % 3600 / 60), "min")
}

const joined = (large: number, unit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`

/** `1 flow`, `2 flows`. */
export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`

/** `a`, `a and b`, `a, b, c and 7 more`. */
export const list = (names: ReadonlyArray<string>, limit = 4): string => {
  const shown = names.length > limit ? names.slice(0, limit - 1) : names
  const rest = names.length - shown.length
  const parts = rest > 0 ? [...shown, `${rest} more`] : shown
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`
}

/** A share of a whole, from 0 to 100. */
export const percent = (part: number, whole: number): number => whole <= 0 ? 0 : Math.round(part / whole * 1e6) / 1e4
