import { describe, expect, it } from "vitest";
import { calibrated, cardiothoracicRatio, polygonStatistics, vertebraBelow } from "../src/anatomy.ts";

const EXPECTED = {
  count: 304,
  mean: 1277.0723684210527,
  sd: 535.8363617793373,
  min: 305,
  max: 2720,
  area: 302.73,
};

it("divides the heart by the chest, whichever is drawn first", () => {
  const heart = [
    [0, 0, 5],
    [0, 130, 5],
  ] as const;
  const chest = [
    [10, 0, 5],
    [10, 260, 5],
  ] as const;
  expect(cardiothoracicRatio([...heart, ...chest])).toBe(0.5);
  expect(cardiothoracicRatio([...chest, ...heart])).toBe(0.5);
  expect(cardiothoracicRatio(heart)).toBeNull();
});

it("counts vertebrae downwards", () => {
  expect([vertebraBelow("C7"), vertebraBelow("T12"), vertebraBelow("l5"), vertebraBelow("S1")]).toEqual([
    "T1",
    "L1",
    "S1",
    null,
  ]);
  expect(vertebraBelow("rib")).toBeNull();
});

describe("a polygon", () => {
  const pixels = {
    rows: 30,
    columns: 40,
    at: (index: number) => Math.floor(index / 40) * 100 + (index % 40),
  };
  it("has the statistics that numpy has of the same pixels", () => {
    // numpy: even-odd of the centres, population SD
    const found = polygonStatistics(
      [
        [5.2, 3.1],
        [33.7, 8.4],
        [20.3, 27.9],
        [11.6, 12.2],
      ],
      pixels,
    );
    expect(found?.count).toBe(EXPECTED.count);
    expect(found?.mean).toBeCloseTo(EXPECTED.mean, 9);
    expect(found?.sd).toBeCloseTo(EXPECTED.sd, 9);
    expect([found?.min, found?.max]).toEqual([EXPECTED.min, EXPECTED.max]);
    expect(found?.area).toBeCloseTo(EXPECTED.area, 9);
  });
  it("is cut at the edge of the image, and is nothing without pixels", () => {
    expect(
      polygonStatistics(
        [
          [-9, -9],
          [99, -9],
          [99, 99],
          [-9, 99],
        ],
        pixels,
      )?.count,
    ).toBe(1200);
    expect(
      polygonStatistics(
        [
          [1, 1],
          [1.2, 1],
          [1.1, 1.1],
        ],
        pixels,
      ),
    ).toBeNull();
  });
});

it("knows lengths by a known length, and leaves values of pixels alone", () => {
  const given = [
    { name: "", value: 50, unit: "px" },
    { name: "Area", value: 200, unit: "px²" },
    { name: "", value: 20, unit: "mm Proj" },
    { name: "Mean", value: 7, unit: "" },
  ];
  expect(calibrated(given, 0.5)).toEqual([
    { name: "", value: 25, unit: "mm User" },
    { name: "Area", value: 50, unit: "mm² User" },
    { name: "", value: 10, unit: "mm User" },
    { name: "Mean", value: 7, unit: "" },
  ]);
  expect(calibrated(given, undefined)).toEqual(given);
});
