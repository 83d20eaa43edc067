import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { sourcesOf } from "../src/objects.ts";
import { matrixOfTiles, type Slide, slideOf } from "../src/slide.ts";
import { isTiled, namedSources, placeOnSlide, pyramids, slideLayers } from "../src/slidesegments.ts";

const json = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: "UN", Value }]));

const CORNER = [20, 40] as const; // mm, of the outer corner of the slide's first pixel
const TURN = [0, -1, 0, -1, 0, 0]; // columns go along -y, rows along -x

/** Where a matrix of pixels of this size lies whose outer corner is the slide's, moved by mm along columns and rows. */
const glass = (spacing: number, [along, down] = [0, 0]): Record<string, unknown[]> => ({
  "00200052": ["1.2.frame"],
  "00480008": [
    json({
      "0040072A": [CORNER[0] - spacing / 2 - down],
      "0040073A": [CORNER[1] - spacing / 2 - along],
    }),
  ],
  "00480102": TURN,
  "52009229": [json({ "00289110": [json({ "00280030": [spacing, spacing] })] })],
});

const matrix = (uid: string, columns: number, rows: number, tile: number): Record<string, unknown[]> => ({
  "00080018": [uid],
  "00480006": [columns],
  "00480007": [rows],
  "00280010": [tile],
  "00280011": [tile],
  "00209311": ["TILED_FULL"],
});

const slide = slideOf([
  json({
    "00080016": ["1.2.840.10008.5.1.4.1.1.77.1.6"],
    ...matrix("fine", 100, 60, 20),
    ...glass(0.01),
    "00280008": [15],
  }),
  json({
    "00080016": ["1.2.840.10008.5.1.4.1.1.77.1.6"],
    ...matrix("coarse", 50, 30, 20),
    ...glass(0.02),
    "00280008": [6],
  }),
]) as Slide;

const segments = (...numbers: number[]): Record<string, unknown[]> => ({
  "00620001": ["BINARY"],
  "00620002": numbers.map((each) => json({ "00620004": [each], "00620005": [`Segment ${each}`] })),
});
const full = (uid: string, columns: number, rows: number, more: Record<string, unknown[]> = {}) =>
  json({ ...matrix(uid, columns, rows, 20), ...segments(1, 2), "00280008": [100], ...more });

const part = { left: 0, top: 0, right: 100, bottom: 60 };
const tilesOf = (data: readonly DicomJson[], segment: number, where = part, scale = 1) =>
  slideLayers("group", data, () => "/x")
    [segment - 1]?.slide?.(slide, where, scale)
    ?.map((each) => each);

