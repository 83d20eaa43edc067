// Cornerstone3D, started once: decoders, metadata, calibration, tools. The rest of the workspace speaks to
// viewports through `Pane` and asks here for images.

import * as core from "@cornerstonejs/core";
import { init as startLoader, wadors } from "@cornerstonejs/dicom-image-loader";
import { Enums, registerDefaultProviders, utilities as metadata } from "@cornerstonejs/metadata";
import * as tools from "@cornerstonejs/tools";
import dcmjs from "dcmjs";
import { drawing } from "./drawing.ts";
import { countPreviews } from "./cachesize.ts";
import { type DicomJson, TAG, text } from "./dicom.ts";
import { forgetSteps, loadInSteps, renditionOf } from "./progressive.ts";
import { forgetParametric, loadParametric, quantityOfImage, registerParametric } from "./parametric.ts";
import { SUV_UNITS, suvOf, type Uptake } from "./suv.ts";
import { forgetEarly, takeEarly } from "./early.ts";
import { drawByProcessor } from "./processor.ts";
import { type Contents, displaySets, type SeriesFacts } from "./displaysets.ts";

export const ENGINE_ID = "workspace";
const CACHE_BYTES = 1_500_000_000;
const CALIBRATION_PRIORITY = 11_000;
const PREFETCHED_AT_ONCE = 5; // of the six that a browser asks one server for: what is gone to finds one free

/** Whether this browser can draw as the workspace needs it. */
export const canDraw = (): boolean => drawing().webgl2;

/** Whether the processor draws, as there is no graphics card. */
export const drawsInSoftware = (): boolean => core.getRenderingCapabilities().softwareRasterizer;

export async function start(): Promise<core.RenderingEngine> {
  registerDefaultProviders();
  const rendering = { volumeRendering: { sampleDistanceMultiplier: 1 } };
  await core.init({
    debug: {},
    // A context is dear where the processor draws, and several bring nothing there.
    rendering: drawsInSoftware() ? { ...rendering, webGlContextCount: 1 } : rendering,
  });
  const cores = navigator.hardwareConcurrency || 2;
  const maxWebWorkers = Math.min(4, Math.max(1, cores - 1));
  startLoader({ maxWebWorkers, strict: false });
  orderDecoding(maxWebWorkers);
  await tools.init();
  const calibration = core.utilities.calibratedPixelSpacingMetadataProvider;
  core.metaData.addProvider(calibration.get.bind(calibration), CALIBRATION_PRIORITY);
  core.metaData.addProvider(uptakeOf, CALIBRATION_PRIORITY);
  core.metaData.addProvider(translate, Number.MAX_SAFE_INTEGER); // before all who answer
  loadParametric(CALIBRATION_PRIORITY);
  core.cache.setMaxCacheSize(CACHE_BYTES);
  countPreviews();
  core.imageLoadPoolManager.setMaxSimultaneousRequests(core.Enums.RequestType.Prefetch, PREFETCHED_AT_ONCE);
  core.imageLoadPoolManager.grabDelay = 0; // the line is not to wait between two images
  const engine = new core.RenderingEngine(ENGINE_ID);
  if (drawsInSoftware()) drawByProcessor(engine);
  return engine;
}

/** What a decoder was given it decodes in that order: one image ahead is enough, and what is gone to waits for no more. */
function orderDecoding(decoders: number): void {
  const { workerPoolManager } = core.getWebWorkerManager() as unknown as {
    workerPoolManager: typeof core.imageLoadPoolManager; // its own
  };
  workerPoolManager.setMaxSimultaneousRequests(core.Enums.RequestType.Prefetch, decoders + 1);
  workerPoolManager.grabDelay = 0;
}

/** The drawing of a canvas, kept in the processor's memory where the processor draws: it is copied less often. */
export const drawingOf = (canvas: HTMLCanvasElement): CanvasRenderingContext2D | null =>
  canvas.getContext("2d", { willReadFrequently: drawsInSoftware() });

