import { describe, expect, it } from "vitest";
import { plainUnit, rounded, sentence, statisticsOf, summary } from "../src/format.ts";
import { hang } from "../src/hanging.ts";
import type { SeriesFacts } from "../src/displaysets.ts";

describe("measurements in words", () => {
  it("say how a length on a radiograph is known", () => {
    const statistics = statisticsOf("Length", { length: 20.04, unit: "mm Proj" });
    expect(summary("Length", statistics)).toBe("20.0 mm (at the detector)");
    expect(plainUnit("mm² ERMF")).toEqual({ unit: "mm²", calibration: "ERMF" });
  });
  it("never turn pixels into millimetres", () => {
    expect(summary("Length", statisticsOf("Length", { length: 100, unit: "px" }))).toBe("100.0 px");
  });
  it("give an ellipse its five values and a Cobb angle its degrees", () => {
    const stats = {
      area: 120.26,
      areaUnit: "mm²",
      mean: 41.04,
      stdDev: 11.9,
      min: 6,
      max: 77,
      modalityUnit: "HU",
    };
    expect(summary("EllipticalROI", statisticsOf("EllipticalROI", stats))).toBe(
      "Area 120.3 mm², Mean 41.0 HU, SD 11.9 HU, Min 6 HU, Max 77 HU",
    );
    expect(summary("CobbAngle", statisticsOf("CobbAngle", { angle: 31.07 }))).toBe("31.1°");
  });
  it("make a sentence for the report", () => {
    const statistics = statisticsOf("Length", { length: 12.34, unit: "mm" });
    expect(sentence({ tool: "Length", label: "Node", statistics, where: "CT 3 Chest, image 5 of 20" })).toBe(
      "Node: 12.3 mm (CT 3 Chest, image 5 of 20).",
    );
  });
  it("round to what is known", () => {
    expect([rounded(0.034), rounded(1234.5), rounded(-3.25), rounded(Number.NaN)]).toEqual([
      "0.03",
      "1235",
      "-3.3",
      "–",
    ]);
  });
});

describe("hanging protocols", () => {
  const series = (modality: string, label: string): SeriesFacts => ({
    studyInstanceUid: "1",
    studyDate: null,
    studyDescription: "",
    seriesInstanceUid: `${modality}${label}`,
    modality,
    label,
    numberOfInstances: 1,
  });
  const labels = (given: SeriesFacts[]) => hang(given).series.map((each) => each?.label ?? null);

  it("hang the four mammograms as breasts stand, whatever order they came in", () => {
    const views = ["L MLO", "R CC", "L CC", "R MLO"].map((each) => series("MG", each));
    expect(labels(views)).toEqual(["R CC", "L CC", "R MLO", "L MLO"]);
  });
  it("hang T1 beside T2, linked", () => {
    const hanging = hang([series("MR", "2 T2 axial"), series("MR", "3 T1 axial")]);
    expect(hanging).toMatchObject({ rows: 1, columns: 2, link: true });
    expect(hanging.series.map((each) => each?.label)).toEqual(["3 T1 axial", "2 T2 axial"]);
  });
  it("show one CT series large, leave reports out, and take what nothing fits as it comes", () => {
    expect(labels([series("SR", "report"), series("CT", "1 Head")])).toEqual(["1 Head"]);
    expect(labels([series("OT", "1 other")])).toEqual(["1 other"]);
    expect(labels([])).toEqual([null]);
  });
});
