// Segments painted by hand: a brush (flat or a ball through the slices), an eraser and an outline, held within a
// range of values where one is given. What is painted is a mark for each image, kept, undone and archived like any
// other; segments of one name in a series are one. Only images that state their place in the patient have segments.

import { cutSegment } from "./cuts.ts";
import type { DisplaySet, Picture } from "./displaysets.ts";
import { dot, normalOf, subtract } from "./geometry.ts";
import type { Grid } from "./grid.ts";
import { caseLife } from "./life.ts";
import { bitmapOf, drawBitmap, type Layer, layers, trace } from "./layers.ts";
import { count, cutOfBall, type KeptMask, keptMask, maskOf, paintDisc, paintPolygon } from "./masks.ts";
import type { Measurements } from "./measurements.ts";
import { type Known, SEGMENT } from "./records.ts";
import type { Pane } from "./pane.ts";
import { wholeImage } from "./progressive.ts";
import { PALETTE, type Rgb } from "./segments.ts";

export const BRUSH = "Brush";
export type BrushMode = "paint" | "erase" | "outline";

export interface BrushSettings {
  mode: BrushMode;
  radiusMm: number;
  ball: boolean;
  range: [number | null, number | null]; // in the values that are shown
  label: string;
}
export interface PaintedSegment {
  series: string;
  label: string;
  colour: string;
  marks: Known[]; // one for each image, in the images' order
  area: number; // mm²
  volumeMl: number | null;
  why: string; // why there is no volume
}
type Pixel = [number, number];

const GROUP = "painted";
const decoded = new WeakMap<KeptMask, Uint8Array>();
const rgb = (at: number): Rgb => PALETTE[at % PALETTE.length] as Rgb;

export class Brush extends EventTarget {
  readonly settings: BrushSettings = {
    mode: "paint",
    radiusMm: 8,
    ball: false,
    range: [null, null],
    label: "Segment 1",
  };
  active = false;
  private stroke: Stroke | null = null;
  private hover: { picture: Picture; at: Pixel } | null = null;
  private readonly bitmaps = new WeakMap<object, HTMLCanvasElement>();
  private drawn = "";

  constructor(
    private readonly host: HTMLElement,
    private readonly grid: Grid,
    private readonly measurements: Measurements,
    private readonly tell: (words: string) => void,
  ) {
    super();
    measurements.addEventListener("change", () => this.show());
    // What the brush takes, no tool of the engine gets; the wheel and other buttons stay theirs.
    host.addEventListener("mousedown", (event) => this.keepFromEngine(event), true);
    host.addEventListener("touchstart", (event) => this.keepFromEngine(event), true);
    host.addEventListener("pointerdown", (event) => this.begin(event), true);
    host.addEventListener("pointermove", (event) => this.move(event), true);
    host.addEventListener("pointerleave", () => this.leave());
    const whole = { capture: true, signal: caseLife() };
    addEventListener("pointerup", (event) => this.end(event), whole);
    addEventListener("pointercancel", () => this.drop(), whole);
  }

  choose(active: boolean): void {
    this.active = active;
    if (!active) this.leave();
    this.host.classList.toggle("brushing", active);
    this.dispatchEvent(new Event("change"));
  }

  set(given: Partial<BrushSettings>): void {
    Object.assign(this.settings, given);
    this.dispatchEvent(new Event("change"));
    layers.repaint();
  }

  // --- Pointers ------------------------------------------------------------------------------------

  private paneOf(event: Event): Pane | null {
    const { target } = event;
    const index = target instanceof Element ? target.closest<HTMLElement>(".canvas")?.parentElement : null;
    const pane = index ? this.grid.panes[Number(index.dataset.pane)] : undefined;
    return this.active && pane?.kind === "stack" ? pane : null;
  }

  private keepFromEngine(event: MouseEvent | TouchEvent): void {
    const one = "touches" in event ? event.touches.length === 1 : event.button === 0;
    if (one && this.paneOf(event)) event.stopPropagation();
  }

  private pixel(pane: Pane, event: PointerEvent): Pixel | null {
    const box = pane.canvas.getBoundingClientRect();
    return pane.view.pixelAt(event.clientX - box.x, event.clientY - box.y);
  }

