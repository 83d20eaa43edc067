// Images that no loader of Cornerstone makes: values that are computed here, in the shape that viewports expect.

import * as core from "@cornerstonejs/core";

export type Values = Float32Array | Int16Array | Uint16Array | Uint8Array;

export interface ImageFacts {
  rows: number;
  columns: number;
  window?: { centre: number; width: number }; // else all values
  linear?: "LINEAR" | "LINEAR_EXACT";
  preScale?: object; // what the values were made with
}

/** A grey image of these values, which are final: nothing is rescaled any more. */
export function imageOf(imageId: string, values: Values, facts: ImageFacts): object {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least > most) [least, most] = [0, 1];
  const { rows, columns } = facts;
  const plane = core.metaData.get(core.Enums.MetadataModules.IMAGE_PLANE, imageId) as
    { rowPixelSpacing?: number; columnPixelSpacing?: number } | undefined;
  return {
    imageId,
    dataType: values.constructor.name,
    color: false,
    rgba: false,
    columns,
    rows,
    width: columns,
    height: rows,
    slope: 1,
    intercept: 0,
    invert: false,
    minPixelValue: least,
    maxPixelValue: most,
    windowCenter: facts.window?.centre ?? (least + most) / 2,
    windowWidth: facts.window?.width ?? (most - least || 1),
    voiLUTFunction: facts.linear ?? "LINEAR_EXACT",
    rowPixelSpacing: plane?.rowPixelSpacing,
    columnPixelSpacing: plane?.columnPixelSpacing,
    sizeInBytes: values.byteLength,
    numberOfComponents: 1,
    preScale: facts.preScale,
    voxelManager: core.utilities.VoxelManager.createImageVoxelManager({
      scalarData: values,
      width: columns,
      height: rows,
      numberOfComponents: 1,
    }),
    getPixelData: () => values,
    getCanvas: undefined,
  };
}
