/**
 * Where the labels of lines stand: on their line, where they cover no box, no other label and as little as possible of
 * other lines.
 */
import { type Area, type Curve, type Point, pointAt } from "./timelineCurve.ts"

export interface Labelled {
  readonly curves: ReadonlyArray<Curve>
  readonly label: { readonly width: number; readonly height: number } | undefined
}

/** Places on a curve, the best ones first, and how far a label may be moved off its line. */
const along = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8]
const aside = [0, -8, 8, -14, 14, -22, 22]

/** Where points of other lines are taken. */
const sampled = Array.from({ length: 16 }, (_, i) => (i + 0.5) / 16)

/** Only the first curves of a long line: its label tells why it was taken. */
const curvesLooked = 4
/** So many points of other lines are looked at. */
const pointsLooked = 5000

/** The middle of each label. */
export const placeLabels = (
  lines: ReadonlyArray<Labelled>,
  boxes: ReadonlyArray<Area>,
  within: { readonly width: number; readonly height: number }
): ReadonlyArray<Point | undefined> => {
  const points = lines.flatMap(({ curves }, line) =>
    curves.flatMap((curve) => sampled.map((t) => ({ line, ...pointAt(curve, t) })))
  ).slice(0, pointsLooked)
  const taken: Array<Area> = [...boxes]
  return lines.map(({ curves, label }, line) => {
    if (label === undefined) return undefined
    let best: Point | undefined
    let least = Infinity
    for (const [i, curve] of curves.slice(0, curvesLooked).entries()) {
      for (const [j, t] of along.entries()) {
        const on = pointAt(curve, t)
        for (const [k, dy] of aside.entries()) {
          // Every step away is worse than the last; a cheaper place cannot follow.
          const distance = i * 2 + j + k * 3
          if (distance >= least) break
          const at = { x: on.x, y: on.y + dy }
          const area = around(at, label)
          const cost = distance + covered(area, taken) + outside(area, within)
          if (cost >= least) continue
          const crossed = points.filter((point) => point.line !== line && isIn(point, area)).length
          if (cost + 4 * crossed < least) [best, least] = [at, cost + 4 * crossed]
        }
      }
    }
    taken.push(around(best!, label))
    return best
  })
}

const around = ({ x, y }: Point, { height, width }: NonNullable<Labelled["label"]>): Area => ({
  x: x - width / 2,
  y: y - height / 2,
  width,
  height
})

const isIn = ({ x, y }: Point, area: Area): boolean =>
  x > area.x && x < area.x + area.width && y > area.y && y < area.y + area.height

/** To cover anything is worse than any other place. */
const covered = (area: Area, taken: ReadonlyArray<Area>): number => {
  let cost = 0
  for (const other of taken) {
    const width = Math.min(area.x + area.width, other.x + other.width) - Math.max(area.x, other.x)
    const height = Math.min(area.y + area.height, other.y + other.height) - Math.max(area.y, other.y)
    if (width > 0 && height > 0) cost += 1000 + width * height
  }
  return cost
}

const outside = (area: Area, { height, width }: { readonly width: number; readonly height: number }): number =>
  area.x < 0 || area.y < 0 || area.x + area.width > width || area.y + area.height > height ? 1000 : 0
