// What one viewport can show: the images of a series that belong together, in reading order.

import { type DicomJson, functionalGroup, number, numbers, TAG, text } from "./dicom.ts";
import { schemeOf } from "./maps.ts";
import { isWholeSlide } from "./slide.ts";
import { byView } from "./views.ts";
import { dot, type Gate, gate, normalOf, type Plane, type Vec3 } from "./geometry.ts";

export interface SeriesFacts {
  studyInstanceUid: string;
  studyDate: string | null;
  studyDescription: string;
  seriesInstanceUid: string;
  modality: string;
  label: string;
  numberOfInstances: number;
}

export interface Picture {
  imageId: string;
  sopInstanceUid: string;
  frame: number; // from 1
  data: DicomJson;
  plane: Plane | null;
}

export interface DisplaySet {
  id: string;
  series: SeriesFacts;
  label: string;
  pictures: Picture[];
  gate: Gate;
  frameOfReferenceUid: string;
  framesPerSecond: number | null; // set where pictures follow each other in time
  coloured: boolean;
  derived?: string; // how it was made, where it is none of the archive's
}

/** Which image a stack opens with: the middle one, the first one of a film. */
export const firstShown = (set: DisplaySet): number =>
  set.framesPerSecond === null ? set.pictures.length >> 1 : 0;

export interface Contents {
  sets: DisplaySet[];
  others: DicomJson[]; // objects without pixels: reports, presentation states, documents
}

/** Where a frame (from 0) lies in the patient; null when it does not say. */
export function planeOf(data: DicomJson, frame: number): Plane | null {
  const place = functionalGroup(data, frame, TAG.planePosition) ?? data;
  const turn = functionalGroup(data, frame, TAG.planeOrientation) ?? data;
  const measures = functionalGroup(data, frame, TAG.pixelMeasures) ?? data;
  const position = numbers(place, TAG.imagePosition);
  const axes = numbers(turn, TAG.imageOrientation);
  const [between, across] = numbers(measures, TAG.pixelSpacing);
  if (position.length !== 3 || axes.length !== 6 || !between || !across) return null;
  return {
    position: position as unknown as Vec3,
    row: axes.slice(0, 3) as unknown as Vec3,
    column: axes.slice(3) as unknown as Vec3,
    spacing: [between, across],
    rows: number(data, TAG.rows) ?? 0,
    columns: number(data, TAG.columns) ?? 0,
  };
}

function pictures(data: DicomJson, root: string): Picture[] {
  const sop = text(data, TAG.sopInstanceUid);
  const path = `${root}/studies/${text(data, TAG.studyInstanceUid)}/series/${text(data, TAG.seriesInstanceUid)}/instances/${sop}`;
  return Array.from({ length: number(data, TAG.numberOfFrames) ?? 1 }, (_, index) => ({
    imageId: `${schemeOf(data)}:${path}/frames/${index + 1}`,
    sopInstanceUid: sop,
    frame: index + 1,
    data,
    plane: planeOf(data, index),
  }));
}

/** In reading order: by place where every image has its own, else by instance and frame number. */
function ordered(given: Picture[]): Picture[] {
  const numbered = [...given].sort(
    (a, b) =>
      (number(a.data, TAG.instanceNumber) ?? 0) - (number(b.data, TAG.instanceNumber) ?? 0) ||
      a.frame - b.frame,
  );
  const first = numbered[0]?.plane;
  const last = numbered[numbered.length - 1]?.plane;
  if (!first || !last || numbered.length < 2) return numbered;
  const normal = normalOf(first);
  const depths = new Map<Picture, number>();
  for (const each of numbered) {
    if (!each.plane || Math.abs(dot(normalOf(each.plane), normal) - 1) > 1e-3) return numbered;
    depths.set(each, dot(each.plane.position, normal));
  }
  const depth = (each: Picture) => depths.get(each) ?? 0;
  const placed = [...numbered].sort((a, b) => depth(a) - depth(b));
  if (placed.some((each, index) => index > 0 && depth(each) - depth(placed[index - 1] as Picture) < 0.01))
    return numbered;
  const forwards = depth(numbered[numbered.length - 1] as Picture) >= depth(numbered[0] as Picture);
  return forwards ? placed : placed.reverse();
}

function rate(data: DicomJson): number | null {
  const stated = number(data, TAG.recommendedDisplayFrameRate) ?? number(data, TAG.cineRate);
  const frameTime = number(data, TAG.frameTime);
  const found = stated || (frameTime ? 1000 / frameTime : 0);
  return found > 0 ? Math.min(60, Math.max(1, found)) : null;
}

const IN_TIME = new Set(["US", "XA", "RF", "IVUS", "ES", "XC", "OPT"]);

function displaySet(series: SeriesFacts, given: Picture[], suffix: string): DisplaySet {
  const inOrder = ordered(given);
  const first = inOrder[0] as Picture;
  const frames = number(first.data, TAG.numberOfFrames) ?? 1;
  const own = new Set(inOrder.map((each) => each.sopInstanceUid)).size === 1;
  const inTime = own && frames > 1 && (rate(first.data) !== null || IN_TIME.has(series.modality));
  return {
    id: `${series.seriesInstanceUid}/${first.sopInstanceUid}`,
    series,
    label: series.label + suffix,
    pictures: inOrder,
    gate: gate(inOrder.map((each) => each.plane)),
    frameOfReferenceUid: text(first.data, TAG.frameOfReferenceUid),
    framesPerSecond: inTime ? (rate(first.data) ?? 15) : null,
    coloured: (number(first.data, TAG.samplesPerPixel) ?? 1) > 1,
  };
}

const NO_PICTURES = new Set([
  "SEG",
  "RTSTRUCT",
  "RTPLAN",
  "RTDOSE",
  "SR",
  "PR",
  "KO",
  "DOC",
  "REG",
  "RWV",
  "ECG",
]);

// Films in a video's encoding are played by the browser, and are no stack of frames. PS3.5 8.2.5 to 8.2.10
const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?$/;

/** The single images of a series in sets: together, but mammograms of several views each view for itself. */
function singles(series: SeriesFacts, single: DicomJson[], root: string): DisplaySet[] {
  const views = series.modality === "MG" ? byView(single, (each) => each) : new Map([["", single]]);
  return [...views]
    .filter(([, members]) => members.length)
    .map(([name, members]) =>
      displaySet(
        series,
        members.flatMap((each) => pictures(each, root)),
        views.size > 1 && name ? ` ${name}` : "",
      ),
    );
}

/** The display sets of a series: its single images together, each multi-frame image on its own. */
export function displaySets(series: SeriesFacts, metadata: DicomJson[], root: string): Contents {
  const shown = metadata.filter(
    (each) =>
      number(each, TAG.rows) &&
      !NO_PICTURES.has(text(each, TAG.modality)) &&
      !isWholeSlide(each) && // tiles are no stack
      !VIDEO.test(text(each, TAG.availableTransferSyntaxUid)),
  );
  const others = metadata.filter((each) => !shown.includes(each));
  const single = shown.filter((each) => (number(each, TAG.numberOfFrames) ?? 1) === 1);
  const many = shown.filter((each) => !single.includes(each));
  const sets = singles(series, single, root);
  const several = many.length + sets.length > 1;
  many.forEach((each, index) => {
    sets.push(displaySet(series, pictures(each, root), several ? ` (${index + 1})` : ""));
  });
  return { sets, others };
}