  private begin(event: PointerEvent): void {
    const pane = this.paneOf(event);
    if (this.stroke || !event.isPrimary) return this.drop();
    if (!pane || event.button !== 0) return;
    const { set, picture } = pane;
    const at = this.pixel(pane, event);
    if (!set || !picture || !at) return;
    if (!picture.plane || !set.frameOfReferenceUid)
      return this.tell("This image does not state its place in the patient: it cannot be segmented.");
    if (set.coloured) return this.tell("Colour images cannot be segmented.");
    const erasing = this.settings.mode === "erase" || event.altKey;
    const stroke = new Stroke(this, this.measurements, pane, { set, picture }, erasing);
    if (stroke.waits) return this.tell("Preview: painting within a range waits for the rest of the images.");
    this.stroke = stroke;
    stroke.to(at);
    layers.repaint();
  }

  private move(event: PointerEvent): void {
    const pane = this.stroke?.pane ?? this.paneOf(event);
    if (!pane) return;
    const at = this.pixel(pane, event);
    if (!at || !pane.picture) return;
    this.hover = { picture: pane.picture, at };
    this.stroke?.to(at);
    layers.repaint();
  }

  private end(event: PointerEvent): void {
    const { stroke } = this;
    if (!stroke || !event.isPrimary) return;
    this.stroke = null;
    stroke.finish();
    layers.repaint();
  }

  /** Let go of what is being painted: a second finger came down. */
  private drop(): void {
    this.stroke = null;
    layers.repaint();
  }

  private leave(): void {
    this.hover = null;
    layers.repaint();
  }

  // --- What is there -------------------------------------------------------------------------------

  private get marks(): Known[] {
    return this.measurements.list.filter((each) => each.tool === SEGMENT && each.content.mask);
  }

  /** The mark of the chosen segment on an image. */
  markOn(set: DisplaySet, picture: Picture): Known | null {
    const found = this.marks.find(
      (each) =>
        each.label === this.settings.label &&
        each.series_instance_uid === set.series.seriesInstanceUid &&
        each.sop_instance_uid === picture.sopInstanceUid &&
        each.frame_number === picture.frame,
    );
    return found ?? null;
  }

  /** Segments by series and name, with what they measure. */
  get segments(): PaintedSegment[] {
    const byName = new Map<string, Known[]>();
    for (const each of this.marks) {
      const key = `${each.series_instance_uid}\n${each.label}`;
      byName.set(key, [...(byName.get(key) ?? []), each]);
    }
    return [...byName].map(([key, marks], at) => {
      const [series = "", label = ""] = key.split("\n");
      const area = marks.reduce((sum, each) => sum + (each.content.statistics[0]?.value ?? 0), 0);
      const set = this.measurements.place(marks[0]?.measurement_id ?? "")?.set;
      const why = !set
        ? "Open the series to see its volume."
        : set.gate.volume
          ? ""
          : `No volume: ${set.gate.reason}`;
      const volumeMl = set?.gate.volume ? (area * set.gate.spacing) / 1000 : null;
      const index = (each: Known) => this.measurements.place(each.measurement_id)?.index ?? 0;
      marks.sort((a, b) => index(a) - index(b));
      return { series, label, colour: `rgb(${rgb(at).join(" ")})`, marks, area, volumeMl, why };
    });
  }

  rename(segment: PaintedSegment, label: string): void {
    const changes = segment.marks.flatMap((before) => {
      const place = this.measurements.place(before.measurement_id);
      return place ? [{ place, label, content: before.content, before }] : [];
    });
    this.measurements.markAll("Name of a segment", SEGMENT, changes);
    this.set({ label });
  }

  remove(segment: PaintedSegment): void {
    const changes = segment.marks.flatMap((before) => {
      const place = this.measurements.place(before.measurement_id);
      return place ? [{ place, label: before.label, content: null, before }] : [];
    });
    this.measurements.markAll("Deletion of a segment", SEGMENT, changes);
  }

  // --- Drawing -------------------------------------------------------------------------------------

  /** Make sure of a layer for each segment, and one for the cursor. */
  private show(): void {
    const { segments } = this;
    const names = JSON.stringify(segments.map((each) => [each.series, each.label]));
    if (names === this.drawn) layers.repaint();
    else {
      this.drawn = names;
      layers.dropGroup(GROUP);
      layers.add([...segments.map((each, at) => this.layer(each, at)), this.cursor()]);
    }
    this.dispatchEvent(new Event("change"));
  }

