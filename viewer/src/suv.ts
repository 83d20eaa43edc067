// Standardised uptake values of PET images: by body weight, lean body mass and body surface. Pure arithmetic on
// the image's own attributes; where they do not allow it there is no number, but the reason in words.

import { type DicomJson, items, number, TAG, text } from "./dicom.ts";
import type { Statistic } from "./format.ts";

export interface Uptake {
  bodyWeight: number; // factor from the (rescaled) pixel value to SUVbw in g/ml
  leanBodyMass: number | null;
  bodySurface: number | null;
  why: { lbm: string; bsa: string }; // why there is no such factor; empty where there is
}
export type Suv = { known: true; uptake: Uptake } | { known: false; reason: string };
export type SuvKind = "bw" | "lbm" | "bsa";

export const SUV_UNITS: Record<SuvKind, string> = {
  bw: "SUVbw g/ml",
  lbm: "SUVlbm g/ml",
  bsa: "SUVbsa cm2/ml",
};

/** What one SUVbw is in another kind; null where the patient's data do not allow it. */
export function perBodyWeight(uptake: Uptake, kind: SuvKind): number | null {
  if (kind === "bw") return 1;
  const factor = kind === "lbm" ? uptake.leanBodyMass : uptake.bodySurface;
  return factor === null ? null : factor / uptake.bodyWeight;
}

/** Statistics by body weight, told in another kind; others as they are. */
export function inKind(statistics: readonly Statistic[], uptake: Uptake, kind: SuvKind): Statistic[] {
  const ratio = perBodyWeight(uptake, kind);
  if (ratio === null) return [...statistics];
  return statistics.map((each) =>
    each.unit === SUV_UNITS.bw ? { ...each, value: each.value * ratio, unit: SUV_UNITS[kind] } : each,
  );
}

const DAY_S = 86_400;

/** Seconds since 1970 of a date and a time as DICOM writes them, in a calendar without time zones. */
export function moment(date: string, time: string): number | null {
  const day = /^(\d{4})(\d{2})(\d{2})$/.exec(date);
  const clock = /^(\d{2})(\d{2})?(\d{2})?(\.\d+)?/.exec(time);
  if (!day || !clock) return null;
  const midnight = Date.UTC(Number(day[1]), Number(day[2]) - 1, Number(day[3])) / 1000;
  return (
    midnight +
    Number(clock[1]) * 3600 +
    Number(clock[2] ?? 0) * 60 +
    Number(clock[3] ?? 0) +
    Number(clock[4] ?? 0)
  );
}

/** To what time the scanner corrected the decay: the start of the series, if no image is older. */
function scanned(data: DicomJson): number | null {
  const series = moment(text(data, TAG.seriesDate), text(data, TAG.seriesTime));
  const acquired = moment(text(data, TAG.acquisitionDate), text(data, TAG.acquisitionTime));
  if (series === null) return acquired;
  // A series that was made anew later carries the time of its making, after that of its images.
  return acquired !== null && acquired < series ? null : series;
}

function injected(drug: DicomJson, scan: number, seriesDate: string): number | null {
  const whole = text(drug, TAG.radiopharmaceuticalStartDateTime);
  if (whole.length >= 14) return moment(whole.slice(0, 8), whole.slice(8));
  const sameDay = moment(seriesDate, text(drug, TAG.radiopharmaceuticalStartTime));
  if (sameDay === null) return null;
  return sameDay > scan ? sameDay - DAY_S : sameDay; // injected before midnight
}

/** Lean body mass in kg by James's formula, as SUV Type LBM is defined; null without size or sex. PS3.3 C.8.9.1 */
export function leanBodyMass(weightKg: number, sizeM: number, sex: string): number | null {
  const ratio = weightKg / (sizeM * 100);
  if (!(sizeM > 0)) return null;
  if (sex === "M") return 1.1 * weightKg - 120 * ratio * ratio;
  if (sex === "F") return 1.07 * weightKg - 148 * ratio * ratio;
  return null;
}

const LEAN_SHARE_MIN = 0.2; // below, the formula is beyond the people whom it was made from

function whyNoLeanMass(weightKg: number, sizeM: number, sex: string): string {
  if (!(weightKg > 0)) return "The patient's weight is not stated.";
  if (!(sizeM > 0)) return "The patient's height is not stated.";
  const mass = leanBodyMass(weightKg, sizeM, sex);
  if (mass === null) return "The patient's sex is not stated as male or female.";
  return mass < LEAN_SHARE_MIN * weightKg ? "The formula does not hold for this weight and height." : "";
}

function whyNoSurface(weightKg: number, sizeM: number): string {
  if (!(weightKg > 0)) return "The patient's weight is not stated.";
  return sizeM > 0 ? "" : "The patient's height is not stated.";
}

/** Body surface in square metres by Du Bois; null without size. */
export const bodySurface = (weightKg: number, sizeM: number): number | null =>
  sizeM > 0 ? 0.007184 * weightKg ** 0.425 * (sizeM * 100) ** 0.725 : null;

/** What makes SUV of the values of a PET image, if its attributes allow it. PS3.3 C.8.9.1, PS3.16 CID 85 */
export function suvOf(data: DicomJson): Suv {
  const no = (reason: string): Suv => ({ known: false, reason });
  const units = text(data, TAG.units);
  const weight = number(data, TAG.patientWeight) ?? 0;
  const size = number(data, TAG.patientSize) ?? 0;
  const sex = text(data, TAG.patientSex);
  const why = { lbm: whyNoLeanMass(weight, size, sex), bsa: whyNoSurface(weight, size) };
  const lean = why.lbm ? null : leanBodyMass(weight, size, sex);
  const surface = why.bsa ? null : bodySurface(weight, size);
  const uptake = (bodyWeight: number): Suv => ({
    known: true,
    uptake: {
      bodyWeight,
      leanBodyMass: lean === null ? null : (bodyWeight * lean) / weight,
      // per gram of body weight becomes per square centimetre of its surface
      bodySurface: surface === null ? null : (bodyWeight * surface * 10_000) / (weight * 1000),
      why,
    },
  });
  if (units === "GML") {
    const kind = text(data, TAG.suvType);
    return kind === "" || kind === "BW" ? uptake(1) : no(`The values are SUV ${kind} as sent.`);
  }
  if (units !== "BQML") return no(`The values are in ${units || "no stated unit"}.`);
  const corrected = (data[TAG.correctedImage]?.Value ?? []).map(String);
  for (const each of ["ATTN", "DECY"])
    if (!corrected.includes(each)) return no(`The images are not corrected for ${each}.`);
  if (!(weight > 0)) return no("The patient's weight is not stated.");
  const drug = items(data, TAG.radiopharmaceutical)[0];
  const dose = number(drug, TAG.radionuclideTotalDose) ?? 0;
  const halfLife = number(drug, TAG.radionuclideHalfLife) ?? 0;
  if (!drug || !(dose > 0) || !(halfLife > 0)) return no("Dose or half-life of the tracer are not stated.");
  const decay = text(data, TAG.decayCorrection);
  if (decay === "ADMIN") return uptake((weight * 1000) / dose);
  if (decay !== "START") return no("To what time decay was corrected is not stated.");
  const scan = scanned(data);
  if (scan === null) return no("The series was made after its images: the time of the scan is not known.");
  const start = injected(drug, scan, text(data, TAG.seriesDate));
  if (start === null) return no("The time of the injection is not stated.");
  if (scan < start) return no("The injection is stated to be after the scan.");
  const left = dose * 2 ** (-(scan - start) / halfLife);
  return uptake((weight * 1000) / left);
}
