// Structures of radiotherapy as contours over the images they lie on. PS3.3 C.8.8.5, C.8.8.6

import { cutContours } from "./cuts.ts";
import { type DicomJson, items, number, numbers, TAG, text } from "./dicom.ts";
import type { Picture } from "./displaysets.ts";
import { dot, normalOf, type Plane, subtract, type Vec3 } from "./geometry.ts";
import { type Layer, type Point, trace } from "./layers.ts";

export interface Contour {
  points: Vec3[];
  closed: boolean;
  source: string; // SOP Instance UID, if stated
}
export interface Structure {
  number: number;
  name: string;
  colour: string;
  frameOfReferenceUid: string;
  contours: Contour[];
}

const T = {
  structures: "30060020",
  roiNumber: "30060022",
  roiName: "30060026",
  frameOfReference: "30060024",
  frames: "30060010",
  contoured: "30060039",
  colour: "3006002A",
  contours: "30060040",
  kind: "30060042",
  points: "30060050",
  referenced: "30060084",
  images: "30060016",
  referencedUid: "00081155",
} as const;

/** The structures with their contours. */
export function structures(data: DicomJson): Structure[] {
  const names = new Map(
    items(data, T.structures).map((each) => [number(each, T.roiNumber), text(each, T.roiName)]),
  );
  const frames = new Map(
    items(data, T.structures).map((each) => [number(each, T.roiNumber), text(each, T.frameOfReference)]),
  );
  const [only] = items(data, T.frames);
  return items(data, T.contoured).map((each, index) => {
    const roi = number(each, T.referenced) ?? index + 1;
    const [r = 255, g = 209, b = 102] = numbers(each, T.colour);
    return {
      number: roi,
      frameOfReferenceUid: frames.get(roi) || text(only, TAG.frameOfReferenceUid),
      name: names.get(roi) || `Structure ${roi}`,
      colour: `rgb(${r} ${g} ${b})`,
      contours: items(each, T.contours).map((contour) => {
        const flat = numbers(contour, T.points);
        return {
          points: Array.from(
            { length: Math.floor(flat.length / 3) },
            (_, at) => flat.slice(3 * at, 3 * at + 3) as unknown as Vec3,
          ),
          closed: text(contour, T.kind).startsWith("CLOSED"),
          source: text(items(contour, T.images)[0], T.referencedUid),
        };
      }),
    };
  });
}

const NEAR_MM = 0.5;

/** Column and row of a point in the patient, from 0 at the outer corner of the first pixel. */
export function onPlane(plane: Plane, point: Vec3): Point {
  const way = subtract(point, plane.position);
  return [dot(way, plane.row) / plane.spacing[1] + 0.5, dot(way, plane.column) / plane.spacing[0] + 0.5];
}

/** Whether a contour lies on the picture: by the image that it names, else by its plane. */
export function contourLiesOn(contour: Contour, picture: Picture): boolean {
  const [first] = contour.points;
  if (!picture.plane || !first) return false;
  if (contour.source) return contour.source === picture.sopInstanceUid;
  return Math.abs(dot(subtract(first, picture.plane.position), normalOf(picture.plane))) < NEAR_MM;
}

export function structureLayers(group: string, given: readonly Structure[]): Layer[] {
  return given.map((each) => ({
    id: `${group}/${each.number}`,
    group,
    label: each.name,
    colour: each.colour,
    visible: true,
    opacity: 1,
    on: (picture) => each.contours.some((contour) => contourLiesOn(contour, picture)),
    cut: (context, cut) => {
      // Older structure sets name no frame of reference: then it is that of the images they were drawn on.
      if (each.frameOfReferenceUid && each.frameOfReferenceUid !== cut.frameOfReferenceUid) return;
      cutContours(
        context,
        cut,
        each.contours.filter((one) => one.closed).map((one) => one.points),
      );
    },
    draw: (context, picture, to) => {
      const { plane } = picture;
      if (!plane) return;
      for (const contour of each.contours.filter((one) => contourLiesOn(one, picture))) {
        const points = contour.points.map((point) => onPlane(plane, point));
        trace(context, to, points, contour.closed);
      }
    },
  }));
}
