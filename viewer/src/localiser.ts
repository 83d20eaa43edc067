// The localiser: where one points in an image, all other viewports of the same frame of reference go, and a cross
// marks the place in each.

import { onPlane } from "./contours.ts";
import { TAG, text } from "./dicom.ts";
import type { Picture } from "./displaysets.ts";
import { dot, normalOf, subtract, type Vec3 } from "./geometry.ts";
import type { Grid } from "./grid.ts";
import { type Layer, layers } from "./layers.ts";
import { caseLife } from "./life.ts";
import type { Pane } from "./pane.ts";

export const LOCALISER = "Localiser";
const NEAR_MM = 5; // of the plane on which the cross is drawn, at most
const ARM_PX = 9;

export class Localiser {
  active = false;
  private pointing = false;
  private place: { at: Vec3; frame: string } | null = null;

  constructor(
    host: HTMLElement,
    private readonly grid: Grid,
    private readonly tell: (words: string) => void,
  ) {
    host.addEventListener("mousedown", (event) => this.keepFromEngine(event), true);
    host.addEventListener("touchstart", (event) => this.keepFromEngine(event), true);
    host.addEventListener("pointerdown", (event) => this.point(event, true), true);
    host.addEventListener("pointermove", (event) => this.point(event, false), true);
    const ended = () => {
      this.pointing = false;
    };
    addEventListener("pointerup", ended, { signal: caseLife() });
    layers.add([this.layer()]);
  }

  choose(active: boolean): void {
    this.active = active;
    this.place = null;
    layers.repaint();
  }

  private paneOf(event: Event): Pane | null {
    const { target } = event;
    const found = target instanceof Element ? target.closest<HTMLElement>(".pane") : null;
    const pane = found ? this.grid.panes[Number(found.dataset.pane)] : undefined;
    return this.active && pane?.kind === "stack" ? pane : null;
  }

  private keepFromEngine(event: MouseEvent | TouchEvent): void {
    const one = "touches" in event ? event.touches.length === 1 : event.button === 0;
    if (one && this.paneOf(event)) event.stopPropagation();
  }

  private point(event: PointerEvent, begin: boolean): void {
    const pane = this.paneOf(event);
    if (!pane?.stack || !event.isPrimary || (begin ? event.button !== 0 : !this.pointing)) return;
    const { picture, set } = pane;
    this.pointing = true;
    if (!picture?.plane || !set?.frameOfReferenceUid)
      return this.tell("This image does not state its place in the patient.");
    const box = pane.canvas.getBoundingClientRect();
    const [x, y, z] = pane.stack.canvasToWorld([event.clientX - box.x, event.clientY - box.y]);
    this.place = { at: [x, y, z], frame: set.frameOfReferenceUid };
    for (const each of this.grid.panes) if (each !== pane) this.follow(each, this.place);
    layers.repaint();
  }

  private follow(pane: Pane, place: { at: Vec3; frame: string }): void {
    const normal = pane.depth()?.normal;
    if (!normal || pane.set?.frameOfReferenceUid !== place.frame) return;
    pane.goToDepth(dot(place.at, normal), normal);
  }

  private layer(): Layer {
    const on = (picture: Picture): boolean => {
      const { plane } = picture;
      if (!this.place || !plane || text(picture.data, TAG.frameOfReferenceUid) !== this.place.frame)
        return false;
      return Math.abs(dot(subtract(this.place.at, plane.position), normalOf(plane))) <= NEAR_MM;
    };
    return {
      id: "localiser",
      group: "localiser",
      label: "",
      colour: "#f0b952",
      hidden: true,
      visible: true,
      opacity: 1,
      on,
      draw: (context, picture, to) => {
        if (!picture.plane || !this.place) return;
        const [x, y] = to(onPlane(picture.plane, this.place.at));
        for (const [dx, dy] of [
          [1, 0],
          [-1, 0],
          [0, 1],
          [0, -1],
        ] as const) {
          context.beginPath();
          context.moveTo(x + 3 * dx, y + 3 * dy);
          context.lineTo(x + ARM_PX * dx, y + ARM_PX * dy);
          context.stroke();
        }
      },
    };
  }
}
