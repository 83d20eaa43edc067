// Segmentations of others and of ours, as layers over the images they were made from. PS3.3 A.51, C.8.20

import { type DicomJson, functionalGroup, items, number, numbers, TAG, text } from "./dicom.ts";
import { cutSegment } from "./cuts.ts";
import { planeOf, type Picture } from "./displaysets.ts";
import { dot, length, normalOf, type Plane, subtract } from "./geometry.ts";
import { bitmapOf, drawBitmap, type Layer } from "./layers.ts";
import { bitAt } from "./overlayplanes.ts";

export type Rgb = readonly [number, number, number];

export interface SegmentFacts {
  number: number;
  label: string;
  colour: Rgb;
}
export interface SegmentFrame {
  index: number; // of the frame in the object, from 0
  segment: number;
  source: string; // SOP Instance UID of the image it was made from, if stated
  sourceFrame: number; // from 1; 0 where it is not stated
  plane: Plane | null;
  frameOfReferenceUid: string;
}
export interface SegmentationFacts {
  rows: number;
  columns: number;
  kind: "BINARY" | "FRACTIONAL" | "LABELMAP";
  most: number; // the value of a fraction of 1
  segments: SegmentFacts[];
  frames: SegmentFrame[];
}

const T = {
  segments: "00620002",
  segmentNumber: "00620004",
  segmentLabel: "00620005",
  cielab: "0062000D",
  kind: "00620001",
  most: "0062000E",
  identification: "0062000A",
  referencedSegment: "0062000B",
  derivation: "00089124",
  source: "00082112",
  referencedUid: "00081155",
  referencedFrame: "00081160",
} as const;

export const PALETTE: Rgb[] = [
  [255, 107, 107],
  [6, 214, 160],
  [76, 201, 240],
  [255, 209, 102],
  [199, 125, 255],
  [255, 159, 28],
];

/** A colour of the CIELab space, as DICOM scales it, in sRGB. PS3.3 C.10.7.1.1 */
export function rgbOf(cielab: readonly number[]): Rgb | null {
  const [l, a, b] = cielab;
  if (l === undefined || a === undefined || b === undefined) return null;
  const L = (l * 100) / 65535;
  const fy = (L + 16) / 116;
  const fx = fy + ((a * 255) / 65535 - 128) / 500;
  const fz = fy - ((b * 255) / 65535 - 128) / 200;
  const back = (f: number) => (f ** 3 > 216 / 24389 ? f ** 3 : (116 * f - 16) / (24389 / 27));
  // D50, to which the profile connection space is adapted, to linear sRGB (Bradford)
  const [x, y, z] = [0.9642 * back(fx), back(fy), 0.8251 * back(fz)];
  const linear = [
    3.1338561 * x - 1.6168667 * y - 0.4906146 * z,
    -0.9787684 * x + 1.9161415 * y + 0.033454 * z,
    0.0719453 * x - 0.2289914 * y + 1.4052427 * z,
  ];
  const bent = linear.map((each) => {
    const c = Math.min(1, Math.max(0, each));
    return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055));
  });
  return bent as unknown as Rgb;
}

/** What the object says of all of its frames. */
export function segmentKinds(data: DicomJson): Omit<SegmentationFacts, "frames"> {
  const kind = text(data, T.kind);
  const all = items(data, T.segments).map((each, index) => ({
    number: number(each, T.segmentNumber) ?? index + 1,
    label: text(each, T.segmentLabel) || `Segment ${index + 1}`,
    colour: rgbOf(numbers(each, T.cielab)) ?? (PALETTE[index % PALETTE.length] as Rgb),
  }));
  // A label map describes its background as well, which is nothing to be drawn. PS3.3 C.8.20.2
  const segments = kind === "LABELMAP" ? all.filter((each) => each.number !== 0) : all;
  return {
    rows: number(data, TAG.rows) ?? 0,
    columns: number(data, TAG.columns) ?? 0,
    kind: kind === "FRACTIONAL" || kind === "LABELMAP" ? kind : "BINARY",
    most: number(data, T.most) ?? 255,
    segments,
  };
}

/** What the object says of its segments and frames. */
export function segmentation(data: DicomJson): SegmentationFacts {
  const frames = Array.from({ length: number(data, TAG.numberOfFrames) ?? 1 }, (_, index) => {
    const source = items(functionalGroup(data, index, T.derivation), T.source)[0];
    return {
      index,
      segment: number(functionalGroup(data, index, T.identification), T.referencedSegment) ?? 0,
      source: text(source, T.referencedUid),
      sourceFrame: number(source, T.referencedFrame) ?? 0,
      plane: planeOf(data, index),
      frameOfReferenceUid: text(data, TAG.frameOfReferenceUid),
    };
  });
  return { ...segmentKinds(data), frames };
}

/** How much of each pixel of a frame belongs to the segment, from 0 to 255. `bytes`: one bit, or one or two bytes for
 * each pixel. */
