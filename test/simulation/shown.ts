import type { Failure } from "./campaign.ts"

/** How to run one seed again, and what was wrong with it. */
export const shown = ({ kind, problems, seed, small }: Failure): string =>
  [
    `seed ${seed} (${kind}):`,
    ...problems.slice(0, 8).map((problem) => `  ${problem}`),
    ...problems.length > 8 ? [`  and ${problems.length - 8} more`] : [],
    `replay it with: npm run simulate -- --${kind} --first ${seed} --seeds 1`,
    ...small === undefined ? [] : [`the smallest run that breaks the same promise:\n${small}`]
  ].join("\n")