export class SignedOut extends Error {}

/** The JSON that our own server answers; `SignedOut` when the session has ended. */
export async function ask<T>(address: string, options: RequestInit = {}): Promise<T> {
  const before = options.method === undefined ? takeEarly(address) : forgetEarly(address);
  const answer = await (before ??
    fetch(address, {
      credentials: "same-origin",
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    }));
  if (options.method !== undefined) forgetEarly(address); // asked while it was being changed
  if (answer.status === 401) throw new SignedOut("You are signed out. Sign in again in another tab.");
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => null)) as { detail?: string } | null;
    throw new Error(problem?.detail ?? `The server answered ${answer.status}.`);
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

const METADATA_TYPE = { Accept: "application/dicom+json" };
const loaded = new Map<string, Promise<Contents>>();
const studyOf = new Map<string, string>(); // of what is in ``loaded``

/** The display sets of a series. Asked for once; a failure is forgotten so that it can be tried again. */
export function contentsOf(root: string, series: SeriesFacts): Promise<Contents> {
  const known = loaded.get(series.seriesInstanceUid);
  if (known) return known;
  const made = load(root, series);
  loaded.set(series.seriesInstanceUid, made);
  studyOf.set(series.seriesInstanceUid, series.studyInstanceUid);
  made.catch(() => loaded.delete(series.seriesInstanceUid));
  return made;
}

const metadataPath = (root: string, series: SeriesFacts): string =>
  `${root}/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}/metadata`;

async function load(root: string, series: SeriesFacts): Promise<Contents> {
  const [found, rendition] = await Promise.all([
    ask<DicomJson[]>(metadataPath(root, series), { headers: METADATA_TYPE }),
    renditionOf(series, ask),
  ]);
  const contents = displaySets(series, found, root);
  for (const set of contents.sets) {
    for (const each of set.pictures) register(each.imageId, each.data);
    loadInSteps(set, rendition);
  }
  return contents;
}

const registered = new Map<string, DicomJson>();
type Spacing = { rowPixelSpacing: number; columnPixelSpacing: number; type: unknown };
const spacings = new Map<string, Spacing>();

// Images of which nobody has asked anything yet. To translate the metadata of a large series takes longer than all else
// that its first image waits for, so it is done for each image when it is asked for.
const unasked = new Map<string, DicomJson>();

function translate(_type: string, imageId: unknown): undefined {
  const data = unasked.get(imageId as string);
  if (!data) return;
  unasked.delete(imageId as string);
  metadata.addDicomWebInstance(imageId as string, data as never);
  calibrate(imageId as string, data);
}

/** Make an image's metadata known to the engine. */
export function register(imageId: string, data: DicomJson): void {
  registered.set(imageId, data);
  wadors.metaDataManager.add(imageId, data as never);
  unasked.set(imageId, data);
  if (text(data, TAG.modality) === "PT") {
    const suv = suvOf(data);
    uptakes.set(imageId, suv.known ? suv.uptake : null);
  }
  registerParametric(imageId, data);
}

/** Forget the images of all studies but these: what is known of them, and their pixels. */
export function forgetAllBut(studies: ReadonlySet<string>): void {
  const { metaDataManager } = wadors;
  const calibration = core.utilities.calibratedPixelSpacingMetadataProvider;
  const gone = new Set<string>();
  core.cache.purgeVolumeCache();
  metaDataManager.purge();
  calibration.clear();
  for (const [imageId, data] of registered) {
    if (studies.has(text(data, TAG.studyInstanceUid))) {
      const spacing = spacings.get(imageId);
      metaDataManager.add(imageId, data as never);
      if (spacing) calibration.add(imageId, spacing as never);
      continue;
    }
    gone.add(imageId);
    if (core.cache.getImageLoadObject(imageId)) core.cache.removeImageLoadObject(imageId, { force: true });
    // What is kept for an instance is kept under its own name, the rest under that of its frame.
    for (const name of [imageId.replace(/\/frames\/\d+$/, ""), imageId])
      metadata.clearTypedCacheData(Enums.MetadataModules.NATURALIZED, name);
    for (const known of [registered, unasked, spacings, uptakes]) known.delete(imageId);
    forgetParametric(imageId);
  }
  for (const [series, study] of studyOf)
    if (!studies.has(study)) for (const known of [loaded, studyOf]) known.delete(series);
  forgetSteps(studies);
  core.imageLoadPoolManager.filterRequests(
    ({ additionalDetails }) => !gone.has((additionalDetails as { imageId?: string })?.imageId ?? ""),
  );
}

