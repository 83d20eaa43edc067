// Where images lie in the patient, and whether a stack of them is a volume. Pure arithmetic in millimetres
// and patient coordinates (x to the left, y to the back, z to the head). PS3.3 C.7.6.2.1.1

export type Vec3 = readonly [number, number, number];

export interface Plane {
  position: Vec3; // centre of the first pixel
  row: Vec3; // direction in which columns are counted
  column: Vec3; // direction in which rows are counted
  spacing: readonly [number, number]; // between rows, between columns
  rows: number;
  columns: number;
}

export type Gate =
  | { volume: true; spacing: number }
  // Mendable: the slices fill a volume, but unevenly or askew; it can be resampled.
  | { volume: false; reason: string; mendable?: boolean };

export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const times = (a: Vec3, f: number): Vec3 => [a[0] * f, a[1] * f, a[2] * f];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vec3): number => Math.sqrt(dot(a, a));
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
export const normalOf = (plane: Plane): Vec3 => cross(plane.row, plane.column);

const ANGLE = 1e-3; // of a direction cosine
const TILT_MM = 0.1; // sideways from one slice to the last
const SLICES_MIN = 3;

function alike(a: Plane, b: Plane): boolean {
  const straight = (u: Vec3, v: Vec3) => length(subtract(u, v)) <= ANGLE;
  return straight(a.row, b.row) && straight(a.column, b.column);
}

function sameGrid(a: Plane, b: Plane): boolean {
  const near = (u: number, v: number) => Math.abs(u - v) <= 1e-3 * Math.abs(u);
  return (
    a.rows === b.rows &&
    a.columns === b.columns &&
    near(a.spacing[0], b.spacing[0]) &&
    near(a.spacing[1], b.spacing[1])
  );
}

/** Whether planes fill a volume evenly; if not, the reason in words. The planes may come in any order. */
export function gate(planes: readonly (Plane | null)[]): Gate {
  const no = (reason: string): Gate => ({ volume: false, reason });
  if (planes.length < SLICES_MIN) return no(`A volume needs at least ${SLICES_MIN} slices.`);
  const known = planes.filter((plane): plane is Plane => plane !== null);
  const first = known[0];
  if (first === undefined || known.length < planes.length)
    return no("The images do not state where in the patient they lie.");
  if (!known.every((plane) => alike(first, plane))) return no("The slices are oriented differently.");
  if (!known.every((plane) => sameGrid(first, plane)))
    return no("The slices differ in matrix or pixel spacing.");
  const normal = normalOf(first);
  const depths = known
    .map((plane) => ({ plane, at: dot(plane.position, normal) }))
    .sort((a, b) => a.at - b.at);
  return evenly(depths, normal) ?? { volume: true, spacing: meanGap(depths) };
}

function meanGap(depths: readonly { at: number }[]): number {
  const first = depths[0];
  const last = depths[depths.length - 1];
  return first && last ? (last.at - first.at) / (depths.length - 1) : 0;
}

function evenly(depths: readonly { plane: Plane; at: number }[], normal: Vec3): Gate | null {
  const no = (reason: string, mendable = true): Gate => ({ volume: false, reason, mendable });
  const gaps = depths.slice(1).map((each, index) => each.at - (depths[index]?.at ?? 0));
  const same = gaps.filter((gap) => gap < 0.01).length;
  if (same)
    return no(
      `${same + 1} or more images share a position: repeats, time points, echoes or duplicates.`,
      false,
    );
  const first = depths[0];
  const last = depths[depths.length - 1];
  if (!first || !last) return null;
  const sideways = Math.max(
    ...depths.map(({ plane }) => {
      const way = subtract(plane.position, first.plane.position);
      return length(subtract(way, times(normal, dot(way, normal))));
    }),
  );
  if (sideways > TILT_MM) {
    const degrees = (Math.atan2(sideways, last.at - first.at) * 180) / Math.PI;
    return no(`The gantry was tilted by ${degrees.toFixed(1)}°: reformatted planes would be sheared.`);
  }
  const sorted = [...gaps].sort((a, b) => a - b);
  const usual = sorted[sorted.length >> 1] ?? 0;
  const missing = gaps.reduce((sum, gap) => sum + Math.max(0, Math.round(gap / usual) - 1), 0);
  if (missing)
    return no(
      `${missing} ${missing === 1 ? "slice is" : "slices are"} missing between the first and the last.`,
    );
  const mean = meanGap(depths);
  const off = Math.max(...depths.map(({ at }, index) => Math.abs(at - first.at - index * mean)));
  if (off > 0.1 + 0.02 * mean) return no("The slices are not evenly spaced.");
  return null;
}

/** The letters of a direction in the patient, the strongest first: "L", "PH". PS3.3 C.7.6.1.1.1 */
export function letters(direction: Vec3): string {
  const names: [string, string][] = [
    ["L", "R"],
    ["P", "A"],
    ["H", "F"],
  ];
  const size = length(direction);
  if (!size) return "";
  return names
    .map(([plus, minus], axis) => ({
      name: (direction[axis] ?? 0) > 0 ? plus : minus,
      share: Math.abs(direction[axis] ?? 0) / size,
    }))
    .filter(({ share }) => share > 0.2)
    .sort((a, b) => b.share - a.share)
    .map(({ name }) => name)
    .join("");
}

const OPPOSITE: Record<string, string> = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

/** The letters that stand on the other side. */
export const opposite = (given: string): string => [...given].map((each) => OPPOSITE[each] ?? each).join("");

/** The image of a stack that lies nearest to a depth along the normal; -1 when none states its place. */
export function nearest(planes: readonly (Plane | null)[], normal: Vec3, depth: number): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  planes.forEach((plane, index) => {
    if (!plane) return;
    const away = Math.abs(dot(plane.position, normal) - depth);
    if (away < least) [best, least] = [index, away];
  });
  return best;
}