export function sharesOf(
  facts: Omit<SegmentationFacts, "frames">,
  segment: SegmentFacts,
  bytes: Uint8Array,
): Uint8Array {
  const pixels = facts.rows * facts.columns;
  const wide = bytes.length >= 2 * pixels;
  const value = (index: number) =>
    wide ? (bytes[2 * index] ?? 0) + 256 * (bytes[2 * index + 1] ?? 0) : (bytes[index] ?? 0);
  const share = {
    BINARY: (index: number) => (bitAt(bytes, index) ? 1 : 0),
    FRACTIONAL: (index: number) => value(index) / facts.most,
    LABELMAP: (index: number) => (value(index) === segment.number ? 1 : 0),
  }[facts.kind];
  return Uint8Array.from({ length: pixels }, (_, index) => Math.round(255 * share(index)));
}

const NEAR_MM = 0.5;

/** Whether a frame lies on the picture: by the image that it names, else by its plane. */
export function liesOn(frame: SegmentFrame, picture: Picture): boolean {
  if (frame.source === picture.sopInstanceUid)
    return frame.sourceFrame === 0 || frame.sourceFrame === picture.frame;
  const [a, b] = [frame.plane, picture.plane];
  if (!a || !b || elsewhere(frame, text(picture.data, TAG.frameOfReferenceUid))) return false;
  const normal = normalOf(b);
  if (Math.abs(dot(normalOf(a), normal)) < 0.999) return false;
  return Math.abs(dot(subtract(a.position, b.position), normal)) < NEAR_MM;
}

/** Whether both say in which frame of reference they lie, and it is not the same. */
const elsewhere = (frame: SegmentFrame, uid: string): boolean =>
  Boolean(uid && frame.frameOfReferenceUid && frame.frameOfReferenceUid !== uid);

/** Columns and rows of the picture at which the frame's first pixel begins, and the size of its pixels there. */
export function placeOn(
  frame: SegmentFrame,
  picture: Picture,
): { at: [number, number]; scale: [number, number] } | null {
  const [a, b] = [frame.plane, picture.plane];
  if (!a || !b) return { at: [0, 0], scale: [1, 1] };
  if (length(subtract(a.row, b.row)) > 1e-3 || length(subtract(a.column, b.column)) > 1e-3) return null;
  const way = subtract(a.position, b.position);
  const scale: [number, number] = [a.spacing[1] / b.spacing[1], a.spacing[0] / b.spacing[0]];
  return {
    at: [
      dot(way, b.row) / b.spacing[1] + 0.5 - scale[0] / 2,
      dot(way, b.column) / b.spacing[0] + 0.5 - scale[1] / 2,
    ],
    scale,
  };
}

export type FrameBytes = (index: number) => Uint8Array | null; // asks for it when it is not there yet

/** A layer for each segment. `stored` gives a frame's bytes: one bit, or one or two bytes for each pixel. */
export function segmentLayers(group: string, facts: SegmentationFacts, stored: FrameBytes): Layer[] {
  const bitmaps = new Map<string, HTMLCanvasElement>();
  const decoded = new Map<string, Uint8Array>();
  const shares = (frame: SegmentFrame, segment: SegmentFacts): Uint8Array | null => {
    const key = `${frame.index}/${segment.number}`;
    const known = decoded.get(key);
    const bytes = known ? null : stored(frame.index);
    if (known || !bytes) return known ?? null;
    const made = sharesOf(facts, segment, bytes);
    decoded.set(key, made);
    return made;
  };
  const bitmap = (frame: SegmentFrame, segment: SegmentFacts): HTMLCanvasElement | null => {
    const key = `${frame.index}/${segment.number}`;
    const known = bitmaps.get(key);
    const found = known ? null : shares(frame, segment);
    if (known || !found) return known ?? null;
    const made = bitmapOf((index) => (found[index] ?? 0) / 255, facts.columns, facts.rows, segment.colour);
    bitmaps.set(key, made);
    return made;
  };
  return facts.segments.map((segment) => {
    const own = facts.frames.filter((each) => facts.kind === "LABELMAP" || each.segment === segment.number);
    return {
      id: `${group}/${segment.number}`,
      group,
      label: segment.label,
      colour: `rgb(${segment.colour.join(" ")})`,
      visible: true,
      opacity: 0.5,
      on: (picture) => own.some((each) => liesOn(each, picture)),
      cut: (context, cut) => {
        const slices = own.flatMap((frame) =>
          frame.plane && frame.frameOfReferenceUid === cut.frameOfReferenceUid
            ? [{ plane: frame.plane, values: () => shares(frame, segment) }]
            : [],
        );
        cutSegment(context, cut, slices, segment.colour);
      },
      draw: (context, picture, to) => {
        for (const frame of own.filter((each) => liesOn(each, picture))) {
          const place = placeOn(frame, picture);
          const made = place && bitmap(frame, segment);
          if (!place || !made) continue;
          const { at, scale } = place;
          context.save();
          drawBitmap(
            context,
            ([column, row]) => to([at[0] + column * scale[0], at[1] + row * scale[1]]),
            made,
          );
          context.restore();
        }
      },
    };
  });
}
