// Layers where a reformatted plane cuts through what they are made of: segments voxel by voxel, structures where
// their contours lie or are crossed. Each is drawn in planes of its own frame of reference only.

import { add, cross, dot, length, normalOf, type Plane, subtract, times, type Vec3 } from "./geometry.ts";
import type { Cut, Point } from "./layers.ts";

/** One frame of a segment: its place, and for each of its pixels how much of it belongs to the segment, 0 to 255. */
export interface Slice {
  plane: Plane;
  values(): Uint8Array | null; // null while it is not loaded
}

const STEP_PX = 2; // of the sheet that one sample stands for
const LONE_MM = 1.5; // how far a single frame is drawn to either side

/** Half of the least distance of neighbours: no slice is drawn further than that from where it is. */
function reachOf(depths: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (let at = 1; at < depths.length; at++) {
    const gap = (depths[at] ?? 0) - (depths[at - 1] ?? 0);
    if (gap > 0.01) least = Math.min(least, gap);
  }
  return Number.isFinite(least) ? least / 2 : LONE_MM;
}

/** The index of the depth that is nearest; depths ascend. */
export function nearestDepth(depths: readonly number[], at: number): number {
  let [low, high] = [0, depths.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((depths[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - (depths[low - 1] ?? 0) < (depths[low] ?? 0) - at ? low - 1 : low;
}

/** Gives for a point of the patient how much of it belongs to the segment: 0 to 255. */
export function sampler(slices: readonly Slice[]): (x: number, y: number, z: number) => number {
  const first = slices[0]?.plane;
  if (!first) return () => 0;
  const normal = normalOf(first);
  const [across, down] = [times(first.row, 1 / first.spacing[1]), times(first.column, 1 / first.spacing[0])];
  const alike = slices.filter(
    ({ plane }) =>
      length(subtract(plane.row, first.row)) < 1e-3 && length(subtract(plane.column, first.column)) < 1e-3,
  );
  const placed = alike
    .map(({ plane, values }) => ({
      at: dot(plane.position, normal),
      left: dot(plane.position, across),
      top: dot(plane.position, down),
      columns: plane.columns,
      rows: plane.rows,
      values,
      known: undefined as Uint8Array | null | undefined,
    }))
    .sort((a, b) => a.at - b.at);
  const depths = placed.map((each) => each.at);
  const reach = reachOf(depths) + 1e-6;
  // Called for each sample of the sheet: nothing is allocated here.
  return (x, y, z) => {
    const depth = x * normal[0] + y * normal[1] + z * normal[2];
    const found = placed[nearestDepth(depths, depth)];
    if (!found || Math.abs(found.at - depth) > reach) return 0;
    const column = Math.round(x * across[0] + y * across[1] + z * across[2] - found.left);
    const row = Math.round(x * down[0] + y * down[1] + z * down[2] - found.top);
    if (column < 0 || row < 0 || column >= found.columns || row >= found.rows) return 0;
    if (found.known === undefined) found.known = found.values();
    return found.known?.[row * found.columns + column] ?? 0;
  };
}

/** Draw a segment where the plane cuts it. */
export function cutSegment(
  context: CanvasRenderingContext2D,
  cut: Cut,
  slices: readonly Slice[],
  colour: readonly [number, number, number],
): void {
  const [columns, rows] = [Math.ceil(cut.width / STEP_PX), Math.ceil(cut.height / STEP_PX)];
  const made = document.createElement("canvas");
  [made.width, made.height] = [columns, rows];
  const sheet = made.getContext("2d");
  const pixels = sheet?.createImageData(columns, rows);
  if (!sheet || !pixels) return;
  const at = sampler(slices);
  const origin = cut.toWorld([STEP_PX / 2, STEP_PX / 2]);
  const right = subtract(cut.toWorld([STEP_PX * 1.5, STEP_PX / 2]), origin);
  const down = subtract(cut.toWorld([STEP_PX / 2, STEP_PX * 1.5]), origin);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const value = at(
        origin[0] + column * right[0] + row * down[0],
        origin[1] + column * right[1] + row * down[1],
        origin[2] + column * right[2] + row * down[2],
      );
      if (value) pixels.data.set([...colour, value], (row * columns + column) * 4);
    }
  sheet.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(made, 0, 0, columns * STEP_PX, rows * STEP_PX);
}

/** The normal of a closed contour by Newell's method; zero where it has no area. */
export function contourNormal(points: readonly Vec3[]): Vec3 {
  const sum: [number, number, number] = [0, 0, 0];
  points.forEach((each, index) => {
    const part = cross(each, points[(index + 1) % points.length] ?? each);
    for (const axis of [0, 1, 2] as const) sum[axis] += part[axis];
  });
  const size = length(sum);
  return size ? times(sum, 1 / size) : [0, 0, 0];
}

/** Where a plane crosses a closed contour: pairs of points between which it is inside. */
export function crossings(points: readonly Vec3[], on: Vec3, normal: Vec3): [Vec3, Vec3][] {
  const found: Vec3[] = [];
  points.forEach((a, index) => {
    const b = points[(index + 1) % points.length] ?? a;
    const [from, to] = [dot(subtract(a, on), normal), dot(subtract(b, on), normal)];
    if (from <= 0 === to <= 0) return;
    const share = from / (from - to);
    found.push(
      [0, 1, 2].map((axis) => (a[axis] ?? 0) + share * ((b[axis] ?? 0) - (a[axis] ?? 0))) as unknown as Vec3,
    );
  });
  const along = cross(contourNormal(points), normal);
  found.sort((a, b) => dot(a, along) - dot(b, along));
  const pairs: [Vec3, Vec3][] = [];
  for (let at = 0; at + 1 < found.length; at += 2) pairs.push([found[at] as Vec3, found[at + 1] as Vec3]);
  return pairs;
}

/** Draw a structure where the plane cuts it: its contour where they lie in one plane, else what is between. */
export function cutContours(
  context: CanvasRenderingContext2D,
  cut: Cut,
  contours: readonly (readonly Vec3[])[],
): void {
  const closed = contours.filter((each) => each.length > 2);
  const first = closed[0];
  if (!first) return;
  const normal = contourNormal(first);
  const depthOf = (points: readonly Vec3[]) => dot(points[0] as Vec3, normal);
  const depths = [...new Set(closed.map((each) => Math.round(depthOf(each) * 100) / 100))].sort(
    (a, b) => a - b,
  );
  const reach = reachOf(depths);
  const on = cut.toWorld([cut.width / 2, cut.height / 2]);
  const path = (points: readonly Point[]) => {
    context.beginPath();
    points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  };
  if (Math.abs(dot(normal, cut.normal)) > 0.999) {
    const nearest = depths[nearestDepth(depths, dot(on, normal))] ?? 0;
    if (Math.abs(nearest - dot(on, normal)) > reach + 0.01) return;
    for (const each of closed.filter((one) => Math.abs(depthOf(one) - nearest) < 0.02)) {
      path(each.map((point) => cut.toSheet(point)));
      context.stroke();
    }
    return;
  }
  const half = times(normal, reach);
  for (const each of closed)
    for (const [a, b] of crossings(each, on, cut.normal)) {
      const corners = [subtract(a, half), subtract(b, half), add(b, half), add(a, half)];
      path(corners.map((point) => cut.toSheet(point)));
      context.globalAlpha *= 0.5;
      context.fill();
      context.globalAlpha *= 2;
    }
}