describe("segments of a slide", () => {
  it("are tiles, not slices", () => {
    expect(isTiled(full("a", 100, 60))).toBe(true);
    expect(isTiled(json({ "00620002": [] }))).toBe(false);
    expect(matrixOfTiles(json({}))).toBeNull();
  });

  it("follow each other in full tiles, one matrix after the other", () => {
    const found = matrixOfTiles(full("a", 100, 60));
    expect(found?.layers).toEqual(["1", "2"]);
    expect(found?.level.tiles(0, 0, 1, 1, 0)[0]?.frame).toBe(1);
    expect(found?.level.tiles(0, 0, 1, 1, 1)[0]?.frame).toBe(16); // after 5 × 3 tiles of the first
  });

  it("are where sparse tiles say, each of the segment that it names", () => {
    const frame = (segment: number, column: number, row: number) =>
      json({
        "0048021A": [json({ "0048021E": [column], "0048021F": [row] })],
        "0062000A": [json({ "0062000B": [segment] })],
      });
    const given = full("a", 100, 60, {
      "00209311": ["TILED_SPARSE"],
      "00280008": [3],
      "52009230": [frame(2, 1, 1), frame(1, 41, 21), frame(2, 81, 41)],
      "00081115": [json({ "0008114A": [json({ "00081155": ["fine"] })] })],
    });
    expect(tilesOf([given], 1)).toMatchObject([
      { left: 40, top: 20, right: 60, bottom: 40, tile: { key: "a/2/1" } },
    ]);
    expect(tilesOf([given], 2)?.map((each) => each.tile.key)).toEqual(["a/1/2", "a/3/2"]);
    expect(tilesOf([given], 2, { left: 70, top: 30, right: 90, bottom: 50 })).toHaveLength(1);
  });

  it("of a label map are all in the same frames", () => {
    const given = full("a", 100, 60, {
      ...glass(0.01),
      ...segments(0, 1, 2),
      "00620001": ["LABELMAP"],
      "00280008": [15],
    });
    expect(slideLayers("group", [given], () => "/x").map((each) => each.label)).toEqual([
      "Segment 1",
      "Segment 2", // and no background
    ]);
    const [first, second] = [tilesOf([given], 1), tilesOf([given], 2)];
    expect(first?.map((each) => each.tile.key.split("/")[1])).toEqual(
      second?.map((each) => each.tile.key.split("/")[1]),
    );
    expect(first).toHaveLength(15);
  });

  it("lie on the level that they were made from, whatever they say of the glass", () => {
    const moved = { ...glass(0.02, [1, 1]), "00082112": [json({ "00081155": ["coarse"] })] };
    const data = full("a", 50, 30, moved);
    const level = matrixOfTiles(data)?.level;
    expect(namedSources(data)).toEqual(["coarse"]);
    expect(level && placeOnSlide(data, level, slide)).toEqual({ at: [0, 0], scale: [2, 2] });
    expect(sourcesOf(data)).toEqual([
      { sopInstanceUid: "coarse", frame: 1 },
      { sopInstanceUid: "", frame: 1, frameOfReferenceUid: "1.2.frame" }, // else any slide of this glass
    ]);
  });

  it("lie where their own matrix is on the glass, where that is all that is known", () => {
    const data = full("a", 10, 6, glass(0.04, [0.1, 0.2]));
    const level = matrixOfTiles(data)?.level;
    const place = level && placeOnSlide(data, level, slide);
    expect(place?.scale[0]).toBeCloseTo(4);
    expect(place?.at[0]).toBeCloseTo(10); // 0.1 mm of 0.01 mm each
    expect(place?.at[1]).toBeCloseTo(20);
  });

  it("are not drawn on another glass, nor turned", () => {
    const place = (more: Record<string, unknown[]>) => {
      const data = full("a", 10, 6, { ...glass(0.04), ...more });
      const level = matrixOfTiles(data)?.level;
      return level && placeOnSlide(data, level, slide);
    };
    expect(place({})).not.toBeNull();
    expect(place({ "00200052": ["1.2.other"] })).toBeNull();
    expect(place({ "00480102": [1, 0, 0, 0, 1, 0] })).toBeNull();
    expect(place({ "00480008": [] })).toBeNull();
  });

  it("are taken from the level that has a pixel for every point", () => {
    const pyramid = { "00080019": ["1.2.pyramid"] };
    const given = [
      full("half", 50, 30, { ...glass(0.02), ...pyramid }),
      full("whole", 100, 60, { ...glass(0.01), ...pyramid }),
      full("other", 100, 60, glass(0.01)),
    ];
    const [levels, alone] = pyramids(given);
    expect(levels?.map((each) => each["00080018"]?.Value?.[0])).toEqual(["whole", "half"]);
    expect(alone).toHaveLength(1);
    const from = (scale: number) => tilesOf(levels ?? [], 1, part, scale)?.[0]?.tile.key.split("/")[0];
    expect([from(4), from(1), from(0.5), from(0.1)]).toEqual(["whole", "whole", "half", "half"]);
  });

  it("of more tiles than can be shown are none, and say so", () => {
    const data = full("a", 2000, 2000, { ...glass(0.01), "00280008": [20_000] });
    const all = { left: 0, top: 0, right: 2000, bottom: 2000 };
    expect(slideLayers("group", [data], () => "/x")[0]?.slide?.(slide, all, 1)).toBeNull();
    expect(tilesOf([data], 1)).toHaveLength(15);
  });
});