  private layer(segment: PaintedSegment, at: number): Layer {
    const { series, label } = segment;
    const on = (picture: Picture): Known | undefined =>
      this.marks.find(
        (each) =>
          each.label === label &&
          each.series_instance_uid === series &&
          each.sop_instance_uid === picture.sopInstanceUid &&
          each.frame_number === picture.frame,
      );
    return {
      id: `${GROUP}/${series}/${label}`,
      group: GROUP,
      label,
      colour: segment.colour,
      visible: true,
      opacity: 0.45,
      on: (picture) => !this.stroke?.covers(picture, label) && on(picture) !== undefined,
      cut: (context, cut) => {
        const slices = this.marks.flatMap((each) => {
          const place = this.measurements.place(each.measurement_id);
          const mask = each.content.mask;
          const fits =
            each.label === label &&
            each.series_instance_uid === series &&
            each.content.frame_of_reference_uid === cut.frameOfReferenceUid;
          if (!fits || !mask || !place?.picture.plane) return [];
          const { plane } = place.picture;
          return [{ plane, values: () => decodedMask(mask, plane).map((bit) => 255 * bit) }];
        });
        cutSegment(context, cut, slices, rgb(at));
      },
      draw: (context, picture, to) => {
        const mask = on(picture)?.content.mask;
        if (mask) drawBitmap(context, to, this.bitmap(mask, picture, rgb(at)));
      },
    };
  }

  private bitmap(kept: KeptMask, picture: Picture, colour: Rgb): HTMLCanvasElement {
    const known = this.bitmaps.get(kept);
    if (known) return known;
    const size = sizeOf(picture);
    const mask = decodedMask(kept, size);
    const made = bitmapOf((index) => mask[index] ?? 0, size.columns, size.rows, colour);
    this.bitmaps.set(kept, made);
    return made;
  }

  /** The brush where it would paint, and what is being painted. */
  private cursor(): Layer {
    return {
      id: `${GROUP}/cursor`,
      group: GROUP,
      label: "",
      colour: "#ffffff",
      hidden: true,
      visible: true,
      opacity: 0.9,
      on: (picture) => this.active && (this.hover?.picture === picture || this.stroke?.picture === picture),
      draw: (context, picture, to) => {
        const { stroke, hover } = this;
        if (stroke?.picture === picture) {
          context.save();
          context.globalAlpha = 0.45;
          const colour = this.segments.findIndex(
            (each) => each.label === this.settings.label && each.series === stroke.series,
          );
          const size = sizeOf(picture);
          const mask = stroke.mask;
          drawBitmap(
            context,
            to,
            bitmapOf(
              (index) => mask[index] ?? 0,
              size.columns,
              size.rows,
              rgb(colour < 0 ? this.segments.length : colour),
            ),
          );
          context.restore();
          if (stroke.outline.length > 1) trace(context, to, stroke.outline, false);
        }
        if (!hover || this.settings.mode === "outline") return;
        const radii = radiiOf(picture, this.settings.radiusMm);
        const [x, y] = to(hover.at);
        const [right] = to([hover.at[0] + radii[0], hover.at[1]]);
        const edge = to([hover.at[0] + radii[0], hover.at[1]]);
        const reach = Math.hypot(right - x, edge[1] - y);
        context.beginPath();
        context.arc(x, y, reach, 0, 2 * Math.PI);
        context.stroke();
      },
    };
  }
}

const sizeOf = (picture: Picture) => ({
  columns: picture.plane?.columns ?? 0,
  rows: picture.plane?.rows ?? 0,
});

function radiiOf(picture: Picture, radiusMm: number): [number, number] {
  const [between, across] = picture.plane?.spacing ?? [1, 1];
  return [radiusMm / across, radiusMm / between];
}

function decodedMask(kept: KeptMask, size: { columns: number; rows: number }): Uint8Array {
  const known = decoded.get(kept);
  if (known) return known;
  const made = maskOf(kept, size);
  decoded.set(kept, made);
  return made;
}

/** One way of the brush: what it has painted so far on each image. */
class Stroke {
  readonly picture: Picture;
  readonly series: string;
  readonly outline: Pixel[] = [];
  private readonly set: DisplaySet;
  private readonly masks = new Map<Picture, Uint8Array>();
  private last: Pixel | null = null;

  constructor(
    private readonly brush: Brush,
    private readonly measurements: Measurements,
    readonly pane: Pane,
    place: { set: DisplaySet; picture: Picture },
    private readonly erasing: boolean,
  ) {
    this.set = place.set;
    this.picture = place.picture;
    this.series = place.set.series.seriesInstanceUid;
    this.of(this.picture);
  }

