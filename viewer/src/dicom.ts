// DICOM JSON (PS3.18 Annex F) read by tag: what the workspace needs of it, and nothing else.

export interface Attribute {
  vr: string;
  Value?: unknown[];
  BulkDataURI?: string;
  InlineBinary?: string;
}
export type DicomJson = Record<string, Attribute>;

export const TAG = {
  sopClassUid: "00080016",
  sopInstanceUid: "00080018",
  availableTransferSyntaxUid: "00083002",
  modality: "00080060",
  patientOrientation: "00200020",
  instanceNumber: "00200013",
  imagePosition: "00200032",
  imageOrientation: "00200037",
  frameOfReferenceUid: "00200052",
  seriesInstanceUid: "0020000E",
  studyInstanceUid: "0020000D",
  numberOfFrames: "00280008",
  rows: "00280010",
  columns: "00280011",
  samplesPerPixel: "00280002",
  photometricInterpretation: "00280004",
  pixelSpacing: "00280030",
  windowCentre: "00281050",
  voiLut: "00283010",
  frameVoiLut: "00289132",
  burnedInAnnotation: "00280301",
  lossyImageCompression: "00282110",
  sliceThickness: "00180050",
  frameTime: "00181063",
  cineRate: "00180040",
  recommendedDisplayFrameRate: "00082144",
  bodyPart: "00180015",
  laterality: "00200062",
  viewPosition: "00185101",
  contentDate: "00080023",
  acquisitionTime: "00080032",
  temporalPosition: "00200100",
  imageType: "00080008",
  acquisitionDate: "00080022",
  seriesDate: "00080021",
  seriesTime: "00080031",
  units: "00541001",
  suvType: "00541006",
  decayCorrection: "00541102",
  correctedImage: "00280051",
  patientWeight: "00101030",
  patientSize: "00101020",
  patientSex: "00100040",
  radiopharmaceutical: "00540016",
  radionuclideTotalDose: "00181074",
  radionuclideHalfLife: "00181075",
  radiopharmaceuticalStartTime: "00181072",
  radiopharmaceuticalStartDateTime: "00181078",
  shared: "52009229",
  perFrame: "52009230",
  planePosition: "00209113",
  planeOrientation: "00209116",
  pixelMeasures: "00289110",
} as const;

/** The first value as text; empty when there is none. */
export function text(data: DicomJson | undefined, tag: string): string {
  const value = data?.[tag]?.Value?.[0];
  if (value === undefined || value === null) return "";
  if (typeof value === "object") return String((value as { Alphabetic?: string }).Alphabetic ?? "");
  return String(value);
}

/** All values as numbers; values that are no numbers are left out. */
export function numbers(data: DicomJson | undefined, tag: string): number[] {
  return (data?.[tag]?.Value ?? []).map(Number).filter(Number.isFinite);
}

/** The first value as a number, or undefined. */
export function number(data: DicomJson | undefined, tag: string): number | undefined {
  return numbers(data, tag)[0];
}

/** The items of a sequence. */
export function items(data: DicomJson | undefined, tag: string): DicomJson[] {
  return (data?.[tag]?.Value ?? []) as DicomJson[];
}

/** The functional group of a frame (from 0): its own, else the one that all frames share. PS3.3 C.7.6.16 */
export function functionalGroup(data: DicomJson, frame: number, tag: string): DicomJson | undefined {
  const own = items(items(data, TAG.perFrame)[frame], tag)[0];
  return own ?? items(items(data, TAG.shared)[0], tag)[0];
}
