/**
 * What the modules of the project import, and what Effect says about its own modules.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type ESTree, parseSync } from "vite"
import { root } from "./root.ts"

/** One import of a module. */
export interface Import {
  readonly specifier: string
  /** `import type` and `export type`: gone at run time. */
  readonly isType: boolean
  /** What it takes by name. Of a namespace: the members that the module uses of it. */
  readonly names: ReadonlyArray<string>
}

/** The imports and re-exports of a module, dynamic imports too. */
export const importsOf = (file: string, text: string): ReadonlyArray<Import> => {
  const { errors, module, program } = parseSync(file, text, { lang: "ts", sourceType: "module" })
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`)
  const imports = program.body.flatMap((node): ReadonlyArray<Import> => {
    switch (node.type) {
      case "ImportDeclaration":
        return [{
          specifier: node.source.value,
          isType: node.importKind === "type",
          names: node.specifiers.flatMap((specifier) => namesOf(specifier, text))
        }]
      case "ExportAllDeclaration":
        return [{ specifier: node.source.value, isType: node.exportKind === "type", names: [] }]
      case "ExportNamedDeclaration":
        return node.source === null ? [] : [{
          specifier: node.source.value,
          isType: node.exportKind === "type",
          names: node.specifiers.map((specifier) => nameOf(specifier.local))
        }]
      default:
        return []
    }
  })
  const dynamic = module.dynamicImports.map(({ moduleRequest: { end, start } }): Import => ({
    specifier: text.slice(start, end).replaceAll(/["'`]/g, ""),
    isType: false,
    names: []
  }))
  return [...imports, ...dynamic]
}

const nameOf = (name: ESTree.ModuleExportName): string => name.type === "Literal" ? name.value : name.name

const namesOf = (specifier: ESTree.ImportDeclarationSpecifier, text: string): ReadonlyArray<string> => {
  if (specifier.type === "ImportDefaultSpecifier") return ["default"]
  if (specifier.type === "ImportSpecifier") return [nameOf(specifier.imported)]
  const used = text.matchAll(new RegExp(`(?<![.\\w])${specifier.local.name}\\.(\\w+)`, "g"))
  return [...new Set(Array.from(used, ([, member = ""]) => member))]
}

/** The `@stability` tag of a module of Effect such as `effect/Schema`, or of a member of it; `undefined` without one. */
export const stabilityOf = (specifier: string, member?: string): string | undefined => {
  const text = effectSource(specifier)
  if (text === undefined) return undefined
  if (member === undefined) return tagOf(/^(?:\/\/\/.*\s+)*\/\*\*[^]*?\*\//.exec(text)?.[0])
  const declarations = new RegExp(
    `^export (?:declare )?(?:abstract )?(?:const|function|class|interface|type|namespace) ${member}\\b|^ +(?:\\w+ as )?${member},?$`,
    "gm"
  )
  for (const { index } of text.matchAll(declarations)) {
    const before = text.slice(0, index).trimEnd()
    if (before.endsWith("*/")) return tagOf(before.slice(before.lastIndexOf("/**")))
  }
  return undefined
}

const tagOf = (comment: string | undefined): string | undefined => /@stability (\w+)/.exec(comment ?? "")?.[1]

const effectSources = new Map<string, string | undefined>()

const effectSource = (specifier: string): string | undefined => {
  if (!effectSources.has(specifier)) {
    const base = join(root, "node_modules", "effect", "src", specifier.replace(/^effect\/?/, ""))
    const path = [`${base}.ts`, join(base, "index.ts")].find(existsSync)
    effectSources.set(specifier, path === undefined ? undefined : readFileSync(path, "utf8"))
  }
  return effectSources.get(specifier)
}
