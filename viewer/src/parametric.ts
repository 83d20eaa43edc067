// Parametric maps as images. Their pixels may be floats, which the image loader for all others does not read;
// what is shown and measured are the real world values that the map states.

import * as core from "@cornerstonejs/core";
import { frameBytes } from "./bulk.ts";
import { type DicomJson, number, TAG, text } from "./dicom.ts";
import { isParametric, type Mapping, mappings, realWorld, SCHEME, storedValues } from "./maps.ts";
import { imageOf } from "./ownimages.ts";

const known = new Map<string, { data: DicomJson; mappings: Mapping[] }>();

/** Let a map's frame be loaded and its unit be known. */
export function registerParametric(imageId: string, data: DicomJson): void {
  if (!isParametric(data)) return;
  const frame = Number(/\d+$/.exec(imageId)?.[0] ?? 1);
  known.set(imageId, { data, mappings: mappings(data, frame - 1) });
}

export const forgetParametric = (imageId: string): void => void known.delete(imageId);

/** What the values of the image are; null where it is no map. */
export function quantityOfImage(imageId: string): { name: string; unit: string } | null {
  const first = known.get(imageId)?.mappings[0];
  if (!known.has(imageId)) return null;
  return { name: first?.quantity ?? "", unit: first?.unit ?? "" };
}

/** What a modality's values usually are in says nothing of a map's. */
function ownSeries(type: string, imageId: string): object | undefined {
  const found = type === "generalSeriesModule" ? known.get(imageId) : undefined;
  return (
    found && {
      modality: "OT",
      seriesInstanceUID: text(found.data, TAG.seriesInstanceUid),
      studyInstanceUID: text(found.data, TAG.studyInstanceUid),
    }
  );
}

/** Load maps; called once. */
export function loadParametric(priority: number): void {
  core.metaData.addProvider(ownSeries, priority);
  core.imageLoader.registerImageLoader(SCHEME, ((imageId: string) => ({
    promise: loaded(imageId),
  })) as never);
}

async function loaded(imageId: string): Promise<object> {
  const found = known.get(imageId);
  const place = /^parametric:(.*)\/frames\/(\d+)$/.exec(imageId);
  if (!found || !place) throw new Error("There is no such map.");
  const { data } = found;
  const stored = storedValues(data, await frameBytes(place[1] as string, Number(place[2])));
  const [rows, columns] = [number(data, TAG.rows) ?? 0, number(data, TAG.columns) ?? 0];
  if (!rows || stored.length < rows * columns) throw new Error("The map has fewer values than it states.");
  const values = Float32Array.from({ length: rows * columns }, (_, at) =>
    realWorld(stored[at] ?? Number.NaN, found.mappings),
  );
  return imageOf(imageId, values, { rows, columns });
}
