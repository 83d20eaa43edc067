// Numbers computed apart from this code (Python), from the attributes below.
import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { bodySurface, inKind, leanBodyMass, moment, suvOf } from "../src/suv.ts";

const DRUG: DicomJson = {
  "00181072": { vr: "TM", Value: ["091500.00"] },
  "00181074": { vr: "DS", Value: [370e6] },
  "00181075": { vr: "DS", Value: [6586.2] },
};

function pet(changes: DicomJson = {}): DicomJson {
  return {
    "00541001": { vr: "CS", Value: ["BQML"] },
    "00541102": { vr: "CS", Value: ["START"] },
    "00280051": { vr: "CS", Value: ["DECY", "ATTN", "SCAT"] },
    "00101030": { vr: "DS", Value: [72] },
    "00101020": { vr: "DS", Value: [1.75] },
    "00100040": { vr: "CS", Value: ["M"] },
    "00080021": { vr: "DA", Value: ["20260302"] },
    "00080031": { vr: "TM", Value: ["101745.5"] },
    "00080022": { vr: "DA", Value: ["20260302"] },
    "00080032": { vr: "TM", Value: ["102000"] },
    "00540016": { vr: "SQ", Value: [DRUG] },
    ...changes,
  };
}

const factor = (data: DicomJson): number => {
  const found = suvOf(data);
  return found.known ? found.uptake.bodyWeight : Number.NaN;
};
const reason = (data: DicomJson): string => {
  const found = suvOf(data);
  return found.known ? "" : found.reason;
};

describe("the factor to SUV", () => {
  it("follows from weight and the dose that was left at the scan", () => {
    // 3765.5 s after the injection: 370e6 * exp(-ln 2 * 3765.5 / 6586.2) Bq are left
    const left = 370e6 * Math.exp((-Math.LN2 * 3765.5) / 6586.2);
    expect(factor(pet())).toBeCloseTo(72_000 / left, 15);
    expect(factor(pet())).toBeCloseTo(2.8923e-4, 7);
  });
  it("takes the dose as it was injected where decay is corrected to then", () => {
    expect(factor(pet({ "00541102": { vr: "CS", Value: ["ADMIN"] } }))).toBe(72_000 / 370e6);
  });
  it("knows an injection before midnight", () => {
    const drug = { ...DRUG, "00181072": { vr: "TM", Value: ["233000"] } };
    const data = pet({
      "00080031": { vr: "TM", Value: ["003000"] },
      "00540016": { vr: "SQ", Value: [drug] },
    });
    expect(factor(data)).toBeCloseTo(72_000 / (370e6 * 2 ** (-3600 / 6586.2)), 15);
  });
  it("prefers the date and time of the injection", () => {
    const drug = { ...DRUG, "00181078": { vr: "DT", Value: ["20260302094745.5"] } };
    expect(factor(pet({ "00540016": { vr: "SQ", Value: [drug] } }))).toBeCloseTo(
      72_000 / (370e6 * 2 ** (-1800 / 6586.2)),
      15,
    );
  });
  it("is one where values are SUV already", () => {
    expect(factor(pet({ "00541001": { vr: "CS", Value: ["GML"] } }))).toBe(1);
  });
  it("goes by lean mass and surface where size and sex are known", () => {
    const found = suvOf(pet());
    if (!found.known) throw new Error(found.reason);
    const { bodyWeight, leanBodyMass: lean, bodySurface: surface } = found.uptake;
    expect((lean ?? 0) / bodyWeight).toBeCloseTo(0.817877551, 8); // 58.8871836... kg of 72
    expect((surface ?? 0) / bodyWeight).toBeCloseTo(0.2597782121, 9); // 1.87 m² in cm² for 72 kg in g
  });
  it("does not guess lean mass of sex O, nor without size", () => {
    expect(leanBodyMass(72, 1.75, "O")).toBeNull();
    expect(leanBodyMass(72, 0, "M")).toBeNull();
    expect(bodySurface(72, 0)).toBeNull();
  });
});

describe("another kind of SUV", () => {
  const uptake = (changes: DicomJson = {}) => {
    const found = suvOf(pet(changes));
    if (!found.known) throw new Error(found.reason);
    return found.uptake;
  };
  const measured = [
    { name: "Area", value: 12, unit: "mm²" },
    { name: "Mean", value: 5, unit: "SUVbw g/ml" },
  ];
  it("is told with its unit, and leaves areas alone", () => {
    const [area, lean] = inKind(measured, uptake(), "lbm");
    expect(area).toEqual(measured[0]);
    expect(lean?.unit).toBe("SUVlbm g/ml");
    expect(lean?.value).toBeCloseTo(4.0893877551, 9);
    expect(inKind(measured, uptake(), "bsa")[1]?.value).toBeCloseTo(1.2988910604, 9);
  });
  it("stays by body weight, with the reason, where size or sex are missing", () => {
    const small = uptake({ "00101020": { vr: "DS" } });
    expect(small.why.lbm).toMatch(/height/);
    expect(small.why.bsa).toMatch(/height/);
    expect(inKind(measured, small, "lbm")).toEqual(measured);
    const other = uptake({ "00100040": { vr: "CS", Value: ["O"] } });
    expect(other.why.lbm).toMatch(/sex/);
    expect(other.why.bsa).toBe("");
    const beyond = uptake({ "00101030": { vr: "DS", Value: [260] }, "00101020": { vr: "DS", Value: [1.6] } });
    expect(beyond.why.lbm).toMatch(/does not hold/);
  });
});

describe("no SUV", () => {
  const cases: [string, DicomJson, RegExp][] = [
    ["without attenuation correction", { "00280051": { vr: "CS", Value: ["DECY"] } }, /ATTN/],
    ["without decay correction", { "00280051": { vr: "CS", Value: ["ATTN"] } }, /DECY/],
    ["of counts", { "00541001": { vr: "CS", Value: ["CNTS"] } }, /CNTS/],
    ["without weight", { "00101030": { vr: "DS" } }, /weight/],
    ["without a tracer", { "00540016": { vr: "SQ" } }, /tracer/],
    ["of a series made later than its images", { "00080031": { vr: "TM", Value: ["120000"] } }, /made after/],
    [
      "of values that are SUV by another rule",
      { "00541001": { vr: "CS", Value: ["GML"] }, "00541006": { vr: "CS", Value: ["LBM"] } },
      /LBM/,
    ],
    ["with an unknown time of correction", { "00541102": { vr: "CS", Value: ["NONE"] } }, /what time/],
  ];
  for (const [name, changes, why] of cases) it(name, () => expect(reason(pet(changes))).toMatch(why));
});

it("reads times with and without fractions", () => {
  expect(moment("20260302", "10")).toBe(Date.UTC(2026, 2, 2, 10) / 1000);
  expect(moment("20260302", "101500.25")).toBe(Date.UTC(2026, 2, 2, 10, 15) / 1000 + 0.25);
  expect(moment("", "10")).toBeNull();
});
