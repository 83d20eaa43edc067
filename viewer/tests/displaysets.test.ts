import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { displaySets, planeOf, type SeriesFacts } from "../src/displaysets.ts";

const SERIES: SeriesFacts = {
  studyInstanceUid: "1.2",
  studyDate: "2026-03-02",
  studyDescription: "CT",
  seriesInstanceUid: "1.2.3",
  modality: "CT",
  label: "1 Chest",
  numberOfInstances: 3,
};

function instance(number: number, z: number | null, more: Record<string, unknown[]> = {}): DicomJson {
  const values: Record<string, unknown[]> = {
    "00080018": [`1.2.3.${number}`],
    "00080060": ["CT"],
    "0020000D": ["1.2"],
    "0020000E": ["1.2.3"],
    "00200013": [number],
    "00280010": [64],
    "00280011": [64],
    "00280030": [1, 1],
    ...(z === null ? {} : { "00200032": [0, 0, z], "00200037": [1, 0, 0, 0, 1, 0] }),
    ...more,
  };
  return Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: "UN", Value }]));
}
const instances = (given: DicomJson[]) =>
  displaySets(SERIES, given, "/dicomweb").sets.map((set) =>
    set.pictures.map((each) => each.sopInstanceUid.slice(6)),
  );

describe("display sets", () => {
  it("put slices in the order of their places, in the direction they were numbered", () => {
    expect(instances([instance(1, 0), instance(3, 4), instance(2, 8)])).toEqual([["1", "3", "2"]]);
    expect(instances([instance(1, 9), instance(2, 5), instance(3, 7)])).toEqual([["1", "3", "2"]]);
  });
  it("keep the numbering where places repeat or are unknown", () => {
    expect(instances([instance(2, 0), instance(1, 0), instance(3, 4)])).toEqual([["1", "2", "3"]]);
    expect(instances([instance(2, null), instance(1, null)])).toEqual([["1", "2"]]);
  });
  it("give every multi-frame image a set of its own, and tell clips from volumes", () => {
    const clip = instance(5, null, { "00280008": [3], "00181063": [40] });
    const { sets } = displaySets(SERIES, [instance(1, 0), clip], "/dicomweb");
    expect(sets.map((each) => [each.pictures.length, each.framesPerSecond])).toEqual([
      [1, null],
      [3, 25],
    ]);
    expect(sets[1]?.pictures[2]?.imageId).toBe(
      "wadors:/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.5/frames/3",
    );
  });
  it("leave reports and segmentations to others", () => {
    const report = { "00080060": { vr: "CS", Value: ["SR"] } };
    const found = displaySets(SERIES, [instance(1, 0), report], "/dicomweb");
    expect(found.sets).toHaveLength(1);
    expect(found.others).toEqual([report]);
  });
});

it("reads the place of a frame from its functional groups, else from the shared ones", () => {
  const group = (tag: string, inner: string, Value: unknown[]) => ({
    [tag]: { vr: "SQ", Value: [{ [inner]: { vr: "DS", Value } }] },
  });
  const enhanced = {
    ...instance(1, null, { "00280008": [2] }),
    "00280030": { vr: "DS" },
    "52009229": {
      vr: "SQ",
      Value: [
        {
          ...group("00209116", "00200037", [1, 0, 0, 0, 1, 0]),
          ...group("00289110", "00280030", [0.5, 0.7]),
        },
      ],
    },
    "52009230": {
      vr: "SQ",
      Value: [group("00209113", "00200032", [1, 2, 3]), group("00209113", "00200032", [1, 2, 5])],
    },
  };
  expect(planeOf(enhanced, 1)).toMatchObject({ position: [1, 2, 5], spacing: [0.5, 0.7] });
});
