/** The work of every flow, node and call of the bench: an asynchronous function, and as little of it as there can be. */
export const work = (n: number): Promise<number> => Promise.resolve(n + 1)

export const workSync = (n: number): number => n + 1

/** What a fan-out of so many flows with the input 1 sums up to. */
export const sumOf = (flows: number): number => flows * 2

export const times = <A>(count: number, make: (i: number) => A): Array<A> =>
  Array.from({ length: count }, (_, i) => make(i))
