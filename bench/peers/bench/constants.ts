/** The limit of the calls that are too late, and how long the adapter of the gauntlet waits for work that does not stop. */
export const limitMs = 50
export const graceMs = 100
