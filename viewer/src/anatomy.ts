// Numbers and names of measuring tools of our own: pure, over points.

import type { Vec3 } from "./geometry.ts";
import type { Statistic } from "./format.ts";

const distance = (a: Vec3, b: Vec3): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

/** Heart to chest: the shorter of two lines by the longer one, whichever was drawn first; null with fewer points. */
export function cardiothoracicRatio(points: readonly Vec3[]): number | null {
  const [a, b, c, d] = points;
  if (!a || !b || !c || !d) return null;
  const [one, other] = [distance(a, b), distance(c, d)];
  const longer = Math.max(one, other);
  return longer > 0 ? Math.min(one, other) / longer : null;
}

const SPINE = [
  ...Array.from({ length: 7 }, (_, at) => `C${at + 1}`),
  ...Array.from({ length: 12 }, (_, at) => `T${at + 1}`),
  ...Array.from({ length: 5 }, (_, at) => `L${at + 1}`),
  "S1",
];

/** The vertebra below; null below the last, and below what is none. */
export function vertebraBelow(label: string): string | null {
  const at = SPINE.indexOf(label.trim().toUpperCase());
  return at < 0 ? null : (SPINE[at + 1] ?? null);
}

export interface Pixels {
  rows: number;
  columns: number;
  at(index: number): number;
}

/** Mean, standard deviation, least and greatest of the pixels whose centres lie in a polygon of image points. */
export function polygonStatistics(
  outline: readonly (readonly [number, number])[], // columns and rows from 0 at the outer corner
  pixels: Pixels,
): { area: number; count: number; mean: number; sd: number; min: number; max: number } | null {
  if (outline.length < 3) return null;
  let [area, count, sum, min, max] = [0, 0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const found: number[] = [];
  outline.forEach(([x, y], index) => {
    const [u = 0, v = 0] = outline[(index + 1) % outline.length] ?? [];
    area += (x * v - u * y) / 2;
  });
  const rows = outline.map((each) => each[1]);
  const last = Math.min(pixels.rows - 1, Math.ceil(Math.max(...rows)));
  for (let row = Math.max(0, Math.floor(Math.min(...rows) - 1)); row <= last; row++) {
    const level = row + 0.5;
    const crossings: number[] = [];
    outline.forEach(([x, y], index) => {
      const [u = 0, v = 0] = outline[(index + 1) % outline.length] ?? [];
      if (y <= level !== v <= level) crossings.push(x + ((level - y) / (v - y)) * (u - x));
    });
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const from = Math.max(0, Math.floor((crossings[pair] ?? 0) + 0.5));
      const to = Math.min(pixels.columns - 1, Math.ceil((crossings[pair + 1] ?? 0) - 0.5) - 1);
      for (let column = from; column <= to; column++) found.push(pixels.at(row * pixels.columns + column));
    }
  }
  for (const value of found) {
    [count, sum] = [count + 1, sum + value];
    [min, max] = [Math.min(min, value), Math.max(max, value)];
  }
  if (!count) return null;
  const mean = sum / count;
  const variance = found.reduce((all, value) => all + (value - mean) ** 2, 0) / count;
  return { area: Math.abs(area), count, mean, sd: Math.sqrt(variance), min, max };
}

const AREAS = new Set(["mm²", "px²", "cm²"]);
const LENGTHS = new Set(["mm", "px", "cm"]);

/** Lengths and areas by a known length on the same image: `factor` millimetres for one of what was measured. */
export function calibrated(statistics: readonly Statistic[], factor: number | undefined): Statistic[] {
  if (!factor) return [...statistics];
  return statistics.map((each) => {
    const [unit = ""] = each.unit.split(" ");
    if (LENGTHS.has(unit)) return { ...each, value: each.value * factor, unit: "mm User" };
    if (AREAS.has(unit)) return { ...each, value: each.value * factor * factor, unit: "mm² User" };
    return each;
  });
}
