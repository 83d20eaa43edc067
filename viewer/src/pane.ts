// One viewport of the workspace: what it shows, how, and the facts written around it. A thin layer over
// Cornerstone3D's stack, orthographic and volume viewports, so that nothing else depends on their kinds.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { functionalGroup, TAG, text } from "./dicom.ts";
import { type DisplaySet, firstShown, type Picture } from "./displaysets.ts";
import { h } from "./dom.ts";
import { drawingOf, ENGINE_ID } from "./engine.ts";
import { dot, nearest, normalOf, type Vec3 } from "./geometry.ts";
import { drawCuts, drawLayers, latticeOf, layers } from "./layers.ts";
import { caseLife, listenForCase } from "./life.ts";
import type { ShownView } from "./measurements.ts";
import { directionsOf, turnOf } from "./presentation.ts";
import { Overlay } from "./overlay.ts";
import { previews, showsPreview } from "./progressive.ts";
import { type Preset, presetsFor } from "./presets.ts";
import { MEASURING_NAMES, STACK_GROUP, type ToolGroups } from "./toolgroups.ts";
import { uptake } from "./uptake.ts";
import {
  type Blend,
  blendOver,
  clipFront,
  orientVolume,
  type PlaneName,
  setSlab,
  showFused,
  showPlane,
  showSolid,
  type SlabMode,
} from "./volumes.ts";

const { Enums } = core;
const SUV_SHOWN_MAX = 5;
const FIT_ALL = { resetPan: true, resetZoom: true, resetToCenter: true };

export type Kind = "empty" | "stack" | "plane" | "solid";
type StackLike = core.StackViewport;

export class Pane {
  readonly element: HTMLElement;
  readonly canvas: HTMLDivElement;
  readonly id: string;
  set: DisplaySet | null = null;
  kind: Kind = "empty";
  plane: PlaneName | null = null;
  playing = false;
  private readonly overlay: Overlay;
  private readonly sheet: HTMLCanvasElement;
  private document: HTMLElement | null = null;
  private generation = 0;
  private cutting = false;
  private readonly life = caseLife();
  private readonly previewed = new Set<string>(); // images shown before all of them was there, and not since
  private sent: { lower: number; upper: number } | null = null;

  constructor(
    readonly engine: core.RenderingEngine,
    readonly groups: ToolGroups,
    readonly index: number,
  ) {
    this.id = `pane-${index}`;
    this.canvas = h("div", { class: "canvas" });
    this.sheet = h("canvas", { class: "sheet", "aria-hidden": "true" });
    this.element = h(
      "div",
      {
        class: "pane",
        tabindex: 0,
        role: "group",
        "data-pane": index,
        "aria-label": `Viewport ${index + 1}`,
      },
      this.canvas,
      this.sheet,
    );
    drawingOf(this.sheet);
    this.overlay = new Overlay(this);
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener(Enums.Events.STACK_NEW_IMAGE, (event) =>
      this.arrived((event as CustomEvent<{ imageId: string }>).detail.imageId),
    );
    for (const name of ["mousedown", "touchstart"])
      this.element.addEventListener(name, (event) => this.keepFromMeasuring(event), true);
    const redraw = () => {
      this.overlay.refresh();
      this.drawLayers();
    };
    for (const name of ["change", "repaint"]) listenForCase(layers, name, () => this.drawLayers());
    for (const name of [
      Enums.Events.IMAGE_RENDERED,
      Enums.Events.STACK_NEW_IMAGE,
      Enums.Events.VOLUME_NEW_IMAGE,
      Enums.Events.VOI_MODIFIED,
      Enums.Events.CAMERA_MODIFIED,
    ]) {
      this.canvas.addEventListener(name, redraw);
    }
  }

  get stack(): StackLike | null {
    const found = this.kind === "stack" ? this.engine.getViewport(this.id) : null;
    return (found as unknown as StackLike | undefined) ?? null; // none while it is being exchanged
  }

  get viewport(): core.Types.IViewport | null {
    return this.kind === "empty" ? null : (this.engine.getViewport(this.id) ?? null);
  }

