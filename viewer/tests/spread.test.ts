// Counts are numpy.histogram's for the same values; outlines are compared with the shapes that they stand for.
import { describe, expect, it } from "vitest";
import { count, paintPolygon } from "../src/masks.ts";
import { presetsFor } from "../src/presets.ts";
import { histogramOf, outlineOf } from "../src/spread.ts";

describe("a histogram", () => {
  it("counts as numpy does, the greatest value in the last bin", () => {
    const values = Array.from({ length: 101 }, (_, at) => (at * at) / 100);
    expect(histogramOf(values, 5)).toEqual({ counts: [45, 19, 14, 12, 11], least: 0, most: 100 });
  });
  it("has one full bin where all values are the same, and none without values", () => {
    expect(histogramOf([7, 7], 4)?.counts).toEqual([2, 0, 0, 0]);
    expect(histogramOf([], 4)).toBeNull();
  });
});

describe("the outline of a region", () => {
  const inside = (outline: readonly (readonly [number, number])[]): number => {
    const mask = new Uint8Array(100 * 100);
    paintPolygon(mask, { columns: 100, rows: 100 }, outline, 1, () => true);
    return count(mask);
  };
  it("is a rectangle's whichever corner is named first", () => {
    const points = [
      [10, 10],
      [40, 10],
      [10, 30],
      [40, 30],
    ] as const;
    expect(inside(outlineOf("RectangleROI", points, []))).toBe(600);
  });
  it("is an ellipse's to a pixel of its edge", () => {
    const points = [
      [50, 20],
      [50, 80],
      [30, 50],
      [70, 50],
    ] as const;
    const pixels = inside(outlineOf("EllipticalROI", points, []));
    expect(Math.abs(pixels - 1892)).toBeLessThan(5); // numpy counts 1892 centres
  });
  it("is nothing for a length", () => {
    expect(
      outlineOf(
        "Length",
        [
          [1, 1],
          [5, 5],
        ],
        [],
      ),
    ).toEqual([]);
  });
});

describe("presets", () => {
  const labels = (modality: string, part: string) => presetsFor(modality, part).map((each) => each.label);
  it("begin with those of the body part", () => {
    expect(labels("CT", "HEAD").slice(0, 2)).toEqual(["Brain", "Stroke"]);
    expect(labels("CT", "chest")[0]).toBe("Lung");
    expect(labels("CT", "")[0]).toBe("Soft tissue");
    expect([...labels("CT", "HEAD")].sort()).toEqual([...labels("CT", "")].sort());
  });
  it("are none where the scanner's window is the only one with meaning", () => {
    expect(labels("MR", "HEAD")).toEqual([]);
  });
});
