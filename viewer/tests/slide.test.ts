import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { told } from "../src/format.ts";
import {
  fitted,
  glassOf,
  lengthOn,
  levelFor,
  levelOfInstance,
  scaleBar,
  scaleOf,
  type Slide,
  slideOf,
  windowOf,
  zoomed,
} from "../src/slide.ts";
import { lengthsOn, recordOf } from "../src/sliderulers.ts";

const WSI = "1.2.840.10008.5.1.4.1.1.77.1.6";
const json = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: "UN", Value }]));

function level(
  uid: string,
  columns: number,
  rows: number,
  tile: number,
  more: Record<string, unknown[]> = {},
) {
  const tiles = Math.ceil(columns / tile) * Math.ceil(rows / tile);
  return json({
    "00080016": [WSI],
    "00080018": [uid],
    "00080008": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
    "00480006": [columns],
    "00480007": [rows],
    "00280010": [tile],
    "00280011": [tile],
    "00280002": [3],
    "00280008": [tiles],
    "00209311": ["TILED_FULL"],
    "00480001": [20],
    "00480002": [15],
    ...more,
  });
}
const sparseLevel = (places: [number, number, string?, number?][]) =>
  level("sparse", 100, 60, 20, {
    "00209311": ["TILED_SPARSE"],
    "00280008": [places.length],
    "52009230": places.map(([column, row, path = "1", depth = 0]) =>
      json({
        "0048021A": [json({ "0048021E": [column], "0048021F": [row], "0040074A": [depth] })],
        "00480207": [json({ "00480106": [path] })],
      }),
    ),
  });
const frames = (found: { frame: number }[]) => found.map((each) => each.frame);