  get mask(): Uint8Array {
    return this.of(this.picture);
  }

  covers(picture: Picture, label: string): boolean {
    return picture === this.picture && label === this.brush.settings.label;
  }

  private of(picture: Picture): Uint8Array {
    const known = this.masks.get(picture);
    if (known) return known;
    const kept = this.brush.markOn(this.set, picture)?.content.mask;
    const size = sizeOf(picture);
    const made = kept ? decodedMask(kept, size).slice() : new Uint8Array(size.columns * size.rows);
    this.masks.set(picture, made);
    return made;
  }

  to(at: Pixel): void {
    const { mode, radiusMm } = this.brush.settings;
    if (mode === "outline") {
      this.outline.push(at);
      return;
    }
    const from = this.last ?? at;
    const [across, down] = radiiOf(this.picture, radiusMm);
    const way = Math.hypot((at[0] - from[0]) / across, (at[1] - from[1]) / down);
    const steps = Math.max(1, Math.ceil(way * 3));
    for (let step = this.last ? 1 : steps; step <= steps; step++) {
      const share = step / steps;
      this.dab([from[0] + (at[0] - from[0]) * share, from[1] + (at[1] - from[1]) * share]);
    }
    this.last = at;
  }

  private dab(centre: Pixel): void {
    const { radiusMm, ball } = this.brush.settings;
    for (const { picture, radius } of ball
      ? this.ball(radiusMm)
      : [{ picture: this.picture, radius: radiusMm }]) {
      const disc = { centre, radii: radiiOf(picture, radius) };
      const value = this.erasing ? 0 : 1;
      paintDisc(this.of(picture), sizeOf(picture), disc, value, this.allowed(picture));
    }
  }

  /** Images that a ball around the shown one reaches, with its radius on each. */
  private *ball(radiusMm: number): Generator<{ picture: Picture; radius: number }> {
    const here = this.picture.plane;
    if (!here) return;
    for (const picture of this.set.pictures) {
      const away = picture.plane && dot(subtract(picture.plane.position, here.position), normalOf(here));
      const radius = away === null ? 0 : cutOfBall(radiusMm, away);
      if (radius > 0) yield { picture, radius };
    }
  }

  /** Whether values decide that are not there: of previews or of images that are not loaded. */
  get waits(): boolean {
    const { mode, ball, radiusMm, range } = this.brush.settings;
    if (this.erasing || range.every((each) => each === null)) return false;
    const reached = ball && mode !== "outline" ? [...this.ball(radiusMm)] : [{ picture: this.picture }];
    return reached.some(({ picture }) => !wholeImage(picture.imageId));
  }

  /** Whether a pixel's value lies in the range; pixels of images that are not loaded are never painted by it. */
  private allowed(picture: Picture): (index: number) => boolean {
    const [low, high] = this.brush.settings.range;
    if (this.erasing || (low === null && high === null)) return () => true;
    const values = wholeImage(picture.imageId)?.voxelManager?.getScalarData();
    if (!values) return () => false;
    const one = this.pane.appearance.uptakeRatio;
    const [least, most] = [low ?? Number.NEGATIVE_INFINITY, high ?? Number.POSITIVE_INFINITY];
    return (index) => {
      const value = (values[index] ?? 0) * one;
      return value >= least && value <= most;
    };
  }

  /** Keep what was painted, as one step. */
  finish(): void {
    const { label, mode } = this.brush.settings;
    if (mode === "outline")
      paintPolygon(
        this.mask,
        sizeOf(this.picture),
        this.outline,
        this.erasing ? 0 : 1,
        this.allowed(this.picture),
      );
    const changes = [...this.masks].flatMap(([picture, mask]) => {
      const before = this.brush.markOn(this.set, picture);
      const kept = keptMask(mask, sizeOf(picture));
      if (JSON.stringify(kept) === JSON.stringify(before?.content.mask ?? null)) return [];
      const place = { set: this.set, picture, index: this.set.pictures.indexOf(picture) };
      const [between, across] = picture.plane?.spacing ?? [0, 0];
      const area = count(mask) * between * across;
      const content = kept && { mask: kept, statistics: [{ name: "Area", value: area, unit: "mm²" }] };
      return [{ place, label, content, before }];
    });
    this.measurements.markAll(this.erasing ? "Erasing" : "Painting", SEGMENT, changes);
  }
}
