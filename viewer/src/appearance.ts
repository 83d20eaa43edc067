// How a viewport shows what it shows: window, turn, camera, and whose presets fit.

import * as core from "@cornerstonejs/core";
import { functionalGroup, TAG, text } from "./dicom.ts";
import type { Picture } from "./displaysets.ts";
import type { Pane } from "./pane.ts";
import { type Preset, presetsFor } from "./presets.ts";
import { uptake } from "./uptake.ts";

const SUV_SHOWN_MAX = 5;
const FIT_ALL = { resetPan: true, resetZoom: true, resetToCenter: true };

export interface Range {
  lower: number;
  upper: number;
}

export class Appearance {
  private sent: Range | null = null;

  constructor(private readonly pane: Pane) {}

  /** Whose presets fit: the modality, unless PET images do not say enough to be shown in SUV. */
  get presets(): string {
    const modality = this.pane.set?.series.modality ?? "";
    if (modality !== "PT") return modality;
    const image = core.cache.getImage(this.pane.picture?.imageId ?? "");
    return image?.preScale?.scalingParameters?.suvbw ? modality : "";
  }

  get presetList(): Preset[] {
    return presetsFor(this.presets, this.pane.picture ? text(this.pane.picture.data, TAG.bodyPart) : "");
  }

  /** What one unit of the voxels is in what is written beside them: other than 1 for SUV that is not by weight. */
  get uptakeRatio(): number {
    return this.presets === "PT" ? uptake.ratio(this.pane.picture?.imageId ?? "") : 1;
  }

  /** Show the stack that was just set up in the window that it was sent with, or in one that fits what is in it. */
  begin(): void {
    // An image without a window of its own would stay black: what is in it decides.
    const range = this.range();
    const usable = statesWindow(this.pane.picture) && range !== null && range.upper > range.lower;
    // A window that was sent with PET is in Bq/ml: where we show SUV, it is nothing.
    if (this.presets === "PT") this.properties({ voiRange: { lower: 0, upper: SUV_SHOWN_MAX } });
    else if (!usable) this.autoWindow();
    this.sentAsShown();
  }

  /** What is shown now is how it was sent. */
  sentAsShown(): void {
    this.sent = this.range();
  }

  /** Whether a window that is only known once every value is there would change what is shown. */
  get awaitsWindow(): boolean {
    return this.presets === "PT" || !statesWindow(this.pane.picture);
  }

  range(): Range | null {
    const properties = (
      this.pane.viewport as unknown as { getProperties?(): { voiRange?: { lower: number; upper: number } } }
    )?.getProperties?.();
    return properties?.voiRange ?? null;
  }

  /** Show with a window; null: as the image was sent. PS3.3 C.11.2.1.2.1 */
  window(preset: Pick<Preset, "centre" | "width"> | null): void {
    if (this.pane.kind === "empty" || this.pane.kind === "solid") return;
    const { toLowHighRange } = core.utilities.windowLevel;
    const { LINEAR, LINEAR_EXACT } = core.Enums.VOILUTFunctionType;
    const kind = this.presets === "PT" ? LINEAR_EXACT : LINEAR;
    const one = this.uptakeRatio; // presets are in what is shown
    const range = preset ? toLowHighRange(preset.width / one, preset.centre / one, kind) : this.sent;
    if (range) this.properties({ voiRange: range });
  }

  /** Show with this range of values, as another window does. */
  setRange({ lower, upper }: Range): void {
    const range = this.range();
    if (this.pane.kind === "empty" || (range?.lower === lower && range.upper === upper)) return;
    this.properties({ voiRange: { lower, upper } });
  }

  /** A window that leaves out the darkest and the brightest hundredth of the shown image. */
  autoWindow(): void {
    const image = this.pane.stack?.getCornerstoneImage();
    if (!image || this.pane.set?.coloured) return;
    const values = Float64Array.from(image.voxelManager?.getScalarData() ?? image.getPixelData()).sort();
    const lower = values[Math.floor(values.length * 0.01)] ?? 0;
    const upper = values[Math.floor(values.length * 0.99)] ?? 1;
    this.properties({ voiRange: { lower, upper: upper > lower ? upper : lower + 1 } });
  }

  invert(): void {
    const properties = (
      this.pane.viewport as unknown as { getProperties?(): { invert?: boolean } }
    )?.getProperties?.();
    this.properties({ invert: !properties?.invert });
  }

  private properties(given: { voiRange?: { lower: number; upper: number }; invert?: boolean }): void {
    (this.pane.viewport as unknown as { setProperties(given: object): void } | null)?.setProperties(given);
    this.pane.viewport?.render();
  }

  flip(direction: "flipHorizontal" | "flipVertical"): void {
    const viewport = this.pane.viewport;
    if (!viewport || this.pane.kind === "solid") return;
    const camera = viewport.getCamera();
    viewport.setCamera({ [direction]: !camera[direction] });
    viewport.render();
  }

  rotate(degrees: number): void {
    const viewport = this.pane.viewport;
    if (!viewport || this.pane.kind === "solid") return;
    const { rotation = 0 } = viewport.getViewPresentation();
    viewport.setViewPresentation({ rotation: (rotation + degrees + 360) % 360 });
    viewport.render();
  }

  fit(): void {
    this.pane.viewport?.resetCamera(FIT_ALL);
    this.pane.viewport?.render();
  }

  reset(): void {
    const { stack, viewport } = this.pane;
    if (!viewport) return;
    if (stack) {
      stack.resetProperties();
      stack.setViewPresentation({ rotation: 0, flipHorizontal: false, flipVertical: false });
    }
    this.window(null);
    this.fit();
  }

  /** All that decides how it looks, to be put back by `look`; null where nothing is shown. */
  looks(): Look | null {
    if (this.pane.kind === "empty" || !this.pane.viewport) return null;
    const properties = (
      this.pane.viewport as unknown as { getProperties(): Look["properties"] }
    ).getProperties();
    return structuredClone({
      properties: { voiRange: properties.voiRange, invert: properties.invert },
      camera: this.pane.viewport.getCamera(),
    });
  }

  look(given: Look): void {
    if (this.pane.kind === "empty" || !this.pane.viewport) return;
    if (this.pane.kind !== "solid") this.properties(given.properties);
    this.pane.viewport.setCamera(given.camera);
    this.pane.viewport.render();
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
