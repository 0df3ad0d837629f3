import type { Failure } from "./campaign.ts"

const command = (kind: string, seed: number, size: number | undefined): string =>
  `npm run simulate -- --${kind} --first ${seed} --seeds 1${size === undefined ? "" : ` --size ${size}`}`

/** How to run one seed again, what was wrong with it, and the smallest run with which that is so too. */
export const shown = ({ kind, problems, seed, size, small, smallest }: Failure): string =>
  [
    `seed ${seed} (${kind}):`,
    ...problems.slice(0, 8).map((problem) => `  ${problem}`),
    ...problems.length > 8 ? [`  and ${problems.length - 8} more`] : [],
    `replay it with: ${command(kind, seed, size)}`,
    ...small === undefined ? [] : [`the smallest run that is found to break the same promise:\n${small}`],
    ...smallest === undefined
      ? kind === "runs" && small !== undefined ? ["run it with: npm run simulate -- --spec <a file with it>"] : []
      : [`run it with: ${command(kind, smallest.seed, smallest.size)}`]
  ].join("\n")
