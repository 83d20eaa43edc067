// Spatial registrations: how points in one frame of reference are found in another. PS3.3 C.20.2

import { type DicomJson, items, numbers, TAG, text } from "./dicom.ts";
import { add, normalOf, type Plane, times, type Vec3 } from "./geometry.ts";

/** Three rows of four: turned and scaled first, moved then. The last row of DICOM's matrix is (0, 0, 0, 1). */
export type Matrix = readonly number[];

const T = {
  registrations: "00700308",
  matrixRegistrations: "00700309",
  matrices: "0070030A",
  matrix: "300600C6",
} as const;

const IDENTITY: Matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
const CONDITION_MIN = 1e-9; // of the determinant of a matrix that can be inverted

interface Step {
  to: string;
  matrix: Matrix;
}

/** First `b`, then `a`. */
function product(a: Matrix, b: Matrix): Matrix {
  const at = (m: Matrix, row: number, column: number) =>
    row < 3 ? (m[row * 4 + column] ?? 0) : column === 3 ? 1 : 0;
  return IDENTITY.map((_, index) => {
    const [row, column] = [index >> 2, index & 3];
    return [0, 1, 2, 3].reduce((sum, each) => sum + at(a, row, each) * at(b, each, column), 0);
  });
}

function inverse(m: Matrix): Matrix | null {
  const [a = 0, b = 0, c = 0, x = 0, d = 0, e = 0, f = 0, y = 0, g = 0, h = 0, i = 0, z = 0] = m;
  const size = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (!(Math.abs(size) > CONDITION_MIN)) return null;
  const turned = [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ].map((each) => each / size);
  const moved = (row: number) =>
    -((turned[row] ?? 0) * x + (turned[row + 1] ?? 0) * y + (turned[row + 2] ?? 0) * z);
  return [0, 3, 6].flatMap((row) => [...turned.slice(row, row + 3), moved(row)]);
}

/** A direction in the other frame of reference, of length 1. */
export function turned(m: Matrix, [x, y, z]: Vec3): Vec3 {
  const along = (row: number) =>
    (m[row * 4] ?? 0) * x + (m[row * 4 + 1] ?? 0) * y + (m[row * 4 + 2] ?? 0) * z;
  const made = [along(0), along(1), along(2)] as const;
  const size = Math.hypot(...made) || 1;
  return [made[0] / size, made[1] / size, made[2] / size];
}

/** A point in the other frame of reference. */
export function mapped(m: Matrix, [x, y, z]: Vec3): Vec3 {
  const along = (row: number) =>
    (m[row * 4] ?? 0) * x + (m[row * 4 + 1] ?? 0) * y + (m[row * 4 + 2] ?? 0) * z + (m[row * 4 + 3] ?? 0);
  return [along(0), along(1), along(2)];
}

/** The matrix of one item; null where it is none. Several are multiplied in their order. PS3.3 C.20.2.1.1 */
function matrixOf(item: DicomJson): Matrix | null {
  const registration = items(item, T.matrixRegistrations)[0];
  const given = items(registration, T.matrices).map((each) => numbers(each, T.matrix));
  if (!given.length || given.some((each) => each.length !== 16)) return null;
  return given.map((each) => each.slice(0, 12)).reduce(product, IDENTITY);
}

/** What registration objects say, asked for between any two frames of reference. */
export class Registrations {
  private readonly steps = new Map<string, Step[]>();

  /** Take what an object says: each of its items leads to the object's own frame of reference. */
  add(data: DicomJson): void {
    const to = text(data, TAG.frameOfReferenceUid);
    for (const item of items(data, T.registrations)) {
      const from = text(item, TAG.frameOfReferenceUid);
      const matrix = matrixOf(item);
      const back = matrix && inverse(matrix);
      if (!to || !from || from === to || !matrix || !back) continue;
      this.step(from, { to, matrix });
      this.step(to, { to: from, matrix: back });
    }
  }

  private step(from: string, step: Step): void {
    this.steps.set(from, [...(this.steps.get(from) ?? []), step]);
  }

  /** The shortest way from one frame of reference to another; null where none is known. */
  between(from: string, to: string): Matrix | null {
    if (!from || !to) return null;
    const seen = new Set([from]);
    let edge: Step[] = [{ to: from, matrix: IDENTITY }];
    while (edge.length) {
      const found = edge.find((each) => each.to === to);
      if (found) return found.matrix;
      const next: Step[] = [];
      for (const here of edge)
        for (const each of this.steps.get(here.to) ?? []) {
          if (seen.has(each.to)) continue;
          seen.add(each.to);
          next.push({ to: each.to, matrix: product(each.matrix, here.matrix) });
        }
      edge = next;
    }
    return null;
  }
}

/** The middle and the normal of an image, as they are in another frame of reference. */
export function placed(m: Matrix, plane: Plane): { centre: Vec3; normal: Vec3 } {
  const across = times(plane.row, (plane.spacing[1] * (plane.columns - 1)) / 2);
  const down = times(plane.column, (plane.spacing[0] * (plane.rows - 1)) / 2);
  return {
    centre: mapped(m, add(plane.position, add(across, down))),
    normal: turned(m, normalOf(plane)),
  };
}
