// Presentation states: how somebody showed an image. Read from objects, and taken from a viewport. PS3.3 A.33.1

import { type DicomJson, items, number, numbers, text } from "./dicom.ts";
import type { Picture } from "./displaysets.ts";
import { type Layer, type Point, trace } from "./layers.ts";
import type { ShownView } from "./records.ts";

export interface Graphic {
  kind: string; // POINT, POLYLINE, INTERPOLATED, CIRCLE, ELLIPSE
  points: Point[]; // columns and rows, or shares of the displayed area
  ofDisplay: boolean;
  filled: boolean;
}
export interface Words {
  text: string;
  at: Point;
  ofDisplay: boolean;
}
export interface Shutter {
  kind: "RECTANGULAR" | "CIRCULAR" | "POLYGONAL";
  points: Point[]; // corners; of a circle its centre and a point to its right
}
export interface State {
  label: string;
  description: string;
  images: ImageReference[];
  view: ShownView;
  areas: { images: ImageReference[]; area: ShownView["area"] }[];
  graphics: { images: ImageReference[]; graphics: Graphic[]; words: Words[] }[];
  shutters: Shutter[];
}
export interface ImageReference {
  sopInstanceUid: string;
  frames: number[]; // from 1; empty: all
}

const T = {
  label: "00700080",
  description: "00700081",
  series: "00081115",
  images: "00081140",
  uid: "00081155",
  frame: "00081160",
  voi: "00283110",
  centre: "00281050",
  width: "00281051",
  shape: "20500020",
  rotation: "00700042",
  flip: "00700041",
  areas: "0070005A",
  topLeft: "00700052",
  bottomRight: "00700053",
  annotations: "00700001",
  graphics: "00700009",
  units: "00700005",
  points: "00700022",
  kind: "00700023",
  filled: "00700024",
  texts: "00700008",
  words: "00700006",
  anchor: "00700014",
  anchorUnits: "00700004",
  box: "00700010",
  boxUnits: "00700003",
  shutter: "00181600",
  left: "00181602",
  right: "00181604",
  upper: "00181606",
  lower: "00181608",
  centreOf: "00181610",
  radius: "00181612",
  vertices: "00181620",
} as const;

const references = (given: readonly DicomJson[]): ImageReference[] =>
  given.map((each) => ({ sopInstanceUid: text(each, T.uid), frames: numbers(each, T.frame) }));

const pairs = (flat: readonly number[]): Point[] =>
  Array.from({ length: Math.floor(flat.length / 2) }, (_, at) => [flat[2 * at] ?? 0, flat[2 * at + 1] ?? 0]);

/** Whether the references name the picture; none names all. */
export const names = (
  given: readonly ImageReference[],
  picture: Pick<Picture, "sopInstanceUid" | "frame">,
): boolean =>
  !given.length ||
  given.some(
    (each) =>
      each.sopInstanceUid === picture.sopInstanceUid &&
      (!each.frames.length || each.frames.includes(picture.frame)),
  );

function shutters(data: DicomJson): Shutter[] {
  const found: Shutter[] = [];
  for (const kind of (data[T.shutter]?.Value ?? []) as string[]) {
    if (kind === "RECTANGULAR") {
      // Edges are pixels from 1 that are not shown any more: what lies between them is. PS3.3 C.7.6.11
      const [left, right, upper, lower] = [T.left, T.right, T.upper, T.lower].map(
        (tag) => number(data, tag) ?? 0,
      ) as [number, number, number, number];
      found.push({
        kind,
        points: [
          [left, upper],
          [right - 1, upper],
          [right - 1, lower - 1],
          [left, lower - 1],
        ],
      });
    } else if (kind === "CIRCULAR") {
      const [row = 0, column = 0] = numbers(data, T.centreOf);
      const radius = number(data, T.radius) ?? 0;
      found.push({
        kind,
        points: [
          [column - 0.5, row - 0.5],
          [column - 0.5 + radius, row - 0.5],
        ],
      });
    } else if (kind === "POLYGONAL") {
      const corners = pairs(numbers(data, T.vertices));
      found.push({ kind, points: corners.map(([row, column]): Point => [column - 0.5, row - 0.5]) });
    }
  }
  return found;
}

/** What the object says. */
export function stateOf(data: DicomJson): State {
  const areas = items(data, T.areas).map((each) => {
    const [left = 1, top = 1] = numbers(each, T.topLeft);
    const [right = 1, bottom = 1] = numbers(each, T.bottomRight);
    return {
      images: references(items(each, T.images)),
      area: [
        [left, top],
        [right, bottom],
      ] as ShownView["area"],
    };
  });
  const voi = items(data, T.voi)[0];
  const [centre, width] = [number(voi, T.centre), number(voi, T.width)];
  return {
    label: text(data, T.description) || text(data, T.label) || "Presentation state",
    description: text(data, T.description),
    images: references(items(data, T.series).flatMap((each) => items(each, T.images))),
    view: {
      window: centre !== undefined && width !== undefined ? [centre, width] : null,
      inverted: text(data, T.shape) === "INVERSE",
      rotation: number(data, T.rotation) ?? 0,
      flipped: text(data, T.flip) === "Y",
      area: areas[0]?.area ?? [
        [1, 1],
        [1, 1],
      ],
    },
    areas,
    graphics: items(data, T.annotations).map((each) => ({
      images: references(items(each, T.images)),
      graphics: items(each, T.graphics).map((graphic) => ({
        kind: text(graphic, T.kind),
        points: pairs(numbers(graphic, T.points)),
        ofDisplay: text(graphic, T.units) === "DISPLAY",
        filled: text(graphic, T.filled) === "Y",
      })),
      words: items(each, T.texts).map(wordsOf),
    })),
    shutters: shutters(data),
  };
}

