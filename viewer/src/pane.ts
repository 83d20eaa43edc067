// One viewport of the workspace: what it shows, how, and the facts written around it. A thin layer over
// Cornerstone3D's stack, orthographic and volume viewports, so that nothing else depends on their kinds.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { Appearance } from "./appearance.ts";
import { type DisplaySet, firstShown, type Picture } from "./displaysets.ts";
import { h } from "./dom.ts";
import { dot, nearest, normalOf, type Vec3 } from "./geometry.ts";
import { layers } from "./layers.ts";
import { caseLife, listenForCase } from "./life.ts";
import { Overlay } from "./overlay.ts";
import { previews, showsPreview } from "./progressive.ts";
import { Sheet } from "./sheet.ts";
import { StackView } from "./stackview.ts";
import { MEASURING_NAMES, STACK_GROUP, type ToolGroups } from "./toolgroups.ts";
import {
  type Blend,
  blendOver,
  clipFront,
  orientVolume,
  type PlaneName,
  type Progress,
  setSlab,
  showFused,
  showPlane,
  showSolid,
  type SlabMode,
} from "./volumes.ts";
import { type Loading, unfinishedIn } from "./volumeloading.ts";

const Enums = core.Enums;

export type Kind = "empty" | "stack" | "plane" | "solid";
type StackLike = core.StackViewport;

export class Pane {
  readonly element: HTMLElement;
  readonly canvas: HTMLDivElement;
  readonly id: string;
  readonly appearance = new Appearance(this);
  readonly view = new StackView(this);
  set: DisplaySet | null = null;
  kind: Kind = "empty";
  plane: PlaneName | null = null;
  playing = false;
  private readonly overlay: Overlay;
  private readonly sheet = new Sheet(this);
  private document: HTMLElement | null = null;
  private generation = 0;
  private readonly life = caseLife();
  private readonly previewed = new Set<string>(); // images shown before all of them was there, and not since

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
      this.sheet.element,
    );
    this.overlay = new Overlay(this);
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener(Enums.Events.STACK_NEW_IMAGE, (event) =>
      this.arrived((event as CustomEvent<{ imageId: string }>).detail.imageId),
    );
    for (const name of ["mousedown", "touchstart"])
      this.element.addEventListener(name, (event) => this.keepFromMeasuring(event), true);
    const redraw = () => {
      this.overlay.refresh();
      this.sheet.draw();
    };
    listenForCase(previews, "refined", (event) => this.refined((event as CustomEvent<string>).detail));
    for (const name of ["change", "repaint"]) listenForCase(layers, name, () => this.sheet.draw());
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

  /** Whether not all of what is shown is there yet: nothing is measured on it. */
  get preview(): boolean {
    return showsPreview(this.stack) || this.unfinished.length > 0;
  }

  /** Shown volumes that are not all there yet. */
  get unfinished(): Loading[] {
    return unfinishedIn(this.viewport);
  }

  /** More of a volume has come: planes show it, a solid is drawn again when all of it is there. */
  private refined(volumeId: string): void {
    const { viewport } = this;
    if (!(viewport instanceof core.BaseVolumeViewport) || !viewport.hasVolumeId(volumeId)) return;
    if (this.kind === "plane" || !this.unfinished.length) viewport.render();
    this.overlay.refresh();
  }

  private arrived(imageId: string): void {
    if (this.preview) {
      this.previewed.add(imageId);
      // A window that is only known once every value is there would make the preview too bright or too dark.
      if (!this.appearance.awaitsWindow) this.overlay.say("");
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
    this.appearance.begin();
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
    await showPlane(this, this.progress());
    if (mine !== this.generation) return false;
    this.appearance.sentAsShown();
    return true;
  }

  /** Show a plane through the volume with another in colour over it. */
  async showFused(set: DisplaySet, over: DisplaySet, plane: PlaneName, blend: Blend): Promise<boolean> {
    const mine = ++this.generation;
    this.stop();
    this.enable("plane", Enums.ViewportType.ORTHOGRAPHIC, "planes", orientVolume(plane));
    this.set = set;
    this.plane = plane;
    await showFused(this, over, blend, this.progress());
    if (mine !== this.generation) return false;
    this.appearance.sentAsShown();
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
    await showSolid(this, preset, this.progress());
    return mine === this.generation;
  }

  /** Says how much of what is asked for now is there, until something else is asked for. */
  private progress(): Progress {
    const mine = this.generation;
    return (done, all) => {
      if (mine === this.generation) this.overlay.say(done < all ? `Loading ${done} of ${all}` : "");
    };
  }

  slab(mode: SlabMode, thicknessMm: number): void {
    if (this.kind === "plane") setSlab(this, mode, thicknessMm);
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
    this.sheet.draw();
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

function reasonOf(error: unknown): string {
  const known = error as { message?: string; error?: { message?: string } } | undefined;
  return known?.error?.message ?? known?.message ?? "";
}
