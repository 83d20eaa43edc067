// Window and zoom in step: what is done to one viewport is done to the others, where it means the same there.

import * as core from "@cornerstonejs/core";
import type { Grid } from "./grid.ts";
import type { Pane } from "./pane.ts";

export class Together {
  on = false;
  private following = false;
  private readonly known = new WeakSet<Pane>();

  constructor(private readonly grid: Grid) {
    grid.addEventListener("layout", () => this.listen());
    grid.addEventListener("shown", () => {
      if (this.on) this.follow(this.grid.active, true, true);
    });
  }

  toggle(): boolean {
    this.on = !this.on;
    if (this.on) this.follow(this.grid.active, true, true);
    return this.on;
  }

  private listen(): void {
    const { VOI_MODIFIED, CAMERA_MODIFIED } = core.Enums.Events;
    for (const pane of this.grid.panes) {
      if (this.known.has(pane)) continue;
      this.known.add(pane);
      pane.canvas.addEventListener(VOI_MODIFIED, () => this.moved(pane, true, false));
      pane.canvas.addEventListener(CAMERA_MODIFIED, () => this.moved(pane, false, true));
    }
  }

  private moved(source: Pane, window: boolean, zoom: boolean): void {
    if (this.on && !this.following && source === this.grid.active) this.follow(source, window, zoom);
  }

  private follow(source: Pane, window: boolean, zoom: boolean): void {
    if (source?.kind !== "stack") return;
    this.following = true;
    try {
      for (const each of this.grid.panes) {
        if (each === source || each.kind !== "stack") continue;
        if (window) this.window(source, each);
        if (zoom) this.zoom(source, each);
        each.viewport?.render();
      }
    } finally {
      this.following = false;
    }
  }

  /** The same window means the same only in the same units. */
  private window(source: Pane, other: Pane): void {
    const range = source.appearance.range();
    if (
      !range ||
      source.appearance.presets !== other.appearance.presets ||
      source.set?.coloured ||
      other.set?.coloured
    )
      return;
    const inverted = source.stack?.getProperties().invert ?? false;
    other.stack?.setProperties({ voiRange: range, invert: inverted });
  }

  /** As many millimetres in a centimetre of the screen; where nothing is known of them, as many pixels. */
  private zoom(source: Pane, other: Pane): void {
    const scale = source.stack?.getCamera().parallelScale;
    const [from, to] = [source.canvas.clientHeight, other.canvas.clientHeight];
    if (!scale || !from || !to || Boolean(source.picture?.plane) !== Boolean(other.picture?.plane)) return;
    other.stack?.setCamera({ parallelScale: (scale * to) / from });
  }
}
