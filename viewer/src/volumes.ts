// Volumes: shown as planes, slabs and solids. Only display sets that pass
// the geometry gate come here; a volume of others would be sheared or torn without anybody seeing it.

import * as core from "@cornerstonejs/core";
import vtkPlane from "@kitware/vtk.js/Common/DataModel/Plane.js";
import type { DisplaySet } from "./displaysets.ts";
import { drawsInSoftware } from "./engine.ts";
import type { Pane } from "./pane.ts";
import { previews, volumeIdOf } from "./progressive.ts";
import { type Loading, loadVolume, unfinishedIn } from "./volumeloading.ts";

export type PlaneName = "Axial" | "Sagittal" | "Coronal";
export type SlabMode = "none" | "MIP" | "MinIP" | "Average";

const Enums = core.Enums;
const AXES: Record<PlaneName, core.Enums.OrientationAxis> = {
  Axial: Enums.OrientationAxis.AXIAL,
  Sagittal: Enums.OrientationAxis.SAGITTAL,
  Coronal: Enums.OrientationAxis.CORONAL,
};
const BLENDS: Record<SlabMode, core.Enums.BlendModes> = {
  none: Enums.BlendModes.COMPOSITE,
  MIP: Enums.BlendModes.MAXIMUM_INTENSITY_BLEND,
  MinIP: Enums.BlendModes.MINIMUM_INTENSITY_BLEND,
  Average: Enums.BlendModes.AVERAGE_INTENSITY_BLEND,
};
export const SOLID_PRESETS: Record<string, [string, string][]> = {
  CT: [
    ["CT-Bone", "Bone"],
    ["CT-Coronary-Arteries-3", "Vessels"],
    ["CT-AAA", "Aorta"],
    ["CT-Soft-Tissue", "Soft tissue"],
    ["CT-Lung", "Lung"],
    ["CT-MIP", "MIP"],
  ],
  MR: [
    ["MR-Default", "MR"],
    ["MR-Angio", "MR angiography"],
    ["MR-T2-Brain", "Brain, T2"],
    ["MR-MIP", "MIP"],
  ],
};

/** Colour maps for PET over CT, by Cornerstone's names. */
export const FUSION_COLOURS: [string, string][] = [
  ["hsv", "Hot to cold"],
  ["Black-Body Radiation", "Hot metal"],
  ["Inferno (matplotlib)", "Inferno"],
  ["Rainbow Desaturated", "Rainbow"],
  ["X Ray", "Grey"],
];

export type Progress = (done: number, all: number) => void;

/** Why the display set cannot be shown as a volume; empty when it can. */
export function refusal(set: DisplaySet): string {
  if (set.coloured) return "Colour images are shown as they are, not as a volume.";
  return set.gate.volume ? "" : set.gate.reason;
}

export const orientVolume = (plane: PlaneName): core.Types.ViewportInputOptions => ({
  orientation: AXES[plane],
});

/** The volume, with something in every voxel. Until then nothing is drawn: an empty voxel looks like tissue. */
async function volumeOf(set: DisplaySet, progress: Progress): Promise<Loading> {
  const loading = await loadVolume(set);
  const count = () => progress(loading.table.there, loading.table.count);
  previews.addEventListener("refined", count);
  count();
  try {
    await loading.table.coarse;
    if (set.pictures.some(({ imageId }) => !core.cache.getImage(imageId)))
      throw new Error("The memory for images is too small for this volume.");
  } finally {
    previews.removeEventListener("refined", count);
  }
  return loading;
}

const SOFT_STEPS = 6; // of solids, where every ray is computed by the processor: the page stays alive

/**
 * In what steps rays go through the volumes that are put up next. A plane is thinner than a step, and its opacity is
 * that of its part of one: in coarse steps it would be darker than its window says.
 */
function stepBy(multiplier: number): void {
  const { volumeRendering } = core.getConfiguration().rendering ?? {};
  if (volumeRendering) volumeRendering.sampleDistanceMultiplier = multiplier;
}

/** Draw volumes in a pane, the first below the others; null where they could not be loaded, or another was asked for. */
async function fillPane(
  pane: Pane,
  sets: readonly DisplaySet[],
  progress: Progress,
): Promise<core.VolumeViewport | null> {
  const { set, kind } = pane;
  const isShown = () => pane.set === set && pane.kind === kind;
  const say = (error: unknown) =>
    error instanceof Error ? error.message : "The volume could not be loaded.";
  progress(0, set?.pictures.length ?? 0);
  try {
    const loadings = await Promise.all(sets.map((each) => volumeOf(each, progress)));
    if (!isShown()) return null;
    stepBy(kind === "solid" && drawsInSoftware() ? SOFT_STEPS : 1);
    const volumes = loadings.map((each) => ({ volumeId: each.id }));
    await core.setVolumesForViewports(pane.engine, volumes, [pane.id]);
    progress(1, 1);
    for (const each of loadings)
      each.table.complete.catch((error: unknown) => {
        if (isShown()) pane.clear(say(error)); // a part of it would stay a preview
      });
  } catch (error) {
    if (isShown()) pane.say(say(error));
    return null;
  }
  return pane.viewport as unknown as core.VolumeViewport;
}

