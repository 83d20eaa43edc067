import { describe, expect, it } from "vitest";
import type { SeriesFacts } from "../src/displaysets.ts";
import { hang, shipped } from "../src/hanging.ts";

/** A study as a scanner sends it: modality and name of each series. */
function study(description: string, ...series: [string, string][]): SeriesFacts[] {
  return series.map(([modality, label], index) => ({
    studyInstanceUid: "1.2",
    studyDate: "2026-03-02",
    studyDescription: description,
    seriesInstanceUid: `1.2.${index}`,
    modality,
    label: `${index + 1} ${label}`,
    numberOfInstances: 1,
  }));
}
/** The protocol's name, its rows and columns, and the series by number. */
function hung(given: SeriesFacts[]) {
  const { name, rows, columns, series, link } = hang(given, shipped);
  const numbers = series.map((each) => (each ? Number.parseInt(each.label, 10) : null));
  return [name, `${rows}x${columns}`, numbers, link];
}

describe("the hanging protocols that are shipped", () => {
  it("hang mammograms as the breasts face each other", () => {
    const views: [string, string][] = [
      ["MG", "L MLO"],
      ["MG", "R CC"],
      ["MG", "L CC"],
      ["MG", "R MLO"],
    ];
    expect(hung(study("Screening", ...views))).toEqual([
      "Mammography: four views",
      "2x2",
      [2, 3, 4, 1],
      false,
    ]);
    const named = views.map(([modality, name]): [string, string] => [
      modality,
      name.replace(/^(.) (.*)$/, (_, side, view) => `${side === "L" ? "LEFT" : "RIGHT"} ${view}`),
    ]);
    expect(hung(study("Screening", ...named))[2]).toEqual([2, 3, 4, 1]);
    expect(hung(study("Follow-up", ["MG", "R spot"], ["MG", "R magnification"]))).toEqual([
      "Mammography: two series",
      "1x2",
      [1, 2],
      false,
    ]);
  });
  it("hang a chest frontal beside lateral, whichever came first", () => {
    const chest = "Chest: frontal beside lateral";
    expect(hung(study("XR Chest 2 views", ["DX", "LATERAL"], ["DX", "PA"]))).toEqual([
      chest,
      "1x2",
      [2, 1],
      false,
    ]);
    expect(hung(study("Thorax p.a./seitl.", ["CR", "Thorax p.a."], ["CR", "Thorax seitl."]))[0]).toBe(chest);
    expect(hung(study("XR Chest portable", ["DX", "AP"]))).toEqual(["Radiograph", "1x1", [1], false]);
    expect(hung(study("XR Hand", ["DX", "PA"], ["DX", "LAT"]))[0]).toBe("Radiograph: two views");
  });
  it("hang a CT by its windows where it has both, else one series", () => {
    const both = study("CT Chest", ["CT", "Scout"], ["CT", "Lung 1.0 B60"], ["CT", "Mediastinum 3.0 B30"]);
    expect(hung(both)).toEqual(["CT: soft tissue beside lung", "1x2", [3, 2], true]);
    expect(hung(study("CT Head", ["CT", "Axial"]))).toEqual(["CT: one series", "1x1", [1], false]);
  });
  it("hang MR by sequence", () => {
    const brain = study(
      "MR Brain",
      ["MR", "localizer"],
      ["MR", "ep2d_diff_b1000"],
      ["MR", "t2_tirm_dark-fluid"],
      ["MR", "t2_tse_tra"],
      ["MR", "t1_mprage"],
    );
    expect(hung(brain)).toEqual(["MR: T1, T2, FLAIR and diffusion", "2x2", [5, 4, 3, 2], true]);
    const knee = study("MR Knee", ["MR", "PD fs cor"], ["MR", "T1 sag"], ["MR", "T2 sag"]);
    expect(hung(knee)).toEqual(["MR: T1 beside T2", "1x2", [2, 3], true]);
    const others = study("MR", ["MR", "a"], ["MR", "b"], ["MR", "c"], ["MR", "d"]);
    expect(hung(others).slice(0, 2)).toEqual(["MR: four series", "2x2"]);
  });
  it("hang PET beside its CT", () => {
    const pet = study("PET/CT", ["PT", "WB AC"], ["CT", "AC CT"], ["PT", "WB NAC"]);
    expect(hung(pet)).toEqual(["PET beside CT", "1x2", [2, 1], true]);
  });
  it("hang ultrasound by how many series there are", () => {
    const clips = [1, 2, 3, 4].map((each): [string, string] => ["US", `clip ${each}`]);
    expect(hung(study("US Abdomen", ...clips))).toEqual(["Ultrasound: four", "2x2", [1, 2, 3, 4], false]);
    expect(hung(study("US Thyroid", ["US", "thyroid"]))).toEqual(["Ultrasound", "1x1", [1], false]);
  });
  it("hang angiography run by run", () => {
    const runs = study("XA Coronary", ["XA", "LCA"], ["XA", "RCA"], ["XA", "LV"]);
    expect(hung(runs)).toEqual(["Angiography: two runs", "1x2", [1, 2], false]);
    expect(hung(study("RF Swallow", ["RF", "swallow"]))).toEqual(["Angiography", "1x1", [1], false]);
  });
  it("are well formed: every pattern is one, every viewport has its wish", () => {
    for (const each of shipped)
      for (const stage of [each, ...(each.stages ?? [])]) {
        expect([0, stage.rows * stage.columns]).toContain(stage.series.length);
        for (const wish of stage.series) expect(() => new RegExp(wish.description ?? "", "i")).not.toThrow();
      }
  });
});
