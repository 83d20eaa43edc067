import { describe, expect, it } from "vitest";
import type { SeriesFacts } from "../src/displaysets.ts";
import { asksMore, fits, hang, placeStage, type Protocol } from "../src/hanging.ts";
import { linkOf, screenOf } from "../src/links.ts";

const series = (uid: string, modality: string, label: string, description = "CT chest"): SeriesFacts => ({
  studyInstanceUid: "1",
  studyDate: null,
  studyDescription: description,
  seriesInstanceUid: uid,
  modality,
  label,
  numberOfInstances: 3,
});
const own = [series("1.1", "CT", "2 Lung"), series("1.2", "CT", "3 Soft"), series("1.3", "SR", "Dose")];
const before = [series("2.1", "CT", "Soft"), series("2.2", "MR", "T1")];
const more = {
  priors: 1,
  prior: before,
  bodyParts: new Map([["1.1", "CHEST"]]),
  lateralities: new Map([["1.2", "R"]]),
};
const protocol: Protocol = {
  name: "Beside the prior",
  modality: ["CT"],
  rows: 1,
  columns: 2,
  series: [{ description: "soft" }, { study: "prior", modality: ["CT"] }],
  stages: [{ rows: 2, columns: 2, series: [], link: true }],
};
const uids = (placed: { series: (SeriesFacts | null)[] } | null) =>
  placed?.series.map((each) => each?.seriesInstanceUid ?? null);

describe("hanging protocols", () => {
  it("place the prior beside what is asked for, and leave its viewport empty without one", () => {
    expect(uids(hang(own, [protocol], more))).toEqual(["1.2", "2.1"]);
    expect(uids(hang(own, [protocol]))).toEqual(["1.2", null]);
  });
  it("fit by modality, study, body part, series and priors", () => {
    const misses: Partial<Protocol>[] = [
      { modality: ["MR"] },
      { description: "abdomen" },
      { bodyPart: "HEAD" },
      { seriesAtLeast: 3 },
      { priorsAtLeast: 2 },
      { series: [{ description: "bone" }] },
      { series: [{ laterality: "L" }] },
    ];
    for (const miss of misses)
      expect(hang(own, [{ ...protocol, ...miss }], more).protocol, JSON.stringify(miss)).toBeNull();
    const hit = { bodyPart: "^CHEST$", priorsAtLeast: 1, series: [{ laterality: "R" }] };
    expect(uids(hang(own, [{ ...protocol, ...hit }], more))).toEqual(["1.2", null]);
  });
  it("have stages of their own layout", () => {
    expect(uids(placeStage(own, protocol.stages?.[0] as Protocol))).toEqual(["1.1", "1.2", null, null]);
  });
  it("take a pattern that is no regular expression as it is written", () => {
    expect(fits("T1 (", "t1 (ax")).toBe(true);
    expect(fits("[", "T1")).toBe(false);
  });
  it("ask for more only where it is needed", () => {
    expect(asksMore([protocol])).toBe(true);
    expect(asksMore([{ ...protocol, series: [] }])).toBe(false);
  });
});

describe("links and windows", () => {
  it("name an image, a measurement, or a series", () => {
    expect(linkOf("#image=1.2.3:4").image).toEqual({ sopInstanceUid: "1.2.3", frame: 4 });
    expect(linkOf("#image=1.2.3").image).toEqual({ sopInstanceUid: "1.2.3", frame: 1 });
    expect(linkOf("#image=javascript:1").image).toBeNull();
    expect(linkOf("#measurement=a-b").measurement).toBe("a-b");
    expect(linkOf("#1.2.840")).toEqual({ series: "1.2.840", image: null, measurement: "" });
  });
  it("know a second screen by the window's name", () => {
    expect(screenOf("isocenter-screen-2-abc123")).toEqual({ screen: 2, group: "abc123" });
    expect(screenOf("")).toBeNull();
  });
});