export async function showPlane(pane: Pane, progress: Progress): Promise<void> {
  const { set } = pane;
  const viewport = set && (await fillPane(pane, [set], progress));
  if (!viewport) return;
  showAsSent(pane, set, viewport);
  viewport.render();
}

/** Show in the window that was sent. Where none was, that of all values follows when they are there. */
function showAsSent(pane: Pane, set: DisplaySet, viewport: core.VolumeViewport): void {
  const id = volumeIdOf(set);
  const show = () => {
    const range = windowOf(set);
    if (range) viewport.setProperties({ voiRange: range }, id);
    return JSON.stringify(viewport.getProperties(id)?.voiRange);
  };
  const before = show();
  const [waiting] = unfinishedIn(viewport).filter((each) => each.id === id);
  void waiting?.table.complete
    .then(() => {
      const isChanged = JSON.stringify(viewport.getProperties(id)?.voiRange) !== before;
      if (pane.set !== set || pane.viewport !== (viewport as unknown) || isChanged) return;
      show();
      pane.appearance.sentAsShown();
    })
    .catch(() => undefined); // whoever draws it says so
}

/** The window that the middle image of the stack was sent with. */
function windowOf(set: DisplaySet): { lower: number; upper: number } | null {
  const middle = set.pictures[set.pictures.length >> 1]?.imageId ?? "";
  const image = core.cache.getImage(middle);
  const centre = [image?.windowCenter].flat()[0];
  const width = [image?.windowWidth].flat()[0];
  if (centre === undefined || !width || set.series.modality === "PT") return null;
  return core.utilities.windowLevel.toLowHighRange(width, centre);
}

export interface Blend {
  colour: string;
  opacity: number; // 0 to 1, of the hottest
  most: number; // the value that is the hottest
}

/** Show PET in colour over CT in grey, both in the places that they state. */
export async function showFused(
  pane: Pane,
  over: DisplaySet,
  blend: Blend,
  progress: Progress,
): Promise<void> {
  const { set } = pane;
  const viewport = set && (await fillPane(pane, [set, over], progress));
  if (!viewport) return;
  showAsSent(pane, set, viewport);
  blendOver(pane, over, blend);
}

/** Change colours and opacity of what lies over the pane's volume: cold is seen through, hot is not. */
export function blendOver(pane: Pane, over: DisplaySet, { colour, opacity, most }: Blend): void {
  const viewport = pane.viewport as unknown as core.VolumeViewport;
  viewport.setProperties(
    {
      voiRange: { lower: 0, upper: most },
      colormap: {
        name: colour,
        opacity: [
          { value: 0, opacity: 0 },
          { value: most * 0.15, opacity: opacity * 0.35 },
          { value: most * 0.4, opacity: opacity * 0.9 },
          { value: most, opacity },
        ],
      },
    },
    volumeIdOf(over),
  );
  viewport.render();
}

/** Cut away what lies in front, seen from where the camera is now: `share` of the volume's depth. */
export function clipFront(pane: Pane, share: number): void {
  const viewport = pane.viewport as unknown as core.VolumeViewport3D;
  const actor = viewport.getDefaultActor()?.actor as unknown as {
    getMapper(): { removeAllClippingPlanes(): void; addClippingPlane(plane: unknown): void };
    getBounds(): number[];
  } | null;
  const { position, focalPoint } = viewport.getCamera();
  if (!actor || !position || !focalPoint) return;
  const mapper = actor.getMapper();
  mapper.removeAllClippingPlanes();
  if (share > 0) {
    const [x0 = 0, x1 = 0, y0 = 0, y1 = 0, z0 = 0, z1 = 0] = actor.getBounds();
    const way = focalPoint.map((each, axis) => each - (position[axis] ?? 0));
    const size = Math.hypot(...way) || 1;
    const normal = way.map((each) => each / size);
    const depths = [x0, x1].flatMap((x) =>
      [y0, y1].flatMap((y) =>
        [z0, z1].map((z) => x * (normal[0] ?? 0) + y * (normal[1] ?? 0) + z * (normal[2] ?? 0)),
      ),
    );
    const [near, far] = [Math.min(...depths), Math.max(...depths)];
    const at = near + share * (far - near);
    mapper.addClippingPlane(
      vtkPlane.newInstance({ normal, origin: normal.map((each) => each * at) } as never),
    );
  }
  viewport.render();
}

export async function showSolid(pane: Pane, preset: string, progress: Progress): Promise<void> {
  const viewport = pane.set && (await fillPane(pane, [pane.set], progress));
  if (!viewport) return;
  viewport.setProperties({ preset } as never);
  viewport.render();
}

export function setSlab(pane: Pane, mode: SlabMode, thicknessMm: number): void {
  const viewport = pane.viewport as unknown as core.VolumeViewport;
  viewport.setBlendMode(BLENDS[mode]);
  if (mode === "none") viewport.resetSlabThickness();
  else viewport.setSlabThickness(thicknessMm);
  pane.element.dataset.slab = mode === "none" ? "" : `, ${mode} ${thicknessMm} mm`;
  viewport.render();
}
