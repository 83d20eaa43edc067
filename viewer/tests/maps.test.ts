import { describe, expect, it } from "vitest";
import { COLOUR_MAPS, colourAt, pointsOf, told } from "../src/colours.ts";
import type { DicomJson } from "../src/dicom.ts";
import { isParametric, mappings, realWorld, schemeOf, storedValues } from "../src/maps.ts";

const json = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: "UN", Value }]));
const mapping = (given: Record<string, unknown[]>, unit = "mm2/s") =>
  json({ "004008EA": [json({ "00080100": [unit] })], ...given });
const map = (shared: DicomJson[], own: DicomJson[] = []) =>
  json({
    "00080016": ["1.2.840.10008.5.1.4.1.1.30"],
    "52009229": [json({ "00409096": shared })],
    "52009230": [json(own.length ? { "00409096": own } : {})],
  });

describe("a parametric map", () => {
  it("is known by its class and loaded by its own loader", () => {
    expect(isParametric(map([]))).toBe(true);
    expect([schemeOf(map([])), schemeOf(json({}))]).toEqual(["parametric", "wadors"]);
  });
  it("maps stored values by slope and intercept, the frame's own before those of all", () => {
    const all = mapping({ "00409225": [2], "00409224": [1] });
    expect(realWorld(3, mappings(map([all]), 0))).toBe(7);
    expect(realWorld(3, mappings(map([all], [mapping({ "00409225": [1e-6] })]), 0))).toBe(3e-6);
    expect(realWorld(3, [])).toBe(3);
  });
  it("takes the mapping that is stated for the value", () => {
    const low = mapping({ "00409216": [0], "00409211": [9], "00409225": [1] });
    const high = mapping({ "00409214": [10], "00409213": [20], "00409225": [10] });
    const both = mappings(map([low, high]), 0);
    expect([5, 15, 30].map((each) => realWorld(each, both))).toEqual([5, 150, 30]);
  });
  it("looks values up in a table where there is one", () => {
    const table = mappings(map([mapping({ "00409216": [10], "00409211": [12], "00409212": [1, 4, 9] })]), 0);
    expect([10, 11, 12].map((each) => realWorld(each, table))).toEqual([1, 4, 9]);
    expect(realWorld(40, table)).toBeNaN();
  });
  it("names the quantity and its unit, and none where there is none", () => {
    const adc = json({
      "0040A168": [json({ "00080104": ["Apparent Diffusion Coefficient"] })],
      "0040A043": [json({ "00080100": ["246205007"] })],
    });
    const [known] = mappings(map([mapping({ "00409220": [adc] }, "um2/s")]), 0);
    expect([known?.quantity, known?.unit]).toEqual(["Apparent Diffusion Coefficient", "um2/s"]);
    const units = ["1", "{counts}/s", "{ratio}"].map(
      (each) => mappings(map([mapping({}, each)]), 0)[0]?.unit,
    );
    expect(units).toEqual(["", "/s", ""]);
  });
  it("reads floats, doubles and integers wherever they begin", () => {
    const bytes = (given: ArrayBufferView) => {
      const shifted = new Uint8Array(given.byteLength + 1);
      shifted.set(new Uint8Array(given.buffer), 1);
      return shifted.subarray(1);
    };
    const read = (bits: number, given: ArrayBufferView, signed = 0) =>
      Array.from(storedValues(json({ "00280100": [bits], "00280103": [signed] }), bytes(given)));
    expect(read(64, new Float64Array([0.1, -2]))).toEqual([0.1, -2]);
    expect(read(32, new Float32Array([0.5, 3]))).toEqual([0.5, 3]);
    expect(read(16, new Int16Array([-3, 5]), 1)).toEqual([-3, 5]);
    expect(read(16, new Uint16Array([65535]))).toEqual([65535]);
  });
});

describe("a colour scale", () => {
  it("is straight between the points of its colours", () => {
    const points = [0, 0, 0, 0, 0.5, 1, 0, 0, 1, 1, 1, 0];
    expect([0, 0.25, 0.5, 1].map((each) => colourAt(points, each))).toEqual([
      [0, 0, 0],
      [128, 0, 0],
      [255, 0, 0],
      [255, 255, 0],
    ]);
  });
  it("has maps that begin and end in their own colours", () => {
    for (const map of COLOUR_MAPS) {
      const ends = [0, 1].map((each) =>
        colourAt(pointsOf(map), each)
          .map((part) => part.toString(16).padStart(2, "0"))
          .join(""),
      );
      expect(ends).toEqual([map.colours[0], map.colours.at(-1)]);
    }
  });
  it("tells as many digits as the range needs", () => {
    expect([
      told(0.92012778, 1),
      told(1234.5678, 1000),
      told(0.00001234, 0.001),
      told(Number.NaN, 1),
    ]).toEqual(["0.9201", "1234.6", "1.2340e-5", "no value"]);
  });
});
