// Images that become sharper while they load: the beginning of an HTJ2K frame is a smaller image of its own, shown
// as a preview until the rest is there. Series of which the server keeps no such frames are loaded as they are stored.
// PS3.5 A.4.11

import * as core from "@cornerstonejs/core";
import type { DisplaySet, SeriesFacts } from "./displaysets.ts";
import { number, TAG, text } from "./dicom.ts";

const { ImageQualityStatus, RequestType } = core.Enums;
// Enough of 16-bit images for an eighth to a quarter of their size.
const PIXELS_FOR_A_BYTE = 24;
const FIRST_BYTES_MIN = 4096;
const FIRST_BYTES_MAX = 262_144;
const FIRST = "first";
const REST = "rest";

interface Renditions {
  transfer_syntax_uid: string;
  series: string[];
}

type Ask = <T>(address: string) => Promise<T>;
type Configuration = core.Types.IRetrieveConfiguration;
type Options = { targetBuffer?: { type?: string } };
type Listener = Parameters<core.Types.IImagesLoader["loadImages"]>[1];

const known = new Map<string, Promise<Renditions | null>>();

/** The transfer syntax in which the server has the frames of the series by byte ranges; empty where it has not. */
export async function renditionOf(series: SeriesFacts, ask: Ask): Promise<string> {
  const study = series.studyInstanceUid;
  const asked = known.get(study) ?? ask<Renditions>(`/api/studies/${study}/renditions`).catch(() => null);
  known.set(study, asked);
  const found = await asked;
  return found?.series.includes(series.seriesInstanceUid) ? found.transfer_syntax_uid : "";
}

export const volumeIdOf = (set: DisplaySet): string => `cornerstoneStreamingImageVolume:${set.id}`;

const stepped = new Map<string, { set: DisplaySet; configuration: Configuration }>(); // by the id of the display set

/** How to load the images of a display set in two steps; undefined where they are to come at once. */
export function stepsFor(set: DisplaySet, transferSyntaxUid: string): Configuration | undefined {
  const first = set.pictures[0];
  const grey = text(first?.data, TAG.photometricInterpretation).startsWith("MONOCHROME");
  if (!transferSyntaxUid || !first || !grey || set.framesPerSecond !== null) return undefined;
  const pixels = (number(first.data, TAG.rows) ?? 0) * (number(first.data, TAG.columns) ?? 0);
  const bytes = Math.round(pixels / PIXELS_FOR_A_BYTE);
  const accepted = `multipart/related; type="application/octet-stream"; transfer-syntax=${transferSyntaxUid}`;
  const urlArguments = `accept=${encodeURIComponent(accepted)}`;
  const initialChunkSize = Math.min(FIRST_BYTES_MAX, Math.max(FIRST_BYTES_MIN, bytes));
  return {
    stages: [
      { id: FIRST, retrieveType: FIRST, requestType: RequestType.Interaction, priority: -6 },
      { id: REST, retrieveType: REST, requestType: RequestType.Interaction, priority: -5 },
    ],
    retrieveOptions: {
      [FIRST]: { rangeIndex: 0, initialChunkSize, chunkSize: initialChunkSize, urlArguments },
      [REST]: { rangeIndex: -1, initialChunkSize, chunkSize: initialChunkSize, urlArguments },
    },
  };
}

/** Load the images of a display set in two steps from now on, where the server has them so. */
export function loadInSteps(set: DisplaySet, transferSyntaxUid: string): void {
  const configuration = stepsFor(set, transferSyntaxUid);
  if (!configuration) return;
  stepped.set(set.id, { set, configuration });
  provide(set, configuration);
}

function provide(set: DisplaySet, configuration: Configuration): void {
  const provider = core.utilities.imageRetrieveMetadataProvider;
  const shown = { ...configuration, create: shownFirst };
  for (const { imageId } of set.pictures) provider.add(imageId, shown);
  provider.add(volumeIdOf(set), { ...configuration, create: knownFirst });
}

/** How the images of the display set are loaded in two steps; undefined where they are not. */
export const stepsOf = (set: DisplaySet): Configuration | undefined => stepped.get(set.id)?.configuration;

/** Forget how images are loaded, but of these studies. */
export function forgetSteps(studies: ReadonlySet<string>): void {
  core.utilities.imageRetrieveMetadataProvider.clear();
  for (const [id, { set, configuration }] of stepped)
    if (studies.has(set.series.studyInstanceUid)) provide(set, configuration);
    else stepped.delete(id);
  for (const study of known.keys()) if (!studies.has(study)) known.delete(study);
}

