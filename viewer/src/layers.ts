// What is drawn over images by their own pixels: segments, contours, overlays, annotations of others. One sheet
// over each viewport; positions are columns and rows from 0 at the outer corner of the first pixel.

import * as core from "@cornerstonejs/core";
import type { Picture } from "./displaysets.ts";
import type { Vec3 } from "./geometry.ts";
import { whenLeft } from "./life.ts";
import type { Part, Slide } from "./slide.ts";
import type { PlacedTile } from "./slidetiles.ts";

export type Point = readonly [number, number];
/** Leads from (column, row) to the sheet. */
export type ToSheet = (point: Point) => Point;

export interface Layer {
  id: string;
  group: string; // the object that it comes from
  label: string;
  colour: string; // CSS; empty where the layer has its own
  visible: boolean;
  opacity: number;
  hidden?: boolean; // from the list: it is a tool's own
  /** Whether there is anything of it on the picture. */
  on(picture: Picture): boolean;
  draw(sheet: CanvasRenderingContext2D, picture: Picture, to: ToSheet, layer: Layer): void;
  /** Draw it where a reformatted plane cuts through it; absent for what lies on single images only. */
  cut?(sheet: CanvasRenderingContext2D, cut: Cut): void;
  /** Its tiles over a part of a whole slide, which is shown with so many points for each pixel of its finest level;
   * null where they are more than can be shown. Absent for what lies on no slide. */
  slide?(slide: Slide, part: Part, scale: number): PlacedTile[] | null;
}

/** A plane through the patient as a viewport shows it: sheet and millimetres. */
export interface Cut {
  width: number;
  height: number;
  normal: Vec3;
  frameOfReferenceUid: string;
  toWorld(point: Point): Vec3;
  toSheet(point: Vec3): Point;
}

export class Layers extends EventTarget {
  private readonly all = new Map<string, Layer>();

  get list(): Layer[] {
    return [...this.all.values()];
  }

  add(layers: readonly Layer[]): void {
    for (const each of layers) this.all.set(each.id, each);
    this.changed();
  }

  dropGroup(group: string): void {
    for (const each of this.list) if (each.group === group) this.all.delete(each.id);
    this.changed();
  }

  clear(): void {
    this.all.clear();
    this.changed();
  }

  has(group: string): boolean {
    return this.list.some((each) => each.group === group);
  }

  set(id: string, given: { visible?: boolean; opacity?: number }): void {
    const layer = this.all.get(id);
    if (!layer) return;
    Object.assign(layer, given);
    this.changed();
  }

  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  /** Draw anew: the layers are the same, what is on them moved. */
  repaint(): void {
    this.dispatchEvent(new Event("repaint"));
  }
}

/** What is drawn over the images of this page. */
export const layers = new Layers();
whenLeft(() => layers.clear());

/** The geometry of the shown image: its pixels' centres are whole indices. */
export interface Lattice {
  indexToWorld(index: [number, number, number]): core.Types.Point3;
  worldToIndex(world: core.Types.Point3): number[];
  getSpacing(): number[];
}
export const latticeOf = (viewport: core.StackViewport | null | undefined): Lattice | null =>
  (viewport?.getImageData()?.imageData as unknown as Lattice | undefined) ?? null;

/** Where pixels of the shown image are on the sheet; null while there is no image. */
export function toSheetOf(viewport: core.StackViewport): ToSheet | null {
  const image = latticeOf(viewport);
  if (!image) return null;
  const at = (column: number, row: number): Point => {
    const [x, y] = viewport.worldToCanvas(image.indexToWorld([column - 0.5, row - 0.5, 0]));
    return [x, y];
  };
  // Affine: three places say everything, and thousands of points cost nothing.
  const origin = at(0, 0);
  const right = at(1000, 0);
  const down = at(0, 1000);
  const [ax, ay] = [(right[0] - origin[0]) / 1000, (right[1] - origin[1]) / 1000];
  const [bx, by] = [(down[0] - origin[0]) / 1000, (down[1] - origin[1]) / 1000];
  return ([column, row]) => [origin[0] + ax * column + bx * row, origin[1] + ay * column + by * row];
}

