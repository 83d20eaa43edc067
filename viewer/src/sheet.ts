// The sheet over a viewport: layers are drawn on it where the shown image or plane has something of them.

import { h } from "./dom.ts";
import { drawingOf } from "./engine.ts";
import { drawCuts, drawLayers, layers } from "./layers.ts";
import type { Pane } from "./pane.ts";

export class Sheet {
  readonly element: HTMLCanvasElement = h("canvas", { class: "sheet", "aria-hidden": "true" });
  private cutting = false;

  constructor(private readonly pane: Pane) {
    drawingOf(this.element);
  }

  draw(): void {
    const { pane } = this;
    if (pane.kind === "plane") {
      this.uncover(true);
      return this.drawCuts();
    }
    const picture = pane.kind === "stack" ? pane.picture : null;
    const shown = picture ? layers.list.filter((each) => each.visible && each.on(picture)) : [];
    if (this.uncover(shown.length > 0)) drawLayers(this.element, pane.stack, picture, shown);
  }

  /** A sheet on which nothing is drawn costs as much as the image under it: it is taken away. Whether it is there. */
  private uncover(needed: boolean): boolean {
    const wanted = needed ? "" : "hidden";
    if (this.element.style.visibility !== wanted) {
      this.element.style.visibility = wanted;
      this.element.getContext("2d")?.reset();
    }
    return needed;
  }

  /** Draw where the shown plane cuts through layers, at most once for each picture that the browser shows. */
  private drawCuts(): void {
    if (this.cutting) return;
    this.cutting = true;
    requestAnimationFrame(() => {
      this.cutting = false;
      const { kind, viewport, set } = this.pane;
      if (kind === "plane") drawCuts(this.element, viewport, set?.frameOfReferenceUid ?? "", layers.list);
    });
  }
}
