// How the image of a stack is shown, as a value: what a presentation state can say of it. PS3.3 C.10.4, C.10.6, C.11.2

import * as core from "@cornerstonejs/core";
import { latticeOf } from "./layers.ts";
import type { Pane } from "./pane.ts";
import { directionsOf, turnOf } from "./presentation.ts";
import type { ShownView } from "./records.ts";

export class StackView {
  constructor(private readonly pane: Pane) {}

  /** Where a place of the viewport is in the image: column and row from 0 at the outer corner. */
  pixelAt(x: number, y: number): [number, number] | null {
    const { stack } = this.pane;
    const image = latticeOf(stack);
    if (!stack || !image) return null;
    const [column, row] = image.worldToIndex(stack.canvasToWorld([x, y]));
    return [(column ?? 0) + 0.5, (row ?? 0) + 0.5];
  }

  private turn(): { rotation: number; flipped: boolean } | null {
    const [origin, right, down] = [this.pixelAt(0, 0), this.pixelAt(100, 0), this.pixelAt(0, 100)];
    if (!origin || !right || !down) return null;
    return turnOf([right[0] - origin[0], right[1] - origin[1]], [down[0] - origin[0], down[1] - origin[1]]);
  }

  /** How the image is shown: what a presentation state can say of it. */
  shown(): ShownView | null {
    const { clientWidth, clientHeight } = this.pane.canvas;
    const [first, last] = [this.pixelAt(0, 0), this.pixelAt(clientWidth, clientHeight)];
    const turn = this.turn();
    if (!first || !last || !turn) return null;
    const range = this.pane.appearance.range();
    const properties = this.pane.stack?.getProperties();
    const { toWindowLevel } = core.utilities.windowLevel;
    const level = range && !this.pane.set?.coloured ? toWindowLevel(range.lower, range.upper) : null;
    // Pixels that begin inside of the viewport, counted from 1.
    const pixels = (a: number, b: number): [number, number] =>
      a <= b ? [Math.round(a) + 1, Math.round(b)] : [Math.round(a), Math.round(b) + 1];
    const [left, right] = pixels(first[0], last[0]);
    const [top, bottom] = pixels(first[1], last[1]);
    return {
      window: level ? [level.windowCenter, level.windowWidth] : null,
      inverted: properties?.invert ?? false,
      ...turn,
      area: [
        [left, top],
        [right, bottom],
      ],
    };
  }

  /** Show the image as somebody showed it. */
  present(view: ShownView): void {
    const { stack } = this.pane;
    if (!stack) return;
    if (view.window) {
      const [centre, width] = view.window;
      stack.setProperties({ voiRange: core.utilities.windowLevel.toLowHighRange(width, centre) });
    }
    stack.setProperties({ invert: view.inverted });
    this.turnTo(view.rotation, view.flipped);
    this.zoomTo(view.area);
    stack.render();
  }

  private turnTo(rotation: number, flipped: boolean): void {
    const wanted = directionsOf(rotation, flipped);
    const goal = turnOf(wanted.right, wanted.down);
    for (const flipHorizontal of [false, true])
      for (const degrees of [0, 90, 180, 270]) {
        this.pane.stack?.setViewPresentation({ rotation: degrees, flipHorizontal, flipVertical: false });
        const found = this.turn();
        if (found?.rotation === goal.rotation && found.flipped === goal.flipped) return;
      }
  }

  private zoomTo([[left, top], [right, bottom]]: ShownView["area"]): void {
    const { stack } = this.pane;
    const image = latticeOf(stack);
    if (!stack || !image || (left === right && top === bottom)) return;
    const middle = image.indexToWorld([(left + right) / 2 - 1, (top + bottom) / 2 - 1, 0]);
    const spacing = image.getSpacing();
    const size = [Math.abs(right - left) + 1, Math.abs(bottom - top) + 1].map(
      (each, axis) => each * (spacing[axis] ?? 1),
    );
    if ((this.turn()?.rotation ?? 0) % 180) size.reverse();
    const [width = 1, height = 1] = size;
    const { clientWidth, clientHeight } = this.pane.canvas;
    const camera = stack.getCamera();
    const [focal, position] = [camera.focalPoint, camera.position];
    if (!focal || !position) return;
    const away = focal.map((each, axis) => (position[axis] ?? 0) - each);
    stack.setCamera({
      focalPoint: middle,
      position: middle.map((each, axis) => each + (away[axis] ?? 0)) as core.Types.Point3,
      parallelScale: Math.max(height, (width * clientHeight) / clientWidth) / 2,
    });
  }
}
