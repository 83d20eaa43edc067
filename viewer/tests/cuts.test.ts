// Places and counts are worked out apart from this code, from the shapes below.
import { describe, expect, it } from "vitest";
import { contourNormal, crossings, nearestDepth, sampler, type Slice } from "../src/cuts.ts";
import type { Vec3 } from "../src/geometry.ts";

// 20 × 10 pixels of 0.5 × 2 mm, slices 3 mm apart; columns run to the back, rows to the feet.
const slice = (number: number, set: (column: number, row: number) => boolean): Slice => ({
  plane: {
    position: [5 + 3 * number, -10, 40],
    row: [0, 1, 0],
    column: [0, 0, -1],
    spacing: [2, 0.5],
    rows: 10,
    columns: 20,
  },
  values: () => Uint8Array.from({ length: 200 }, (_, at) => (set(at % 20, Math.floor(at / 20)) ? 255 : 0)),
});
const slices = [0, 1, 2].map((number) => slice(number, (column, row) => column === 4 + number && row === 7));

describe("a segment in the patient", () => {
  const at = sampler(slices);
  it("is where its pixels are", () => {
    expect(at(5, -8, 26)).toBe(255); // column 4 of 0.5 mm, row 7 of 2 mm
    expect(at(8, -7.5, 26)).toBe(255);
    expect(at(8, -8, 26)).toBe(0);
  });
  it("reaches half way to the next slice and not beyond the last", () => {
    expect(at(6.4, -8, 26)).toBe(255);
    expect(at(6.6, -8, 26)).toBe(0); // nearer to the second slice
    expect(at(12.4, -7, 26)).toBe(255);
    expect(at(12.6, -7, 26)).toBe(0);
  });
  it("does not fill the gap between far lesions", () => {
    const apart = sampler([...slices, slice(20, () => true)]);
    expect(apart(30, -8, 26)).toBe(0);
    expect(apart(65, -8, 26)).toBe(255);
  });
  it("is nothing while it is not loaded", () => {
    expect(sampler([{ ...(slices[0] as Slice), values: () => null }])(5, -8, 26)).toBe(0);
  });
});

it("finds the nearest of ascending depths", () => {
  expect([-5, 0, 1.4, 1.6, 9].map((at) => nearestDepth([0, 1, 2], at))).toEqual([0, 0, 1, 2, 2]);
});

describe("a contour that a plane crosses", () => {
  // a U in the plane z = 7: two arms, open to the front
  const u: Vec3[] = [
    [0, 0, 7],
    [0, 10, 7],
    [9, 10, 7],
    [9, 0, 7],
    [6, 0, 7],
    [6, 6, 7],
    [3, 6, 7],
    [3, 0, 7],
  ];
  it("knows its normal whichever way it runs", () => {
    expect(contourNormal(u).map(Math.abs)).toEqual([0, 0, 1]);
    expect(contourNormal([...u].reverse()).map(Math.abs)).toEqual([0, 0, 1]);
  });
  it("is inside between pairs of crossings", () => {
    const widths = (y: number) => crossings(u, [0, y, 0], [0, 1, 0]).map(([a, b]) => Math.abs(a[0] - b[0]));
    expect(widths(3)).toEqual([3, 3]);
    expect(widths(8)).toEqual([9]);
    expect(widths(12)).toEqual([]);
  });
});
