import { describe, expect, it } from "vitest";
import { gate, letters, nearest, opposite, type Plane, type Vec3 } from "../src/geometry.ts";

const plane = (position: Vec3, changes: Partial<Plane> = {}): Plane => ({
  position,
  row: [1, 0, 0],
  column: [0, 1, 0],
  spacing: [1, 1],
  rows: 64,
  columns: 64,
  ...changes,
});
const stack = (heights: number[]): Plane[] => heights.map((z) => plane([0, 0, z]));
const reason = (planes: (Plane | null)[]): string => {
  const found = gate(planes);
  return found.volume ? "" : found.reason;
};

describe("the geometry gate", () => {
  it("lets an even stack through, in any order", () => {
    expect(gate(stack([4, 0, 2, 6]))).toEqual({ volume: true, spacing: 2 });
  });
  it("lets positions through that were rounded to tenths", () => {
    expect(gate(stack([0, 0.6, 1.3, 1.9, 2.5]))).toMatchObject({ volume: true });
  });
  it("refuses a tilted gantry and names the angle", () => {
    const lean = Math.tan((20 * Math.PI) / 180);
    expect(reason([0, 5, 10].map((z) => plane([0, z * lean, z])))).toContain("tilted by 20.0°");
  });
  it("refuses a missing slice, a repeated one, uneven ones", () => {
    expect(reason(stack([0, 2, 6, 8]))).toContain("1 slice is missing");
    expect(reason(stack([0, 2, 2, 4]))).toContain("share a position");
    expect(reason(stack([0, 2, 4.6, 6.6]))).toContain("not evenly spaced");
  });
  it("refuses mixed orientations, matrices and unknown places", () => {
    const coronal = plane([0, 0, 4], { column: [0, 0, -1] });
    expect(reason([...stack([0, 2]), coronal])).toContain("oriented differently");
    expect(reason([...stack([0, 2]), plane([0, 0, 4], { rows: 32 })])).toContain("matrix");
    expect(reason([...stack([0, 2]), null])).toContain("do not state where");
    expect(reason(stack([0, 2]))).toContain("at least 3");
  });
});

describe("letters of directions", () => {
  it.each([
    [[1, 0, 0], "L"],
    [[-1, 0, 0], "R"],
    [[0, 1, 0], "P"],
    [[0, -2, 0], "A"],
    [[0, 0, 3], "H"],
    [[0, 0, -1], "F"],
    [[0.5, 0.85, 0], "PL"],
    [[0.1, 0.99, 0.1], "P"],
    [[0, 0, 0], ""],
  ] as [Vec3, string][])("%j is %s", (direction, expected) => {
    expect(letters(direction)).toBe(expected);
  });
  it("has opposites", () => {
    expect(opposite("PL")).toBe("AR");
    expect(opposite("H")).toBe("F");
  });
});

it("finds the slice nearest to a depth", () => {
  expect(nearest(stack([0, 2, 4]), [0, 0, 1], 3.2)).toBe(2);
  expect(nearest([null], [0, 0, 1], 3)).toBe(-1);
});
