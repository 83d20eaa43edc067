// The facts around an image: whose it is, which one, from which side, how large, how it is shown.

import { date, rounded } from "./format.ts";
import { utilities } from "@cornerstonejs/core";
import { number, TAG, text } from "./dicom.ts";
import { h } from "./dom.ts";
import { calibrationOf } from "./engine.ts";
import { add, dot, length, letters, opposite, subtract, times, type Vec3 } from "./geometry.ts";
import type { Pane } from "./pane.ts";
import { quantityOfImage } from "./parametric.ts";
import { calibrations } from "./toolgroups.ts";
import { uptake } from "./uptake.ts";

const SCALE_SHARE = 0.25; // of the viewport's width at most

const { windowLevel } = utilities;

export interface PatientFacts {
  name: string;
  id: string;
}

let patient: PatientFacts = { name: "", id: "" };
export const setPatient = (given: PatientFacts): void => {
  patient = given;
};

export class Overlay {
  private readonly corners = new Map<string, HTMLElement>();
  private readonly marks = new Map<string, HTMLElement>();
  private readonly message: HTMLElement;
  private readonly scale: HTMLElement;
  private readonly scaleText: HTMLElement;
  private readonly slider: HTMLInputElement;
  private readonly quality: HTMLElement;
  private waiting = false;

  constructor(private readonly pane: Pane) {
    for (const place of ["top-left", "top-right", "bottom-left", "bottom-right"]) {
      const corner = h("span", { class: `corner ${place}` });
      this.corners.set(place, corner);
      pane.element.append(corner);
    }
    for (const side of ["top", "right", "bottom", "left"]) {
      const mark = h("span", { class: `mark ${side}`, "data-side": side });
      this.marks.set(side, mark);
      pane.element.append(mark);
    }
    this.scaleText = h("span");
    this.scale = h("span", { class: "scale", hidden: true }, h("i"), this.scaleText);
    this.message = h("p", { class: "message", hidden: true });
    this.quality = h("span", { class: "quality" });
    this.slider = h("input", {
      type: "range",
      class: "slices",
      min: 0,
      max: 0,
      value: 0,
      "aria-label": "Image",
      tabindex: -1,
      oninput: () => void pane.go(Number(this.slider.value)),
    });
    pane.element.append(this.scale, this.quality, this.message, this.slider);
  }

  say(what: string): void {
    this.message.textContent = what;
    this.message.hidden = !what;
  }

