/**
 * The lines of a graph: chains of Bézier curves, as SVG paths and as points that labels must keep clear of.
 */
export interface Point {
  readonly x: number
  readonly y: number
}

/** A cubic curve: its ends, and what it bends towards. */
export type Curve = readonly [from: Point, Point, Point, to: Point]

export interface Area extends Point {
  readonly width: number
  readonly height: number
}

/** From the right side of each area to the left side of the next one, and through those between. */
export const through = (areas: ReadonlyArray<Area>): ReadonlyArray<Curve> =>
  areas.slice(1).flatMap((to, i): ReadonlyArray<Curve> => {
    const from = areas[i]!
    const a = { x: from.x + from.width, y: from.y + from.height / 2 }
    const b = { x: to.x, y: to.y + to.height / 2 }
    const middle = (a.x + b.x) / 2
    const curve: Curve = [a, { x: middle, y: a.y }, { x: middle, y: b.y }, b]
    const isLast = i === areas.length - 2
    return isLast || to.width === 0 ? [curve] : [curve, straight(b, { x: b.x + to.width, y: b.y })]
  })

const straight = (a: Point, b: Point): Curve => [a, a, b, b]

/** From below one area to below another, along `y`. */
export const below = (from: Area, to: Area, y: number): ReadonlyArray<Curve> => {
  const [x1, x2] = from === to
    ? [from.x + from.width * 0.7, from.x + from.width * 0.3]
    : [from.x + from.width / 2, to.x + to.width / 2]
  const low = { x: (x1 + x2) / 2, y }
  const [a, b] = [{ x: x1, y }, { x: x2, y }]
  return [
    [{ x: x1, y: from.y + from.height }, a, a, low],
    [low, b, b, { x: x2, y: to.y + to.height }]
  ]
}

const round = (n: number): number => Math.round(n * 10) / 10
const text = ({ x, y }: Point): string => `${round(x)} ${round(y)}`

export const pathOf = (curves: ReadonlyArray<Curve>): string =>
  curves.map(([a, b, c, d], i) => `${i === 0 ? `M${text(a)}` : ""}C${text(b)} ${text(c)} ${text(d)}`).join("")

/** The point of a curve at `t`, from 0 at its beginning to 1 at its end. */
export const pointAt = ([a, b, c, d]: Curve, t: number): Point => {
  const u = 1 - t
  const [ka, kb, kc, kd] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t]
  return { x: ka * a.x + kb * b.x + kc * c.x + kd * d.x, y: ka * a.y + kb * b.y + kc * c.y + kd * d.y }
}
