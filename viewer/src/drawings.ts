// What the engine's tools draw, as records, and records as drawings.

import * as core from "@cornerstonejs/core";
import type { Types } from "@cornerstonejs/tools";
import type { Picture } from "./displaysets.ts";
import { ENGINE_ID } from "./engine.ts";
import { latticeOf } from "./layers.ts";
import type { LesionRole } from "./lesions.ts";
import type { Content, Known, Measurement, Place, Points } from "./records.ts";
import { type Drawn, numbersOf } from "./toolgroups.ts";

export type Annotation = Types.Annotation;

/** The drawing of a record on an image. */
export function annotationOf(measurement: Measurement, imageId: string, locked: boolean): Annotation {
  const { content } = measurement;
  return {
    annotationUID: measurement.measurement_id,
    highlighted: false,
    invalidated: true,
    isVisible: true,
    isLocked: locked,
    metadata: {
      toolName: measurement.tool,
      FrameOfReferenceUID: content.frame_of_reference_uid,
      referencedImageId: imageId,
      viewPlaneNormal: content.view_plane_normal,
      viewUp: content.view_up,
    },
    data: {
      label: measurement.label,
      ...(content.text === undefined ? {} : { text: content.text }),
      handles: {
        points: content.points,
        activeHandleIndex: null,
        textBox: {
          hasMoved: false,
          worldPosition: [0, 0, 0],
          worldBoundingBox: {
            topLeft: [0, 0, 0],
            topRight: [0, 0, 0],
            bottomLeft: [0, 0, 0],
            bottomRight: [0, 0, 0],
          },
        },
      },
      ...(content.contour
        ? { contour: { polyline: content.contour, closed: content.closed ?? true }, isOpenContour: false }
        : {}),
      cachedStats: {},
    },
  } as unknown as Annotation;
}

/** The record of what is drawn on an image. */
export function recordOf(
  annotation: Annotation,
  place: Place,
  lesion: { role: LesionRole } | undefined,
): Known {
  const tool = annotation.metadata?.toolName ?? "";
  const data = annotation.data as Annotation["data"] & { text?: string };
  const contour = data.contour?.polyline;
  const { metadata } = annotation;
  return {
    study: place.set.series.studyInstanceUid,
    measurement_id: annotation.annotationUID ?? "",
    series_instance_uid: place.set.series.seriesInstanceUid,
    sop_instance_uid: place.picture.sopInstanceUid,
    frame_number: place.picture.frame,
    tool,
    label: data.label ?? "",
    content: {
      points: plain(data.handles?.points ?? []),
      ...(contour ? { contour: plain(contour), closed: data.contour?.closed ?? true } : {}),
      ...onImage(place.picture, data.handles?.points ?? [], contour),
      frame_of_reference_uid: metadata?.FrameOfReferenceUID ?? "",
      ...(metadata?.viewPlaneNormal
        ? { view_plane_normal: [...metadata.viewPlaneNormal] as Points[number] }
        : {}),
      ...(metadata?.viewUp ? { view_up: [...metadata.viewUp] as Points[number] } : {}),
      ...(data.text === undefined ? {} : { text: data.text }),
      ...(lesion ? { lesion } : {}),
      statistics: numbersOf(
        tool,
        data as unknown as Drawn,
        Object.keys(data.cachedStats ?? {})[0] ?? `imageId:${place.picture.imageId}`,
      ),
    },
  };
}

const plain = (points: Points): Points => points.map((each) => [each[0], each[1], each[2]]);

/** Columns and rows of points where the image is shown, for images that do not lie in the patient. */
function onImage(picture: Picture, points: Points, contour: Points | undefined): Partial<Content> {
  if (picture.plane) return {};
  const shown = core.getRenderingEngine(ENGINE_ID)?.getViewports() ?? [];
  const viewport = shown.find(
    (each) => each instanceof core.StackViewport && each.getCurrentImageId() === picture.imageId,
  );
  const image = latticeOf(viewport as core.StackViewport | undefined);
  if (!image) return {};
  const at = (point: Points[number]): [number, number] => {
    const [column, row] = image.worldToIndex(point);
    return [(column ?? 0) + 0.5, (row ?? 0) + 0.5];
  };
  return {
    image_points: points.map(at),
    ...(contour ? { image_contour: contour.map(at) } : {}),
  };
}
