// Overlay planes 60xx of an image: bitmaps that its maker drew beside the pixels. PS3.3 C.9.2

import { type DicomJson, number, numbers, text } from "./dicom.ts";
import type { Picture } from "./displaysets.ts";
import { bitmapOf, drawBitmap, type Layer } from "./layers.ts";

export interface OverlayPlane {
  rows: number;
  columns: number;
  origin: [number, number]; // row, column of its first pixel in the image, from 1
  label: string;
  bits: Uint8Array;
}

/** Bytes of base64 text. */
export function bytesOf(base64: string): Uint8Array {
  const binary = atob(base64);
  return Uint8Array.from(binary, (each) => each.charCodeAt(0));
}

/** Whether the bit at a place is set: bits follow each other from the lowest of each byte. PS3.5 8.1.2 */
export const bitAt = (bits: Uint8Array, index: number): boolean =>
  (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;

/** The overlays that stand beside the pixels of an image with one frame, and are in its metadata. */
export function overlayPlanes(data: DicomJson): OverlayPlane[] {
  const found: OverlayPlane[] = [];
  for (let group = 0x6000; group <= 0x601e; group += 2) {
    const tag = (element: string) => group.toString(16).toUpperCase() + element;
    const inline = data[tag("3000")]?.InlineBinary;
    const rows = number(data, tag("0010")) ?? 0;
    const columns = number(data, tag("0011")) ?? 0;
    const [top = 1, left = 1] = numbers(data, tag("0050"));
    if (!inline || !rows || !columns) continue;
    const bits = bytesOf(inline);
    if (bits.length * 8 < rows * columns) continue;
    const label = text(data, tag("1500")) || text(data, tag("0022")) || "Overlay";
    found.push({ rows, columns, origin: [top, left], label, bits });
  }
  return found;
}

const WHITE = [255, 255, 255] as const;

/** One layer for the overlays of all images. */
export function overlayLayer(): Layer {
  const bitmaps = new WeakMap<OverlayPlane, HTMLCanvasElement>();
  const known = new WeakMap<DicomJson, OverlayPlane[]>();
  const planes = (picture: Picture): OverlayPlane[] => {
    const found = known.get(picture.data) ?? overlayPlanes(picture.data);
    known.set(picture.data, found);
    return found;
  };
  return {
    id: "overlays",
    group: "overlays",
    label: "Overlays of the images",
    colour: "#ffffff",
    visible: true,
    opacity: 0.9,
    on: (picture) => planes(picture).length > 0,
    draw: (context, picture, to) => {
      for (const each of planes(picture)) {
        const bitmap =
          bitmaps.get(each) ??
          bitmapOf((index) => (bitAt(each.bits, index) ? 1 : 0), each.columns, each.rows, WHITE);
        bitmaps.set(each, bitmap);
        context.save();
        drawBitmap(context, to, bitmap, [each.origin[1] - 1, each.origin[0] - 1]);
        context.restore();
      }
    },
  };
}
