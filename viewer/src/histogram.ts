// How the values of a region are spread: the pixels whose centres lie in what was drawn, counted in bins.

import { onPlane } from "./contours.ts";
import type { Picture } from "./displaysets.ts";
import { rounded } from "./format.ts";
import { paintPolygon } from "./masks.ts";
import type { Content } from "./records.ts";
import { wholeImage } from "./progressive.ts";
import { histogramOf, outlineOf } from "./spread.ts";
import { uptake } from "./uptake.ts";

type Point = readonly [number, number];

/** The values inside of a region, as they are told; empty where the image is not loaded or in colour. */
export function valuesInside(tool: string, content: Content, picture: Picture): number[] {
  const image = wholeImage(picture.imageId);
  const values = image?.voxelManager?.getScalarData();
  if (!image || !values || image.color || content.closed === false) return [];
  const { plane } = picture;
  const placed = (points: readonly (readonly [number, number, number])[] | undefined): Point[] =>
    plane ? (points ?? []).map((each) => onPlane(plane, each)) : [];
  const outline = outlineOf(
    tool,
    plane ? placed(content.points) : (content.image_points ?? []),
    plane ? placed(content.contour) : (content.image_contour ?? []),
  );
  const size = { columns: image.columns, rows: image.rows };
  const mask = new Uint8Array(size.columns * size.rows);
  paintPolygon(mask, size, outline, 1, () => true);
  const one = uptake.ratio(picture.imageId);
  const found: number[] = [];
  mask.forEach((inside, index) => {
    if (inside) found.push((values[index] ?? 0) * one);
  });
  return found;
}

const BINS = 32;
const [WIDTH, HEIGHT] = [192, 48];

/** The histogram as a picture with its least and greatest value below; null where there is none. */
export function histogramPicture(values: readonly number[]): SVGElement | null {
  const found = histogramOf(values, BINS);
  if (!found) return null;
  const element = (name: string, attributes: Record<string, string | number>): SVGElement => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    return made;
  };
  const highest = Math.max(...found.counts);
  const picture = element("svg", {
    class: "histogram",
    viewBox: `0 0 ${WIDTH} ${HEIGHT + 14}`,
    role: "img",
    "aria-label": `Histogram of ${values.length} pixels from ${rounded(found.least)} to ${rounded(found.most)}`,
  });
  found.counts.forEach((count, at) => {
    const height = (HEIGHT * count) / highest;
    const x = (WIDTH / BINS) * at;
    picture.append(element("rect", { x, y: HEIGHT - height, width: WIDTH / BINS - 1, height }));
  });
  for (const [x, anchor, value] of [
    [0, "start", found.least],
    [WIDTH, "end", found.most],
  ] as const) {
    const words = element("text", { x, y: HEIGHT + 12, "text-anchor": anchor });
    words.textContent = rounded(value);
    picture.append(words);
  }
  return picture;
}