/** Load ahead of the reader: the beginnings of all images before the rest of any. */
export function loadAhead(
  configuration: Configuration,
  imageIds: string[],
  listener: Listener,
  after = 0,
): Promise<unknown> {
  const stages = (configuration.stages ?? []).map((each, at) => ({
    ...each,
    requestType: RequestType.Prefetch,
    priority: after + at,
  }));
  return core.ProgressiveRetrieveImages.createProgressive({ ...configuration, stages }).loadImages(
    imageIds,
    listener,
  );
}

/** A viewport's loader: what was loaded ahead of an image is shown at once, and who scrolls on waits for no rest. */
function shownFirst(configuration: Configuration): core.Types.IImagesLoader {
  const { stages = [] } = configuration;
  const both = core.ProgressiveRetrieveImages.createProgressive(configuration);
  const rest = core.ProgressiveRetrieveImages.createProgressive({
    ...configuration,
    stages: stages.slice(1),
  });
  return {
    loadImages: (imageIds, listener) =>
      new Promise((resolve, reject) => {
        const [only = ""] = imageIds; // a stack asks for one at a time
        const preview = isPreview(only) ? core.cache.getImage(only) : undefined;
        if (preview) listener.successCallback(only, preview as never);
        let step = 0;
        const viewport = listener as unknown as Listener & Partial<core.StackViewport>;
        const stale = (imageId: string) => viewport.getCurrentImageId?.() !== imageId;
        const watched = {
          successCallback: listener.successCallback.bind(listener),
          errorCallback: listener.errorCallback.bind(listener),
          getLoaderImageOptions: (imageId: string) => {
            step += 1;
            if (step === 1 || !stale(imageId)) return listener.getLoaderImageOptions?.(imageId);
            resolve(null);
            return undefined;
          },
        } as unknown as Listener;
        (preview ? rest : both).loadImages(imageIds, watched).then(resolve, reject);
      }),
  };
}

/** A volume's loader: what is there of its images needs not be asked for again, be it all or the beginning. */
function knownFirst(configuration: Configuration): core.Types.IImagesLoader {
  const { stages = [] } = configuration;
  const both = core.ProgressiveRetrieveImages.createProgressive(configuration);
  const rest = core.ProgressiveRetrieveImages.createProgressive({
    ...configuration,
    stages: stages.slice(1),
  });
  return {
    loadImages: async (imageIds, listener) => {
      const asked = {
        successCallback: listener.successCallback.bind(listener),
        errorCallback: listener.errorCallback.bind(listener),
        // A preview keeps its own size: it is enlarged where it is drawn.
        getLoaderImageOptions: (imageId: string) => {
          const options = listener.getLoaderImageOptions?.(imageId) as Options | undefined;
          return options && { ...options, targetBuffer: { type: options.targetBuffer?.type } };
        },
      } as unknown as Listener;
      const images = imageIds.map((imageId) => ({ imageId, image: core.cache.getImage(imageId) }));
      for (const { imageId, image } of images) if (image) listener.successCallback(imageId, image as never);
      const of = (isThere: boolean) =>
        images.filter(({ image }) => Boolean(image) === isThere).map(({ imageId }) => imageId);
      return Promise.all([
        both.loadImages(of(false), asked),
        rest.loadImages(
          of(true).filter((each) => isPreview(each)),
          asked,
        ),
      ]);
    },
  };
}

/** Whether what is there of an image is less than all of it. */
export function isPreview(imageId: string): boolean {
  const quality = core.cache.getImageQuality(imageId);
  return quality !== undefined && quality < ImageQualityStatus.FULL_RESOLUTION;
}

/** Whether the viewport draws less than all of the image that it shows. */
export const showsPreview = (viewport: core.StackViewport | null): boolean =>
  (viewport?.getCornerstoneImage()?.imageQualityStatus ?? ImageQualityStatus.FULL_RESOLUTION) <
  ImageQualityStatus.FULL_RESOLUTION;

/** Whether a viewport shows a preview of this image: what is counted on it now is not kept. */
export const isShownAsPreview = (imageId: string): boolean =>
  core
    .getRenderingEngines()
    ?.flatMap((engine) => engine.getViewports())
    .some(
      (each) =>
        each instanceof core.StackViewport && each.getCurrentImageId() === imageId && showsPreview(each),
    ) ?? false;

/**
 * Tells "whole", with the image's id, when a viewport shows all of what it showed a preview of, and "refined", with the
 * volume's id, when there is more of a volume's slices than before.
 */
export const previews = new EventTarget();

/** The image with every pixel as it is stored; undefined while it is not there, or only a preview of it. */
export const wholeImage = (imageId: string): core.Types.IImage | undefined =>
  core.cache.getImage(imageId, ImageQualityStatus.FULL_RESOLUTION);