function wordsOf(item: DicomJson): Words {
  const anchor = numbers(item, T.anchor);
  const place = anchor.length === 2 ? anchor : numbers(item, T.box).slice(0, 2);
  const units = text(item, anchor.length === 2 ? T.anchorUnits : T.boxUnits);
  return { text: text(item, T.words), at: [place[0] ?? 0, place[1] ?? 0], ofDisplay: units === "DISPLAY" };
}

/** Where a direction of the screen leads in the image decides turn and flip: as PS3.3 C.10.6 orders them. */
export function turnOf(right: Point, down: Point): { rotation: number; flipped: boolean } {
  const flipped = right[0] * down[1] - right[1] * down[0] < 0;
  const [x, y] = flipped ? [-right[0], -right[1]] : right;
  const quarter = Math.abs(x) > Math.abs(y) ? (x > 0 ? 0 : 2) : y < 0 ? 1 : 3;
  return { rotation: quarter * 90, flipped };
}

/** Where right and down of the screen lead in an image that is turned, then flipped. */
export function directionsOf(rotation: number, flipped: boolean): { right: Point; down: Point } {
  const table: Record<number, [Point, Point]> = {
    0: [
      [1, 0],
      [0, 1],
    ],
    90: [
      [0, -1],
      [1, 0],
    ],
    180: [
      [-1, 0],
      [0, -1],
    ],
    270: [
      [0, 1],
      [-1, 0],
    ],
  };
  const [right, down] = table[((rotation % 360) + 360) % 360] ?? [
    [1, 0],
    [0, 1],
  ];
  return { right: flipped ? [-right[0], -right[1]] : right, down };
}

const SHUTTER = "#000";

/** The drawings, words and shutters of a state. */
export function stateLayers(group: string, state: State): Layer[] {
  const own = (picture: Picture) => names(state.images, picture);
  const drawn: Layer = {
    id: `${group}/drawings`,
    group,
    label: `${state.label}: drawings`,
    colour: "#ffd166",
    visible: true,
    opacity: 1,
    on: (picture) => own(picture) && state.graphics.some((each) => names(each.images, picture)),
    draw: (context, picture, to) => {
      const { clientWidth, clientHeight } = context.canvas;
      for (const each of state.graphics.filter((one) => names(one.images, picture))) {
        const place = (point: Point, ofDisplay: boolean): Point =>
          ofDisplay ? [point[0] * clientWidth, point[1] * clientHeight] : to(point);
        for (const graphic of each.graphics)
          drawGraphic(context, graphic, (point) => place(point, graphic.ofDisplay));
        for (const words of each.words) write(context, words.text, place(words.at, words.ofDisplay));
      }
    },
  };
  const covered: Layer = {
    id: `${group}/shutters`,
    group,
    label: `${state.label}: shutters`,
    colour: SHUTTER,
    visible: true,
    opacity: 1,
    on: (picture) => own(picture) && state.shutters.length > 0,
    draw: (context, _picture, to) => {
      for (const each of state.shutters) cover(context, each, to);
    },
  };
  return [...(state.shutters.length ? [covered] : []), ...(state.graphics.length ? [drawn] : [])];
}

function drawGraphic(context: CanvasRenderingContext2D, graphic: Graphic, to: (point: Point) => Point): void {
  const { points, kind } = graphic;
  const [first, second, third, fourth] = points;
  if (!first) return;
  if (kind === "POINT") {
    const [x, y] = to(first);
    context.fillRect(x - 2, y - 2, 4, 4);
  } else if (kind === "CIRCLE" && second) {
    const [a, b] = [to(first), to(second)];
    context.beginPath();
    context.arc(a[0], a[1], Math.hypot(b[0] - a[0], b[1] - a[1]), 0, 2 * Math.PI);
    context.stroke();
  } else if (kind === "ELLIPSE" && second && third && fourth) {
    const centre: Point = [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
    const one: Point = [second[0] - centre[0], second[1] - centre[1]];
    const other: Point = [fourth[0] - (third[0] + fourth[0]) / 2, fourth[1] - (third[1] + fourth[1]) / 2];
    const round = Array.from({ length: 64 }, (_, at): Point => {
      const [c, s] = [Math.cos((at * Math.PI) / 32), Math.sin((at * Math.PI) / 32)];
      return [centre[0] + c * one[0] + s * other[0], centre[1] + c * one[1] + s * other[1]];
    });
    trace(context, to, round, true);
  } else {
    trace(context, to, points, false);
    if (graphic.filled) context.fill();
  }
}

function write(context: CanvasRenderingContext2D, words: string, [x, y]: Point): void {
  context.font = "13px system-ui, sans-serif";
  context.shadowColor = "#000";
  context.shadowBlur = 4;
  words.split(/\r?\n/).forEach((line, at) => context.fillText(line, x + 6, y - 6 + at * 16));
  context.shadowBlur = 0;
}

/** Everything outside of the opening. */
function cover(context: CanvasRenderingContext2D, shutter: Shutter, to: (point: Point) => Point): void {
  const { clientWidth, clientHeight } = context.canvas;
  context.fillStyle = SHUTTER;
  context.beginPath();
  context.rect(0, 0, clientWidth, clientHeight);
  const [first, second] = shutter.points;
  if (shutter.kind === "CIRCULAR" && first && second) {
    const [a, b] = [to(first), to(second)];
    const radius = Math.hypot(b[0] - a[0], b[1] - a[1]);
    context.moveTo(a[0] + radius, a[1]);
    context.arc(a[0], a[1], radius, 0, 2 * Math.PI);
  } else {
    shutter.points.forEach((each, index) => {
      const [x, y] = to(each);
      if (index) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.closePath();
  }
  context.fill("evenodd");
}
