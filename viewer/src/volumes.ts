// Volumes: loaded once for each display set, shown as planes, slabs and solids. Only display sets that pass
// the geometry gate come here; a volume of others would be sheared or torn without anybody seeing it.

import * as core from "@cornerstonejs/core";
import vtkPlane from "@kitware/vtk.js/Common/DataModel/Plane.js";
import type { DisplaySet } from "./displaysets.ts";
import { drawsInSoftware } from "./engine.ts";
import { whenLeft } from "./life.ts";
import type { Pane } from "./pane.ts";
import { isPreview, volumeIdOf } from "./progressive.ts";

export type PlaneName = "Axial" | "Sagittal" | "Coronal";
export type SlabMode = "none" | "MIP" | "MinIP" | "Average";

const { Enums, volumeLoader, setVolumesForViewports, eventTarget } = core;
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

const loading = new Map<string, Promise<void>>();
whenLeft(() => loading.clear());

/** The volume with every voxel in place. Until then nothing is drawn: an empty voxel looks like tissue. */
async function volumeOf(set: DisplaySet, progress: Progress): Promise<string> {
  const id = volumeIdOf(set);
  const all = set.pictures.length;
  const count = () =>
    progress(
      set.pictures.filter(({ imageId }) => core.cache.isLoaded(imageId) && !isPreview(imageId)).length,
      all,
    );
  const ticking = setInterval(count, 200);
  try {
    const known = core.cache.getVolume(id) ? loading.get(id) : undefined;
    const made = known ?? fill(id, set);
    loading.set(id, made);
    await made;
  } catch (error) {
    loading.delete(id);
    throw error;
  } finally {
    clearInterval(ticking);
  }
  progress(all, all);
  return id;
}

async function fill(id: string, set: DisplaySet): Promise<void> {
  const volume = await volumeLoader.createAndCacheVolume(id, {
    imageIds: set.pictures.map((each) => each.imageId),
  });
  await new Promise<void>((resolve, reject) => {
    const end = () => {
      eventTarget.removeEventListener(Enums.Events.IMAGE_VOLUME_LOADING_COMPLETED, complete);
      eventTarget.removeEventListener(Enums.Events.IMAGE_LOAD_ERROR, failed);
    };
    const complete = (event: Event) => {
      if ((event as CustomEvent<{ volumeId: string }>).detail.volumeId !== id) return;
      end();
      resolve();
    };
    const failed = (event: Event) => {
      if (
        !set.pictures.some(
          (each) => each.imageId === (event as CustomEvent<{ imageId: string }>).detail.imageId,
        )
      )
        return;
      end();
      core.cache.removeVolumeLoadObject(id);
      reject(new Error("A slice could not be loaded, so there is no volume."));
    };
    eventTarget.addEventListener(Enums.Events.IMAGE_VOLUME_LOADING_COMPLETED, complete);
    eventTarget.addEventListener(Enums.Events.IMAGE_LOAD_ERROR, failed);
    (volume as unknown as { load(): void }).load();
  });
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

async function fillPane(pane: Pane, progress: Progress): Promise<core.VolumeViewport | null> {
  const { set } = pane;
  if (!set) return null;
  progress(0, set.pictures.length);
  try {
    const id = await volumeOf(set, progress);
    if (pane.set !== set) return null;
    stepBy(pane.kind === "solid" && drawsInSoftware() ? SOFT_STEPS : 1);
    await setVolumesForViewports(pane.engine, [{ volumeId: id }], [pane.id]);
  } catch (error) {
    pane.say(error instanceof Error ? error.message : "The volume could not be loaded.");
    return null;
  }
  return pane.viewport as unknown as core.VolumeViewport;
}

export async function showPlane(pane: Pane, progress: Progress): Promise<void> {
  const viewport = await fillPane(pane, progress);
  if (!viewport || !pane.set) return;
  const range = windowOf(pane.set);
  if (range) viewport.setProperties({ voiRange: range });
  viewport.render();
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
  if (!set) return;
  try {
    const under = await volumeOf(set, progress);
    const upper = await volumeOf(over, progress);
    if (pane.set !== set) return;
    stepBy(1);
    await setVolumesForViewports(pane.engine, [{ volumeId: under }, { volumeId: upper }], [pane.id]);
  } catch (error) {
    pane.say(error instanceof Error ? error.message : "The volumes could not be loaded.");
    return;
  }
  const viewport = pane.viewport as unknown as core.VolumeViewport;
  const range = windowOf(set);
  if (range) viewport.setProperties({ voiRange: range }, volumeIdOf(set));
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
  const viewport = await fillPane(pane, progress);
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
