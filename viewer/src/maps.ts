// Parametric maps: numbers of a quantity, not grey values. What their pixels mean, from their metadata alone.
// PS3.3 A.75, C.7.6.16.2.11

import { type DicomJson, items, number, TAG, text } from "./dicom.ts";

const PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30";
export const SCHEME = "parametric";

const T = {
  bitsAllocated: "00280100",
  pixelRepresentation: "00280103",
  mapping: "00409096",
  slope: "00409225",
  intercept: "00409224",
  table: "00409212",
  first: "00409216",
  last: "00409211",
  doubleFirst: "00409214",
  doubleLast: "00409213",
  units: "004008EA",
  quantity: "00409220",
  explanation: "00283003",
  label: "00409210",
  concept: "0040A043",
  conceptValue: "0040A168",
  code: "00080100",
  meaning: "00080104",
} as const;

export const isParametric = (data: DicomJson | undefined): boolean =>
  text(data, TAG.sopClassUid) === PARAMETRIC_MAP;

/** The scheme of image ids: maps have a loader of their own. */
export const schemeOf = (data: DicomJson): string => (isParametric(data) ? SCHEME : "wadors");

export interface Mapping {
  first: number; // stored values that it is stated for
  last: number;
  slope: number;
  intercept: number;
  table: number[] | null; // in place of slope and intercept
  unit: string;
  quantity: string;
}

/** What the values of a frame (from 0) mean, in the order of the file. */
export function mappings(data: DicomJson, frame: number): Mapping[] {
  const own = items(items(data, TAG.perFrame)[frame], T.mapping);
  const given = own.length ? own : items(items(data, TAG.shared)[0], T.mapping);
  return given.map((each) => {
    const table = (each[T.table]?.Value ?? []).map(Number);
    const unit = items(each, T.units)[0];
    return {
      first: number(each, T.doubleFirst) ?? number(each, T.first) ?? Number.NEGATIVE_INFINITY,
      last: number(each, T.doubleLast) ?? number(each, T.last) ?? Number.POSITIVE_INFINITY,
      slope: number(each, T.slope) ?? 1,
      intercept: number(each, T.intercept) ?? 0,
      table: table.length ? table : null,
      unit: plainUnit(text(unit, T.code)),
      quantity: quantityOf(each),
    };
  });
}

/** UCUM's "1" is no unit; its curly braces are remarks. */
const plainUnit = (code: string): string =>
  code === "1" || /^\{.*\}$/.test(code) ? "" : code.replace(/\{.*?\}/g, "");

function quantityOf(mapping: DicomJson): string {
  const named = items(mapping, T.quantity).find((each) => items(each, T.conceptValue).length);
  const concept = items(named, T.conceptValue)[0];
  return text(concept, T.meaning) || text(mapping, T.explanation) || text(mapping, T.label);
}

/** The real world value of a stored one, by the mapping that is stated for it; else by the first. */
export function realWorld(stored: number, given: readonly Mapping[]): number {
  const mapping = given.find((each) => stored >= each.first && stored <= each.last) ?? given[0];
  if (!mapping) return stored;
  if (mapping.table) return mapping.table[Math.round(stored - mapping.first)] ?? Number.NaN;
  return stored * mapping.slope + mapping.intercept;
}

/** The stored values of a frame, little endian as the server sends them. PS3.5 8.2 */
export function storedValues(data: DicomJson, bytes: Uint8Array): ArrayLike<number> {
  const { buffer } = bytes.slice(); // at an even address
  const signed = number(data, T.pixelRepresentation) === 1;
  switch (number(data, T.bitsAllocated)) {
    case 64:
      return new Float64Array(buffer);
    case 32:
      return new Float32Array(buffer);
    case 16:
      return signed ? new Int16Array(buffer) : new Uint16Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}