/** Draw the layers of a picture over its viewport. */
export function drawLayers(
  sheet: HTMLCanvasElement,
  viewport: core.StackViewport | null,
  picture: Picture | null,
  layers: readonly Layer[],
): void {
  const context = cleared(sheet);
  const to = viewport && picture ? toSheetOf(viewport) : null;
  if (!context || !to || !picture) return;
  for (const each of layers)
    if (each.visible && each.on(picture)) put(context, each, () => each.draw(context, picture, to, each));
}

/** Draw the layers that a reformatted plane cuts through; null: none. */
export function drawCuts(
  sheet: HTMLCanvasElement,
  viewport: core.Types.IViewport | null,
  frameOfReferenceUid: string,
  layers: readonly Layer[],
): void {
  const context = cleared(sheet);
  const normal = viewport?.getCamera().viewPlaneNormal;
  if (!context || !viewport || !normal || !frameOfReferenceUid) return;
  const cut: Cut = {
    width: sheet.clientWidth,
    height: sheet.clientHeight,
    normal,
    frameOfReferenceUid,
    toWorld: ([x, y]) => viewport.canvasToWorld([x, y]),
    toSheet: ([x, y, z]) => viewport.worldToCanvas([x, y, z]),
  };
  for (const each of layers) if (each.visible && each.cut) put(context, each, () => each.cut?.(context, cut));
}

function cleared(sheet: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(sheet.clientWidth * ratio), Math.round(sheet.clientHeight * ratio)];
  if (sheet.width !== width || sheet.height !== height) [sheet.width, sheet.height] = [width, height];
  const context = sheet.getContext("2d");
  context?.setTransform(1, 0, 0, 1, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

function put(context: CanvasRenderingContext2D, layer: Layer, draw: () => void): void {
  const ratio = devicePixelRatio || 1;
  context.save();
  context.scale(ratio, ratio);
  context.globalAlpha = layer.opacity;
  context.strokeStyle = context.fillStyle = layer.colour || "#ffd166";
  context.lineWidth = 1.5;
  draw();
  context.restore();
}

/** Draw a bitmap whose first pixel's outer corner lies at a place of the image. */
export function drawBitmap(
  context: CanvasRenderingContext2D,
  to: ToSheet,
  bitmap: HTMLCanvasElement,
  at: Point = [0, 0],
): void {
  const origin = to(at);
  const right = to([at[0] + 1, at[1]]);
  const down = to([at[0], at[1] + 1]);
  context.imageSmoothingEnabled = false;
  context.transform(
    right[0] - origin[0],
    right[1] - origin[1],
    down[0] - origin[0],
    down[1] - origin[1],
    origin[0],
    origin[1],
  );
  context.drawImage(bitmap, 0, 0);
}

/** A bitmap of one colour from what is set, row by row. */
export function bitmapOf(
  set: (index: number) => number, // 0 to 1
  columns: number,
  rows: number,
  colour: readonly [number, number, number],
): HTMLCanvasElement {
  const made = document.createElement("canvas");
  [made.width, made.height] = [columns, rows];
  const context = made.getContext("2d");
  const pixels = context?.createImageData(columns, rows);
  if (!context || !pixels) return made;
  for (let index = 0; index < columns * rows; index++) {
    const share = set(index);
    if (!share) continue;
    pixels.data.set([...colour, Math.round(255 * share)], index * 4);
  }
  context.putImageData(pixels, 0, 0);
  return made;
}

export function trace(
  context: CanvasRenderingContext2D,
  to: ToSheet,
  points: readonly Point[],
  closed: boolean,
): void {
  context.beginPath();
  points.forEach((each, index) => {
    const [x, y] = to(each);
    if (index) context.lineTo(x, y);
    else context.moveTo(x, y);
  });
  if (closed) context.closePath();
  context.stroke();
}