  /** Whether the picture has not the size of its place: positions on it would be wrong. */
  get misfits(): boolean {
    const shown = this.viewport?.canvas;
    const ratio = devicePixelRatio || 1;
    const size = (points: number) => Math.round(points * ratio);
    if (!shown?.clientWidth || !shown.clientHeight) return false;
    return shown.width !== size(shown.clientWidth) || shown.height !== size(shown.clientHeight);
  }

  /** Whether not all of the shown image is there yet: nothing is measured on it. */
  get preview(): boolean {
    return showsPreview(this.stack);
  }

  private arrived(imageId: string): void {
    if (this.preview) {
      this.previewed.add(imageId);
      // A window that is only known once every value is there would make the preview too bright or too dark.
      if (this.presets !== "PT" && statesWindow(this.picture)) this.overlay.say("");
    } else if (this.previewed.delete(imageId))
      previews.dispatchEvent(new CustomEvent("whole", { detail: imageId }));
  }

  private keepFromMeasuring(event: Event): void {
    const other = event instanceof MouseEvent && event.button !== 0;
    if ((this.preview || this.misfits) && !other && MEASURING_NAMES.includes(this.groups.active))
      event.stopPropagation();
  }

  get position(): number {
    if (this.kind === "empty" || this.kind === "solid") return 0;
    return (this.viewport as unknown as { getSliceIndex(): number } | null)?.getSliceIndex() ?? 0;
  }

  get slices(): number {
    if (this.kind === "stack") return this.set?.pictures.length ?? 0;
    return this.kind === "plane"
      ? (this.viewport as unknown as { getNumberOfSlices(): number }).getNumberOfSlices()
      : 0;
  }

  get picture(): Picture | null {
    return this.kind === "stack"
      ? (this.set?.pictures[this.position] ?? null)
      : (this.set?.pictures[0] ?? null);
  }