const uptakes = new Map<string, Uptake | null>();

/** SUV is ours to judge: the engine multiplies by what it is given here, and by nothing where it is empty. */
function uptakeOf(type: string, imageId: string): object | undefined {
  if (type !== core.Enums.MetadataModules.SCALING || !uptakes.has(imageId)) return undefined;
  const found = uptakes.get(imageId);
  if (!found) return {};
  const { bodyWeight, leanBodyMass, bodySurface } = found;
  return { suvbw: bodyWeight, suvlbm: leanBodyMass ?? undefined, suvbsa: bodySurface ?? undefined };
}

/** How SUV follows from the values of an image; null where it does not. */
export const uptakeOfImage = (imageId: string): Uptake | null => uptakes.get(imageId) ?? null;

/** What the values of an image are in: HU, SUV, or as they were sent. */
export function pixelUnitOf(imageId: string): string {
  const quantity = quantityOfImage(imageId);
  if (quantity) return quantity.unit;
  const series = core.metaData.get("generalSeriesModule", imageId) as { modality?: string } | undefined;
  if (series?.modality === "CT") return "HU";
  return uptakes.get(imageId) ? SUV_UNITS.bw : "";
}

// Projection images state the spacing on the detector, or one that somebody calibrated: what a length means
// depends on which. Without this, lengths in millimetres are called pixels. PS3.3 10.7.1.3
function calibrate(imageId: string, data: DicomJson): void {
  const instance = dcmjs.data.DicomMetaDictionary.naturalizeDataset(data);
  const found = core.utilities.getPixelSpacingInformation(instance);
  const spacing = found?.PixelSpacing as number[] | undefined;
  if (!spacing || text(data, TAG.modality) === "US") return;
  const stated = {
    rowPixelSpacing: Number(spacing[0]),
    columnPixelSpacing: Number(spacing[1]),
    type: found.type,
  };
  spacings.set(imageId, stated);
  core.utilities.calibratedPixelSpacingMetadataProvider.add(imageId, stated as never);
}

interface Calibration {
  known: boolean;
  how: string;
}
const calibrationsKnown = new WeakMap<DicomJson, Calibration>();

/** How a length on this image is known, in a word; "px" when it is not known at all. */
export function calibrationOf(data: DicomJson): Calibration {
  const found = calibrationsKnown.get(data) ?? calibrationStated(data);
  calibrationsKnown.set(data, found);
  return found;
}

function calibrationStated(data: DicomJson): Calibration {
  if (text(data, TAG.modality) === "US") {
    const regions = data["00186011"]?.Value?.length ?? 0;
    return regions
      ? { known: true, how: "US region" }
      : { known: Boolean(data[TAG.pixelSpacing]?.Value), how: "" };
  }
  const instance = dcmjs.data.DicomMetaDictionary.naturalizeDataset(data);
  const found = core.utilities.getPixelSpacingInformation(instance);
  const grouped = Boolean(data[TAG.shared]);
  if (!found?.PixelSpacing && !grouped) return { known: false, how: "uncalibrated" };
  return { known: true, how: HOW[String(found?.type ?? "")] ?? "" };
}

const HOW: Record<string, string> = {
  Proj: "at the detector",
  ERMF: "corrected for magnification",
  Calibrated: "calibrated",
  Unknown: "calibration not stated",
};
