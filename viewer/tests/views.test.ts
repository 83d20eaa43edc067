import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { displaySets, type SeriesFacts } from "../src/displaysets.ts";
import { hang, shipped, type Surroundings } from "../src/hanging.ts";
import { viewOf } from "../src/views.ts";

const value = (vr: string, ...Value: unknown[]) => ({ vr, Value });

/** A mammogram: its side as text, its projection by a code or as text. */
function mammogram(number: number, side: string, code: string, position = ""): DicomJson {
  return {
    "00080016": value("UI", "1.2.840.10008.5.1.4.1.1.1.2"),
    "00080018": value("UI", `1.2.9.${number}`),
    "00080060": value("CS", "MG"),
    "0020000D": value("UI", "1.2"),
    "0020000E": value("UI", "1.2.9"),
    "00200013": value("IS", number),
    "00200062": value("CS", side),
    "00280010": value("US", 64),
    "00280011": value("US", 48),
    ...(code ? { "00540220": value("SQ", { "00080100": value("SH", code) }) } : {}),
    ...(position ? { "00185101": value("CS", position) } : {}),
  };
}
const series = (label: string, uid = "1.2.9"): SeriesFacts => ({
  studyInstanceUid: "1.2",
  studyDate: "2026-03-02",
  studyDescription: "Screening",
  seriesInstanceUid: uid,
  modality: "MG",
  label,
  numberOfInstances: 4,
});
const CC = "399162004";
const MLO = "399368009";

function surroundings(...given: [SeriesFacts, DicomJson[]][]): Surroundings {
  const views = new Map(
    given.map(([one, images]) => [
      one.seriesInstanceUid,
      displaySets(one, images, "").sets.map(({ id, pictures }) => ({
        id,
        ...viewOf(pictures[0]?.data ?? {}),
      })),
    ]),
  );
  return { priors: 0, prior: [], bodyParts: new Map(), lateralities: new Map(), views };
}

describe("mammograms", () => {
  const images = [
    mammogram(1, "L", MLO),
    mammogram(2, "R", "R-10242"),
    mammogram(3, "R", "", "MLO"),
    mammogram(4, "L", CC),
  ];
  it("say their side and projection by code, by the code of old, or as text", () => {
    const told = images.map((each) => Object.values(viewOf(each)).join(" "));
    expect(told).toEqual(["L MLO", "R CC", "R MLO", "L CC"]);
    expect(viewOf({})).toEqual({ laterality: "", position: "" });
  });

  it("of one series are a stack for each view, the repetition of a view in that of its view", () => {
    const again = [...images, mammogram(5, "R", CC)];
    const { sets } = displaySets(series("1 Screening"), again, "");
    expect(sets.map(({ label, pictures }) => [label, pictures.map((each) => each.sopInstanceUid)])).toEqual([
      ["1 Screening L MLO", ["1.2.9.1"]],
      ["1 Screening R CC", ["1.2.9.2", "1.2.9.5"]],
      ["1 Screening R MLO", ["1.2.9.3"]],
      ["1 Screening L CC", ["1.2.9.4"]],
    ]);
    expect(displaySets(series("1 R CC"), [images[1] as DicomJson], "").sets[0]?.label).toBe("1 R CC");
  });

  it("of one series hang over four viewports, RCC, LCC, RMLO, LMLO", () => {
    const one = series("1 Screening");
    const hung = hang([one], shipped, surroundings([one, images]));
    expect([hung.name, hung.rows, hung.columns]).toEqual(["Mammography: four views", 2, 2]);
    expect(hung.series).toEqual([one, one, one, one]);
    expect(hung.sets).toEqual([2, 4, 3, 1].map((number) => `1.2.9/1.2.9.${number}`));
  });

  it("are hung by what the images say where the names of series say otherwise", () => {
    const right = series("1 L CC L MLO", "1.2.9");
    const left = series("2 Left breast", "1.2.10");
    const ofLeft = [mammogram(1, "L", MLO), mammogram(4, "L", CC)].map((each) => ({
      ...each,
      "0020000E": value("UI", "1.2.10"),
    }));
    const ofRight = [mammogram(2, "R", CC), mammogram(3, "R", MLO)];
    const hung = hang([right, left], shipped, surroundings([right, ofRight], [left, ofLeft]));
    expect(hung.series).toEqual([right, left, right, left]);
    expect(hung.sets?.map((each) => each?.slice(-1))).toEqual(["2", "4", "3", "1"]);
  });

  it("of one breast in one series hang CC beside MLO; a single view alone", () => {
    const one = series("1 Right");
    const two = [mammogram(3, "R", MLO), mammogram(2, "R", CC)];
    const hung = hang([one], shipped, surroundings([one, two]));
    expect([hung.name, hung.sets]).toEqual([
      "Mammography: CC beside MLO",
      ["1.2.9/1.2.9.2", "1.2.9/1.2.9.3"],
    ]);
    expect(hang([one], shipped, surroundings([one, two.slice(1)])).rows).toBe(1);
  });
});