  /** Show the images of a display set, one at a time. Gives false when another was asked for meanwhile. */
  async showStack(set: DisplaySet, at?: number): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("stack", Enums.ViewportType.STACK, STACK_GROUP);
    this.set = set;
    this.plane = null;
    this.overlay.say("Loading…");
    const first = at ?? firstShown(set);
    try {
      await this.stack?.setStack(
        set.pictures.map((each) => each.imageId),
        Math.min(first, set.pictures.length - 1),
      );
    } catch (error) {
      if (mine === this.generation) this.overlay.say(`This image cannot be shown. ${reasonOf(error)}`);
      return false;
    }
    if (mine !== this.generation) return false;
    // An image without a window of its own would stay black: what is in it decides.
    const range = this.range();
    const usable = statesWindow(this.picture) && range !== null && range.upper > range.lower;
    // A window that was sent with PET is in Bq/ml: where we show SUV, it is nothing.
    if (this.presets === "PT") this.properties({ voiRange: { lower: 0, upper: SUV_SHOWN_MAX } });
    else if (!usable) this.autoWindow();
    this.sent = this.range();
    this.viewport?.render();
    this.overlay.say("");
    return true;
  }

  /** Show a plane through the volume that the display set is. */
  async showPlane(set: DisplaySet, plane: PlaneName): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("plane", Enums.ViewportType.ORTHOGRAPHIC, "planes", orientVolume(plane));
    this.set = set;
    this.plane = plane;
    await showPlane(this, (done, all) => this.overlay.say(done < all ? `Loading ${done} of ${all}` : ""));
    if (mine !== this.generation) return false;
    this.sent = this.range();
    return true;
  }

  /** Show a plane through the volume with another in colour over it. */
  async showFused(set: DisplaySet, over: DisplaySet, plane: PlaneName, blend: Blend): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("plane", Enums.ViewportType.ORTHOGRAPHIC, "planes", orientVolume(plane));
    this.set = set;
    this.plane = plane;
    await showFused(this, over, blend, (done, all) =>
      this.overlay.say(done < all ? `Loading ${done} of ${all}` : ""),
    );
    if (mine !== this.generation) return false;
    this.sent = this.range();
    return true;
  }

  blend(over: DisplaySet, blend: Blend): void {
    if (this.kind === "plane") blendOver(this, over, blend);
  }

  clip(share: number): void {
    if (this.kind === "solid") clipFront(this, share);
  }

  /** Show the volume as a solid. */
  async showSolid(set: DisplaySet, preset: string): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("solid", Enums.ViewportType.VOLUME_3D, "solids", orientVolume("Coronal")); // seen from the front
    this.set = set;
    this.plane = null;
    await showSolid(this, preset, (done, all) =>
      this.overlay.say(done < all ? `Loading ${done} of ${all}` : ""),
    );
    return mine === this.generation;
  }

  slab(mode: SlabMode, thicknessMm: number): void {
    if (this.kind === "plane") setSlab(this, mode, thicknessMm);
  }

  private drawLayers(): void {
    if (this.kind === "plane") {
      this.uncover(true);
      return this.drawCuts();
    }
    const picture = this.kind === "stack" ? this.picture : null;
    const shown = picture ? layers.list.filter((each) => each.visible && each.on(picture)) : [];
    if (this.uncover(shown.length > 0)) drawLayers(this.sheet, this.stack, picture, shown);
  }

  /** A sheet on which nothing is drawn costs as much as the image under it: it is taken away. Whether it is there. */
  private uncover(needed: boolean): boolean {
    const wanted = needed ? "" : "hidden";
    if (this.sheet.style.visibility !== wanted) {
      this.sheet.style.visibility = wanted;
      this.sheet.getContext("2d")?.reset();
    }
    return needed;
  }

  /** Draw where the shown plane cuts through layers, at most once for each picture that the browser shows. */
  private drawCuts(): void {
    if (this.cutting) return;
    this.cutting = true;
    requestAnimationFrame(() => {
      this.cutting = false;
      if (this.kind === "plane")
        drawCuts(this.sheet, this.viewport, this.set?.frameOfReferenceUid ?? "", layers.list);
    });
  }

  /** Show something that is no image, in place of one. */
  showDocument(shown: HTMLElement): void {
    this.clear();
    this.document = shown;
    this.element.append(shown);
  }

  /** Show nothing, and say why. */
  clear(message = ""): void {
    this.generation += 1;
    this.stop();
    if (this.kind !== "empty") {
      this.groups.leave(this.id);
      this.engine.disableElement(this.id);
    }
    this.kind = "empty";
    this.set = null;
    this.document?.remove();
    this.document = null;
    this.drawLayers();
    this.overlay.say(message);
    this.overlay.refresh();
  }

  say(message: string): void {
    this.overlay.say(message);
  }

  private enable(
    kind: Kind,
    type: core.Enums.ViewportType,
    group: string,
    options: core.Types.ViewportInputOptions = {},
  ): void {
    if (this.life.aborted) throw new Error("The case was left.");
    if (this.kind !== "empty") {
      this.groups.leave(this.id);
      this.engine.disableElement(this.id);
    }
    this.kind = kind;
    this.document?.remove();
    this.document = null;
    this.engine.enableElement({
      viewportId: this.id,
      type,
      element: this.canvas,
      defaultOptions: { background: [0, 0, 0], ...options },
    });
    this.groups.join(group, this.id);
  }

  // --- Scrolling ---------------------------------------------------------------------------------

  async go(to: number): Promise<void> {
    const last = this.slices - 1;
    const wanted = Math.max(0, Math.min(last, to));
    if (last < 0 || wanted === this.position) return;
    if (this.kind === "stack") {
      await this.stack
        ?.setImageIdIndex(wanted)
        .catch((error) => this.overlay.say(`This image cannot be shown. ${reasonOf(error)}`));
      if (this.position === wanted) this.overlay.say("");
    } else this.scroll(wanted - this.position);
  }

  scroll(delta: number): void {
    const viewport = this.viewport;
    if (!viewport || this.kind === "solid") return;
    if (this.kind === "stack") this.go((this.stack?.getTargetImageIdIndex() ?? 0) + delta);
    else (viewport as unknown as { scroll(delta: number): void }).scroll(delta);
  }

  /** How deep along the normal of its images the shown one lies, in mm; null when unknown. */
  depth(): { at: number; normal: Vec3 } | null {
    const plane = this.kind === "stack" ? this.picture?.plane : null;
    if (!plane) return null;
    const normal = normalOf(plane);
    return { at: dot(plane.position, normal), normal };
  }

  goToDepth(at: number, normal: Vec3): void {
    const planes = this.set?.pictures.map((each) => each.plane) ?? [];
    const index = nearest(planes, normal, at);
    if (index >= 0) this.go(index);
  }

  /** Whose presets fit: the modality, unless PET images do not say enough to be shown in SUV. */
  get presets(): string {
    const modality = this.set?.series.modality ?? "";
    if (modality !== "PT") return modality;
    const image = core.cache.getImage(this.picture?.imageId ?? "");
    return image?.preScale?.scalingParameters?.suvbw ? modality : "";
  }

  get presetList(): Preset[] {
    return presetsFor(this.presets, this.picture ? text(this.picture.data, TAG.bodyPart) : "");
  }

  /** What one unit of the voxels is in what is written beside them: other than 1 for SUV that is not by weight. */
  get uptakeRatio(): number {
    return this.presets === "PT" ? uptake.ratio(this.picture?.imageId ?? "") : 1;
  }

  // --- Appearance --------------------------------------------------------------------------------

  range(): { lower: number; upper: number } | null {
    const properties = (
      this.viewport as unknown as { getProperties?(): { voiRange?: { lower: number; upper: number } } }
    )?.getProperties?.();
    return properties?.voiRange ?? null;
  }

  /** Show with a window; null: as the image was sent. PS3.3 C.11.2.1.2.1 */
  window(preset: Pick<Preset, "centre" | "width"> | null): void {
    if (this.kind === "empty" || this.kind === "solid") return;
    const { toLowHighRange } = core.utilities.windowLevel;
    const { LINEAR, LINEAR_EXACT } = core.Enums.VOILUTFunctionType;
    const kind = this.presets === "PT" ? LINEAR_EXACT : LINEAR;
    const one = this.uptakeRatio; // presets are in what is shown
    const range = preset ? toLowHighRange(preset.width / one, preset.centre / one, kind) : this.sent;
    if (range) this.properties({ voiRange: range });
  }

  /** Show with this range of values, as another window does. */
  setRange({ lower, upper }: { lower: number; upper: number }): void {
    const range = this.range();
    if (this.kind === "empty" || (range?.lower === lower && range.upper === upper)) return;
    this.properties({ voiRange: { lower, upper } });
  }

  /** A window that leaves out the darkest and the brightest hundredth of the shown image. */
  autoWindow(): void {
    const image = this.stack?.getCornerstoneImage();
    if (!image || this.set?.coloured) return;
    const values = Float64Array.from(image.voxelManager?.getScalarData() ?? image.getPixelData()).sort();
    const lower = values[Math.floor(values.length * 0.01)] ?? 0;
    const upper = values[Math.floor(values.length * 0.99)] ?? 1;
    this.properties({ voiRange: { lower, upper: upper > lower ? upper : lower + 1 } });
  }

  invert(): void {
    const properties = (
      this.viewport as unknown as { getProperties?(): { invert?: boolean } }
    )?.getProperties?.();
    this.properties({ invert: !properties?.invert });
  }

  private properties(given: { voiRange?: { lower: number; upper: number }; invert?: boolean }): void {
    (this.viewport as unknown as { setProperties(given: object): void } | null)?.setProperties(given);
    this.viewport?.render();
  }

  flip(direction: "flipHorizontal" | "flipVertical"): void {
    const viewport = this.viewport;
    if (!viewport || this.kind === "solid") return;
    const camera = viewport.getCamera();
    viewport.setCamera({ [direction]: !camera[direction] });
    viewport.render();
  }

  rotate(degrees: number): void {
    const viewport = this.viewport;
    if (!viewport || this.kind === "solid") return;
    const { rotation = 0 } = viewport.getViewPresentation();
    viewport.setViewPresentation({ rotation: (rotation + degrees + 360) % 360 });
    viewport.render();
  }

  fit(): void {
    this.viewport?.resetCamera(FIT_ALL);
    this.viewport?.render();
  }

  reset(): void {
    const stack = this.stack;
    const viewport = this.viewport;
    if (!viewport) return;
    if (stack) {
      stack.resetProperties();
      stack.setViewPresentation({ rotation: 0, flipHorizontal: false, flipVertical: false });
    }
    this.window(null);
    this.fit();
  }

  // --- How it is shown, as a value ---------------------------------------------------------------

  /** Where a place of the viewport is in the image: column and row from 0 at the outer corner. */
  pixelAt(x: number, y: number): [number, number] | null {
    const { stack } = this;
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
    const { clientWidth, clientHeight } = this.canvas;
    const [first, last] = [this.pixelAt(0, 0), this.pixelAt(clientWidth, clientHeight)];
    const turn = this.turn();
    if (!first || !last || !turn) return null;
    const range = this.range();
    const properties = this.stack?.getProperties();
    const { toWindowLevel } = core.utilities.windowLevel;
    const level = range && !this.set?.coloured ? toWindowLevel(range.lower, range.upper) : null;
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
    const { stack } = this;
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
        this.stack?.setViewPresentation({ rotation: degrees, flipHorizontal, flipVertical: false });
        const found = this.turn();
        if (found?.rotation === goal.rotation && found.flipped === goal.flipped) return;
      }
  }

  private zoomTo([[left, top], [right, bottom]]: ShownView["area"]): void {
    const { stack } = this;
    const image = latticeOf(stack);
    if (!stack || !image || (left === right && top === bottom)) return;
    const middle = image.indexToWorld([(left + right) / 2 - 1, (top + bottom) / 2 - 1, 0]);
    const spacing = image.getSpacing();
    const size = [Math.abs(right - left) + 1, Math.abs(bottom - top) + 1].map(
      (each, axis) => each * (spacing[axis] ?? 1),
    );
    if ((this.turn()?.rotation ?? 0) % 180) size.reverse();
    const [width = 1, height = 1] = size;
    const { clientWidth, clientHeight } = this.canvas;
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

  /** All that decides how it looks, to be put back by `look`; null where nothing is shown. */
  looks(): Look | null {
    if (this.kind === "empty" || !this.viewport) return null;
    const properties = (this.viewport as unknown as { getProperties(): Look["properties"] }).getProperties();
    return structuredClone({
      properties: { voiRange: properties.voiRange, invert: properties.invert },
      camera: this.viewport.getCamera(),
    });
  }

  look(given: Look): void {
    if (this.kind === "empty" || !this.viewport) return;
    if (this.kind !== "solid") this.properties(given.properties);
    this.viewport.setCamera(given.camera);
    this.viewport.render();
  }

  // --- Cine --------------------------------------------------------------------------------------

  play(framesPerSecond?: number): void {
    if (this.kind !== "stack" || this.slices < 2) return;
    const rate = framesPerSecond ?? this.set?.framesPerSecond ?? 15;
    tools.utilities.cine.playClip(this.canvas, { framesPerSecond: rate, loop: true });
    this.playing = true;
    this.overlay.refresh();
  }

  stop(): void {
    if (!this.playing) return;
    tools.utilities.cine.stopClip(this.canvas);
    this.playing = false;
    this.overlay.refresh();
  }
}

export interface Look {
  properties: { voiRange?: { lower: number; upper: number }; invert?: boolean };
  camera: core.Types.ICamera;
}

/** Whether the image says how bright it is to be shown. PS3.3 C.11.2 */
function statesWindow(picture: Picture | null): boolean {
  if (!picture) return true;
  const group = functionalGroup(picture.data, picture.frame - 1, TAG.frameVoiLut) ?? picture.data;
  return Boolean(group[TAG.windowCentre]?.Value?.length || group[TAG.voiLut]?.Value?.length);
}

function reasonOf(error: unknown): string {
  const known = error as { message?: string; error?: { message?: string } } | undefined;
  return known?.error?.message ?? known?.message ?? "";
}

export { ENGINE_ID };
