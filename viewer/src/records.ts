// What is kept of a measurement or a mark: the record on the server, as the page has it. Points are millimetres in the
// patient's coordinates; the image is named by its SOP Instance UID and frame.

import type { Types } from "@cornerstonejs/core";
import type { DisplaySet, Picture } from "./displaysets.ts";
import type { Statistic } from "./format.ts";
import type { LesionRole } from "./lesions.ts";
import type { KeptMask } from "./masks.ts";

export type Points = Types.Point3[];

export interface Content {
  points: Points;
  contour?: Points;
  closed?: boolean;
  frame_of_reference_uid: string;
  view_plane_normal?: Points[number];
  view_up?: Points[number];
  text?: string;
  image_points?: [number, number][]; // columns and rows from 0 at the outer corner of the first pixel
  image_contour?: [number, number][];
  pixel_origin?: "VOLUME"; // on a slide: image points are those of its total pixel matrix, not of a tile
  view?: ShownView;
  lesion?: { role: LesionRole }; // followed over time under its label
  mask?: KeptMask; // of a segment: which pixels of the image belong to it
  calibration?: { factor: number }; // mm for one of what a length on this image is measured in
  statistics: Statistic[];
}

/** How an image was shown: what a presentation state says of it. PS3.3 C.10.4, C.10.6, C.11.2 */
export interface ShownView {
  window: [number, number] | null; // centre, width
  inverted: boolean;
  rotation: number; // clockwise degrees, before the flip
  flipped: boolean;
  area: [[number, number], [number, number]]; // pixels in the corners, from 1
}

export const KEY_IMAGE = "KeyImage";
export const VIEW = "View";
export const CALIBRATION = "Calibration";
export const SEGMENT = "Segment";
export type Known = Measurement & { study: string };

export interface Measurement {
  measurement_id: string;
  series_instance_uid: string;
  sop_instance_uid: string;
  frame_number: number;
  tool: string;
  label: string;
  content: Content;
  created_by?: string;
  updated_at?: string;
}

export interface Place {
  set: DisplaySet;
  picture: Picture;
  index: number;
}

/** A mark that is no drawing: something said of an image. */
export function markOf(tool: string, place: Place, content: Partial<Content>, label: string): Known {
  return {
    study: place.set.series.studyInstanceUid,
    measurement_id: crypto.randomUUID(),
    series_instance_uid: place.set.series.seriesInstanceUid,
    sop_instance_uid: place.picture.sopInstanceUid,
    frame_number: place.picture.frame,
    tool,
    label,
    content: {
      points: [],
      frame_of_reference_uid: place.set.frameOfReferenceUid,
      statistics: [],
      ...content,
    },
  };
}

/** What the server is told of a measurement. */
export function sentOf({
  series_instance_uid,
  sop_instance_uid,
  frame_number,
  tool,
  label,
  content,
}: Known): string {
  return JSON.stringify({ series_instance_uid, sop_instance_uid, frame_number, tool, label, content });
}

/** Whether two states of a measurement differ in their numbers at most. */
export function drawnAlike(a: Known, b: Known): boolean {
  const drawn = ({ label, content: { points, contour, text } }: Known) =>
    JSON.stringify([label, points, contour, text]);
  return drawn(a) === drawn(b);
}