describe("a slide", () => {
  it("is a pyramid of the series' levels, the finest first, without label and overview", () => {
    const label = level("label", 40, 40, 40, { "00080008": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"] });
    const given = [level("c", 25, 15, 10), label, level("a", 100, 60, 20), level("b", 50, 30, 20)];
    expect(slideOf(given)?.levels.map((each) => each.columns)).toEqual([100, 50, 25]);
    expect(glassOf(given)).toEqual([label]);
    expect(slideOf([json({ "00080016": ["1.2"] })])).toBeNull();
  });
  it("counts full tiles row by row, to the edge that they hang over", () => {
    const slide = slideOf([level("a", 50, 30, 20)]);
    const base = slide?.levels[0];
    expect(frames(base?.tiles(0, 0, 50, 30, 0) ?? [])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(base?.tiles(41, 21, 45, 25, 0)).toMatchObject([{ column: 40, row: 20, frame: 6 }]);
    expect(frames(base?.tiles(-100, -100, 1, 1, 0) ?? [])).toEqual([1]);
    expect(base?.tiles(60, 0, 90, 10, 0)).toEqual([]);
  });
  it("counts focal planes within optical paths", () => {
    const paths = [json({ "00480106": ["A"], "00480107": ["DAPI"] }), json({ "00480106": ["B"] })];
    const more = { "00480303": [2], "00480302": [2], "00480105": paths, "00280008": [24] };
    const slide = slideOf([level("a", 50, 30, 20, more)]);
    expect(slide?.layers).toEqual(["DAPI, focus 1", "DAPI, focus 2", "B, focus 1", "B, focus 2"]);
    expect(frames(slide?.levels[0]?.tiles(0, 0, 1, 1, 3) ?? [])).toEqual([19]);
  });
  it("goes on counting in the parts of a concatenation", () => {
    const part = (uid: string, offset: number) =>
      level(uid, 50, 30, 20, { "00280008": [3], "00209161": ["1.2.9"], "00209228": [offset] });
    const tiles = slideOf([part("a", 0), part("b", 3)])?.levels[0]?.tiles(0, 0, 50, 30, 0) ?? [];
    expect(tiles.map((each) => [each.row, each.column, each.frame])).toEqual([
      [0, 0, 1],
      [0, 20, 2],
      [0, 40, 3],
      [20, 0, 1],
      [20, 20, 2],
      [20, 40, 3],
    ]);
  });
  it("finds sparse tiles where they state to be, and nothing where there are none", () => {
    const base = slideOf([
      sparseLevel([
        [1, 1],
        [36, 11],
        [81, 41],
      ]),
    ])?.levels[0];
    expect(frames(base?.tiles(0, 0, 100, 60, 0) ?? [])).toEqual([1, 2, 3]);
    expect(base?.tiles(50, 25, 54, 29, 0)).toMatchObject([{ column: 35, row: 10, frame: 2 }]);
    expect(base?.tiles(21, 0, 30, 10, 0)).toEqual([]);
  });
  it("tells sparse layers apart by path and depth", () => {
    const slide = slideOf([
      sparseLevel([
        [1, 1, "1", 0],
        [1, 1, "1", 1.5],
        [1, 1, "2", 0],
      ]),
    ]);
    expect(slide?.layers).toEqual(["1, focus 0 µm", "1, focus 1.5 µm", "2, focus 0 µm"]);
    expect(frames(slide?.levels[0]?.tiles(0, 0, 100, 60, 1) ?? [])).toEqual([2]);
  });
  it("knows its spacing from the pixels, else from the imaged volume", () => {
    const measured = { "52009229": [json({ "00289110": [json({ "00280030": [0.0005, 0.00025] })] })] };
    expect(slideOf([level("a", 100, 60, 20, measured)])?.levels[0]?.mm).toEqual([0.00025, 0.0005]);
    expect(slideOf([level("a", 100, 60, 20)])?.levels[0]?.mm).toEqual([0.2, 0.25]);
  });
  it("shares one window among grey tiles", () => {
    expect(windowOf(json({ "00280101": [16] }))).toBe("32768,65536,linear");
    expect(windowOf(json({ "00281050": [40], "00281051": [80] }))).toBe("40,80,linear");
  });
});

describe("a view of a slide", () => {
  const levels = slideOf([
    level("a", 1000, 600, 20),
    level("b", 500, 300, 20),
    level("c", 250, 150, 20),
  ])?.levels;
  it("is served by the coarsest level that has a pixel for every point", () => {
    const at = (scale: number, ratio = 1) => levelFor(levels ?? [], { x: 0, y: 0, scale }, ratio);
    expect([at(2), at(1), at(0.6), at(0.5), at(0.26), at(0.25), at(0.1)]).toEqual([0, 0, 0, 1, 1, 2, 2]);
    expect(at(0.25, 2)).toBe(1);
  });
  it("fits into the viewport", () => {
    expect(levels?.[0] && fitted(levels[0], 500, 500)).toEqual({ x: 500, y: 300, scale: 0.5 });
  });
  it("keeps what is under the pointer when zoomed, and its limits", () => {
    const size = [400, 300] as const;
    const after = zoomed({ x: 500, y: 300, scale: 0.5 }, 2, [300, 150], size, [0.1, 4]);
    expect(after).toEqual({ x: 600, y: 300, scale: 1 });
    expect(zoomed(after, 100, [0, 0], size, [0.1, 4]).scale).toBe(4);
  });
  it("has a bar of a round length in µm or mm", () => {
    expect(scaleBar(0.00025, 150)).toEqual({ points: 80, label: "20 µm" });
    expect(scaleBar(0.01, 150)).toEqual({ points: 100, label: "1 mm" });
    expect(scaleBar(0.1, 150)).toEqual({ points: 100, label: "10 mm" });
    expect(scaleBar(0.00001, 60).label).toBe("0.5 µm");
  });
  it("tells lengths by the spacing of its level, whose pixels need not be square", () => {
    const words = (mm: [number, number] | null, to: [number, number]) => told(lengthOn({ mm }, [0, 0], to));
    expect(words([0.0005, 0.0005], [400, 300])).toBe("250.0 µm");
    expect(words([0.0005, 0.001], [3000, 2000])).toBe("2.5 mm");
    expect(words(null, [30, 40])).toBe("50.0 px");
  });
});

describe("a length on a slide", () => {
  const ids = { "0020000D": ["1.2.study"], "0020000E": ["1.2.series"] };
  const slide = slideOf([level("fine", 100, 60, 20, ids), level("coarse", 50, 30, 20, ids)]) as Slide;

  it("is kept in pixels of the finest level's matrix, with its size in the glass's units", () => {
    const made = recordOf(slide, 0, [10, 20], [40, 60]);
    expect(made).toMatchObject({
      study: "1.2.study",
      series_instance_uid: "1.2.series",
      sop_instance_uid: "fine",
      tool: "Length",
      content: {
        pixel_origin: "VOLUME",
        image_points: [
          [10, 20],
          [40, 60],
        ],
      },
    });
    // 20 mm for 100 columns, 15 mm for 60 rows
    expect(made.content.statistics[0]?.value).toBeCloseTo(Math.hypot(6, 10));
    expect(lengthsOn(slide, [made])).toMatchObject([{ from: [10, 20], to: [40, 60], words: "11.7 mm" }]);
  });

  it("that names a coarser level is at the same place, and stays with it when it is changed", () => {
    const made = recordOf(slide, 0, [10, 20], [40, 60]);
    const coarse = { ...made, sop_instance_uid: "coarse", label: "Margin" };
    expect(lengthsOn(slide, [coarse])).toMatchObject([{ from: [20, 40], to: [80, 120] }]);
    const changed = recordOf(slide, 0, [20, 40], [60, 40], coarse);
    expect(changed).toMatchObject({ sop_instance_uid: "coarse", label: "Margin" });
    expect(changed.content.image_points).toEqual([
      [10, 20],
      [30, 20],
    ]);
    expect(lengthsOn(slide, [changed])[0]).toMatchObject({ to: [60, 40], words: "Margin 8.0 mm" });
  });

  it("of another image or another kind is none of the slide's", () => {
    const made = recordOf(slide, 0, [10, 20], [40, 60]);
    expect(lengthsOn(slide, [{ ...made, sop_instance_uid: "elsewhere" }])).toEqual([]);
    expect(lengthsOn(slide, [{ ...made, tool: "KeyImage" }])).toEqual([]);
    const { pixel_origin: _, ...ofFrame } = made.content;
    expect(lengthsOn(slide, [{ ...made, content: ofFrame }])).toEqual([]);
    const coarse = levelOfInstance(slide, "coarse");
    expect(coarse && scaleOf(slide, coarse)).toEqual([2, 2]);
  });
});
