/** Which sources a simulation is of: those of the project, or a copy of them that was changed. */
import { registerHooks } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { root } from "../../scripts/root.ts"

/** From here on, the package and everything in `src` is what is in this folder. */
export const useSources = (folder: string): void => {
  const [own, other] = [join(root, "src"), folder].map((path) => `${pathToFileURL(path).href}/`)
  registerHooks({
    resolve: (specifier, context, next) => {
      const [, name] = /^effect-stategraph(?:\/(\w+))?$/.exec(specifier) ?? [undefined, undefined]
      if (/^effect-stategraph(\/|$)/.test(specifier)) {
        return { url: `${other}${name === undefined ? "" : `${name}/`}index.ts`, shortCircuit: true }
      }
      const found = next(specifier, context)
      return found.url.startsWith(own!) ? { ...found, url: other + found.url.slice(own!.length) } : found
    }
  })
}
