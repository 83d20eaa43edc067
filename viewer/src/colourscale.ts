// The colours of a parametric map: which value has which, chosen by the user, and the value under the pointer.

import * as core from "@cornerstonejs/core";
import "./colourscale.css";
import { COLOUR_MAPS, colourAt, pointsOf, told } from "./colours.ts";
import { h } from "./dom.ts";
import { latticeOf } from "./layers.ts";
import { whenLeft } from "./life.ts";
import type { Pane } from "./pane.ts";
import { quantityOfImage } from "./parametric.ts";

for (const each of COLOUR_MAPS)
  core.utilities.colormap.registerColormap({
    ColorSpace: "RGB",
    Name: each.name,
    RGBPoints: pointsOf(each),
  } as never);

const STEPS = 64;

const scales = new Map<Pane, ColourScale>();
whenLeft(() => scales.clear());

/** Give every viewport that shows a map its colours, and take them from those that do so no more. */
export function showScales(panes: readonly Pane[]): void {
  for (const [pane, scale] of scales) {
    if (panes.includes(pane) && scale.imageId === shownMap(pane)) continue;
    scale.remove();
    scales.delete(pane);
  }
  for (const pane of panes) {
    const imageId = shownMap(pane);
    if (imageId && !scales.has(pane)) scales.set(pane, new ColourScale(pane, imageId));
  }
}

/** The first image of the map that a viewport shows. */
function shownMap(pane: Pane): string | null {
  const imageId = pane.set?.pictures[0]?.imageId ?? "";
  return pane.kind === "stack" && quantityOfImage(imageId) ? imageId : null;
}

class ColourScale {
  private readonly bar = h("canvas", { width: 1, height: STEPS });
  private readonly most = h("span");
  private readonly least = h("span");
  private readonly under = h("output", { "aria-label": "Value under the pointer" });
  private readonly choice: HTMLSelectElement;
  private readonly element: HTMLElement;
  private readonly quantity: { name: string; unit: string };

  constructor(
    private readonly pane: Pane,
    readonly imageId: string,
  ) {
    this.quantity = quantityOfImage(imageId) ?? { name: "", unit: "" };
    this.choice = h(
      "select",
      { "aria-label": "Colours" },
      ...COLOUR_MAPS.map(({ name, label }) => h("option", { value: name }, label)),
    );
    this.element = h(
      "div",
      { class: "colour-scale" },
      h("span", {}, [this.quantity.name, this.quantity.unit].filter(Boolean).join(", ")),
      this.most,
      this.bar,
      this.least,
      this.choice,
      this.under,
    );
    pane.element.append(this.element);
    this.choice.addEventListener("change", () => this.colour());
    pane.canvas.addEventListener(core.Enums.Events.VOI_MODIFIED, this.redraw);
    pane.canvas.addEventListener("pointermove", this.probe);
    this.colour();
  }

  remove(): void {
    this.pane.canvas.removeEventListener(core.Enums.Events.VOI_MODIFIED, this.redraw);
    this.pane.canvas.removeEventListener("pointermove", this.probe);
    this.element.remove();
  }

  private colour(): void {
    this.pane.stack?.setProperties({ colormap: { name: this.choice.value } });
    this.pane.stack?.render();
    this.redraw();
  }

  private readonly redraw = (): void => {
    const range = this.pane.appearance.range();
    const context = this.bar.getContext("2d");
    if (!range || !context) return;
    const map = COLOUR_MAPS.find(({ name }) => name === this.choice.value);
    const points = map ? pointsOf(map) : [];
    for (let at = 0; at < STEPS; at++) {
      const [red, green, blue] = colourAt(points, 1 - at / (STEPS - 1));
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      context.fillRect(0, at, 1, 1);
    }
    const span = range.upper - range.lower;
    this.most.textContent = told(range.upper, span);
    this.least.textContent = told(range.lower, span);
  };

  private readonly probe = (event: PointerEvent): void => {
    const { stack } = this.pane;
    const image = stack?.getCornerstoneImage();
    const lattice = latticeOf(stack);
    if (!stack || !image || !lattice) return;
    const place = lattice.worldToIndex(stack.canvasToWorld([event.offsetX, event.offsetY]));
    const [column, row] = [Math.round(place[0] ?? -1), Math.round(place[1] ?? -1)];
    const inside = column >= 0 && row >= 0 && column < image.columns && row < image.rows;
    const value = inside ? image.getPixelData()[row * image.columns + column] : undefined;
    const range = this.pane.appearance.range();
    const span = range ? range.upper - range.lower : 1;
    this.under.textContent =
      value === undefined ? "" : `${told(value, span)}${this.quantity.unit && ` ${this.quantity.unit}`}`;
  };
}