  /** Write everything anew, at most once for each picture that the browser shows. */
  refresh(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.write();
    });
  }

  private put(place: string, lines: (string | undefined)[]): void {
    const corner = this.corners.get(place);
    const wanted = lines.filter(Boolean).join("\n");
    if (corner && corner.textContent !== wanted) corner.textContent = wanted;
  }

  private write(): void {
    const { pane } = this;
    const { set, picture } = pane;
    if (!set || !picture || pane.kind === "empty") {
      for (const place of this.corners.keys()) this.put(place, []);
      for (const mark of this.marks.values()) mark.textContent = "";
      this.scale.hidden = this.slider.hidden = true;
      this.quality.textContent = "";
      return;
    }
    const { series } = set;
    this.put("top-left", [
      patient.name,
      patient.id,
      `${date(series.studyDate)} ${series.studyDescription}`.trim(),
    ]);
    this.put("top-right", [
      `${series.modality} ${set.label}`.trim(),
      pane.plane ? `${pane.plane}${pane.element.dataset.slab ?? ""}` : "",
      text(picture.data, TAG.laterality) && `Side ${text(picture.data, TAG.laterality)}`,
      text(picture.data, TAG.viewPosition),
    ]);
    this.put("bottom-left", [this.window(), this.zoom()]);
    this.put("bottom-right", [
      this.place(),
      this.depth(),
      pane.playing ? `Playing, ${rounded(set.framesPerSecond ?? 15, 0)} frames/s` : "",
    ]);
    this.put_quality();
    this.orient();
    this.measure();
    this.slide();
  }

  private window(): string {
    const range = this.pane.appearance.range();
    if (!range || this.pane.kind === "solid" || this.pane.set?.coloured) return "";
    // PT is shown in SUV, where the width's "+ 1" of the linear function would be most of the window.
    const imageId = this.pane.picture?.imageId ?? "";
    const exact = this.pane.appearance.presets === "PT" || quantityOfImage(imageId) !== null;
    const one = this.pane.appearance.uptakeRatio;
    const { windowWidth, windowCenter } = exact
      ? {
          windowWidth: (range.upper - range.lower) * one,
          windowCenter: ((range.upper + range.lower) / 2) * one,
        }
      : windowLevel.toWindowLevel(range.lower, range.upper);
    const digits = windowWidth < 20 ? (windowWidth < 2 ? 3 : 1) : 0;
    const unit = exact ? ` ${uptake.unit(this.pane.picture?.imageId ?? "")}` : "";
    return `W ${rounded(windowWidth, digits)}  L ${rounded(windowCenter, digits)}${unit}`;
  }

  private zoom(): string {
    const zoom = this.pane.viewport?.getZoom?.() ?? 1;
    return this.pane.kind === "solid" ? "" : `Zoom ${zoom.toFixed(2)}`;
  }

  private place(): string {
    const { pane } = this;
    if (pane.kind === "solid") return "Volume rendering";
    const noun =
      pane.kind === "stack" &&
      new Set(pane.set?.pictures.map((each) => each.sopInstanceUid)).size === 1 &&
      pane.slices > 1
        ? "Frame"
        : "Image";
    return `${noun} ${pane.position + 1} of ${pane.slices}`;
  }

  private depth(): string {
    const picture = this.pane.picture;
    if (this.pane.kind !== "stack" || !picture?.plane) return "";
    const thickness = number(picture.data, TAG.sliceThickness);
    const at = this.pane.depth()?.at ?? 0;
    return `${thickness ? `${rounded(thickness)} mm thick, ` : ""}at ${rounded(at)} mm`;
  }

  /** What is to be known before anything is judged or measured on this image. */
  private put_quality(): void {
    const data = this.pane.picture?.data;
    if (!data) return;
    const said: string[] = [];
    const { derived } = this.pane.set ?? {};
    if (derived) said.push(derived);
    if (this.pane.preview) said.push(`Preview${this.progress()}: measuring waits for the rest`);
    if (text(data, TAG.lossyImageCompression) === "01") said.push("Lossy compression");
    const calibration = calibrationOf(data);
    const own = calibrations.get(this.pane.picture?.imageId ?? "");
    if (own) said.push("Lengths calibrated by a known length");
    else if (!calibration.known) said.push("Uncalibrated: lengths in pixels");
    else if (calibration.how) said.push(`Lengths ${calibration.how}`);
    if (text(data, TAG.burnedInAnnotation) === "YES") said.push("Text burned into the pixels");
    const wanted = said.join(" · ");
    if (this.quality.textContent !== wanted) this.quality.textContent = wanted;
  }

  /** How much of the shown volumes is there. */
  private progress(): string {
    const tables = this.pane.unfinished.map((each) => each.table);
    const sum = (of: "whole" | "count") => tables.reduce((all, each) => all + each[of], 0);
    return tables.length ? `, ${sum("whole")} of ${sum("count")} images whole` : "";
  }

  private world(x: number, y: number): Vec3 {
    return (this.pane.viewport as unknown as { canvasToWorld(at: [number, number]): Vec3 }).canvasToWorld([
      x,
      y,
    ]);
  }

  /** Letters at the four sides, from where the sides really are: right for every flip and turn. */
  private orient(): void {
    const { pane } = this;
    const origin = this.world(0, 0);
    const right = subtract(this.world(100, 0), origin);
    const down = subtract(this.world(0, 100), origin);
    const say = (side: string, what: string) => {
      const mark = this.marks.get(side);
      if (mark && mark.textContent !== what) mark.textContent = what;
    };
    const words = (way: Vec3): string => (pane.kind === "stack" ? this.inStack(way) : letters(way));
    const toRight = words(right);
    const toBottom = words(down);
    say("right", toRight);
    say("left", opposite(toRight));
    say("bottom", toBottom);
    say("top", opposite(toBottom));
  }

  private inStack(way: Vec3): string {
    const picture = this.pane.picture;
    if (picture?.plane) return letters(way);
    // No place in the patient: the image may still say where its rows and columns lead. PS3.3 C.7.6.1.1.1
    const [alongRow, alongColumn] = (picture?.data[TAG.patientOrientation]?.Value ?? []) as string[];
    if (!alongRow || !alongColumn) return "";
    const camera: [Vec3, string][] = [
      [[1, 0, 0], alongRow],
      [[0, 1, 0], alongColumn],
    ];
    const size = length(way) || 1;
    let said = "";
    for (const [axis, name] of camera) {
      const share = dot(way, axis) / size;
      if (Math.abs(share) > 0.7) said = share > 0 ? name : opposite(name);
    }
    return said;
  }

  private measure(): void {
    const { pane } = this;
    const data = pane.picture?.data;
    const per = data && pane.kind !== "solid" ? this.millimetresPerPoint() : 0;
    this.scale.hidden = !per;
    if (!per) return;
    const most = pane.canvas.clientWidth * SCALE_SHARE * per;
    const step = [200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2].find((each) => each <= most) ?? 0.1;
    (this.scale.firstChild as HTMLElement).style.width = `${step / per}px`;
    this.scaleText.textContent = step >= 10 ? `${step / 10} cm` : `${step} mm`;
  }

  private millimetresPerPoint(): number {
    const data = this.pane.picture?.data;
    if (!data || !calibrationOf(data).known) return 0;
    const origin = this.world(0, 0);
    const reach = length(subtract(this.world(100, 0), origin)) / 100;
    if (text(data, TAG.modality) !== "US" || !data["00186011"]?.Value?.length) return reach;
    const region = (data["00186011"].Value[0] ?? {}) as Record<string, { Value?: number[] }>;
    const centimetres = region["00186024"]?.Value?.[0] === 3 ? (region["0018602C"]?.Value?.[0] ?? 0) : 0;
    return this.pane.picture?.plane ? reach : reach * Math.abs(centimetres) * 10;
  }

  private slide(): void {
    const { pane, slider } = this;
    slider.hidden = pane.slices < 2;
    slider.max = String(Math.max(0, pane.slices - 1));
    slider.value = String(pane.position);
    slider.setAttribute("aria-valuetext", this.place());
  }
}

/** A point some way along a direction: for those who draw on the image. */
export const along = (from: Vec3, way: Vec3, by: number): Vec3 => add(from, times(way, by));
