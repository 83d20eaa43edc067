// One viewport of the workspace: what it shows, how, and the facts written around it. A thin layer over
// Cornerstone3D's stack, orthographic and volume viewports, so that nothing else depends on their kinds.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { functionalGroup, TAG } from "./dicom.ts";
import type { DisplaySet, Picture } from "./displaysets.ts";
import { h } from "./dom.ts";
import { ENGINE_ID } from "./engine.ts";
import { dot, nearest, normalOf, type Vec3 } from "./geometry.ts";
import { Overlay } from "./overlay.ts";
import type { Preset } from "./presets.ts";
import { STACK_GROUP, type ToolGroups } from "./toolgroups.ts";
import { orientVolume, type PlaneName, type SlabMode, setSlab, showPlane, showSolid } from "./volumes.ts";

const { Enums } = core;
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
  private generation = 0;
  private sent: { lower: number; upper: number } | null = null;

  constructor(
    readonly engine: core.RenderingEngine,
    readonly groups: ToolGroups,
    readonly index: number,
  ) {
    this.id = `pane-${index}`;
    this.canvas = h("div", { class: "canvas" });
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
    );
    this.overlay = new Overlay(this);
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    const redraw = () => this.overlay.refresh();
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
    return this.kind === "stack" ? (this.engine.getViewport(this.id) as unknown as StackLike) : null;
  }

  get viewport(): core.Types.IViewport | null {
    return this.kind === "empty" ? null : this.engine.getViewport(this.id);
  }

  get position(): number {
    if (this.kind === "empty" || this.kind === "solid") return 0;
    return (this.viewport as unknown as { getSliceIndex(): number }).getSliceIndex();
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
    const first = at ?? (set.framesPerSecond ? 0 : set.pictures.length >> 1);
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
    if (!usable && this.presets !== "PT") this.autoWindow();
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

  /** Show the volume as a solid. */
  async showSolid(set: DisplaySet, preset: string): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("solid", Enums.ViewportType.VOLUME_3D, "solids");
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
    if (this.kind !== "empty") {
      this.groups.leave(this.id);
      this.engine.disableElement(this.id);
    }
    this.kind = kind;
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
    const range = preset ? toLowHighRange(preset.width, preset.centre, kind) : this.sent;
    if (range) this.properties({ voiRange: range });
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
