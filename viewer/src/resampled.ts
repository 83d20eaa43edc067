// Volumes that the server makes of slices which are none as they are: a tilted gantry, uneven gaps. They are shown
// as planes and solids only, named as derived wherever they are shown, and nothing that is measured refers to them.

import * as core from "@cornerstonejs/core";
import { type DicomJson, number, TAG, text } from "./dicom.ts";
import { type DisplaySet, planeOf } from "./displaysets.ts";
import { SignedOut } from "./engine.ts";
import { gate } from "./geometry.ts";
import { whenLeft } from "./life.ts";
import { imageOf, type Values } from "./ownimages.ts";
import { partsOf } from "./parts.ts";

const SCHEME = "resampled";
const ACCEPT = 'multipart/related; type="application/octet-stream"';
const T = {
  derivation: "00082111",
  slope: "00281053",
  intercept: "00281052",
  bitsAllocated: "00280100",
  pixelRepresentation: "00280103",
  windowWidth: "00281051",
} as const;
const MODALITIES = new Set(["CT", "MR"]);

interface Made {
  models: DicomJson[];
  slices: Uint8Array<ArrayBuffer>[];
}

/** What the server can do for a display set that is no volume; empty where nothing. */
export function mending(set: DisplaySet): string {
  if (set.gate.volume || !set.gate.mendable || set.coloured) return "";
  const frames = set.pictures.some((each) => (number(each.data, TAG.numberOfFrames) ?? 1) > 1);
  return MODALITIES.has(set.series.modality) && !frames
    ? `${set.gate.reason} Shown on a volume that the server resamples: derived, not stored.`
    : "";
}

const sets = new Map<string, Promise<DisplaySet>>();
let held: { address: string; made: Promise<Made> } | null = null; // one volume at a time
whenLeft(() => {
  sets.clear();
  held = null;
});

/** The display set on an even grid. Asked for once; a failure is forgotten so that it can be tried again. */
export function resampledSet(
  root: string,
  set: DisplaySet,
  register: (imageId: string, data: DicomJson) => void,
): Promise<DisplaySet> {
  const known = sets.get(set.id);
  if (known) return known;
  const { series } = set;
  const address = `${root}/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}/resampled`;
  const made = fetched(address).then(({ models }) => derivedSet(set, address, models, register));
  sets.set(set.id, made);
  made.catch(() => sets.delete(set.id));
  return made;
}

function derivedSet(
  set: DisplaySet,
  address: string,
  models: DicomJson[],
  register: (imageId: string, data: DicomJson) => void,
): DisplaySet {
  const pictures = models.map((data, index) => ({
    imageId: `${SCHEME}:${address}/${index + 1}`,
    sopInstanceUid: text(data, TAG.sopInstanceUid),
    frame: 1,
    data,
    plane: planeOf(data, 0),
  }));
  for (const each of pictures) register(each.imageId, each.data);
  return {
    ...set,
    id: `${set.id}/resampled`,
    label: `${set.label} (resampled)`,
    pictures,
    gate: gate(pictures.map((each) => each.plane)),
    derived: `Derived on the server, not stored. ${text(models[0], T.derivation)}`,
  };
}

function fetched(address: string): Promise<Made> {
  if (held?.address === address) return held.made;
  const made = load(address);
  held = { address, made };
  made.catch(() => {
    if (held?.made === made) held = null;
  });
  return made;
}

async function load(address: string): Promise<Made> {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: ACCEPT } });
  if (answer.status === 401) throw new SignedOut("You are signed out. Sign in again in another tab.");
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => null)) as { detail?: string } | null;
    throw new Error(`The volume cannot be resampled: ${problem?.detail ?? answer.status}.`);
  }
  const [head, ...rest] = partsOf(new Uint8Array(await answer.arrayBuffer()));
  const models = JSON.parse(new TextDecoder().decode(head?.content)) as DicomJson[];
  if (models.length !== rest.length) throw new Error("The volume arrived incomplete.");
  return { models, slices: rest.map((each) => each.content) };
}

/** Load what was resampled; called once. */
export function loadResampled(): void {
  core.imageLoader.registerImageLoader(SCHEME, ((imageId: string, options?: Options) => ({
    promise: loaded(imageId, options?.targetBuffer?.type),
  })) as never);
}

interface Options {
  targetBuffer?: { type?: string };
}

async function loaded(imageId: string, wanted: string | undefined): Promise<object> {
  const place = /^resampled:(.*)\/(\d+)$/.exec(imageId);
  const made = place && (await fetched(place[1] as string));
  const index = Number(place?.[2]) - 1;
  const [data, bytes] = [made?.models[index], made?.slices[index]];
  if (!data || !bytes) throw new Error("There is no such slice.");
  const slope = number(data, T.slope) ?? 1;
  const intercept = number(data, T.intercept) ?? 0;
  const stored = storedSlice(data, bytes);
  const values = arrayOf(wanted, stored.length);
  for (let at = 0; at < stored.length; at++) values[at] = (stored[at] ?? 0) * slope + intercept;
  const [centre, width] = [number(data, TAG.windowCentre), number(data, T.windowWidth)];
  return imageOf(imageId, values, {
    rows: number(data, TAG.rows) ?? 0,
    columns: number(data, TAG.columns) ?? 0,
    ...(centre !== undefined && width ? { window: { centre, width } } : {}),
    linear: "LINEAR",
    preScale: {
      enabled: true,
      scaled: true,
      scalingParameters: {
        modality: text(data, TAG.modality),
        rescaleSlope: slope,
        rescaleIntercept: intercept,
      },
    },
  });
}

function storedSlice(data: DicomJson, bytes: Uint8Array<ArrayBuffer>): Values | Int32Array | Uint32Array {
  const { buffer } = bytes.slice(); // at an even address
  const signed = number(data, T.pixelRepresentation) === 1;
  const bits = number(data, T.bitsAllocated);
  if (bits === 8) return new Uint8Array(buffer);
  if (bits === 32) return signed ? new Int32Array(buffer) : new Uint32Array(buffer);
  return signed ? new Int16Array(buffer) : new Uint16Array(buffer);
}

function arrayOf(type: string | undefined, length: number): Values {
  if (type === "Int16Array") return new Int16Array(length);
  if (type === "Uint16Array") return new Uint16Array(length);
  return type === "Uint8Array" ? new Uint8Array(length) : new Float32Array(length);
}
