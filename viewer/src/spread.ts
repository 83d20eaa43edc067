// Regions and how their values are spread: pure arithmetic over columns, rows and numbers.

type Point = readonly [number, number];

export interface Histogram {
  counts: number[];
  least: number;
  most: number;
}

/** Counts in bins of equal width from the least value to the greatest, which belongs to the last bin. */
export function histogramOf(values: readonly number[], bins: number): Histogram | null {
  if (!values.length) return null;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const each of values) [least, most] = [Math.min(least, each), Math.max(most, each)];
  const width = (most - least) / bins || 1;
  const counts = new Array<number>(bins).fill(0);
  for (const each of values) {
    const bin = Math.min(bins - 1, Math.floor((each - least) / width));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { counts, least, most };
}

const CORNERS = 360; // of a polygon that stands for an ellipse

/** The outline of a region in columns and rows; empty for what has none. */
export function outlineOf(tool: string, points: readonly Point[], contour: readonly Point[]): Point[] {
  if (contour.length > 2) return [...contour];
  const [a, b, c, d] = points;
  if (!a || !b || !c || !d) return [];
  if (tool === "RectangleROI") return [a, b, d, c];
  if (tool !== "EllipticalROI") return [];
  const centre: Point = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const one: Point = [(b[0] - a[0]) / 2, (b[1] - a[1]) / 2];
  const other: Point = [(d[0] - c[0]) / 2, (d[1] - c[1]) / 2];
  return Array.from({ length: CORNERS }, (_, at): Point => {
    const [cos, sin] = [Math.cos((2 * Math.PI * at) / CORNERS), Math.sin((2 * Math.PI * at) / CORNERS)];
    return [centre[0] + one[0] * cos + other[0] * sin, centre[1] + one[1] * cos + other[1] * sin];
  });
}
