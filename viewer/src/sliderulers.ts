// Lengths on a slide: lines over its tiles, at places of the finest level. What is drawn is kept as a measurement;
// which of them lie on the shown slide, and what they say, follows from the records alone.

import { type Statistic, told } from "./format.ts";
import { TAG, text } from "./dicom.ts";
import type { Known } from "./records.ts";
import { type Level, lengthOn, levelOfInstance, scaleOf, type Slide } from "./slide.ts";

export type Point = readonly [number, number];

export interface DrawnLength {
  id: string; // of the measurement
  from: Point; // columns and rows of the finest level
  to: Point;
  words: string;
}

const LENGTH = "Length";
const LEAST = 2; // pixels of the finest level: anything shorter was no drag
const REACH = 8; // points of the screen from which a line or its end is taken

/** The lengths that were measured on the slide, whichever of its levels they name. */
export function lengthsOn(slide: Slide, list: readonly Known[]): DrawnLength[] {
  return list.flatMap(({ measurement_id: id, tool, label, sop_instance_uid, content }) => {
    const level = levelOfInstance(slide, sop_instance_uid);
    const [from, to] = content.image_points ?? [];
    if (tool !== LENGTH || content.pixel_origin !== "VOLUME" || !level || !from || !to) return [];
    const [across, down] = scaleOf(slide, level);
    const at = ([column, row]: Point): Point => [column * across, row * down];
    const words = [label, ...content.statistics.map(told)].filter(Boolean).join(" ");
    return [{ id, from: at(from), to: at(to), words }];
  });
}

/** The record of a length: a new one, or the one that it was before with other ends. */
export function recordOf(slide: Slide, layer: number, from: Point, to: Point, before?: Known): Known {
  const base = slide.levels[0] as Level;
  const under = base.tiles(from[0], from[1], from[0] + 1, from[1] + 1, layer)[0];
  const instance = under?.instance ?? base.parts[0];
  const uid = before?.sop_instance_uid ?? text(instance, TAG.sopInstanceUid);
  const [across, down] = scaleOf(slide, levelOfInstance(slide, uid) ?? base);
  const drawn = {
    image_points: [from, to].map(([column, row]): [number, number] => [column / across, row / down]),
    statistics: [lengthOn(base, from, to)] as Statistic[],
  };
  if (before) return { ...before, content: { ...before.content, ...drawn } };
  return {
    study: text(instance, TAG.studyInstanceUid),
    measurement_id: crypto.randomUUID(),
    series_instance_uid: text(instance, TAG.seriesInstanceUid),
    sop_instance_uid: uid,
    frame_number: 1,
    tool: LENGTH,
    label: "",
    content: {
      points: [],
      pixel_origin: "VOLUME",
      frame_of_reference_uid: text(instance, TAG.frameOfReferenceUid),
      ...drawn,
    },
  };
}

const made = <Name extends keyof SVGElementTagNameMap>(name: Name): SVGElementTagNameMap[Name] =>
  document.createElementNS("http://www.w3.org/2000/svg", name);

const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** How far a point is from a line between two others. */
function awayFrom(at: Point, from: Point, to: Point): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const along = ((at[0] - from[0]) * dx + (at[1] - from[1]) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return distance(at, [from[0] + share * dx, from[1] + share * dy]);
}

/** The line that a pointer draws or one of whose ends it moves: the end that follows it is `to`. */
interface Drag {
  id: string; // empty: it is new
  from: Point;
  to: Point;
  moved: boolean;
}

export class Rulers {
  readonly element = made("svg");
  active = false;
  chosen = ""; // the measurement that a key is for
  private lengths: readonly DrawnLength[] = [];
  private drag: Drag | null = null;

  constructor(private readonly base: Level) {
    this.element.classList.add("rulers");
  }

  /** Whether a line follows the pointer. */
  get drawing(): boolean {
    return this.drag !== null;
  }

  show(lengths: readonly DrawnLength[]): void {
    this.lengths = lengths;
    if (!lengths.some((each) => each.id === this.chosen)) this.chosen = "";
  }

  find(id: string): DrawnLength | undefined {
    return this.lengths.find((each) => each.id === id);
  }

  begin(at: Point): void {
    this.drag = { id: "", from: at, to: at, moved: false };
  }

  /** Take the end of a line under the pointer, in points of the screen; whether there is one. */
  grab(at: Point, onScreen: (at: Point) => Point): boolean {
    for (const { id, from, to } of this.lengths)
      for (const [end, other] of [
        [to, from],
        [from, to],
      ] as const)
        if (distance(onScreen(end), at) <= REACH) {
          this.drag = { id, from: other, to: end, moved: false };
          this.chosen = id;
          return true;
        }
    return false;
  }

  /** Choose the line under the pointer, or none. */
  choose(at: Point, onScreen: (at: Point) => Point): void {
    const hit = this.lengths.find(({ from, to }) => awayFrom(at, onScreen(from), onScreen(to)) <= REACH);
    this.chosen = hit?.id ?? "";
  }

  extend(at: Point): void {
    if (this.drag) Object.assign(this.drag, { to: at, moved: true });
  }

  /** Let go: what is to be kept, if it is more than a point. */
  end(): Drag | null {
    const { drag } = this;
    this.drag = null;
    return drag?.moved && distance(drag.from, drag.to) >= LEAST ? drag : null;
  }

  /** Put the lines where their places are on the screen. */
  place(onScreen: (at: Point) => Point): void {
    const { drag } = this;
    const shown: DrawnLength[] = this.lengths.filter((each) => each.id !== drag?.id);
    if (drag) shown.push({ ...drag, words: told(lengthOn(this.base, drag.from, drag.to)) });
    this.element.replaceChildren(
      ...shown.flatMap(({ id, from, to, words }) => {
        const [x1, y1] = onScreen(from);
        const [x2, y2] = onScreen(to);
        const [line, label] = [made("line"), made("text")];
        for (const [name, value] of Object.entries({ x1, y1, x2, y2 }))
          line.setAttribute(name, String(value));
        line.classList.toggle("chosen", id === this.chosen || id === drag?.id);
        line.dataset.measurement = id;
        label.setAttribute("x", String(x2 + 8));
        label.setAttribute("y", String(y2 - 8));
        label.textContent = words;
        return [line, label];
      }),
    );
  }
}
